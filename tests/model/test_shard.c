/* test_shard.c - every checkpoint cut in every way gives the bits of one rank: hidden rows and logits, memcmp */
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "rig.h"
#include "shard_rig.h"

static const char *const dense[] = {"alia",
                                    "codellama",
                                    "falcon_11b_v5",
                                    "falcon_40b",
                                    "falcon_7b",
                                    "falcon_alibi",
                                    "gpt2",
                                    "gpt2_scale",
                                    "gpt_sw3",
                                    "llama2",
                                    "llama3_rope",
                                    "llama3_rope_v5",
                                    "llama_bf16",
                                    "llama_bias",
                                    "llama_dynamic",
                                    "llama_f16",
                                    "llama_head_dim",
                                    "llama_linear",
                                    "llama_longrope_v5",
                                    "llama_sharded",
                                    "llama_yarn",
                                    "mistral",
                                    "mistral_window",
                                    "qwen2",
                                    "qwen2_window",
                                    "qwen3",
                                    "qwen3_sharded",
                                    "qwen3_yarn_v5"};
static const int sizes[] = {1, 2, 3, 4, 6, 8};

XT_TEST(no_checkpoint_is_forgotten)
{
    DIR *d = opendir("tests/golden");
    size_t n = 0;
    XT_CHECK(d);
    for (const struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "tests/golden/%s/golden.json", entry->d_name);
        n += access(path, F_OK) == 0;
    }
    closedir(d);
    XT_EQ(n, MU_COUNT(dense) + SHARD_SPARSE_N);
}

/* Every checkpoint in each of six ways: under ASan one of them, another for the next checkpoint. */
static bool takes_of_six(size_t which, size_t way)
{
    return XT_ASAN ? (which + way) % 6 == 0 : xt_takes(which, way);
}

static void tensor_sizes(const struct shard_case *c, size_t which)
{
    struct shard_want w;
    shard_want(&w, c, 1);
    for (size_t i = 0; i < MU_COUNT(sizes); i++)
        if (takes_of_six(which, i))
            shard_compare(&w, &(struct shard_plan){.tp = sizes[i], .pp = 1, .lanes = 1, .ends = {-1}});
    shard_want_free(&w);
}

XT_TEST(dense_checkpoints_over_tensor_ranks)
{
    for (size_t i = 0; i < MU_COUNT(dense); i += XT_STRIDE) {
        struct shard_case c = shard_golden(dense[i]);
        tensor_sizes(&c, i);
    }
}

XT_TEST(sparse_checkpoints_over_tensor_ranks)
{
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(shard_sparse[i]);
        tensor_sizes(&c, i);
    }
}

/* Each stage count with cuts that are not even; stages without layers too. */
static void stages(const struct shard_case *c, size_t which)
{
    static const int ends[][SHARD_STAGES] = {{1, -1}, {0, -1}, {1, 1, -1}, {1, 2, -1}, {0, 1, 1, -1}, {1, 2, -1, -1}};
    static const int pp[] = {2, 2, 3, 3, 4, 4};
    struct shard_want w;
    shard_want(&w, c, 1);
    for (size_t i = 0; i < MU_COUNT(pp); i++) {
        struct shard_plan p = {.tp = 1 + (int)(XT_ASAN ? which / 6 : which) % 2, .pp = pp[i], .lanes = 1};
        memcpy(p.ends, ends[i], sizeof p.ends);
        if (takes_of_six(which, i))
            shard_compare(&w, &p);
    }
    shard_want_free(&w);
}

XT_TEST(every_checkpoint_over_stages)
{
    for (size_t i = 0; i < MU_COUNT(dense) + SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(i < MU_COUNT(dense) ? dense[i] : shard_sparse[i - MU_COUNT(dense)]);
        stages(&c, i);
    }
}

/* Lanes have other sequences, other chunks and steps without rows; experts are shared by all. */
static void lanes(const struct shard_case *c, size_t which, const struct shard_plan *plans, size_t n)
{
    struct shard_want w;
    int most = 1;
    for (size_t i = 0; i < n; i++)
        most = MU_MAX(most, plans[i].lanes);
    shard_want(&w, c, most);
    for (size_t i = 0; i < n; i++)
        if (xt_takes(which, i))
            shard_compare(&w, &plans[i]);
    shard_want_free(&w);
}

XT_TEST(expert_groups)
{
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(shard_sparse[i]);
        lanes(&c, i, shard_lanes, SHARD_LANES_N);
    }
}

XT_TEST(tensor_times_experts_times_stages)
{
    static const struct shard_plan plans[] = {
        {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}},
        {.tp = 3, .pp = 1, .lanes = 2, .ends = {-1}},
        {.tp = 2, .pp = 1, .lanes = 4, .ends = {-1}},
        {.tp = 4, .pp = 1, .lanes = 3, .ends = {-1}},
        {.tp = 1, .pp = 2, .lanes = 2, .ends = {1, -1}},
        {.tp = 2, .pp = 2, .lanes = 2, .ends = {1, -1}},
        {.tp = 2, .pp = 3, .lanes = 1, .ends = {1, 1, -1}, .ranks_per_node = 2},
    };
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(shard_sparse[i]);
        lanes(&c, i, plans, MU_COUNT(plans));
    }
}

/* Ranks that read alone, or by nodes of two: each node reads the file once, the hash is the same. */
XT_TEST(dense_hybrids_on_several_nodes)
{
    static const struct shard_plan plans[] = {
        {.tp = 2, .pp = 2, .lanes = 1, .ends = {1, -1}, .ranks_per_node = 2},
        {.tp = 2, .pp = 2, .lanes = 1, .ends = {1, -1}, .ranks_per_node = 1},
        {.tp = 3, .pp = 2, .lanes = 1, .ends = {1, -1}, .ranks_per_node = 3},
        {.tp = 4, .pp = 2, .lanes = 1, .ends = {0, -1}, .ranks_per_node = 8},
        {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}}, /* lanes of a dense model share nothing */
        {.tp = 6, .pp = 2, .lanes = 1, .ends = {1, -1}, .ranks_per_node = 4},
    };
    static const char *const some[] = {"gpt2_scale", "falcon_40b", "falcon_alibi", "qwen2", "llama3_rope", "qwen3"};
    for (size_t i = 0; i < MU_COUNT(some); i++) {
        struct shard_case c = shard_golden(some[i]);
        lanes(&c, i, plans, MU_COUNT(plans));
    }
}

XT_TEST(weights_and_caches_of_fewer_bits)
{
    static const struct shard_plan plans[] = {{.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}},
                                              {.tp = 3, .pp = 2, .lanes = 1, .ends = {1, -1}},
                                              {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}}};
    static const char *const some[] = {"llama_bf16", "gpt_sw3", "falcon_alibi", "mixtral", "deepseek_v3_fp8"};
    for (size_t i = 0; i < MU_COUNT(some); i++) {
        for (int f = 0; f < MU_WFORMAT_N; f++) {
            struct shard_case c = shard_golden(some[i]);
            c.format = (enum mu_wformat)f;
            bool is_alibi = strcmp(some[i], "falcon_alibi") == 0;
            c.kv_dtype = f == MU_WF32 ? MU_F16 : f == MU_WINT8 && !is_alibi ? MU_I8 : MU_BF16;
            lanes(&c, i + (size_t)f, plans, MU_COUNT(plans));
        }
    }
}

XT_TEST(naive_latent_attention)
{
    static const struct shard_plan plans[] = {{.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}},
                                              {.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}},
                                              {.tp = 2, .pp = 2, .lanes = 2, .ends = {1, -1}}};
    static const char *const some[] = {"deepseek_v2", "deepseek_v2_lite", "deepseek_v3_fp8"};
    for (size_t i = 0; i < MU_COUNT(some); i++) {
        struct shard_case c = shard_golden(some[i]);
        c.mla = MU_MLA_NAIVE;
        lanes(&c, i, plans, MU_COUNT(plans));
    }
}

/* Ranks that share a cache. All golden texts lie in the first strand; the long ones use them all (512 rows), and the
 * first ones again. */
#define LONG_TEXT (XT_ASAN ? 26 : SHARD_LENGTH_MAX)

static const struct shard_plan sharing[] = {
    {.tp = 2, .cp = 2, .pp = 1, .lanes = 1, .ends = {-1}},    {.tp = 3, .cp = 3, .pp = 1, .lanes = 1, .ends = {-1}},
    {.tp = 4, .cp = 2, .pp = 1, .lanes = 1, .ends = {-1}},    {.tp = 4, .cp = 4, .pp = 1, .lanes = 1, .ends = {-1}},
    {.tp = 8, .cp = 4, .pp = 1, .lanes = 1, .ends = {-1}},    {.tp = 2, .cp = 2, .pp = 2, .lanes = 1, .ends = {1, -1}},
    {.tp = 4, .cp = 2, .pp = 2, .lanes = 1, .ends = {1, -1}}, {.tp = 2, .cp = 2, .pp = 1, .lanes = 2, .ends = {-1}},
    {.tp = 6, .cp = 3, .pp = 1, .lanes = 2, .ends = {-1}},    {.tp = 8, .cp = 8, .pp = 1, .lanes = 1, .ends = {-1}},
};

XT_TEST(every_checkpoint_with_shared_caches)
{
    for (size_t i = 0; i < MU_COUNT(dense) + SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(i < MU_COUNT(dense) ? dense[i] : shard_sparse[i - MU_COUNT(dense)]);
        lanes(&c, i, sharing + i % 2, i % 2 ? 7 : 5);
    }
}

XT_TEST(long_texts_with_shared_caches)
{
    static const char *const some[] = {"deepseek_v3",      "llama2",    "falcon_alibi", "qwen2_window",
                                       "deepseek_v2_lite", "falcon_7b", "qwen3"};
    for (size_t i = 0; i < MU_COUNT(some); i += XT_STRIDE) {
        struct shard_case c = shard_golden(some[i]);
        c.length = LONG_TEXT;
        c.kv_dtype = i % 2 ? MU_BF16 : MU_F32;
        lanes(&c, i, sharing, MU_COUNT(sharing));
    }
}

XT_TEST(long_texts_with_shared_int8_caches)
{
    static const char *const some[] = {"deepseek_v3", "falcon_40b"};
    for (size_t i = 0; i < MU_COUNT(some); i++) {
        struct shard_case c = shard_golden(some[i]);
        c.length = LONG_TEXT;
        c.kv_dtype = MU_I8;
        lanes(&c, i, sharing + i, MU_COUNT(sharing) / 2);
    }
}

/* Of the last plan a stage gets half of the rows, an odd number. */
XT_TEST(long_steps)
{
    static const struct shard_plan plans[] = {
        {.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = true},
        {.tp = 3, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = true},
        {.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = true},
        {.tp = 2, .pp = 2, .lanes = 1, .ends = {1, -1}, .is_long = true},
    };
    static const char *const some[] = {"alia",           "falcon_alibi", "llama2",     "llama3_rope",
                                       "llama_bf16",     "llama_bias",   "llama_yarn", "qwen2",
                                       "mistral_window", "qwen2_window", "qwen3",      "llama_head_dim"};
    for (size_t i = 0; i < MU_COUNT(some); i += XT_STRIDE) {
        struct shard_case c = shard_golden(some[i]);
        c.length = 14;
        lanes(&c, i, plans + i % 2, MU_COUNT(plans) - 1);
    }
}

XT_TEST(naive_latent_attention_shares_no_cache)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = NULL;
    struct mu_spec s = MU_SPEC_INIT;
    struct mu_model_sizes z;
    struct mu_shard sh = {.tp_size = 2, .cp_size = 2, .n_lanes = 1};
    struct mu_cpu_opts cpu = {.level = "ref", .n_threads = 1};
    struct mu_model_opts o = {
        .kv_dtype = MU_F32, .mla = MU_MLA_NAIVE, .rows_max = 4, .logit_rows_max = 4, .shard = &sh};
    rig_read_spec(&s, "tests/golden/deepseek_v3");
    sh.layer_end = s.n_layers;
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    XT_FAILS(mu_model_sizes(&s, &o, d, &z, &err), MU_EINVAL, "use the absorbed form");
    o.mla = MU_MLA_ABSORBED;
    XT_OK(mu_model_sizes(&s, &o, d, &z, &err));
    sh.tp_size = 3;
    XT_FAILS(mu_model_sizes(&s, &o, d, &z, &err), MU_EINVAL, "must divide");
    mu_device_close(d);
    mu_spec_fini(&s);
}

XT_TEST(shipped_models)
{
    static const struct shard_plan plans[] = {
        {.tp = 1, .pp = 1, .lanes = 1, .ends = {-1}},    {.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}},
        {.tp = 3, .pp = 1, .lanes = 1, .ends = {-1}},    {.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}},
        {.tp = 6, .pp = 1, .lanes = 1, .ends = {-1}},    {.tp = 8, .pp = 1, .lanes = 1, .ends = {-1}},
        {.tp = 1, .pp = 2, .lanes = 1, .ends = {3, -1}}, {.tp = 1, .pp = 3, .lanes = 1, .ends = {1, 2, -1}},
        {.tp = 2, .pp = 2, .lanes = 2, .ends = {1, -1}}, {.tp = 1, .pp = 4, .lanes = 1, .ends = {1, 2, 3, -1}},
        {.tp = 1, .pp = 1, .lanes = 4, .ends = {-1}},    {.tp = 1, .pp = 1, .lanes = 8, .ends = {-1}},
    };
    static const char *const dirs[] = {"models/muster-llama-tiny", "models/muster-dsv3-tiny",
                                       "models/muster-falcon-tiny"};
    for (size_t i = 0; i < MU_COUNT(dirs); i++) {
        lanes(&(struct shard_case){.dir = dirs[i]}, i, plans, MU_COUNT(plans));
        lanes(&(struct shard_case){.dir = dirs[i], .format = MU_WINT4, .kv_dtype = MU_BF16}, i + 1, plans, 4);
        lanes(&(struct shard_case){.dir = dirs[i], .format = MU_WINT8}, i + 2, plans, 4);
    }
}

XT_MAIN()
