/* request_set.c - see request_set.h */
#include "request_set.h"

#include <stdio.h>

#include "fake_engine.h"
#include "xt.h"

void request_set_make(struct request_set *s, uint64_t seed)
{
    int32_t common[IDS_MAX];
    memset(s, 0, sizeof *s);
    for (int i = 0; i < IDS_MAX; i++)
        common[i] = (int32_t)(xt_rand(&seed) % (FAKE_VOCAB - 8)) + 4;
    for (int i = 0; i < N_REQUESTS; i++) {
        struct mu_request *r = &s->r[i];
        int group = i / 4;
        uint64_t g = seed + (uint64_t)group;
        int n = 1 + (int)(xt_rand(&g) % (IDS_MAX - 40));
        int n_common = group % 3 == 0 ? 0 : n * (group % 3) / 3;
        for (int k = 0; k < n; k++)
            s->ids[i][k] = k < n_common ? common[k] : (int32_t)(xt_rand(&g) % (FAKE_VOCAB - 8)) + 4;
        *r = (struct mu_request)MU_REQUEST_INIT;
        r->ids = s->ids[i];
        r->n_ids = n;
        r->n_top = i % 5;
        r->kind = MU_REQUEST_SCORE;
        if (i % 4 == 3 || (i % 7 == 2 && n > 1)) {
            r->kind = i % 7 == 2 ? MU_REQUEST_ROLLING : MU_REQUEST_GENERATE;
            r->max_tokens = 1 + i % 23;
            r->want_prompt_logprobs = i % 8 == 3;
            r->sampling.temperature = i % 16 == 3 ? 0 : 0.9;
            r->sampling.top_k = i % 3 ? 0 : 12;
            r->sampling.top_p = i % 5 ? 1 : 0.8;
            r->sampling.repetition = i % 8 == 7 ? 1.2 : 1;
            r->sampling.presence = i % 12 == 7 ? 0.5 : 0;
            r->sampling.seed = (uint64_t)i;
        }
        if (r->kind == MU_REQUEST_SCORE) {
            r->n_continuation = 1 + (int)(xt_rand(&seed) % 15);
            r->continuation = s->cont[i];
            for (int k = 0; k < r->n_continuation; k++)
                s->cont[i][k] = (int32_t)(xt_rand(&seed) % (FAKE_VOCAB - 8)) + 4;
        }
    }
}

void request_set_run_one(const struct request_set *s, int64_t short_max, struct mu_result **results)
{
    struct fake_setup setup = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    setup.model.short_max = short_max;
    XT_OK(fake_engine_open(&eng, &setup, &err));
    XT_OK(mu_engine_run(eng, s->r, N_REQUESTS, results, &err));
    mu_engine_close(eng);
}

static void check_logprobs(int i, const struct mu_logprobs *a, const struct mu_logprobs *b)
{
    XT_EQ(a->n, b->n);
    XT_EQ(a->n_top, b->n_top);
    size_t n = (size_t)a->n;
    XT_CHECKF(memcmp(a->ids, b->ids, n * sizeof *a->ids) == 0, "request %d: other tokens", i);
    XT_CHECKF(memcmp(a->logprob, b->logprob, n * sizeof *a->logprob) == 0, "request %d: other log-probs", i);
    XT_CHECKF(memcmp(a->is_greedy, b->is_greedy, n) == 0, "request %d: other greedy marks", i);
    for (size_t k = 0; k < n * (size_t)a->n_top; k++) {
        XT_EQ(a->top[k].id, b->top[k].id);
        XT_CHECK(memcmp(&a->top[k].logprob, &b->top[k].logprob, sizeof(double)) == 0);
    }
}

void results_check_equal(struct mu_result **a, struct mu_result **b)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        XT_CHECKF(a[i]->code == MU_OK && b[i]->code == MU_OK, "request %d: %s%s", i, a[i]->err.text, b[i]->err.text);
        XT_CHECK(memcmp(&a[i]->logprob_sum, &b[i]->logprob_sum, sizeof(double)) == 0);
        XT_EQ(a[i]->is_greedy, b[i]->is_greedy);
        XT_EQ(a[i]->finish, b[i]->finish);
        check_logprobs(i, &a[i]->tokens, &b[i]->tokens);
        check_logprobs(i, &a[i]->prompt, &b[i]->prompt);
    }
}

void results_free(struct mu_result **r)
{
    for (int i = 0; i < N_REQUESTS; i++)
        mu_result_free(r[i]);
}

/* ---- ranks that are lost ---- */

bool ending_take(struct ending *end, int code, struct mu_result **r)
{
    end->code = code;
    if (code != MU_OK || !*r)
        return false;
    *((*r)->code == MU_OK ? &end->n_done : &end->n_failed) += 1;
    if ((*r)->code != MU_OK)
        memcpy(end->text, (*r)->err.text, sizeof end->text);
    mu_result_free(*r);
    return true;
}

void ending_check_ranks(const struct ending *end, int n, const int *rc, const struct mu_err *errs,
                        const struct mu_fake_order *lost)
{
    char name[32];
    snprintf(name, sizeof name, "rank %d ", lost->rank);
    for (int r = 0; r < n; r++) {
        if (r == lost->rank)
            continue;
        XT_CHECKF(rc[r] == MU_EPEER || rc[r] == MU_OK, "call %d: rank %d ended with %d: %s", (int)lost->at_call, r,
                  rc[r], errs[r].text);
        XT_CHECKF(rc[r] == MU_OK || strstr(errs[r].text, name), "rank %d: %s", r, errs[r].text);
    }
    if (lost->rank > 0 && end->n_failed > 0)
        XT_CHECKF(strstr(end->text, name), "a request: %s", end->text);
}
