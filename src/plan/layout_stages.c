/* layout_stages.c - cutting layers into pipeline stages
 *
 * A stage's time goes with the parameters a token uses, its memory with those it holds. Two searches by halving, each
 * over a greedy filling of stages from the front: the least time of the slowest stage, then, inside a little more than
 * that time, the least memory of the fullest. */
#include "plan/layout.h"

#include "base/check.h"

#define TIME_SLACK 1.05 /* how much slower a cut may be that holds less */
#define HALVINGS   50

static double attention_params(const struct mu_spec *s, const struct mu_layer_spec *l)
{
    double D = (double)s->hidden, heads = l->n_heads, o = heads * l->dv * D;
    if (l->attn != MU_ATTN_LATENT)
        return heads * l->dk * D + (double)l->n_kv_heads * (l->dk + l->dv) * D + o;
    double q = l->q_lora > 0 ? (D + heads * l->dk) * l->q_lora : heads * l->dk * D;
    return q + D * (l->kv_lora + l->dk_rope) + heads * (l->dk_nope + l->dv) * l->kv_lora + o;
}

struct mu_layer_weight mu_layer_weight_of(const struct mu_spec *s, const struct mu_layer_spec *l)
{
    double D = (double)s->hidden, attn = attention_params(s, l);
    if (l->mlp != MU_MLP_MOE) {
        double mlp = (l->mlp == MU_MLP_GATED ? 3 : 2) * D * l->ffn;
        return (struct mu_layer_weight){attn + mlp, attn + mlp};
    }
    const struct mu_moe_spec *m = &l->moe;
    double expert = 3 * D * m->ffn, common = attn + D * m->n_experts + expert * m->n_shared;
    return (struct mu_layer_weight){common + expert * m->n_experts, common + expert * m->top_k};
}

struct cut {
    const struct mu_spec *s;
    int pp;
    struct mu_layer_weight layers[MU_LAYERS_MAX];
    double table; /* parameters of the embedding, and of the head */
};

/* Fills stages up to the bounds; false when the last one overflows. ends may be NULL. */
static bool fill(const struct cut *c, double used_max, double held_max, int *ends)
{
    int n = c->s->n_layers, at = 0;
    for (int stage = 0; stage < c->pp; stage++) {
        int last = n - (c->pp - 1 - stage); /* every stage after this one gets a layer */
        bool is_last = stage == c->pp - 1;
        double used = is_last ? c->table : 0, held = (stage == 0 ? c->table : 0) + (is_last ? c->table : 0);
        int begin = at;
        while (at < last &&
               (at == begin || (used + c->layers[at].used <= used_max && held + c->layers[at].held <= held_max))) {
            used += c->layers[at].used;
            held += c->layers[at++].held;
        }
        if (used > used_max || held > held_max || (is_last && at < n))
            return false;
        if (ends)
            ends[stage] = at;
    }
    return true;
}

/* The least bound (of time, or of memory with time_max given) under which stages can be filled. */
static double least(const struct cut *c, double hi, double time_max)
{
    double lo = 0;
    for (int i = 0; i < HALVINGS; i++) {
        double mid = (lo + hi) / 2;
        bool ok = time_max > 0 ? fill(c, time_max, mid, NULL) : fill(c, mid, 1e300, NULL);
        *(ok ? &hi : &lo) = mid;
    }
    return hi;
}

void mu_layout_cut_stages(struct mu_layout *l, const struct mu_spec *s)
{
    struct cut c;
    double used = 0, held = 0;

    c.s = s, c.pp = l->pp;
    c.table = (double)s->vocab * (double)s->hidden;
    for (int i = 0; i < s->n_layers; i++) {
        c.layers[i] = mu_layer_weight_of(s, &s->layers[i]);
        used += c.layers[i].used;
        held += c.layers[i].held;
    }
    memset(l->stage_end, 0, sizeof l->stage_end);
    double time = TIME_SLACK * least(&c, used + 2 * c.table, 0);
    fill(&c, time, least(&c, held + 2 * c.table, time), l->stage_end);
    l->stage_end[l->pp - 1] = s->n_layers;
}
