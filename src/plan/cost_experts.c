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

#define FEW_ROWS       16 /* of an expert, in the mean: beyond them chance matters little */
#define EXPERT_OPS     5  /* started for each expert on a host: three products, a gate, a sum */
#define GATHER_PASSES  2  /* a row read and written */
#define COMBINE_PASSES 3  /* the output and the sum read, the sum written */

/* The mean of the largest of x normal values with mean 0 and deviation 1. */
static const struct mu_curve largest_of = {11,
                                           {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024},
                                           {0, 0.564, 1.029, 1.424, 1.766, 2.07, 2.344, 2.595, 2.827, 3.044, 3.248}};

/* What the slowest rank has to do. */
struct load {
    double experts;       /* that it reads */
    double rows;          /* choices of rows that it computes */
    double tries, chance; /* of one expert: rows that may choose it, how likely each does */
};

/* Of all lanes' rows together. */
static struct load slowest(const struct cost_at *at, const struct mu_moe_spec *x, double rows)
{
    double n = x->n_experts, k = x->top_k, places = n + (double)at->w->redundant_experts;
    double held = cost_share(places, at->expert_ranks), most = mu_curve_at(&largest_of, at->expert_ranks);
    struct load l = {.tries = rows, .chance = k / places};
    double met = 1 - pow(1 - l.chance, rows), read = held * met, mean = rows * k * held / places;

    l.rows = mean + most * sqrt(mean * (n - k) / MU_MAX(n - 1, 1) * n / places);
    l.rows = MU_MIN(l.rows, rows * MU_MIN(k, held));
    l.experts = read + most * sqrt(read * (1 - met) * places / MU_MAX(places - 1, 1));
    l.experts = MU_MIN(l.experts, MU_MIN(held, l.rows));
    return l;
}

/* n experts of so many rows each: gate and up, which are one product elsewhere and two of ours, then down. */
static void compute_each(const struct cost_at *at, const struct mu_moe_spec *x, double n, double rows,
                         struct mu_cost_step *to)
{
    struct mu_cost_step one = {0};
    double hidden = (double)at->s->hidden;
    int parts = at->g->is_own_comm ? 2 : 1;
    for (int i = 0; i < parts; i++)
        cost_product(at, rows, 2.0 * x->ffn / parts, hidden, &one);
    cost_product(at, rows, hidden, x->ffn, &one);
    to->compute += one.compute * n;
    to->memory += one.memory * n;
}

/* The experts that are met. Where a product of few rows is known to be slower, one row and five do not cost what twice
 * three do: an expert gets r of n rows by the binomial distribution, none left out. Many rows are all alike. */
static void compute(const struct cost_at *at, const struct mu_moe_spec *x, const struct load *l,
                    struct mu_cost_step *to)
{
    double n = l->tries, p = l->chance, none = pow(1 - p, n), part = none, mean = n * p / (1 - none);
    double each = l->experts > 0 ? l->rows / l->experts : 0;
    if (at->m->device.rows.n == 0 || p >= 1 || mean > FEW_ROWS) {
        compute_each(at, x, l->experts, each, to);
        return;
    }
    for (int r = 1; r <= 4 * FEW_ROWS && n > r - 1; r++) {
        part *= (n - r + 1) / r * p / (1 - p);
        compute_each(at, x, l->experts * part / (1 - none), r * each / mean, to);
    }
}

/* ---- the way, ours ---- */

/* Rows that pass through one rank's memory: put in order, and summed. */
static double moved_rows(double ordered, double summed)
{
    return GATHER_PASSES * ordered + COMBINE_PASSES * summed;
}

static void one_lane(const struct cost_at *at, const struct mu_moe_spec *x, double rows, const struct load *l,
                     struct mu_cost_step *to)
{
    double row = cost_row_bytes(at), choices = rows * x->top_k, moved = moved_rows(l->rows, choices);
    if (!mu_shard_pays_slices(x->top_k, at->tp, rows)) {
        to->comm += cost_all_gather_s(at, at->tp, choices * row);
    } else {
        moved = moved_rows(2 * l->rows, choices / at->tp);
        to->comm += cost_all_to_all_s(at, at->tp, l->rows * row) + cost_all_gather_s(at, at->tp, rows * row);
    }
    to->memory += cost_read_s(at, moved * row, 1);
}

/* A tensor rank sees to its slice of its lane's rows. */
static double rounds_of(const struct cost_at *at, double rows)
{
    double most = ceil((double)at->g->chunk_rows / at->expert_ranks);
    return most > 0 ? MU_MAX(1, ceil(rows / at->tp / most)) : 1;
}

/* One round: how many rows go where, the rows, their outputs. sent: choices of the rank's own rows; l: what the fullest
 * rank gets. */
static void one_round(const struct cost_at *at, const struct mu_moe_spec *x, double sent, const struct load *l,
                      struct mu_cost_step *to)
{
    double row = cost_row_bytes(at), most = MU_MAX(sent, l->rows);
    double counts = (double)(x->n_experts + at->w->redundant_experts) * (double)sizeof(int32_t);
    to->comm +=
        cost_all_to_all_s(at, at->expert_ranks, counts) + 2 * cost_all_to_all_s(at, at->expert_ranks, most * row);
    to->memory += cost_read_s(at, moved_rows(sent + 2 * l->rows, sent) * row, 1);
}

static void own(const struct cost_at *at, const struct mu_moe_spec *x, const struct cost_rows *r,
                struct mu_cost_step *to)
{
    bool has_lanes = at->expert_ranks > at->tp;
    double rounds = has_lanes ? rounds_of(at, r->rows) : 1;
    struct load l = slowest(at, x, r->rows * r->lanes / rounds);
    struct mu_cost_step one = {0};

    compute(at, x, &l, &one);
    if (at->m->is_host)
        one.launch += EXPERT_OPS * l.experts * at->m->device.launch_s;
    if (has_lanes)
        one_round(at, x, r->rows * x->top_k / at->tp / rounds, &l, &one);
    else
        one_lane(at, x, r->rows, &l, &one);
    to->compute += one.compute * rounds;
    to->memory += one.memory * rounds;
    to->launch += one.launch * rounds;
    to->comm += one.comm * rounds;
    if (has_lanes)
        to->comm += cost_all_gather_s(at, at->tp, r->rows * cost_row_bytes(at));
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

void cost_experts(const struct cost_at *at, const struct mu_layer_spec *l, const struct cost_rows *r,
                  struct mu_cost_step *to)
{
    cost_product(at, r->rows, l->moe.n_experts, (double)at->s->hidden, to);
    if (at->g->is_own_comm)
        own(at, &l->moe, r, to);
    else
        others(at, &l->moe, r->rows, to);
    if (l->moe.n_shared)
        shared(at, &l->moe, r->rows, to);
}
