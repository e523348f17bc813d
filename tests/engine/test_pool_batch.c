/* test_pool_batch.c - the best batch against trying every one */
#include "xt.h"

#include <stdio.h>

#include "base/check.h"
#include "engine/kv/pool_batch.h"

/* A model whose sizes are straight lines. */
struct model {
    size_t weights, row, logit_row, page, sequence;
};

static int sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    const struct model *m = arg;
    (void)e;
    *out = (struct mu_model_sizes){.weights = m->weights,
                                   .activations = m->row * (size_t)l->rows,
                                   .logits = m->logit_row * (size_t)l->logit_rows,
                                   .kv_page = m->page};
    return MU_OK;
}

static size_t tables(void *arg, const struct mu_bill_limits *l)
{
    return ((const struct model *)arg)->sequence * (size_t)l->sequences;
}

struct question {
    struct model m;
    int64_t requests, prompt, output;
    size_t memory;                  /* 0: no limit */
    int rows, sequences, kv_tokens; /* given; 0: open */
    int64_t context;
    bool has_curve;
};

/* A machine that is slow for few rows and gets no better past 200. */
static double curve(void *arg, int64_t rows)
{
    (void)arg;
    return 3 + (rows <= 200 ? 0.02 * (double)rows : 4 + 0.035 * (double)(rows - 200));
}

struct found {
    bool is_any;
    int rows, sequences;
    size_t bytes;
    double time, best;
};

/* ---- the plain way ---- */

static double plain_time(const struct question *q, int rows, int sequences)
{
    double together = q->requests > 0 && q->requests < sequences ? (double)q->requests : sequences;
    double prompt_rows = fmin(rows, together * (double)q->prompt), output_rows = fmin(rows, together), time = 0;
    if (q->prompt > 0)
        time +=
            (double)q->prompt / prompt_rows * (q->has_curve ? curve(NULL, (int64_t)prompt_rows) : 1 + prompt_rows / 16);
    return time +
           (double)q->output / output_rows * (q->has_curve ? curve(NULL, (int64_t)output_rows) : 1 + output_rows / 16);
}

static size_t plain_bytes(const struct question *q, int rows, int sequences)
{
    size_t length = (size_t)fmin((double)(q->prompt + q->output), (double)q->context);
    size_t a_request = (length + 15) / 16, a_context = ((size_t)q->context + 15) / 16;
    size_t pages = a_request * (size_t)sequences;
    if (pages < a_context)
        pages = a_context;
    if (q->kv_tokens)
        pages = (size_t)q->kv_tokens / 16;
    size_t logit_rows = rows < 32 ? (size_t)rows : 32;
    return ((size_t)8 << 20) + q->m.weights + q->m.row * (size_t)rows + q->m.logit_row * logit_rows +
           q->m.sequence * (size_t)sequences + q->m.page * pages;
}

/* Of all pairs; those that are legal and fit. */
static bool is_possible(const struct question *q, int rows, int sequences)
{
    int64_t a_request = (MU_MIN(q->prompt + q->output, q->context) + 15) / 16;
    if (q->rows ? rows != q->rows : rows < 16 || rows > 1024 || (rows & (rows - 1)))
        return false;
    if (q->sequences && sequences != q->sequences)
        return false;
    if (!q->sequences && (sequences > rows || (q->requests && sequences > q->requests)))
        return false;
    if (!q->sequences && q->kv_tokens && sequences > MU_MAX(1, q->kv_tokens / 16 / a_request))
        return false;
    if (q->sequences && !q->rows && rows < MU_MIN(q->sequences, 1024))
        return false;
    return q->memory == 0 || plain_bytes(q, rows, sequences) <= q->memory;
}

static struct found search_all(const struct question *q)
{
    struct found f = {.is_any = false};
    for (int rows = 1; rows <= 1024; rows++) {
        for (int n = 1; n <= 1024; n++) {
            if (!is_possible(q, rows, n))
                continue;
            double time = plain_time(q, rows, n);
            f.best = f.is_any ? fmin(f.best, time) : time;
            f.is_any = true;
        }
    }
    f.bytes = SIZE_MAX;
    for (int rows = 1; f.is_any && rows <= 1024; rows++) {
        bool is_first = true; /* up to 256 rows: what fewer rows gave does not count */
        for (int n = 1; n <= 1024; n++) {
            bool has_enough = n >= 64 || !is_possible(q, rows, n + 1) || q->sequences;
            if (!is_possible(q, rows, n) || !has_enough || plain_time(q, rows, n) > 1.1 * f.best)
                continue;
            if (plain_bytes(q, rows, n) >= f.bytes && !(is_first && rows <= 256))
                continue;
            is_first = false;
            f.bytes = plain_bytes(q, rows, n);
            f.rows = rows;
            f.sequences = n;
            f.time = plain_time(q, rows, n);
        }
    }
    return f;
}

/* ---- the table ---- */

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static const struct model small = {100 * MIB, 40 * KIB, 128 * KIB, 96 * KIB, 2 * KIB};
static const struct model large = {14 * GIB, 3 * MIB, 512 * KIB, 8 * MIB, 40 * KIB};

static void check(const struct question *q)
{
    struct mu_bill_ask bill = {.limits = {.rows = q->rows, .sequences = q->sequences, .pages = q->kv_tokens / 16},
                               .context_model = q->context,
                               .bytes_max = q->memory,
                               .model_sizes = sizes,
                               .table_bytes = tables,
                               .arg = (void *)(uintptr_t)&q->m};
    struct mu_batch_ask ask = {.bill = &bill,
                               .work = {.requests = q->requests, .prompt = q->prompt, .output = q->output},
                               .step_s = q->has_curve ? curve : NULL};
    struct mu_err err = MU_ERR_INIT;
    struct mu_batch b;
    struct mu_bill made;
    struct found want = search_all(q);
    XT_OK(mu_batch_choose(&b, &ask, &err));
    XT_CHECKF(b.is_chosen == want.is_any, "memory %zu: chosen %d, possible %d", q->memory, b.is_chosen, want.is_any);
    if (!b.is_chosen)
        return;
    XT_CHECKF(b.limits.rows == want.rows && b.limits.sequences == want.sequences,
              "memory %zu, prompt %lld, output %lld: %d rows and %d sequences, not %d and %d", q->memory,
              (long long)q->prompt, (long long)q->output, b.limits.rows, b.limits.sequences, want.rows, want.sequences);
    XT_NEAR(b.time, want.time, 1e-9 * want.time);
    XT_NEAR(b.time_best, want.best, 1e-9 * want.best);
    XT_CHECK(b.why[0]);
    bill.limits = b.limits; /* what is chosen is had */
    XT_OK(mu_bill_make(&made, &bill, &err));
    XT_CHECKF(made.fits, "%s", made.verdict);
    XT_EQ(made.limits.rows, want.rows);
    XT_EQ(made.limits.sequences, want.sequences);
    XT_CHECK(q->kv_tokens || made.limits.pages * 16 >= MU_MIN(q->prompt + q->output, q->context));
}

XT_TEST(the_batch_chosen_is_the_one_that_trying_all_finds)
{
    static const size_t memory[] = {0, 110 * MIB, 118 * MIB, 140 * MIB, 200 * MIB, 400 * MIB, 2 * GIB};
    static const int64_t lengths[][2] = {{300, 0}, {300, 40}, {20, 500}, {4000, 8}, {1, 1}, {0, 64}, {900, 900}};
    static const int64_t requests[] = {0, 1, 40, 5000};
    int n = 0;
    for (size_t i = 0; i < MU_COUNT(memory); i++) {
        for (size_t k = 0; k < MU_COUNT(lengths); k++, n++)
            check(&(struct question){.m = small,
                                     .requests = requests[n % 4],
                                     .prompt = lengths[k][0],
                                     .output = lengths[k][1],
                                     .memory = memory[i],
                                     .context = n % 3 ? 1024 : 512,
                                     .has_curve = n % 5 == 0});
    }
}

XT_TEST(what_is_given_stays_given)
{
    static const int rows[] = {0, 24, 512}, sequences[] = {0, 7, 100}, kv_tokens[] = {0, 2048};
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        for (size_t k = 0; k < MU_COUNT(sequences); k++) {
            for (size_t t = 0; t < MU_COUNT(kv_tokens); t++) {
                if ((rows[i] && sequences[k]) || (rows[i] && sequences[k] > rows[i]))
                    continue;
                check(&(struct question){.m = large,
                                         .prompt = 250,
                                         .output = 60,
                                         .memory = 24 * GIB,
                                         .rows = rows[i],
                                         .sequences = sequences[k],
                                         .kv_tokens = kv_tokens[t],
                                         .context = 2048});
            }
        }
    }
}

/* A batch is not refused for a cache that its requests never fill. */
XT_TEST(known_work_counts_with_the_cache_it_fills)
{
    struct model m = small;
    struct mu_bill_ask bill = {.context_model = 8192,
                               .bytes_max = 150 * MIB,
                               .work = {.requests = 40, .longest = 70, .tokens = 2000},
                               .model_sizes = sizes,
                               .table_bytes = tables,
                               .arg = &m};
    struct mu_batch_ask ask = {.bill = &bill, .work = {.requests = 40, .prompt = 60}};
    struct mu_err err = MU_ERR_INIT;
    struct mu_batch b;
    struct mu_bill made;
    XT_OK(mu_batch_choose(&b, &ask, &err));
    XT_CHECK(b.is_chosen);
    XT_EQ(b.limits.sequences, 40);
    bill.limits = b.limits;
    XT_OK(mu_bill_make(&made, &bill, &err));
    XT_CHECKF(made.fits, "%s", made.verdict);
    XT_EQ(made.limits.pages, (2000 + 40 * 15) / 16);
    XT_EQ(made.limits.context, 8192);
    bill.limits.rows = bill.limits.sequences = 0;
    bill.work = (struct mu_bill_work){.requests = 0}; /* a whole context alone takes 48 MiB */
    XT_OK(mu_batch_choose(&b, &ask, &err));
    XT_CHECK(b.limits.rows < made.limits.rows);
}

XT_TEST(without_lengths_nothing_is_chosen)
{
    struct model m = small;
    struct mu_bill_ask bill = {.context_model = 512, .model_sizes = sizes, .table_bytes = tables, .arg = &m};
    struct mu_batch_ask ask = {.bill = &bill, .work = {.requests = 10}};
    struct mu_err err = MU_ERR_INIT;
    struct mu_batch b;
    XT_OK(mu_batch_choose(&b, &ask, &err));
    XT_CHECK(!b.is_chosen && b.limits.rows == 0 && b.limits.sequences == 0);
    ask.work.prompt = 100;
    bill.limits.rows = 32;
    bill.limits.sequences = 8;
    XT_OK(mu_batch_choose(&b, &ask, &err)); /* nothing is open */
    XT_CHECK(!b.is_chosen && b.limits.rows == 32 && b.limits.sequences == 8);
}
