/* strategy_preempt.c - which running tasks to stop for one that is more urgent */
#include <math.h>

#include "base/check.h"
#include "sched/strategy_int.h"

/* Tasks of a device that may be stopped for this one: the least urgent first, then those that have done least. */
static int victims_of(const struct mu_fleet *f, const struct mu_fleet_device *d, const struct mu_need *n, int gap,
                      int out[MU_DEVICE_TASKS_MAX])
{
    int count = 0;
    for (int i = 0; i < d->n_tasks; i++) {
        const struct mu_running *r = &f->running[d->tasks[i]];
        int at = count;
        if (!r->need.is_preemptible || r->need.priority - n->priority < gap)
            continue;
        for (; at > 0; at--) {
            const struct mu_running *o = &f->running[out[at - 1]];
            if (o->need.priority > r->need.priority || (o->need.priority == r->need.priority && o->done_s <= r->done_s))
                break;
            out[at] = out[at - 1];
        }
        out[at] = d->tasks[i];
        count++;
    }
    return count;
}

/* How many of its victims must stop for the device to do; -1: all would not be enough. */
static int stops_needed(const struct mu_fleet *f, const struct mu_need *n, int device, int gap, double now_s,
                        int victims[MU_DEVICE_TASKS_MAX])
{
    const struct mu_fleet_device *d = &f->devices[device];
    int copy, n_victims, left = d->n_tasks;
    enum mu_fit fit = mu_fit_of(f, n, device, now_s, &copy);
    int64_t bytes = d->free + d->idle;
    if (fit == MU_FIT_DOWN || fit == MU_FIT_SMALL)
        return -1;
    if (fit <= MU_FIT_RESERVED)
        return 0;
    n_victims = victims_of(f, d, n, gap, victims);
    for (int i = 0; i < n_victims; i++) {
        bytes += freed_by(f, victims[i]);
        left--;
        if (left < d->tasks_max && bytes >= need_bytes(n))
            return i + 1;
    }
    return -1;
}

/* What the device costs: the batches that its victims lose; INFINITY: it cannot be had. */
static double cost_of(const struct mu_fleet *f, const struct mu_need *n, int device, int gap, double now_s)
{
    int victims[MU_DEVICE_TASKS_MAX], stops = stops_needed(f, n, device, gap, now_s, victims);
    double sum = stops < 0 ? INFINITY : 0;
    for (int i = 0; i < stops; i++)
        sum += f->running[victims[i]].need.batch_s + 1e-6;
    return sum;
}

static bool add_victim(struct mu_preemption *out, const struct mu_fleet *f, int run)
{
    const struct mu_running *r = &f->running[run];
    for (int i = 0; i < out->n; i++)
        if (out->run[i] == run)
            return true;
    if (out->n == MU_PREEMPT_MAX)
        return false;
    out->run[out->n++] = run;
    out->loses_s += r->need.batch_s;
    out->drains_s = MU_MAX(out->drains_s, r->need.batch_s / r->rate);
    return true;
}

static bool fill(struct mu_preemption *out, const struct mu_fleet *f, const struct mu_need *n, int gap, double now_s,
                 const struct cheapest *c)
{
    *out = (struct mu_preemption){0};
    cheapest_seats(&out->seats, c, f);
    for (int i = 0; i < out->seats.n; i++) {
        int victims[MU_DEVICE_TASKS_MAX];
        int stops = stops_needed(f, n, out->seats.device[i], gap, now_s, victims);
        for (int k = 0; k < stops; k++)
            if (!add_victim(out, f, victims[k]))
                return false;
    }
    return out->n > 0;
}

static double sum_of(const struct cheapest *c)
{
    double sum = 0;
    for (int i = 0; i < c->n; i++)
        sum += c->cost[i];
    return cheapest_is_full(c) ? sum : INFINITY;
}

bool mu_preempt(struct mu_preemption *out, const struct mu_fleet *f, const struct mu_need *n, int gap, double now_s)
{
    struct cheapest best = {.most = n->devices}, all = {.most = n->devices};
    double least = INFINITY;
    if (n->devices < 1 || n->devices > MU_TASK_DEVICES_MAX)
        return false;
    for (int node = 0; node < f->n_nodes; node++) {
        struct cheapest c = {.most = n->devices};
        for (int d = f->node_first[node]; d < f->node_first[node + 1]; d++) {
            double cost = cost_of(f, n, d, gap, now_s);
            if (cost < INFINITY)
                cheapest_add(&c, d, cost);
        }
        if (sum_of(&c) < least) {
            least = sum_of(&c);
            best = c;
        }
        for (int i = 0; i < c.n && n->may_span; i++)
            cheapest_add(&all, c.device[i], c.cost[i]);
    }
    if (!(least < INFINITY) && sum_of(&all) < INFINITY)
        best = all;
    return cheapest_is_full(&best) && fill(out, f, n, gap, now_s, &best);
}
