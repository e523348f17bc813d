/* strategy_least_loaded.c - where running tasks have least left to do */
#include "sched/strategy.h"

static double cost(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit, double now_s,
                   double terms[MU_TERMS])
{
    (void)n, (void)fit, (void)terms;
    return mu_fleet_load(f, device, now_s);
}

const struct mu_strategy_kind mu_least_loaded = {
    .name = "least-loaded",
    .summary = "the least predicted seconds until the device's tasks have ended",
    .cost = cost,
    .why = "predicted seconds until the tasks there have ended",
};
