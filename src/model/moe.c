/* moe.c - a layer of experts, cut where experts may live on other ranks
 *
 *   route      scores of all rows -> experts and weights of each row
 *   deal       experts -> the copies that serve the row (expert_table.h; alone, an expert is its copy); rows listed by
 *              copy
 *   dispatch   rows gathered in that order: each copy's rows lie together
 *   experts    each expert's MLP over its run of rows
 *   combine    y = sum over experts in increasing index of weight * output, from zero; then + shared experts
 *
 * The order of the sum is part of the result (design, section 6): a row adds its experts by index, wherever they ran.
 *
 * An expert's rows take turns among its copies: an expert's output for a row is the same bits wherever it is computed.
 *
 * Tensor ranks of one lane have the same rows, and what is listed by copy is listed by rank. Each runs its own experts.
 * Then one all-gather in place puts all outputs together and every rank combines them: n * top_k rows come to each, in
 * one collective, which is what counts for the few rows of a decode step. Or every rank sees to a slice of the rows:
 * outputs go where their row is combined, and the slices are put together: n * top_k / ranks rows and n more, in two
 * collectives and with a copy to put outputs in order. Several lanes: moe_lanes.c. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "model/model_int.h"
#include "model/router.h"

void mu_moe_deal(struct mu_model *m, int layer, int64_t begin, int64_t end, int source)
{
    const struct mu_expert_layer *t = mu_expert_layer(&m->shard, layer);
    const struct mu_moe_spec *s = &m->spec.layers[layer].moe;
    struct mu_routing *r = &m->r;

    memset(r->dealt, 0, (size_t)s->n_experts * sizeof *r->dealt);
    for (int64_t i = begin * s->top_k; i < end * s->top_k; i++) {
        int32_t x = r->experts[i];
        r->copies[i] = mu_expert_copy(t, x, (source + r->dealt[x]++) % mu_expert_copies(t, x));
    }
}

/* Rows [begin, end) sorted by copy, of which there are n, in increasing row within one: a counting sort. */
static void list_by_copy(struct mu_routing *r, int n, int top_k, int64_t begin, int64_t end)
{
    memset(r->first, 0, (size_t)(n + 1) * sizeof *r->first);
    for (int64_t i = begin * top_k; i < end * top_k; i++)
        r->first[r->copies[i] + 1]++;
    for (int c = 0; c < n; c++)
        r->first[c + 1] += r->first[c];
    for (int64_t i = begin * top_k; i < end * top_k; i++) {
        int32_t at = r->first[r->copies[i]]++;
        r->rows[at] = (int32_t)(i / top_k - begin);
        r->row_weights[at] = r->weights[i];
    }
    for (int c = n; c > 0; c--) /* each entry has moved on to its end: shift back */
        r->first[c] = r->first[c - 1];
    r->first[0] = 0;
}

int mu_moe_list(struct mu_model *m, int layer, int64_t begin, int64_t end, struct mu_err *e)
{
    const struct mu_moe_spec *s = &m->spec.layers[layer].moe;
    size_t bytes = (size_t)((end - begin) * s->top_k) * 4;

    list_by_copy(&m->r, mu_experts_copies(&m->shard, &m->spec, layer), s->top_k, begin, end);
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

int64_t *mu_model_expert_rows(struct mu_model *m, int64_t *n)
{
    *n = (int64_t)m->spec.n_layers * mu_experts_most(&m->spec);
    return m->r.total;
}

static void count_rows(struct mu_model *m, int layer, int64_t n)
{
    int64_t *total = m->r.total + (int64_t)layer * mu_experts_most(&m->spec);
    for (int64_t i = 0; i < n * m->spec.layers[layer].moe.top_k; i++)
        total[m->r.experts[i]]++;
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
    count_rows(m, layer, n);
    return MU_OK;
}

int mu_moe_experts(struct mu_model *m, int layer, const int32_t *first, float *y, const float *x, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    struct mu_matrix *const *w = m->layers[layer].expert;
    int64_t D = m->spec.hidden, held = mu_experts_held(&m->shard, &m->spec, layer).n;

    for (int64_t i = 0; i < held; i++) {
        int64_t from = first[i] - first[0], n = first[i + 1] - first[i];
        if (n == 0)
            continue;
        MU_TRY_RETURN(mu_gate(m, s->act, &w[0][i], &w[1][i], x + from * D, n, e));
        MU_TRY_RETURN(mu_linear(m, &w[2][i], y + from * D, m->b.gate, n, e));
    }
    return MU_OK;
}

static int add_copy(struct mu_model *m, int32_t copy, float *y, const float *outputs, struct mu_err *e)
{
    int64_t D = m->spec.hidden, from = m->r.first[copy], rows = m->r.first[copy + 1] - from;
    if (rows == 0)
        return MU_OK;
    return m->d->ops->scatter_add(m->d, y, D, outputs + from * D, D, m->b.choice_rows + from,
                                  m->b.choice_weights + from, rows, D, e);
}

int mu_moe_combine(struct mu_model *m, int layer, float *y, const float *outputs, int64_t n, struct mu_err *e)
{
    const struct mu_expert_layer *t = mu_expert_layer(&m->shard, layer);
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(m->d->ops->gather(m->d, y, D, m->b.zero_row, 0, m->b.zeros, n, D, e));
    for (int x = 0; x < m->spec.layers[layer].moe.n_experts; x++)
        for (int i = 0; i < mu_expert_copies(t, x); i++)
            MU_TRY_RETURN(add_copy(m, mu_expert_copy(t, x, i), y, outputs, e));
    return MU_OK;
}

int mu_moe_put_together(struct mu_model *m, float *y, int64_t n, struct mu_err *e)
{
    if (m->shard.tp_size == 1 || n == 0)
        return MU_OK;
    for (int q = 0; q < m->shard.tp_size; q++) {
        struct mu_slice s = mu_slice_of(&m->shard, n, q);
        m->row_bytes[q] = (size_t)((s.end - s.begin) * m->spec.hidden) * sizeof(float);
    }
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    return mu_comm_all_gather(m->shard.tp, y, m->row_bytes, e);
}

/* Bytes of the listed rows that each tensor rank computes. */
static void count_by_rank(const struct mu_model *m, int layer, size_t *bytes)
{
    for (int q = 0; q < m->shard.tp_size; q++) {
        struct mu_run on = mu_experts_on(&m->shard, &m->spec, layer, q);
        int64_t rows = m->r.first[on.begin + on.n] - m->r.first[on.begin];
        bytes[q] = (size_t)(rows * m->spec.hidden) * sizeof(float);
    }
}

/* Few rows, or one rank: outputs of all experts everywhere, each rank's in its place. */
static int combine_all(struct mu_model *m, int layer, float *y, const int32_t *first, int64_t n, struct mu_err *e)
{
    MU_TRY_RETURN(mu_moe_experts(m, layer, first, m->b.expert_out + first[0] * m->spec.hidden, m->b.dispatched, e));
    if (m->shard.tp_size > 1 && n > 0) {
        count_by_rank(m, layer, m->row_bytes);
        MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
        MU_TRY_RETURN(mu_comm_all_gather(m->shard.tp, m->b.expert_out, m->row_bytes, e));
    }
    return mu_moe_combine(m, layer, y, m->b.expert_out, n, e);
}

/* Rows that this rank computes, `rows` of n listed by copy, in the order of the slices they belong to. */
static void sort_by_slice(struct mu_model *m, const int32_t *listed, int64_t rows, int64_t n)
{
    struct mu_routing *r = &m->r;
    int tp = m->shard.tp_size;

    memset(r->slice, 0, (size_t)(tp + 1) * sizeof *r->slice);
    for (int64_t i = 0; i < rows; i++)
        r->slice[((listed[i] + 1) * (int64_t)tp - 1) / n + 1]++;
    for (int q = 0; q < tp; q++) {
        r->bytes_out[q] = (size_t)(r->slice[q + 1] * m->spec.hidden) * sizeof(float);
        r->slice[q + 1] += r->slice[q];
    }
    for (int64_t i = 0; i < rows; i++)
        r->departure[r->slice[((listed[i] + 1) * (int64_t)tp - 1) / n]++] = (int32_t)i;
}

/* Many rows: outputs go to the rank that combines their row. */
static int combine_slices(struct mu_model *m, int layer, float *y, const struct mu_run *held, int64_t n,
                          struct mu_err *e)
{
    struct mu_slice own = mu_slice_of(&m->shard, n, m->shard.tp_rank);
    const int32_t *first = m->r.first + held->begin;
    int64_t D = m->spec.hidden, rows = first[held->n] - first[0];
    float *out = m->b.expert_out, *sent = m->b.dispatched;

    MU_TRY_RETURN(mu_moe_experts(m, layer, first, out, m->b.dispatched, e));
    sort_by_slice(m, m->r.rows + first[0], rows, n);
    MU_TRY_RETURN(m->d->dev->upload(m->d, m->b.departure, m->r.departure, (size_t)rows * sizeof(int32_t), e));
    MU_TRY_RETURN(m->d->ops->gather(m->d, sent, D, out, D, m->b.departure, rows, D, e));
    MU_TRY_RETURN(mu_moe_list(m, layer, own.begin, own.end, e));
    count_by_rank(m, layer, m->r.bytes_in);
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    MU_TRY_RETURN(mu_comm_all_to_all(m->shard.tp, sent, m->r.bytes_out, out, m->r.bytes_in, e));
    MU_TRY_RETURN(mu_moe_combine(m, layer, y + own.begin * D, out, own.end - own.begin, e));
    return mu_moe_put_together(m, y, n, e);
}

/* Where slices at least halve what moves: top_k / ranks + 1 rows in place of top_k. */
static bool pays_by_slices(const struct mu_model *m, int layer, int64_t n)
{
    int ranks = m->shard.tp_size;
    if (ranks == 1 || m->opts.slice_rows > 0)
        return ranks > 1 && n >= m->opts.slice_rows;
    return mu_shard_pays_slices(m->spec.layers[layer].moe.top_k, ranks, (double)n);
}

/* One lane: its rows are on all its ranks. */
static int run_lane(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    struct mu_run held = mu_experts_held(&m->shard, &m->spec, layer);
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(mu_moe_route(m, layer, x, n, e));
    for (int q = 0; q < m->shard.tp_size; q++) {
        struct mu_slice s = mu_slice_of(&m->shard, n, q);
        mu_moe_deal(m, layer, s.begin, s.end, q);
    }
    MU_TRY_RETURN(mu_moe_list(m, layer, 0, n, e));
    const int32_t *first = m->r.first + held.begin;
    MU_TRY_RETURN(
        m->d->ops->gather(m->d, m->b.dispatched, D, x, D, m->b.choice_rows + first[0], first[held.n] - first[0], D, e));
    return pays_by_slices(m, layer, n) ? combine_slices(m, layer, y, &held, n, e)
                                       : combine_all(m, layer, y, first, n, e);
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
