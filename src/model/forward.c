/* forward.c - the one forward pass over any spec
 *
 *   tokens -> embed (+ learned positions) -> layers -> rows kept in b.x
 *   chosen rows -> final norm -> head -> logits
 *
 * A rank with a part of the network runs the same code on its runs; where ranks meet is said in split.c, lookup.c,
 * logits.c, moe.c and moe_lanes.c.
 *
 * A layer is attention and MLP, joined as its block kind says; the MLP may be experts (moe.c, cut at dispatch, experts
 * and combine). A step allocates nothing. Rows are independent of each other except through the KV cache, and every op
 * gives a row the same bits whatever else is in the step; so does the whole. */
#include <inttypes.h>

#include "base/check.h"
#include "model/model_int.h"

int mu_linear(struct mu_model *m, const struct mu_matrix *w, float *y, const float *x, int64_t n, struct mu_err *e)
{
    if (w->n_out == 0) /* another rank's */
        return MU_OK;
    return m->d->ops->linear(m->d, y, w->n_out, x, w->n_in, n, w, e);
}

int mu_norm(struct mu_model *m, struct mu_layer *l, enum mu_slot slot, float *y, const float *x, int64_t n,
            struct mu_err *e)
{
    const struct mu_norm_spec *s = &m->spec.norm;
    int64_t D = m->spec.hidden;
    if (s->kind == MU_NORM_LAYER)
        return m->d->ops->layernorm(m->d, y, D, x, D, l->vector[slot], l->norm_bias[slot], s->eps, n, D, e);
    return m->d->ops->rmsnorm(m->d, y, D, x, D, l->vector[slot], s->is_zero_centred ? 1 : 0, s->eps, n, D, e);
}

static int add_to(struct mu_model *m, float *y, const float *x, int64_t n, struct mu_err *e)
{
    int64_t D = m->spec.hidden;
    return m->d->ops->add(m->d, y, D, y, D, x, D, n, D, e);
}

/* ---- blocks ---- */

/* x += attn(norm(x)); x += mlp(norm(x)) */
static int run_sequential(struct mu_model *m, int i, const struct mu_rows *rows, struct mu_err *e)
{
    struct mu_buffers *b = &m->b;
    struct mu_layer *l = &m->layers[i];

    MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_ATTN, b->normed, m->step_x, rows->n, e));
    MU_TRY_RETURN(mu_attention(m, i, b->attn_out, b->normed, rows, e));
    MU_TRY_RETURN(add_to(m, m->step_x, b->attn_out, rows->n, e));
    MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_MLP, b->normed, m->step_x, rows->n, e));
    MU_TRY_RETURN(mu_mlp(m, i, b->mlp_out, b->normed, rows->n, e));
    return add_to(m, m->step_x, b->mlp_out, rows->n, e);
}

/* x += mlp(norm(x)) + attn(norm(x)), one norm or one each */
static int run_parallel(struct mu_model *m, int i, const struct mu_rows *rows, struct mu_err *e)
{
    struct mu_buffers *b = &m->b;
    struct mu_layer *l = &m->layers[i];
    const float *mlp_in = b->normed;

    MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_ATTN, b->normed, m->step_x, rows->n, e));
    if (m->spec.layers[i].block == MU_BLOCK_PARALLEL_NORMS) {
        MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_MLP, b->normed2, m->step_x, rows->n, e));
        mlp_in = b->normed2;
    }
    MU_TRY_RETURN(mu_attention(m, i, b->attn_out, b->normed, rows, e));
    MU_TRY_RETURN(mu_mlp(m, i, b->mlp_out, mlp_in, rows->n, e));
    MU_TRY_RETURN(add_to(m, b->mlp_out, b->attn_out, rows->n, e));
    return add_to(m, m->step_x, b->mlp_out, rows->n, e);
}

static int attend(struct mu_model *m, int i, const float *x, const struct mu_rows *rows, struct mu_err *e)
{
    if (m->layers[i].own.n_heads == 0 && (mu_shard_cp(&m->shard) == 1 || m->layers[i].own.n_kv_heads == 0))
        return MU_OK;
    if (m->spec.layers[i].attn == MU_ATTN_LATENT)
        return mu_attention_latent(m, i, x, rows, e);
    return mu_attention_grouped(m, i, x, rows, e);
}

int mu_attention(struct mu_model *m, int i, float *y, const float *x, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_layer *l = &m->layers[i];
    int64_t width = (int64_t)l->own.n_heads * m->spec.layers[i].dv;

    MU_TRY_RETURN(attend(m, i, x, rows, e));
    return mu_split_linear(m, &l->sum[mu_slot_sum(MU_SLOT_O)], y, m->b.heads, width, rows->n, e);
}

/* ---- rotation of the step ---- */

int mu_rotate(struct mu_model *m, float *x, int64_t ldx, int64_t stride, int n_heads, int64_t n, struct mu_err *e)
{
    const struct mu_rope_spec *r = &m->spec.rope;
    return m->d->ops->rope(m->d, x, ldx, stride, n_heads, r->dim, r->style, m->step_rope, m->step_rope_pos, n, e);
}

/* The length that decides row i's frequencies. */
static int declared_length(const struct mu_model *m, const struct mu_rows *rows, int i, int64_t *out, struct mu_err *e)
{
    int64_t original = m->spec.rope.original_context, pos = rows->pos[i];

    *out = m->lengths ? m->lengths[rows->seq[i]] : original;
    if (pos < *out)
        return MU_OK;
    if (!m->lengths)
        return mu_fail(e, MU_ELIMIT,
                       "position %" PRId64 " lies past %" PRId64 ", where this model's rotary scaling "
                       "depends on the length of the request, and no length was declared",
                       pos, original);
    return mu_fail(e, MU_EINVAL, "position %" PRId64 " of a request that declared %" PRId64 " tokens", pos, *out);
}

/* Cosines and sines of this step's rows, each by its request's length. */
static int rope_by_length(struct mu_model *m, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_rope_spec *r = &m->spec.rope;
    int64_t have = -1;

    for (int i = 0; i < rows->n; i++) {
        int64_t length;
        MU_TRY_RETURN(declared_length(m, rows, i, &length, e));
        int64_t class = mu_rope_class(r, length);
        if (class != have)
            mu_rope_frequencies(r, class == 0 ? 0 : length, m->inv_freq);
        have = class;
        mu_rope_row(r, m->inv_freq, rows->pos[i], m->rope_host + (int64_t)i * r->dim);
    }
    return m->d->dev->upload(m->d, m->b.rope_rows, m->rope_host, (size_t)rows->n * (size_t)r->dim * sizeof(float), e);
}

static int begin_rotation(struct mu_model *m, const struct mu_rows *rows, struct mu_err *e)
{
    m->step_rope = m->rope_table;
    m->step_rope_pos = rows->pos;
    if (m->spec.position != MU_POS_ROPE || m->rope_table)
        return MU_OK;
    m->step_rope = m->b.rope_rows;
    m->step_rope_pos = m->b.identity;
    return rope_by_length(m, rows, e);
}

/* ---- a step ---- */

static int check_page(const struct mu_model *m, const struct mu_rows *rows, int i, struct mu_err *e)
{
    int32_t page = rows->pos[i] / MU_KV_PAGE;
    if (page >= rows->pages_max)
        return mu_fail(e, MU_EINTERNAL, "position %d needs %d pages, the table has %d", rows->pos[i], page + 1,
                       rows->pages_max);
    page = rows->page_table[(int64_t)rows->seq[i] * rows->pages_max + page];
    int cp = mu_shard_cp(&m->shard);
    if (page < 0 || page / cp >= m->pages_n)
        return mu_fail(e, MU_EINTERNAL, "page %d of %" PRId64, page, m->pages_n * cp);
    if (cp > 1 && page % cp != mu_shard_page_owner(cp, rows->pos[i] / MU_KV_PAGE))
        return mu_fail(e, MU_EINTERNAL, "page %d for position %d lies on the wrong one of %d ranks", page, rows->pos[i],
                       cp);
    return MU_OK;
}

static int check_rows(const struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, int at,
                      struct mu_err *e)
{
    if (rows->n < 0 || at < 0 || rows->n > m->opts.rows_max - at)
        return mu_fail(e, MU_EINVAL, "a step of %d rows at %d; the model was opened for %d", rows->n, at,
                       m->opts.rows_max);
    if (!m->kv)
        return mu_fail(e, MU_EINTERNAL, "the model has no KV pages yet");
    if (mu_comm_size(m->shard.context) != mu_shard_cp(&m->shard))
        return mu_fail(e, MU_EINTERNAL, "a group of %d ranks for a KV cache that %d share",
                       mu_comm_size(m->shard.context), mu_shard_cp(&m->shard));
    if (mu_comm_size(m->shard.tp) != m->shard.tp_size ||
        (m->shard.n_lanes > 1 && mu_comm_size(m->shard.experts) != mu_expert_ranks(&m->opts)))
        return mu_fail(e, MU_EINTERNAL, "groups of %d and %d ranks for a part of %d tensor ranks in %d lanes",
                       mu_comm_size(m->shard.tp), mu_comm_size(m->shard.experts), m->shard.tp_size, m->shard.n_lanes);
    for (int i = 0; i < rows->n; i++) {
        if (m->shard.has_embed && (ids[i] < 0 || ids[i] >= m->spec.vocab))
            return mu_fail(e, MU_EINVAL, "token %d lies outside the vocabulary of %" PRId64, ids[i], m->spec.vocab);
        if (rows->pos[i] < 0 || rows->pos[i] >= m->context)
            return mu_fail(e, MU_ELIMIT, "position %d lies past the context of %" PRId64, rows->pos[i], m->context);
        MU_TRY_RETURN(check_page(m, rows, i, e));
    }
    return MU_OK;
}

static int embed(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_matrix *table = mu_model_outside(m)->matrix;
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(mu_lookup(m, ids, rows->n, e));
    if (m->spec.position != MU_POS_LEARNED)
        return MU_OK;
    MU_TRY_RETURN(m->d->ops->embed(m->d, m->b.attn_out, D, &table[MU_SLOT_POSITIONS], rows->pos, rows->n, e));
    return add_to(m, m->step_x, m->b.attn_out, rows->n, e);
}

int mu_defer(struct mu_model *m, int rc, struct mu_err *e)
{
    if (rc == MU_OK || !mu_model_has_peers(m))
        return rc;
    if (m->deferred == MU_OK) {
        m->deferred = rc;
        m->deferred_err = e ? *e : (struct mu_err)MU_ERR_INIT;
    }
    return MU_OK;
}

static int deferred(const struct mu_model *m, struct mu_err *e)
{
    if (m->deferred != MU_OK && e)
        *e = m->deferred_err;
    return m->deferred;
}

static int run_layers(struct mu_model *m, const struct mu_rows *rows, struct mu_err *e)
{
    for (int i = m->shard.layer_begin; i < m->shard.layer_end; i++) {
        int rc = m->spec.layers[i].block == MU_BLOCK_SEQUENTIAL ? run_sequential(m, i, rows, e)
                                                                : run_parallel(m, i, rows, e);
        if (rc != MU_OK)
            return mu_err_while(e, rc, "running layer %d", i);
    }
    return MU_OK;
}

/* How many rows the largest lane has: lanes send their rows to experts in as many rounds. */
static int agree_on_rounds(struct mu_model *m, int n, struct mu_err *e)
{
    m->r.max_rows = n;
    if (m->shard.n_lanes == 1)
        return MU_OK;
    return mu_comm_all_reduce(m->shard.experts, &m->r.max_rows, 1, MU_REDUCE_MAX_I64, e);
}

int mu_model_step_at(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, int at, struct mu_err *e)
{
    struct mu_rows run = *rows;

    m->rows = 0;
    m->deferred = MU_OK;
    int rc = check_rows(m, ids, rows, at, e);
    if (rc == MU_OK)
        rc = begin_rotation(m, rows, e);
    if (rc != MU_OK) {
        if (m->shard.n_lanes == 1) /* all tensor ranks of the lane see the same rows */
            return rc;
        mu_defer(m, rc, e);
        run.n = at = 0;
    }
    m->at = at;
    m->step_x = m->b.x + (int64_t)at * m->spec.hidden;
    MU_TRY_RETURN(agree_on_rounds(m, run.n, e));
    if (m->shard.has_embed)
        MU_TRY_RETURN(embed(m, ids, &run, e));
    MU_TRY_RETURN(run_layers(m, &run, e));
    MU_TRY_RETURN(deferred(m, e));
    m->rows = rows->n;
    return MU_OK;
}

int mu_model_step(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e)
{
    return mu_model_step_at(m, ids, rows, 0, e);
}

float *mu_model_hidden(struct mu_model *m)
{
    return m->b.x;
}

/* A page moves as one row of floats: copied, not computed, so any element type survives. */
int mu_model_copy_page(struct mu_model *m, int32_t dst, int32_t src, struct mu_err *e)
{
    int64_t floats = (int64_t)(m->sizes.kv_page / sizeof(float));
    int cp = mu_shard_cp(&m->shard);
    if (dst < 0 || src < 0 || dst / cp >= m->pages_n || src / cp >= m->pages_n || dst % cp != src % cp)
        return mu_fail(e, MU_EINTERNAL, "copying page %d to %d of %" PRId64, src, dst, m->pages_n * cp);
    if (dst % cp != mu_shard_cp_rank(&m->shard))
        return MU_OK; /* another rank's */
    dst /= cp;
    src /= cp;
    MU_TRY_RETURN(m->d->dev->upload(m->d, m->b.page, &src, sizeof src, e));
    return m->d->ops->gather(m->d, (float *)(void *)m->kv + dst * floats, floats, (const float *)(const void *)m->kv,
                             floats, m->b.page, 1, floats, e);
}
