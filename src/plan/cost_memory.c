/* cost_memory.c - what an engine that is not ours keeps on the fullest device
 *
 * Published runs say which of them ran and which ran out of memory; our own bill (bill.h) says what we take, not what
 * another program takes. Weights, KV cache, activations of the prompts, and the engine's own. */
#include "plan/cost_int.h"

#include "base/check.h"

struct need {
    double fixed;   /* weights and the engine's own */
    double request; /* cache and activations of one request */
};

static double layer_weights(const struct cost_at *at, const struct mu_layer_spec *l)
{
    double hidden = (double)at->s->hidden, heads = cost_share(l->n_heads, at->tp), n = heads * l->dv * hidden;
    if (l->attn == MU_ATTN_GROUPED)
        n += hidden * (heads * l->dk + cost_share(l->n_kv_heads, at->tp / mu_layout_cp(at->l)) * (l->dk + l->dv));
    else
        n += hidden * (l->q_lora + l->kv_lora + l->dk_rope) + heads * (l->dk_nope + l->dv) * l->kv_lora +
             heads * (l->dk_nope + l->dk_rope) * (l->q_lora ? l->q_lora : hidden);
    if (l->mlp == MU_MLP_MOE)
        return n + 3 * hidden * l->moe.ffn * cost_share(l->moe.n_experts + at->w->redundant_experts, at->expert_ranks) +
               3 * hidden * cost_share((double)l->moe.n_shared * l->moe.ffn, at->tp) + hidden * l->moe.n_experts;
    return n + (l->mlp == MU_MLP_GATED ? 3 : 2) * hidden * cost_share(l->ffn, at->tp);
}

static struct need stage_need(const struct cost_at *at, int stage)
{
    const struct mu_workload *w = at->w;
    int begin = stage ? at->l->stage_end[stage - 1] : 0, end = at->l->stage_end[stage];
    double weights = 0, kv = 0, vocab = cost_share((double)at->s->vocab, at->tp) * (double)at->s->hidden;
    for (int i = begin; i < end; i++) {
        weights += layer_weights(at, &at->s->layers[i]);
        kv += cost_kv_elements(at, &at->s->layers[i]);
    }
    bool is_first = stage == 0, is_last = stage == at->l->pp - 1;
    double tables = is_first && is_last && at->s->is_tied ? 1 : (is_first ? 1 : 0) + (is_last ? 1 : 0);
    double ffn = cost_share(at->s->layers[begin].ffn, at->tp);
    double act = (at->g->act_hidden * (double)at->s->hidden + at->g->act_ffn * ffn) * at->g->act_bytes;
    return (struct need){
        .fixed = weights * at->weight_bytes + tables * vocab * MU_MAX(at->weight_bytes, 2) + at->g->base_bytes,
        .request = kv * at->kv_bytes * at->g->kv_copies * (double)(w->prompt + w->output) + act * (double)w->prompt};
}

/* The fullest stage, with `batch` requests. */
static struct need fullest(const struct cost_at *at, double batch)
{
    struct need most = {0};
    for (int i = 0; i < at->l->pp; i++) {
        struct need one = stage_need(at, i);
        if (one.fixed + batch * one.request > most.fixed + batch * most.request)
            most = one;
    }
    return most;
}

int mu_cost_memory(double *bytes, const struct mu_spec *s, const struct mu_layout *l, const struct mu_workload *w,
                   struct mu_err *e)
{
    struct mu_layout cut;
    struct cost_at at;
    MU_TRY_RETURN(cost_at_init(&at, &cut, s, l, NULL, w, e));
    struct need n = fullest(&at, (double)w->batch);
    *bytes = n.fixed + (double)w->batch * n.request;
    return MU_OK;
}

int mu_cost_batch_max(int64_t *out, const struct mu_spec *s, const struct mu_layout *l, const struct mu_machine *m,
                      const struct mu_workload *w, struct mu_err *e)
{
    struct mu_layout cut;
    struct cost_at at;
    MU_TRY_RETURN(cost_at_init(&at, &cut, s, l, m, w, e));
    struct need n = fullest(&at, 1);
    double room = m->device.memory * at.g->memory_part - n.fixed;
    int64_t fits = room > 0 ? (int64_t)(room / n.request) : 0;
    *out = at.g->batch_max ? MU_MIN(fits, at.g->batch_max) : fits;
    return MU_OK;
}
