/* attention_latent.c - DeepSeek's latent attention (MLA), absorbed and naive
 *
 *   c, kr = split(x W_kv_a); c = norm(c); kr rotated; q = x W_q or norm(x W_q_a) W_q, its rope part rotated
 *
 * Naive: keys [c W_uk, kr] and values c W_uv of every head are cached, and attention is the ordinary one.
 * Absorbed: only [c, kr] is cached, one head that all share. q·(c W_uk) = (q W_uk^T)·c, so queries are taken into the
 * latent space, attention runs there, and its output c-mixture leaves by W_uv:
 *
 *   wide_q[h] = [q_nope[h] W_uk[h]^T, q_rope[h]]      wide_o[h] = attention      heads[h] = wide_o[h] W_uv[h]
 *
 * The two agree to rounding. Tensor ranks have runs of heads; the latent, which all heads share, is computed on each of
 * them, and cached on each or, in a context group, once among them (attention_shared.c). Source: DeepSeek-V2, section
 * 2.1.2 and appendix C. */
#include "base/check.h"
#include "model/model_int.h"

/* Each head's own matrix: y[r, h] = x[r, h] W[h]; heads of a row lie `xs` and `ys` apart. */
static int per_head(struct mu_model *m, const struct mu_matrix *w, int n_heads, float *y, int64_t ys, const float *x,
                    int64_t ldx, int64_t xs, int64_t n, struct mu_err *e)
{
    for (int h = 0; h < n_heads; h++)
        MU_TRY_RETURN(m->d->ops->linear(m->d, y + h * ys, n_heads * ys, x + h * xs, ldx, n, &w[h], e));
    return MU_OK;
}

static int queries(struct mu_model *m, const struct mu_layer *l, const struct mu_layer_spec *s, const float *x,
                   int64_t n, struct mu_err *e)
{
    struct mu_buffers *b = &m->b;
    if (s->q_lora > 0) {
        MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_Q_A], b->q_a, x, n, e));
        MU_TRY_RETURN(m->d->ops->rmsnorm(m->d, b->q_a, s->q_lora, b->q_a, s->q_lora, l->vector[MU_SLOT_Q_A_NORM], 0,
                                         m->spec.latent_norm_eps, n, s->q_lora, e));
        x = b->q_a;
    }
    int heads = l->own.n_heads;
    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_Q], b->q, x, n, e));
    return mu_rotate(m, b->q + s->dk_nope, (int64_t)heads * s->dk, s->dk, heads, n, e);
}

/* b.kv_a: the normed latent and the rotated key that all heads share. */
static int latents(struct mu_model *m, const struct mu_layer *l, const struct mu_layer_spec *s, const float *x,
                   int64_t n, struct mu_err *e)
{
    float *c = m->b.kv_a;
    int64_t ld = (int64_t)s->kv_lora + s->dk_rope;
    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_KV_A], c, x, n, e));
    MU_TRY_RETURN(m->d->ops->rmsnorm(m->d, c, ld, c, ld, l->vector[MU_SLOT_KV_A_NORM], 0, m->spec.latent_norm_eps, n,
                                     s->kv_lora, e));
    return mu_rotate(m, c + s->kv_lora, ld, s->dk_rope, 1, n, e);
}

static int absorbed(struct mu_model *m, struct mu_layer *l, const struct mu_layer_spec *s, const struct mu_rows *rows,
                    struct mu_err *e)
{
    const struct mu_ops *ops = m->d->ops;
    struct mu_buffers *b = &m->b;
    int heads = l->own.n_heads;
    int64_t wide = l->kv.dk, n = rows->n;
    struct mu_attn a = {.q = b->wide_q,
                        .ldq = heads * wide,
                        .out = b->wide_o,
                        .ldo = (int64_t)heads * s->kv_lora,
                        .n_heads = heads,
                        .scale = s->scale,
                        .window = s->window};

    MU_TRY_RETURN(ops->kv_store(m->d, &l->kv, rows, b->kv_a, wide, NULL, 0, e));
    MU_TRY_RETURN(per_head(m, l->heads[0], heads, b->wide_q, wide, b->q, (int64_t)heads * s->dk, s->dk, n, e));
    MU_TRY_RETURN(ops->gather(m->d, b->wide_q + s->kv_lora, wide, b->q + s->dk_nope, s->dk, b->identity, n * heads,
                              s->dk_rope, e));
    MU_TRY_RETURN(mu_attend(m, l, &a, rows, e));
    return per_head(m, l->heads[1], heads, b->heads, s->dv, b->wide_o, a.ldo, s->kv_lora, n, e);
}

static int naive(struct mu_model *m, struct mu_layer *l, const struct mu_layer_spec *s, const struct mu_rows *rows,
                 struct mu_err *e)
{
    const struct mu_ops *ops = m->d->ops;
    struct mu_buffers *b = &m->b;
    int heads = l->own.n_heads;
    int64_t ld = (int64_t)s->kv_lora + s->dk_rope, n = rows->n, k_width = (int64_t)heads * s->dk;
    struct mu_attn a = {.q = b->q,
                        .ldq = k_width,
                        .out = b->heads,
                        .ldo = (int64_t)heads * s->dv,
                        .n_heads = heads,
                        .scale = s->scale,
                        .window = s->window};

    MU_TRY_RETURN(per_head(m, l->heads[0], heads, b->k, s->dk, b->kv_a, ld, 0, n, e));
    MU_TRY_RETURN(per_head(m, l->heads[1], heads, b->v, s->dv, b->kv_a, ld, 0, n, e));
    MU_TRY_RETURN(
        ops->gather(m->d, b->k + s->dk_nope, s->dk, b->kv_a + s->kv_lora, ld, b->per_head, n * heads, s->dk_rope, e));
    MU_TRY_RETURN(ops->kv_store(m->d, &l->kv, rows, b->k, k_width, b->v, a.ldo, e));
    return mu_attend(m, l, &a, rows, e);
}

int mu_attention_latent(struct mu_model *m, int layer, const float *x, const struct mu_rows *rows, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    struct mu_layer *l = &m->layers[layer];

    MU_TRY_RETURN(queries(m, l, s, x, rows->n, e));
    MU_TRY_RETURN(latents(m, l, s, x, rows->n, e));
    return m->opts.mla == MU_MLA_ABSORBED ? absorbed(m, l, s, rows, e) : naive(m, l, s, rows, e);
}
