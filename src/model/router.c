/* router.c - softmax and sigmoid routers with groups
 *
 * Sources: modeling_mixtral.py (softmax, top-k, renormalised), modeling_deepseek_v2.py (greedy and
 * group_limited_greedy), modeling_deepseek_v3.py (noaux_tc: sigmoid and correction bias for the choice, sigmoid alone
 * for the weight). */
#include "model/router.h"

#include <math.h>

#include "base/check.h"

static void softmax(float *p, const float *logits, int n)
{
    float top = logits[0], sum = 0;
    for (int i = 1; i < n; i++)
        top = fmaxf(top, logits[i]);
    for (int i = 0; i < n; i++) {
        p[i] = (float)exp((double)logits[i] - (double)top);
        sum += p[i];
    }
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}

static void sigmoid(float *p, const float *logits, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (float)(1 / (1 + exp(-(double)logits[i])));
}

static int best_of(const float *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

static float group_score(const struct mu_moe_spec *m, const float *v, int n)
{
    int best = best_of(v, n);
    if (!m->is_group_score_top2sum)
        return v[best];
    float second = -INFINITY;
    for (int i = 0; i < n; i++)
        if (i != best)
            second = fmaxf(second, v[i]);
    return v[best] + second;
}

/* Experts outside the best groups get -inf, below every score. */
static void drop_groups(const struct mu_moe_spec *m, float *choice)
{
    float score[MU_EXPERTS_MAX];
    bool is_kept[MU_EXPERTS_MAX] = {false};
    int n = m->n_experts / m->n_groups;

    for (int g = 0; g < m->n_groups; g++)
        score[g] = group_score(m, choice + g * n, n);
    for (int i = 0; i < m->top_groups; i++) {
        int g = best_of(score, m->n_groups);
        is_kept[g] = true;
        score[g] = -INFINITY;
    }
    for (int x = 0; x < m->n_experts; x++)
        if (!is_kept[x / n])
            choice[x] = -INFINITY;
}

/* The top_k best of choice, marked by NaN in it, then listed in increasing index. */
static void choose(const struct mu_moe_spec *m, float *choice, int32_t *experts)
{
    int n = 0;
    for (int i = 0; i < m->top_k; i++) {
        int best = -1;
        for (int x = 0; x < m->n_experts; x++)
            if (!isnan(choice[x]) && (best < 0 || choice[x] > choice[best]))
                best = x;
        choice[best] = NAN;
    }
    for (int x = 0; x < m->n_experts; x++)
        if (isnan(choice[x]))
            experts[n++] = x;
}

static void weigh(const struct mu_moe_spec *m, const float *probability, const int32_t *experts, float *weights)
{
    float sum = m->router == MU_ROUTER_SIGMOID_GROUPS ? 1e-20f : 0;
    for (int i = 0; i < m->top_k; i++) {
        weights[i] = probability[experts[i]];
        sum += weights[i];
    }
    for (int i = 0; i < m->top_k; i++) {
        if (m->is_normalised)
            weights[i] /= sum;
        weights[i] *= (float)m->scaling;
    }
}

int mu_route(const struct mu_moe_spec *m, const float *logits, const float *bias, float *probability, float *choice,
             int32_t *experts, float *weights, struct mu_err *e)
{
    for (int x = 0; x < m->n_experts; x++)
        if (!isfinite(logits[x]))
            return mu_fail(e, MU_ENUMERIC, "the router's score of expert %d is %g: the weights or activations overflow",
                           x, (double)logits[x]);
    if (m->router == MU_ROUTER_SIGMOID_GROUPS)
        sigmoid(probability, logits, m->n_experts);
    else
        softmax(probability, logits, m->n_experts);
    for (int x = 0; x < m->n_experts; x++)
        choice[x] = bias ? probability[x] + bias[x] : probability[x];
    if (m->n_groups > 1)
        drop_groups(m, choice);
    choose(m, choice, experts);
    weigh(m, probability, experts, weights);
    return MU_OK;
}
