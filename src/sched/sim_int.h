/* sim_int.h - inside of the simulator */
#ifndef MU_SCHED_SIM_INT_H
#define MU_SCHED_SIM_INT_H

#include "sched/sim.h"
#include "sched/timers.h"

/* A task as it stands. */
struct sim_task {
    struct mu_need need; /* of what is left */
    int id;              /* in the queue */
    int run;             /* in the fleet; -1: not running */
    int stops_for;       /* task it is being stopped for; -1: none */
    int stops;           /* tasks that are being stopped for it */
    int preempts, failures;
    bool is_moving, has_moved, has_started, is_over, is_good;
    double left_s;  /* actual work left at its start */
    double stop_s;  /* work seconds at which it stops; INFINITY: at its end */
    double first_s; /* when it first started */
    double over_s;  /* when it ended */
};

struct sim {
    const struct mu_workload *w;
    const struct mu_sim_options *o;
    struct mu_sim_report *r;
    struct mu_queue *q;
    struct mu_fleet *f;
    struct mu_dispatch *d;
    struct mu_timers timers; /* tasks, then the next arrival, the queue, devices */
    struct sim_task *tasks;
    int *task_of;     /* by id in the queue */
    uint64_t *random; /* of each device */
    int arrived, over, n_busy;
    double now_s, busy_s, healthy_s;
    int rc; /* of what went wrong in a callback */
    struct mu_err *e;
    mu_sim_watch watch;
    void *arg;
};

/* sim_report.c */
int sim_report_fill(struct sim *s, struct mu_err *e);

/* sim_generate.c: seeded numbers (splitmix64: Steele, Lea and Flood, OOPSLA 2014) */
uint64_t sim_random(uint64_t *state);
double sim_random_unit(uint64_t *state); /* in (0, 1) */

#endif
