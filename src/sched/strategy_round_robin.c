/* strategy_round_robin.c - each device in its turn, whatever runs there */
#include "sched/strategy.h"

static double cost(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit, double now_s,
                   double terms[MU_TERMS])
{
    (void)n, (void)fit, (void)now_s, (void)terms;
    return (double)((device - f->cursor - 1 + 2 * f->n_devices) % f->n_devices);
}

const struct mu_strategy_kind mu_round_robin = {
    .name = "round-robin",
    .summary = "the devices behind the last one used, in a ring",
    .cost = cost,
    .why = "places behind the last one used, in the ring of devices",
};
