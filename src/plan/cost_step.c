/* cost_step.c - the layers of one stage, the embedding and the head
 *
 * Row operations (norms, residuals, rotary, activation) read and write memory: counted as ROW_PASSES passes over a
 * row's hidden elements and GATE_PASSES over its MLP elements. */
#include <math.h>
#include <string.h>

#include "plan/cost_int.h"

#include "base/check.h"

#define ROW_PASSES  10
#define GATE_PASSES 3

/* Returns the width of its inner rows on one rank. */
static double dense(const struct cost_at *at, const struct mu_layer_spec *l, double rows, struct mu_cost_step *to)
{
    struct cost_cut c = cost_cut_of(at, l->ffn, 1, mu_shard_down_tile(l->ffn));
    double hidden = (double)at->s->hidden;
    cost_product(at, rows, l->mlp == MU_MLP_GATED ? 2 * c.widest : c.widest, hidden, to);
    cost_product(at, rows, hidden, c.widest, to);
    to->comm += cost_sum_s(at, &c, rows * cost_row_bytes(at));
    return c.widest;
}

static void layer(const struct cost_at *at, const struct mu_layer_spec *l, const struct cost_rows *r,
                  struct mu_cost_step *to)
{
    double width = (double)l->moe.ffn * (l->moe.top_k + l->moe.n_shared) / at->tp;
    cost_attention(at, l, r, to);
    if (l->mlp == MU_MLP_MOE)
        cost_experts(at, l, r, to);
    else
        width = dense(at, l, r->rows, to);
    to->memory +=
        cost_read_s(at, r->rows * (ROW_PASSES * cost_row_bytes(at) + GATE_PASSES * width * at->g->act_bytes), 1);
    to->launch += at->g->layer_ops * at->m->device.launch_s;
}

static void add(struct mu_cost_step *to, const struct mu_cost_step *one)
{
    to->compute += one->compute;
    to->memory += one->memory;
    to->comm += one->comm;
    to->launch += one->launch;
}

/* Logits to the first tensor rank, a few rows at a time, and from there, where that is another one, to the rank that
 * drives the replica (engine/ranks/rank.h): all lanes' rows. */
static double own_logits_s(const struct cost_at *at, const struct cost_rows *r)
{
    double rows = r->logits, others = at->l->pp > 1 ? r->lanes : r->lanes - 1;
    double row = (double)at->s->vocab * (double)sizeof(float), calls = ceil(rows / MU_LOGITS_GATHER_ROWS);
    double s = calls > 0 ? calls * cost_all_to_all_s(at, at->tp, row * rows / calls) : 0;
    return at->g->is_flushed ? s + rows * others * cost_send_s(at, row) : s;
}

static void head(const struct cost_at *at, const struct cost_rows *r, struct mu_cost_step *to)
{
    cost_product(at, r->logits, cost_share((double)at->s->vocab, at->tp), (double)at->s->hidden, to);
    to->comm += at->g->is_own_comm ? own_logits_s(at, r) : cost_sum_s(at, NULL, r->logits * 8);
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
        to->comm += cost_sum_s(at, &at->by_rank, r->rows * cost_row_bytes(at));
    if (stage == at->l->pp - 1)
        head(at, r, to);
    to->launch += at->g->step_s / at->l->pp + at->g->row_s * r->sequences / at->l->pp;
    to->total = to->compute + to->memory + to->comm + to->launch;
}
