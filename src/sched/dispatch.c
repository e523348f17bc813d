/* dispatch.c - see dispatch.h */
#include "sched/dispatch.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"

#define REFUSED_MAX  8   /* refusals of a round that are remembered */
#define LOOK_AGAIN_S 1.0 /* a promise that has fallen due, and a proposal, are not worked out more often */

/* A task that was looked at and did not start. */
struct held {
    int task;
    bool is_cold; /* there are devices, but it would load its model */
};

struct mu_dispatch {
    struct mu_dispatch_options o;
    struct mu_queue *q;
    struct mu_fleet *f;
    uint8_t *passed;  /* by task: how often others went first for a copy */
    bool *is_checked; /* by task: not impossible */

    /* The last promise, kept while its task is the first that has no devices, so that it does not wander */
    int kept_task;
    struct mu_seats kept;
    double kept_free_s, kept_at_s;
    double proposed_s;

    /* Of a round */
    const struct mu_dispatch_calls *calls;
    double now_s;
    struct held held[MU_DISPATCH_WINDOW_MAX];
    int n_held;
    struct mu_need refused[REFUSED_MAX];
    int n_refused;
    struct mu_seats promised; /* n == 0: nothing */
    int first;                /* the first task that was refused; -1 */
    bool has_cold;            /* one of this window stands back */
    bool has_promised;
    struct mu_choice choice;
    struct mu_refusal refusal;
    struct mu_preemption preemption;
    struct mu_dispatch_stats stats;
};

int mu_dispatch_open(struct mu_dispatch **out, const struct mu_dispatch_options *o, struct mu_queue *q,
                     struct mu_fleet *f, const struct mu_queue_limits *l, struct mu_err *e)
{
    struct mu_dispatch *d = NULL;
    int rc;
    *out = NULL;
    if (o->window < 1 || o->window > MU_DISPATCH_WINDOW_MAX || o->patience < 0 || o->patience > 255)
        return mu_fail(e, MU_EINVAL, "a window of %d tasks and a patience of %d: 1 to %d and 0 to 255 go", o->window,
                       o->patience, MU_DISPATCH_WINDOW_MAX);
    MU_TRY(MU_NEW(&d, "a dispatcher", e));
    MU_TRY(MU_NEW_ARRAY(&d->passed, l->tasks, "a dispatcher's tasks", e));
    MU_TRY(MU_NEW_ARRAY(&d->is_checked, l->tasks, "a dispatcher's tasks", e));
    d->o = *o;
    d->q = q;
    d->f = f;
    d->kept_task = d->first = -1;
    d->proposed_s = -INFINITY;
    *out = d;
    return MU_OK;
out:
    mu_dispatch_free(d);
    return rc;
}

void mu_dispatch_free(struct mu_dispatch *d)
{
    if (!d)
        return;
    mu_free(d->passed);
    mu_free(d->is_checked);
    mu_free(d);
}

/* Whether a task that asks for no more was refused in this round. One whose model has copies is looked at all the same.
 */
static bool is_hopeless(const struct mu_dispatch *d, const struct mu_need *n)
{
    if (n->model >= 0 && n->model < d->f->n_models && d->f->model_copies[n->model] >= 0)
        return false;
    for (int i = 0; i < d->n_refused; i++) {
        const struct mu_need *r = &d->refused[i];
        if (n->devices >= r->devices && n->weights + n->work >= r->weights + r->work &&
            n->run_s + n->load_s >= r->run_s + r->load_s && n->may_span <= r->may_span)
            return true;
    }
    return false;
}

static int start(struct mu_dispatch *d, int task, const struct mu_need *n, struct mu_err *e)
{
    int run;
    MU_TRY_RETURN(mu_fleet_start(d->f, n, &d->choice.seats, mu_queue_tag(d->q, task), d->now_s, &run, e));
    mu_queue_start(d->q, task, d->now_s);
    d->passed[task] = 0;
    d->is_checked[task] = false;
    if (d->kept_task == task)
        d->kept_task = -1;
    d->stats.started++;
    d->calls->started(d->calls->arg, task, run, &d->choice);
    return MU_OK;
}

static bool is_kept(const struct mu_dispatch *d)
{
    bool is_due = d->kept.n == 0 || d->now_s >= d->kept_free_s;
    if (d->kept_task != d->first || (is_due && d->now_s >= d->kept_at_s + LOOK_AGAIN_S))
        return false;
    for (int i = 0; i < d->kept.n; i++)
        if (!mu_fleet_is_there(&d->f->devices[d->kept.device[i]]))
            return false;
    return true;
}

/* The first task that was refused is promised devices. Only when another could start is this worked out. */
static void promise(struct mu_dispatch *d)
{
    d->has_promised = true;
    if (!is_kept(d)) {
        mu_refuse(&d->refusal, d->f, d->calls->need(d->calls->arg, d->first), d->now_s);
        d->kept_task = d->first;
        d->kept = d->refusal.near;
        d->kept_free_s = d->refusal.free_s;
        d->kept_at_s = d->now_s;
    }
    d->promised = d->kept;
    for (int i = 0; i < d->promised.n; i++)
        d->f->devices[d->promised.device[i]].reserved_s = d->kept_free_s;
}

static void propose(struct mu_dispatch *d, int task, const struct mu_need *n)
{
    if (d->o.gap <= 0 || n->priority + d->o.gap >= MU_PRIORITY_N || !d->calls->preempt ||
        d->now_s < d->proposed_s + LOOK_AGAIN_S)
        return;
    d->proposed_s = d->now_s;
    mu_refuse(&d->refusal, d->f, n, d->now_s);
    if (d->refusal.free_s - d->now_s >= d->o.preempt_wait_s && mu_preempt(&d->preemption, d->f, n, d->o.gap, d->now_s))
        d->calls->preempt(d->calls->arg, task, &d->preemption);
}

/* Where every device and a node suffice nothing needs to be looked at. */
static bool is_impossible(struct mu_dispatch *d, const struct mu_need *n)
{
    const struct mu_fleet *f = d->f;
    if (n->devices <= MU_MIN(n->may_span ? f->n_devices : f->largest_node, MU_TASK_DEVICES_MAX) &&
        n->weights + n->work <= f->devices[f->least_memory_of].memory)
        return false;
    mu_refuse(&d->refusal, f, n, d->now_s);
    return mu_refusal_is_final(&d->refusal);
}

/* It would be stopped before its end wherever it ran: nothing is promised to it. */
static bool outlasts_all(const struct mu_dispatch *d, const struct mu_need *n)
{
    return d->now_s + n->run_s > d->f->closes_s;
}

static void refuse(struct mu_dispatch *d, int task, const struct mu_need *n)
{
    if (!d->is_checked[task] && is_impossible(d, n)) {
        mu_queue_start(d->q, task, d->now_s);
        d->calls->impossible(d->calls->arg, task, &d->refusal);
        return;
    }
    d->is_checked[task] = true;
    if (d->n_refused < REFUSED_MAX)
        d->refused[d->n_refused++] = *n;
    d->held[d->n_held++] = (struct held){.task = task};
    if (d->first < 0 && !outlasts_all(d, n)) {
        d->first = task;
        propose(d, task, n);
    }
}

/* A task goes before those that stand back. */
static void count_passed(struct mu_dispatch *d)
{
    for (int i = 0; i < d->n_held; i++)
        if (d->held[i].is_cold && d->passed[d->held[i].task] < UINT8_MAX)
            d->passed[d->held[i].task]++;
}

static bool waits_for_copy(const struct mu_dispatch *d, int task, const struct mu_need *n)
{
    return d->o.strategy->seeks_copies && n->model >= 0 && n->load_s > 0 && d->passed[task] < d->o.patience;
}

static int look_at(struct mu_dispatch *d, int task, bool may_wait, struct mu_err *e)
{
    const struct mu_need *n = d->calls->need(d->calls->arg, task);
    d->stats.looked_at++;
    if (is_hopeless(d, n)) {
        d->held[d->n_held++] = (struct held){.task = task};
        return MU_OK;
    }
    bool found = mu_choose(&d->choice, d->o.strategy, d->f, n, d->now_s);
    d->stats.visits += (uint64_t)d->choice.visits;
    if (found && d->first >= 0 && !d->has_promised) {
        promise(d);
        found = mu_choose(&d->choice, d->o.strategy, d->f, n, d->now_s);
    }
    if (!found) {
        refuse(d, task, n);
        return MU_OK;
    }
    if (may_wait && d->choice.fit != MU_FIT_COPY && (d->has_cold || waits_for_copy(d, task, n))) {
        d->held[d->n_held++] = (struct held){.task = task, .is_cold = true};
        d->has_cold = true;
        return MU_OK;
    }
    if (may_wait)
        count_passed(d);
    return start(d, task, n, e);
}

/* Those that stood back for tasks with copies: what is left is theirs. */
static int look_again(struct mu_dispatch *d, struct mu_err *e)
{
    struct held all[MU_DISPATCH_WINDOW_MAX];
    int n = d->n_held;
    for (int i = 0; i < n; i++)
        all[i] = d->held[i];
    d->n_held = 0;
    for (int i = 0; i < n; i++) {
        if (!all[i].is_cold) {
            d->held[d->n_held++] = all[i];
            continue;
        }
        int rc = look_at(d, all[i].task, false, e);
        if (rc != MU_OK) {
            while (i < n) /* none may be lost */
                d->held[d->n_held++] = all[i++];
            return rc;
        }
    }
    return MU_OK;
}

/* Up to `window` tasks of one level; false: the queue has no more to look at. */
static int look_at_window(struct mu_dispatch *d, bool *goes_on, struct mu_err *e)
{
    enum mu_priority level, first = MU_PRIORITY_N;
    int task;
    *goes_on = d->has_cold = false;
    while (d->n_held < d->o.window && (d->f->n_open > 0 || d->first < 0)) {
        if (!mu_queue_take(d->q, d->now_s, &task, &level))
            return MU_OK;
        if (d->has_cold && level > first) { /* a lower level does not go before those that stand back */
            mu_queue_put_back(d->q, task);
            *goes_on = true;
            return MU_OK;
        }
        first = level;
        int rc = look_at(d, task, true, e);
        if (rc != MU_OK) {
            mu_queue_put_back(d->q, task);
            return rc;
        }
    }
    *goes_on = d->f->n_open > 0 && d->has_cold;
    return MU_OK;
}

static void end_round(struct mu_dispatch *d)
{
    for (int i = 0; i < d->n_held; i++)
        mu_queue_put_back(d->q, d->held[i].task);
    for (int i = 0; i < d->promised.n; i++)
        d->f->devices[d->promised.device[i]].reserved_s = INFINITY;
    d->promised.n = 0;
    d->n_held = 0;
}

int mu_dispatch_first(const struct mu_dispatch *d)
{
    return d->first;
}

int mu_dispatch(struct mu_dispatch *d, const struct mu_dispatch_calls *calls, double now_s,
                struct mu_dispatch_stats *stats, struct mu_err *e)
{
    int rc;
    bool goes_on = true;
    d->calls = calls;
    d->now_s = now_s;
    d->n_refused = 0;
    d->first = -1;
    d->has_promised = false;
    d->stats = (struct mu_dispatch_stats){0};
    while (goes_on) {
        MU_TRY(look_at_window(d, &goes_on, e));
        MU_TRY(look_again(d, e));
        goes_on = goes_on && d->n_held < d->o.window;
    }
out:
    end_round(d);
    *stats = d->stats;
    return rc;
}
