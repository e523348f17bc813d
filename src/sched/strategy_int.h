/* strategy_int.h - what choosing, refusing and preempting have in common */
#ifndef MU_SCHED_STRATEGY_INT_H
#define MU_SCHED_STRATEGY_INT_H

#include "sched/strategy.h"

/* The `most` cheapest of the devices handed in, cheapest first, of equal ones the lowest number. */
struct cheapest {
    int n, most;
    int device[MU_TASK_DEVICES_MAX];
    double cost[MU_TASK_DEVICES_MAX];
};

void cheapest_add(struct cheapest *c, int device, double cost);
void cheapest_seats(struct mu_seats *out, const struct cheapest *c, const struct mu_fleet *f);

static inline bool cheapest_is_full(const struct cheapest *c)
{
    return c->n == c->most;
}

/* Bytes the task needs on a device that has no copy of its model. */
static inline int64_t need_bytes(const struct mu_need *n)
{
    return n->weights + n->work;
}

/* Share of the device's memory that is left unused with the task there, idle copies of others counted in. */
double share_unused(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit);

/* Bytes that are free or idle on each of its devices once the task has ended; a copy that others use too stays. */
int64_t freed_by(const struct mu_fleet *f, int run);

/* Whether the devices of a copy can take one more task of it. */
bool fit_copy(const struct mu_fleet *f, const struct mu_need *n, int copy, double now_s);

#endif
