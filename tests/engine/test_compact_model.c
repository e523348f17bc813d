/* test_compact_model.c - pages of real models moved after every step: the same bits; and resident memory that falls
 * when the pool is given back */
#include "xt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/light.h"

#define TINY    "models/muster-llama-tiny"
#define N       12
#define CONTEXT 70
#define OUTPUT  20

static mu_engine *open_model(const char *path, const char *kv_dtype, int64_t kv_tokens, bool is_sharing)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    o.model = path;
    o.kv_dtype = kv_dtype;
    o.kv_tokens_max = kv_tokens;
    o.context_max = 128;
    o.sequences_max = 5;
    o.rows_max = 24;
    o.threads = 2;
    o.no_prefix_sharing = !is_sharing;
    XT_OK(mu_engine_open(&eng, &o, &err));
    return eng;
}

struct work {
    struct mu_request r[N];
    int32_t ids[N][CONTEXT];
    uint64_t first;
};

/* Groups of three begin alike; lengths differ, so that requests end at different steps. */
static void make_work(struct work *w, int64_t vocab)
{
    uint64_t seed = 3;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < CONTEXT; k++)
            w->ids[i][k] = (int32_t)(xt_rand(&seed) % (uint64_t)vocab);
        if (i % 3 > 0)
            memcpy(w->ids[i], w->ids[i - i % 3], 40 * sizeof w->ids[0][0]);
        w->r[i] = (struct mu_request)MU_REQUEST_INIT;
        w->r[i].kind = MU_REQUEST_GENERATE;
        w->r[i].ids = w->ids[i];
        w->r[i].n_ids = 45 + i * 2;
        w->r[i].max_tokens = 4 + i * 7 % OUTPUT;
        w->r[i].ignore_eos = true;
    }
}

/* Step by step; with pages_max > 0 used pages move to the front after each, and cached ones go now and then. */
static int run_work(mu_engine *eng, struct work *w, int pages_max, struct mu_result **results)
{
    struct mu_err err = MU_ERR_INIT;
    int n_moved = 0, n;
    uint64_t id;
    size_t freed;
    for (int i = 0; i < N; i++) {
        XT_OK(mu_engine_submit(eng, &w->r[i], &id, &err));
        w->first = i == 0 ? id : w->first;
    }
    for (int n_done = 0, step = 0; n_done < N; step++) {
        struct mu_result *r = NULL;
        int rc = mu_engine_poll(eng, &r, 0, &err);
        XT_CHECKF(rc == MU_OK || rc == MU_ETIMEDOUT, "%s", err.text);
        if (r) {
            results[r->id - w->first] = r;
            n_done++;
        }
        if (pages_max > 0) {
            XT_OK(mu_light_compact(eng, pages_max, &n, &err));
            n_moved += n;
            if (step % 6 == 0)
                XT_OK(mu_engine_optimize_memory(eng, &freed, &err));
        }
    }
    return n_moved;
}

static void check_same(struct mu_result **a, struct mu_result **b)
{
    for (int i = 0; i < N; i++) {
        XT_CHECKF(a[i]->code == MU_OK && b[i]->code == MU_OK, "%s%s", a[i]->err.text, b[i]->err.text);
        XT_EQ(a[i]->tokens.n, b[i]->tokens.n);
        size_t n = (size_t)a[i]->tokens.n;
        XT_CHECK(memcmp(a[i]->tokens.ids, b[i]->tokens.ids, n * sizeof(int32_t)) == 0);
        XT_CHECK(memcmp(a[i]->tokens.logprob, b[i]->tokens.logprob, n * sizeof(double)) == 0);
    }
}

static void free_all(struct mu_result **r)
{
    for (int i = 0; i < N; i++)
        mu_result_free(r[i]);
}

XT_TEST(the_same_bits_when_pages_of_real_models_move)
{
    static const char *const paths[] = {TINY, "models/muster-dsv3-tiny", "tests/golden/falcon_40b",
                                        "tests/golden/llama_dynamic"};
    static struct work w;
    struct mu_result *plain[N], *moved[N];
    struct mu_engine_info info;
    int n_moved = 0;
    for (size_t i = 0; i < MU_COUNT(paths); i++) {
        const char *kv = i == 0 ? "bf16" : i == 3 ? "int8" : "f32";
        mu_engine *a = open_model(paths[i], kv, 640, i % 2), *b = open_model(paths[i], kv, 640, i % 2);
        mu_engine_info(a, &info);
        make_work(&w, info.vocab);
        run_work(a, &w, 0, plain);
        n_moved += run_work(b, &w, 3, moved);
        check_same(plain, moved);
        free_all(plain);
        free_all(moved);
        mu_engine_close(a);
        mu_engine_close(b);
    }
    XT_CHECKF(n_moved > 20, "%d pages moved", n_moved);
}

static int64_t resident_bytes(void)
{
    long pages = -1;
    FILE *f = fopen("/proc/self/statm", "r");
    XT_CHECK(f && fscanf(f, "%*s %ld", &pages) == 1);
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

XT_TEST(resident_memory_falls_when_the_pool_is_given_back_and_results_stay)
{
    enum { MIB = 1 << 20, POOL_MIB = 96 };
    static struct work w;
    struct mu_err err = MU_ERR_INIT;
    struct mu_result *before[N], *after[N];
    struct mu_engine_info info;
    struct mu_engine_status st;
    size_t freed;
    mu_engine *probe = open_model(TINY, "f32", 128, true);
    int64_t page = (int64_t)mu_engine_bill(probe)->kv_page_bytes;
    mu_engine_close(probe);
    mu_engine *eng = open_model(TINY, "f32", (int64_t)POOL_MIB * MIB / page * MU_KV_PAGE, true);
    mu_engine_info(eng, &info);
    make_work(&w, info.vocab);
    run_work(eng, &w, 0, before);
    int64_t full = resident_bytes();
    XT_OK(mu_engine_optimize_memory(eng, &freed, &err));
    int64_t slim = resident_bytes();
    mu_engine_status(eng, &st);
    XT_EQ(st.kv.given_back, st.kv.pages);
    XT_CHECKF(full - slim > (POOL_MIB - 4) * (int64_t)MIB, "resident %lld before, %lld after", (long long)full,
              (long long)slim);
    run_work(eng, &w, 2, after);
    XT_CHECK(resident_bytes() - slim < 8 * (int64_t)MIB); /* only what is used comes back */
    check_same(before, after);
    mu_engine_status(eng, &st);
    XT_CHECK(st.kv.given_back > st.kv.pages / 2);
    free_all(before);
    free_all(after);
    mu_engine_close(eng);
}
