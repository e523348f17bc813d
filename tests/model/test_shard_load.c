/* test_shard_load.c - parts of a network: their memory bill, how they are read together, and what ends them together */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "gguf_write.h"
#include "rig.h"
#include "shard_rig.h"

/* ---- memory ---- */

/* One part, loaded alone; its groups are not there, as for the bill. */
static void load_part(const char *dir, enum mu_wformat format, const struct mu_shard *sh)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = 1};
    struct mu_model_opts o = {
        .format = format, .kv_dtype = MU_F32, .context_max = 64, .rows_max = 9, .logit_rows_max = 20, .shard = sh};
    struct mu_device *d;
    struct mu_weights *w;
    struct mu_model *m;
    struct mu_model_sizes z;
    struct mu_spec spec;

    rig_read_spec(&spec, dir);
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    XT_OK(mu_weights_open(&w, dir, MU_READ_DIRECT, &err));
    XT_OK(mu_model_sizes(&spec, &o, d, &z, &err));
    size_t before = mu_mem_bytes_used(), want = z.weights + z.host + z.activations + z.logits + z.work;
    mu_mem_peak_reset();
    XT_OK(mu_model_load(&m, &spec, &o, w, d, NULL, NULL, &err));
    XT_CHECKF(mu_mem_bytes_used() - before == want, "%s, tensor rank %d of %d, lane %d of %d: took %zu, not %zu", dir,
              sh->tp_rank, sh->tp_size, sh->lane, sh->n_lanes, mu_mem_bytes_used() - before, want);
    XT_EQ(mu_mem_bytes_peak() - before, want + z.load_staging);
    XT_EQ(mu_weights_bytes_read(w), mu_weights_bytes_total(w));
    mu_model_free(m);
    mu_weights_close(w);
    mu_device_close(d);
}

XT_TEST(the_bill_of_a_part_is_exact)
{
    static const char *const dirs[] = {"tests/golden/gpt2_scale", "tests/golden/falcon_40b", "tests/golden/llama3_rope",
                                       "tests/golden/mixtral", "tests/golden/deepseek_v3_fp8"};
    for (size_t i = 0; i < MU_COUNT(dirs); i++)
        for (int tp = 2; tp <= 7; tp += 1 + tp / 3)
            for (int r = 0; r < tp * 2; r++) {
                int end = r % 2 ? 2 : 1;
                struct mu_shard sh = {.tp_rank = r % tp,
                                      .tp_size = tp,
                                      .lane = r / tp,
                                      .n_lanes = 1 + tp % 2 + r / tp,
                                      .layer_begin = r % 2,
                                      .layer_end = end,
                                      .has_embed = r % 2 == 0,
                                      .has_head = r % 2};
                load_part(dirs[i], r % 3 ? MU_WF32 : MU_WINT4, &sh);
            }
}

XT_TEST(parts_that_cannot_be_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cpu_opts cpu = {.level = "ref", .n_threads = 1};
    struct mu_shard sh;
    struct mu_model_opts o = {.kv_dtype = MU_F32, .context_max = 64, .rows_max = 9, .logit_rows_max = 2, .shard = &sh};
    struct mu_model_sizes z;
    struct mu_device *d;
    struct mu_spec spec;

    rig_read_spec(&spec, "tests/golden/llama2");
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    mu_shard_whole(&sh, &spec);
    XT_OK(mu_model_sizes(&spec, &o, d, &z, &err));
    sh.tp_rank = 1;
    XT_FAILS(mu_model_sizes(&spec, &o, d, &z, &err), MU_EINVAL, "tensor rank 1 of 1");
    mu_shard_whole(&sh, &spec);
    sh.lane = 2;
    XT_FAILS(mu_model_sizes(&spec, &o, d, &z, &err), MU_EINVAL, "lane 2 of 1");
    mu_shard_whole(&sh, &spec);
    sh.layer_end = 3;
    XT_FAILS(mu_model_sizes(&spec, &o, d, &z, &err), MU_EINVAL, "layers 0 to 3 of a model of 2");
    mu_spec_fini(&spec);
    mu_device_close(d);
}

static int step_counting(struct shard_rank *k, struct mu_err *e)
{
    const float *logits;

    MU_TRY_RETURN(shard_open(k, NULL, e));
    MU_TRY_RETURN(shard_step(k, 0, 3, 0, e)); /* what a group may set up at its first use */
    MU_TRY_RETURN(shard_logits(k, 2, &logits, e));
    MU_TRY_RETURN(mu_comm_barrier(k->world, e));
    uint64_t before = mu_mem_allocs();
    MU_TRY_RETURN(mu_comm_barrier(k->world, e)); /* everybody has looked */
    MU_TRY_RETURN(shard_step(k, 3, k->sh.lane ? 0 : 9, 0, e));
    if (k->sh.lane == 0)
        MU_TRY_RETURN(shard_logits(k, 9, &logits, e));
    MU_TRY_RETURN(mu_comm_barrier(k->world, e));
    if (mu_mem_allocs() != before)
        return mu_fail(e, MU_EINTERNAL, "%d allocations in a step", (int)(mu_mem_allocs() - before));
    return mu_comm_barrier(k->world, e);
}

XT_TEST(a_step_of_parts_allocates_nothing)
{
    struct mu_err errs[SHARD_RANKS_MAX] = {MU_ERR_INIT};
    static const char *const dirs[] = {"tests/golden/llama_bias", "tests/golden/deepseek_v3"};
    static const struct shard_plan plans[] = {{.tp = 3, .pp = 1, .lanes = 1, .ends = {-1}},
                                              {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}}};
    for (int i = 0; i < 2; i++) {
        struct shard_case c = {.dir = dirs[i]};
        int rc = shard_run(&c, &plans[i], step_counting, NULL, NULL, errs);
        XT_CHECKF(rc == MU_OK, "%s: %s", dirs[i], errs[0].text);
    }
}

/* ---- failing together ---- */

static char spoiled_dir[512];

/* A golden case in a folder of its own; where `at` is not negative, a NaN as the float so many before the end. */
static struct shard_case copy_case(const char *name, int at, const char *from, const char *to)
{
    struct mu_err err = MU_ERR_INIT;
    static const char *const files[] = {"config.json", "model.safetensors"};
    static const unsigned char nan[] = {0, 0, 0xc0, 0x7f};

    snprintf(spoiled_dir, sizeof spoiled_dir, "%s", xt_tmpdir());
    for (size_t i = 0; i < MU_COUNT(files); i++) {
        struct mu_buf b = MU_BUF_INIT("a file", (size_t)8 << 20);
        char path[700];
        snprintf(path, sizeof path, "tests/golden/%s/%s", name, files[i]);
        XT_OK(mu_file_read_all(&b, path, &err));
        if (i == 1 && at >= 0)
            memcpy(b.p + b.n - 4 * (size_t)(1 + at), nan, 4);
        char *here = i == 1 && from ? memmem(b.p, b.n, from, strlen(from)) : NULL;
        if (here)
            memcpy(here, to, strlen(to));
        snprintf(path, sizeof path, "%s/%s", spoiled_dir, files[i]);
        FILE *f = fopen(path, "wb");
        XT_CHECK(f && fwrite(b.p, 1, b.n, f) == b.n && fclose(f) == 0);
        mu_buf_fini(&b);
    }
    return (struct shard_case){.dir = spoiled_dir};
}

static int load_only(struct shard_rank *k, struct mu_err *e)
{
    return shard_open(k, NULL, e);
}

static void all_have(const int *rcs, const struct mu_err *errs, int i, int code, const char *part)
{
    XT_CHECKF(rcs[i] == code && strstr(errs[i].text, part), "rank %d: %s: %s, not %s with \"%s\"", i,
              mu_code_name(rcs[i]), errs[i].text, mu_code_name(code), part);
    XT_STREQ(errs[i].text, errs[0].text);
}

static void all_end_with(const struct shard_case *c, shard_fn fn, int code, const char *part)
{
    static const struct shard_plan plans[] = {
        {.tp = 3, .pp = 2, .lanes = 1, .ends = {1, -1}},
        {.tp = 3, .pp = 2, .lanes = 1, .ends = {1, -1}, .ranks_per_node = 2, .over_nodes = true}};
    struct mu_err errs[SHARD_RANKS_MAX] = {MU_ERR_INIT};
    int rcs[SHARD_RANKS_MAX];

    for (int i = 0; i < 12; i++) {
        if (i % 6 == 0)
            shard_run(c, &plans[i / 6], fn, NULL, rcs, errs);
        all_have(rcs, errs, i % 6, code, part);
    }
}

static int stop_on_rank_4(void *arg, uint64_t done, uint64_t total)
{
    const struct shard_rank *k = arg;
    return k->rank == 4 && done > total / 2;
}

static int stop_rank_4(struct shard_rank *k, struct mu_err *e)
{
    return shard_open(k, stop_on_rank_4, e);
}

XT_TEST(a_rank_that_fails_ends_all_with_its_sentence)
{
    struct shard_case c = copy_case("llama2", 0, NULL, NULL); /* the final norm: the last stage's alone */
    all_end_with(&c, load_only, MU_ENUMERIC, "model.norm.weight holds nan");
    c = copy_case("llama2", 36 + 50, NULL, NULL); /* a projection */
    all_end_with(&c, load_only, MU_ENUMERIC, "packing tensor model.layers.1.self_attn.v_proj.weight");
    c = copy_case("llama2", -1, "model.layers.1.mlp.up_proj", "model.layers.1.mlp.oh_proj");
    all_end_with(&c, load_only, MU_ENOENT, "lacks tensor model.layers.1.mlp.up_proj.weight");
    c = copy_case("llama2", -1, NULL, NULL);
    all_end_with(&c, stop_rank_4, MU_ECANCELED, "loading was stopped");
}

static int fail_nth_on_rank_1(struct shard_rank *k, struct mu_err *e)
{
    struct mu_err err = MU_ERR_INIT;
    MU_TRY_RETURN(mu_comm_barrier(k->world, &err));
    if (k->rank == 1)
        mu_mem_fail_at((uint64_t) * (const int *)k->arg);
    int rc = shard_open(k, NULL, e);
    mu_mem_fail_at(0);
    if (rc != MU_OK && !k->part.m && !k->part.w) /* before the load: peers do not know yet */
        mu_comm_abort(k->world, e->text);
    return k->part.m ? MU_OK : rc; /* the pages come after the load */
}

/* Whichever allocation of one rank fails, its peers end as well, and nothing is left. */
XT_TEST(a_rank_without_memory_ends_all)
{
    struct shard_case c = {.dir = "tests/golden/deepseek_v2_lite"};
    static const struct shard_plan plan = {.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}};
    int rcs[2] = {MU_ENOMEM, 0}, n = 0;

    while (rcs[1] != MU_OK || rcs[0] != MU_OK) {
        n++;
        XT_CHECK(n < 200);
        size_t before = mu_mem_bytes_used();
        shard_run(&c, &plan, fail_nth_on_rank_1, &n, rcs, NULL);
        XT_EQ(mu_mem_bytes_used(), before);
        XT_CHECKF((rcs[0] == MU_OK) == (rcs[1] == MU_OK), "allocation %d: %s and %s", n, mu_code_name(rcs[0]),
                  mu_code_name(rcs[1]));
        XT_CHECK(rcs[1] == MU_OK || rcs[1] == MU_ENOMEM);
    }
    xt_note("%d allocations", n - 1);
}

/* ---- numbers and rows that cannot be run ---- */

struct trouble {
    bool is_nan; /* else a position past the context */
    struct mu_spec *unused;
    float kept[2][64]; /* hidden row of lane 1, without trouble and with it */
};

/* Lane 0 has trouble in the second step, lane 1 must not see any of it. All layers, no embedding: rows are made here.
 */
static int troubled_lane(struct shard_rank *k, struct mu_err *e)
{
    struct trouble *t = k->arg;
    int32_t ids[1] = {0}, pos[1] = {0}, seq[1] = {0};
    struct mu_rows rows = {.n = 1, .pos = pos, .seq = seq, .page_table = k->part.pages, .pages_max = SHARD_PAGES_MAX};

    k->sh.has_embed = false;
    MU_TRY_RETURN(shard_open(k, NULL, e));
    float *x = mu_model_hidden(k->part.m);
    int64_t D = mu_model_spec(k->part.m)->hidden;
    for (int step = 0; step < 2; step++) {
        for (int64_t i = 0; i < D; i++)
            x[i] = (float)(i % 5) - 2;
        bool is_bad = step == 1 && k->sh.lane == 0;
        if (is_bad && t->is_nan)
            x[3] = NAN;
        pos[0] = is_bad && !t->is_nan ? 32 : 0;
        int rc = mu_model_step_at(k->part.m, ids, &rows, 0, e), want = t->is_nan ? MU_ENUMERIC : MU_ELIMIT;
        if (rc != (is_bad ? want : MU_OK))
            return mu_fail(e, MU_EINTERNAL, "lane %d, step %d: %s", k->sh.lane, step, mu_code_name(rc));
        if (is_bad && !strstr(e->text, t->is_nan ? "running layer" : "position 32 lies past"))
            return MU_EINTERNAL;
        if (k->sh.lane == 1 && k->sh.tp_rank == 0)
            memcpy(t->kept[step], x, (size_t)D * sizeof *x);
    }
    return MU_OK;
}

XT_TEST(a_lane_in_trouble_leaves_the_others_alone)
{
    static const struct shard_plan plan = {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}};
    struct shard_case c = {.dir = "tests/golden/mixtral"};
    for (int i = 0; i < 2; i++) {
        struct mu_err errs[SHARD_RANKS_MAX] = {MU_ERR_INIT};
        struct trouble t = {.is_nan = i == 0};
        int rc = shard_run(&c, &plan, troubled_lane, &t, NULL, errs);
        XT_CHECKF(rc == MU_OK, "%s %s %s %s", errs[0].text, errs[1].text, errs[2].text, errs[3].text);
        XT_CHECK(memcmp(t.kept[0], t.kept[1], sizeof t.kept[0]) == 0);
    }
}

/* ---- files of other kinds ---- */

/* Paired heads, transposed tensors, stacks and GGUF's names, cut over ranks. */
XT_TEST(gguf_files_in_parts)
{
    static const struct {
        const char *name, *arch;
        enum mu_mla_form mla;
    } cases[] = {{"llama_head_dim", "llama", 0}, {"llama_bias", "llama", 0},
                 {"mixtral", "llama", 0},        {"gpt2", "gpt2", 0},
                 {"falcon_40b", "falcon", 0},    {"deepseek_v3", "deepseek2", MU_MLA_NAIVE},
                 {"qwen2", "qwen2", 0},          {"deepseek_v3", "deepseek2", MU_MLA_ABSORBED}};
    static const struct shard_plan plans[] = {{.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}},
                                              {.tp = 3, .pp = 2, .lanes = 1, .ends = {1, -1}}};
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct shard_want w;
        char dir[256], path[512];
        snprintf(dir, sizeof dir, "tests/golden/%s", cases[i].name);
        snprintf(path, sizeof path, "%s/model.gguf", xt_tmpdir());
        gguf_write_case(dir, cases[i].arch, i % 2, path);
        shard_want(&w, &(struct shard_case){.dir = path, .mla = cases[i].mla}, 1);
        for (size_t j = 0; j < MU_COUNT(plans); j++)
            shard_compare(&w, &plans[j]);
        shard_want_free(&w);
    }
}

/* Each byte once, however many nodes and however unlike they are, and only to where it is needed. */
static const struct shard_plan over_nodes[] = {
    {.tp = 2, .pp = 2, .lanes = 1, .ends = {1, -1}, .ranks_per_node = 2, .over_nodes = true},
    {.tp = 3, .pp = 2, .lanes = 1, .ends = {1, -1}, .ranks_per_node = 1, .over_nodes = true},
    {.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}, .ranks_per_node = 3, .over_nodes = true},
    {.tp = 2, .pp = 2, .lanes = 2, .ends = {1, -1}, .ranks_per_node = 4, .over_nodes = true},
};

XT_TEST(nodes_read_together)
{
    static const char *const dirs[] = {"tests/golden/llama_bias", "tests/golden/deepseek_v3_fp8",
                                       "tests/golden/mixtral", "models/muster-llama-tiny"};
    for (size_t i = 0; i < MU_COUNT(dirs); i++) {
        struct shard_want w;
        shard_want(&w, &(struct shard_case){.dir = dirs[i]}, 2);
        for (size_t j = 0; j < MU_COUNT(over_nodes); j++)
            shard_compare(&w, &over_nodes[j]);
        shard_want_free(&w);
    }
}

XT_TEST(nodes_read_what_is_stored_transposed)
{
    struct shard_want w;
    shard_want(&w, &(struct shard_case){.dir = "tests/golden/gpt2"}, 1);
    for (size_t j = 0; j < 3; j++)
        shard_compare(&w, &over_nodes[j]);
    shard_want_free(&w);
}

/* A checkpoint of one layer whose MLP takes several chunks to load: heights and cuts are no multiples of a panel, so
 * that parts begin and end inside panels and chunks. */
#define WIDE 7000
#define TALL 600

static void write_tensor_list(FILE *f, uint64_t *at, char *header, size_t cap)
{
    static const struct {
        const char *name;
        int64_t rows, cols;
    } t[] = {{"model.embed_tokens.weight", 96, WIDE},
             {"model.layers.0.input_layernorm.weight", WIDE, 0},
             {"model.layers.0.self_attn.q_proj.weight", 60, WIDE},
             {"model.layers.0.self_attn.k_proj.weight", 60, WIDE},
             {"model.layers.0.self_attn.v_proj.weight", 60, WIDE},
             {"model.layers.0.self_attn.o_proj.weight", WIDE, 60},
             {"model.layers.0.post_attention_layernorm.weight", WIDE, 0},
             {"model.layers.0.mlp.gate_proj.weight", TALL, WIDE},
             {"model.layers.0.mlp.up_proj.weight", TALL, WIDE},
             {"model.layers.0.mlp.down_proj.weight", WIDE, TALL},
             {"model.norm.weight", WIDE, 0},
             {"lm_head.weight", 96, WIDE}};
    size_t n = (size_t)snprintf(header, cap, "{");
    uint64_t seed = 5;

    for (size_t i = 0; i < MU_COUNT(t); i++) {
        uint64_t elems = (uint64_t)(t[i].rows * (t[i].cols ? t[i].cols : 1)), end = *at + 2 * elems;
        char shape[64];
        snprintf(shape, sizeof shape, t[i].cols ? "%d,%d" : "%d", (int)t[i].rows, (int)t[i].cols);
        n += (size_t)snprintf(header + n, cap - n,
                              "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}", i ? "," : "",
                              t[i].name, shape, (unsigned long long)*at, (unsigned long long)end);
        for (uint64_t k = 0; f && k < elems; k++) {
            uint16_t v = mu_f32_to_bf16(xt_randf(&seed) * 0.05f);
            fwrite(&v, sizeof v, 1, f);
        }
        *at = end;
    }
    snprintf(header + n, cap - n, "}");
}

static void write_wide_case(const char *dir)
{
    static char header[4096];
    char path[600];
    uint64_t at = 0, n;

    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "w");
    XT_CHECK(f);
    fprintf(f,
            "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": %d, "
            "\"intermediate_size\": %d, \"num_attention_heads\": 5, \"num_key_value_heads\": 5, \"head_dim\": 12, "
            "\"num_hidden_layers\": 1, \"vocab_size\": 96, \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, "
            "\"rope_theta\": 10000.0, \"hidden_act\": \"silu\", \"tie_word_embeddings\": false, "
            "\"torch_dtype\": \"bfloat16\"}",
            WIDE, TALL);
    XT_EQ(fclose(f), 0);
    write_tensor_list(NULL, &at, header, sizeof header);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    f = fopen(path, "wb");
    XT_CHECK(f);
    n = strlen(header);
    fwrite(&n, sizeof n, 1, f);
    fwrite(header, 1, n, f);
    at = 0;
    write_tensor_list(f, &at, header, sizeof header);
    XT_EQ(fclose(f), 0);
}

XT_TEST(parts_that_begin_inside_panels_and_chunks)
{
    struct shard_want w;
    struct shard_case c = {.dir = xt_tmpdir()};

    write_wide_case(c.dir);
    for (int f = MU_WF32; f <= MU_WINT4; f += 1 + f) { /* f32, bf16, int8 */
        c.format = (enum mu_wformat)f;
        shard_want(&w, &c, 1);
        shard_compare(&w, &(struct shard_plan){.tp = 3, .pp = 1, .lanes = 1, .ends = {-1}});
        shard_compare(&w, &(struct shard_plan){.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}});
        shard_compare(&w, &over_nodes[2]);
        shard_want_free(&w);
    }
}

XT_MAIN()
