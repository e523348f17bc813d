/* cost_step.c - the layers of one stage, the embedding and the head
 *
 * Row operations (norms, residuals, rotary, activation) read and write memory: counted as ROW_PASSES passes over a
 * row's hidden elements and GATE_PASSES over its MLP elements. */
#include <string.h>

#include "plan/cost_int.h"

#include "base/check.h"

#define ROW_PASSES  10
#define GATE_PASSES 3

static double mlp_width(const struct cost_at *at, const struct mu_layer_spec *l)
{
    if (l->mlp == MU_MLP_MOE)
        return (double)l->moe.ffn * (l->moe.top_k + l->moe.n_shared) / at->tp;
    return cost_share(l->ffn, at->tp);
}

static void layer(const struct cost_at *at, const struct mu_layer_spec *l, const struct cost_rows *r,
                  struct mu_cost_step *to)
{
    double hidden = (double)at->s->hidden, width = mlp_width(at, l);
    cost_attention(at, l, r, to);
    if (l->mlp == MU_MLP_MOE) {
        cost_experts(at, l, r->rows, to);
    } else {
        cost_product(at, r->rows, l->mlp == MU_MLP_GATED ? 2 * width : width, hidden, to);
        cost_product(at, r->rows, hidden, width, to);
    }
    to->memory += cost_read_s(at, r->rows * (ROW_PASSES * hidden + GATE_PASSES * width) * at->g->act_bytes, 1);
    to->comm += 2 * cost_all_reduce_s(at, at->tp, r->rows * hidden * at->g->act_bytes);
    to->launch += at->g->layer_ops * at->m->device.launch_s;
}

static void add(struct mu_cost_step *to, const struct mu_cost_step *one)
{
    to->compute += one->compute;
    to->memory += one->memory;
    to->comm += one->comm;
    to->launch += one->launch;
}

static void head(const struct cost_at *at, const struct cost_rows *r, struct mu_cost_step *to)
{
    cost_product(at, r->logits, cost_share((double)at->s->vocab, at->tp), (double)at->s->hidden, to);
    to->comm += cost_all_reduce_s(at, at->tp, r->logits * 8);
}

void cost_stage(const struct cost_at *at, int stage, const struct cost_rows *r, struct mu_cost_step *to)
{
    const struct mu_layer_spec *layers = at->s->layers;
    int begin = stage ? at->l->stage_end[stage - 1] : 0, end = at->l->stage_end[stage];
    struct mu_cost_step one = {0};

    for (int i = begin; i < end; i++) {
        if (i == begin || memcmp(&layers[i], &layers[i - 1], sizeof layers[i]) != 0) {
            one = (struct mu_cost_step){0};
            layer(at, &layers[i], r, &one);
        }
        add(to, &one);
    }
    if (stage == 0)
        to->comm += cost_all_reduce_s(at, at->tp, r->rows * (double)at->s->hidden * at->g->act_bytes);
    if (stage == at->l->pp - 1)
        head(at, r, to);
    to->launch += at->g->step_s / at->l->pp + at->g->row_s * r->sequences / at->l->pp;
    to->total = to->compute + to->memory + to->comm + to->launch;
}
