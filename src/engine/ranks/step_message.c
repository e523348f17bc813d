/* step_message.c - see step_message.h */
#include "engine/ranks/step_message.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

#define MAGIC 0x3170756Du /* "mup1" */

size_t mu_step_bytes_max(const struct mu_step_limits *l)
{
    size_t rows = 3 * (size_t)l->rows_max * sizeof(int32_t);
    size_t seqs = (size_t)l->seqs_max * (sizeof(struct mu_step_seq) + (size_t)l->pages_max * sizeof(int32_t));
    size_t idx = (size_t)l->logit_rows_max * sizeof(int32_t);
    return sizeof(struct mu_step_head) + MU_MAX(rows + seqs, idx);
}

/* ---- writing ---- */

static struct mu_step_head head_of(enum mu_step_kind kind, uint64_t number)
{
    return (struct mu_step_head){.magic = MAGIC, .kind = kind, .number = number};
}

static size_t put(void *p, size_t at, const void *from, size_t n, size_t size)
{
    if (n > 0)
        memcpy((char *)p + at, from, n * size);
    return at + n * size;
}

size_t mu_step_write(void *p, enum mu_step_kind kind, uint64_t number)
{
    struct mu_step_head h = head_of(kind, number);
    return put(p, 0, &h, 1, sizeof h);
}

size_t mu_step_write_copy(void *p, uint64_t number, int32_t dst, int32_t src)
{
    struct mu_step_head h = head_of(MU_STEP_COPY, number);
    h.dst = dst;
    h.src = src;
    return put(p, 0, &h, 1, sizeof h);
}

size_t mu_step_write_keep(void *p, uint64_t number, int32_t n_pages)
{
    struct mu_step_head h = head_of(MU_STEP_KEEP, number);
    h.n = n_pages;
    return put(p, 0, &h, 1, sizeof h);
}

size_t mu_step_write_logits(void *p, uint64_t number, const int32_t *idx, int n)
{
    struct mu_step_head h = head_of(MU_STEP_LOGITS, number);
    h.n = n;
    return put(p, put(p, 0, &h, 1, sizeof h), idx, (size_t)n, sizeof *idx);
}

/* Which of the sequence's pages up to its last row's are not those that were sent. */
static struct mu_step_seq changes(const int32_t *now, const int32_t *sent, int n_pages)
{
    int first = 0, end = n_pages;
    while (first < end && now[first] == sent[first])
        first++;
    while (end > first && now[end - 1] == sent[end - 1])
        end--;
    return (struct mu_step_seq){.first = first, .n = end - first};
}

/* Where the rows of the sequence at row r end. */
static int end_of(const struct mu_rows *rows, int r)
{
    int end = r + 1;
    while (end < rows->n && rows->seq[end] == rows->seq[r])
        end++;
    return end;
}

/* The sequences' entries, then their pages. */
static size_t put_seqs(char *p, size_t at, const struct mu_step_limits *l, struct mu_step_head *h,
                       const struct mu_rows *rows, const int32_t *lengths, int seq_begin, int32_t *sent)
{
    size_t entry = at;
    for (int r = 0; r < rows->n; r = end_of(rows, r))
        h->n_seqs++;
    at += (size_t)h->n_seqs * sizeof(struct mu_step_seq);
    for (int r = 0, end; r < rows->n; r = end) {
        end = end_of(rows, r);
        int seq = rows->seq[r] - seq_begin;
        const int32_t *now = rows->page_table + (int64_t)rows->seq[r] * rows->pages_max;
        int32_t *had = sent + (int64_t)seq * l->pages_max;
        struct mu_step_seq s = changes(now, had, rows->pos[end - 1] / MU_KV_PAGE + 1);
        s.seq = seq;
        s.length = lengths ? lengths[rows->seq[r]] : 0;
        entry = put(p, entry, &s, 1, sizeof s);
        at = put(p, at, now + s.first, (size_t)s.n, sizeof *now);
        put(had + s.first, 0, now + s.first, (size_t)s.n, sizeof *now);
        h->n_pages += s.n;
    }
    return at;
}

size_t mu_step_write_rows(void *p, const struct mu_step_limits *l, uint64_t number, int n_micro, const int32_t *ids,
                          const struct mu_rows *rows, const int32_t *lengths, int seq_begin, int32_t *sent)
{
    struct mu_step_head h = head_of(MU_STEP_ROWS, number);
    size_t n = (size_t)rows->n, at = sizeof h;
    h.n = rows->n;
    h.n_micro = n_micro;
    at = put(p, at, ids, n, sizeof *ids);
    at = put(p, at, rows->pos, n, sizeof *rows->pos);
    for (int r = 0; r < rows->n; r++) {
        int32_t seq = rows->seq[r] - seq_begin;
        at = put(p, at, &seq, 1, sizeof seq);
    }
    at = put_seqs(p, at, l, &h, rows, lengths, seq_begin, sent);
    put(p, 0, &h, 1, sizeof h);
    return at;
}

/* ---- reading ---- */

struct reader {
    const char *p;
    size_t at, bytes;
};

/* n elements; NULL when the message ends before them. */
static const void *take(struct reader *r, int32_t n, size_t size)
{
    const char *p = r->p + r->at;
    if (n < 0 || (size_t)n > (r->bytes - r->at) / size)
        return NULL;
    r->at += (size_t)n * size;
    return p;
}

static bool all_within(const int32_t *v, int32_t n, int64_t end)
{
    for (int32_t i = 0; i < n; i++) {
        if (v[i] < 0 || v[i] >= end)
            return false;
    }
    return true;
}

static bool are_seqs_legal(const struct mu_step_view *v, const struct mu_step_limits *l)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < v->head.n_seqs; i++) {
        const struct mu_step_seq *s = &v->seqs[i];
        if (s->seq < 0 || s->seq >= l->seqs_max || s->length < 0 || s->first < 0 || s->n < 0 ||
            s->first > l->pages_max || s->n > l->pages_max - s->first)
            return false;
        sum += s->n;
    }
    return sum == v->head.n_pages;
}

static bool read_rows(struct mu_step_view *v, struct reader *r, const struct mu_step_limits *l)
{
    const struct mu_step_head *h = &v->head;
    if (h->n < 0 || h->n > l->rows_max || h->n_seqs < 0 || h->n_seqs > l->seqs_max || h->n_micro < 1 ||
        h->n_micro > MU_MICRO_MAX)
        return false;
    v->ids = take(r, h->n, sizeof *v->ids);
    v->pos = v->ids ? take(r, h->n, sizeof *v->pos) : NULL;
    v->seq = v->pos ? take(r, h->n, sizeof *v->seq) : NULL;
    v->seqs = v->seq ? take(r, h->n_seqs, sizeof *v->seqs) : NULL;
    v->pages = v->seqs ? take(r, h->n_pages, sizeof *v->pages) : NULL;
    return v->pages && all_within(v->ids, h->n, INT32_MAX) && all_within(v->pos, h->n, l->context_max) &&
           all_within(v->seq, h->n, l->seqs_max) && all_within(v->pages, h->n_pages, l->pages_n) &&
           are_seqs_legal(v, l);
}

static bool read_logits(struct mu_step_view *v, struct reader *r, const struct mu_step_limits *l)
{
    if (v->head.n < 1 || v->head.n > l->logit_rows_max)
        return false;
    v->idx = take(r, v->head.n, sizeof *v->idx);
    return v->idx && all_within(v->idx, v->head.n, l->rows_max);
}

static bool read_payload(struct mu_step_view *v, struct reader *r, const struct mu_step_limits *l)
{
    switch (v->head.kind) {
    case MU_STEP_ROWS:
        return read_rows(v, r, l);
    case MU_STEP_LOGITS:
        return read_logits(v, r, l);
    case MU_STEP_COPY:
        return v->head.dst != v->head.src && all_within(&v->head.dst, 1, l->pages_n) &&
               all_within(&v->head.src, 1, l->pages_n);
    case MU_STEP_KEEP:
        return v->head.n >= 0 && v->head.n <= l->pages_n;
    default:
        return v->head.kind == MU_STEP_FIGURES || v->head.kind == MU_STEP_END || v->head.kind == MU_STEP_EXPERTS;
    }
}

int mu_step_read(struct mu_step_view *out, const void *p, size_t bytes, const struct mu_step_limits *l,
                 struct mu_err *e)
{
    struct reader r = {p, sizeof out->head, bytes};
    *out = (struct mu_step_view){.ids = NULL};
    if (bytes < sizeof out->head)
        return mu_fail(e, MU_EFORMAT, "a step message of %zu bytes is shorter than its head", bytes);
    memcpy(&out->head, p, sizeof out->head);
    if (out->head.magic != MAGIC)
        return mu_fail(e, MU_EFORMAT, "a message of %zu bytes is no step message", bytes);
    if (!read_payload(out, &r, l) || r.at != bytes)
        return mu_fail(e, MU_EFORMAT,
                       "step message %" PRIu64 " of %zu bytes (kind %u, %d rows, %d sequences) breaks the engine's "
                       "limits",
                       out->head.number, bytes, out->head.kind, out->head.n, out->head.n_seqs);
    return MU_OK;
}

void mu_step_apply(const struct mu_step_view *v, const struct mu_step_limits *l, int32_t *table, int32_t *lengths)
{
    const int32_t *pages = v->pages;
    for (int32_t i = 0; i < v->head.n_seqs; i++) {
        const struct mu_step_seq *s = &v->seqs[i];
        put(table + (int64_t)s->seq * l->pages_max + s->first, 0, pages, (size_t)s->n, sizeof *pages);
        lengths[s->seq] = s->length;
        pages += s->n;
    }
}
