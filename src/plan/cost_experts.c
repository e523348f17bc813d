/* cost_experts.c - a layer's experts: which are read, who computes most, and the way there and back
 *
 * Rows choose top_k of n_experts, taken as uniform and independent: an expert is met with probability
 * 1 - (1 - k/E)^rows, and only experts that are met are read. All wait for the slowest rank. What chance gives to the
 * fullest of n ranks is the mean of one and so many standard deviations more as the largest of n normal values has
 * (Tippett 1925); choices without repetition and a fixed sum make the deviation sqrt(mean * part left over). Copies of
 * experts share their rows, which evens them out; how uneven loads really are is not known here.
 *
 * The way, ours (model/moe.c, moe_lanes.c): ranks of one lane have its rows, compute their own experts, and put the
 * outputs together by an all-gather, or by slices of the rows where that moves less. Lanes send a row to each expert
 * it chose and back, in rounds of as many rows as one rank's step has, so with full steps the experts of a rank are
 * read once a lane. Others: an all-reduce over the tensor ranks; between lanes rows travel to a rank once however many
 * of its experts they chose, of G ranks to G (1 - (1 - 1/G)^k) (compare DeepEP's get_theoretical_num_sms, which counts
 * without replacement). */
#include <math.h>

#include "plan/cost_int.h"

#include "base/check.h"

#define EXPERT_OPS 5 /* started for each expert on a host: three products, a gate, a sum */

/* The mean of the largest of x normal values with mean 0 and deviation 1. */
static const struct mu_curve largest_of = {11,
                                           {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024},
                                           {0, 0.564, 1.029, 1.424, 1.766, 2.07, 2.344, 2.595, 2.827, 3.044, 3.248}};

/* What the slowest rank has to do. */
struct load {
    double experts; /* that it reads */
    double rows;    /* choices of rows that it computes */
};

/* Of all lanes' rows together. */
static struct load slowest(const struct cost_at *at, const struct mu_moe_spec *x, double rows)
{
    double n = x->n_experts, k = x->top_k, places = n + (double)at->w->redundant_experts;
    double held = cost_share(places, at->expert_ranks), most = mu_curve_at(&largest_of, at->expert_ranks);
    double met = 1 - pow(1 - k / places, rows), read = held * met, mean = rows * k * held / places;
    struct load l;

    l.rows = mean + most * sqrt(mean * (n - k) / MU_MAX(n - 1, 1) * n / places);
    l.rows = MU_MIN(l.rows, rows * MU_MIN(k, held));
    l.experts = read + most * sqrt(read * (1 - met) * places / MU_MAX(places - 1, 1));
    l.experts = MU_MIN(l.experts, MU_MIN(held, l.rows));
    return l;
}

/* The experts that are met, as one grouped product: gate and up, then down. */
static void compute(const struct cost_at *at, const struct mu_moe_spec *x, const struct load *l,
                    struct mu_cost_step *to)
{
    struct mu_cost_step one = {0};
    double hidden = (double)at->s->hidden, each = l->experts > 0 ? l->rows / l->experts : 0;
    cost_product(at, each, 2.0 * x->ffn, hidden, &one);
    cost_product(at, each, hidden, x->ffn, &one);
    to->compute += one.compute * l->experts;
    to->memory += one.memory * l->experts;
}

/* ---- the way, ours ---- */

static double one_lane_s(const struct cost_at *at, const struct mu_moe_spec *x, double rows, const struct load *l)
{
    if (!mu_shard_pays_slices(x->top_k, at->tp, rows))
        return cost_all_gather_s(at, at->tp, rows * x->top_k * cost_row_bytes(at));
    return cost_all_to_all_s(at, at->tp, l->rows * cost_row_bytes(at)) +
           cost_all_gather_s(at, at->tp, rows * cost_row_bytes(at));
}

/* A tensor rank sees to its slice of its lane's rows. */
static double rounds_of(const struct cost_at *at, double rows)
{
    double most = ceil((double)at->g->chunk_rows / at->expert_ranks);
    return most > 0 ? MU_MAX(1, ceil(rows / at->tp / most)) : 1;
}

/* Of one round: how many rows go where, the rows, their outputs. l: what the fullest rank gets. */
static double round_s(const struct cost_at *at, const struct mu_moe_spec *x, const struct load *l)
{
    double counts = (double)(x->n_experts + at->w->redundant_experts) * (double)sizeof(int32_t);
    return cost_all_to_all_s(at, at->expert_ranks, counts) +
           2 * cost_all_to_all_s(at, at->expert_ranks, l->rows * cost_row_bytes(at));
}

static void own(const struct cost_at *at, const struct mu_moe_spec *x, double rows, struct mu_cost_step *to)
{
    double lanes = at->expert_ranks / at->tp, rounds = lanes > 1 ? rounds_of(at, rows) : 1;
    struct load l = slowest(at, x, rows * lanes / rounds);
    struct mu_cost_step one = {0};

    compute(at, x, &l, &one);
    to->compute += one.compute * rounds;
    to->memory += one.memory * rounds;
    if (at->m->is_host)
        to->launch += EXPERT_OPS * l.experts * rounds * at->m->device.launch_s;
    if (lanes > 1)
        to->comm += rounds * round_s(at, x, &l) + cost_all_gather_s(at, at->tp, rows * cost_row_bytes(at));
    else
        to->comm += one_lane_s(at, x, rows, &l);
}

/* ---- the way, others' ---- */

static void others(const struct cost_at *at, const struct mu_moe_spec *x, double rows, struct mu_cost_step *to)
{
    double ranks = at->expert_ranks, met = ranks * (1 - pow(1 - 1 / ranks, x->top_k));
    double elements = rows / at->tp * met * (double)at->s->hidden; /* a lane's ranks share its rows out */
    struct load l = slowest(at, x, rows * ranks / at->tp);

    compute(at, x, &l, to);
    to->comm += cost_sum_s(at, NULL, rows * cost_row_bytes(at));
    if (at->expert_ranks == at->tp)
        return;
    to->comm += cost_all_to_all_s(at, at->expert_ranks, elements * at->weight_bytes);
    to->comm += cost_all_to_all_s(at, at->expert_ranks, elements * at->g->act_bytes);
}

static void shared(const struct cost_at *at, const struct mu_moe_spec *x, double rows, struct mu_cost_step *to)
{
    int64_t ffn = (int64_t)x->n_shared * x->ffn;
    struct cost_cut c = cost_cut_of(at, ffn, 1, mu_shard_down_tile(ffn));
    cost_product(at, rows, 2 * c.widest, (double)at->s->hidden, to);
    cost_product(at, rows, (double)at->s->hidden, c.widest, to);
    if (at->g->is_own_comm)
        to->comm += cost_sum_s(at, &c, rows * cost_row_bytes(at));
}

void cost_experts(const struct cost_at *at, const struct mu_layer_spec *l, double rows, struct mu_cost_step *to)
{
    cost_product(at, rows, l->moe.n_experts, (double)at->s->hidden, to);
    if (at->g->is_own_comm)
        own(at, &l->moe, rows, to);
    else
        others(at, &l->moe, rows, to);
    if (l->moe.n_shared)
        shared(at, &l->moe, rows, to);
}
