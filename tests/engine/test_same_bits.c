/* test_same_bits.c - what a request yields does not depend on what runs beside it
 *
 * One mixed set of requests is run alone, one by one, without sharing; then under many batch sizes, chunks, orders and
 * with sharing. Every result must be equal byte for byte. The fake model's logits depend on every visible token. */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "fake_engine.h"
#include "request_set.h"

static void run(struct fake_setup *setup, const struct request_set *s, struct mu_result **results)
{
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    XT_OK(fake_engine_open(&eng, setup, &err));
    XT_OK(mu_engine_run(eng, s->r, N_REQUESTS, results, &err));
    struct mu_engine_status st;
    mu_engine_status(eng, &st);
    XT_EQ(st.pages_used, 0);
    XT_EQ(st.n_running + st.n_queued + st.n_done, 0);
    XT_EQ(st.requests_done, N_REQUESTS);
    XT_CHECK(setup->opts.no_prefix_sharing ? st.tokens_cached == 0 : true);
    mu_engine_close(eng);
}

static void run_alone(const struct request_set *s, int64_t short_max, struct mu_result **results)
{
    struct fake_setup setup = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    setup.model.short_max = short_max;
    setup.opts.no_prefix_sharing = true;
    setup.opts.sequences_max = 1;
    XT_OK(fake_engine_open(&eng, &setup, &err));
    for (int i = 0; i < N_REQUESTS; i++)
        XT_OK(mu_engine_run(eng, &s->r[i], 1, &results[i], &err));
    mu_engine_close(eng);
}

static void try_everything(int64_t short_max)
{
    static const int sequences[] = {1, 2, 3, 5, 8, 16, 33, 64};
    static const int rows[] = {1, 7, 16, 61, 256};
    static struct request_set s;
    struct mu_result *alone[N_REQUESTS], *other[N_REQUESTS];

    request_set_make(&s, 11);
    run_alone(&s, short_max, alone);
    for (size_t a = 0; a < MU_COUNT(sequences); a++) {
        for (size_t b = 0; b < MU_COUNT(rows); b++) {
            for (int v = 0; v < 8; v++) {
                if (XT_ASAN && !xt_takes(a + b, (size_t)v))
                    continue;
                struct fake_setup setup = FAKE_SETUP_INIT;
                setup.model.short_max = short_max;
                setup.opts.sequences_max = sequences[a];
                setup.opts.rows_max = rows[b];
                setup.opts.prefill_chunk = v & 4 ? 5 : 0;
                setup.opts.no_prefix_sharing = v & 1;
                setup.opts.order = v & 2 ? MU_ORDER_LONGEST : MU_ORDER_SUBMITTED;
                setup.opts.kv_tokens_max = v & 4 ? FAKE_CONTEXT + 32 : 4096; /* tight: evictions */
                run(&setup, &s, other);
                results_check_equal(alone, other);
                results_free(other);
            }
        }
    }
    results_free(alone);
}

XT_TEST(the_same_bits_for_every_batch_chunk_order_and_sharing)
{
    try_everything(0);
}

XT_TEST(requests_whose_length_changes_their_keys_share_with_their_like_only)
{
    try_everything(60);
}

XT_TEST(scores_are_the_model_s_own)
{
    static struct request_set s;
    struct mu_fake_opts model = {FAKE_VOCAB, FAKE_CONTEXT, -1, -1, -1, 0, false, false};
    struct mu_result *results[N_REQUESTS];
    float logits[FAKE_VOCAB];

    request_set_make(&s, 5);
    run_alone(&s, 0, results);
    for (int i = 0; i < N_REQUESTS; i++) {
        const struct mu_request *r = &s.r[i];
        int32_t ids[IDS_MAX + 16];
        double sum = 0;
        if (r->kind != MU_REQUEST_SCORE)
            continue;
        memcpy(ids, r->ids, (size_t)r->n_ids * sizeof *ids);
        memcpy(ids + r->n_ids, r->continuation, (size_t)r->n_continuation * sizeof *ids);
        for (int k = 0; k < r->n_continuation; k++) {
            double z = 0;
            mu_fake_logits(&model, ids, r->n_ids + k, logits);
            for (int v = 0; v < FAKE_VOCAB; v++)
                z += exp(logits[v]);
            sum += logits[ids[r->n_ids + k]] - log(z);
            XT_NEAR(results[i]->tokens.logprob[k], logits[ids[r->n_ids + k]] - log(z), 1e-9);
        }
        XT_NEAR(results[i]->logprob_sum, sum, 1e-8);
    }
    results_free(results);
}

XT_TEST(a_shared_context_is_computed_once)
{
    enum { CONTEXT = 101, CHOICES = 4 };
    struct fake_setup setup = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    int32_t ids[CONTEXT], cont[CHOICES][3];
    struct mu_request r[CHOICES];
    struct mu_result *results[CHOICES];

    setup.opts.rows_max = 32;
    for (int i = 0; i < CONTEXT; i++)
        ids[i] = i % 90;
    for (int i = 0; i < CHOICES; i++) {
        cont[i][0] = cont[i][1] = cont[i][2] = 20 + i;
        r[i] = (struct mu_request)MU_REQUEST_INIT;
        r[i].ids = ids, r[i].n_ids = CONTEXT;
        r[i].continuation = cont[i], r[i].n_continuation = 3;
    }
    XT_OK(fake_engine_open(&eng, &setup, &err));
    XT_OK(mu_engine_run(eng, r, CHOICES, results, &err));
    const struct mu_fake_counts *c = mu_fake_runner_counts(setup.runner);
    XT_EQ(c->rows, CONTEXT + 2 + (CHOICES - 1) * 2); /* the context's last row tells the first token of all */
    XT_EQ(c->logit_rows, 1 + CHOICES * 2);
    XT_EQ(c->copies, CHOICES - 1); /* of the page that holds the context's end */
    for (int i = 1; i < CHOICES; i++)
        XT_EQ(results[i]->n_prompt_cached, CONTEXT);
    for (int i = 0; i < CHOICES; i++)
        mu_result_free(results[i]);
    mu_engine_close(eng);
}

static void check_equal(const struct mu_result *a, const struct mu_result *b)
{
    XT_EQ(a->code, MU_OK);
    XT_EQ(a->tokens.n, b->tokens.n);
    XT_CHECK(memcmp(&a->logprob_sum, &b->logprob_sum, sizeof a->logprob_sum) == 0);
    XT_EQ(a->is_greedy, b->is_greedy);
    for (int k = 0; k < a->tokens.n; k++) {
        XT_EQ(a->tokens.ids[k], b->tokens.ids[k]);
        XT_CHECK(memcmp(&a->tokens.logprob[k], &b->tokens.logprob[k], sizeof(double)) == 0);
        XT_EQ(a->tokens.is_greedy[k], b->tokens.is_greedy[k]);
        for (int t = 0; t < a->tokens.n_top; t++)
            XT_EQ(a->tokens.top[k * a->tokens.n_top + t].id, b->tokens.top[k * b->tokens.n_top + t].id);
    }
}

/* Continuations that begin alike, one token alone, a context that ends inside another's continuation, best tokens
 * wanted: every row is computed once, and each request gets what it would have got alone. */
XT_TEST(a_row_is_read_for_all_requests_that_begin_so)
{
    enum { CONTEXT = 45, N = 7 };
    static const int32_t more[N][5] = {{5, 6, 7, 8, 9},   {5, 6, 7, 1, 2}, {5, 6, 3, 3, 3},   {4, 0, 0, 0, 0},
                                       {11, 12, 0, 0, 0}, {5, 6, 7, 8, 2}, {13, 14, 15, 0, 0}};
    static const int n_more[N] = {5, 5, 5, 1, 2, 5, 3}, n_context[N] = {0, 0, 0, 0, 0, 2, 0};
    int32_t ids[N][CONTEXT + 5];
    struct mu_request r[N];
    struct mu_result *results[2][N];
    struct mu_fake_counts counts[2];
    mu_engine *eng[2];
    struct mu_err err = MU_ERR_INIT;

    for (int i = 0; i < N; i++) {
        for (int k = 0; k < CONTEXT; k++)
            ids[i][k] = (k * 7 + 3) % 90;
        memcpy(ids[i] + CONTEXT, more[i], sizeof more[i]);
        r[i] = (struct mu_request)MU_REQUEST_INIT;
        r[i].ids = ids[i], r[i].n_ids = CONTEXT + n_context[i];
        r[i].continuation = ids[i] + r[i].n_ids, r[i].n_continuation = n_more[i] - n_context[i];
        r[i].n_top = i == 1 ? 3 : 0;
    }
    for (int alone = 0; alone < 2; alone++) {
        struct fake_setup setup = FAKE_SETUP_INIT;
        setup.opts.rows_max = 16;
        setup.opts.no_prefix_sharing = alone == 1;
        XT_OK(fake_engine_open(&eng[alone], &setup, &err));
        XT_OK(mu_engine_run(eng[alone], r, N, results[alone], &err));
        counts[alone] = *mu_fake_runner_counts(setup.runner);
    }
    for (int i = 0; i < N; i++) {
        check_equal(results[0][i], results[1][i]);
        mu_result_free(results[0][i]);
        mu_result_free(results[1][i]);
    }
    mu_engine_close(eng[0]);
    mu_engine_close(eng[1]);
    /* All of the first's; of the others those behind what they share, at least their last. */
    XT_EQ(counts[0].rows, CONTEXT + 4 + 1 + 2 + 1 + 1 + 1 + 2);
    XT_EQ(counts[0].logit_rows, 5 + 1 + 2 + 1 + 1 + 1 + 2);
    XT_EQ(counts[1].rows, N * (CONTEXT - 1) + 5 + 5 + 5 + 1 + 2 + 5 + 3);
    XT_EQ(counts[1].logit_rows, 5 + 5 + 5 + 1 + 2 + 3 + 3);
}

static size_t line_bytes(const struct mu_bill *b, const char *name)
{
    for (int i = 0; i < b->n_lines; i++) {
        if (strcmp(b->lines[i].name, name) == 0)
            return b->lines[i].bytes;
    }
    xt_fail(__FILE__, __LINE__, "the bill has no line \"%s\"", name);
}

XT_TEST(steps_allocate_nothing_and_stay_within_the_bill)
{
    static struct request_set s;
    struct fake_setup setup = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    struct mu_result *r;
    uint64_t id;

    request_set_make(&s, 3);
    setup.opts.rows_max = 40;
    size_t before = mu_mem_bytes_used();
    mu_mem_peak_reset();
    XT_OK(fake_engine_open(&eng, &setup, &err));
    const struct mu_bill *bill = mu_engine_bill(eng);
    /* All but the requests' budget is taken at open, to the byte apart from the runner's own handle. */
    size_t later = line_bytes(bill, "requests") + line_bytes(bill, "runtime") + line_bytes(bill, "in use");
    XT_NEAR((double)(mu_mem_bytes_used() - before + later), (double)bill->bytes_running, 4096);
    for (int i = 0; i < N_REQUESTS; i++)
        XT_OK(mu_engine_submit(eng, &s.r[i], &id, &err));
    uint64_t allocs = mu_mem_allocs();
    for (int i = 0; i < N_REQUESTS; i++) {
        XT_OK(mu_engine_poll(eng, &r, MU_WAIT_FOREVER, &err));
        mu_result_free(r);
    }
    XT_EQ(mu_mem_allocs(), allocs);
    XT_CHECK(mu_mem_bytes_peak() <= bill->bytes_peak);
    mu_engine_close(eng);
    XT_EQ(mu_mem_bytes_used(), before);
}
