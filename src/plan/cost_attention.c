/* cost_attention.c - projections, scores and values of one layer's attention, on the rank with most heads, and the sum
 *
 *
 * Latent attention (DeepSeek-V2, arXiv 2405.04434) is counted in its absorbed form, as our forward pass computes it:
 * queries of kv_lora + dk_rope elements meet one latent cache, which every tensor rank reads.
 *
 * Ranks that share a cache read it once between them, for the heads of all; queries and states travel between them
 * (model/attention_shared.c). */
#include <math.h>

#include "plan/cost_int.h"

#include "base/check.h"

static double kv_heads(const struct cost_at *at, const struct mu_layer_spec *l)
{
    return cost_share(l->n_kv_heads, at->tp / mu_layout_cp(at->l));
}

double cost_kv_elements(const struct cost_at *at, const struct mu_layer_spec *l)
{
    double n = l->attn == MU_ATTN_LATENT ? l->kv_lora + l->dk_rope : kv_heads(at, l) * (l->dk + l->dv);
    return n / mu_layout_cp(at->l);
}

/* Queries to all that share the cache, states back; a piece of the rows at a time. */
static void exchange(const struct cost_at *at, const struct mu_layer_spec *l, double rows, double heads,
                     struct mu_cost_step *to)
{
    int cp = mu_layout_cp(at->l);
    bool is_latent = l->attn == MU_ATTN_LATENT;
    double pieces = ceil(rows / MU_SHARED_ROWS), each = rows / pieces * heads * cp; /* rows of one head */
    double q = is_latent ? l->kv_lora + l->dk_rope : l->dk,
           state = (double)MU_ATTN_STATE(is_latent ? l->kv_lora : l->dv);
    if (cp == 1)
        return;
    to->comm += pieces * cost_all_gather_s(at, cp, each * q * (double)sizeof(float));
    to->comm += pieces * cost_all_to_all_s(at, cp, each * state * (double)sizeof(float));
}

static void projections(const struct cost_at *at, const struct mu_layer_spec *l, double rows, double heads,
                        struct mu_cost_step *to)
{
    double hidden = (double)at->s->hidden;
    if (l->attn == MU_ATTN_GROUPED) {
        double kv = kv_heads(at, l) * (l->dk + l->dv);
        cost_product(at, rows, heads * l->dk + kv, hidden, to);
    } else {
        double q = heads * (l->dk_nope + l->dk_rope);
        if (l->q_lora) {
            cost_product(at, rows, l->q_lora, hidden, to);
            cost_product(at, rows, q, l->q_lora, to);
        } else {
            cost_product(at, rows, q, hidden, to);
        }
        cost_product(at, rows, l->kv_lora + l->dk_rope, hidden, to);
        cost_product(at, rows, heads * (l->dk_nope + l->dv), l->kv_lora, to);
    }
    cost_product(at, rows, hidden, heads * l->dv, to);
}

void cost_attention(const struct cost_at *at, const struct mu_layer_spec *l, const struct cost_rows *r,
                    struct mu_cost_step *to)
{
    struct cost_cut cut = cost_cut_of(at, l->n_heads, l->dv, mu_shard_o_tile(l));
    double heads = cut.widest;
    double width = l->attn == MU_ATTN_LATENT ? 2.0 * l->kv_lora + l->dk_rope : (double)l->dk + l->dv;
    double keys = r->keys, keys_end = r->keys_end, part = at->g->attention;
    if (l->window && keys > l->window)
        keys = l->window;
    if (l->window && keys_end > l->window)
        keys_end = l->window;
    if (part <= 0)
        part = at->m->device.attention.n ? mu_curve_at(&at->m->device.attention, r->rows / r->sequences) : at->product;
    double flop = 2 * r->rows * keys * heads * width;
    double read = r->sequences * keys_end * cost_kv_elements(at, l) * at->kv_bytes;
    projections(at, l, r->rows, heads, to);
    exchange(at, l, r->rows, heads, to);
    cost_roofline(at, flop / (at->attention_peak * part), cost_read_s(at, read, at->g->kv), to);
    to->comm += cost_sum_s(at, &cut, r->rows * cost_row_bytes(at));
}
