/* layout_check.c - which layouts can run a spec, and the legal one nearest to one that cannot */
#include "plan/layout.h"

#include <math.h>

#include "base/check.h"

#define PRINTED_MAX 64

static int64_t tiles_of(const struct mu_layer_spec *l)
{
    int64_t tile = mu_shard_o_tile(l);
    return ((int64_t)l->n_heads * l->dv + tile - 1) / tile;
}

/* The layer whose attention the fewest ranks can share. */
static int narrowest(const struct mu_spec *s)
{
    int at = 0;
    for (int i = 1; i < s->n_layers; i++)
        at = tiles_of(&s->layers[i]) < tiles_of(&s->layers[at]) ? i : at;
    return at;
}

int mu_layout_experts(const struct mu_spec *s)
{
    int n = 0;
    for (int i = 0; i < s->n_layers; i++) {
        if (s->layers[i].mlp == MU_MLP_MOE && (n == 0 || s->layers[i].moe.n_experts < n))
            n = s->layers[i].moe.n_experts;
    }
    return n;
}

static int check_numbers(const struct mu_layout *l, struct mu_err *e)
{
    int64_t n = (int64_t)l->dp * l->pp * l->tp;
    if (l->dp < 1 || l->pp < 1 || l->tp < 1 || l->ep < 1)
        return mu_fail(e, MU_EINVAL, "dp=%d, pp=%d, tp=%d, ep=%d: each must be at least 1", l->dp, l->pp, l->tp, l->ep);
    if (l->dp > MU_COMM_RANKS_MAX || l->pp > MU_COMM_RANKS_MAX || l->tp > MU_COMM_RANKS_MAX || n > MU_COMM_RANKS_MAX)
        return mu_fail(e, MU_EINVAL, "dp=%d, pp=%d, tp=%d is more than %d ranks", l->dp, l->pp, l->tp,
                       MU_COMM_RANKS_MAX);
    if (l->ep > l->tp && l->ep % l->tp != 0)
        return mu_fail(e, MU_EINVAL, "ep=%d is above tp=%d and not a multiple of it", l->ep, l->tp);
    if (l->cp < 0 || l->cp > MU_ATTN_STRANDS || l->tp % mu_layout_cp(l) != 0)
        return mu_fail(e, MU_EINVAL, "cp=%d with tp=%d: at most %d ranks share a KV cache, and cp must divide tp",
                       l->cp, l->tp, MU_ATTN_STRANDS);
    if (l->dp % mu_layout_lanes(l) != 0)
        return mu_fail(e, MU_EINVAL, "ep=%d with tp=%d makes %d lanes, and dp=%d is not a multiple of that", l->ep,
                       l->tp, mu_layout_lanes(l), l->dp);
    return MU_OK;
}

static int check_stages(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e)
{
    int before = 0;
    if (l->pp > s->n_layers || l->pp > MU_STAGES_MAX)
        return mu_fail(e, MU_EINVAL, "pp=%d, but the model has %d layers and a pipeline at most %d stages", l->pp,
                       s->n_layers, MU_STAGES_MAX);
    if (l->stage_end[l->pp - 1] == 0)
        return MU_OK;
    for (int i = 0; i < l->pp; before = l->stage_end[i++]) {
        if (l->stage_end[i] <= before)
            return mu_fail(e, MU_EINVAL, "stage %d ends at layer %d and begins at %d: every stage needs a layer", i,
                           l->stage_end[i], before);
    }
    if (before != s->n_layers)
        return mu_fail(e, MU_EINVAL, "the stages end at layer %d, but the model has %d", before, s->n_layers);
    return MU_OK;
}

static int check_experts_are_there(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e)
{
    if (l->ep > 1 && mu_layout_experts(s) == 0)
        return mu_fail(e, MU_EINVAL, "ep=%d, but the model has no experts", l->ep);
    return MU_OK;
}

static int shape(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e)
{
    MU_TRY_RETURN(check_numbers(l, e));
    MU_TRY_RETURN(check_stages(l, s, e));
    return check_experts_are_there(l, s, e);
}

static int work_for_all(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e)
{
    int layer = narrowest(s), experts = mu_layout_experts(s);
    const struct mu_layer_spec *a = &s->layers[layer];
    int64_t tiles = tiles_of(a);
    if (l->tp > tiles)
        return mu_fail(e, MU_EINVAL,
                       "tp=%d, but the %d heads of layer %d can be shared by at most %lld ranks (sums are cut between "
                       "tiles of %lld inputs)",
                       l->tp, a->n_heads, layer, (long long)tiles, (long long)mu_shard_o_tile(a));
    if (l->ep > 1 && MU_MAX(l->ep, l->tp) > experts)
        return mu_fail(e, MU_EINVAL, "ep=%d over tp=%d is %d ranks for %d experts: each must own one", l->ep, l->tp,
                       MU_MAX(l->ep, l->tp), experts);
    return MU_OK;
}

static int check(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e)
{
    MU_TRY_RETURN(shape(l, s, e));
    return work_for_all(l, s, e);
}

/* ---- the nearest ---- */

static double apart(int a, int b)
{
    return fabs(log((double)a) - log((double)b));
}

/* Groups that wait for each other matter more than how many of them there are. */
static double distance(const struct mu_layout *a, const struct mu_layout *b)
{
    return 4 * apart(a->tp, b->tp) + 2 * apart(a->pp, b->pp) + 2 * apart(a->ep, b->ep) + apart(a->dp, b->dp) +
           apart(mu_layout_cp(a), mu_layout_cp(b));
}

static void keep_nearer(struct mu_layout *best, double *least, const struct mu_layout *l, const struct mu_layout *try,
                        const struct mu_spec *s)
{
    double d = distance(l, try);
    if (d < *least && check(try, s, NULL) == MU_OK) {
        *least = d;
        *best = *try;
    }
}

/* All ep of one tp, pp, dp: 1, the tensor group, and its multiples by lanes. */
static void try_experts(struct mu_layout *best, double *least, const struct mu_layout *l, struct mu_layout *try,
                        const struct mu_spec *s)
{
    try->ep = 1;
    keep_nearer(best, least, l, try, s);
    if (mu_layout_experts(s) == 0)
        return;
    for (int lanes = 1; lanes <= try->dp; lanes++) {
        try->ep = try->tp * lanes;
        if (try->dp % lanes == 0)
            keep_nearer(best, least, l, try, s);
    }
}

/* The largest that is legal and not above. */
static int nearest_cp(int tp, int cp)
{
    cp = MU_MAX(MU_MIN(cp, MU_ATTN_STRANDS), 1);
    while (tp % cp != 0)
        cp--;
    return cp;
}

void mu_layout_nearest(const struct mu_layout *l, const struct mu_spec *s, struct mu_layout *out)
{
    int64_t wanted = (int64_t)MU_MAX(l->dp, 1) * MU_MAX(l->pp, 1) * MU_MAX(l->tp, 1);
    int n = (int)MU_MIN(wanted, MU_COMM_RANKS_MAX);
    struct mu_layout from = {
        .dp = MU_MAX(l->dp, 1), .pp = MU_MAX(l->pp, 1), .tp = MU_MAX(l->tp, 1), .ep = MU_MAX(l->ep, 1), .cp = l->cp};
    double least = INFINITY;

    *out = (struct mu_layout){.dp = n, .pp = 1, .tp = 1, .ep = 1};
    for (int tp = 1; tp <= n; tp++) {
        for (int pp = 1; n % tp == 0 && pp <= n / tp; pp++) {
            struct mu_layout try = {.tp = tp, .pp = pp, .dp = n / tp / pp, .cp = nearest_cp(tp, from.cp)};
            if (n / tp % pp == 0)
                try_experts(out, &least, &from, &try, s);
        }
    }
}

static int refuse(const struct mu_layout *l, const struct mu_spec *s, const char *verb, const struct mu_err *why,
                  struct mu_err *e)
{
    struct mu_buf asked = MU_BUF_INIT("a layout", PRINTED_MAX), near = MU_BUF_INIT("a layout", PRINTED_MAX);
    struct mu_layout other;

    mu_layout_nearest(l, s, &other);
    mu_layout_print(l, &asked, NULL);
    mu_layout_print(&other, &near, NULL);
    int rc = mu_fail(e, why->code, "layout %s %s: %s; the nearest without that: %s", mu_buf_str(&asked).p, verb,
                     why->text, mu_buf_str(&near).p);
    mu_buf_fini(&asked);
    mu_buf_fini(&near);
    return rc;
}

int mu_layout_check_shape(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    return shape(l, s, &why) == MU_OK ? MU_OK : refuse(l, s, "cannot be", &why, e);
}

int mu_layout_check(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    MU_TRY_RETURN(mu_layout_check_shape(l, s, e));
    return work_for_all(l, s, &why) == MU_OK ? MU_OK : refuse(l, s, "leaves ranks without work", &why, e);
}
