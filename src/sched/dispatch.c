/* dispatch.c - see dispatch.h */
#include "sched/dispatch.h"

#include <limits.h>
#include <math.h>

#include "base/check.h"
#include "base/mem.h"

#define REFUSED_MAX  8   /* refusals of a round that are remembered, */
#define COLD_MAX     32  /* and models whose tasks would have to load them */
#define LOOK_AGAIN_S 1.0 /* a promise that has fallen due, and a proposal, are not worked out more often */

enum held_as {
    HELD_REFUSED, /* there are no devices for it */
    HELD_COLD,    /* there are, but it would load its model: others may go first */
    HELD_WAITS,   /* likewise, and in this round it is left at that */
};

/* A task that was looked at and did not start. */
struct held {
    int task;
    enum held_as as;
};

/* Looks at held tasks: those that stand back, first where their model is nowhere yet, then all. */
enum look { LOOK_FIRST, LOOK_NEW, LOOK_ALL };

/* A model of which no copy can be had now: what is known of it in this round. */
struct cold {
    struct mu_need need; /* the least of what asked for one in vain */
    bool is_counted;     /* copies is true */
    struct mu_copies_busy copies;
    double ahead_s; /* of tasks that wait for a copy of it */
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
    struct held held[MU_DISPATCH_HELD_MAX];
    int n_held, n_weighed; /* of them those that count for the window */
    struct cold cold[COLD_MAX];
    int n_cold;
    bool is_far; /* all ready tasks can be looked at */
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

static bool asks_no_less(const struct mu_need *n, const struct mu_need *than)
{
    return n->devices >= than->devices && n->weights + n->work >= than->weights + than->work &&
           n->run_s + n->load_s >= than->run_s + than->load_s && n->may_span <= than->may_span;
}

/* Whether a task that asks for no more was refused in this round. One whose model has copies is looked at all the same.
 */
static bool is_hopeless(const struct mu_dispatch *d, const struct mu_need *n)
{
    if (n->model >= 0 && n->model < d->f->n_models && d->f->model_copies[n->model] >= 0)
        return false;
    for (int i = 0; i < d->n_refused; i++)
        if (asks_no_less(n, &d->refused[i]))
            return true;
    return false;
}

static void hold(struct mu_dispatch *d, int task, enum held_as as, bool is_weighed)
{
    d->held[d->n_held++] = (struct held){.task = task, .as = as};
    d->n_weighed += is_weighed;
    d->has_cold |= as == HELD_COLD;
}

/* ---- models of which no copy can be had now ---- */

static bool has_limit(const struct mu_dispatch *d, const struct mu_need *n)
{
    return n->model >= 0 && d->f->model_most[n->model] < INT_MAX;
}

static struct cold *find_cold(struct mu_dispatch *d, const struct mu_need *n)
{
    for (int i = 0; i < d->n_cold && n->model >= 0; i++)
        if (d->cold[i].need.model == n->model && d->cold[i].need.devices == n->devices)
            return &d->cold[i];
    return NULL;
}

/* One more, or the same with a task that asks for less. NULL: nothing is to be known of it. */
static struct cold *note_cold(struct mu_dispatch *d, const struct mu_need *n)
{
    struct cold *c = find_cold(d, n);
    if (n->model < 0 || (!d->is_far && !has_limit(d, n)))
        return NULL;
    if (!c) {
        c = &d->cold[d->n_cold < COLD_MAX ? d->n_cold++ : n->model % COLD_MAX];
        *c = (struct cold){.need = *n};
    }
    if (asks_no_less(&c->need, n))
        c->need = *n;
    return c;
}

static const struct mu_copies_busy *copies_of(struct mu_dispatch *d, struct cold *c)
{
    if (!c->is_counted)
        mu_copies_busy(&c->copies, d->f, &c->need, d->now_s);
    c->is_counted = true;
    return &c->copies;
}

/* As many copies as the model may have are there. */
static bool is_at_limit(struct mu_dispatch *d, struct cold *c, const struct mu_need *n)
{
    return c && has_limit(d, n) && copies_of(d, c)->copies >= d->f->model_most[n->model];
}

/* Whether less is to be done before its turn at a copy that is busy than a load of its own would cost. Then it is one
 * of those that wait there. */
static bool has_turn_soon(struct mu_dispatch *d, struct cold *c, const struct mu_need *n)
{
    if (!c || !d->is_far || !d->o.strategy->seeks_copies || n->load_s <= 0 || copies_of(d, c)->busy == 0)
        return false;
    double left_s = n->load_s - c->copies.wait_s - c->ahead_s / c->copies.busy;
    if (left_s < 0)
        return false;
    d->stats.again_s = MU_MIN(d->stats.again_s, d->now_s + MU_MAX(left_s, LOOK_AGAIN_S));
    c->ahead_s += n->is_guess ? c->copies.run_s : n->run_s;
    return true;
}

/* ---- what becomes of one ---- */

static int start(struct mu_dispatch *d, int task, const struct mu_need *n, struct mu_err *e)
{
    int run;
    MU_TRY_RETURN(mu_fleet_start(d->f, n, &d->choice.seats, mu_queue_tag(d->q, task), d->now_s, &run, e));
    mu_queue_start(d->q, task, d->now_s);
    struct cold *c = find_cold(d, n);
    if (c)
        c->is_counted = false; /* there is one more */
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
    hold(d, task, HELD_REFUSED, true);
    if (d->first < 0 && !outlasts_all(d, n)) {
        d->first = task;
        propose(d, task, n);
    }
}

/* A task goes before those that stand back. */
static void count_passed(struct mu_dispatch *d)
{
    for (int i = 0; i < d->n_held; i++)
        if (d->held[i].as == HELD_COLD && d->passed[d->held[i].task] < UINT8_MAX)
            d->passed[d->held[i].task]++;
}

static bool waits_for_copy(const struct mu_dispatch *d, int task, const struct mu_need *n)
{
    return d->o.strategy->seeks_copies && n->model >= 0 && n->load_s > 0 && d->passed[task] < d->o.patience;
}

/* Whether it is known without a look that it is held, as what. */
static bool is_known(struct mu_dispatch *d, int task, const struct mu_need *n, enum look look, enum held_as *as)
{
    struct cold *c = find_cold(d, n);
    *as = HELD_WAITS;
    if (look == LOOK_NEW && n->model >= 0 && d->f->model_all[n->model] >= 0 && d->passed[task] < d->o.patience) {
        *as = HELD_COLD;
        return true;
    }
    if (!c || !asks_no_less(n, &c->need))
        return false;
    if (is_at_limit(d, c, n))
        return true;
    if (look == LOOK_ALL)
        return has_turn_soon(d, c, n);
    *as = HELD_COLD;
    return look == LOOK_FIRST && d->has_cold;
}

/* There are devices, but it would load its model. */
static bool stands_back(struct mu_dispatch *d, int task, const struct mu_need *n, enum look look)
{
    struct cold *c = note_cold(d, n);
    if (is_at_limit(d, c, n))
        hold(d, task, HELD_WAITS, false);
    else if (look == LOOK_FIRST && (d->has_cold || waits_for_copy(d, task, n)))
        hold(d, task, HELD_COLD, true);
    else if (has_turn_soon(d, c, n))
        hold(d, task, HELD_WAITS, false);
    else
        return false;
    return true;
}

/* A free device may cost less than a copy that is there, and not be allowed. */
static void choose_within_limit(struct mu_dispatch *d, const struct mu_need *n)
{
    struct mu_copies_busy c;
    mu_copies_busy(&c, d->f, n, d->now_s);
    if (c.copies < d->f->model_most[n->model])
        return;
    if (!mu_choose_copy(&d->choice, d->o.strategy, d->f, n, d->now_s))
        d->choice.fit = MU_FIT_FREE; /* as it was: there is a device */
    d->stats.visits += (uint64_t)d->choice.visits;
}

static int look_at(struct mu_dispatch *d, int task, enum look look, struct mu_err *e)
{
    const struct mu_need *n = d->calls->need(d->calls->arg, task);
    enum held_as as;
    if (is_known(d, task, n, look, &as)) {
        hold(d, task, as, false);
        return MU_OK;
    }
    d->stats.looked_at++;
    if (is_hopeless(d, n)) {
        hold(d, task, HELD_REFUSED, true);
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
    if (d->choice.fit != MU_FIT_COPY && has_limit(d, n)) /* it may have to do with one that is there */
        choose_within_limit(d, n);
    if (d->choice.fit != MU_FIT_COPY && stands_back(d, task, n, look))
        return MU_OK;
    if (look != LOOK_ALL)
        count_passed(d);
    return start(d, task, n, e);
}

/* Those that stood back for tasks with copies: what is left is theirs. */
static int look_again(struct mu_dispatch *d, enum look look, struct mu_err *e)
{
    struct held all[MU_DISPATCH_HELD_MAX];
    int n = d->n_held, rc = MU_OK;
    for (int i = 0; i < n; i++)
        all[i] = d->held[i];
    d->n_held = d->n_weighed = 0;
    d->has_cold = false;
    for (int i = 0; i < n; i++) {
        if (all[i].as == HELD_COLD && rc == MU_OK) {
            rc = look_at(d, all[i].task, look, e);
            if (rc == MU_OK)
                continue;
        }
        hold(d, all[i].task, all[i].as, all[i].as == HELD_REFUSED); /* none may be lost */
    }
    return rc;
}

static int look_at_cold(struct mu_dispatch *d, struct mu_err *e)
{
    if (!d->has_cold)
        return MU_OK;
    MU_TRY_RETURN(look_again(d, LOOK_NEW, e));
    return look_again(d, LOOK_ALL, e);
}

/* Up to `window` tasks of one level; false: the queue has no more to look at. */
static int look_at_window(struct mu_dispatch *d, bool *goes_on, struct mu_err *e)
{
    enum mu_priority level, first = MU_PRIORITY_N;
    int task;
    *goes_on = d->has_cold = false;
    while (d->n_weighed < d->o.window && d->n_held < MU_DISPATCH_HELD_MAX && (d->f->n_open > 0 || d->first < 0)) {
        if (!mu_queue_take(d->q, d->now_s, &task, &level))
            return MU_OK;
        if (d->has_cold && level > first) { /* a lower level does not go before those that stand back */
            mu_queue_put_back(d->q, task);
            *goes_on = true;
            return MU_OK;
        }
        first = level;
        int rc = look_at(d, task, LOOK_FIRST, e);
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
    d->n_held = d->n_weighed = 0;
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
    d->n_refused = d->n_cold = 0;
    d->first = -1;
    d->has_promised = false;
    d->is_far = mu_queue_count(d->q, MU_QUEUE_READY) <= MU_DISPATCH_HELD_MAX;
    d->stats = (struct mu_dispatch_stats){.again_s = INFINITY};
    while (goes_on) {
        MU_TRY(look_at_window(d, &goes_on, e));
        MU_TRY(look_at_cold(d, e));
        goes_on = goes_on && d->n_weighed < d->o.window && d->n_held < MU_DISPATCH_HELD_MAX;
    }
out:
    end_round(d);
    *stats = d->stats;
    return rc;
}
