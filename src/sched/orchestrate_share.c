/* orchestrate_share.c - see orchestrate_share.h */
#include "sched/orchestrate_share.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

#define LOST_NS     5000000000ll  /* between two looks at a store that could not be asked */
#define PRESSED_NS  60000000000ll /* that others wait until a task is stopped for them, */
#define RUN_LEAST_S 60.0          /* which has run for so long, */
#define RUN_LOADS   10.0          /* and so many times as long as loading its model took */

/* ---- joining and leaving ---- */

static int *nodes_of(const struct mu_orchestration *x, struct mu_err *e)
{
    int *node = NULL;
    if (MU_NEW_ARRAY(&node, x->o->n_devices, "shared devices", e) != MU_OK)
        return NULL;
    for (int i = 0; i < x->o->n_devices; i++)
        node[i] = x->o->devices[i].node;
    return node;
}

/* The moment its log began tells it from another run of the same file. */
static int join(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_state *s = &x->log.state;
    char key[64];
    int *node = nodes_of(x, e);
    if (!node)
        return MU_ENOMEM;
    snprintf(key, sizeof key, "%.32s-%" PRId64, mu_state_name(s, s->hash), s->opened_wall_ns);
    const struct mu_share_opts o = {.folder = x->o->share,
                                    .campaign = x->o->campaign->name,
                                    .key = key,
                                    .weight = x->o->campaign->weight > 0 ? x->o->campaign->weight : 1,
                                    .nodes = x->o->nodes,
                                    .node = node,
                                    .n_devices = x->o->n_devices,
                                    .clock = x->o->clock};
    int rc = mu_share_join(&x->share.store, &o, e);
    mu_free(node);
    return rc;
}

int mu_orchestra_share_open(struct mu_orchestration *x, struct mu_err *e)
{
    struct mu_orchestra_share *s = &x->share;
    int n = x->o->n_devices;
    if (!x->o->share)
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->is_closing, n, "shared devices", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->is_peopled, n, "shared devices", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->use, n, "shared devices", e));
    MU_TRY_RETURN(join(x, e));
    for (int i = 0; i < n; i++)
        mu_fleet_set_lent(x->fleet, i, true);
    s->sated_with = -1;
    return mu_orchestra_share_look(x, NULL, e);
}

void mu_orchestra_share_close(struct mu_orchestration *x)
{
    struct mu_orchestra_share *s = &x->share;
    mu_share_leave(s->store);
    mu_free(s->is_closing);
    mu_free(s->is_peopled);
    mu_free(s->use);
    *s = (struct mu_orchestra_share){0};
}

/* ---- what it could use ---- */

static void find_people(struct mu_orchestration *x)
{
    struct mu_orchestra_share *s = &x->share;
    for (int d = 0; d < x->o->n_devices; d++)
        s->is_peopled[d] = false;
    for (int i = 0; i < MU_WORKERS_MAX; i++)
        for (int k = 0; x->hand[i].worker && k < x->hand[i].n; k++)
            s->is_peopled[x->hand[i].device[k]] = true;
}

static bool is_empty(const struct mu_orchestration *x, int device)
{
    return !x->share.is_peopled[device] && x->fleet->devices[device].n_tasks == 0;
}

static bool has_something_to_give(struct mu_orchestration *x)
{
    if (x->share.n_closing == 0)
        return false;
    find_people(x);
    for (int d = 0; d < x->o->n_devices; d++)
        if (x->share.is_closing[d] && is_empty(x, d))
            return true;
    return false;
}

/* Whether the task could run now if there were devices. */
static bool is_ready(const struct mu_orchestration *x, int task)
{
    int id = x->work[task].id;
    return id >= 0 && mu_queue_state(x->queue, id) == MU_QUEUE_READY;
}

/* Devices with work and without, places that are free beside work, and devices that can be had. */
struct room {
    int busy, idle, places, usable, tasks_max;
};

static struct room room_of(const struct mu_orchestration *x)
{
    struct room r = {.tasks_max = 1};
    for (int i = 0; i < x->fleet->n_devices; i++) {
        const struct mu_fleet_device *d = &x->fleet->devices[i];
        r.tasks_max = MU_MAX(r.tasks_max, d->tasks_max);
        r.usable += d->is_healthy;
        r.busy += d->n_tasks > 0;
        r.idle += d->n_tasks == 0 && mu_fleet_is_there(d);
        r.places += d->n_tasks > 0 && mu_fleet_is_there(d) ? d->tasks_max - d->n_tasks : 0;
    }
    return r;
}

/* What those that are ready could use, as if each began at once. */
static int64_t ask_for_ready(const struct mu_orchestration *x, const struct room *r, struct mu_share_ask *a)
{
    int64_t seats = 0, ready = 0;
    for (int i = 0; i < x->o->campaign->n_tasks; i++) {
        int devices = x->work[i].need.devices;
        if (!is_ready(x, i) || devices > r->usable)
            continue;
        ready++;
        seats += devices;
        a->narrow = a->narrow > 0 ? MU_MIN(a->narrow, devices) : devices;
    }
    seats = MU_MAX(seats - r->places, 0);
    a->want = (int)MU_MIN(r->busy + (seats + r->tasks_max - 1) / r->tasks_max, r->usable);
    return ready;
}

/* Devices of the first task that has too few; 0: there is none. */
static int ask_for_first(const struct mu_orchestration *x, const struct room *r, struct mu_share_ask *a)
{
    int first = mu_dispatch_first(x->dispatch);
    if (first < 0 || mu_queue_state(x->queue, first) != MU_QUEUE_READY)
        return 0;
    int devices = x->work[mu_queue_tag(x->queue, first)].need.devices;
    a->wide_task = first;
    a->wide = devices <= r->usable ? devices : 0;
    return a->wide;
}

/* Where the dispatcher leaves devices alone, tasks wait for something else, such as a model that is at work: more
 * devices would be of no use, until some of them begin or end. */
static void ask_for_no_more(struct mu_orchestration *x, const struct room *r, int64_t ready, int first,
                            struct mu_share_ask *a)
{
    int64_t with = ready * (MU_WORKERS_MAX + 1) + x->n_running;
    if (r->idle > 0 && first > 0)
        a->narrow = first;
    if (r->idle > 0 && first == 0)
        x->share.sated_with = with;
    if (first > 0 || x->share.sated_with != with)
        x->share.sated_with = -1;
    if (x->share.sated_with < 0)
        return;
    a->want = r->busy;
    a->narrow = 0;
}

static struct mu_share_ask ask_of(struct mu_orchestration *x)
{
    struct room r = room_of(x);
    struct mu_share_ask a = {.busy = r.busy, .want = r.busy, .wide_task = -1, .use = x->share.use};
    find_people(x);
    for (int d = 0; d < x->o->n_devices; d++) {
        bool goes = x->share.is_closing[d] || !x->fleet->devices[d].is_healthy;
        x->share.use[d] = !goes ? MU_SHARE_MAY : is_empty(x, d) ? MU_SHARE_GIVE : MU_SHARE_NOT;
    }
    if (x->log.state.campaign == MU_CAMPAIGN_PAUSED)
        return a;
    int64_t ready = ask_for_ready(x, &r, &a);
    ask_for_no_more(x, &r, ready, ask_for_first(x, &r, &a), &a);
    return a;
}

/* ---- what follows ---- */

/* What costs least to give: what goes already, then what nothing runs on, then where tasks will end first. */
static int next_to_close(const struct mu_orchestration *x, const bool *was_closing)
{
    int best = -1;
    double best_cost = 0;
    for (int d = 0; d < x->o->n_devices; d++) {
        if (!mu_share_has(x->share.store, d) || x->share.is_closing[d])
            continue;
        double cost = x->fleet->devices[d].n_tasks == 0 ? -1 : mu_fleet_load(x->fleet, d, mu_orchestra_now(x));
        cost = was_closing[d] ? -2 : cost;
        if (best >= 0 && cost >= best_cost)
            continue;
        best = d;
        best_cost = cost;
    }
    return best;
}

/* Its own are there for the dispatcher, but for `give` of them, which go. */
static void settle_devices(struct mu_orchestration *x, int give)
{
    struct mu_orchestra_share *s = &x->share;
    bool *was_closing = s->is_peopled; /* as scratch: found anew at the next look */
    int next;
    for (int d = 0; d < x->o->n_devices; d++) {
        was_closing[d] = s->is_closing[d];
        s->is_closing[d] = false;
    }
    for (s->n_closing = 0; s->n_closing < give && (next = next_to_close(x, was_closing)) >= 0; s->n_closing++)
        s->is_closing[next] = true;
    for (int d = 0; d < x->o->n_devices; d++) {
        bool is_own = mu_share_has(s->store, d);
        if (!is_own && x->fleet->devices[d].n_tasks > 0)
            mu_orchestra_stop_on(x, d, 1);
        mu_fleet_set_lent(x->fleet, d, !is_own || s->is_closing[d]);
    }
}

/* Idle workers on what is lost end too. */
static void leave_lost(struct mu_orchestration *x)
{
    find_people(x);
    for (int d = 0; d < x->o->n_devices; d++)
        if (x->share.is_peopled[d] && !mu_share_has(x->share.store, d))
            mu_orchestra_stop_on(x, d, 1);
}

static bool has_run_enough(const struct mu_orchestration *x, const struct mu_work *w)
{
    double run_s = (double)(mu_now_ns(x->o->clock) - w->started_ns) * 1e-9;
    return run_s >= MU_MAX(RUN_LEAST_S, RUN_LOADS * w->need.load_s);
}

/* Others have waited long enough: what runs on the devices that go ends after its step. */
static void press(struct mu_orchestration *x, bool is_pressed)
{
    struct mu_orchestra_share *s = &x->share;
    int64_t now = mu_now_ns(x->o->clock);
    s->pressed_ns = !is_pressed ? 0 : s->pressed_ns ? s->pressed_ns : now;
    if (!is_pressed || now - s->pressed_ns < PRESSED_NS)
        return;
    for (int d = 0; d < x->o->n_devices; d++) {
        const struct mu_fleet_device *f = &x->fleet->devices[d];
        for (int i = 0; s->is_closing[d] && i < f->n_tasks; i++) {
            int task = (int)x->fleet->running[f->tasks[i]].tag;
            if (has_run_enough(x, &x->work[task]))
                mu_orchestra_ask(x, task, MU_ASKED_LENT);
        }
    }
}

/* Nothing has changed for it: it goes on with what it has. */
static int go_without(struct mu_orchestration *x, int rc, const struct mu_err *why, struct mu_err *e)
{
    if (rc == MU_ECHANGED || rc == MU_EINVAL)
        return mu_fail(e, rc, "%s", why->text);
    if (!x->share.is_lost)
        mu_log(MU_LOG_WARN, "devices are not shared for now, this campaign goes on with those it has: %s", why->text);
    x->share.is_lost = true;
    return MU_OK;
}

static int look(struct mu_orchestration *x, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    struct mu_share_due due;
    struct mu_share_ask ask = ask_of(x);
    x->share.looked_ns = mu_now_ns(x->o->clock);
    int rc = mu_share_look(x->share.store, &ask, &due, &why);
    if (rc != MU_OK)
        return go_without(x, rc, &why, e);
    if (x->share.is_lost)
        mu_log(MU_LOG_WARN, "devices are shared again");
    x->share.is_lost = false;
    settle_devices(x, due.give);
    leave_lost(x);
    if (x->share.n_closing > 0)
        mu_orchestra_make_room(x);
    press(x, due.is_pressed);
    return MU_OK;
}

int mu_orchestra_share_look(struct mu_orchestration *x, bool *has_more, struct mu_err *e)
{
    const struct mu_orchestra_share *s = &x->share;
    int64_t since = mu_now_ns(x->o->clock) - s->looked_ns;
    int n_open = x->fleet->n_open;
    bool is_due = !s->looked_ns || since >= (s->is_lost ? LOST_NS : MU_SHARE_LOOK_NS);
    if (s->store && (is_due || (!s->is_lost && has_something_to_give(x))))
        MU_TRY_RETURN(look(x, e));
    if (has_more)
        *has_more = x->fleet->n_open > n_open;
    return MU_OK;
}

int mu_orchestra_share_allows(struct mu_orchestration *x, const struct mu_seats *seats, bool *may, struct mu_err *e)
{
    *may = true;
    if (!x->share.store)
        return MU_OK;
    if (!mu_share_is_fresh(x->share.store) && !x->share.is_lost)
        MU_TRY_RETURN(look(x, e));
    for (int i = 0; i < seats->n; i++)
        *may &= mu_share_has(x->share.store, seats->device[i]);
    return MU_OK;
}

/* ---- telling ---- */

json_t *mu_orchestra_share_json(const struct mu_orchestration *x)
{
    struct mu_share_other other[MU_SHARE_MEMBERS_MAX];
    json_t *others = json_array();
    int mine = 0;
    if (!x->share.store) {
        json_decref(others);
        return NULL;
    }
    for (int d = 0; d < x->o->n_devices; d++)
        mine += mu_share_has(x->share.store, d);
    for (int i = 0, n = mu_share_others(x->share.store, other); i < n; i++)
        json_array_append_new(others, json_pack("{s:s, s:i}", "campaign", other[i].campaign, "devices", other[i].held));
    return json_pack("{s:i, s:i, s:o, s:b}", "devices", x->o->n_devices, "mine", mine, "others", others, "is_lost",
                     (int)x->share.is_lost);
}
