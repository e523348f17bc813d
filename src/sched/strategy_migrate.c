/* strategy_migrate.c - whether a running task would be done sooner elsewhere */
#include <math.h>

#include "base/check.h"
#include "sched/strategy_int.h"

/* The task of one device, among several there, that is predicted to end last. */
static int longest(const struct mu_fleet *f, double now_s, double *stays_s)
{
    int best = -1;
    *stays_s = 0;
    for (int i = 0; i < f->n_devices; i++) {
        const struct mu_fleet_device *d = &f->devices[i];
        for (int k = 0; k < d->n_tasks && d->n_tasks > 1; k++) {
            const struct mu_running *r = &f->running[d->tasks[k]];
            if (r->n == 1 && r->need.is_preemptible && d->ends_s[k] - now_s > *stays_s) {
                best = d->tasks[k];
                *stays_s = d->ends_s[k] - now_s;
            }
        }
    }
    return best;
}

/* Until it is done on the device, once it has finished its batch here. */
static double time_there(const struct mu_fleet *f, int run, int device, enum mu_fit fit, double now_s)
{
    const struct mu_running *r = &f->running[run];
    double left_s = MU_MAX(r->work_s - mu_fleet_done(f, run, now_s), 0);
    double batch_s = MU_MIN(r->need.batch_s, left_s);
    double load_s = fit == MU_FIT_COPY ? 0 : r->need.load_s;
    return batch_s / r->rate + (left_s - batch_s + load_s) / f->devices[device].speed;
}

bool mu_migrate(struct mu_migration *out, const struct mu_fleet *f, double now_s)
{
    int run = longest(f, now_s, &out->stays_s), copy;
    if (run < 0)
        return false;
    struct mu_need n = f->running[run].need;
    n.run_s = MU_MAX(f->running[run].work_s - mu_fleet_done(f, run, now_s), 0);
    out->moves_s = INFINITY;
    for (int d = mu_fleet_next_open(f, 0, f->n_devices); d < f->n_devices;
         d = mu_fleet_next_open(f, d + 1, f->n_devices)) {
        enum mu_fit fit = f->devices[d].n_tasks > 0 ? MU_FIT_TASKS : mu_fit_of(f, &n, d, now_s, &copy);
        double moves_s = fit <= MU_FIT_EVICT ? time_there(f, run, d, fit, now_s) : INFINITY;
        if (moves_s < out->moves_s) {
            out->moves_s = moves_s;
            out->seats = (struct mu_seats){.n = 1, .nodes = 1, .copy = copy, .device = {d}};
        }
    }
    out->run = run;
    out->from = f->running[run].device[0];
    double gain = out->stays_s - out->moves_s;
    return gain >= MU_MIGRATE_LEAST_S && gain >= MU_MIGRATE_LEAST_SHARE * out->stays_s;
}
