/* orchestrate_control.c - what somebody wants of the campaign while it runs (control.h)
 *
 * As every decision it stands in the log before it is acted on: a cancelled task is cancelled from then on, though its
 * worker takes a step more to end. */
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

/* ---- urgency ---- */

static enum mu_priority own_priority(const struct mu_orchestration *x, int task)
{
    const struct mu_state_task *t = &x->log.state.tasks[x->work[task].number];
    return t->is_rated ? (enum mu_priority)t->priority : mu_orchestra_task(x, task)->policy.priority;
}

/* Of those that wait for a set; they come after its members in the campaign's order, so theirs is known. */
static uint8_t urgency_of_set(const struct mu_orchestration *x, uint8_t *of_set, int set)
{
    const struct mu_campaign_set *s = &x->o->campaign->set[set];
    if (of_set[set] > 0)
        return of_set[set] - 1;
    uint8_t most = MU_PRIORITY_N;
    for (int i = 0; i < s->n_waiting; i++)
        most = MU_MIN(most, x->urgency[s->waiting[i]]);
    of_set[set] = most + 1;
    return most;
}

static int set_urgency(struct mu_orchestration *x, int task, uint8_t urgency, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    bool is_other = x->urgency[task] != urgency;
    x->urgency[task] = urgency;
    w->need.priority = urgency;
    if (!is_other || !x->queue || w->id < 0 || mu_queue_state(x->queue, w->id) >= MU_QUEUE_DONE)
        return MU_OK;
    return mu_queue_set_priority(x->queue, w->id, (enum mu_priority)urgency, mu_orchestra_now(x), e);
}

int mu_orchestra_settle_urgency(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_campaign *c = x->o->campaign;
    uint8_t *of_set = NULL; /* and 1; 0: not known yet */
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&of_set, MU_MAX(c->n_sets, 1), "sets of tasks", e));
    for (int i = c->n_tasks; i-- > 0;) {
        const struct mu_campaign_task *t = &c->task[c->order[i]];
        uint8_t urgency = (uint8_t)own_priority(x, c->order[i]);
        for (int k = 0; k < t->n_in; k++)
            urgency = MU_MIN(urgency, urgency_of_set(x, of_set, t->in[k]));
        MU_TRY(set_urgency(x, c->order[i], urgency, e));
    }
out:
    mu_free(of_set);
    return rc;
}

/* ---- cancelling ---- */

static void mark(const struct mu_orchestration *x, const struct mu_control_change *c, bool *is_wanted)
{
    const struct mu_state *s = &x->log.state;
    for (int32_t i = 0; i < c->n; i++) {
        if (c->ev[i].kind != MU_EVENT_TASK_CANCELLED)
            continue;
        int task = mu_campaign_find(x->o->campaign, mu_state_name(s, s->tasks[c->ev[i].task].name));
        if (task >= 0)
            is_wanted[task] = true;
    }
}

/* From the last to the first: what waits for another that is cancelled is cancelled, not skipped. */
static int cancel_in_queue(struct mu_orchestration *x, const bool *is_wanted, struct mu_err *e)
{
    const struct mu_campaign *c = x->o->campaign;
    for (int i = c->n_tasks; i-- > 0;)
        if (is_wanted[c->order[i]])
            MU_TRY_RETURN(mu_queue_cancel(x->queue, x->work[c->order[i]].id, mu_orchestra_now(x), e));
    return MU_OK;
}

static void tell_cancelled(struct mu_orchestration *x, const bool *is_wanted)
{
    if (x->log.state.campaign == MU_CAMPAIGN_CANCELLED) {
        mu_orchestra_tell(x, MU_EVENT_CANCELLED, -1, NULL, 0, 0);
        return;
    }
    for (int i = 0; i < x->o->campaign->n_tasks; i++)
        if (is_wanted[i])
            mu_orchestra_tell(x, MU_EVENT_TASK_CANCELLED, i, NULL, 0, 0);
}

static int cancel(struct mu_orchestration *x, const struct mu_control_change *c, struct mu_err *e)
{
    bool *is_wanted = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&is_wanted, MU_MAX(x->o->campaign->n_tasks, 1), "the tasks that are cancelled", e));
    mark(x, c, is_wanted);
    MU_TRY(cancel_in_queue(x, is_wanted, e));
    MU_TRY(mu_orchestra_append_ends(x, c->ev, c->n, e));
    for (int i = 0; i < x->n_running; i++)
        if (is_wanted[x->running[i]])
            mu_orchestra_ask(x, x->running[i], MU_ASKED_CANCELLED);
    tell_cancelled(x, is_wanted);
out:
    mu_free(is_wanted);
    return rc;
}

/* ---- requests ---- */

static int change(struct mu_orchestration *x, const struct mu_control_request *r, const struct mu_control_change *c,
                  struct mu_err *e)
{
    if (r->action == MU_CONTROL_CANCEL)
        return cancel(x, c, e);
    MU_TRY_RETURN(mu_state_log_append(&x->log, c->ev, c->n, e));
    if (r->action == MU_CONTROL_PRIORITY)
        return mu_orchestra_settle_urgency(x, e);
    mu_orchestra_tell(x, c->ev[0].kind, -1, NULL, 0, 0);
    return MU_OK;
}

static json_t *running_json(const struct mu_orchestration *x)
{
    json_t *list = json_array();
    int64_t now = mu_now_ns(x->o->clock);
    for (int i = 0; i < x->n_running; i++) {
        const struct mu_work *w = &x->work[x->running[i]];
        json_array_append_new(list, json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:b}", "task",
                                              mu_orchestra_task(x, x->running[i])->id, "worker",
                                              (json_int_t)x->hand[w->hand].worker, "seconds",
                                              (double)(now - w->started_ns) * 1e-9, "done", w->done, "total", w->total,
                                              "per_s", w->per_s, "stops", w->asked != MU_ASKED_NOT));
    }
    return list;
}

static int add_status(const struct mu_orchestration *x, json_t *answer, struct mu_err *e)
{
    char host[256] = "";
    int workers = 0;
    struct mu_alerts_counts sent;
    mu_alerts_counts(x->alert.alerts, &sent);
    (void)gethostname(host, sizeof host - 1);
    for (int i = 0; i < MU_WORKERS_MAX; i++)
        workers += x->hand[i].worker != 0;
    json_t *all =
        json_pack("{s:i, s:s, s:i, s:o, s:{s:I, s:I, s:I, s:i}}", "pid", (int)getpid(), "host", host, "workers",
                  workers, "running", running_json(x), "alerts", "sent", (json_int_t)sent.sent, "failed",
                  (json_int_t)sent.failed, "dropped", (json_int_t)sent.dropped, "waiting", sent.waiting);
    int bad = !all || json_object_update(answer, all) != 0;
    json_decref(all);
    return bad ? mu_fail_nomem(e, 1, "an answer") : MU_OK;
}

/* A change that fails halfway ends the orchestrator, as every failure of the log does. */
static int act(void *arg, const struct mu_control_request *r, json_t *answer, struct mu_err *e)
{
    struct mu_orchestration *x = arg;
    struct mu_control_change c = {0};
    int rc = MU_OK;
    MU_TRY(mu_control_decide(&c, &x->log.state, r, e));
    if (c.n > 0 && (rc = change(x, r, &c, e)) != MU_OK) {
        x->failed = *e;
        goto out;
    }
    MU_TRY(mu_control_describe(answer, &x->log.state, &c, e));
    if (r->action == MU_CONTROL_STATUS)
        MU_TRY(add_status(x, answer, e));
out:
    mu_control_change_fini(&c);
    return rc;
}

int mu_orchestra_serve(struct mu_orchestration *x, struct mu_err *e)
{
    mu_control_serve(x->control, act, x);
    if (x->failed.code != MU_OK && e)
        *e = x->failed;
    return x->failed.code;
}

void mu_orchestra_listen(struct mu_orchestration *x)
{
    struct mu_err e = MU_ERR_INIT;
    if (mu_control_open(&x->control, x->o->output, x->o->clock, &e) != MU_OK)
        mu_log(MU_LOG_WARN, "the campaign cannot be controlled while it runs: %s", e.text);
    if (x->log.state.campaign != MU_CAMPAIGN_PAUSED)
        return;
    mu_orchestra_tell(x, MU_EVENT_PAUSED, -1, "`muster control OUTPUT resume` lets it go on", 0, 0);
}
