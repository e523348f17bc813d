/* orchestrate_node.c - nodes and devices: their numbers in the log, those that are gone, those that are back
 * (orchestrate.h) */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

#define LOOK_NS 5000000000ll /* between looks whether a node is back */

int32_t mu_orchestra_device_number(const struct mu_orchestration *x, int device)
{
    const struct mu_place *p = &x->node[x->o->devices[device].node];
    return x->log.state.nodes[p->number].device_first + device - p->first;
}

/* A node of this name and so many devices that the log knows; -1. */
static int32_t find_node(const struct mu_state *s, const char *name, int n)
{
    for (int32_t i = 0; i < s->n_nodes; i++)
        if (s->nodes[i].n_devices == n && strcmp(mu_state_name(s, s->nodes[i].name), name) == 0)
            return i;
    return -1;
}

static int meet_node(struct mu_orchestration *x, struct mu_place *p, struct mu_err *e)
{
    struct mu_event ev = {.kind = MU_EVENT_NODE_SEEN, .node = x->log.state.n_nodes, .amount = p->n, .text = p->name};
    p->number = find_node(&x->log.state, p->name, p->n);
    if (p->number < 0) {
        p->number = ev.node;
        return mu_state_log_append(&x->log, &ev, 1, e);
    }
    ev = (struct mu_event){.kind = MU_EVENT_NODE_BACK, .node = p->number};
    return x->log.state.nodes[p->number].is_quarantined ? mu_state_log_append(&x->log, &ev, 1, e) : MU_OK;
}

static int bring_devices_back(struct mu_orchestration *x, const struct mu_place *p, struct mu_err *e)
{
    for (int i = p->first; i < p->first + p->n; i++) {
        struct mu_event ev = {.kind = MU_EVENT_DEVICE_BACK, .device = mu_orchestra_device_number(x, i)};
        if (x->log.state.devices[ev.device].is_quarantined)
            MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    }
    return MU_OK;
}

/* A new start gives what was in quarantine another chance: what is broken shows at once. */
int mu_orchestra_meet_nodes(struct mu_orchestration *x, struct mu_err *e)
{
    for (int i = 0; i < x->o->n_devices; i++)
        x->n_nodes = MU_MAX(x->n_nodes, x->o->devices[i].node + 1);
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->node, x->n_nodes, "nodes", e));
    for (int i = 0; i < x->o->n_devices; i++) {
        struct mu_place *p = &x->node[x->o->devices[i].node];
        if (p->n++ == 0)
            p->first = i;
    }
    for (int i = 0; i < x->n_nodes; i++) {
        x->node[i].name = x->o->nodes[i];
        MU_TRY_RETURN(meet_node(x, &x->node[i], e));
        MU_TRY_RETURN(bring_devices_back(x, &x->node[i], e));
    }
    return MU_OK;
}

/* ---- gone ---- */

void mu_orchestra_stop_on(struct mu_orchestration *x, int first, int n)
{
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        struct mu_hand *h = &x->hand[i];
        bool is_there = false;
        for (int d = 0; h->worker && d < h->n; d++)
            is_there |= h->device[d] >= first && h->device[d] < first + n;
        if (!is_there || h->is_killed)
            continue;
        if (h->task >= 0 && x->work[h->task].asked == MU_ASKED_NOT)
            x->work[h->task].asked = MU_ASKED_MOVED;
        mu_orchestra_stop_hand(x, i, true);
    }
}

/* What is out of use, for people: its name and why. */
static void tell_out(struct mu_orchestration *x, int kind, const char *node, int device, const char *why)
{
    char text[MU_EVENT_TEXT_MAX], about[300];
    if (device >= 0)
        snprintf(about, sizeof about, "device %d of %.255s", device, node);
    else
        snprintf(about, sizeof about, "%.255s", node);
    snprintf(text, sizeof text, "%s: %.700s", about, why);
    mu_orchestra_tell_of(x, kind, about, text);
}

int mu_orchestra_node_down(struct mu_orchestration *x, int node, const char *why, struct mu_err *e)
{
    struct mu_place *p = &x->node[node];
    char text[MU_EVENT_TEXT_MAX];
    struct mu_event ev = {.kind = MU_EVENT_NODE_QUARANTINED, .node = p->number, .text = text};
    if (p->is_down)
        return MU_OK;
    snprintf(text, sizeof text, "%s", why);
    mu_orchestra_make_valid(text);
    p->is_down = true;
    p->seen_ns = mu_now_ns(x->o->clock);
    mu_orchestra_stop_on(x, p->first, p->n);
    MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    tell_out(x, ev.kind, p->name, -1, text);
    return MU_OK;
}

int mu_orchestra_device_down(struct mu_orchestration *x, int device, const char *why, struct mu_err *e)
{
    struct mu_event ev = {
        .kind = MU_EVENT_DEVICE_QUARANTINED, .device = mu_orchestra_device_number(x, device), .text = why};
    const struct mu_place *p = &x->node[x->o->devices[device].node];
    if (x->log.state.devices[ev.device].is_quarantined)
        return MU_OK;
    MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    mu_orchestra_stop_on(x, device, 1);
    tell_out(x, ev.kind, p->name, device - p->first, why);
    return MU_OK;
}

/* ---- the fleet follows ---- */

static int set_healthy(struct mu_orchestration *x, int device, bool is_healthy, struct mu_err *e)
{
    const struct mu_fleet_device *d = &x->fleet->devices[device];
    if (d->is_healthy == is_healthy || d->n_tasks > 0)
        return MU_OK;
    return mu_fleet_set_healthy(x->fleet, device, is_healthy, mu_orchestra_now(x), e);
}

static int look_again(struct mu_orchestration *x, struct mu_place *p, struct mu_err *e)
{
    struct mu_launcher *l = x->o->launcher;
    struct mu_event ev = {.kind = MU_EVENT_NODE_BACK, .node = p->number};
    if (!p->is_down || !l->ops->is_node_down || mu_now_ns(x->o->clock) - p->seen_ns < LOOK_NS)
        return MU_OK;
    p->seen_ns = mu_now_ns(x->o->clock);
    if (l->ops->is_node_down(l, p->name))
        return MU_OK;
    p->is_down = false;
    return mu_state_log_append(&x->log, &ev, 1, e);
}

bool mu_orchestra_may_come_back(const struct mu_orchestration *x)
{
    for (int i = 0; i < x->n_nodes; i++)
        if (x->node[i].is_down && x->o->launcher->ops->is_node_down)
            return true;
    return false;
}

int mu_orchestra_look_at_nodes(struct mu_orchestration *x, struct mu_err *e)
{
    for (int i = 0; i < x->n_nodes; i++) {
        struct mu_place *p = &x->node[i];
        MU_TRY_RETURN(look_again(x, p, e));
        for (int d = p->first; d < p->first + p->n; d++) {
            bool is_out = x->log.state.devices[mu_orchestra_device_number(x, d)].is_quarantined;
            MU_TRY_RETURN(set_healthy(x, d, !p->is_down && !is_out, e));
        }
    }
    return MU_OK;
}
