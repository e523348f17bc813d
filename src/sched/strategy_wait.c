/* strategy_wait.c - how long until a copy of a task's model can be had */
#include <math.h>

#include "base/check.h"
#include "sched/strategy.h"

/* Seconds it goes on, once its model is loaded. */
static double rest_of(const struct mu_fleet *f, int run, double now_s)
{
    const struct mu_running *r = &f->running[run];
    double done_s = MU_MAX(mu_fleet_done(f, run, now_s), r->load_s);
    return (r->need.is_guess ? done_s - r->load_s : fabs(r->work_s - done_s)) / r->rate;
}

/* Until all its devices could take one task more; below 0: now, as far as tasks go. */
static double wait_for(const struct mu_fleet *f, const struct mu_copy *c, double now_s)
{
    double wait_s = -1;
    for (int i = 0; i < c->n; i++) {
        const struct mu_fleet_device *d = &f->devices[c->device[i]];
        double first_s = INFINITY;
        if (d->n_tasks < d->tasks_max)
            continue;
        for (int k = 0; k < d->n_tasks; k++)
            first_s = MU_MIN(first_s, rest_of(f, d->tasks[k], now_s));
        wait_s = MU_MAX(wait_s, first_s);
    }
    return wait_s;
}

/* What the task takes that keeps a copy busy, without loading. */
static double length_there(const struct mu_fleet *f, const struct mu_copy *c, double now_s)
{
    const struct mu_fleet_device *d = &f->devices[c->device[0]];
    if (d->n_tasks == 0)
        return 0;
    const struct mu_running *r = &f->running[d->tasks[0]];
    return MU_MAX((r->need.is_guess ? mu_fleet_done(f, d->tasks[0], now_s) : r->work_s) - r->load_s, 0);
}

void mu_copies_busy(struct mu_copies_busy *out, const struct mu_fleet *f, const struct mu_need *n, double now_s)
{
    *out = (struct mu_copies_busy){.wait_s = INFINITY};
    for (int id = n->model >= 0 ? f->model_all[n->model] : -1; id >= 0; id = f->copies[id].all_next) {
        const struct mu_copy *c = &f->copies[id];
        if (c->n != n->devices)
            continue;
        out->copies++;
        double wait_s = wait_for(f, c, now_s);
        if (wait_s < 0)
            continue;
        out->busy++;
        out->wait_s = MU_MIN(out->wait_s, wait_s);
        out->run_s = MU_MAX(out->run_s, length_there(f, c, now_s));
    }
}
