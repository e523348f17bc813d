/* expert_table.c - see expert_table.h */
#include "model/expert_table.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "model/expert_place.h"

#define NO_EXPERTS "this model has no experts: leave --redundant-experts and --expert-loads out"

static int experts_of(const struct mu_spec *s, int layer)
{
    return s->layers[layer].mlp == MU_MLP_MOE ? s->layers[layer].moe.n_experts : 0;
}

/* ---- making ---- */

static int check_room(int n_experts, int redundant, int n_ranks, struct mu_err *e)
{
    int over = (n_experts + redundant) % n_ranks, below = redundant - over, above = below + (over ? n_ranks : 0);
    int64_t most = (int64_t)n_experts * (n_ranks - 1);

    if (redundant < 0 || redundant > most || n_experts + redundant > MU_EXPERT_COPIES_MAX)
        return mu_fail(e, MU_EUSAGE,
                       "%d redundant experts beside %d on %d ranks: at most %d, one copy of each on every rank",
                       redundant, n_experts, n_ranks, (int)MU_MIN(most, MU_EXPERT_COPIES_MAX - n_experts));
    if (over == 0)
        return MU_OK;
    if (below < 0)
        return mu_fail(e, MU_EUSAGE,
                       "%d experts and %d redundant ones cannot be shared out evenly over %d ranks: take %d", n_experts,
                       redundant, n_ranks, above);
    return mu_fail(e, MU_EUSAGE,
                   "%d experts and %d redundant ones cannot be shared out evenly over %d ranks: take %d or %d",
                   n_experts, redundant, n_ranks, below, above);
}

int mu_expert_table_room(const struct mu_spec *s, int redundant, int n_ranks, struct mu_err *e)
{
    if (redundant == 0)
        return MU_OK;
    if (mu_experts_most(s) == 0)
        return mu_fail(e, MU_EUSAGE, NO_EXPERTS);
    for (int i = 0; i < s->n_layers; i++) {
        if (experts_of(s, i) > 0)
            MU_TRY_RETURN(check_room(experts_of(s, i), redundant, n_ranks, e));
    }
    return MU_OK;
}

/* Numbers of copies by rank, then expert: place has them by expert, so counting ranks keeps that order. */
static void number_copies(struct mu_expert_layer *l, const struct mu_expert_place *place, int room, int32_t *used)
{
    for (int i = 0; i < place->n_copies; i++) {
        int32_t copy = place->rank[i] * room + used[place->rank[i]]++;
        l->expert[copy] = place->expert[i];
        l->first[place->expert[i] + 1]++;
    }
    for (int x = 0; x < l->n_experts; x++)
        l->first[x + 1] += l->first[x];
    for (int i = 0; i < l->n; i++)
        l->copy[l->first[l->expert[i]]++] = i;
    for (int x = l->n_experts; x > 0; x--) /* each entry has moved on to its end: shift back */
        l->first[x] = l->first[x - 1];
    l->first[0] = 0;
}

struct making {
    const struct mu_expert_loads *loads;
    int redundant, n_ranks;
    struct mu_expert_place *place; /* scratch */
    double *even;                  /* [MU_EXPERTS_MAX] ones */
    int32_t *used;                 /* [n_ranks] */
};

static int make_layer(const struct making *k, struct mu_expert_layer *l, int layer, struct mu_err *e)
{
    const double *load = k->loads ? k->loads->rows + (int64_t)layer * k->loads->stride : k->even;
    int room = (l->n_experts + k->redundant) / k->n_ranks;

    MU_TRY_RETURN(mu_expert_place(k->place, load, l->n_experts, k->n_ranks, room, e));
    l->n = k->place->n_copies;
    MU_TRY_RETURN(MU_NEW_ARRAY(&l->expert, l->n, "the places of experts", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&l->first, l->n_experts + 1, "the places of experts", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&l->copy, l->n, "the places of experts", e));
    memset(k->used, 0, (size_t)k->n_ranks * sizeof *k->used);
    number_copies(l, k->place, room, k->used);
    return MU_OK;
}

static int make_layers(const struct making *k, struct mu_expert_table *t, const struct mu_spec *s, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->layers, s->n_layers, "the places of experts", e));
    t->n_layers = s->n_layers;
    t->n_ranks = k->n_ranks;
    for (int i = 0; i < s->n_layers; i++) {
        t->layers[i].n_experts = experts_of(s, i);
        if (t->layers[i].n_experts == 0)
            continue;
        MU_TRY_RETURN(check_room(t->layers[i].n_experts, k->redundant, k->n_ranks, e));
        MU_TRY_RETURN(make_layer(k, &t->layers[i], i, e));
    }
    return MU_OK;
}

int mu_expert_table_make(struct mu_expert_table **out, const struct mu_spec *s, const struct mu_expert_loads *loads,
                         int redundant, int n_ranks, struct mu_err *e)
{
    struct making k = {.loads = loads, .redundant = redundant, .n_ranks = n_ranks};
    struct mu_expert_table *t = NULL;
    int rc = MU_OK;

    *out = NULL;
    if (!loads && redundant == 0)
        return MU_OK;
    if (mu_experts_most(s) == 0)
        return mu_fail(e, MU_EUSAGE, NO_EXPERTS);
    MU_TRY(MU_NEW(&t, "the places of experts", e));
    MU_TRY(MU_NEW(&k.place, "the places of a layer's experts", e));
    MU_TRY(MU_NEW_ARRAY(&k.even, MU_EXPERTS_MAX, "even loads", e));
    MU_TRY(MU_NEW_ARRAY(&k.used, n_ranks, "ranks' rooms", e));
    for (int x = 0; x < MU_EXPERTS_MAX; x++)
        k.even[x] = 1;
    MU_TRY(make_layers(&k, t, s, e));
    *out = t;
    t = NULL;
out:
    mu_free(k.used);
    mu_free(k.even);
    mu_free(k.place);
    mu_expert_table_free(t);
    return rc;
}

void mu_expert_table_free(struct mu_expert_table *t)
{
    for (int i = 0; t && i < t->n_layers; i++) {
        mu_free(t->layers[i].expert);
        mu_free(t->layers[i].first);
        mu_free(t->layers[i].copy);
    }
    if (t)
        mu_free(t->layers);
    mu_free(t);
}

int mu_expert_table_check(const struct mu_expert_table *t, const struct mu_spec *s, int n_ranks, struct mu_err *e)
{
    if (!t)
        return MU_OK;
    if (t->n_layers != s->n_layers || t->n_ranks != n_ranks)
        return mu_fail(e, MU_EINVAL, "places of experts for %d layers on %d ranks; the part is of %d layers on %d",
                       t->n_layers, t->n_ranks, s->n_layers, n_ranks);
    for (int i = 0; i < s->n_layers; i++)
        if (t->layers[i].n_experts != experts_of(s, i))
            return mu_fail(e, MU_EINVAL, "places of %d experts for layer %d, which has %d", t->layers[i].n_experts, i,
                           experts_of(s, i));
    return MU_OK;
}

/* ---- asking ---- */

static int rank_in_group(const struct mu_shard *sh)
{
    return sh ? sh->lane * sh->tp_size + sh->tp_rank : 0;
}

int mu_experts_copies(const struct mu_shard *sh, const struct mu_spec *s, int layer)
{
    const struct mu_expert_layer *t = mu_expert_layer(sh, layer);
    return t ? t->n : experts_of(s, layer);
}

struct mu_run mu_experts_on(const struct mu_shard *sh, const struct mu_spec *s, int layer, int rank)
{
    const struct mu_expert_layer *t = mu_expert_layer(sh, layer);
    if (t) {
        int64_t room = t->n / sh->placed->n_ranks;
        return (struct mu_run){rank * room, room};
    }
    if (!sh)
        return (struct mu_run){0, experts_of(s, layer)};
    struct mu_shard at = *sh;
    at.lane = rank / sh->tp_size;
    at.tp_rank = rank % sh->tp_size;
    return mu_shard_experts(&at, &s->layers[layer].moe);
}

struct mu_run mu_experts_held(const struct mu_shard *sh, const struct mu_spec *s, int layer)
{
    return mu_experts_on(sh, s, layer, rank_in_group(sh));
}

int mu_expert_place_held(const struct mu_shard *sh, const struct mu_spec *s, int layer, int expert)
{
    const struct mu_expert_layer *t = mu_expert_layer(sh, layer);
    struct mu_run held = mu_experts_held(sh, s, layer);

    for (int i = 0; i < mu_expert_copies(t, expert); i++) {
        int64_t at = mu_expert_copy(t, expert, i) - held.begin;
        if (at >= 0 && at < held.n)
            return (int)at;
    }
    return -1;
}

/* ---- balance ---- */

/* The fullest rank of a layer over the mean; 0: it has computed nothing. */
static double imbalance(const struct mu_shard *sh, const struct mu_spec *s, int layer, const int64_t *rows)
{
    const struct mu_expert_layer *t = mu_expert_layer(sh, layer);
    int n_ranks = sh ? sh->tp_size * sh->n_lanes : 1;
    double most = 0, sum = 0;

    for (int r = 0; r < n_ranks; r++) {
        struct mu_run on = mu_experts_on(sh, s, layer, r);
        double load = 0;
        for (int64_t c = on.begin; c < on.begin + on.n; c++) {
            int x = mu_expert_of(t, c);
            load += (double)rows[x] / mu_expert_copies(t, x); /* copies take turns */
        }
        most = MU_MAX(most, load);
        sum += load;
    }
    return sum > 0 ? most * n_ranks / sum : 0;
}

void mu_expert_balance_of(struct mu_expert_balance *out, const struct mu_shard *sh, const struct mu_spec *s,
                          const int64_t *rows)
{
    int stride = mu_experts_most(s), n = 0;
    double sum = 0;

    *out = (struct mu_expert_balance){.mean = 1, .worst = 1, .worst_layer = -1};
    for (int i = 0; i < s->n_layers; i++) {
        double one = experts_of(s, i) > 0 ? imbalance(sh, s, i, rows + (int64_t)i * stride) : 0;
        if (one > 0 && (out->worst_layer < 0 || one > out->worst)) {
            out->worst = one;
            out->worst_layer = i;
        }
        sum += one;
        n += one > 0;
    }
    out->mean = n > 0 ? sum / n : 1;
}
