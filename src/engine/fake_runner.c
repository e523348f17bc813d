/* fake_runner.c - see fake_runner.h */
#include "engine/fake_runner.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct slot {
    int32_t token;
    int32_t pos_plus_1; /* 0: never written */
    int64_t class;
};

struct fake {
    struct mu_runner base;
    struct mu_fake_opts o;
    struct mu_fake_counts counts;
    int rows_max, logit_rows_max;
    int64_t pages_n;
    struct slot *pages; /* [pages_n, MU_KV_PAGE] */
    uint64_t *hidden;   /* [rows_max] hash of what the row sees; 0: it saw nan_token */
    float *logits;      /* [logit_rows_max, vocab] */
    const int32_t *lengths;
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint64_t see(const struct mu_fake_opts *o, uint64_t h, int32_t token, int64_t pos)
{
    if (h == 0 || token == o->nan_token)
        return 0;
    return mix(h * 31 + (uint64_t)token * 0x9E3779B97F4A7C15u + (uint64_t)pos) | 1;
}

/* Logits in [-8, 8) on a grid of 1/256, so that equal best logits happen too. */
static void spread(const struct mu_fake_opts *o, uint64_t h, float *logits)
{
    for (int64_t v = 0; v < o->vocab; v++)
        logits[v] = h == 0 ? NAN : (float)(mix(h + (uint64_t)v) & 0xFFF) / 256 - 8;
}

void mu_fake_logits(const struct mu_fake_opts *o, const int32_t *ids, int n, float *logits)
{
    uint64_t h = 1;
    for (int i = 0; i < n; i++)
        h = see(o, h, ids[i], i);
    spread(o, h, logits);
}

void mu_fake_sizes(const struct mu_fake_opts *o, int rows, int logit_rows, struct mu_model_sizes *out)
{
    *out = (struct mu_model_sizes){.activations = (size_t)rows * sizeof(uint64_t),
                                   .logits = (size_t)logit_rows * (size_t)o->vocab * sizeof(float),
                                   .kv_page = MU_KV_PAGE * sizeof(struct slot)};
}

static int fake_load(struct mu_runner *r, const struct mu_bill_limits *l, mu_progress_fn progress, void *arg,
                     struct mu_err *e)
{
    struct fake *f = (struct fake *)r;
    if (progress && progress(arg, 1, 1))
        return mu_fail(e, MU_ECANCELED, "loading was stopped");
    f->rows_max = l->rows;
    f->logit_rows_max = l->logit_rows;
    f->pages_n = l->pages;
    MU_TRY_RETURN(MU_NEW_ARRAY(&f->pages, l->pages * MU_KV_PAGE, "fake pages", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&f->hidden, l->rows, "fake rows", e));
    return MU_NEW_ARRAY(&f->logits, l->logit_rows * f->o.vocab, "fake logits", e);
}

static struct slot *slot_of(struct fake *f, const struct mu_rows *rows, int r, int64_t pos, struct mu_err *e)
{
    int32_t page = rows->page_table[(int64_t)rows->seq[r] * rows->pages_max + pos / MU_KV_PAGE];
    if (page < 0 || page >= f->pages_n) {
        mu_fail(e, MU_EINTERNAL, "row %d looks for position %" PRId64 " in page %d of %" PRId64, r, pos, page,
                f->pages_n);
        return NULL;
    }
    return &f->pages[(int64_t)page * MU_KV_PAGE + pos % MU_KV_PAGE];
}

static void fake_set_lengths(struct mu_runner *r, const int32_t *lengths)
{
    ((struct fake *)r)->lengths = lengths;
}

static int64_t class_of(const struct mu_runner *r, int64_t length)
{
    int64_t short_max = ((const struct fake *)r)->o.short_max;
    return short_max > 0 && length > short_max ? length : 0;
}

static int store(struct fake *f, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e)
{
    for (int r = 0; r < rows->n; r++) {
        struct slot *s = slot_of(f, rows, r, rows->pos[r], e);
        if (!s)
            return MU_EINTERNAL;
        *s = (struct slot){ids[r], rows->pos[r] + 1, class_of(&f->base, f->lengths[rows->seq[r]])};
    }
    return MU_OK;
}

/* A later stage knows what the row sees as well, and finds out when another row was brought to it. */
static int keep(struct fake *f, int at, uint64_t h, struct mu_err *e)
{
    uint64_t brought = f->hidden[at];
    f->hidden[at] = h;
    if (f->o.is_later_stage && brought != mix(h))
        return mu_fail(e, MU_EINTERNAL, "hidden row %d is not the one that belongs here", at);
    if (f->o.is_earlier_stage)
        f->hidden[at] = mix(h);
    return MU_OK;
}

static int look(struct fake *f, const struct mu_rows *rows, int r, int at, struct mu_err *e)
{
    int64_t class = class_of(&f->base, f->lengths[rows->seq[r]]);
    uint64_t h = 1 + (uint64_t) class;
    for (int64_t pos = 0; pos <= rows->pos[r]; pos++) {
        struct slot *s = slot_of(f, rows, r, pos, e);
        if (!s)
            return MU_EINTERNAL;
        if (s->pos_plus_1 != pos + 1)
            return mu_fail(e, MU_EINTERNAL, "row %d finds position %d where %" PRId64 " should be", r,
                           s->pos_plus_1 - 1, pos);
        if (s->class != class)
            return mu_fail(e, MU_EINTERNAL, "row %d of class %" PRId64 " finds a page of class %" PRId64, r, class,
                           s->class);
        h = see(&f->o, h, s->token, pos);
    }
    return keep(f, at + r, h, e);
}

static void *fake_hidden(struct mu_runner *r, size_t *row_bytes)
{
    struct fake *f = (struct fake *)r;
    *row_bytes = sizeof *f->hidden;
    return f->hidden;
}

static int fake_step(struct mu_runner *r, const int32_t *ids, const struct mu_rows *rows, int at, struct mu_err *e)
{
    struct fake *f = (struct fake *)r;
    if (rows->n < 0 || at < 0 || at + rows->n > f->rows_max)
        return mu_fail(e, MU_EINTERNAL, "a step of %d rows from %d, at most %d", rows->n, at, f->rows_max);
    for (int i = 0; i < rows->n; i++) {
        if (ids[i] == f->o.fail_token)
            return mu_fail(e, MU_EPEER, "the fake device failed on token %d", ids[i]);
        if (ids[i] == f->o.dizzy_token)
            return mu_fail(e, MU_ENUMERIC, "the fake step met NaN");
    }
    f->counts.steps++;
    f->counts.rows += (uint64_t)rows->n;
    f->counts.rows_max = MU_MAX(f->counts.rows_max, (uint64_t)rows->n);
    MU_TRY_RETURN(store(f, ids, rows, e));
    for (int i = 0; i < rows->n; i++)
        MU_TRY_RETURN(look(f, rows, i, at, e));
    return MU_OK;
}

static void log_sum_exp(const float *x, int64_t n, int32_t *argmax, double *lse)
{
    int64_t best = 0;
    double sum = 0;
    for (int64_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)x[i] - x[best]);
    *argmax = isnan(x[0]) ? -1 : (int32_t)best;
    *lse = x[best] + log(sum);
}

static int fake_logits(struct mu_runner *r, const int32_t *idx, int n, const float **logits, int32_t *argmax,
                       double *lse, struct mu_err *e)
{
    struct fake *f = (struct fake *)r;
    if (n > f->logit_rows_max)
        return mu_fail(e, MU_EINTERNAL, "%d rows of logits, at most %d", n, f->logit_rows_max);
    f->counts.logit_rows += (uint64_t)n;
    for (int i = 0; i < n; i++) {
        float *row = f->logits + (int64_t)i * f->o.vocab;
        spread(&f->o, f->hidden[idx[i]], row);
        log_sum_exp(row, f->o.vocab, &argmax[i], &lse[i]);
    }
    *logits = f->logits;
    return MU_OK;
}

static int fake_copy_page(struct mu_runner *r, int lane, int32_t dst, int32_t src, struct mu_err *e)
{
    struct fake *f = (struct fake *)r;
    (void)lane;
    if (dst == src || dst < 0 || src < 0 || dst >= f->pages_n || src >= f->pages_n)
        return mu_fail(e, MU_EINTERNAL, "copying page %d to %d of %" PRId64, src, dst, f->pages_n);
    memcpy(&f->pages[(int64_t)dst * MU_KV_PAGE], &f->pages[(int64_t)src * MU_KV_PAGE], MU_KV_PAGE * sizeof *f->pages);
    f->counts.copies++;
    return MU_OK;
}

/* What is given back is lost: a row that looks there finds it out. */
static int fake_keep_pages(struct mu_runner *r, int lane, int32_t n, struct mu_err *e)
{
    struct fake *f = (struct fake *)r;
    (void)lane;
    if (n < 0 || n > f->pages_n)
        return mu_fail(e, MU_EINTERNAL, "keeping %d pages of %" PRId64, n, f->pages_n);
    memset(&f->pages[(int64_t)n * MU_KV_PAGE], 0, (size_t)(f->pages_n - n) * MU_KV_PAGE * sizeof *f->pages);
    f->counts.given_back++;
    return MU_OK;
}

static void fake_close(struct mu_runner *r)
{
    struct fake *f = (struct fake *)r;
    mu_free(f->pages);
    mu_free(f->hidden);
    mu_free(f->logits);
    mu_free(f);
}

static const struct mu_runner_ops fake_ops = {.name = "fake",
                                              .load = fake_load,
                                              .step = fake_step,
                                              .hidden = fake_hidden,
                                              .logits = fake_logits,
                                              .copy_page = fake_copy_page,
                                              .keep_pages = fake_keep_pages,
                                              .set_lengths = fake_set_lengths,
                                              .prefix_class = class_of,
                                              .close = fake_close};

int mu_fake_runner_new(struct mu_runner **out, const struct mu_fake_opts *o, struct mu_err *e)
{
    struct fake *f = NULL;
    MU_TRY_RETURN(MU_NEW(&f, "the fake model", e));
    f->base = (struct mu_runner){.ops = &fake_ops, .vocab = o->vocab, .context = o->context, .n_lanes = 1};
    f->o = *o;
    *out = &f->base;
    return MU_OK;
}

const struct mu_fake_counts *mu_fake_runner_counts(const struct mu_runner *r)
{
    return &((const struct fake *)r)->counts;
}
