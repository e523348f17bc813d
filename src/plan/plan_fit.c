/* plan_fit.c - how many sequences fit a layout, and which rank is the fullest */
#include "base/check.h"
#include "plan/plan_int.h"

static void add(struct plan_search *s, const struct mu_layout *cut, const struct mu_workload *w, int stage, int lane)
{
    for (int t = 0; t < cut->tp && s->n_needs < MU_COMM_RANKS_MAX; t++) {
        struct mu_layout_place place = {.stage = stage, .lane = lane, .t = t};
        struct plan_need *n = &s->needs[s->n_needs++];
        n->rank = mu_layout_rank_of(cut, &place);
        mu_rank_need_of(&n->need, s->ask->spec, cut, n->rank, s->ask->machine, w);
    }
}

void plan_needs(struct plan_search *s, const struct mu_layout *cut)
{
    struct mu_workload w = s->ask->work;
    int lanes = mu_layout_lanes(cut);

    w.weights = s->format;
    s->n_needs = 0;
    for (int stage = 0; stage < cut->pp; stage++) {
        for (int lane = 0; lane < lanes; lane++) {
            bool is_looked_at = lanes * cut->tp <= PLAN_LANES_LOOKED || lane == 0 || lane == lanes - 1;
            if (is_looked_at)
                add(s, cut, &w, stage, lane);
        }
    }
}

void plan_fullest(const struct plan_search *s, int64_t batch, struct mu_rank_bill *bill, int *rank)
{
    struct mu_rank_limits k = mu_rank_limits_of(s->ask->machine, &s->ask->work, batch);
    struct mu_rank_bill one;
    *bill = (struct mu_rank_bill){0};
    for (int i = 0; i < s->n_needs; i++) {
        mu_rank_bill_of(&one, &s->needs[i].need, &k);
        if (one.total > bill->total) {
            *bill = one;
            *rank = s->needs[i].rank;
        }
    }
}

static bool fits(const struct plan_search *s, int64_t batch)
{
    struct mu_rank_bill bill;
    int rank;
    plan_fullest(s, batch, &bill, &rank);
    return (double)bill.total <= s->ask->machine->device.memory;
}

int64_t plan_batch(const struct plan_search *s, int64_t wanted)
{
    int64_t lo = 0, hi = wanted;
    if (fits(s, wanted))
        return wanted;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        *(fits(s, mid) ? &lo : &hi) = mid;
    }
    return lo;
}
