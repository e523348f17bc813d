/* moe_lanes.c - experts that several lanes share: rows travel to them and back
 *
 * Lanes hold different rows; all ranks of the stage hold experts. The tensor ranks of a lane, which have its rows all
 * of them, each see to a slice of them, and put the slices together at the end. A slice goes in rounds of at most
 * mu_round_rows() rows, so that what may arrive at one rank is bounded by a step of one rank alone, however many lanes
 * there are; all ranks make as many rounds as the longest slice of any lane takes. A round:
 *
 *   deal       rows to copies of their experts             list       rows by copy, so also by rank
 *   counts     how many go to each copy of each rank
 *   send       hidden rows, to the ranks of these copies   sort       what arrived, by copy
 *   experts    each over its run of rows                   return     outputs the way they came
 *   combine    as moe.c: a row adds its experts by index */
#include <string.h>

#include "base/check.h"
#include "model/model_int.h"

struct round {
    struct mu_model *m;
    int layer, ranks;
    int64_t held; /* copies of experts on this rank */
    size_t row_bytes;
};

static struct mu_run copies_of(const struct round *t, int rank)
{
    return mu_experts_on(&t->m->shard, &t->m->spec, t->layer, rank);
}

/* r.counts_in: how many rows of each rank come for each copy held. */
static int exchange_counts(const struct round *t, struct mu_err *e)
{
    struct mu_routing *r = &t->m->r;
    int n = mu_experts_copies(&t->m->shard, &t->m->spec, t->layer);

    for (int c = 0; c < n; c++)
        r->counts[c] = r->first[c + 1] - r->first[c];
    for (int q = 0; q < t->ranks; q++) {
        r->bytes_out[q] = (size_t)copies_of(t, q).n * sizeof *r->counts;
        r->bytes_in[q] = (size_t)t->held * sizeof *r->counts;
    }
    return mu_comm_all_to_all(t->m->shard.experts, r->counts, r->bytes_out, r->counts_in, r->bytes_in, e);
}

static void count_bytes(const struct round *t)
{
    struct mu_routing *r = &t->m->r;
    for (int q = 0; q < t->ranks; q++) {
        struct mu_run on = copies_of(t, q);
        int64_t n = 0;
        for (int64_t i = 0; i < t->held; i++)
            n += r->counts_in[q * t->held + i];
        r->bytes_in[q] = (size_t)n * t->row_bytes;
        r->bytes_out[q] = (size_t)(r->first[on.begin + on.n] - r->first[on.begin]) * t->row_bytes;
    }
}

/* Rows came rank by rank, within a rank by copy: where each goes so that a copy's lie together. Returns how many there
 * are. */
static int64_t sort_arrivals(const struct round *t)
{
    struct mu_routing *r = &t->m->r;
    int32_t at = 0;

    memset(r->first_in, 0, (size_t)(t->held + 1) * sizeof *r->first_in);
    for (int64_t i = 0; i < t->ranks * t->held; i++)
        r->first_in[i % t->held + 1] += r->counts_in[i];
    for (int64_t x = 0; x < t->held; x++)
        r->first_in[x + 1] += r->first_in[x];
    for (int64_t i = 0; i < t->ranks * t->held; i++) {
        for (int32_t k = 0; k < r->counts_in[i]; k++, at++) {
            int32_t to = r->first_in[i % t->held]++;
            r->arrival[to] = at;
            r->departure[at] = to;
        }
    }
    for (int64_t x = t->held; x > 0; x--) /* each entry has moved on to its end: shift back */
        r->first_in[x] = r->first_in[x - 1];
    r->first_in[0] = 0;
    return at;
}

/* b.arrived becomes the outputs of its rows. */
static int run_experts(const struct round *t, struct mu_err *e)
{
    struct mu_model *m = t->m;
    const struct mu_ops *ops = m->d->ops;
    struct mu_buffers *b = &m->b;
    int64_t D = m->spec.hidden, n = sort_arrivals(t);

    MU_TRY_RETURN(m->d->dev->upload(m->d, b->arrival, m->r.arrival, (size_t)n * sizeof(int32_t), e));
    MU_TRY_RETURN(m->d->dev->upload(m->d, b->departure, m->r.departure, (size_t)n * sizeof(int32_t), e));
    MU_TRY_RETURN(ops->gather(m->d, b->dispatched, D, b->arrived, D, b->arrival, n, D, e));
    MU_TRY_RETURN(mu_moe_experts(m, t->layer, m->r.first_in, b->expert_out, b->dispatched, e));
    MU_TRY_RETURN(ops->gather(m->d, b->arrived, D, b->expert_out, D, b->departure, n, D, e));
    return m->d->dev->synchronize(m->d, e);
}

/* Rows [begin, end), which may be none. */
static int run_round(const struct round *t, float *y, const float *x, int64_t begin, int64_t end, struct mu_err *e)
{
    struct mu_model *m = t->m;
    struct mu_routing *r = &m->r;
    struct mu_comm *c = m->shard.experts;
    int64_t D = m->spec.hidden, n = end - begin, top_k = m->spec.layers[t->layer].moe.top_k;

    mu_moe_deal(m, t->layer, begin, end, mu_comm_rank(c));
    MU_TRY_RETURN(mu_moe_list(m, t->layer, begin, end, e));
    MU_TRY_RETURN(m->d->ops->gather(m->d, m->b.sent, D, x + begin * D, D, m->b.choice_rows, n * top_k, D, e));
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    MU_TRY_RETURN(exchange_counts(t, e));
    count_bytes(t);
    MU_TRY_RETURN(mu_comm_all_to_all(c, m->b.sent, r->bytes_out, m->b.arrived, r->bytes_in, e));
    MU_TRY_RETURN(run_experts(t, e));
    MU_TRY_RETURN(mu_comm_all_to_all(c, m->b.arrived, r->bytes_in, m->b.sent, r->bytes_out, e));
    return mu_moe_combine(m, t->layer, y + begin * D, m->b.sent, n, e);
}

int mu_moe_lanes(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    int64_t tp = m->shard.tp_size, rows = mu_round_rows(&m->opts), longest = (m->r.max_rows + tp - 1) / tp;
    struct mu_slice own = mu_slice_of(&m->shard, n, m->shard.tp_rank);
    struct round t = {.m = m,
                      .layer = layer,
                      .ranks = mu_expert_ranks(&m->opts),
                      .held = mu_experts_held(&m->shard, &m->spec, layer).n,
                      .row_bytes = (size_t)m->spec.hidden * sizeof(float)};

    MU_TRY_RETURN(mu_moe_route(m, layer, x, n, e));
    for (int64_t done = 0; done < longest; done += rows) {
        int64_t to = MU_MIN(own.begin + rows, own.end);
        MU_TRY_RETURN(run_round(&t, y, x, own.begin, to, e));
        own.begin = to;
    }
    return mu_moe_put_together(m, y, n, e);
}
