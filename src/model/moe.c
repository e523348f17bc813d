/* moe.c - a layer of experts, cut where experts may live on other ranks
 *
 *   route      scores of all rows -> experts and weights of each row; rows listed by expert
 *   dispatch   rows gathered in that order: each expert's rows lie together
 *   experts    each expert's MLP over its run of rows
 *   combine    y = sum over experts in increasing index of weight * output, from zero; then + shared experts
 *
 * The order of the sum is part of the result (design, section 6): a row adds its experts by index, wherever they ran.
 */
#include <string.h>

#include "base/check.h"
#include "model/model_int.h"
#include "model/router.h"

/* Rows sorted by expert, in increasing row within one: a counting sort. */
static void list_by_expert(struct mu_routing *r, const struct mu_moe_spec *s, int64_t n)
{
    memset(r->first, 0, (size_t)(s->n_experts + 1) * sizeof *r->first);
    for (int64_t i = 0; i < n * s->top_k; i++)
        r->first[r->experts[i] + 1]++;
    for (int x = 0; x < s->n_experts; x++)
        r->first[x + 1] += r->first[x];
    for (int64_t i = 0; i < n * s->top_k; i++) {
        int32_t at = r->first[r->experts[i]]++;
        r->rows[at] = (int32_t)(i / s->top_k);
        r->row_weights[at] = r->weights[i];
    }
    for (int x = s->n_experts; x > 0; x--) /* each entry has moved on to its end: shift back */
        r->first[x] = r->first[x - 1];
    r->first[0] = 0;
}

static int route(struct mu_model *m, int layer, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_moe_spec *s = &m->spec.layers[layer].moe;
    const struct mu_layer *l = &m->layers[layer];
    struct mu_routing *r = &m->r;
    size_t bytes = (size_t)(n * s->n_experts) * sizeof(float);

    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_ROUTER], m->b.scores, x, n, e));
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    MU_TRY_RETURN(m->d->dev->download(m->d, r->scores, m->b.scores, bytes, e));
    for (int64_t i = 0; i < n; i++)
        MU_TRY_RETURN(mu_route(s, r->scores + i * s->n_experts, s->has_bias ? l->router_bias : NULL, r->probability,
                               r->choice, r->experts + i * s->top_k, r->weights + i * s->top_k, e));
    list_by_expert(r, s, n);
    bytes = (size_t)(n * s->top_k) * 4;
    MU_TRY_RETURN(m->d->dev->upload(m->d, m->b.choice_rows, r->rows, bytes, e));
    return m->d->dev->upload(m->d, m->b.choice_weights, r->row_weights, bytes, e);
}

static int dispatch(struct mu_model *m, const struct mu_moe_spec *s, const float *x, int64_t n, struct mu_err *e)
{
    int64_t D = m->spec.hidden;
    return m->d->ops->gather(m->d, m->b.dispatched, D, x, D, m->b.choice_rows, n * s->top_k, D, e);
}

static int experts(struct mu_model *m, int layer, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    struct mu_matrix *const *w = m->layers[layer].expert;
    int64_t D = m->spec.hidden;

    for (int x = 0; x < s->moe.n_experts; x++) {
        int64_t from = m->r.first[x], n = m->r.first[x + 1] - from;
        if (n > 0)
            MU_TRY_RETURN(mu_gated(m, s->act, &w[0][x], &w[1][x], &w[2][x], m->b.expert_out + from * D,
                                   m->b.dispatched + from * D, n, e));
    }
    return MU_OK;
}

static int combine(struct mu_model *m, const struct mu_moe_spec *s, float *y, int64_t n, struct mu_err *e)
{
    const struct mu_ops *ops = m->d->ops;
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(ops->gather(m->d, y, D, m->b.zero_row, 0, m->b.zeros, n, D, e));
    for (int x = 0; x < s->n_experts; x++) {
        int64_t from = m->r.first[x], rows = m->r.first[x + 1] - from;
        if (rows > 0)
            MU_TRY_RETURN(ops->scatter_add(m->d, y, D, m->b.expert_out + from * D, D, m->b.choice_rows + from,
                                           m->b.choice_weights + from, rows, D, e));
    }
    return MU_OK;
}

static int shared(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_matrix *w = m->layers[layer].matrix;
    int64_t D = m->spec.hidden;
    MU_TRY_RETURN(mu_gated(m, m->spec.layers[layer].act, &w[MU_SLOT_SHARED_GATE], &w[MU_SLOT_SHARED_UP],
                           &w[MU_SLOT_SHARED_DOWN], m->b.combined, x, n, e));
    return m->d->ops->add(m->d, y, D, y, D, m->b.combined, D, n, D, e);
}

int mu_moe(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_moe_spec *s = &m->spec.layers[layer].moe;

    MU_TRY_RETURN(route(m, layer, x, n, e));
    MU_TRY_RETURN(dispatch(m, s, x, n, e));
    MU_TRY_RETURN(experts(m, layer, e));
    MU_TRY_RETURN(combine(m, s, y, n, e));
    return s->n_shared > 0 ? shared(m, layer, y, x, n, e) : MU_OK;
}
