/* orchestrate.c - the loop: whose turn it is, who has ended, how long to wait (orchestrate.h) */
#include "sched/orchestrate.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "sched/orchestrate_int.h"

#define LOOK_NS   1000000000ll  /* the longest wait */
#define FROZEN_NS 2000000000ll  /* beyond that between two looks: this process did not run */
#define CHARGE_NS 60000000000ll /* between two notes of time spent */

static void tell(struct mu_orchestration *x, struct mu_news *n, int task)
{
    n->running = x->n_running;
    mu_state_counts(&x->log.state, 0, &n->now);
    mu_orchestra_alert_news(x, n, task);
    if (x->o->told)
        x->o->told(x->o->arg, n);
}

void mu_orchestra_tell(struct mu_orchestration *x, int kind, int task, const char *why, double seconds, double retry_s)
{
    struct mu_news n = {.kind = kind,
                        .task = task >= 0 ? mu_orchestra_task(x, task)->id : NULL,
                        .why = why,
                        .seconds = seconds,
                        .retry_s = retry_s};
    tell(x, &n, task);
}

void mu_orchestra_tell_of(struct mu_orchestration *x, int kind, const char *about, const char *why)
{
    struct mu_news n = {.kind = kind, .about = about, .why = why};
    tell(x, &n, -1);
}

/* ---- a round of the dispatcher ---- */

static bool is_closing(const struct mu_orchestration *x)
{
    return x->fleet->closes_s < INFINITY;
}

static const struct mu_need *need_of(void *arg, int id)
{
    struct mu_orchestration *x = arg;
    int task = (int)mu_queue_tag(x->queue, id);
    struct mu_need *n = &x->work[task].need;
    n->run_s = mu_orchestra_length(x, task, is_closing(x) ? 0 : MU_ORCHESTRA_RUN_S);
    n->is_guess = !mu_orchestra_knows_length(x, task);
    n->load_s = mu_orchestra_load_s(x, task);
    return n;
}

static void note(struct mu_orchestration *x, int rc, const struct mu_err *e)
{
    if (rc != MU_OK && x->failed.code == MU_OK)
        x->failed = *e;
}

static void started(void *arg, int id, int run, const struct mu_choice *c)
{
    struct mu_orchestration *x = arg;
    x->start[x->n_starts++] = (struct mu_start){.task = (int)mu_queue_tag(x->queue, id), .run = run, .seats = c->seats};
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

/* Those of lower priority end after their step, and wait again. */
static void preempt(void *arg, int id, const struct mu_preemption *p)
{
    struct mu_orchestration *x = arg;
    (void)id;
    for (int i = 0; i < p->n; i++)
        mu_orchestra_ask(x, (int)x->fleet->running[p->run[i]].tag, MU_ASKED_PREEMPTED);
}

/* Before the job's end only what will be done by then begins, so that whole tasks finish; one of unknown length is
 * tried. Where nothing else can be done the rest of the time is used all the same: what is stopped then goes on in the
 * next job. */
static int dispatch(struct mu_orchestration *x, const struct mu_dispatch_calls *calls, struct mu_err *e)
{
    struct mu_dispatch_stats stats;
    double left_s = x->o->left_s ? x->o->left_s(x->o->arg) : INFINITY, now_s = mu_orchestra_now(x);
    x->fleet->closes_s = now_s + left_s;
    MU_TRY_RETURN(mu_dispatch(x->dispatch, calls, now_s, &stats, e));
    if (!is_closing(x) || stats.started > 0 || x->n_running > 0)
        return MU_OK;
    x->fleet->closes_s = INFINITY;
    return mu_dispatch(x->dispatch, calls, now_s, &stats, e);
}

/* Decisions first, then what they bring about: starting one may end another. */
static int run_round(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_dispatch_calls calls = {
        .arg = x, .need = need_of, .started = started, .impossible = impossible, .preempt = preempt};
    int rc = MU_OK;
    x->n_starts = 0;
    mu_orchestra_open_lines(x);
    MU_TRY_RETURN(dispatch(x, &calls, e));
    for (int i = 0; rc == MU_OK && x->failed.code == MU_OK && i < x->n_starts; i++)
        rc = mu_orchestra_start(x, x->start[i].task, x->start[i].run, &x->start[i].seats, e);
    if (rc != MU_OK || x->failed.code == MU_OK)
        return rc;
    if (e)
        *e = x->failed;
    return x->failed.code;
}

/* ---- waiting ---- */

/* Whoever had its time is asked to end. */
static void stop_late(struct mu_orchestration *x)
{
    int64_t now = mu_now_ns(x->o->clock);
    for (int i = 0; i < x->n_running; i++) {
        double timeout_s = mu_orchestra_task(x, x->running[i])->policy.timeout_s;
        if (timeout_s > 0 && now - x->work[x->running[i]].started_ns >= (int64_t)(timeout_s * 1e9))
            mu_orchestra_ask(x, x->running[i], MU_ASKED_LATE);
    }
}

/* Devices' time of what runs now is not in the log yet. */
static double hours_spent(const struct mu_orchestration *x)
{
    int64_t ns = x->log.state.spent_ns[MU_BUDGET_DEVICE_TIME], now = mu_now_ns(x->o->clock);
    for (int i = 0; i < x->n_running; i++)
        ns += (now - x->work[x->running[i]].started_ns - x->work[x->running[i]].charged_ns) *
              x->work[x->running[i]].need.devices;
    return (double)ns * 1e-9 / 3600;
}

/* Time at work, with what has passed since the last event. */
static double seconds_at_work(const struct mu_orchestration *x)
{
    const struct mu_state *s = &x->log.state;
    int64_t since = s->fence == mu_event_log_fence(x->log.log) ? mu_now_ns(x->o->clock) - s->mono_ns : 0;
    return (double)(s->active_ns + since) * 1e-9;
}

static int look_for_alerts(struct mu_orchestration *x, struct mu_err *e)
{
    const double spent_s[MU_BUDGETS] = {
        [MU_BUDGET_DEVICE_TIME] = hours_spent(x) * 3600, [MU_BUDGET_WALL_TIME] = seconds_at_work(x)};
    return mu_orchestra_alert_look(x, spent_s, e);
}

/* MU_ELIMIT with the budget that is spent: nothing more begins. */
static int check_budgets(const struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_campaign_budgets *b = &x->o->campaign->budgets;
    if (b->walltime_s > 0 && seconds_at_work(x) > b->walltime_s)
        return mu_fail(e, MU_ELIMIT, "the campaign's walltime of %.0f s is spent", b->walltime_s);
    if (b->gpu_hours > 0 && hours_spent(x) > b->gpu_hours)
        return mu_fail(e, MU_ELIMIT, "the campaign's %g GPU hours are spent", b->gpu_hours);
    return MU_OK;
}

static int64_t wait_ns(const struct mu_orchestration *x)
{
    double next_s = mu_queue_next_time(x->queue) - mu_orchestra_now(x);
    int64_t ns = (int64_t)(fmin(fmax(next_s, 0.001), 1) * 1e9);
    return MU_MIN(MU_MIN(ns, LOOK_NS), MU_MAX(mu_event_log_renew_in_ns(x->log.log), 1000000));
}

/* Stopped as a whole, by a pause of the machine, nobody could say that it lived. */
static void notice_pause(struct mu_orchestration *x)
{
    int64_t now = mu_now_ns(x->o->clock), since = now - x->waited_ns;
    if (x->waited_ns && since > LOOK_NS + FROZEN_NS)
        mu_orchestra_forgive(x, since - LOOK_NS);
    x->waited_ns = now;
}

/* Time at work stands in the log while it is spent, so that one who is killed again and again meets its budget too. */
static int charge(struct mu_orchestration *x, struct mu_err *e)
{
    int64_t now = mu_now_ns(x->o->clock), amount = 0;
    if (now - x->charged_ns < CHARGE_NS)
        return MU_OK;
    x->charged_ns = now;
    for (int i = 0; i < x->n_running; i++) {
        struct mu_work *w = &x->work[x->running[i]];
        amount += (now - w->started_ns - w->charged_ns) * w->need.devices;
        w->charged_ns = now - w->started_ns;
    }
    struct mu_event ev = {.kind = MU_EVENT_BUDGET_SPENT, .value = MU_BUDGET_DEVICE_TIME, .amount = amount};
    return amount > 0 ? mu_state_log_append(&x->log, &ev, 1, e) : MU_OK;
}

static int wait(struct mu_orchestration *x, int64_t ns, struct mu_err *e)
{
    MU_TRY_RETURN(mu_orchestra_hear(x, ns, e));
    notice_pause(x);
    MU_TRY_RETURN(charge(x, e));
    mu_orchestra_end_silent(x);
    mu_orchestra_show(x);
    return mu_event_log_renew_in_ns(x->log.log) <= 0 ? mu_event_log_renew(x->log.log, e) : MU_OK;
}

/* Asks all to end and waits for it, as long as their last step may take. */
static int stop_all(struct mu_orchestration *x, struct mu_err *e)
{
    for (int i = 0; i < x->n_running; i++)
        mu_orchestra_ask(x, x->running[i], MU_ASKED_STOP);
    while (x->n_running > 0) {
        MU_TRY_RETURN(mu_orchestra_share_look(x, NULL, e));
        MU_TRY_RETURN(wait(x, LOOK_NS / 10, e));
    }
    return mu_orchestra_dismiss(x, e);
}

/* After a failure of our own: nobody may work on while another takes the log over. */
static void abandon_all(struct mu_orchestration *x)
{
    struct mu_launcher *l = x->o->launcher;
    struct mu_worker_told told;
    int64_t until = mu_now_ns(x->o->clock) + MU_ORCHESTRA_STOP_NS;
    int left = 0;
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        if (x->hand[i].worker)
            l->ops->stop(l, x->hand[i].worker, true);
        left += x->hand[i].worker != 0;
    }
    while (left > 0 && mu_now_ns(x->o->clock) < until)
        left -= l->ops->wait(l, LOOK_NS, &told) && told.kind == MU_WORKER_ENDED;
}

/* ---- all ---- */

static bool is_stopped(const struct mu_orchestration *x)
{
    return x->o->is_stopped && x->o->is_stopped(x->o->arg);
}

/* Its tasks are at their ends in the log, their workers not yet. */
static int end_cancelled(struct mu_orchestration *x, const struct mu_counts *now, struct mu_err *e)
{
    MU_TRY_RETURN(stop_all(x, e));
    return mu_fail(e, MU_ECANCELED, "the campaign was cancelled with %d of %d tasks finished: --again begins anew",
                   now->by_state[MU_TASK_FINISHED], now->tasks);
}

static int run_all(struct mu_orchestration *x, struct mu_err *e)
{
    for (;;) {
        struct mu_err spent = MU_ERR_INIT;
        struct mu_counts now;
        bool has_more;
        MU_TRY_RETURN(mu_orchestra_serve(x, e));
        mu_state_counts(&x->log.state, 0, &now);
        if (x->log.state.campaign == MU_CAMPAIGN_CANCELLED)
            return end_cancelled(x, &now, e);
        if (now.left == 0 && x->n_running == 0)
            return mu_orchestra_dismiss(x, e);
        if (is_stopped(x)) {
            MU_TRY_RETURN(stop_all(x, e));
            return mu_fail(e, MU_ECANCELED, "stopped with %d of %d tasks left; the same command goes on from here",
                           now.left, now.tasks);
        }
        MU_TRY_RETURN(mu_orchestra_look_at_nodes(x, e));
        MU_TRY_RETURN(look_for_alerts(x, e));
        MU_TRY_RETURN(mu_orchestra_scale(x, e));
        bool goes_on = check_budgets(x, &spent) == MU_OK;
        if (goes_on)
            MU_TRY_RETURN(run_round(x, e));
        else if (x->n_running == 0)
            return mu_fail(e, MU_ELIMIT, "%s with %d of %d tasks left", spent.text, now.left, now.tasks);
        MU_TRY_RETURN(mu_orchestra_share_look(x, &has_more, e));
        if (goes_on && has_more)
            MU_TRY_RETURN(run_round(x, e));
        if (x->n_running == 0 && x->fleet->n_healthy == 0 && !mu_orchestra_may_come_back(x))
            return mu_fail(e, MU_EPEER,
                           "no device is left that works, with %d of %d tasks to do: `muster status` tells why "
                           "they are out; the same command tries them again",
                           now.left, now.tasks);
        stop_late(x);
        MU_TRY_RETURN(wait(x, goes_on ? wait_ns(x) : LOOK_NS, e));
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
    mu_orchestra_share_close(&x);
    mu_orchestra_hide(&x);
    mu_state_counts(&x.log.state, 0, out);
out:
    mu_control_close(x.control); /* nobody is answered any more, whoever asks now is told so at once */
    x.control = NULL;
    mu_orchestra_alert_end(&x, rc, e);
    mu_orchestra_close(&x);
    return rc;
}
