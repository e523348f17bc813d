/* load_weights.c - reads every needed tensor once and packs it
 *
 * All fills are found and checked first, sorted by place in the files, then done in that order, those that one rank
 * reads by itself (load_apart.c) before the others. These go a bounded chunk at a time: read (load_node.c), then packed
 * (load_chunk.c), by the pool's threads. Bytes of a tensor that several slots
 * share (fused projections, stacks) are read once: either each slot reads its own rows, or, where the tensor is stored
 * transposed, it is kept whole in the staging memory until its last slot is done. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "model/load_int.h"

/* ---- finding ---- */

static int find_use(void *arg, const struct mu_slot_use *u)
{
    struct mu_loader *l = arg;
    struct mu_fill *f = &l->fills[l->n++];

    f->use = *u;
    MU_TRY_RETURN(mu_source_find(&l->names, u, &f->src, l->e));
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

static int find_all(struct mu_loader *l)
{
    struct mu_model_opts whole = l->m->opts;
    whole.shard = NULL;
    MU_TRY_RETURN(mu_slots_each(&l->m->spec, &whole, find_use, l));
    qsort(l->fills, (size_t)l->n, sizeof *l->fills, by_place);
    return MU_OK;
}

/* ---- one fill ---- */

static int report(struct mu_loader *l, uint64_t bytes)
{
    l->done += bytes;
    if (l->progress && l->progress(l->progress_arg, l->done, l->total) != 0)
        return mu_fail(l->e, MU_ECANCELED, "loading was stopped");
    return MU_OK;
}

static int read_scales(struct mu_loader *l, const struct mu_source *s)
{
    struct mu_source whole = {.t = s->scale, .run = 1};

    if (!s->scale || l->scaled == s->scale)
        return MU_OK;
    if ((int64_t)s->scale->n_elems > l->size.n_scales)
        return mu_fail(l->e, MU_EINTERNAL, "scales of %s", s->t->name);
    MU_TRY_RETURN(mu_load_read(l, &whole, s->scale->n_bytes, 0, 1, l->scales_raw, NULL));
    mu_to_f32(l->scales, l->scales_raw, s->scale->dtype, s->scale->n_elems);
    l->scaled = s->scale;
    return MU_OK;
}

static int fill_rows(struct mu_loader *l, const struct mu_fill *f)
{
    const struct mu_source *s = &f->src;
    uint64_t row_bytes;
    int64_t unit = mu_load_row_unit(&l->m->spec, &f->use);
    bool is_alone = mu_load_is_alone(l, f);

    if (!mu_dtype_bytes(s->t->dtype, (uint64_t)s->cols, &row_bytes))
        return mu_fail(l->e, MU_EFORMAT, "tensor %s has rows of %" PRId64 " elements, no multiple of a block of %s",
                       s->t->name, s->cols, mu_dtype_name(s->t->dtype));
    if (mu_load_is_apart(l, f)) {
        MU_TRY_RETURN(mu_load_fill_apart(l, f, row_bytes));
        return report(l, (uint64_t)f->use.n_out * row_bytes);
    }
    int64_t rows = MU_MAX(l->size.chunk / (unit * s->cols), 1) * unit;
    for (int64_t r = 0; r < f->use.n_out; r += rows) {
        int64_t n = MU_MIN(rows, f->use.n_out - r);
        if (is_alone) {
            MU_TRY_RETURN(mu_load_read_and_pack(l, f, &f->use, row_bytes, r, n));
        } else {
            MU_TRY_RETURN(mu_load_rows(l, s, row_bytes, r, n, f));
            MU_TRY_RETURN(mu_load_pack(l, f, row_bytes, r, n));
        }
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
        MU_TRY_RETURN(mu_load_rows(l, &rows, (size_t)s->cols * elem, 0, f->use.n_in, NULL));
    }
    l->turned = s->t;
    l->turned_row0 = s->row0;
    int64_t rows = MU_MAX(l->size.chunk / (MU_PANEL * f->use.n_in), 1) * MU_PANEL;
    for (int64_t r = 0; r < f->use.n_out; r += rows) {
        int64_t n = MU_MIN(rows, f->use.n_out - r);
        MU_TRY_RETURN(mu_load_pack(l, f, 0, r, n));
        MU_TRY_RETURN(report(l, (uint64_t)(n * f->use.n_in) * elem));
    }
    return MU_OK;
}

static int fill_vector(struct mu_loader *l, const struct mu_fill *f)
{
    const struct mu_source *s = &f->src;
    uint64_t elem;

    if (!mu_dtype_bytes(s->t->dtype, 1, &elem))
        return mu_fail(l->e, MU_EUNSUPPORTED, "tensor %s is a vector of %s; plain types are known", s->t->name,
                       mu_dtype_name(s->t->dtype));
    MU_TRY_RETURN(mu_load_rows(l, s, elem, 0, f->use.n_out, NULL));
    MU_TRY_RETURN(mu_load_pack_vector(l, f, elem));
    return report(l, (uint64_t)f->use.n_out * elem);
}

static int fill_one(struct mu_loader *l, const struct mu_fill *f)
{
    l->f = f;
    MU_TRY_RETURN(read_scales(l, &f->src));
    if (f->src.is_transposed)
        return fill_turned(l, f);
    l->turned = NULL; /* raw is used for something else */
    return f->use.n_in > 0 ? fill_rows(l, f) : fill_vector(l, f);
}

/* ---- all ---- */

static int fill_those(struct mu_loader *l, bool are_apart)
{
    for (int64_t i = 0; i < l->n; i++)
        if (mu_load_is_apart(l, &l->fills[i]) == are_apart)
            MU_TRY_RETURN(fill_one(l, &l->fills[i]));
    return MU_OK;
}

/* What ranks read apart comes first, in one go: whoever has less of it waits once, and not before every fill that they
 * read together. */
static int run(struct mu_loader *l)
{
    MU_TRY_RETURN(find_all(l));
    MU_TRY_RETURN(mu_load_find_needs(l));
    MU_TRY_RETURN(mu_load_find_apart(l));
    MU_TRY_RETURN(fill_those(l, true));
    MU_TRY_RETURN(fill_those(l, false));
    if (l->rank == 0)
        mu_load_report_unused(l);
    return mu_weights_check(l->w, l->e);
}

/* Sums of the ranks' sums, modulo 2^64: halves of 32 bits cannot overflow on their way. */
static int add_up_content(struct mu_loader *l)
{
    uint64_t low = atomic_load(&l->content.low), high = atomic_load(&l->content.high);
    int64_t half[4] = {(int64_t)(low & UINT32_MAX), (int64_t)(low >> 32), (int64_t)(high & UINT32_MAX),
                       (int64_t)(high >> 32)};

    if (l->n_ranks == 1)
        return MU_OK;
    MU_TRY_RETURN(mu_comm_all_reduce(mu_load_group(l->shard), half, 4, MU_REDUCE_SUM_I64, l->e));
    atomic_store(&l->content.low, (uint64_t)half[0] + ((uint64_t)half[1] << 32));
    atomic_store(&l->content.high, (uint64_t)half[2] + ((uint64_t)half[3] << 32));
    return MU_OK;
}

/* Runs to the end on all ranks or on none. */
static int run_together(struct mu_loader *l)
{
    int rc = run(l);
    if (!l->has_ended)
        rc = mu_load_meet(l, rc);
    if (rc == MU_OK)
        rc = mu_load_finish_block(l);
    return rc == MU_OK ? add_up_content(l) : rc;
}

static int open_windows(struct mu_loader *l, char *own, struct mu_comm_shared **shared)
{
    void *p = own + l->size.own;
    int rc = MU_OK;

    l->fills = (struct mu_fill *)(void *)own;
    l->f32 = (float *)(void *)(own + l->size.fills);
    l->scales = (float *)(void *)(own + l->size.fills + l->size.f32);
    l->needs = (uint32_t *)(void *)(own + l->size.fills + l->size.f32 + l->size.scales);
    l->held = l->size.held ? (uint64_t *)(void *)((char *)l->needs + l->size.needs) : NULL;
    if (l->shard->node)
        rc = mu_comm_shared_open(shared, l->shard->node, l->size.window, &p, l->e);
    l->windows = p;
    l->scales_raw = l->windows + (size_t)l->size.n_windows * l->size.raw;
    return rc;
}

/* Who this rank is among those that read together. */
static void find_place(struct mu_loader *l)
{
    const struct mu_shard *sh = l->shard;
    struct mu_comm *all = mu_load_group(sh);
    l->rank = mu_comm_rank(all);
    l->n_ranks = mu_comm_size(all);
    l->column = mu_comm_rank(sh->node);
    l->n_columns = sh->together ? sh->n_columns : l->n_ranks;
    l->column = l->column < l->n_columns ? l->column : -1;
    l->node = mu_comm_node(all, l->rank);
    l->n_nodes = sh->together ? mu_comm_nodes(all) : 1;
}

int mu_load_weights(struct mu_model *m, struct mu_weights *w, mu_progress_fn progress, void *arg, struct mu_err *e)
{
    struct mu_loader l = {.m = m, .w = w, .shard = &m->shard, .progress = progress, .progress_arg = arg, .e = e};
    struct mu_comm_shared *shared = NULL;

    find_place(&l);
    l.size = mu_load_staging(&m->spec, &m->opts);
    size_t bytes = l.shard->node ? l.size.own : l.size.total;
    char *own = mu_alloc(bytes);
    int rc = mu_load_agree(l.shard, own ? MU_OK : mu_fail_nomem(e, bytes, "staging memory of the loader"), e);
    if (rc == MU_OK)
        rc = mu_load_agree(l.shard, open_windows(&l, own, &shared), e);
    if (rc == MU_OK) {
        mu_names_init(&l.names, &m->spec, w, m->opts.mla);
        rc = run_together(&l);
    }
    if (rc == MU_OK)
        mu_content_name(&l.content, &m->spec, m->content_hash);
    mu_comm_shared_close(shared);
    mu_free(own);
    return rc;
}
