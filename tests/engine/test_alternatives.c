/* test_alternatives.c - several last tokens of one continuation: the bits of a request each */
#include "xt.h"

#include "base/check.h"
#include "fake_engine.h"

#define N 40

static struct mu_request score(const int32_t *ids, int n_ids, const int32_t *continuation, int n)
{
    struct mu_request r = MU_REQUEST_INIT;
    r.kind = MU_REQUEST_SCORE;
    r.ids = ids;
    r.n_ids = n_ids;
    r.continuation = continuation;
    r.n_continuation = n;
    return r;
}

static void compare(mu_engine *eng, const int32_t *ids, int n_ids, const int32_t *continuation, int n)
{
    struct mu_err err = MU_ERR_INIT;
    int32_t alternatives[FAKE_VOCAB], alone[N];
    struct mu_request r = score(ids, n_ids, continuation, n);
    struct mu_result *all = NULL, *one = NULL;
    int n_greedy = 0;

    for (int i = 0; i < FAKE_VOCAB; i++)
        alternatives[i] = FAKE_VOCAB - 1 - i;
    r.alternatives = alternatives;
    r.n_alternatives = FAKE_VOCAB;
    XT_OK(mu_engine_run(eng, &r, 1, &all, &err));
    XT_EQ(all->code, MU_OK);
    XT_EQ(all->n_alternatives, FAKE_VOCAB);
    memcpy(alone, continuation, (size_t)n * sizeof *alone);
    for (int i = 0; i < FAKE_VOCAB; i++) {
        const struct mu_alternative *a = &all->alternatives[i];
        alone[n - 1] = alternatives[i];
        struct mu_request q = score(ids, n_ids, alone, n);
        XT_OK(mu_engine_run(eng, &q, 1, &one, &err));
        XT_EQ(one->n_alternatives, 0);
        XT_EQ(a->id, alternatives[i]);
        XT_CHECK(memcmp(&a->logprob, &one->tokens.logprob[n - 1], sizeof(double)) == 0);
        XT_CHECK(memcmp(&a->logprob_sum, &one->logprob_sum, sizeof(double)) == 0);
        XT_EQ(a->is_greedy, one->is_greedy);
        n_greedy += a->is_greedy;
        if (a->id == continuation[n - 1])
            XT_CHECK(memcmp(&a->logprob_sum, &all->logprob_sum, sizeof(double)) == 0);
        mu_result_free(one);
    }
    XT_CHECK(n == 1 ? n_greedy == 1 : n_greedy <= 1);
    mu_result_free(all);
}

XT_TEST(alternatives_have_the_bits_of_requests_of_their_own)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    int32_t ids[2 * N];
    uint64_t state = 1;
    for (int i = 0; i < 2 * N; i++)
        ids[i] = (int32_t)(xt_rand(&state) % FAKE_VOCAB);
    s.opts.rows_max = 7; /* the last row may stand alone in its step */
    XT_OK(fake_engine_open(&eng, &s, &err));
    compare(eng, ids, 1, ids + N, 1);
    compare(eng, ids, N, ids + N, 1);
    compare(eng, ids, N - 3, ids + N, 2);
    compare(eng, ids, 5, ids + N, N);
    mu_engine_close(eng);
}

XT_TEST(impossible_alternatives_are_refused)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    static const int32_t ids[] = {1, 2, 3, 4}, bad[] = {5, FAKE_VOCAB};
    mu_engine *eng = NULL;
    uint64_t id;
    XT_OK(fake_engine_open(&eng, &s, &err));
    struct mu_request r = score(ids, 2, ids + 2, 2);
    r.alternatives = bad;
    r.n_alternatives = 2;
    XT_FAILS(mu_engine_submit(eng, &r, &id, &err), MU_EINVAL, "token 1 of the alternatives is 96");
    r.n_alternatives = MU_ALTERNATIVES_MAX + 1;
    XT_FAILS(mu_engine_submit(eng, &r, &id, &err), MU_ELIMIT, "4097 alternatives to the last token");
    r.n_alternatives = -1;
    XT_FAILS(mu_engine_submit(eng, &r, &id, &err), MU_ELIMIT, "-1 alternatives");
    r = score(ids, 2, ids + 2, 2);
    r.alternatives = ids;
    r.n_alternatives = 1;
    r.kind = MU_REQUEST_GENERATE;
    XT_FAILS(mu_engine_submit(eng, &r, &id, &err), MU_EINVAL, "belong to scoring");
    mu_engine_close(eng);
}
