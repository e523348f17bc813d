/* formats.c - weights and caches in fewer bits: how far from f32, and still the same bits for any chunking */
#include <stdlib.h>

#include "base/check.h"
#include "rig.h"

static const int32_t ids[] = {5, 60, 17, 80, 9, 33, 41, 22, 90, 11, 12, 13, 55, 54, 53, 52, 51, 8, 7, 6, 70};
#define N ((int)MU_COUNT(ids))

static void run(const char *dir, const struct rig_opts *o, int chunk, float *logits)
{
    struct rig r;
    int n = 0;
    rig_open(&r, dir, o);
    for (int at = 0; at < N; at += n) {
        n = MU_MIN(chunk, N - at);
        rig_feed(&r, 0, at, ids + at, n);
    }
    memcpy(logits, rig_logits(&r, n - 1), (size_t)r.vocab * sizeof(float));
    rig_close(&r);
}

/* The checkpoints are random, so errors add up as they never do in trained ones: the bounds catch a broken path. */
static void compare(const char *dir, enum mu_mla_form mla)
{
    static const double bound[MU_WFORMAT_N] = {0, 1e-3, 2e-5, 1e-2, 0.4};
    float exact[512] = {0}, whole[512] = {0}, parts[512] = {0};

    run(dir, &(struct rig_opts){.mla = mla}, N, exact);
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        struct rig_opts o = {.format = (enum mu_wformat)f, .mla = mla};
        run(dir, &o, N, whole);
        double nmse = xt_nmse(whole, exact, 512);
        XT_CHECKF(nmse <= bound[f], "%s in %s: nmse %g", dir, mu_wformat_name(o.format), nmse);
        xt_note("%s in %s: nmse %.2g", dir, mu_wformat_name(o.format), nmse);
        for (int chunk = 1; chunk < N; chunk += 7) {
            run(dir, &o, chunk, parts);
            XT_CHECKF(memcmp(whole, parts, sizeof whole) == 0, "%s in %s: chunks of %d change bits", dir,
                      mu_wformat_name(o.format), chunk);
        }
    }
}

static void compare_caches(const char *dir, enum mu_mla_form mla, bool has_int8)
{
    static const struct {
        enum mu_dtype type;
        double bound;
    } caches[] = {{MU_F16, 2e-5}, {MU_BF16, 1e-3}, {MU_I8, 1e-3}};
    float exact[512] = {0}, whole[512] = {0}, parts[512] = {0};

    run(dir, &(struct rig_opts){.mla = mla}, N, exact);
    for (size_t i = 0; i < MU_COUNT(caches) - !has_int8; i++) {
        struct rig_opts o = {.mla = mla, .kv_dtype = caches[i].type};
        run(dir, &o, N, whole);
        double nmse = xt_nmse(whole, exact, 512);
        XT_CHECKF(nmse > 0 && nmse <= caches[i].bound, "%s: nmse %g", dir, nmse);
        xt_note("%s, cache in %s: nmse %.2g", dir, mu_kv_type_name(o.kv_dtype), nmse);
        run(dir, &o, 5, parts);
        XT_CHECK(memcmp(whole, parts, sizeof whole) == 0);
    }
}

XT_TEST(dense)
{
    compare("tests/golden/llama_bias", MU_MLA_ABSORBED);
    compare("tests/golden/falcon_alibi", MU_MLA_ABSORBED);
    compare("tests/golden/gpt2", MU_MLA_ABSORBED);
    compare_caches("tests/golden/llama_bias", MU_MLA_ABSORBED, true);
    compare_caches("tests/golden/falcon_alibi", MU_MLA_ABSORBED, false);
    compare_caches("tests/golden/gpt2", MU_MLA_ABSORBED, true);
}

XT_TEST(latent)
{
    compare("tests/golden/deepseek_v2_lite", MU_MLA_ABSORBED);
    compare("tests/golden/deepseek_v2_lite", MU_MLA_NAIVE);
    compare_caches("tests/golden/deepseek_v2_lite", MU_MLA_ABSORBED, true);
    compare_caches("tests/golden/deepseek_v2_lite", MU_MLA_NAIVE, true);
}

XT_MAIN()
