/* test_compact.c - pages moved after every step: every result is the one without, and memory given back is not missed
 */
#include "xt.h"

#include "base/check.h"
#include "compacting.h"
#include "fake_engine.h"

static void run(struct fake_setup *setup, const struct request_set *s, struct mu_result **results,
                struct compacting *how)
{
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    XT_OK(fake_engine_open(&eng, setup, &err));
    XT_OK(compacting_run(eng, s, results, how, &err));
    mu_engine_close(eng);
}

XT_TEST(the_same_bits_with_pages_moved_after_every_step)
{
    static struct request_set s;
    struct mu_result *plain[N_REQUESTS], *other[N_REQUESTS];
    int64_t n_moved = 0;
    request_set_make(&s, 11);
    for (int v = 0; v < 16; v++) {
        struct fake_setup setup = FAKE_SETUP_INIT;
        struct compacting how = {.pages_max = 0}, moving = {.pages_max = v & 8 ? 2 : 1000, .optimizes = v & 4};
        setup.model.short_max = 60;
        setup.opts.sequences_max = v & 1 ? 5 : 33;
        setup.opts.no_prefix_sharing = v & 2;
        setup.opts.kv_tokens_max = v & 4 ? FAKE_CONTEXT + 32 : 4096; /* tight: evictions */
        setup.opts.prefill_chunk = 7;
        run(&setup, &s, plain, &how);
        run(&setup, &s, other, &moving);
        results_check_equal(plain, other);
        n_moved += moving.n_moved;
        results_free(plain);
        results_free(other);
    }
    XT_CHECK(n_moved > 1000);
}

/* Two short requests and a long one; the first ends, and leaves a hole that only moving closes. */
XT_TEST(optimizing_while_requests_run_closes_holes_and_gives_memory_back)
{
    enum { N = 40 };
    struct fake_setup setup = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_status st;
    mu_engine *eng = NULL;
    struct mu_result *result;
    int32_t ids[2][N];
    uint64_t id;
    size_t freed;
    setup.opts.no_prefix_sharing = true;
    setup.opts.kv_tokens_max = 4096;
    XT_OK(fake_engine_open(&eng, &setup, &err));
    for (int i = 0; i < 2; i++) {
        struct mu_request r = MU_REQUEST_INIT;
        for (int k = 0; k < N; k++)
            ids[i][k] = k + i;
        r.kind = MU_REQUEST_GENERATE;
        r.ids = ids[i];
        r.n_ids = N;
        r.max_tokens = i ? 30 : 1;
        XT_OK(mu_engine_submit(eng, &r, &id, &err));
    }
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err)); /* the first */
    mu_result_free(result);
    XT_OK(mu_engine_optimize_memory(eng, &freed, &err));
    XT_EQ(freed, 0); /* nothing was cached */
    mu_engine_status(eng, &st);
    XT_EQ(st.kv.held, 3);
    XT_EQ(st.kv.span, 3);
    XT_EQ(st.kv.given_back, st.kv.pages - 3);
    XT_EQ(st.kv.tokens, N);
    XT_NEAR(mu_kv_stats_empty(&st.kv), 8.0 / 48, 1e-12);
    XT_EQ(mu_fake_runner_counts(setup.runner)->given_back, 1);
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err));
    XT_EQ(result->code, MU_OK);
    XT_EQ(result->tokens.n, 30);
    mu_result_free(result);
    mu_engine_status(eng, &st);
    XT_EQ(st.kv.given_back, st.kv.pages - 5); /* 69 tokens: two more pages were taken again */
    XT_EQ(st.kv_fullest.held_peak, 6);
    mu_engine_close(eng);
}
