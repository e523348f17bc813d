/* timers.h - which of many things comes first: a heap of times by number
 *
 * Each number 0 <= id < n_max has one time or none; the earliest, of equal ones the lowest id, is found at once, all
 * else costs O(log n). No time passes here. */
#ifndef MU_SCHED_TIMERS_H
#define MU_SCHED_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include <muster/err.h>

struct mu_timers {
    int n, n_max;
    int *heap;  /* ids */
    int *pos;   /* of an id in heap; -1: it has no time */
    double *at; /* by id, seconds */
    uint64_t visits;
};

int mu_timers_init(struct mu_timers *t, int n_max, struct mu_err *e);
void mu_timers_fini(struct mu_timers *t);

void mu_timers_set(struct mu_timers *t, int id, double at); /* also moves; INFINITY drops */
void mu_timers_drop(struct mu_timers *t, int id);           /* fine when it has none */

static inline int mu_timers_first(const struct mu_timers *t) /* -1: none */
{
    return t->n > 0 ? t->heap[0] : -1;
}

#endif
