/* orchestrate_fail.c - what follows a failed attempt: again, smaller, elsewhere, or not (orchestrate.h) */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sched/orchestrate_int.h"

#define BATCH_UNKNOWN 64 /* what an engine runs at most where nobody said how many: halved from there */

int mu_orchestra_fail(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, struct mu_err *e)
{
    struct mu_event ev = {.kind = MU_EVENT_TASK_FAILED, .task = x->work[task].number, .value = (int32_t)f, .text = why};
    MU_TRY_RETURN(mu_orchestra_end_task(x, task, false, &ev, 1, e));
    mu_orchestra_tell(x, MU_EVENT_TASK_FAILED, task, why, 0, 0);
    return MU_OK;
}

/* ---- the decision ---- */

/* Its attempts that failed, the last one last, this one among them; not those that a skipped request is blamed for, nor
 * probes of a search. */
static int list_tried(const struct mu_orchestration *x, int task, enum mu_failure now, struct mu_tried *tried, int max)
{
    const struct mu_state *s = &x->log.state;
    const struct mu_state_task *t = &s->tasks[x->work[task].number];
    int n = 0;
    for (int32_t a = t->last_attempt; a >= 0 && n < max - 1 && s->attempts[a].number > t->forgiven;
         a = s->attempts[a].before)
        if (s->attempts[a].state == MU_ATTEMPT_FAILED && s->attempts[a].failure != MU_FAILURE_POISON)
            tried[n++] = (struct mu_tried){.failure = (enum mu_failure)s->attempts[a].failure, .device = -1};
    for (int i = 0; i < n / 2; i++) {
        struct mu_tried first = tried[i];
        tried[i] = tried[n - 1 - i];
        tried[n - 1 - i] = first;
    }
    tried[n++] = (struct mu_tried){.failure = now, .device = -1};
    return n;
}

/* Those that failed by themselves, not for being taken away. */
static int count_own(const struct mu_tried *tried, int n)
{
    int own = 0;
    for (int i = 0; i < n; i++)
        own += tried[i].failure != MU_FAILURE_CANCELLED && tried[i].failure != MU_FAILURE_NODE;
    return own;
}

/* What can still be given up. Fewer ranks only where nobody fixed their number. */
static struct mu_room room_of(const struct mu_orchestration *x, int task)
{
    const struct mu_campaign_task *t = mu_orchestra_task(x, task);
    const struct mu_campaign_model *m = &x->o->campaign->model[t->model];
    const struct mu_state_task *s = &x->log.state.tasks[x->work[task].number];
    int32_t batch = s->batch ? s->batch : m->batch_size ? (int32_t)m->batch_size : BATCH_UNKNOWN;
    bool may_ranks = (t->policy.shrink & 1u << MU_SHRINK_RANKS) && mu_campaign_devices(x->o->campaign, task) == 0;
    bool may_batch = t->policy.shrink & 1u << MU_SHRINK_BATCH;
    bool has_format = m->weights && strcmp(m->weights, "auto") != 0;
    return (struct mu_room){.ranks = x->work[task].need.devices,
                            .ranks_min = may_ranks ? 1 : x->work[task].need.devices,
                            .batch = batch,
                            .batch_min = may_batch ? 1 : batch,
                            .is_int8 = s->is_int8,
                            .may_int8 = (t->policy.shrink & 1u << MU_SHRINK_INT8) && !has_format};
}

static bool goes_on(enum mu_action_kind kind)
{
    return kind != MU_ACTION_GIVE_UP && kind != MU_ACTION_STOP && kind != MU_ACTION_ISOLATE;
}

/* ---- acting on it ---- */

/* The work's own failures wait as the task says. Where something outside ended it there is less to wait for: the
 * policy's delay, when that is shorter. */
static double delay_of(struct mu_orchestration *x, const struct mu_action *a, const struct mu_campaign_retries *r,
                       int n_own)
{
    struct mu_backoff b = {.first_ns = (int64_t)(r->wait_s * 1e9), .most_ns = (int64_t)(r->wait_max_s * 1e9)};
    int64_t ns = mu_backoff_jittered_ns(&b, MU_MAX(n_own, 1), &x->random);
    bool is_own = a->failure == MU_FAILURE_APPLICATION || a->failure == MU_FAILURE_STORAGE;
    return (double)(is_own ? ns : MU_MIN(ns, a->delay_ns)) * 1e-9;
}

static int degrade(struct mu_orchestration *x, int task, const struct mu_action *a, struct mu_err *e)
{
    struct mu_event ev = {
        .kind = MU_EVENT_DEGRADED, .task = x->work[task].number, .value = (int32_t)a->step, .amount = a->value};
    char why[MU_WHY_MAX];
    MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    mu_orchestra_need(x, task);
    snprintf(why, sizeof why, "%s: %d from now on", mu_shrink_name((int)a->step), (int)a->value);
    mu_orchestra_tell(x, MU_EVENT_DEGRADED, task, why, 0, 0);
    return MU_OK;
}

/* The device of a worker of one is known to be the one that failed. */
static int replan(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, struct mu_err *e)
{
    const struct mu_hand *h = &x->hand[x->work[task].last_hand];
    if (f != MU_FAILURE_DEVICE || h->n != 1)
        return MU_OK;
    return mu_orchestra_device_down(x, h->device[0], why, e);
}

/* Of what was ended from outside for the first time, goes elsewhere or on with less, nobody is let go first. */
static bool keeps_its_place(const struct mu_action *a, int n_own)
{
    return a->kind == MU_ACTION_DEGRADE || a->kind == MU_ACTION_REPLAN ||
           (a->kind == MU_ACTION_RETRY && a->failure == MU_FAILURE_KILLED && n_own <= 1);
}

static int try_again(struct mu_orchestration *x, int task, const struct mu_action *a, int n_own, const char *why,
                     double seconds, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    double delay_s = delay_of(x, a, &mu_orchestra_task(x, task)->policy.retries, n_own), now_s = mu_orchestra_now(x);
    bool is_next = keeps_its_place(a, n_own);
    if (a->kind == MU_ACTION_DEGRADE)
        MU_TRY_RETURN(degrade(x, task, a, e));
    if (a->kind == MU_ACTION_REPLAN)
        MU_TRY_RETURN(replan(x, task, a->failure, why, e));
    mu_queue_again(x->queue, w->id, mu_orchestra_left_s(w), is_next ? -INFINITY : now_s + delay_s, now_s);
    mu_orchestra_tell(x, MU_EVENT_ATTEMPT_FAILED, task, why, seconds, is_next ? 0 : delay_s);
    return MU_OK;
}

int mu_orchestra_fail_attempt(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, double seconds,
                              struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    struct mu_tried tried[MU_STATE_TASK_TRIES_MAX];
    struct mu_room room = room_of(x, task);
    struct mu_action a;
    if (mu_orchestra_is_probe(x, task) && w->has_died)
        return mu_orchestra_probe_died(x, task, why, seconds, e);
    int n = list_tried(x, task, f, tried, MU_STATE_TASK_TRIES_MAX), n_own = count_own(tried, n);
    mu_policy_decide(&x->policy, tried, n, &room, &x->random, &a);
    bool is_smaller = a.kind == MU_ACTION_DEGRADE;
    bool again = goes_on(a.kind) && (is_smaller || n_own <= mu_orchestra_task(x, task)->policy.retries.limit);
    if (mu_orchestra_is_suspect(x, task, &a, again))
        return mu_orchestra_begin_search(x, task, f, why, seconds, e);
    struct mu_event ev[] = {
        {.kind = MU_EVENT_ATTEMPT_FAILED,
         .task = w->number,
         .attempt = mu_orchestra_attempt(x, task),
         .value = (int32_t)f,
         .text = why},
        {.kind = MU_EVENT_TASK_FAILED, .task = w->number, .value = (int32_t)a.failure, .text = why},
    };
    if (again) {
        MU_TRY_RETURN(mu_state_log_append(&x->log, ev, 1, e));
        return try_again(x, task, &a, n_own, why, seconds, e);
    }
    MU_TRY_RETURN(mu_orchestra_end_task(x, task, false, ev, 2, e));
    mu_orchestra_tell(x, MU_EVENT_TASK_FAILED, task, why, seconds, 0);
    return MU_OK;
}
