/* load.c - a model from a checkpoint: allocation of the blocks, tables, and the order of events
 *
 * Everything is allocated first, exactly as mu_model_sizes() said; then load_weights.c reads, unless load_packed.c has
 * mapped. A load that fails frees all it took and leaves the caller's spec alone. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/config.h"
#include "model/model_int.h"

/* ---- where each slot's memory is ---- */

struct place {
    struct mu_model *m;
    size_t at;
};

struct mu_matrix *mu_model_matrix(struct mu_model *m, const struct mu_slot_use *u)
{
    struct mu_layer *l = u->layer < 0 ? mu_model_outside(m) : &m->layers[u->layer];
    switch (u->slot) {
    case MU_SLOT_KV_UP_K:
    case MU_SLOT_KV_UP_V:
        return &l->heads[u->slot - MU_SLOT_KV_UP_K][u->index];
    case MU_SLOT_EXPERT_GATE:
    case MU_SLOT_EXPERT_UP:
    case MU_SLOT_EXPERT_DOWN:
        return &l->expert[u->slot - MU_SLOT_EXPERT_GATE][u->index];
    default:
        return mu_slot_sum(u->slot) < 0 ? &l->matrix[u->slot] : &l->sum[mu_slot_sum(u->slot)].root[u->piece];
    }
}

/* Where the bias of a matrix is known by: a shared sum's is added after the tree. */
static void place_bias(struct mu_model *m, const struct mu_slot_use *u, float *here)
{
    int sum = mu_slot_sum(u->slot);
    if (sum >= 0 && m->shard.tp_size > 1)
        m->layers[u->layer].sum[sum].bias = here;
    else
        mu_model_matrix(m, u)->bias = here;
}

void mu_model_place(struct mu_model *m, const struct mu_slot_use *u, void *data, void *scale)
{
    struct mu_layer *l = u->layer < 0 ? mu_model_outside(m) : &m->layers[u->layer];
    if (u->n_in > 0) {
        bool has_scale = u->format == MU_WINT8 || u->format == MU_WINT4;
        *mu_model_matrix(m, u) = (struct mu_matrix){.format = u->format,
                                                    .n_out = u->n_out,
                                                    .n_in = u->n_in,
                                                    .tile_k = u->tile_k,
                                                    .data = data,
                                                    .scale = has_scale ? scale : NULL};
    } else if (!u->is_bias) {
        l->vector[u->slot] = data;
    } else if (l->vector[u->slot]) {
        l->norm_bias[u->slot] = data;
    } else {
        place_bias(m, u, data);
    }
}

static int place_use(void *arg, const struct mu_slot_use *u)
{
    struct place *p = arg;
    char *here = (char *)p->m->weights + p->at;
    size_t scale_offset;

    if (u->slot == MU_SLOT_ROUTER_BIAS)
        return MU_OK;
    p->at += mu_slot_bytes(u, &scale_offset);
    mu_model_place(p->m, u, here, here + scale_offset);
    return MU_OK;
}

/* ---- tables ---- */

/* Tables lie with the weights: of a block that ranks share the first sees to them. */
static bool fills_tables(const struct mu_model *m)
{
    return !m->shard.weights || m->opts.is_mapped || mu_comm_rank(m->shard.alike) == 0;
}

/* A block of rows of the rope table at a time, so that a device gets it through little host memory. */
static int fill_rope_table(struct mu_model *m, struct mu_err *e)
{
    enum { ROWS = 64 };
    const struct mu_rope_spec *r = &m->spec.rope;
    float rows[ROWS * 16];
    int per_turn = MU_MAX(1, ROWS * 16 / r->dim);

    mu_rope_frequencies(r, 0, m->inv_freq);
    if (r->dim > ROWS * 16)
        return mu_fail(e, MU_EINTERNAL, "rope dimension %d", r->dim);
    for (int64_t p = 0; fills_tables(m) && p < m->context; p += per_turn) {
        int n = (int)MU_MIN(per_turn, m->context - p);
        for (int i = 0; i < n; i++)
            mu_rope_row(r, m->inv_freq, p + i, rows + i * r->dim);
        MU_TRY_RETURN(
            m->d->dev->upload(m->d, m->rope_table + p * r->dim, rows, (size_t)(n * r->dim) * sizeof(float), e));
    }
    return MU_OK;
}

/* Slopes as ALiBi's paper has them for any number of heads. */
static void alibi_slopes(float *slope, int n_heads)
{
    int c = 1;
    while (2 * c <= n_heads)
        c *= 2;
    for (int h = 0; h < n_heads; h++) {
        double base = pow(2, -8.0 / c), extra = pow(2, -4.0 / c);
        slope[h] = (float)(h < c ? pow((float)base, h + 1) : pow((float)extra, 2 * (h - c) + 1));
    }
}

static float bf16(float v)
{
    return mu_bf16_to_f32(mu_f32_to_bf16(v));
}

/* alibi[j][h] = bf16(bf16(slope) * bf16(j)): transformers builds the bias in bf16 whatever the model's type, and past
 * position 256 that rounding is far larger than any tolerance. */
static int fill_alibi(struct mu_model *m, struct mu_err *e)
{
    float slope[MU_HEADS_MAX], row[MU_HEADS_MAX];
    struct mu_run held = mu_alibi_columns(&m->spec, &m->opts);

    alibi_slopes(slope, m->spec.layers[0].n_heads);
    for (int64_t p = 0; p < m->context; p++) {
        for (int64_t h = 0; h < held.n; h++)
            row[h] = bf16(bf16(slope[held.begin + h]) * bf16((float)p));
        MU_TRY_RETURN(m->d->dev->upload(m->d, m->alibi + p * held.n, row, (size_t)held.n * sizeof(float), e));
    }
    return MU_OK;
}

/* The extra elements of queries under ALiBi: one for the head's own place in its group. Written once; steps only touch
 * the elements before them. */
static int fill_alibi_queries(struct mu_model *m, struct mu_err *e)
{
    static const float one = 1;
    struct mu_heads p;

    if (mu_alibi_columns(&m->spec, &m->opts).n == 0)
        return MU_OK;
    mu_heads_of(&m->spec.layers[0], &m->shard, &p);
    int64_t dk = m->spec.layers[0].dk, width = dk + p.group;
    for (int64_t r = 0; r < m->opts.rows_max; r++)
        for (int h = 0; h < p.n_heads; h++)
            MU_TRY_RETURN(m->d->dev->upload(
                m->d, m->b.wide_q + (r * p.n_heads + h) * width + dk + (p.first + h) % p.group, &one, sizeof one, e));
    return MU_OK;
}

/* identity[i] = i, per_head[i] = i / heads, a row of heads at a time. */
static int fill_indices(struct mu_model *m, struct mu_err *e)
{
    int32_t all[MU_HEADS_MAX], row[MU_HEADS_MAX];
    struct mu_widths w;

    mu_widths_of(&m->spec, &m->opts, &w);
    size_t bytes = (size_t)w.heads * sizeof *all;
    for (int32_t r = 0; r < m->opts.rows_max; r++) {
        for (int32_t h = 0; h < w.heads; h++) {
            all[h] = r * (int32_t)w.heads + h;
            row[h] = r;
        }
        MU_TRY_RETURN(m->d->dev->upload(m->d, m->b.identity + r * w.heads, all, bytes, e));
        MU_TRY_RETURN(m->d->dev->upload(m->d, m->b.per_head + r * w.heads, row, bytes, e));
    }
    return MU_OK;
}

static int fill_tables(struct mu_model *m, struct mu_err *e)
{
    MU_TRY_RETURN(fill_indices(m, e));
    if (m->rope_table)
        MU_TRY_RETURN(fill_rope_table(m, e));
    if (m->alibi && fills_tables(m))
        MU_TRY_RETURN(fill_alibi(m, e));
    return m->alibi ? fill_alibi_queries(m, e) : MU_OK;
}

/* ---- open and close ---- */

static int take_weights(struct mu_model *m, struct mu_err *e)
{
    const struct mu_shard *sh = &m->shard;
    size_t bytes = m->sizes.weights;
    m->weights = sh->weights;
    if (!m->weights)
        return m->d->dev->alloc_untouched(m->d, &m->weights, bytes, "weights", e);
    m->d->dev->adopt(m->d, m->weights, bytes, mu_comm_rank(sh->alike), mu_comm_size(sh->alike));
    return MU_OK;
}

/* Where the tables are: behind the weights, or behind the activations where the weights are a mapped file. */
static int place_weights(struct mu_model *m, const struct mu_weights *w, float **tables, struct mu_err *e)
{
    struct place p = {.m = m};
    struct mu_buffers b;

    if (m->opts.is_mapped) {
        *tables = (float *)(void *)((char *)m->activations + mu_layout_activations(&m->spec, &m->opts, NULL, &b));
        return mu_load_packed(m, w, e);
    }
    MU_TRY_RETURN(take_weights(m, e));
    mu_slots_each(&m->spec, &m->opts, place_use, &p);
    *tables = (float *)(void *)((char *)m->weights + p.at);
    return MU_OK;
}

static int allocate(struct mu_model *m, const struct mu_spec *s, const struct mu_weights *w, struct mu_err *e)
{
    const struct mu_device_ops *dev = m->d->dev;
    float *tables = NULL;

    m->host = mu_calloc(1, m->sizes.host - sizeof *m);
    if (!m->host)
        return mu_fail_nomem(e, m->sizes.host, "bookkeeping of the model");
    mu_layout_host(s, &m->opts, m);
    MU_TRY_RETURN(dev->alloc(m->d, &m->activations, m->sizes.activations, "activations", e));
    MU_TRY_RETURN(dev->alloc(m->d, &m->logits, m->sizes.logits, "logits", e));
    MU_TRY_RETURN(mu_device_reserve_work(m->d, m->sizes.work, e));
    mu_layout_activations(s, &m->opts, m->activations, &m->b);
    mu_layout_logits(s, &m->opts, m);
    m->spec = *s; /* borrowed until the load has succeeded */
    MU_TRY_RETURN(place_weights(m, w, &tables, e));
    if (s->position == MU_POS_ROPE && !mu_rope_is_by_length(&s->rope))
        m->rope_table = tables;
    if (s->position == MU_POS_ALIBI)
        m->alibi = tables;
    return MU_OK;
}

static int open_model(struct mu_model **out, const struct mu_spec *s, const struct mu_model_opts *o,
                      const struct mu_weights *w, struct mu_device *d, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW(out, "a model", e));
    struct mu_model *m = *out;
    m->d = d;
    m->opts = *o;
    m->opts.is_mapped = mu_weights_packed(w) != NULL;
    mu_shard_whole(&m->shard, s);
    if (o->shard) {
        m->shard = *o->shard;
        m->opts.shard = &m->shard;
    }
    m->context = mu_context_of(s, o);
    MU_TRY_RETURN(mu_model_sizes(s, &m->opts, d, &m->sizes, e));
    MU_TRY_RETURN(allocate(m, s, w, e));
    return fill_tables(m, e);
}

int mu_model_load(struct mu_model **out, struct mu_spec *s, const struct mu_model_opts *o, struct mu_weights *w,
                  struct mu_device *d, mu_progress_fn progress, void *progress_arg, struct mu_err *e)
{
    struct mu_model *m = NULL;
    int rc = MU_OK;

    rc = open_model(&m, s, o, w, d, e);
    MU_TRY(mu_load_agree(o->shard, rc, e)); /* nobody starts to read while a peer has no memory */
    if (!m->opts.is_mapped)
        MU_TRY(mu_load_weights(m, w, progress, progress_arg, e));
    if (s->n_mtp > 0 && mu_comm_rank(m->shard.node) == 0)
        mu_log(MU_LOG_INFO, "%d multi-token-prediction layers of the checkpoint are not run", s->n_mtp);
    *s = (struct mu_spec)MU_SPEC_INIT; /* moved */
    *out = m;
    m = NULL;
out:
    if (m)
        m->spec.layers = NULL; /* still the caller's */
    mu_model_free(m);
    return rc;
}

void mu_model_free(struct mu_model *m)
{
    if (!m)
        return;
    m->d->dev->free(m->d, m->logits);
    m->d->dev->free(m->d, m->activations);
    if (!m->shard.weights || m->opts.is_mapped)
        m->d->dev->free(m->d, m->weights);
    mu_file_unmap(&m->file);
    mu_free(m->host);
    mu_spec_fini(&m->spec);
    mu_free(m);
}

const struct mu_spec *mu_model_spec(const struct mu_model *m)
{
    return &m->spec;
}

const char *mu_model_content_hash(const struct mu_model *m)
{
    return m->content_hash;
}

void mu_model_set_lengths(struct mu_model *m, const int32_t *lengths)
{
    m->lengths = lengths;
}
