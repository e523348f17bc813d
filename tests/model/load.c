/* load.c - checkpoints that cannot be loaded, steps that cannot be run: each has its sentence and leaves nothing */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/model_int.h"
#include "rig.h"

#define FILE_BYTES_MAX ((size_t)4 << 20)

static char config[8192];
static struct mu_buf weights = MU_BUF_INIT("a checkpoint", FILE_BYTES_MAX);

/* Read a golden case into memory, to be spoiled. */
static void take(const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("a config", sizeof config - 1);
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s/config.json", name);
    XT_OK(mu_file_read_all(&text, path, &err));
    snprintf(config, sizeof config, "%s", text.p);
    mu_buf_fini(&text);
    snprintf(path, sizeof path, "tests/golden/%s/model.safetensors", name);
    mu_buf_clear(&weights);
    XT_OK(mu_file_read_all(&weights, path, &err));
}

/* The nth occurrence (from 0) of `from` in the bytes becomes `to`, of the same length. */
static void spoil(char *p, size_t n, const char *from, const char *to, int nth)
{
    XT_EQ(strlen(from), strlen(to));
    for (char *at = p; (at = memmem(at, n - (size_t)(at - p), from, strlen(from))); at++) {
        if (nth-- == 0) {
            memcpy(at, to, strlen(to));
            return;
        }
    }
    xt_fail(__FILE__, __LINE__, "nothing to spoil: %s", from);
}

static void put(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    XT_CHECK(f);
    XT_EQ(fwrite(p, 1, n, f), n);
    fclose(f);
}

/* Write what was taken and load it. */
static int load(mu_progress_fn progress, struct mu_err *e)
{
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = 2};
    struct mu_model_opts o = {.kv_dtype = MU_F32, .context_max = 32, .rows_max = 4, .logit_rows_max = 1};
    struct mu_spec spec = MU_SPEC_INIT;
    struct mu_weights *w = NULL;
    struct mu_device *d = NULL;
    struct mu_model *m = NULL;
    json_t *tree = NULL;
    char path[700];
    int rc = MU_OK;

    snprintf(path, sizeof path, "%s/model.safetensors", xt_tmpdir());
    put(path, weights.p, weights.n);
    MU_TRY(mu_json_parse(&tree, mu_str(config), "config.json", e));
    MU_TRY(mu_spec_from_config(&spec, tree, "config.json", e));
    MU_TRY(mu_weights_open(&w, path, MU_READ_DIRECT, e));
    MU_TRY(mu_device_open_cpu(&d, &cpu, e));
    MU_TRY(mu_model_load(&m, &spec, &o, w, d, progress, NULL, e));
out:
    json_decref(tree);
    mu_model_free(m);
    mu_device_close(d);
    mu_weights_close(w);
    mu_spec_fini(&spec);
    return rc;
}

XT_TEST(a_sound_checkpoint_loads)
{
    struct mu_err err = MU_ERR_INIT;
    take("llama2");
    XT_OK(load(NULL, &err));
}

XT_TEST(a_missing_tensor_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    take("llama2");
    spoil(weights.p, weights.n, "model.layers.1.mlp.up_proj", "model.layers.1.mlp.oh_proj", 0);
    XT_FAILS(load(NULL, &err), MU_ENOENT, "lacks tensor model.layers.1.mlp.up_proj.weight");
}

XT_TEST(a_wrong_shape_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    take("llama2");
    spoil(config, strlen(config), "\"intermediate_size\": 52", "\"intermediate_size\": 56", 0);
    XT_FAILS(load(NULL, &err), MU_EFORMAT, "the config says [56, ");
    take("mixtral");
    spoil(config, strlen(config), "\"num_local_experts\": 5", "\"num_local_experts\": 4", 0);
    XT_FAILS(load(NULL, &err), MU_EFORMAT, "block_sparse_moe.gate.weight has shape [5, 36], the config says [4, 36]");
}

XT_TEST(a_wrong_type_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    take("llama2");
    spoil(weights.p, weights.n, "\"F32\"", "\"I32\"", 3);
    XT_FAILS(load(NULL, &err), MU_EFORMAT, "which is no type of weights");
}

static int hidden(void)
{
    const char *at = strstr(config, "\"hidden_size\": ");
    return at ? atoi(at + strlen("\"hidden_size\": ")) : 0;
}

/* A NaN as the nth float before the end of the file. */
static void spoil_value(const char *name, int before_end)
{
    static const unsigned char nan[] = {0, 0, 0xc0, 0x7f};
    take(name);
    memcpy(weights.p + weights.n - 4 * (size_t)(1 + before_end), nan, 4);
}

XT_TEST(nan_weights_are_named)
{
    struct mu_err err = MU_ERR_INIT;
    spoil_value("llama2", 0); /* the last tensor is the final norm */
    XT_FAILS(load(NULL, &err), MU_ENUMERIC, "model.norm.weight holds nan at element ");
    spoil_value("llama2", hidden()); /* the one before it a projection */
    XT_FAILS(load(NULL, &err), MU_ENUMERIC, "packing tensor model.layers.1.self_attn.v_proj.weight");
    spoil_value("gpt2", 0);
    XT_FAILS(load(NULL, &err), MU_ENUMERIC, "packing tensor wte.weight");
}

XT_TEST(a_tied_head_must_equal_the_embedding)
{
    struct mu_err err = MU_ERR_INIT;
    uint64_t header;
    take("falcon_7b");
    XT_OK(load(NULL, &err));
    memcpy(&header, weights.p, 8);
    weights.p[8 + header] ^= 1; /* lm_head.weight is the first tensor */
    XT_FAILS(load(NULL, &err), MU_EFORMAT, "tie_word_embeddings is true, but lm_head.weight differs");
}

XT_TEST(block_scales_must_fit)
{
    struct mu_err err = MU_ERR_INIT;
    take("deepseek_v3_fp8");
    XT_OK(load(NULL, &err));
    char *block = strstr(config, "16,\n");
    XT_CHECK(block);
    memcpy(block, "32", 2);
    XT_FAILS(load(NULL, &err), MU_EFORMAT, "does not hold one scale a block of 32 x 16");
}

static int stop_at_once(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    return done < total;
}

XT_TEST(loading_can_be_stopped)
{
    struct mu_err err = MU_ERR_INIT;
    take("llama2");
    XT_FAILS(load(stop_at_once, &err), MU_ECANCELED, "stopped");
}

static int cut_at_once(void *arg, uint64_t done, uint64_t total)
{
    char path[700];
    (void)arg;
    (void)done;
    (void)total;
    snprintf(path, sizeof path, "%s/model.safetensors", xt_tmpdir());
    return truncate(path, (off_t)weights.n - 40000);
}

XT_TEST(a_file_cut_short_while_it_is_read_is_found_out)
{
    struct mu_err err = MU_ERR_INIT;
    take("llama2");
    XT_CHECK(weights.n > 80000);
    XT_FAILS(load(cut_at_once, &err), MU_ECHANGED, "is it being written?");
}

/* ---- two ways to the same bytes ---- */

static struct mu_model *open_model(const char *dir, enum mu_wformat format, const struct mu_shard *sh,
                                   struct mu_device *d, uint64_t *bytes_read)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_model_opts o = {
        .format = format, .kv_dtype = MU_F32, .context_max = 32, .rows_max = 4, .logit_rows_max = 1, .shard = sh};
    struct mu_weights *w;
    struct mu_model *m;
    struct mu_spec spec;

    rig_read_spec(&spec, dir);
    XT_OK(mu_weights_open(&w, dir, MU_READ_DIRECT, &err));
    XT_OK(mu_model_load(&m, &spec, &o, w, d, NULL, NULL, &err));
    *bytes_read = mu_weights_bytes_read(w);
    XT_CHECK(*bytes_read <= mu_weights_bytes_total(w)); /* gpt2 has a tensor that nobody needs */
    mu_weights_close(w);
    return m;
}

/* A process alone reads and packs in one go, a part of a network reads chunks first. The part is all of it here. */
static void load_both_ways(const char *dir, enum mu_wformat format, int threads)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = threads};
    struct mu_device *d;
    struct mu_shard sh;
    struct mu_spec spec;
    uint64_t read[2];

    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    rig_read_spec(&spec, dir);
    mu_shard_whole(&sh, &spec);
    struct mu_model *alone = open_model(dir, format, NULL, d, &read[0]);
    struct mu_model *part = open_model(dir, format, &sh, d, &read[1]);
    XT_EQ(read[0], read[1]);
    XT_EQ(alone->sizes.weights, part->sizes.weights);
    XT_CHECKF(memcmp(alone->weights, part->weights, alone->sizes.weights) == 0, "%s as %s with %d threads", dir,
              mu_wformat_name(format), threads);
    XT_STREQ(mu_model_content_hash(alone), mu_model_content_hash(part));
    mu_model_free(alone);
    mu_model_free(part);
    mu_spec_fini(&spec);
    mu_device_close(d);
}

/* The last one's matrices are large enough for each thread to have its place; with 64 threads there are too few. */
XT_TEST(reading_alone_packs_what_a_part_packs)
{
    static const char *const dirs[] = {"tests/golden/llama2", "tests/golden/gpt2", "tests/golden/mixtral",
                                       "tests/golden/deepseek_v3_fp8", "models/muster-llama-tiny"};
    static const int threads[] = {1, 3, 64};
    for (size_t i = 0; i < MU_COUNT(dirs); i++)
        for (int f = 0; f < MU_WFORMAT_N; f++)
            for (size_t t = 0; t < MU_COUNT(threads); t++)
                load_both_ways(dirs[i], (enum mu_wformat)f, threads[t]);
}

static int load_again(void *arg, struct mu_err *e)
{
    (void)arg;
    return load(NULL, e);
}

XT_TEST(every_failed_allocation_is_survived)
{
    take("deepseek_v2_lite");
    xt_each_alloc_fails(load_again, NULL);
}

XT_TEST(impossible_steps_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct rig r;
    const float *logits;
    int32_t ids[3] = {1, 2, 3}, pos[3] = {0, 1, 2}, seq[3] = {0}, idx[1] = {3};

    rig_open(&r, "tests/golden/llama_dynamic", &(struct rig_opts){.context = 128, .rows_max = 3});
    struct mu_rows rows = {.n = 3, .pos = pos, .seq = seq, .page_table = r.pages, .pages_max = r.pages_max};
    XT_OK(mu_model_step(r.m, ids, &rows, &err));
    XT_FAILS(mu_model_logits(r.m, idx, 1, &logits, &err), MU_EINVAL, "row 3; the last step had 3 rows");
    XT_FAILS(mu_model_logits(r.m, idx, 65, &logits, &err), MU_EINVAL, "logits of 65 rows");
    ids[1] = 96;
    XT_FAILS(mu_model_step(r.m, ids, &rows, &err), MU_EINVAL, "token 96 lies outside the vocabulary of 96");
    ids[1] = 2;
    rows.n = 4;
    XT_FAILS(mu_model_step(r.m, ids, &rows, &err), MU_EINVAL, "step of 4 rows");
    rows.n = 1;
    pos[0] = 128;
    XT_FAILS(mu_model_step(r.m, ids, &rows, &err), MU_ELIMIT, "position 128 lies past the context of 128");
    pos[0] = 72;
    XT_FAILS(mu_model_step(r.m, ids, &rows, &err), MU_ELIMIT, "no length was declared");
    mu_model_set_lengths(r.m, &(int32_t){60});
    XT_FAILS(mu_model_step(r.m, ids, &rows, &err), MU_EINVAL, "a request that declared 60 tokens");
    r.pages[0] = 1000;
    pos[0] = 0;
    XT_FAILS(mu_model_step(r.m, ids, &rows, &err), MU_EINTERNAL, "page 1000");
    rig_close(&r);
}

XT_MAIN()
