/* pool_batch.c - see pool_batch.h */
#include "engine/kv/pool_batch.h"

#include <inttypes.h>

#include "base/check.h"

struct search {
    const struct mu_batch_ask *ask;
    struct mu_bill_limits base; /* what does not depend on the batch */
    int64_t pages_request;
};

/* Of one sequence, of the ranks that share its pages out. */
static int64_t pages_for(const struct mu_bill_ask *bill, int64_t tokens)
{
    return mu_shard_pages_for(MU_MAX(bill->page_owners, 1), (tokens + MU_KV_PAGE - 1) / MU_KV_PAGE);
}

static double step_s(const struct mu_batch_ask *a, int64_t rows)
{
    return a->step_s ? a->step_s(a->step_arg, rows) : 1 + (double)rows / MU_BATCH_KNEE_ROWS;
}

/* Of one request, in the unit of step_s. */
static double time_of(const struct mu_batch_ask *a, int rows, int sequences)
{
    int64_t n = a->work.requests > 0 ? MU_MIN(sequences, a->work.requests) : sequences;
    int64_t p = MU_MIN(rows, n * MU_MAX(a->work.prompt, 1)), d = MU_MIN(rows, n);
    return (double)a->work.prompt / (double)p * step_s(a, p) + (double)a->work.output / (double)d * step_s(a, d);
}

static struct mu_bill_limits limits_of(const struct search *s, int rows, int sequences)
{
    struct mu_bill_limits l = s->base;
    l.rows = rows;
    l.sequences = sequences;
    if (!l.logit_rows)
        l.logit_rows = MU_MIN(rows, MU_BILL_LOGIT_ROWS_WANTED);
    if (!l.pages)
        l.pages = MU_MAX(mu_bill_pages_least(s->ask->bill, l.context),
                         MU_MIN(sequences * s->pages_request, mu_bill_pages_most(s->ask->bill)));
    return l;
}

static int bytes_of(const struct search *s, int rows, int sequences, size_t *bytes, struct mu_err *e)
{
    struct mu_bill_limits l = limits_of(s, rows, sequences);
    return mu_bill_peak(s->ask->bill, &l, bytes, e);
}

/* The most sequences worth having with so many rows, memory aside; 0: none of these rows. */
static int sequences_cap(const struct search *s, int rows)
{
    const struct mu_bill_limits *given = &s->ask->bill->limits;
    int64_t most = MU_MIN(rows, MU_BATCH_SEQUENCES_MAX);
    if (given->sequences)
        return rows >= MU_MIN(given->sequences, MU_BATCH_ROWS_MAX) || given->rows ? given->sequences : 0;
    if (s->ask->work.requests > 0)
        most = MU_MIN(most, s->ask->work.requests);
    if (given->pages)
        most = MU_MIN(most, MU_MAX(1, given->pages / s->pages_request));
    return (int)most;
}

/* The most of them that fit; 0: not even the fewest. */
static int sequences_fit(const struct search *s, int rows, int *out, struct mu_err *e)
{
    const struct mu_bill_ask *b = s->ask->bill;
    int hi = sequences_cap(s, rows), lo = b->limits.sequences ? hi - 1 : 0;
    size_t bytes;
    *out = 0;
    while (hi > lo) {
        int mid = lo + (hi - lo + 1) / 2;
        MU_TRY_RETURN(bytes_of(s, rows, mid, &bytes, e));
        if (b->bytes_max == 0 || bytes <= b->bytes_max)
            *out = lo = mid;
        else
            hi = mid - 1;
    }
    return MU_OK;
}

/* The fewest sequences, up to those that fit, with which the work is fast enough; 0: none. */
static int sequences_enough(const struct search *s, int rows, int fit, double time_max)
{
    int lo = s->ask->bill->limits.sequences ? fit : MU_MIN(fit, MU_BILL_SEQUENCES_WANTED), hi = fit;
    if (fit == 0 || time_of(s->ask, rows, fit) > time_max)
        return 0;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (time_of(s->ask, rows, mid) <= time_max)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static int rows_next(const struct search *s, int rows)
{
    int given = s->ask->bill->limits.rows;
    if (given)
        return rows ? 0 : given;
    if (!rows)
        return MU_BILL_ROWS_MIN;
    return rows < MU_BATCH_ROWS_MAX ? rows * 2 : 0;
}

static int find_best(const struct search *s, struct mu_batch *b, struct mu_err *e)
{
    for (int rows = rows_next(s, 0), fit; rows; rows = rows_next(s, rows)) {
        MU_TRY_RETURN(sequences_fit(s, rows, &fit, e));
        double time = fit > 0 ? time_of(s->ask, rows, fit) : 0;
        if (fit == 0 || (b->rows_best && time >= b->time_best))
            continue;
        b->rows_best = rows;
        b->sequences_best = fit;
        b->time_best = time;
    }
    return MU_OK;
}

/* The least memory, then the fewest rows. Up to the default's rows, more of them always win. */
static int find_least(const struct search *s, struct mu_batch *b, struct mu_err *e)
{
    size_t least = 0, bytes;
    for (int rows = rows_next(s, 0), fit; rows; rows = rows_next(s, rows)) {
        MU_TRY_RETURN(sequences_fit(s, rows, &fit, e));
        int n = sequences_enough(s, rows, fit, b->time_best * (1 + MU_BATCH_SLACK));
        if (n == 0)
            continue;
        MU_TRY_RETURN(bytes_of(s, rows, n, &bytes, e));
        if (b->is_chosen && bytes >= least && rows > MU_BILL_ROWS_WANTED)
            continue;
        least = bytes;
        b->is_chosen = true;
        b->limits.rows = rows;
        b->limits.sequences = n;
        b->time = time_of(s->ask, rows, n);
    }
    return MU_OK;
}

static void explain(const struct search *s, struct mu_batch *b)
{
    const struct mu_engine_work *w = &s->ask->work;
    snprintf(b->why, sizeof b->why,
             "%d sequences at a time, %d rows a step: the least memory for prompts of %" PRId64
             " and outputs of %" PRId64 " tokens, %.0f%% slower than %d and %d, the best that fit",
             b->limits.sequences, b->limits.rows, w->prompt, w->output, 100 * (b->time / b->time_best - 1),
             b->sequences_best, b->rows_best);
}

int mu_batch_choose(struct mu_batch *out, const struct mu_batch_ask *ask, struct mu_err *e)
{
    const struct mu_bill_ask *bill = ask->bill;
    struct search s = {.ask = ask, .base = bill->limits};
    *out = (struct mu_batch){.limits = bill->limits};
    if ((bill->limits.rows && bill->limits.sequences) || ask->work.prompt + ask->work.output <= 0)
        return MU_OK;
    if (!s.base.context)
        s.base.context = MU_MIN(bill->context_model, MU_BILL_CONTEXT_WANTED);
    s.pages_request = pages_for(bill, MU_MIN(ask->work.prompt + ask->work.output, s.base.context));
    MU_TRY_RETURN(find_best(&s, out, e));
    if (out->rows_best)
        MU_TRY_RETURN(find_least(&s, out, e));
    if (!out->is_chosen)
        return MU_OK;
    int64_t pages = limits_of(&s, out->limits.rows, out->limits.sequences).pages;
    if (pages > pages_for(bill, MU_BILL_KV_TOKENS_WANTED)) /* else the bill's default has room */
        out->limits.pages = pages;
    explain(&s, out);
    return MU_OK;
}
