/* orchestrate.c - the loop: whose turn it is, who has ended, how long to wait (orchestrate.h) */
#include "sched/orchestrate.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "sched/orchestrate_int.h"

#define LOOK_NS 1000000000ll  /* the longest wait */
#define STOP_NS 30000000000ll /* from asking a worker to end to ending it */

void mu_orchestra_tell(struct mu_orchestration *x, int kind, int task, const char *why, double seconds, double retry_s)
{
    struct mu_news n = {.kind = kind,
                        .task = mu_orchestra_task(x, task)->id,
                        .why = why,
                        .seconds = seconds,
                        .retry_s = retry_s,
                        .running = x->n_running};
    if (!x->o->told)
        return;
    mu_state_counts(&x->log.state, 0, &n.now);
    x->o->told(x->o->arg, &n);
}

/* ---- a round of the dispatcher ---- */

static const struct mu_need *need_of(void *arg, int id)
{
    struct mu_orchestration *x = arg;
    return &x->work[mu_queue_tag(x->queue, id)].need;
}

static void note(struct mu_orchestration *x, int rc, const struct mu_err *e)
{
    if (rc != MU_OK && x->failed.code == MU_OK)
        x->failed = *e;
}

static void started(void *arg, int id, int run, const struct mu_choice *c)
{
    struct mu_orchestration *x = arg;
    struct mu_err e = MU_ERR_INIT;
    if (x->failed.code == MU_OK)
        note(x, mu_orchestra_start(x, (int)mu_queue_tag(x->queue, id), run, &c->seats, &e), &e);
}

static void impossible(void *arg, int id, const struct mu_refusal *r)
{
    struct mu_orchestration *x = arg;
    struct mu_err e = MU_ERR_INIT;
    char text[MU_STRATEGY_TEXT_MAX];
    int task = (int)mu_queue_tag(x->queue, id);
    mu_refusal_text(text, r, &x->work[task].need, mu_orchestra_now(x));
    note(x, mu_orchestra_fail(x, task, MU_FAILURE_APPLICATION, text, &e), &e);
}

static int run_round(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_dispatch_calls calls = {.arg = x, .need = need_of, .started = started, .impossible = impossible};
    struct mu_dispatch_stats stats;
    MU_TRY_RETURN(mu_dispatch(x->dispatch, &calls, mu_orchestra_now(x), &stats, e));
    if (x->failed.code == MU_OK)
        return MU_OK;
    if (e)
        *e = x->failed;
    return x->failed.code;
}

/* ---- waiting ---- */

static int task_of(const struct mu_orchestration *x, int64_t worker)
{
    for (int i = 0; i < x->n_running; i++)
        if (x->work[x->running[i]].worker == worker)
            return x->running[i];
    return -1;
}

/* Whoever had its time is asked to end, then ended. */
static void stop_late(struct mu_orchestration *x)
{
    struct mu_launcher *l = x->o->launcher;
    int64_t now = mu_now_ns(x->o->clock);
    for (int i = 0; i < x->n_running; i++) {
        struct mu_work *w = &x->work[x->running[i]];
        double timeout_s = mu_orchestra_task(x, x->running[i])->policy.timeout_s;
        int64_t over_ns = now - w->started_ns - (int64_t)(timeout_s * 1e9);
        if (timeout_s <= 0 || over_ns < 0)
            continue;
        if (!w->is_late)
            l->ops->stop(l, w->worker, false);
        else if (over_ns > STOP_NS && !w->is_killed) {
            l->ops->stop(l, w->worker, true);
            w->is_killed = true;
        }
        w->is_late = true;
    }
}

/* Time at work, with what has passed since the last event. */
static bool is_spent(const struct mu_orchestration *x)
{
    const struct mu_state *s = &x->log.state;
    double limit_s = x->o->campaign->budgets.walltime_s;
    int64_t since = s->fence == mu_event_log_fence(x->log.log) ? mu_now_ns(x->o->clock) - s->mono_ns : 0;
    return limit_s > 0 && (double)(s->active_ns + since) * 1e-9 > limit_s;
}

static int64_t wait_ns(const struct mu_orchestration *x)
{
    double next_s = mu_queue_next_time(x->queue) - mu_orchestra_now(x);
    int64_t ns = is_spent(x) ? LOOK_NS : (int64_t)(fmin(fmax(next_s, 0.001), 1) * 1e9);
    return MU_MIN(MU_MIN(ns, LOOK_NS), MU_MAX(mu_event_log_renew_in_ns(x->log.log), 1000000));
}

static int take_ends(struct mu_orchestration *x, int64_t ns, struct mu_err *e)
{
    struct mu_launcher *l = x->o->launcher;
    struct mu_worker_end end;
    while (l->ops->wait(l, ns, &end)) {
        int task = task_of(x, end.worker);
        if (task >= 0)
            MU_TRY_RETURN(mu_orchestra_ended(x, task, &end, e));
        ns = 0;
    }
    if (mu_event_log_renew_in_ns(x->log.log) <= 0)
        MU_TRY_RETURN(mu_event_log_renew(x->log.log, e));
    return MU_OK;
}

/* Asks all to end and waits for it, as long as their last step may take. */
static int stop_all(struct mu_orchestration *x, struct mu_err *e)
{
    struct mu_launcher *l = x->o->launcher;
    int64_t until = mu_now_ns(x->o->clock) + STOP_NS;
    for (int i = 0; i < x->n_running; i++)
        l->ops->stop(l, x->work[x->running[i]].worker, false);
    while (x->n_running > 0) {
        bool is_over = mu_now_ns(x->o->clock) > until;
        for (int i = 0; i < x->n_running && is_over; i++)
            l->ops->stop(l, x->work[x->running[i]].worker, true);
        MU_TRY_RETURN(take_ends(x, LOOK_NS / 10, e));
    }
    return MU_OK;
}

/* After a failure of our own: nobody may work on while another takes the log over. */
static void abandon_all(struct mu_orchestration *x)
{
    struct mu_launcher *l = x->o->launcher;
    struct mu_worker_end end;
    int64_t until = mu_now_ns(x->o->clock) + STOP_NS;
    for (int i = 0; i < x->n_running; i++)
        l->ops->stop(l, x->work[x->running[i]].worker, true);
    while (x->n_running > 0 && mu_now_ns(x->o->clock) < until)
        x->n_running -= l->ops->wait(l, LOOK_NS, &end);
}

/* ---- all ---- */

static int run_all(struct mu_orchestration *x, struct mu_err *e)
{
    for (;;) {
        struct mu_counts now;
        mu_state_counts(&x->log.state, 0, &now);
        if (now.left == 0)
            return MU_OK;
        if (x->o->is_stopped && x->o->is_stopped(x->o->arg)) {
            MU_TRY_RETURN(stop_all(x, e));
            return mu_fail(e, MU_ECANCELED, "stopped with %d of %d tasks left; the same command goes on from here",
                           now.left, now.tasks);
        }
        if (!is_spent(x))
            MU_TRY_RETURN(run_round(x, e));
        else if (x->n_running == 0)
            return mu_fail(e, MU_ELIMIT, "the campaign's walltime of %.0f s is spent with %d of %d tasks left",
                           x->o->campaign->budgets.walltime_s, now.left, now.tasks);
        stop_late(x);
        MU_TRY_RETURN(take_ends(x, wait_ns(x), e));
    }
}

int mu_orchestrate(const struct mu_orchestra *o, struct mu_counts *out, struct mu_err *e)
{
    struct mu_orchestration x = {.o = o};
    int rc = MU_OK;
    MU_TRY(mu_orchestra_open(&x, e));
    rc = run_all(&x, e);
    if (rc != MU_OK)
        abandon_all(&x);
    mu_state_counts(&x.log.state, 0, out);
out:
    mu_orchestra_close(&x);
    return rc;
}
