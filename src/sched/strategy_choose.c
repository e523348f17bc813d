/* strategy_choose.c - what devices can do for a task, and the group that costs least */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "sched/fleet_int.h"
#include "sched/strategy_int.h"

/* ---- one device ---- */

static int copy_alone(const struct mu_fleet_device *d, int model)
{
    for (int i = 0; i < d->n_copies && model >= 0; i++)
        if (d->models[i] == model)
            return d->copies[i];
    return -1;
}

double share_unused(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit)
{
    const struct mu_fleet_device *d = &f->devices[device];
    int64_t left = d->free + d->idle - n->work - (fit == MU_FIT_COPY ? 0 : n->weights);
    for (int i = 0; i < d->n_copies && fit == MU_FIT_COPY; i++) {
        const struct mu_copy *c = &f->copies[d->copies[i]];
        if (c->model == n->model && c->n == n->devices && c->users == 0) {
            left -= c->weights; /* it is idle no more */
            break;
        }
    }
    return d->memory > 0 ? (double)left / (double)d->memory : 0;
}

/* Whether all work there would be done before the device is promised to another, or taken away. */
static bool is_promised(const struct mu_fleet *f, const struct mu_need *n, int device, bool loads, double now_s)
{
    const struct mu_fleet_device *d = &f->devices[device];
    double until_s = MU_MIN(d->reserved_s, f->closes_s);
    if (until_s == INFINITY)
        return false;
    double work_s = n->run_s + (loads ? n->load_s : 0);
    return now_s + mu_fleet_load(f, device, now_s) + work_s / d->speed > until_s;
}

enum mu_fit mu_fit_of(const struct mu_fleet *f, const struct mu_need *n, int device, double now_s, int *copy)
{
    const struct mu_fleet_device *d = &f->devices[device];
    enum mu_fit fit = MU_FIT_MEMORY;
    *copy = -1;
    if (!mu_fleet_is_there(d))
        return MU_FIT_DOWN;
    if (need_bytes(n) > d->memory)
        return MU_FIT_SMALL;
    if (d->n_tasks >= d->tasks_max)
        return MU_FIT_TASKS;
    int alone = n->devices == 1 ? copy_alone(d, n->model) : -1;
    if (alone >= 0 && fleet_room(f, d, alone) >= n->work) {
        fit = MU_FIT_COPY;
        *copy = alone;
    } else if (d->free >= need_bytes(n) && d->n_copies < MU_DEVICE_COPIES_MAX) {
        fit = MU_FIT_FREE;
    } else if (d->free + d->idle >= need_bytes(n) && (n->model < 0 || fleet_has_place(f, d))) {
        fit = MU_FIT_EVICT;
    }
    return fit <= MU_FIT_EVICT && is_promised(f, n, device, fit != MU_FIT_COPY, now_s) ? MU_FIT_RESERVED : fit;
}

bool fit_copy(const struct mu_fleet *f, const struct mu_need *n, int copy, double now_s)
{
    const struct mu_copy *c = &f->copies[copy];
    if (!n->may_span && f->devices[c->device[0]].node != f->devices[c->device[c->n - 1]].node)
        return false;
    for (int i = 0; i < c->n; i++) {
        const struct mu_fleet_device *d = &f->devices[c->device[i]];
        if (d->n_tasks >= d->tasks_max || fleet_room(f, d, copy) < n->work ||
            is_promised(f, n, c->device[i], false, now_s))
            return false;
    }
    return true;
}

/* ---- groups ---- */

void cheapest_add(struct cheapest *c, int device, double cost)
{
    int at = c->n;
    if (at == c->most && !(cost < c->cost[at - 1]))
        return;
    at = at == c->most ? at - 1 : c->n++;
    for (; at > 0 && cost < c->cost[at - 1]; at--) {
        c->cost[at] = c->cost[at - 1];
        c->device[at] = c->device[at - 1];
    }
    c->cost[at] = cost;
    c->device[at] = device;
}

void cheapest_seats(struct mu_seats *out, const struct cheapest *c, const struct mu_fleet *f)
{
    *out = (struct mu_seats){.n = c->n, .copy = -1};
    for (int i = 0; i < c->n; i++) {
        int at = i;
        for (; at > 0 && out->device[at - 1] > c->device[i]; at--)
            out->device[at] = out->device[at - 1];
        out->device[at] = c->device[i];
    }
    for (int i = 0; i < out->n; i++)
        out->nodes += i == 0 || f->devices[out->device[i]].node != f->devices[out->device[i - 1]].node;
}

struct search {
    const struct mu_strategy_kind *k;
    const struct mu_fleet *f;
    const struct mu_need *n;
    double now_s;
    struct mu_choice *out;
    bool found;
    double sum; /* of the best group's devices: decides between equal worst ones */
};

static double cost_of(const struct search *s, int device, enum mu_fit fit)
{
    double terms[MU_TERMS] = {0};
    s->out->visits++;
    return s->k->cost(s->f, s->n, device, fit, s->now_s, terms);
}

static bool is_better(const struct search *s, double worst, double sum, int first)
{
    if (worst != s->out->cost)
        return worst < s->out->cost;
    return sum != s->sum ? sum < s->sum : first < s->out->seats.device[0];
}

/* A group that would do: the best so far, or the next best. */
static void offer(struct search *s, const struct cheapest *c, int copy)
{
    struct mu_choice *o = s->out;
    double worst = c->cost[c->n - 1], sum = 0;
    for (int i = 0; i < c->n; i++)
        sum += c->cost[i];
    o->groups++;
    if (s->found && !is_better(s, worst, sum, c->device[0])) {
        if (worst < o->next_cost) {
            o->next_cost = worst;
            o->next = c->device[0];
        }
        return;
    }
    if (s->found) {
        o->next_cost = o->cost;
        o->next = o->seats.device[0];
    }
    s->found = true;
    s->sum = sum;
    o->cost = worst;
    o->worst = c->device[c->n - 1];
    cheapest_seats(&o->seats, c, s->f);
    o->seats.copy = copy;
}

/* Devices of one node that would do, the cheapest first; how many there are. */
static int look_at_node(const struct search *s, struct cheapest *c, int node)
{
    int end = s->f->node_first[node + 1], copy, n = 0;
    int64_t bytes = need_bytes(s->n);
    c->n = 0;
    for (int d = mu_fleet_next_room(s->f, s->f->node_first[node], end, bytes); d < end;
         d = mu_fleet_next_room(s->f, d + 1, end, bytes)) {
        enum mu_fit fit = mu_fit_of(s->f, s->n, d, s->now_s, &copy);
        s->out->visits += fit > MU_FIT_EVICT;
        if (fit > MU_FIT_EVICT)
            continue;
        cheapest_add(c, d, cost_of(s, d, fit));
        n++;
    }
    return n;
}

/* Each device alone that has room for a copy. */
static void look_at_devices(struct search *s)
{
    struct cheapest one = {.n = 1, .most = 1};
    int end = s->f->n_devices, copy;
    int64_t bytes = need_bytes(s->n);
    for (int d = mu_fleet_next_room(s->f, 0, end, bytes); d < end; d = mu_fleet_next_room(s->f, d + 1, end, bytes)) {
        enum mu_fit fit = mu_fit_of(s->f, s->n, d, s->now_s, &copy);
        s->out->visits += fit > MU_FIT_EVICT;
        if (fit > MU_FIT_EVICT || copy >= 0) /* its copy has been looked at */
            continue;
        one.device[0] = d;
        one.cost[0] = cost_of(s, d, fit);
        offer(s, &one, -1);
    }
}

/* Copies of the model on as many devices. */
static void look_at_copies(struct search *s)
{
    for (int id = s->n->model >= 0 ? s->f->model_copies[s->n->model] : -1; id >= 0; id = s->f->copies[id].next) {
        const struct mu_copy *m = &s->f->copies[id];
        struct cheapest c;
        s->out->visits++;
        if (m->n != s->n->devices || !fit_copy(s->f, s->n, id, s->now_s))
            continue;
        c.n = 0, c.most = m->n;
        for (int i = 0; i < m->n; i++)
            cheapest_add(&c, m->device[i], cost_of(s, m->device[i], MU_FIT_COPY));
        offer(s, &c, id);
    }
}

/* Nodes by how many of their devices would do, until there are enough: few nodes, and of each its cheapest. */
static void look_across(struct search *s, int16_t *fitting)
{
    struct cheapest all = {.most = s->n->devices}, c;
    while (!cheapest_is_full(&all)) {
        int best = 0;
        for (int i = 1; i < s->f->n_nodes; i++)
            best = fitting[i] > fitting[best] ? i : best;
        if (fitting[best] == 0)
            return;
        fitting[best] = 0;
        c.most = s->n->devices - all.n;
        look_at_node(s, &c, best);
        for (int i = 0; i < c.n; i++)
            cheapest_add(&all, c.device[i], c.cost[i]);
    }
    offer(s, &all, -1);
}

/* Only nodes that have a device with room are looked at. */
static void look_at_nodes(struct search *s)
{
    int16_t fitting[MU_FLEET_DEVICES_MAX];
    int sum = 0, node = -1, end = s->f->n_devices;
    if (s->n->may_span)
        memset(fitting, 0, (size_t)s->f->n_nodes * sizeof *fitting);
    for (int d = 0; (d = mu_fleet_next_room(s->f, d, end, need_bytes(s->n))) < end; d = s->f->node_first[node + 1]) {
        struct cheapest c;
        c.most = s->n->devices;
        node = s->f->devices[d].node;
        int n = look_at_node(s, &c, node);
        sum += n;
        if (s->n->may_span)
            fitting[node] = (int16_t)n;
        if (cheapest_is_full(&c))
            offer(s, &c, -1);
    }
    if (!s->found && s->n->may_span && sum >= s->n->devices)
        look_across(s, fitting);
}

/* What the group comes to. */
static void finish(struct search *s)
{
    struct mu_choice *o = s->out;
    double rate = INFINITY;
    int copy;
    o->fit = o->seats.copy >= 0 ? MU_FIT_COPY : mu_fit_of(s->f, s->n, o->worst, s->now_s, &copy);
    o->cost = s->k->cost(s->f, s->n, o->worst, o->fit, s->now_s, o->terms);
    for (int i = 0; i < o->seats.n; i++) {
        const struct mu_fleet_device *d = &s->f->devices[o->seats.device[i]];
        rate = MU_MIN(rate, d->speed / (d->n_tasks + 1));
    }
    o->ends_s = s->now_s + (s->n->run_s + (o->fit == MU_FIT_COPY ? 0 : s->n->load_s)) / rate;
    o->late_s = MU_MAX(o->ends_s - s->n->deadline_s, 0);
}

static void begin(struct search *s)
{
    struct mu_choice *o = s->out;
    o->by = s->k;
    o->groups = o->visits = 0;
    o->next_cost = INFINITY;
    o->next = -1;
    for (int i = 0; i < MU_TERMS; i++)
        o->terms[i] = 0;
}

static bool may_choose(const struct mu_fleet *f, const struct mu_need *n)
{
    return n->devices >= 1 && n->devices <= MU_TASK_DEVICES_MAX && f->n_open >= n->devices;
}

bool mu_choose_copy(struct mu_choice *out, const struct mu_strategy_kind *k, const struct mu_fleet *f,
                    const struct mu_need *n, double now_s)
{
    struct search s = {.k = k, .f = f, .n = n, .now_s = now_s, .out = out};
    begin(&s);
    if (may_choose(f, n))
        look_at_copies(&s);
    if (s.found)
        finish(&s);
    return s.found;
}

bool mu_choose(struct mu_choice *out, const struct mu_strategy_kind *k, const struct mu_fleet *f,
               const struct mu_need *n, double now_s)
{
    struct search s = {.k = k, .f = f, .n = n, .now_s = now_s, .out = out};
    begin(&s);
    if (!may_choose(f, n))
        return false;
    look_at_copies(&s);
    if (n->devices == 1)
        look_at_devices(&s);
    else
        look_at_nodes(&s);
    if (s.found)
        finish(&s);
    return s.found;
}
