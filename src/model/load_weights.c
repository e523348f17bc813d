/* load_weights.c - reads every needed tensor once and packs it
 *
 * All fills are found and checked first, sorted by place in the files, then done in that order, a bounded chunk at a
 * time; the pool's threads read, convert and pack. Bytes of a tensor that several slots share (fused projections,
 * stacks) are read once: either each slot reads its own rows, or, where the tensor is stored transposed, it is kept
 * whole in the staging memory until its last slot is done.
 *
 * Every value is checked to be finite. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/pool.h"
#include "model/load_int.h"

/* ---- finding ---- */

static float *vector_of(struct mu_model *m, const struct mu_slot_use *u)
{
    struct mu_layer *l = u->layer < 0 ? mu_model_outside(m) : &m->layers[u->layer];
    if (u->slot == MU_SLOT_ROUTER_BIAS)
        return l->router_bias;
    if (!u->is_bias)
        return l->vector[u->slot];
    if (l->norm_bias[u->slot])
        return l->norm_bias[u->slot];
    return (float *)(uintptr_t)mu_model_matrix(m, u)->bias; /* const for the ops, not for us */
}

static int find_use(void *arg, const struct mu_slot_use *u)
{
    struct mu_loader *l = arg;
    struct mu_fill *f = &l->fills[l->n++];

    f->use = *u;
    MU_TRY_RETURN(mu_source_find(&l->names, u, &f->src, l->e));
    if (u->n_in > 0)
        f->to.matrix = mu_model_matrix(l->m, u);
    else
        f->to.vector = vector_of(l->m, u);
    l->total += f->src.t->n_bytes / (uint64_t)(f->src.rows * f->src.cols) * (uint64_t)(u->n_out * MU_MAX(u->n_in, 1));
    return MU_OK;
}

static int by_place(const void *pa, const void *pb)
{
    const struct mu_fill *a = pa, *b = pb;
    if (a->src.t->file != b->src.t->file)
        return a->src.t->file < b->src.t->file ? -1 : 1;
    if (a->src.t->offset != b->src.t->offset)
        return a->src.t->offset < b->src.t->offset ? -1 : 1;
    int64_t ra = a->src.is_transposed ? a->src.row0 : a->src.first;
    int64_t rb = b->src.is_transposed ? b->src.row0 : b->src.first;
    return ra != rb ? (ra < rb ? -1 : 1) : (int)a->use.slot - (int)b->use.slot;
}

/* ---- reading ---- */

static int read_scales(struct mu_loader *l, const struct mu_source *s)
{
    if (!s->scale || l->scaled == s->scale)
        return MU_OK;
    if ((int64_t)s->scale->n_elems > l->size.n_scales)
        return mu_fail(l->e, MU_EINTERNAL, "scales of %s", s->t->name);
    MU_TRY_RETURN(mu_weights_read(l->w, s->scale, 0, s->scale->n_bytes, l->scales_raw, l->e));
    struct mu_source whole = {.t = s->scale, .run = 1};
    mu_content_add_rows(&l->content, &whole, l->scales_raw, s->scale->n_bytes, 0, 1);
    mu_to_f32(l->scales, l->scales_raw, s->scale->dtype, s->scale->n_elems);
    l->scaled = s->scale;
    return MU_OK;
}

/* Times the scale of its block: element `row`, `col` of the tensor and the n - 1 after it. */
static void apply_scale(const struct mu_loader *l, const struct mu_source *s, int64_t row, int64_t col, float *v,
                        int64_t n)
{
    int64_t bc = l->m->spec.fp8_block_cols;
    const float *scale = l->scales + row / l->m->spec.fp8_block_rows * (int64_t)s->scale->dims[1];
    for (int64_t i = 0; i < n; i++)
        v[i] *= scale[(col + i) / bc];
}

/* Rows [r, r + n) of the slot to dst, side by side, in as few reads as the layout allows. */
static int read_rows(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n, char *dst,
                     struct mu_err *e)
{
    for (int64_t i = 0; i < n;) {
        int64_t run = MU_MIN(s->run - (r + i) % s->run, n - i);
        MU_TRY_RETURN(mu_weights_read(l->w, s->t, (uint64_t)mu_source_row(s, r + i) * row_bytes,
                                      (uint64_t)run * row_bytes, dst + (size_t)i * row_bytes, e));
        mu_content_add_rows(&l->content, s, dst + (size_t)i * row_bytes, row_bytes, r + i, run);
        i += run;
    }
    return MU_OK;
}

static int report(struct mu_loader *l, uint64_t bytes)
{
    l->done += bytes;
    if (l->progress && l->progress(l->progress_arg, l->done, l->total) != 0)
        return mu_fail(l->e, MU_ECANCELED, "loading was stopped");
    return MU_OK;
}

/* ---- packing a chunk, by many threads ---- */

struct chunk {
    struct mu_loader *l;
    const struct mu_fill *f;
    size_t row_bytes;
    int64_t r0; /* first row of the slot */
    bool is_direct;
};

/* Row r of the chunk in raw: inside a paired head, element j * half + i lies at 2 i + j. */
static int64_t raw_row(const struct mu_source *s, int64_t r)
{
    if (s->paired_head == 0)
        return r;
    int64_t half = s->paired_head / 2, in = r % s->paired_head;
    return r - in + in % half * 2 + in / half;
}

static void convert_rows(const struct chunk *c, int64_t begin, int64_t end)
{
    const struct mu_source *s = &c->f->src;
    for (int64_t r = begin; r < end; r++) {
        float *to = c->l->f32 + r * s->cols;
        mu_to_f32(to, c->l->raw + (size_t)raw_row(s, r) * c->row_bytes, s->t->dtype, (size_t)s->cols);
        if (s->scale)
            apply_scale(c->l, s, mu_source_row(s, c->r0 + r), 0, to, s->cols);
    }
}

/* Columns of a transposed tensor, a panel's worth at a time. */
static void turn_rows(const struct chunk *c, int64_t begin, int64_t end)
{
    const struct mu_source *s = &c->f->src;
    size_t elem = mu_dtype_block_bytes(s->t->dtype);
    int64_t n_in = c->f->use.n_in;
    float column[MU_PANEL];

    for (int64_t r = begin; r < end; r += MU_PANEL) {
        int64_t n = MU_MIN(MU_PANEL, end - r), col = s->first + c->r0 + r;
        for (int64_t k = 0; k < n_in; k++) {
            mu_to_f32(column, c->l->raw + (size_t)(k * s->cols + col) * elem, s->t->dtype, (size_t)n);
            if (s->scale)
                apply_scale(c->l, s, s->row0 + k, col, column, n);
            for (int64_t i = 0; i < n; i++)
                c->l->f32[(r + i) * n_in + k] = column[i];
        }
    }
}

/* Rows [begin, end) of the chunk, all the way from the file into their panels. */
static int run_chunk(const struct chunk *c, int64_t begin, int64_t end, struct mu_err *e)
{
    const struct mu_source *s = &c->f->src;
    int64_t n_in = c->f->use.n_in, n = end - begin;
    char *raw = c->l->raw + (size_t)begin * c->row_bytes;

    if (!s->is_transposed)
        MU_TRY_RETURN(read_rows(c->l, s, c->row_bytes, c->r0 + begin, n, raw, e));
    if (c->is_direct)
        return mu_matrix_pack_from(c->f->to.matrix, c->r0 + begin, n, raw, s->t->dtype, n_in, e);
    if (s->is_transposed)
        turn_rows(c, begin, end);
    else
        convert_rows(c, begin, end);
    return mu_matrix_pack(c->f->to.matrix, c->r0 + begin, n, c->l->f32 + begin * n_in, n_in, e);
}

struct chunk_job {
    struct chunk c;
    pthread_mutex_t lock;
    int64_t failed; /* first row of the earliest run that failed; -1: none */
    int rc;
    struct mu_err e;
};

/* Several threads may fail: the earliest rows give the sentence, whatever the number of threads. */
static void chunk_run(void *arg, int64_t begin, int64_t end, int worker)
{
    struct chunk_job *j = arg;
    struct mu_err e = MU_ERR_INIT;
    (void)worker;
    int rc = run_chunk(&j->c, begin, end, &e);
    if (rc == MU_OK)
        return;
    pthread_mutex_lock(&j->lock);
    if (j->failed < 0 || begin < j->failed) {
        j->failed = begin;
        j->rc = rc;
        j->e = e;
    }
    pthread_mutex_unlock(&j->lock);
}

static int do_chunk(struct mu_loader *l, const struct chunk *c, int64_t n, int64_t unit)
{
    struct chunk_job j = {.c = *c, .lock = PTHREAD_MUTEX_INITIALIZER, .failed = -1};
    mu_pool_for(l->m->d->pool, n, unit, chunk_run, &j);
    if (j.failed < 0)
        return MU_OK;
    if (l->e)
        *l->e = j.e;
    return j.rc == MU_ENUMERIC ? mu_err_while(l->e, j.rc, "packing tensor %s", c->f->src.t->name) : j.rc;
}

/* ---- one fill ---- */

static bool is_direct(const struct mu_source *s)
{
    bool plain = s->t->dtype == MU_F32 || s->t->dtype == MU_BF16 || s->t->dtype == MU_F16;
    return plain && !s->scale && s->paired_head == 0;
}

/* A tied file may hold the head as well. Where it differs from the embedding, whose rows [r, r + n) are in raw, the
 * config is wrong about the file. */
static int check_tied_head(struct mu_loader *l, const struct mu_fill *f, uint64_t row_bytes, int64_t r, int64_t n)
{
    const struct mu_tensor_info *head = mu_weights_find(l->w, "lm_head.weight");
    uint64_t bytes = (uint64_t)n * row_bytes;

    if (f->use.slot != MU_SLOT_EMBED || !l->m->spec.is_tied || !head || head == f->src.t || bytes > l->size.raw / 2)
        return MU_OK;
    char *other = l->raw + l->size.raw / 2;
    if (head->n_bytes == f->src.t->n_bytes) {
        MU_TRY_RETURN(mu_weights_read(l->w, head, (uint64_t)r * row_bytes, bytes, other, l->e));
        if (memcmp(l->raw, other, bytes) == 0)
            return MU_OK;
    }
    return mu_fail(l->e, MU_EFORMAT,
                   "tie_word_embeddings is true, but lm_head.weight differs from %s; set it to false "
                   "in config.json",
                   f->src.t->name);
}

static int fill_rows(struct mu_loader *l, const struct mu_fill *f)
{
    const struct mu_source *s = &f->src;
    uint64_t row_bytes;
    int64_t unit = mu_load_row_unit(&l->m->spec, &f->use);

    if (!mu_dtype_bytes(s->t->dtype, (uint64_t)s->cols, &row_bytes))
        return mu_fail(l->e, MU_EFORMAT, "tensor %s has rows of %" PRId64 " elements, no multiple of a block of %s",
                       s->t->name, s->cols, mu_dtype_name(s->t->dtype));
    int64_t rows = MU_MAX(l->size.chunk / (unit * s->cols), 1) * unit;
    for (int64_t r = 0; r < f->use.n_out; r += rows) {
        int64_t n = MU_MIN(rows, f->use.n_out - r);
        struct chunk c = {.l = l, .f = f, .row_bytes = row_bytes, .r0 = r, .is_direct = is_direct(s)};
        MU_TRY_RETURN(do_chunk(l, &c, n, unit));
        MU_TRY_RETURN(check_tied_head(l, f, row_bytes, r, n));
        MU_TRY_RETURN(report(l, (uint64_t)n * row_bytes));
    }
    return MU_OK;
}

static int fill_turned(struct mu_loader *l, const struct mu_fill *f)
{
    const struct mu_source *s = &f->src;
    size_t elem = mu_dtype_block_bytes(s->t->dtype), bytes = (size_t)(f->use.n_in * s->cols) * elem;

    if (mu_dtype_block_elems(s->t->dtype) != 1 || elem > MU_TURNED_BYTES_MAX || bytes > l->size.raw)
        return mu_fail(l->e, MU_EUNSUPPORTED, "tensor %s is stored transposed as %s; f32, bf16, f16 and f8 are known",
                       s->t->name, mu_dtype_name(s->t->dtype));
    if (l->turned != s->t || l->turned_row0 != s->row0) {
        struct mu_source rows = {.t = s->t, .first = s->row0, .run = f->use.n_in};
        MU_TRY_RETURN(mu_weights_read(l->w, s->t, (uint64_t)(s->row0 * s->cols) * elem, bytes, l->raw, l->e));
        mu_content_add_rows(&l->content, &rows, l->raw, (size_t)s->cols * elem, 0, f->use.n_in);
    }
    l->turned = s->t;
    l->turned_row0 = s->row0;
    int64_t rows = MU_MAX(l->size.chunk / (MU_PANEL * f->use.n_in), 1) * MU_PANEL;
    for (int64_t r = 0; r < f->use.n_out; r += rows) {
        int64_t n = MU_MIN(rows, f->use.n_out - r);
        struct chunk c = {.l = l, .f = f, .r0 = r};
        MU_TRY_RETURN(do_chunk(l, &c, n, MU_PANEL));
        MU_TRY_RETURN(report(l, (uint64_t)(n * f->use.n_in) * elem));
    }
    return MU_OK;
}

static int fill_vector(struct mu_loader *l, const struct mu_fill *f)
{
    const struct mu_source *s = &f->src;
    int64_t n = f->use.n_out;
    uint64_t elem;

    if (!mu_dtype_bytes(s->t->dtype, 1, &elem))
        return mu_fail(l->e, MU_EUNSUPPORTED, "tensor %s is a vector of %s; plain types are known", s->t->name,
                       mu_dtype_name(s->t->dtype));
    MU_TRY_RETURN(read_rows(l, s, elem, 0, n, l->raw, l->e));
    for (int64_t i = 0; i < n; i++)
        mu_to_f32(l->f32 + i, l->raw + (size_t)raw_row(s, i) * elem, s->t->dtype, 1);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(l->f32[i]))
            return mu_fail(l->e, MU_ENUMERIC, "tensor %s holds %g at element %" PRId64, s->t->name, (double)l->f32[i],
                           i);
    if (f->use.slot == MU_SLOT_ROUTER_BIAS)
        memcpy(f->to.vector, l->f32, (size_t)n * sizeof(float));
    else
        MU_TRY_RETURN(l->m->d->dev->upload(l->m->d, f->to.vector, l->f32, (size_t)n * sizeof(float), l->e));
    return report(l, (uint64_t)n * elem);
}

static int fill_one(struct mu_loader *l, const struct mu_fill *f)
{
    MU_TRY_RETURN(read_scales(l, &f->src));
    if (f->src.is_transposed)
        return fill_turned(l, f);
    l->turned = NULL; /* raw is used for something else */
    return f->use.n_in > 0 ? fill_rows(l, f) : fill_vector(l, f);
}

/* ---- all ---- */

static int run(struct mu_loader *l)
{
    MU_TRY_RETURN(mu_slots_each(&l->m->spec, &l->m->opts, find_use, l));
    qsort(l->fills, (size_t)l->n, sizeof *l->fills, by_place);
    for (int64_t i = 0; i < l->n; i++)
        MU_TRY_RETURN(fill_one(l, &l->fills[i]));
    mu_load_report_unused(l);
    return mu_weights_check(l->w, l->e);
}

int mu_load_weights(struct mu_model *m, struct mu_weights *w, mu_progress_fn progress, void *arg, struct mu_err *e)
{
    struct mu_loader l = {.m = m, .w = w, .progress = progress, .progress_arg = arg, .e = e};

    l.size = mu_load_staging(&m->spec, &m->opts);
    char *staging = mu_alloc(l.size.total);
    if (!staging)
        return mu_fail_nomem(e, l.size.total, "staging memory of the loader");
    l.fills = (struct mu_fill *)(void *)staging;
    l.raw = staging + l.size.fills;
    l.f32 = (float *)(void *)(l.raw + l.size.raw);
    l.scales_raw = (char *)l.f32 + l.size.f32;
    l.scales = (float *)(void *)(l.scales_raw + (size_t)l.size.n_scales * MU_ELEM_BYTES_MAX);
    mu_names_init(&l.names, &m->spec, w, m->opts.mla);
    int rc = run(&l);
    if (rc == MU_OK)
        mu_content_name(&l.content, &m->spec, m->content_hash);
    mu_free(staging);
    return rc;
}
