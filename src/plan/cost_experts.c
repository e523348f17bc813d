/* cost_experts.c - a layer's experts: which are read, who computes most, and the way there and back
 *
 * Rows choose top_k of n_experts; taken as uniform and independent, an expert is read with probability
 * 1 - (1 - k/E)^rows. The fullest of n ranks has its mean m and about sqrt(2 m ln n) rows more (the maximum of n
 * Poisson counts). Rows travel to a rank once however many of its experts they chose: of G ranks a row meets
 * G (1 - (1 - 1/G)^k) (compare DeepEP's get_theoretical_num_sms, which counts without replacement). */
#include <math.h>

#include "plan/cost_int.h"

#include "base/check.h"

/* Rows of the fullest rank: all lanes' choices over the expert ranks. */
static double fullest_rows(const struct cost_at *at, const struct mu_moe_spec *x, double rows_all)
{
    double mean = rows_all * x->top_k / at->expert_ranks;
    double most = mean + sqrt(2 * mean * log(at->expert_ranks));
    return MU_MIN(most, rows_all * x->top_k);
}

static void dispatch_and_combine(const struct cost_at *at, const struct mu_moe_spec *x, double rows,
                                 struct mu_cost_step *to)
{
    double ranks = at->expert_ranks;
    double met = ranks * (1 - pow(1 - 1 / ranks, x->top_k));
    double bytes = rows / at->tp * met * (double)at->s->hidden; /* a lane's ranks share its rows out */
    to->comm += cost_all_to_all_s(at, at->expert_ranks, bytes * at->weight_bytes);
    to->comm += cost_all_to_all_s(at, at->expert_ranks, bytes * at->g->act_bytes);
}

void cost_experts(const struct cost_at *at, const struct mu_layer_spec *l, double rows, struct mu_cost_step *to)
{
    const struct mu_moe_spec *x = &l->moe;
    double hidden = (double)at->s->hidden, lanes = at->expert_ranks / at->tp;
    double rows_all = rows * lanes, n = cost_share(x->n_experts, at->expert_ranks);
    double met = n * (1 - pow(1 - (double)x->top_k / x->n_experts, rows_all));
    double each = fullest_rows(at, x, rows_all) / MU_MAX(met, 1);

    cost_product(at, rows, x->n_experts, hidden, to);
    /* The experts that are met, as one grouped product: gate and up, then down. */
    struct mu_cost_step one = {0};
    cost_product(at, each, 2.0 * x->ffn, hidden, &one);
    cost_product(at, each, hidden, x->ffn, &one);
    to->compute += one.compute * met;
    to->memory += one.memory * met;
    if (x->n_shared) {
        double ffn = cost_share((double)x->n_shared * x->ffn, at->tp);
        cost_product(at, rows, 2 * ffn, hidden, to);
        cost_product(at, rows, hidden, ffn, to);
    }
    if (lanes > 1)
        dispatch_and_combine(at, x, rows, to);
}
