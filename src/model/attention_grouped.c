/* attention_grouped.c - multi-head, grouped and multi-query attention
 *
 *   q, k, v = x W; norms on heads of q and k; rotation; k and v into their pages; attention into b.heads
 *
 * ALiBi. transformers' bias is a table rounded to bf16 (load.c), so it is no slope times a position. A score is
 * scale * (q·k + bias[head][j]): keys carry the biases of their group's query heads as extra elements, and each query
 * has a 1 in its own place there and 0 in the others. bf16 caches hold these biases exactly. */
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
    if (s->has_qk_norm) {
        MU_TRY_RETURN(norm_heads(m, b->q, l->vector[MU_SLOT_Q_NORM], n * s->n_heads, s->dk, e));
        MU_TRY_RETURN(norm_heads(m, b->k, l->vector[MU_SLOT_K_NORM], n * s->n_kv_heads, s->dk, e));
    }
    if (m->spec.position != MU_POS_ROPE)
        return MU_OK;
    MU_TRY_RETURN(mu_rotate(m, b->q, (int64_t)s->n_heads * s->dk, s->dk, s->n_heads, n, e));
    return mu_rotate(m, b->k, (int64_t)s->n_kv_heads * s->dk, s->dk, s->n_kv_heads, n, e);
}

/* Copies q and k into their wide forms and gives keys the biases of their positions. */
static int widen_alibi(struct mu_model *m, const struct mu_layer_spec *s, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_ops *ops = m->d->ops;
    struct mu_buffers *b = &m->b;
    int64_t group = s->n_heads / s->n_kv_heads, dk = s->dk, wide = dk + group, n = rows->n;

    MU_TRY_RETURN(ops->gather(m->d, b->wide_q, wide, b->q, dk, b->identity, n * s->n_heads, dk, e));
    MU_TRY_RETURN(ops->gather(m->d, b->wide_k, wide, b->k, dk, b->identity, n * s->n_kv_heads, dk, e));
    for (int h = 0; h < s->n_kv_heads; h++)
        MU_TRY_RETURN(ops->gather(m->d, b->wide_k + h * wide + dk, s->n_kv_heads * wide, m->alibi + h * group,
                                  s->n_heads, rows->pos, n, group, e));
    return MU_OK;
}

int mu_attention_grouped(struct mu_model *m, int layer, const float *x, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    struct mu_layer *l = &m->layers[layer];
    struct mu_buffers *b = &m->b;
    const float *q = b->q, *k = b->k;

    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_Q], b->q, x, rows->n, e));
    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_K], b->k, x, rows->n, e));
    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_V], b->v, x, rows->n, e));
    MU_TRY_RETURN(position_heads(m, l, s, rows->n, e));
    if (m->alibi) {
        MU_TRY_RETURN(widen_alibi(m, s, rows, e));
        q = b->wide_q;
        k = b->wide_k;
    }
    MU_TRY_RETURN(m->d->ops->kv_store(m->d, &l->kv, rows, k, (int64_t)l->kv.n_kv_heads * l->kv.dk, b->v,
                                      (int64_t)l->kv.n_kv_heads * l->kv.dv, e));
    struct mu_attn a = {.q = q,
                        .ldq = (int64_t)s->n_heads * l->kv.dk,
                        .out = b->heads,
                        .ldo = (int64_t)s->n_heads * s->dv,
                        .n_heads = s->n_heads,
                        .scale = s->scale,
                        .window = s->window};
    return m->d->ops->attention(m->d, &a, &l->kv, rows, e);
}
