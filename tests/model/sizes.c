/* sizes.c - the memory bill is what is taken; a step takes nothing; bits do not depend on level or threads */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "rig.h"

static const char *const cases[] = {"llama_bias", "gpt2",          "falcon_alibi", "falcon_40b",     "mixtral",
                                    "qwen3",      "llama_dynamic", "deepseek_v2",  "deepseek_v3_fp8"};

static const char *folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "tests/golden/%s", name);
    return path;
}

static void load_and_compare(const char *name, enum mu_wformat format, enum mu_mla_form mla)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = 2};
    struct mu_device *d;
    struct mu_weights *w;
    struct mu_model *m;
    struct mu_spec spec;
    struct mu_model_sizes z;
    struct mu_model_opts o = {
        .format = format, .kv_dtype = MU_BF16, .mla = mla, .context_max = 100, .rows_max = 33, .logit_rows_max = 5};

    rig_read_spec(&spec, folder(name));
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    XT_OK(mu_weights_open(&w, folder(name), MU_READ_DIRECT, &err));
    XT_OK(mu_model_sizes(&spec, &o, d, &z, &err));
    size_t before = mu_mem_bytes_used();
    mu_mem_peak_reset();
    XT_OK(mu_model_load(&m, &spec, &o, w, d, NULL, NULL, &err));
    size_t want = z.weights + z.host + z.activations + z.logits + z.work;
    XT_CHECKF(mu_mem_bytes_used() - before == want, "%s %s: took %zu bytes, the bill says %zu", name,
              mu_wformat_name(format), mu_mem_bytes_used() - before, want);
    XT_EQ(mu_mem_bytes_peak() - before, want + z.load_staging);
    mu_model_free(m);
    mu_weights_close(w);
    mu_device_close(d);
}

XT_TEST(the_bill_is_exact)
{
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        for (int f = 0; f < MU_WFORMAT_N; f++)
            load_and_compare(cases[i], (enum mu_wformat)f, MU_MLA_ABSORBED);
        load_and_compare(cases[i], MU_WF32, MU_MLA_NAIVE);
    }
}

XT_TEST(each_byte_is_read_once)
{
    static const char *const whole[] = {"llama3_rope", "gpt2_scale",  "falcon_7b",       "falcon_40b",   "mixtral",
                                        "deepseek_v2", "deepseek_v3", "deepseek_v3_fp8", "qwen3_sharded"};
    for (size_t i = 0; i < MU_COUNT(whole); i++) {
        for (int form = 0; form < 2; form++) {
            struct rig r;
            rig_open(&r, folder(whole[i]), &(struct rig_opts){.mla = (enum mu_mla_form)form});
            XT_CHECKF(mu_weights_bytes_read(r.w) == mu_weights_bytes_total(r.w), "%s: read %llu of %llu bytes",
                      whole[i], (unsigned long long)mu_weights_bytes_read(r.w),
                      (unsigned long long)mu_weights_bytes_total(r.w));
            rig_close(&r);
        }
    }
}

XT_TEST(a_step_allocates_nothing)
{
    static const int32_t ids[] = {5, 6, 7, 8, 9};
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct rig r;
        rig_open(&r, folder(cases[i]), &(struct rig_opts){0});
        rig_feed(&r, 0, 0, ids, 5);
        int32_t pos[] = {5, 6}, seq[] = {0, 0}, idx[] = {1, 0};
        struct mu_rows rows = {.n = 2, .pos = pos, .seq = seq, .page_table = r.pages, .pages_max = r.pages_max};
        const float *logits;
        uint64_t before = mu_mem_allocs();
        XT_OK(mu_model_step(r.m, ids, &rows, &err));
        XT_OK(mu_model_logits(r.m, idx, 2, &logits, &err));
        XT_OK(mu_model_copy_page(r.m, 1, 0, &err));
        XT_EQ(mu_mem_allocs(), before);
        rig_close(&r);
    }
}

XT_TEST(levels_and_threads_give_the_same_bits)
{
    static const int32_t ids[] = {5, 60, 17, 80, 9, 33, 41, 22, 90, 11, 12, 13, 55, 54, 53, 52, 51, 8, 7};
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        float first[512];
        int n = 0;
        for (const struct mu_ops *const *l = mu_cpu_levels(); *l; l++) {
            for (int threads = 1; threads <= 3 && (*l)->is_available(); threads++, n++) {
                struct rig r;
                rig_open(&r, folder(cases[i]), &(struct rig_opts){.level = (*l)->level, .n_threads = threads});
                rig_feed(&r, 0, 0, ids, 19);
                const float *logits = rig_logits(&r, 18);
                if (n == 0)
                    memcpy(first, logits, (size_t)r.vocab * sizeof(float));
                XT_CHECKF(memcmp(first, logits, (size_t)r.vocab * sizeof(float)) == 0, "%s: %s with %d threads differs",
                          cases[i], (*l)->level, threads);
                rig_close(&r);
            }
        }
    }
}

/* A copied page holds what its source held: a sequence whose pages are copies goes on the same way. */
XT_TEST(copied_pages_continue_a_sequence)
{
    static const int32_t ids[] = {5, 60, 17, 80, 9, 33, 41, 22, 90, 11, 12, 13, 55, 54, 53, 52, 51, 8};
    static const enum mu_mla_form forms[] = {MU_MLA_ABSORBED, MU_MLA_NAIVE};
    for (int f = 0; f < 4; f++) {
        struct mu_err err = MU_ERR_INIT;
        struct rig r;
        float first[512];
        rig_open(&r, folder("deepseek_v3"),
                 &(struct rig_opts){.n_seqs = 2, .mla = forms[f % 2], .kv_dtype = f < 2 ? MU_F32 : MU_I8});
        size_t bytes = (size_t)r.vocab * sizeof(float);
        rig_feed(&r, 0, 0, ids, 17);
        for (int p = 0; p < 2; p++)
            XT_OK(mu_model_copy_page(r.m, r.pages[r.pages_max + p], r.pages[p], &err));
        rig_feed(&r, 0, 17, &ids[17], 1);
        memcpy(first, rig_logits(&r, 0), bytes);
        rig_feed(&r, 1, 17, &ids[17], 1);
        XT_CHECK(memcmp(first, rig_logits(&r, 0), bytes) == 0);
        rig_close(&r);
    }
}

/* Bytes a token by hand: 16-position pages rounded up to 64 bytes a part, whose layers are alike. */
XT_TEST(an_int8_page_counts_its_scales)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cpu_opts cpu = {.level = "ref", .n_threads = 1};
    struct mu_device *d;
    struct mu_spec spec;
    struct mu_model_sizes z;
    struct mu_model_opts o = {.kv_dtype = MU_I8, .rows_max = 4, .logit_rows_max = 1};

    rig_read_spec(&spec, "models/muster-llama-tiny"); /* 4 layers, 4 KV heads of 32 */
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    XT_OK(mu_model_sizes(&spec, &o, d, &z, &err));
    XT_EQ(z.kv_page, 4 * 2 * 4 * 16 * (32 + 2));
    mu_spec_fini(&spec);
    rig_read_spec(&spec, "models/muster-dsv3-tiny"); /* 4 layers of a latent of 64 and a rotated key of 16 */
    XT_OK(mu_model_sizes(&spec, &o, d, &z, &err));
    XT_EQ(z.kv_page, 4 * 16 * (64 + 16 + 3 * 2) + 4 * 32); /* 1376 in 64s is 1408 */
    mu_spec_fini(&spec);
    rig_read_spec(&spec, "models/muster-falcon-tiny"); /* 4 layers, 2 KV heads of 32 */
    XT_OK(mu_model_sizes(&spec, &o, d, &z, &err));
    XT_EQ(z.kv_page, 4 * 2 * 2 * 16 * (32 + 2));
    mu_spec_fini(&spec);
    mu_device_close(d);
}

XT_TEST(impossible_options_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cpu_opts cpu = {.level = "ref", .n_threads = 1};
    struct mu_device *d;
    struct mu_spec spec;
    struct mu_model_sizes z;
    struct mu_model_opts o = {.kv_dtype = MU_F32, .rows_max = 4, .logit_rows_max = 1};

    rig_read_spec(&spec, folder("gpt2"));
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    XT_OK(mu_model_sizes(&spec, &o, d, &z, &err));
    o.context_max = 2000;
    XT_FAILS(mu_model_sizes(&spec, &o, d, &z, &err), MU_ELIMIT, "has learned 102");
    o.context_max = 0;
    o.rows_max = 0;
    XT_FAILS(mu_model_sizes(&spec, &o, d, &z, &err), MU_EINVAL, "step of 0 rows");
    o.rows_max = 4;
    o.kv_dtype = MU_I16;
    XT_FAILS(mu_model_sizes(&spec, &o, d, &z, &err), MU_EINVAL, "not i16");
    mu_spec_fini(&spec);
    rig_read_spec(&spec, folder("falcon_alibi"));
    o.kv_dtype = MU_I8;
    XT_FAILS(mu_model_sizes(&spec, &o, d, &z, &err), MU_EUNSUPPORTED, "int8 KV cache with ALiBi");
    mu_spec_fini(&spec);
    mu_device_close(d);
}

XT_MAIN()
