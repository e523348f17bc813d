/* forward.c - the one forward pass over any spec
 *
 *   tokens -> embed (+ learned positions) -> layers -> rows kept in b.x
 *   chosen rows -> final norm -> head -> logits
 *
 * A layer is attention and MLP, joined as its block kind says; the MLP may be experts (moe.c, cut at dispatch, experts
 * and combine). A step allocates nothing. Rows are independent of each other except through the KV cache, and every op
 * gives a row the same bits whatever else is in the step; so does the whole. */
#include <inttypes.h>

#include "base/check.h"
#include "model/model_int.h"

int mu_linear(struct mu_model *m, const struct mu_matrix *w, float *y, const float *x, int64_t n, struct mu_err *e)
{
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

    MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_ATTN, b->normed, b->x, rows->n, e));
    MU_TRY_RETURN(mu_attention(m, i, b->attn_out, b->normed, rows, e));
    MU_TRY_RETURN(add_to(m, b->x, b->attn_out, rows->n, e));
    MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_MLP, b->normed, b->x, rows->n, e));
    MU_TRY_RETURN(mu_mlp(m, i, b->mlp_out, b->normed, rows->n, e));
    return add_to(m, b->x, b->mlp_out, rows->n, e);
}

/* x += mlp(norm(x)) + attn(norm(x)), one norm or one each */
static int run_parallel(struct mu_model *m, int i, const struct mu_rows *rows, struct mu_err *e)
{
    struct mu_buffers *b = &m->b;
    struct mu_layer *l = &m->layers[i];
    const float *mlp_in = b->normed;

    MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_ATTN, b->normed, b->x, rows->n, e));
    if (m->spec.layers[i].block == MU_BLOCK_PARALLEL_NORMS) {
        MU_TRY_RETURN(mu_norm(m, l, MU_SLOT_NORM_MLP, b->normed2, b->x, rows->n, e));
        mlp_in = b->normed2;
    }
    MU_TRY_RETURN(mu_attention(m, i, b->attn_out, b->normed, rows, e));
    MU_TRY_RETURN(mu_mlp(m, i, b->mlp_out, mlp_in, rows->n, e));
    MU_TRY_RETURN(add_to(m, b->mlp_out, b->attn_out, rows->n, e));
    return add_to(m, b->x, b->mlp_out, rows->n, e);
}

int mu_attention(struct mu_model *m, int i, float *y, const float *x, const struct mu_rows *rows, struct mu_err *e)
{
    if (m->spec.layers[i].attn == MU_ATTN_LATENT)
        MU_TRY_RETURN(mu_attention_latent(m, i, x, rows, e));
    else
        MU_TRY_RETURN(mu_attention_grouped(m, i, x, rows, e));
    return mu_linear(m, &m->layers[i].matrix[MU_SLOT_O], y, m->b.heads, rows->n, e);
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

static int check_rows(const struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e)
{
    if (rows->n < 1 || rows->n > m->opts.rows_max)
        return mu_fail(e, MU_EINVAL, "a step of %d rows; the model was opened for 1 to %d", rows->n, m->opts.rows_max);
    if (!m->kv)
        return mu_fail(e, MU_EINTERNAL, "the model has no KV pages yet");
    for (int i = 0; i < rows->n; i++) {
        if (ids[i] < 0 || ids[i] >= m->spec.vocab)
            return mu_fail(e, MU_EINVAL, "token %d lies outside the vocabulary of %" PRId64, ids[i], m->spec.vocab);
        if (rows->pos[i] < 0 || rows->pos[i] >= m->context)
            return mu_fail(e, MU_ELIMIT, "position %d lies past the context of %" PRId64, rows->pos[i], m->context);
        int32_t page = rows->pos[i] / MU_KV_PAGE;
        if (page >= rows->pages_max)
            return mu_fail(e, MU_EINTERNAL, "position %d needs %d pages, the table has %d", rows->pos[i], page + 1,
                           rows->pages_max);
        page = rows->page_table[(int64_t)rows->seq[i] * rows->pages_max + page];
        if (page < 0 || page >= m->pages_n)
            return mu_fail(e, MU_EINTERNAL, "page %d of %" PRId64, page, m->pages_n);
    }
    return MU_OK;
}

static int embed(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_matrix *table = mu_model_outside(m)->matrix;
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(m->d->ops->embed(m->d, m->b.x, D, &table[MU_SLOT_EMBED], ids, rows->n, e));
    if (m->spec.position != MU_POS_LEARNED)
        return MU_OK;
    MU_TRY_RETURN(m->d->ops->embed(m->d, m->b.attn_out, D, &table[MU_SLOT_POSITIONS], rows->pos, rows->n, e));
    return add_to(m, m->b.x, m->b.attn_out, rows->n, e);
}

int mu_model_step(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e)
{
    m->rows = 0;
    MU_TRY_RETURN(check_rows(m, ids, rows, e));
    MU_TRY_RETURN(begin_rotation(m, rows, e));
    MU_TRY_RETURN(embed(m, ids, rows, e));
    for (int i = 0; i < m->spec.n_layers; i++) {
        int rc = m->spec.layers[i].block == MU_BLOCK_SEQUENTIAL ? run_sequential(m, i, rows, e)
                                                                : run_parallel(m, i, rows, e);
        if (rc != MU_OK)
            return mu_err_while(e, rc, "running layer %d", i);
    }
    m->rows = rows->n;
    return MU_OK;
}

int mu_model_logits(struct mu_model *m, const int32_t *idx, int n, const float **logits, struct mu_err *e)
{
    struct mu_layer *out = mu_model_outside(m);
    const struct mu_matrix *head = &out->matrix[m->spec.is_tied ? MU_SLOT_EMBED : MU_SLOT_HEAD];
    int64_t D = m->spec.hidden;

    if (n < 1 || n > m->opts.logit_rows_max)
        return mu_fail(e, MU_EINVAL, "logits of %d rows; the model was opened for 1 to %d", n, m->opts.logit_rows_max);
    for (int i = 0; i < n; i++)
        if (idx[i] < 0 || idx[i] >= m->rows)
            return mu_fail(e, MU_EINVAL, "logits of row %d; the last step had %d rows", idx[i], m->rows);
    MU_TRY_RETURN(m->d->ops->gather(m->d, m->b.scored, D, m->b.x, D, idx, n, D, e));
    MU_TRY_RETURN(mu_norm(m, out, MU_SLOT_NORM_FINAL, m->b.scored, m->b.scored, n, e));
    MU_TRY_RETURN(mu_linear(m, head, m->logits, m->b.scored, n, e));
    *logits = m->logits;
    return MU_OK;
}

/* A page moves as one row of floats: copied, not computed, so any element type survives. */
int mu_model_copy_page(struct mu_model *m, int32_t dst, int32_t src, struct mu_err *e)
{
    int64_t floats = (int64_t)(m->sizes.kv_page / sizeof(float));
    if (dst < 0 || src < 0 || dst >= m->pages_n || src >= m->pages_n)
        return mu_fail(e, MU_EINTERNAL, "copying page %d to %d of %" PRId64, src, dst, m->pages_n);
    MU_TRY_RETURN(m->d->dev->upload(m->d, m->b.page, &src, sizeof src, e));
    return m->d->ops->gather(m->d, (float *)(void *)m->kv + dst * floats, floats, (const float *)(const void *)m->kv,
                             floats, m->b.page, 1, floats, e);
}
