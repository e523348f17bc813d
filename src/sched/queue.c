/* queue.c - see queue.h: the life of a task. Lines are in queue_line.c, dependencies in queue_after.c */
#include <math.h>
#include <stddef.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/queue_int.h"

#define RISE_RUNS 2 /* a deadline makes critical when so many predicted times are left */

static const char *const state_names[MU_QUEUE_STATES] = {"free",    "blocked", "waiting", "ready",   "held",
                                                         "running", "done",    "failed",  "skipped", "cancelled"};

const char *mu_queue_state_name(enum mu_queue_state s)
{
    return (unsigned)s < MU_QUEUE_STATES ? state_names[s] : "?";
}

/* ---- open ---- */

static int check_limits(const struct mu_queue_limits *l, struct mu_err *e)
{
    if (l->tasks < 1 || l->tasks > MU_QUEUE_TASKS_MAX)
        return mu_fail(e, MU_ELIMIT, "a queue of %d tasks: from 1 to %d go", l->tasks, MU_QUEUE_TASKS_MAX);
    if (l->edges < 0 || l->edges > MU_QUEUE_EDGES_MAX)
        return mu_fail(e, MU_ELIMIT, "a queue of %d dependencies: from 0 to %d go", l->edges, MU_QUEUE_EDGES_MAX);
    if (l->campaigns < 1 || l->campaigns > MU_QUEUE_CAMPAIGNS_MAX)
        return mu_fail(e, MU_ELIMIT, "a queue of %d campaigns: from 1 to %d go", l->campaigns, MU_QUEUE_CAMPAIGNS_MAX);
    if (!(l->age_s > 0) || !isfinite(l->age_s))
        return mu_fail(e, MU_EINVAL, "an ageing time of %g s: it must be above 0", l->age_s);
    return MU_OK;
}

static void link_free(struct mu_queue *q)
{
    for (int i = 0; i < q->limits.tasks; i++)
        q->slots[i].next = i + 1 < q->limits.tasks ? i + 1 : -1;
    for (int i = 0; i < q->limits.edges; i++)
        q->edges[i].next = i + 1 < q->limits.edges ? i + 1 : -1;
    for (int i = 0; i < q->limits.campaigns * MU_PRIORITY_N; i++)
        q->lines[i] = (struct line){.root = -1, .served_s = -INFINITY};
    q->free_edges = q->limits.edges > 0 ? 0 : -1;
    q->ended_first = q->ended_last = -1;
    q->counts[MU_QUEUE_FREE] = q->limits.tasks;
}

int mu_queue_open(struct mu_queue **out, const struct mu_queue_limits *l, struct mu_err *e)
{
    struct mu_queue *q = NULL;
    int rc, n_lines = l->campaigns * MU_PRIORITY_N;
    *out = NULL;
    MU_TRY_RETURN(check_limits(l, e));
    MU_TRY(MU_NEW(&q, "a queue", e));
    q->limits = *l;
    q->now_s = -INFINITY;
    MU_TRY(MU_NEW_ARRAY(&q->slots, l->tasks, "a queue's tasks", e));
    MU_TRY(MU_NEW_ARRAY(&q->edges, l->edges, "a queue's dependencies", e));
    MU_TRY(MU_NEW_ARRAY(&q->lines, n_lines, "a queue's lines", e));
    MU_TRY(MU_NEW_ARRAY(&q->active, n_lines, "a queue's lines", e));
    MU_TRY(MU_NEW_ARRAY(&q->campaigns, l->campaigns, "a queue's campaigns", e));
    MU_TRY(mu_timers_init(&q->timers, l->tasks, e));
    link_free(q);
    *out = q;
    return MU_OK;
out:
    mu_queue_free(q);
    return rc;
}

void mu_queue_free(struct mu_queue *q)
{
    if (!q)
        return;
    mu_free(q->slots);
    mu_free(q->edges);
    mu_free(q->lines);
    mu_free(q->active);
    mu_free(q->campaigns);
    mu_timers_fini(&q->timers);
    mu_free(q);
}

/* ---- campaigns ---- */

static int check_weight(double weight, struct mu_err *e)
{
    if (weight >= 1e-6 && weight <= 1e6)
        return MU_OK;
    return mu_fail(e, MU_EINVAL, "a campaign's weight of %g: from 0.000001 to 1000000 go", weight);
}

int mu_queue_campaign(struct mu_queue *q, double weight, int *id, struct mu_err *e)
{
    MU_TRY_RETURN(check_weight(weight, e));
    if (q->n_campaigns == q->limits.campaigns)
        return mu_fail(e, MU_ELIMIT, "the queue holds at most %d campaigns", q->limits.campaigns);
    *id = q->n_campaigns++;
    q->campaigns[*id] = (struct campaign){.weight = weight};
    return MU_OK;
}

int mu_queue_set_weight(struct mu_queue *q, int campaign, double weight, struct mu_err *e)
{
    MU_TRY_RETURN(check_weight(weight, e));
    if (campaign < 0 || campaign >= q->n_campaigns)
        return mu_fail(e, MU_EINVAL, "campaign %d of %d", campaign, q->n_campaigns);
    struct campaign *c = &q->campaigns[campaign];
    c->held *= c->weight / weight;
    c->weight = weight; /* what it has had stays counted by the old one */
    return MU_OK;
}

void mu_queue_pause(struct mu_queue *q, int campaign, bool is_paused)
{
    if (campaign >= 0 && campaign < q->n_campaigns)
        q->campaigns[campaign].is_paused = is_paused;
}

void mu_queue_charge(struct mu_queue *q, int campaign, double device_s)
{
    if (campaign >= 0 && campaign < q->n_campaigns)
        q->campaigns[campaign].pass += device_s / q->campaigns[campaign].weight;
}

/* ---- states ---- */

void queue_set_state(struct mu_queue *q, int id, enum mu_queue_state s)
{
    q->counts[q->slots[id].state]--;
    q->counts[s]++;
    q->slots[id].state = (uint8_t)s;
}

bool queue_has_ended(const struct mu_queue *q, int id)
{
    return q->slots[id].state >= MU_QUEUE_DONE;
}

void queue_make_ready(struct mu_queue *q, int id)
{
    struct slot *s = &q->slots[id];
    if (s->ready_s > q->now_s) {
        queue_set_state(q, id, MU_QUEUE_WAITING);
        mu_timers_set(&q->timers, id, s->ready_s);
        return;
    }
    /* It waited for others before: the time in line counts from now. One that was in line keeps its place. */
    if (s->state == MU_QUEUE_BLOCKED)
        s->ready_s = q->now_s;
    queue_set_state(q, id, MU_QUEUE_READY);
    mu_timers_set(&q->timers, id, q->now_s >= s->rise_s ? INFINITY : s->rise_s);
    line_put(q, id);
}

/* Time passes: tasks whose waiting is over, or whose deadline comes near, move. */
static void pass_time(struct mu_queue *q, double now_s)
{
    q->now_s = MU_MAX(q->now_s, now_s);
    for (int id; (id = mu_timers_first(&q->timers)) >= 0 && q->timers.at[id] <= q->now_s;) {
        mu_timers_drop(&q->timers, id);
        if (q->slots[id].state == MU_QUEUE_READY)
            line_remove(q, id);
        queue_make_ready(q, id);
    }
}

static bool is_in(const struct mu_queue *q, int id, enum mu_queue_state s)
{
    return id >= 0 && id < q->limits.tasks && q->slots[id].state == s;
}

/* ---- adding ---- */

static int check_task(const struct mu_queue *q, const struct mu_queue_task *t, struct mu_err *e)
{
    if (t->campaign < 0 || t->campaign >= q->n_campaigns)
        return mu_fail(e, MU_EINVAL, "a task of campaign %d, of which the queue has %d", t->campaign, q->n_campaigns);
    if ((unsigned)t->priority >= MU_PRIORITY_N || (unsigned)t->if_failed > MU_AFTER_ANYWAY)
        return mu_fail(e, MU_EINVAL, "a task of priority %d, with policy %d after failures: no such thing",
                       (int)t->priority, (int)t->if_failed);
    if (!(t->run_s >= 0) || !isfinite(t->run_s) || t->devices < 1)
        return mu_fail(e, MU_EINVAL, "a task of %g s on %d devices: 0 s and 1 device are the least", t->run_s,
                       t->devices);
    if (isnan(t->deadline_s) || !(t->ready_s < INFINITY) || t->n_before < 0)
        return mu_fail(e, MU_EINVAL, "a task that is ready at %g s, due at %g s, after %d others: no such thing",
                       t->ready_s, t->deadline_s, t->n_before);
    if (q->free_slots < 0)
        return mu_fail(e, MU_ELIMIT, "the queue holds at most %d tasks: forget those that have ended", q->limits.tasks);
    return MU_OK;
}

int mu_queue_add(struct mu_queue *q, const struct mu_queue_task *t, double now_s, int *id, struct mu_err *e)
{
    MU_TRY_RETURN(check_task(q, t, e));
    pass_time(q, now_s);
    int at = q->free_slots, next = q->slots[at].next;
    q->slots[at] = (struct slot){.campaign = t->campaign,
                                 .priority = (uint8_t)t->priority,
                                 .if_failed = (uint8_t)t->if_failed,
                                 .edges = -1,
                                 .next = next,
                                 .ready_s = t->ready_s,
                                 .rise_s = t->deadline_s - RISE_RUNS * t->run_s,
                                 .device_s = t->run_s * t->devices,
                                 .run_s = t->run_s,
                                 .tag = t->tag};
    MU_TRY_RETURN(after_add(q, at, t->before, t->n_before, e));
    q->free_slots = next;
    q->slots[at].seq = q->seq++;
    queue_set_state(q, at, MU_QUEUE_BLOCKED);
    if (q->slots[at].pending == 0)
        after_release(q, at);
    *id = at;
    return MU_OK;
}

/* ---- turns ---- */

bool mu_queue_take(struct mu_queue *q, double now_s, int *id, enum mu_priority *level)
{
    pass_time(q, now_s);
    int at = line_next(q, level);
    if (at < 0)
        return false;
    struct campaign *c = &q->campaigns[q->slots[at].campaign];
    line_remove(q, at);
    mu_timers_drop(&q->timers, at);
    queue_set_state(q, at, MU_QUEUE_HELD);
    c->held += q->slots[at].device_s / c->weight;
    c->n_held++;
    q->n_held++;
    *id = at;
    return true;
}

static void let_go(struct mu_queue *q, int id)
{
    struct campaign *c = &q->campaigns[q->slots[id].campaign];
    c->n_held--;
    q->n_held--;
    c->held = c->n_held == 0 ? 0 : c->held - q->slots[id].device_s / c->weight;
}

void mu_queue_start(struct mu_queue *q, int id, double now_s)
{
    if (!is_in(q, id, MU_QUEUE_HELD))
        return;
    struct slot *s = &q->slots[id];
    struct campaign *c = &q->campaigns[s->campaign];
    let_go(q, id);
    q->now_s = MU_MAX(q->now_s, now_s);
    c->pass = MU_MAX(c->pass, q->least_pass) + s->device_s / c->weight;
    q->lines[s->line].served_s = q->now_s;
    s->tries++;
    queue_set_state(q, id, MU_QUEUE_RUNNING);
}

void mu_queue_put_back(struct mu_queue *q, int id)
{
    if (!is_in(q, id, MU_QUEUE_HELD))
        return;
    let_go(q, id);
    queue_make_ready(q, id);
}

void mu_queue_end(struct mu_queue *q, int id, bool is_good, double now_s)
{
    if (!is_in(q, id, MU_QUEUE_RUNNING))
        return;
    pass_time(q, now_s);
    queue_set_state(q, id, is_good ? MU_QUEUE_DONE : MU_QUEUE_FAILED);
    after_end(q, id);
}

void mu_queue_again(struct mu_queue *q, int id, double left_s, double at_s, double now_s)
{
    if (!is_in(q, id, MU_QUEUE_RUNNING))
        return;
    struct slot *s = &q->slots[id];
    pass_time(q, now_s);
    left_s = MU_MIN(MU_MAX(left_s, 0), s->run_s);
    double share = s->run_s > 0 ? left_s / s->run_s : 0;
    s->rise_s += RISE_RUNS * (s->run_s - left_s);
    s->device_s *= share;
    s->run_s = left_s;
    mu_queue_charge(q, s->campaign, -s->device_s);
    if (at_s > -INFINITY)
        s->ready_s = MU_MAX(at_s, q->now_s);
    queue_make_ready(q, id);
}

/* ---- changes from outside ---- */

static int check_open(const struct mu_queue *q, int id, const char *what, struct mu_err *e)
{
    if (mu_queue_state(q, id) == MU_QUEUE_FREE)
        return mu_fail(e, MU_EINVAL, "task %d is not in the queue and cannot be %s", id, what);
    if (queue_has_ended(q, id))
        return mu_fail(e, MU_EINVAL, "task %d is %s already and cannot be %s", id,
                       mu_queue_state_name(mu_queue_state(q, id)), what);
    return MU_OK;
}

int mu_queue_cancel(struct mu_queue *q, int id, double now_s, struct mu_err *e)
{
    pass_time(q, now_s);
    MU_TRY_RETURN(check_open(q, id, "cancelled", e));
    if (is_in(q, id, MU_QUEUE_READY))
        line_remove(q, id);
    if (is_in(q, id, MU_QUEUE_HELD))
        let_go(q, id);
    mu_timers_drop(&q->timers, id);
    queue_set_state(q, id, MU_QUEUE_CANCELLED);
    after_end(q, id);
    return MU_OK;
}

int mu_queue_set_priority(struct mu_queue *q, int id, enum mu_priority p, double now_s, struct mu_err *e)
{
    pass_time(q, now_s);
    MU_TRY_RETURN(check_open(q, id, "given another priority", e));
    if ((unsigned)p >= MU_PRIORITY_N)
        return mu_fail(e, MU_EINVAL, "priority %d: no such thing", (int)p);
    if (is_in(q, id, MU_QUEUE_READY))
        line_remove(q, id);
    q->slots[id].priority = (uint8_t)p;
    if (is_in(q, id, MU_QUEUE_READY))
        line_put(q, id);
    return MU_OK;
}

bool mu_queue_next_ended(struct mu_queue *q, int *id)
{
    if (q->ended_first < 0)
        return false;
    *id = q->ended_first;
    q->ended_first = q->slots[*id].next;
    if (q->ended_first < 0)
        q->ended_last = -1;
    q->slots[*id].is_listed = false;
    return true;
}

int mu_queue_forget(struct mu_queue *q, int id, struct mu_err *e)
{
    if (mu_queue_state(q, id) == MU_QUEUE_FREE || !queue_has_ended(q, id))
        return mu_fail(e, MU_EINVAL, "task %d is %s and cannot be forgotten: only what has ended can", id,
                       mu_queue_state_name(mu_queue_state(q, id)));
    if (q->slots[id].pending > 0 || q->slots[id].is_listed)
        return mu_fail(e, MU_EINVAL, "task %d cannot be forgotten yet: %d tasks before it have not ended%s", id,
                       q->slots[id].pending, q->slots[id].is_listed ? ", and its own end was not asked for" : "");
    queue_set_state(q, id, MU_QUEUE_FREE);
    q->slots[id].next = q->free_slots;
    q->free_slots = id;
    return MU_OK;
}

/* ---- looking ---- */

enum mu_queue_state mu_queue_state(const struct mu_queue *q, int id)
{
    return id >= 0 && id < q->limits.tasks ? (enum mu_queue_state)q->slots[id].state : MU_QUEUE_FREE;
}

uint64_t mu_queue_tag(const struct mu_queue *q, int id)
{
    return q->slots[id].tag;
}

int mu_queue_campaign_of(const struct mu_queue *q, int id)
{
    return q->slots[id].campaign;
}

enum mu_priority mu_queue_priority(const struct mu_queue *q, int id)
{
    return (enum mu_priority)q->slots[id].priority;
}

int mu_queue_tries(const struct mu_queue *q, int id)
{
    return q->slots[id].tries;
}

int mu_queue_count(const struct mu_queue *q, enum mu_queue_state s)
{
    return (unsigned)s < MU_QUEUE_STATES ? q->counts[s] : 0;
}

double mu_queue_next_time(const struct mu_queue *q)
{
    int first = mu_timers_first(&q->timers);
    return first < 0 ? INFINITY : q->timers.at[first];
}

uint64_t mu_queue_visits(const struct mu_queue *q)
{
    return q->visits + q->timers.visits;
}
