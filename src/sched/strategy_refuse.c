/* strategy_refuse.c - why a task gets no devices now, which come nearest, and when */
#include <math.h>

#include "base/check.h"
#include "sched/strategy_int.h"

/* The device's tasks in the order they are predicted to end. */
static int by_end(const struct mu_fleet_device *d, int order[MU_DEVICE_TASKS_MAX])
{
    for (int i = 0; i < d->n_tasks; i++) {
        int at = i;
        for (; at > 0 && d->ends_s[order[at - 1]] > d->ends_s[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return d->n_tasks;
}

int64_t freed_by(const struct mu_fleet *f, int run)
{
    const struct mu_running *r = &f->running[run];
    bool leaves_copy = r->copy >= 0 && f->copies[r->copy].users > 1;
    return r->need.work + (leaves_copy ? 0 : r->need.weights);
}

/* From when on the device would do, promises left aside. */
static double free_at(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit, double now_s)
{
    const struct mu_fleet_device *d = &f->devices[device];
    int order[MU_DEVICE_TASKS_MAX], left = by_end(d, order);
    int64_t bytes = d->free + d->idle;
    double at = now_s;
    if (fit == MU_FIT_DOWN || fit == MU_FIT_SMALL)
        return INFINITY;
    if (fit <= MU_FIT_RESERVED)
        return now_s;
    for (int i = 0; i < d->n_tasks; i++) {
        bytes += freed_by(f, d->tasks[order[i]]);
        at = MU_MAX(now_s, d->ends_s[order[i]]);
        left--;
        if (left < d->tasks_max && bytes >= need_bytes(n))
            break;
    }
    return at;
}

/* Of one node, or of all: how many devices there are, are large enough, are healthy too, would do now. */
struct tally {
    int devices, large, healthy, fitting, promised;
};

static void tally_most(struct tally *most, const struct tally *t)
{
    most->devices = MU_MAX(most->devices, t->devices);
    most->large = MU_MAX(most->large, t->large);
    most->healthy = MU_MAX(most->healthy, t->healthy);
    most->fitting = MU_MAX(most->fitting, t->fitting);
    most->promised = MU_MAX(most->promised, t->fitting + t->promised);
}

static void look_at(struct mu_refusal *out, const struct mu_fleet *f, const struct mu_need *n, int device,
                    struct tally *t, struct cheapest *near, double now_s)
{
    const struct mu_fleet_device *d = &f->devices[device];
    int copy;
    enum mu_fit fit = mu_fit_of(f, n, device, now_s, &copy);
    double at = free_at(f, n, device, fit, now_s);
    bool is_large = d->memory >= need_bytes(n);
    out->counts[fit]++;
    t->devices++;
    t->large += is_large;
    t->healthy += is_large && d->is_healthy;
    t->fitting += fit <= MU_FIT_EVICT;
    t->promised += fit == MU_FIT_RESERVED;
    if (at < INFINITY)
        cheapest_add(near, device, at);
    if (!is_large && (out->lacking < 0 || d->memory > f->devices[out->lacking].memory))
        out->lacking = device; /* the largest of those that are too small */
}

/* The group that is free soonest, and which of it is last. */
static void set_near(struct mu_refusal *out, const struct cheapest *c, const struct mu_fleet *f)
{
    if (!cheapest_is_full(c) || !(c->cost[c->n - 1] < out->free_s))
        return;
    out->free_s = c->cost[c->n - 1];
    out->lacking = c->device[c->n - 1];
    cheapest_seats(&out->near, c, f);
}

static enum mu_refusal_why why_of(const struct tally *most, int wanted)
{
    if (MU_MIN(most->devices, MU_TASK_DEVICES_MAX) < wanted)
        return MU_REFUSED_DEVICES;
    if (most->large < wanted)
        return MU_REFUSED_MEMORY;
    if (most->healthy < wanted)
        return MU_REFUSED_DOWN;
    return most->promised >= wanted ? MU_REFUSED_RESERVED : MU_REFUSED_BUSY;
}

void mu_refuse(struct mu_refusal *out, const struct mu_fleet *f, const struct mu_need *n, double now_s)
{
    int wanted = MU_MIN(MU_MAX(n->devices, 1), MU_TASK_DEVICES_MAX);
    struct cheapest near_all = {.most = wanted};
    struct tally most = {0}, all = {0};
    *out = (struct mu_refusal){.wanted = n->devices, .free_s = INFINITY, .lacking = -1};
    for (int node = 0; node < f->n_nodes; node++) {
        struct cheapest near = {.most = wanted};
        struct tally t = {0};
        for (int d = f->node_first[node]; d < f->node_first[node + 1]; d++)
            look_at(out, f, n, d, &t, &near, now_s);
        tally_most(&most, &t);
        all = (struct tally){all.devices + t.devices, all.large + t.large, all.healthy + t.healthy,
                             all.fitting + t.fitting, all.promised + t.promised};
        set_near(out, &near, f);
        for (int i = 0; i < near.n && n->may_span; i++)
            cheapest_add(&near_all, near.device[i], near.cost[i]);
    }
    if (n->may_span) {
        tally_most(&most, &all);
        set_near(out, &near_all, f);
    }
    most.devices = MU_MIN(most.devices, MU_TASK_DEVICES_MAX); /* of one task */
    out->why = why_of(&most, n->devices);
    out->fitting = most.fitting;
    out->most = out->why == MU_REFUSED_DEVICES  ? most.devices
                : out->why == MU_REFUSED_MEMORY ? most.large
                                                : most.healthy;
    if (out->lacking >= 0) {
        const struct mu_fleet_device *d = &f->devices[out->lacking];
        int64_t has = out->why == MU_REFUSED_MEMORY ? d->memory : d->free + d->idle;
        out->missing_bytes = MU_MAX(need_bytes(n) - has, 0);
    }
}
