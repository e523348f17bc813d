/* attention_grouped.c - multi-head, grouped and multi-query attention
 *
 *   q, k, v = x W; norms on heads of q and k; rotation; k and v into their pages; attention into b.heads
 *
 * ALiBi. transformers' bias is a table rounded to bf16 (load.c), so it is no slope times a position. A score is
 * scale * (q·k + bias[head][j]): keys carry the biases of their group's query heads as extra elements, and each query
 * has a 1 in its own place there and 0 in the others. bf16 caches hold these biases exactly.
 *
 * A tensor rank has a run of query heads and the KV heads they read, whose groups it may share with its neighbours;
 * with a shared cache, those that its context group reads. */
#include "base/check.h"
#include "model/model_int.h"

/* RMS norm of each head. */
static int norm_heads(struct mu_model *m, float *x, const float *w, int64_t heads, int64_t dk, struct mu_err *e)
{
    return m->d->ops->rmsnorm(m->d, x, dk, x, dk, w, 0, m->spec.norm.eps, heads, dk, e);
}

static int position_heads(struct mu_model *m, const struct mu_layer *l, const struct mu_layer_spec *s, int64_t n,
                          struct mu_err *e)
{
    struct mu_buffers *b = &m->b;
    int heads = l->own.n_heads, kv_heads = l->own.n_kv_heads;
    if (s->has_qk_norm) {
        MU_TRY_RETURN(norm_heads(m, b->q, l->vector[MU_SLOT_Q_NORM], n * heads, s->dk, e));
        MU_TRY_RETURN(norm_heads(m, b->k, l->vector[MU_SLOT_K_NORM], n * kv_heads, s->dk, e));
    }
    if (m->spec.position != MU_POS_ROPE)
        return MU_OK;
    MU_TRY_RETURN(mu_rotate(m, b->q, (int64_t)heads * s->dk, s->dk, heads, n, e));
    return mu_rotate(m, b->k, (int64_t)kv_heads * s->dk, s->dk, kv_heads, n, e);
}

/* Copies q and k into their wide forms and gives keys the biases of their positions. */
static int widen_alibi(struct mu_model *m, const struct mu_heads *p, int64_t dk, const struct mu_rows *rows,
                       struct mu_err *e)
{
    const struct mu_ops *ops = m->d->ops;
    struct mu_buffers *b = &m->b;
    int64_t group = p->group, wide = dk + group, n = rows->n;

    MU_TRY_RETURN(ops->gather(m->d, b->wide_q, wide, b->q, dk, b->identity, n * p->n_heads, dk, e));
    MU_TRY_RETURN(ops->gather(m->d, b->wide_k, wide, b->k, dk, b->identity, n * p->n_kv_heads, dk, e));
    for (int h = 0; h < p->n_kv_heads; h++)
        MU_TRY_RETURN(ops->gather(m->d, b->wide_k + h * wide + dk, p->n_kv_heads * wide, m->alibi + h * group,
                                  p->n_kv_heads * group, rows->pos, n, group, e));
    return MU_OK;
}

int mu_attention_grouped(struct mu_model *m, int layer, const float *x, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    struct mu_layer *l = &m->layers[layer];
    const struct mu_heads *p = &l->own;
    struct mu_buffers *b = &m->b;
    const float *q = b->q, *k = b->k;

    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_Q], b->q, x, rows->n, e));
    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_K], b->k, x, rows->n, e));
    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_V], b->v, x, rows->n, e));
    MU_TRY_RETURN(position_heads(m, l, s, rows->n, e));
    if (m->alibi) {
        MU_TRY_RETURN(widen_alibi(m, p, s->dk, rows, e));
        q = b->wide_q;
        k = b->wide_k;
    }
    MU_TRY_RETURN(m->d->ops->kv_store(m->d, &l->kv, rows, k, (int64_t)l->kv.n_kv_heads * l->kv.dk, b->v,
                                      (int64_t)l->kv.n_kv_heads * l->kv.dv, e));
    struct mu_attn a = {.q = q,
                        .ldq = (int64_t)p->n_heads * l->kv.dk,
                        .out = b->heads,
                        .ldo = (int64_t)p->n_heads * s->dv,
                        .n_heads = p->n_heads,
                        .group = p->group,
                        .first = p->first,
                        .scale = s->scale,
                        .window = s->window};
    return mu_attend(m, l, &a, rows, e);
}
