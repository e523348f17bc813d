/* orchestrate_alert.c - see orchestrate_alert.h
 *
 * An attempt that failed is an alert where its class tells of the machine rather than of the work; the work's own
 * failures are told when a task is given up. A deadline is near when the task cannot be done in time at the rate at
 * which the campaign finishes tasks, or when a tenth of its time is left and it has not begun to run. */
#include "sched/orchestrate_alert.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

#define LOOK_NS     1000000000ll
#define NEAR_SPENT  0.9
#define LOG_AT_ONCE 16 /* outcomes a look */
#define WARN_NS     60000000000ll
#define SLICE_NS    100000000ll  /* of the wait at the end */
#define STOPPED_NS  3000000000ll /* for what is to be sent, where somebody wants to leave */

static void send(struct mu_orchestration *x, enum mu_alert_kind kind, const char *task, const char *about,
                 const char *sentence)
{
    struct mu_counts now;
    mu_state_counts(&x->log.state, 0, &now);
    mu_alert(x->alert.alerts,
             &(struct mu_alert){.kind = kind, .task = task, .about = about, .sentence = sentence, .counts = &now});
}

/* ---- beginning ---- */

static int32_t groups_up(const struct mu_state *s)
{
    return s->by_group_state[MU_GROUP_UP] + s->by_group_state[MU_GROUP_DRAINING];
}

static void tell_begin(struct mu_orchestration *x)
{
    const struct mu_state *s = &x->log.state;
    int32_t left = groups_up(s);
    char text[160];
    if (s->campaign == MU_CAMPAIGN_NONE)
        return;
    if (left > 0)
        snprintf(text, sizeof text, "taken over from an orchestrator that was lost, with %d worker%s at work", left,
                 left > 1 ? "s" : "");
    send(x, left > 0 ? MU_ALERT_TAKEN_OVER : MU_ALERT_RESTARTED, NULL, NULL,
         left > 0 ? text : "started again where it had stopped");
}

int mu_orchestra_alert_begin(struct mu_orchestration *x, struct mu_err *e)
{
    struct mu_alerts_opts o = {.campaign = x->o->campaign, .host = x->alert.host};
    struct mu_counts now;
    mu_state_counts(&x->log.state, 0, &now);
    if (now.campaign != MU_CAMPAIGN_NONE && now.left == 0) /* its end was told when it came */
        return MU_OK;
    if (gethostname(x->alert.host, sizeof x->alert.host - 1) != 0 || !x->alert.host[0])
        snprintf(x->alert.host, sizeof x->alert.host, "localhost");
    MU_TRY_RETURN(mu_alerts_open(&x->alert.alerts, &o, e));
    if (!x->alert.alerts)
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->alert.said, MU_MAX(x->o->campaign->n_tasks, 1), "the tasks of a campaign", e));
    tell_begin(x);
    return MU_OK;
}

/* ---- what happens ---- */

static bool tells_of_the_machine(int failure)
{
    return failure == MU_FAILURE_DEVICE || failure == MU_FAILURE_NODE || failure == MU_FAILURE_LINK ||
           failure == MU_FAILURE_PARTITION || failure == MU_FAILURE_MEMORY || failure == MU_FAILURE_STORAGE;
}

static bool kind_of(const struct mu_orchestration *x, const struct mu_news *n, int task, enum mu_alert_kind *kind)
{
    switch (n->kind) {
    case MU_EVENT_TASK_FAILED:
        *kind = MU_ALERT_TASK_FAILED;
        return true;
    case MU_EVENT_ATTEMPT_FAILED:
        *kind = MU_ALERT_ATTEMPT_FAILED;
        return task >= 0 && tells_of_the_machine(x->log.state.tasks[x->work[task].number].failure);
    case MU_EVENT_DEGRADED:
        *kind = MU_ALERT_DEGRADED;
        return true;
    case MU_EVENT_REQUEST_SKIPPED:
        *kind = MU_ALERT_REQUEST_SKIPPED;
        return true;
    case MU_EVENT_SCALED:
        *kind = MU_ALERT_SCALED;
        return true;
    case MU_EVENT_NODE_QUARANTINED:
        *kind = MU_ALERT_NODE_QUARANTINED;
        return true;
    case MU_EVENT_DEVICE_QUARANTINED:
        *kind = MU_ALERT_DEVICE_QUARANTINED;
        return true;
    default:
        return false;
    }
}

void mu_orchestra_alert_news(struct mu_orchestration *x, const struct mu_news *n, int task)
{
    enum mu_alert_kind kind;
    if (x->alert.alerts && kind_of(x, n, task, &kind))
        send(x, kind, n->task, n->about, n->why ? n->why : mu_event_kind_words(n->kind));
}

/* ---- budgets ---- */

static void look_at_budget(struct mu_orchestration *x, enum mu_budget b, double spent_s, double limit_s)
{
    static const char *const names[MU_BUDGETS] = {
        [MU_BUDGET_DEVICE_TIME] = "gpu_hours", [MU_BUDGET_WALL_TIME] = "walltime"};
    uint8_t is = limit_s <= 0 ? 0 : spent_s >= limit_s ? 2 : spent_s >= NEAR_SPENT * limit_s ? 1 : 0;
    char text[160];
    if (is <= x->alert.said_spent[b])
        return;
    x->alert.said_spent[b] = is;
    if (b == MU_BUDGET_DEVICE_TIME)
        snprintf(text, sizeof text, "%.3g of %.3g GPU hours are spent", spent_s / 3600, limit_s / 3600);
    else
        snprintf(text, sizeof text, "%.0f s of %.0f s of walltime are spent", spent_s, limit_s);
    send(x, is == 2 ? MU_ALERT_BUDGET_SPENT : MU_ALERT_BUDGET_NEAR, NULL, names[b], text);
}

/* ---- deadlines ---- */

/* Seconds since 1970; 0: none. */
static double deadline_of(const struct mu_orchestration *x, const struct mu_campaign_policy *p)
{
    double opened = (double)x->log.state.opened_wall_ns * 1e-9, at = INFINITY;
    if (p->deadline_s > 0)
        at = opened + p->deadline_s;
    if (p->deadline_at > 0)
        at = fmin(at, (double)p->deadline_at);
    return isinf(at) ? 0 : at;
}

/* left_s: of all the campaign, at the rate it has; -1: not known. */
static void look_at_deadline(struct mu_orchestration *x, int task, double now, double left_s)
{
    const struct mu_campaign_task *t = mu_orchestra_task(x, task);
    const struct mu_state_task *s = &x->log.state.tasks[x->work[task].number];
    double at = deadline_of(x, &t->policy), opened = (double)x->log.state.opened_wall_ns * 1e-9;
    bool waits = s->state != MU_TASK_RUNNING && s->state != MU_TASK_LEASED;
    bool is_last = at - now < (1 - NEAR_SPENT) * (at - opened);
    char text[200];
    if (at == 0 || x->alert.said[task] == 2 || mu_task_state_is_end(s->state))
        return;
    if (now > at) {
        x->alert.said[task] = 2;
        snprintf(text, sizeof text, "its deadline passed %.0f s ago and it has not finished", now - at);
        send(x, MU_ALERT_DEADLINE_MISSED, t->id, NULL, text);
    } else if (x->alert.said[task] == 0 && waits && (is_last || (left_s >= 0 && now + left_s > at))) {
        x->alert.said[task] = 1;
        snprintf(text, sizeof text, "its deadline is in %.0f s and it does not run yet", at - now);
        send(x, MU_ALERT_DEADLINE_NEAR, t->id, NULL, text);
    }
}

static void look_at_deadlines(struct mu_orchestration *x)
{
    double now = (double)time(NULL);
    struct mu_counts c;
    mu_state_counts(&x->log.state, 0, &c);
    for (int i = 0; i < x->o->campaign->n_tasks; i++)
        look_at_deadline(x, i, now, c.left_s);
}

/* ---- outcomes ---- */

/* A target that fails does so often. */
static void warn(struct mu_orchestration *x, const struct mu_alert_told *told)
{
    int64_t *last = &x->alert.warned_ns[told->target], now = mu_now_ns(x->o->clock);
    if (*last > 0 && now - *last < WARN_NS)
        return;
    *last = now;
    mu_log(MU_LOG_WARN, "an alert was not sent: %s", told->text);
}

static int note_outcomes(struct mu_orchestration *x, int n_max, struct mu_err *e)
{
    struct mu_alert_told told;
    for (int i = 0; i < n_max && mu_alerts_poll(x->alert.alerts, &told); i++) {
        struct mu_event ev = {.kind = MU_EVENT_ALERT_SENT, .text = told.text};
        if (told.has_failed)
            warn(x, &told);
        else
            MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    }
    return MU_OK;
}

int mu_orchestra_alert_look(struct mu_orchestration *x, const double spent_s[MU_BUDGETS], struct mu_err *e)
{
    const struct mu_campaign_budgets *b = &x->o->campaign->budgets;
    int64_t now = mu_now_ns(x->o->clock);
    if (!x->alert.alerts || (x->alert.looked_ns > 0 && now - x->alert.looked_ns < LOOK_NS))
        return MU_OK;
    x->alert.looked_ns = now;
    look_at_budget(x, MU_BUDGET_DEVICE_TIME, spent_s[MU_BUDGET_DEVICE_TIME], b->gpu_hours * 3600);
    look_at_budget(x, MU_BUDGET_WALL_TIME, spent_s[MU_BUDGET_WALL_TIME], b->walltime_s);
    look_at_deadlines(x);
    return note_outcomes(x, LOG_AT_ONCE, e);
}

/* ---- the end ---- */

static void tell_end(struct mu_orchestration *x, int rc, const struct mu_err *why)
{
    struct mu_counts c;
    char text[200];
    mu_state_counts(&x->log.state, 0, &c);
    if (x->log.state.campaign == MU_CAMPAIGN_CANCELLED) {
        send(x, MU_ALERT_CANCELLED, NULL, NULL, rc == MU_OK ? "the campaign is cancelled" : why->text);
    } else if (rc == MU_ECANCELED || rc == MU_ELIMIT) {
        send(x, MU_ALERT_DRAINED, NULL, NULL, why->text);
    } else if (rc != MU_OK) {
        send(x, MU_ALERT_STOPPED, NULL, NULL, why->text);
    } else {
        snprintf(text, sizeof text, "%d of %d tasks finished, %d failed, %d skipped, %d cancelled",
                 c.by_state[MU_TASK_FINISHED], c.tasks, c.by_state[MU_TASK_FAILED], c.by_state[MU_TASK_SKIPPED],
                 c.by_state[MU_TASK_CANCELLED]);
        send(x, MU_ALERT_FINISHED, NULL, NULL, text);
    }
}

static bool is_stopped(const struct mu_orchestration *x)
{
    return x->o->is_stopped && x->o->is_stopped(x->o->arg);
}

/* The log stays ours while we wait; where it is another's by now, that one tells people from now on. */
static void await_sends(struct mu_orchestration *x)
{
    struct mu_alerts *a = x->alert.alerts;
    bool was_stopped = is_stopped(x), is_ours = true;
    mu_alerts_begin_end(a);
    if (was_stopped)
        mu_alerts_cut_end(a, STOPPED_NS);
    while (!mu_alerts_wait_end(a, SLICE_NS)) {
        if (is_ours && x->log.log && mu_event_log_renew_in_ns(x->log.log) <= 0)
            is_ours = mu_event_log_renew(x->log.log, NULL) == MU_OK;
        if (!was_stopped && is_stopped(x))
            mu_alerts_cut_end(a, 0);
    }
}

void mu_orchestra_alert_end(struct mu_orchestration *x, int rc, const struct mu_err *why)
{
    static const struct mu_err nothing = MU_ERR_INIT;
    if (!x->alert.alerts)
        return;
    tell_end(x, rc, why ? why : &nothing);
    await_sends(x);
    note_outcomes(x, MU_ALERT_TOLD_MAX, NULL); /* the log may be another's by now */
    mu_alerts_close(x->alert.alerts);
    mu_free(x->alert.said);
    x->alert = (struct mu_orchestra_alerts){0};
}
