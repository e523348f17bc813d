/* load_chunk.c - from bytes in staging memory to the pieces of a slot that this rank holds
 *
 * A piece is a run of rows and a run of columns of the slot. Plain types are packed as they lie; others, scaled F8,
 * paired heads and transposed tensors go through f32 first, the piece's part alone. Every value is checked to be
 * finite.
 *
 * What a rank reads by itself needs no meeting between reading and packing: each of its threads reads a few rows,
 * hashes and packs them while its core's cache has them, then reads the next. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/pool.h"
#include "model/load_int.h"

/* Times the scale of its block: element `row`, `col` of the tensor and the n - 1 after it. */
static void apply_scale(const struct mu_loader *l, const struct mu_source *s, int64_t row, int64_t col, float *v,
                        int64_t n)
{
    int64_t bc = l->m->spec.fp8_block_cols;
    const float *scale = l->scales + row / l->m->spec.fp8_block_rows * (int64_t)s->scale->dims[1];
    for (int64_t i = 0; i < n; i++)
        v[i] *= scale[(col + i) / bc];
}

struct job {
    struct mu_loader *l;
    const struct mu_source *s;
    const struct mu_slot_use *piece;
    struct mu_matrix *to;
    size_t row_bytes;
    char *raw;      /* rows from chunk0 on, as stored */
    float *f32;     /* room for as many, but where they are packed as they lie */
    int64_t chunk0; /* row of the slot that lies first in both */
    int64_t row0;   /* first row of the slot to pack */
    int64_t step;   /* rows a thread reads and packs at once, where it does both */
    int64_t room;   /* rows that raw holds */
    struct mu_load_failure failure;
};

/* Row r of the slot in raw: inside a paired head, element j * half + i lies at 2 i + j. */
static int64_t raw_row(const struct mu_source *s, int64_t r)
{
    if (s->paired_head == 0)
        return r;
    int64_t half = s->paired_head / 2, in = r % s->paired_head;
    return r - in + in % half * 2 + in / half;
}

/* Rows [r, end) of the slot, their columns from whole block to whole block; *skip: columns before the piece's. */
static const float *convert_rows(const struct job *j, int64_t r, int64_t end, int64_t *ld, int64_t *skip)
{
    const struct mu_source *s = j->s;
    int64_t block = mu_dtype_block_elems(s->t->dtype), lo = j->piece->col0 / block * block;
    int64_t hi = MU_MIN((j->piece->col0 + j->piece->n_in + block - 1) / block * block, s->cols);
    float *rows = j->f32 + (r - j->chunk0) * s->cols;

    *ld = hi - lo;
    *skip = j->piece->col0 - lo;
    for (float *to = rows; r < end; r++, to += hi - lo) {
        const char *from = j->raw + (size_t)(raw_row(s, r) - j->chunk0) * j->row_bytes;
        mu_to_f32(to, from + (size_t)(lo / block) * mu_dtype_block_bytes(s->t->dtype), s->t->dtype, (size_t)(hi - lo));
        if (s->scale)
            apply_scale(j->l, s, mu_source_row(s, r), lo, to, hi - lo);
    }
    return rows;
}

/* Columns of a transposed tensor, a panel's worth at a time. */
static const float *turn_rows(const struct job *j, int64_t begin, int64_t end)
{
    const struct mu_source *s = j->s;
    size_t elem = mu_dtype_block_bytes(s->t->dtype);
    int64_t n_in = j->piece->n_in;
    float *rows = j->f32 + (begin - j->row0) * n_in, column[MU_PANEL];

    for (int64_t r = begin; r < end; r += MU_PANEL) {
        int64_t n = MU_MIN(MU_PANEL, end - r), col = s->first + r;
        for (int64_t k = 0; k < n_in; k++) {
            int64_t in = j->piece->col0 + k;
            mu_to_f32(column, j->raw + (size_t)(in * s->cols + col) * elem, s->t->dtype, (size_t)n);
            if (s->scale)
                apply_scale(j->l, s, s->row0 + in, col, column, n);
            for (int64_t i = 0; i < n; i++)
                rows[(r - begin + i) * n_in + k] = column[i];
        }
    }
    return rows;
}

bool mu_load_is_direct(const struct mu_source *s)
{
    bool plain = s->t->dtype == MU_F32 || s->t->dtype == MU_BF16 || s->t->dtype == MU_F16;
    return plain && !s->scale && !s->is_transposed && s->paired_head == 0;
}

/* Rows [r, end) of the slot into their panels. */
static int pack_rows(const struct job *j, int64_t r, int64_t end, struct mu_err *e)
{
    const struct mu_source *s = j->s;
    int64_t to = r - j->piece->row0, ld = j->piece->n_in, skip = 0;

    if (mu_load_is_direct(s)) {
        const char *from = j->raw + (size_t)(r - j->chunk0) * j->row_bytes +
                           (size_t)j->piece->col0 * mu_dtype_block_bytes(s->t->dtype);
        return mu_matrix_pack_from(j->to, to, end - r, from, s->t->dtype, s->cols, e);
    }
    const float *rows = s->is_transposed ? turn_rows(j, r, end) : convert_rows(j, r, end, &ld, &skip);
    return mu_matrix_pack(j->to, to, end - r, rows + skip, ld, e);
}

void mu_load_note_failure(struct mu_load_failure *f, int64_t row, int rc, const struct mu_err *e)
{
    pthread_mutex_lock(&f->lock);
    if (f->row < 0 || row < f->row) {
        f->row = row;
        f->rc = rc;
        f->e = *e;
    }
    pthread_mutex_unlock(&f->lock);
}

static void pack_run(void *arg, int64_t begin, int64_t end, int worker)
{
    struct job *j = arg;
    struct mu_err e = MU_ERR_INIT;
    (void)worker;
    int rc = pack_rows(j, j->row0 + begin, j->row0 + end, &e);
    if (rc != MU_OK)
        mu_load_note_failure(&j->failure, begin, rc, &e);
}

static int pack_failed(struct mu_loader *l, const struct job *j)
{
    const struct mu_slot_use *p = j->piece;
    int rc = j->failure.rc;

    if (l->e)
        *l->e = j->failure.e;
    if (rc != MU_ENUMERIC)
        return rc;
    if (p->row0 == 0 && p->col0 == 0)
        return mu_err_while(l->e, rc, "packing tensor %s", j->s->t->name);
    return mu_err_while(l->e, rc, "packing tensor %s from row %" PRId64 ", column %" PRId64, j->s->t->name, p->row0,
                        p->col0);
}

static int pack_piece(struct mu_loader *l, const struct mu_fill *f, const struct mu_slot_use *piece, size_t row_bytes,
                      int64_t r, int64_t n)
{
    int64_t begin = MU_MAX(r, piece->row0), end = MU_MIN(r + n, piece->row0 + piece->n_out);
    int64_t unit = mu_load_row_unit(&l->m->spec, piece);
    struct mu_run own = mu_load_pack_share(l, MU_MAX(end - begin, 0), unit);
    struct job j = {.l = l,
                    .s = &f->src,
                    .piece = piece,
                    .to = mu_model_matrix(l->m, piece),
                    .row_bytes = row_bytes,
                    .raw = l->raw,
                    .f32 = l->f32,
                    .chunk0 = r,
                    .row0 = begin + own.begin,
                    .failure = MU_LOAD_FAILURE_INIT};

    if (own.n == 0)
        return MU_OK;
    mu_pool_for(l->m->d->pool, own.n, unit, pack_run, &j);
    return j.failure.row < 0 ? MU_OK : pack_failed(l, &j);
}

int mu_load_pack(struct mu_loader *l, const struct mu_fill *f, size_t row_bytes, int64_t r, int64_t n)
{
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];
    int pieces = mu_slot_pieces(&l->m->spec, &l->m->opts, &f->use, piece);

    for (int i = 0; i < pieces; i++)
        MU_TRY_RETURN(pack_piece(l, f, &piece[i], row_bytes, r, n));
    return MU_OK;
}

/* ---- read and packed by one thread ---- */

#define STEP_BYTES ((size_t)128 << 10) /* with what they are packed into, half of a core's second cache */

/* Each thread has a place of its own in raw and comes back to it; where there are more threads than places, rows lie
 * where they would in a chunk. */
static void read_and_pack_run(void *arg, int64_t begin, int64_t end, int worker)
{
    struct job *j = arg, part = *j;
    bool has_place = mu_pool_threads(j->l->m->d->pool) * j->step <= j->room;
    struct mu_err e = MU_ERR_INIT;
    int rc = MU_OK;

    for (int64_t at = begin, n; at < end && rc == MU_OK; at += n) {
        int64_t place = has_place ? worker * j->step : at;
        n = MU_MIN(j->step, end - at);
        part.chunk0 = j->row0 + at;
        part.raw = j->raw + (size_t)place * j->row_bytes;
        part.f32 = j->f32 + place * j->s->cols;
        rc = mu_load_read_rows(j->l, j->s, j->row_bytes, part.chunk0, n, part.raw, &e);
        if (rc == MU_OK)
            rc = pack_rows(&part, part.chunk0, part.chunk0 + n, &e);
        if (rc != MU_OK)
            mu_load_note_failure(&j->failure, at, rc, &e);
    }
}

/* With other ranks the windows are not this one's alone; what is packed as it lies needs no f32. */
static char *own_scratch(const struct mu_loader *l)
{
    return l->shard->node ? (char *)l->f32 : l->windows;
}

int mu_load_read_and_pack(struct mu_loader *l, const struct mu_fill *f, const struct mu_slot_use *piece,
                          size_t row_bytes, int64_t r, int64_t n)
{
    int64_t unit = mu_load_row_unit(&l->m->spec, &f->use);
    struct job j = {.l = l,
                    .s = &f->src,
                    .piece = piece,
                    .to = mu_model_matrix(l->m, piece),
                    .row_bytes = row_bytes,
                    .raw = own_scratch(l),
                    .f32 = l->f32,
                    .row0 = r,
                    .step = MU_MAX((int64_t)(STEP_BYTES / row_bytes) / unit, 1) * unit,
                    .room = l->size.chunk / f->src.cols,
                    .failure = MU_LOAD_FAILURE_INIT};
    mu_pool_share(l->m->d->pool, n, unit, read_and_pack_run, &j);
    return j.failure.row < 0 ? MU_OK : pack_failed(l, &j);
}

/* ---- vectors ---- */

static float *vector_of(struct mu_model *m, const struct mu_slot_use *u)
{
    struct mu_layer *l = u->layer < 0 ? mu_model_outside(m) : &m->layers[u->layer];
    int sum = mu_slot_sum(u->slot);

    if (u->slot == MU_SLOT_ROUTER_BIAS)
        return l->router_bias;
    if (!u->is_bias)
        return l->vector[u->slot];
    if (l->norm_bias[u->slot])
        return l->norm_bias[u->slot];
    if (sum >= 0 && l->sum[sum].bias)
        return l->sum[sum].bias;
    return (float *)(uintptr_t)mu_model_matrix(m, u)->bias; /* const for the ops, not for us */
}

int mu_load_pack_vector(struct mu_loader *l, const struct mu_fill *f, size_t elem)
{
    const struct mu_source *s = &f->src;
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];

    if (mu_slot_pieces(&l->m->spec, &l->m->opts, &f->use, piece) == 0)
        return MU_OK;
    int64_t n = piece->n_out;
    for (int64_t i = 0; i < n; i++) {
        mu_to_f32(l->f32 + i, l->raw + (size_t)raw_row(s, piece->row0 + i) * elem, s->t->dtype, 1);
        if (!isfinite(l->f32[i]))
            return mu_fail(l->e, MU_ENUMERIC, "tensor %s holds %g at element %" PRId64, s->t->name, (double)l->f32[i],
                           piece->row0 + i);
    }
    float *to = vector_of(l->m, piece);
    if (f->use.slot == MU_SLOT_ROUTER_BIAS) /* host memory, each rank's own */
        memcpy(to, l->f32, (size_t)n * sizeof(float));
    else if (mu_load_pack_share(l, n, n).n > 0)
        return l->m->d->dev->upload(l->m->d, to, l->f32, (size_t)n * sizeof(float), l->e);
    return MU_OK;
}
