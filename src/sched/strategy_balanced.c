/* strategy_balanced.c - all that a place costs, in seconds */
#include "base/check.h"
#include "sched/strategy.h"
#include "sched/strategy_int.h"

static const double weights[MU_TERMS] = {
#define MU_TERM_WEIGHT(name, weight, words) weight,
    MU_TERM_MAP(MU_TERM_WEIGHT)
#undef MU_TERM_WEIGHT
};

/* Until each task there has ended, or this one has, it takes an equal share from them. */
static double lost_by_others(const struct mu_fleet_device *d, double work_s, double now_s)
{
    double sum = 0;
    for (int i = 0; i < d->n_tasks; i++)
        sum += MU_MIN(MU_MAX(d->ends_s[i] - now_s, 0) / d->n_tasks, work_s);
    return sum;
}

static double cost(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit, double now_s,
                   double terms[MU_TERMS])
{
    const struct mu_fleet_device *d = &f->devices[device];
    double share = (d->n_tasks + 1) / d->speed, load_s = fit == MU_FIT_COPY ? 0 : n->load_s, sum = 0;
    terms[MU_TERM_RUN] = n->run_s * share;
    terms[MU_TERM_LOAD] = load_s * share;
    terms[MU_TERM_OTHERS] = lost_by_others(d, (n->run_s + load_s) / d->speed, now_s);
    terms[MU_TERM_EVICT] = fit == MU_FIT_EVICT ? n->load_s : 0;
    terms[MU_TERM_FIT] = n->run_s * share_unused(f, n, device, fit);
    terms[MU_TERM_LATE] = MU_MAX(now_s + (n->run_s + load_s) * share - n->deadline_s, 0);
    for (int i = 0; i < MU_TERMS; i++) {
        terms[i] *= weights[i];
        sum += terms[i];
    }
    return sum;
}

const struct mu_strategy_kind mu_balanced = {
    .name = "balanced",
    .summary =
        "the least sum, in seconds, of running, loading, what others lose, dropping models, a loose fit, lateness",
    .cost = cost,
    .seeks_copies = true,
    .why = "seconds in all",
};
