/* moe.c - a layer of experts, cut where experts may live on other ranks
 *
 *   route      scores of all rows -> experts and weights of each row; rows listed by expert
 *   dispatch   rows gathered in that order: each expert's rows lie together
 *   experts    each expert's MLP over its run of rows
 *   combine    y = sum over experts in increasing index of weight * output, from zero; then + shared experts
 *
 * The order of the sum is part of the result (design, section 6): a row adds its experts by index, wherever they ran.
 *
 * Tensor ranks of one lane have the same rows and own blocks of experts, and outputs listed by expert are then listed
 * by rank. So each runs its own, one all-gather in place puts all outputs together, and every rank combines: one
 * collective a layer, which is what counts for the few rows of a decode step. (Sending slices of rows there and back
 * would move fewer bytes of long prefills, in three collectives.) Several lanes: moe_lanes.c. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "model/model_int.h"
#include "model/router.h"

/* Rows [begin, end) sorted by expert, in increasing row within one: a counting sort. */
static void list_by_expert(struct mu_routing *r, const struct mu_moe_spec *s, int64_t begin, int64_t end)
{
    memset(r->first, 0, (size_t)(s->n_experts + 1) * sizeof *r->first);
    for (int64_t i = begin * s->top_k; i < end * s->top_k; i++)
        r->first[r->experts[i] + 1]++;
    for (int x = 0; x < s->n_experts; x++)
        r->first[x + 1] += r->first[x];
    for (int64_t i = begin * s->top_k; i < end * s->top_k; i++) {
        int32_t at = r->first[r->experts[i]]++;
        r->rows[at] = (int32_t)(i / s->top_k - begin);
        r->row_weights[at] = r->weights[i];
    }
    for (int x = s->n_experts; x > 0; x--) /* each entry has moved on to its end: shift back */
        r->first[x] = r->first[x - 1];
    r->first[0] = 0;
}

int mu_moe_list(struct mu_model *m, int layer, int64_t begin, int64_t end, struct mu_err *e)
{
    const struct mu_moe_spec *s = &m->spec.layers[layer].moe;
    size_t bytes = (size_t)((end - begin) * s->top_k) * 4;

    list_by_expert(&m->r, s, begin, end);
    MU_TRY_RETURN(m->d->dev->upload(m->d, m->b.choice_rows, m->r.rows, bytes, e));
    return m->d->dev->upload(m->d, m->b.choice_weights, m->r.row_weights, bytes, e);
}

/* One row's experts. A row that cannot be routed goes to the first ones, with weights that hide nothing. */
static int route_row(struct mu_model *m, int layer, int64_t i, struct mu_err *e)
{
    const struct mu_moe_spec *s = &m->spec.layers[layer].moe;
    struct mu_routing *r = &m->r;
    int32_t *experts = r->experts + i * s->top_k;
    float *weights = r->weights + i * s->top_k;
    const float *bias = s->has_bias ? m->layers[layer].router_bias : NULL;
    int rc = mu_route(s, r->scores + i * s->n_experts, bias, r->probability, r->choice, experts, weights, e);

    if (rc == MU_OK || !mu_model_has_peers(m))
        return rc;
    for (int k = 0; k < s->top_k; k++) {
        experts[k] = k;
        weights[k] = NAN;
    }
    return mu_defer(m, mu_err_while(e, rc, "running layer %d", layer), e);
}

int mu_moe_route(struct mu_model *m, int layer, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_layer *l = &m->layers[layer];
    size_t bytes = (size_t)(n * m->spec.layers[layer].moe.n_experts) * sizeof(float);

    MU_TRY_RETURN(mu_linear(m, &l->matrix[MU_SLOT_ROUTER], m->b.scores, x, n, e));
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    MU_TRY_RETURN(m->d->dev->download(m->d, m->r.scores, m->b.scores, bytes, e));
    for (int64_t i = 0; i < n; i++)
        MU_TRY_RETURN(route_row(m, layer, i, e));
    return MU_OK;
}

int mu_moe_experts(struct mu_model *m, int layer, const int32_t *first, float *y, const float *x, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    struct mu_matrix *const *w = m->layers[layer].expert;
    int64_t D = m->spec.hidden, held = mu_shard_experts(&m->shard, &s->moe).n;

    for (int64_t i = 0; i < held; i++) {
        int64_t from = first[i] - first[0], n = first[i + 1] - first[i];
        if (n == 0)
            continue;
        MU_TRY_RETURN(mu_gate(m, s->act, &w[0][i], &w[1][i], x + from * D, n, e));
        MU_TRY_RETURN(mu_linear(m, &w[2][i], y + from * D, m->b.gate, n, e));
    }
    return MU_OK;
}

int mu_moe_combine(struct mu_model *m, int layer, float *y, const float *outputs, int64_t n, struct mu_err *e)
{
    const struct mu_ops *ops = m->d->ops;
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(ops->gather(m->d, y, D, m->b.zero_row, 0, m->b.zeros, n, D, e));
    for (int x = 0; x < m->spec.layers[layer].moe.n_experts; x++) {
        int64_t from = m->r.first[x], rows = m->r.first[x + 1] - from;
        if (rows > 0)
            MU_TRY_RETURN(ops->scatter_add(m->d, y, D, outputs + from * D, D, m->b.choice_rows + from,
                                           m->b.choice_weights + from, rows, D, e));
    }
    return MU_OK;
}

/* Outputs of all experts, each rank's in its place. */
static int gather_outputs(struct mu_model *m, const struct mu_moe_spec *s, struct mu_err *e)
{
    struct mu_shard sh = m->shard;

    for (sh.tp_rank = 0; sh.tp_rank < sh.tp_size; sh.tp_rank++) {
        struct mu_run held = mu_shard_experts(&sh, s);
        int64_t rows = m->r.first[held.begin + held.n] - m->r.first[held.begin];
        m->row_bytes[sh.tp_rank] = (size_t)(rows * m->spec.hidden) * sizeof(float);
    }
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    return mu_comm_all_gather(m->shard.tp, m->b.expert_out, m->row_bytes, e);
}

/* One lane: its rows are on all its ranks. */
static int run_lane(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_moe_spec *s = &m->spec.layers[layer].moe;
    struct mu_run held = mu_shard_experts(&m->shard, s);
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(mu_moe_route(m, layer, x, n, e));
    MU_TRY_RETURN(mu_moe_list(m, layer, 0, n, e));
    const int32_t *first = m->r.first + held.begin;
    MU_TRY_RETURN(
        m->d->ops->gather(m->d, m->b.dispatched, D, x, D, m->b.choice_rows + first[0], first[held.n] - first[0], D, e));
    MU_TRY_RETURN(mu_moe_experts(m, layer, first, m->b.expert_out + first[0] * D, m->b.dispatched, e));
    if (m->shard.tp_size > 1 && n > 0)
        MU_TRY_RETURN(gather_outputs(m, s, e));
    return mu_moe_combine(m, layer, y, m->b.expert_out, n, e);
}

static int shared(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_layer *l = &m->layers[layer];
    const struct mu_matrix *gate = &l->matrix[MU_SLOT_SHARED_GATE], *up = &l->matrix[MU_SLOT_SHARED_UP];
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(mu_gate(m, m->spec.layers[layer].act, gate, up, x, n, e));
    MU_TRY_RETURN(
        mu_split_linear(m, &l->sum[mu_slot_sum(MU_SLOT_SHARED_DOWN)], m->b.combined, m->b.gate, gate->n_out, n, e));
    return m->d->ops->add(m->d, y, D, y, D, m->b.combined, D, n, D, e);
}

int mu_moe(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    if (m->shard.n_lanes > 1)
        MU_TRY_RETURN(mu_moe_lanes(m, layer, y, x, n, e));
    else
        MU_TRY_RETURN(run_lane(m, layer, y, x, n, e));
    return m->spec.layers[layer].moe.n_shared > 0 ? shared(m, layer, y, x, n, e) : MU_OK;
}
