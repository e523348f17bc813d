/* state.c - see state.h: the campaign as a whole, and which function folds which event */
#include "sched/state_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define FIRST_CAP 16

void mu_state_init(struct mu_state *s)
{
    *s = (struct mu_state){.names = MU_BUF_INIT("the names of a campaign", MU_STATE_NAMES_MAX)};
}

void mu_state_fini(struct mu_state *s)
{
    mu_free(s->tasks);
    mu_free(s->attempts);
    mu_free(s->groups);
    mu_free(s->nodes);
    mu_free(s->devices);
    mu_free(s->jobs);
    mu_free(s->models);
    mu_free(s->group_devices);
    mu_free(s->searches);
    mu_free(s->skips);
    mu_buf_fini(&s->names);
    mu_state_init(s);
}

int mu_state_grow(void *array, int32_t n, int32_t *cap, int32_t most, size_t size, const char *what, struct mu_err *e)
{
    char *p;
    memcpy(&p, array, sizeof p);
    if (n >= most)
        return mu_fail(e, MU_ELIMIT, "a campaign has at most %d %s", most, what);
    if (n >= *cap) {
        int32_t to = MU_MIN(most, MU_MAX(FIRST_CAP, 2 * *cap));
        p = mu_realloc(p, (size_t)to * size);
        if (!p)
            return mu_fail_nomem(e, (size_t)to * size, what);
        memcpy(array, &p, sizeof p);
        *cap = to;
    }
    memset(p + (size_t)n * size, 0, size);
    return MU_OK;
}

int mu_state_keep_name(struct mu_state *s, const char *name, size_t *at, struct mu_err *e)
{
    *at = s->names.n;
    return mu_buf_add(&s->names, name ? name : "", name ? strlen(name) + 1 : 1, e);
}

const char *mu_state_name(const struct mu_state *s, size_t name)
{
    return name < s->names.n ? s->names.p + name : "?";
}

int mu_state_refuse(const struct mu_event *ev, struct mu_err *e, const char *fmt, ...)
{
    char why[MU_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return mu_fail(e, MU_EINVAL, "event %" PRId64 " (%s) cannot be: %s", ev->seq, mu_event_kind_words(ev->kind), why);
}

int mu_state_check_value(const struct mu_event *ev, int n, const char *what, struct mu_err *e)
{
    return ev->value < n ? MU_OK : mu_state_refuse(ev, e, "%d is no %s", ev->value, what);
}

/* ---- the campaign ---- */

const char *mu_campaign_state_name(int state)
{
    static const char *const names[] = {"not opened", "open", "paused", "cancelled"};
    return state >= 0 && state < (int)MU_COUNT(names) ? names[state] : "?";
}

static int refuse_campaign(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return mu_state_refuse(ev, e, "the campaign is %s", mu_campaign_state_name(s->campaign));
}

int mu_state_check_open(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return s->campaign == MU_CAMPAIGN_CANCELLED ? refuse_campaign(s, ev, e) : MU_OK;
}

int mu_state_check_runs(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return s->campaign == MU_CAMPAIGN_OPEN ? MU_OK : refuse_campaign(s, ev, e);
}

static int opened(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    if (s->campaign != MU_CAMPAIGN_NONE)
        return refuse_campaign(s, ev, e);
    MU_TRY_RETURN(mu_state_keep_name(s, ev->text, &s->hash, e));
    s->campaign = MU_CAMPAIGN_OPEN;
    s->opened_wall_ns = ev->wall_ns;
    return MU_OK;
}

static int paused(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_runs(s, ev, e));
    s->campaign = MU_CAMPAIGN_PAUSED;
    return MU_OK;
}

static int resumed(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    if (s->campaign != MU_CAMPAIGN_PAUSED)
        return refuse_campaign(s, ev, e);
    s->campaign = MU_CAMPAIGN_OPEN;
    return MU_OK;
}

static int cancelled(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_open(s, ev, e));
    s->campaign = MU_CAMPAIGN_CANCELLED;
    return MU_OK;
}

static int budget_spent(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_value(ev, MU_BUDGETS, "budget", e));
    if (ev->amount > INT64_MAX - s->spent_ns[ev->value])
        return mu_state_refuse(ev, e, "%" PRId64 " ns more are beyond counting", ev->amount);
    s->spent_ns[ev->value] += ev->amount;
    return MU_OK;
}

static int alert_sent(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    (void)ev, (void)e;
    s->n_alerts++;
    return MU_OK;
}

/* ---- one event more ---- */

static mu_state_fn *const folds[MU_EVENT_KIND_END] = {
    [MU_EVENT_OPENED] = opened,
    [MU_EVENT_PAUSED] = paused,
    [MU_EVENT_RESUMED] = resumed,
    [MU_EVENT_CANCELLED] = cancelled,
    [MU_EVENT_TASK_ADDED] = mu_state_task_added,
    [MU_EVENT_TASK_READY] = mu_state_task_ready,
    [MU_EVENT_TASK_STARTED] = mu_state_task_started,
    [MU_EVENT_TASK_FINISHED] = mu_state_task_finished,
    [MU_EVENT_ATTEMPT_FAILED] = mu_state_attempt_failed,
    [MU_EVENT_TASK_FAILED] = mu_state_task_failed,
    [MU_EVENT_TASK_CANCELLED] = mu_state_task_cancelled,
    [MU_EVENT_TASK_SKIPPED] = mu_state_task_skipped,
    [MU_EVENT_PRIORITY_CHANGED] = mu_state_priority_changed,
    [MU_EVENT_DEGRADED] = mu_state_degraded,
    [MU_EVENT_REQUEST_SKIPPED] = mu_state_request_skipped,
    [MU_EVENT_SEARCH_BEGUN] = mu_state_search_begun,
    [MU_EVENT_PROBE_ENDED] = mu_state_probe_ended,
    [MU_EVENT_SEARCH_ENDED] = mu_state_search_ended,
    [MU_EVENT_LEASE_TAKEN] = mu_state_lease_taken,
    [MU_EVENT_LEASE_RENEWED] = mu_state_lease_renewed,
    [MU_EVENT_LEASE_EXPIRED] = mu_state_lease_expired,
    [MU_EVENT_LEASE_RELEASED] = mu_state_lease_released,
    [MU_EVENT_GROUP_STARTED] = mu_state_group_started,
    [MU_EVENT_GROUP_PLACED] = mu_state_group_placed,
    [MU_EVENT_GROUP_LOST] = mu_state_group_lost,
    [MU_EVENT_GROUP_DRAINING] = mu_state_group_draining,
    [MU_EVENT_GROUP_DRAINED] = mu_state_group_drained,
    [MU_EVENT_SCALED] = mu_state_scaled,
    [MU_EVENT_NODE_SEEN] = mu_state_node_seen,
    [MU_EVENT_NODE_QUARANTINED] = mu_state_node_quarantined,
    [MU_EVENT_NODE_BACK] = mu_state_node_back,
    [MU_EVENT_DEVICE_QUARANTINED] = mu_state_device_quarantined,
    [MU_EVENT_DEVICE_BACK] = mu_state_device_back,
    [MU_EVENT_BUDGET_SPENT] = budget_spent,
    [MU_EVENT_ALERT_SENT] = alert_sent,
    [MU_EVENT_JOB_SUBMITTED] = mu_state_job_submitted,
    [MU_EVENT_JOB_SEEN] = mu_state_job_seen,
    [MU_EVENT_JOB_REQUEUED] = mu_state_job_requeued,
    [MU_EVENT_WALLTIME_WARNING] = mu_state_walltime_warning,
};

/* Active time: what passed on the clock of one orchestrator between two of its events. Between two of them nobody was
 * at work, and their clocks have nothing in common. */
static int64_t passed_ns(const struct mu_state *s, const struct mu_event *ev)
{
    return s->seq > 0 && ev->fence == s->fence ? MU_MAX(0, ev->mono_ns - s->mono_ns) : 0;
}

int mu_state_apply(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_event_check(ev, e));
    if (ev->seq != s->seq + 1)
        return mu_fail(e, MU_EINVAL, "event %" PRId64 " comes after event %" PRId64 ": some are missing or come twice",
                       ev->seq, s->seq);
    if (ev->fence < s->fence)
        return mu_state_refuse(ev, e, "orchestrator %" PRId64 " wrote it after %" PRId64 " had taken over", ev->fence,
                               s->fence);
    if (s->campaign == MU_CAMPAIGN_NONE && ev->kind != MU_EVENT_OPENED)
        return refuse_campaign(s, ev, e);
    int64_t passed = passed_ns(s, ev);
    s->active_ns += passed; /* attempts note when they begin and end */
    int rc = folds[ev->kind](s, ev, e);
    if (rc != MU_OK) {
        s->active_ns -= passed;
        return rc;
    }
    s->seq = ev->seq;
    s->fence = ev->fence;
    s->wall_ns = ev->wall_ns;
    s->mono_ns = ev->mono_ns;
    return MU_OK;
}
