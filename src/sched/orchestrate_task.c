/* orchestrate_task.c - one task: how it starts, and what follows its end (orchestrate.h) */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "sched/orchestrate_int.h"

#define PATH_BYTES  ((size_t)4096)
#define TASK_BYTES  ((size_t)16 << 20) /* of its options as text */
#define LEASE_NS    60000000000ll
#define DEVICES_MAX (MU_TASK_DEVICES_MAX * 8) /* of their list as text */

/* ---- what it is given ---- */

/* Threads are shared out where a device runs several tasks and nobody said how many. */
static void set_threads(const struct mu_orchestration *x, json_t *options, const struct mu_seats *seats)
{
    int at_once = x->o->devices[seats->device[0]].tasks_max;
    if (at_once > 1 && !json_object_get(options, "threads"))
        json_object_set_new(options, "threads", json_integer(MU_MAX(x->o->cores / at_once, 1)));
}

static int write_options(const struct mu_orchestration *x, int task, const char *folder, const char *path,
                         const struct mu_seats *seats, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a task's options", TASK_BYTES);
    json_t *options = NULL;
    int rc = MU_OK;
    MU_TRY(mu_campaign_task_options(x->o->campaign, task, &options, e));
    if (json_object_set_new(options, "output", json_string(folder)) != 0)
        MU_TRY(mu_fail(e, MU_EINVAL, "the output folder %s is not UTF-8, so no task can be told of it", folder));
    set_threads(x, options, seats);
    MU_TRY(mu_json_dump(&text, options, true, e));
    MU_TRY(mu_file_write_all(path, text.p, text.n, e));
out:
    json_decref(options);
    mu_buf_fini(&text);
    return rc;
}

static int launch(struct mu_orchestration *x, int task, const struct mu_seats *seats, struct mu_err *e)
{
    struct mu_buf folder = MU_BUF_INIT("a path", PATH_BYTES), options = folder, log = folder;
    int rc = MU_OK;
    MU_TRY(mu_path_join(&folder, x->o->output, mu_orchestra_task(x, task)->id, e));
    MU_TRY(mu_path_make_folders(folder.p, e));
    MU_TRY(mu_path_join(&options, folder.p, "task.json", e));
    MU_TRY(mu_path_join(&log, folder.p, "log", e));
    MU_TRY(write_options(x, task, folder.p, options.p, seats, e));
    const char *argv[] = {x->o->program, "eval", "--config", options.p, NULL};
    MU_TRY(x->o->launcher->ops->start(x->o->launcher, argv, log.p, &x->work[task].worker, e));
out:
    mu_buf_fini(&folder);
    mu_buf_fini(&options);
    mu_buf_fini(&log);
    return rc;
}

/* ---- ending ---- */

/* Its end, in the queue and, as own[0..n_own), in the log, with the ends of those that waited for it: one append, so
 * that no restart sees half of it. */
static int end_task(struct mu_orchestration *x, int task, bool is_good, const struct mu_event *own, int n_own,
                    struct mu_err *e)
{
    struct mu_event *ev = NULL;
    int rc = MU_OK, n = 0, id;
    mu_queue_end(x->queue, x->work[task].id, is_good, mu_orchestra_now(x));
    while (mu_queue_next_ended(x->queue, &id))
        x->followers[n++] = id;
    MU_TRY(MU_NEW_ARRAY(&ev, n_own + n, "events", e));
    for (int i = 0; i < n_own; i++)
        ev[i] = own[i];
    for (int i = 0; i < n; i++) {
        bool fails = mu_queue_state(x->queue, x->followers[i]) == MU_QUEUE_FAILED;
        x->followers[i] = (int)mu_queue_tag(x->queue, x->followers[i]);
        ev[n_own + i] = (struct mu_event){.kind = fails ? MU_EVENT_TASK_FAILED : MU_EVENT_TASK_SKIPPED,
                                          .task = x->work[x->followers[i]].number,
                                          .value = fails ? MU_FAILURE_APPLICATION : 0,
                                          .text = "a task before it failed"};
    }
    MU_TRY(mu_state_log_append(&x->log, ev, n_own + n, e));
    for (int i = 0; i < n; i++)
        mu_orchestra_tell(x, ev[n_own + i].kind, x->followers[i], ev[n_own + i].text, 0, 0);
out:
    mu_free(ev);
    return rc;
}

int mu_orchestra_fail(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, struct mu_err *e)
{
    struct mu_event ev = {.kind = MU_EVENT_TASK_FAILED, .task = x->work[task].number, .value = (int32_t)f, .text = why};
    MU_TRY_RETURN(end_task(x, task, false, &ev, 1, e));
    mu_orchestra_tell(x, MU_EVENT_TASK_FAILED, task, why, 0, 0);
    return MU_OK;
}

/* Its attempts that failed, the last one last, this one among them. */
static int list_tried(const struct mu_orchestration *x, int task, enum mu_failure now, struct mu_tried *tried, int max)
{
    const struct mu_state *s = &x->log.state;
    int n = 0;
    for (int32_t a = s->tasks[x->work[task].number].last_attempt; a >= 0 && n < max - 1; a = s->attempts[a].before)
        if (s->attempts[a].state == MU_ATTEMPT_FAILED)
            tried[n++] = (struct mu_tried){.failure = (enum mu_failure)s->attempts[a].failure, .device = -1};
    for (int i = 0; i < n / 2; i++) {
        struct mu_tried t = tried[i];
        tried[i] = tried[n - 1 - i];
        tried[n - 1 - i] = t;
    }
    tried[n++] = (struct mu_tried){.failure = now, .device = -1};
    return n;
}

static bool goes_on(enum mu_action_kind kind)
{
    return kind != MU_ACTION_GIVE_UP && kind != MU_ACTION_STOP && kind != MU_ACTION_ISOLATE;
}

static int finish(struct mu_orchestration *x, int task, double seconds, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    struct mu_event ev[] = {
        {.kind = MU_EVENT_TASK_FINISHED, .task = w->number, .attempt = x->log.state.tasks[w->number].attempts},
        {.kind = MU_EVENT_GROUP_DRAINED, .group = w->group},
    };
    MU_TRY_RETURN(end_task(x, task, true, ev, MU_COUNT(ev), e));
    mu_orchestra_tell(x, MU_EVENT_TASK_FINISHED, task, NULL, seconds, 0);
    return MU_OK;
}

/* It was taken away rather than failed: it waits for its turn as before. */
static int take_back(struct mu_orchestration *x, int task, const char *why, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    struct mu_event ev = {.kind = MU_EVENT_GROUP_LOST, .group = w->group, .value = MU_FAILURE_CANCELLED, .text = why};
    MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    mu_queue_again(x->queue, w->id, 0, -INFINITY, mu_orchestra_now(x));
    return MU_OK;
}

/* What a program printed may be anything; events hold UTF-8. */
static void make_valid(char *text)
{
    for (size_t n = strlen(text), at = 0; (at += mu_utf8_valid_prefix(text + at, n - at)) < n; at++)
        text[at] = '?';
}

/* Those that failed by themselves, not for being taken away. */
static int count_own(const struct mu_tried *tried, int n)
{
    int own = 0;
    for (int i = 0; i < n; i++)
        own += tried[i].failure != MU_FAILURE_CANCELLED;
    return own;
}

static double delay_of(struct mu_orchestration *x, const struct mu_campaign_retries *r, int n_failed)
{
    struct mu_backoff b = {.first_ns = (int64_t)(r->wait_s * 1e9), .most_ns = (int64_t)(r->wait_max_s * 1e9)};
    return (double)mu_backoff_jittered_ns(&b, n_failed, &x->random) * 1e-9;
}

static int fail_attempt(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, double seconds,
                        struct mu_err *e)
{
    const struct mu_campaign_policy *p = &mu_orchestra_task(x, task)->policy;
    struct mu_work *w = &x->work[task];
    struct mu_tried tried[MU_STATE_TASK_TRIES_MAX];
    int32_t attempt = x->log.state.tasks[w->number].attempts;
    struct mu_action a;
    int n = list_tried(x, task, f, tried, MU_STATE_TASK_TRIES_MAX);
    mu_policy_decide(&x->policy, tried, n, NULL, &x->random, &a);
    bool again = goes_on(a.kind) && count_own(tried, n) <= p->retries.limit;
    struct mu_event ev[] = {
        {.kind = MU_EVENT_ATTEMPT_FAILED, .task = w->number, .attempt = attempt, .value = (int32_t)f, .text = why},
        {.kind = MU_EVENT_GROUP_DRAINED, .group = w->group},
        {.kind = MU_EVENT_TASK_FAILED, .task = w->number, .value = (int32_t)a.failure, .text = why},
    };
    if (!again) {
        MU_TRY_RETURN(end_task(x, task, false, ev, MU_COUNT(ev), e));
        mu_orchestra_tell(x, MU_EVENT_TASK_FAILED, task, why, seconds, 0);
        return MU_OK;
    }
    double delay_s = delay_of(x, &p->retries, count_own(tried, n));
    MU_TRY_RETURN(mu_state_log_append(&x->log, ev, 2, e));
    mu_queue_again(x->queue, w->id, 0, mu_orchestra_now(x) + delay_s, mu_orchestra_now(x));
    mu_orchestra_tell(x, MU_EVENT_ATTEMPT_FAILED, task, why, seconds, delay_s);
    return MU_OK;
}

static void leave_running(struct mu_orchestration *x, int task)
{
    for (int i = 0; i < x->n_running; i++)
        if (x->running[i] == task)
            x->running[i--] = x->running[--x->n_running];
    mu_fleet_end(x->fleet, x->work[task].run, mu_orchestra_now(x));
}

int mu_orchestra_ended(struct mu_orchestration *x, int task, const struct mu_worker_end *end, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    double seconds = (double)(mu_now_ns(x->o->clock) - w->started_ns) * 1e-9;
    struct mu_evidence seen = {
        .has_exit = true, .exit_status = end->exit_status, .signal = end->signal, .sentence = end->line};
    char why[MU_WHY_MAX], text[MU_EVENT_TEXT_MAX];
    leave_running(x, task);
    if (end->exit_status == 0)
        return finish(x, task, seconds, e);
    if (w->is_late) {
        snprintf(text, sizeof text, "it was stopped after its time-out of %.0f s",
                 mu_orchestra_task(x, task)->policy.timeout_s);
        return fail_attempt(x, task, MU_FAILURE_APPLICATION, text, seconds, e);
    }
    if (x->o->is_stopped && x->o->is_stopped(x->o->arg))
        return take_back(x, task, "the orchestrator was stopped", e);
    enum mu_failure f = mu_failure_classify(&seen, why);
    snprintf(text, sizeof text, "%s", why);
    make_valid(text);
    return fail_attempt(x, task, f, text, seconds, e);
}

/* ---- starting ---- */

static const char *list_devices(char text[DEVICES_MAX], const struct mu_seats *s)
{
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < s->n; i++)
        n += (size_t)snprintf(text + n, DEVICES_MAX - n, "%s%d", i ? "," : "", s->device[i]);
    return text;
}

/* Where it is, for people and for who comes after. */
static int note_place(struct mu_orchestration *x, const struct mu_work *w, struct mu_err *e)
{
    struct mu_event ev = {.kind = MU_EVENT_GROUP_PLACED, .group = w->group, .amount = w->worker, .text = x->o->node};
    return mu_state_log_append(&x->log, &ev, 1, e);
}

/* An attempt that failed, by what kept it from starting. */
static int fail_launch(struct mu_orchestration *x, int task, const struct mu_err *why, struct mu_err *e)
{
    struct mu_evidence seen = {.has_exit = true, .exit_status = mu_code_exit_status(why->code), .sentence = why->text};
    char text[MU_EVENT_TEXT_MAX];
    snprintf(text, sizeof text, "it could not be started: %.*s", (int)sizeof text - 32, why->text);
    make_valid(text);
    return fail_attempt(x, task, mu_failure_classify(&seen, NULL), text, 0, e);
}

/* In the log before it begins. A worker that cannot be started is an attempt that failed. */
int mu_orchestra_start(struct mu_orchestration *x, int task, int run, const struct mu_seats *seats, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    const struct mu_state *s = &x->log.state;
    int32_t attempt = s->tasks[w->number].attempts + 1, group = s->n_groups;
    char devices[DEVICES_MAX];
    struct mu_err why = MU_ERR_INIT;
    struct mu_event ev[] = {
        {.kind = MU_EVENT_TASK_READY, .task = w->number, .attempt = attempt},
        {.kind = MU_EVENT_GROUP_STARTED, .group = group, .job = -1, .value = 1, .text = list_devices(devices, seats)},
        {.kind = MU_EVENT_TASK_STARTED, .task = w->number, .attempt = attempt, .group = group, .amount = LEASE_NS},
    };
    if (attempt > MU_STATE_TASK_TRIES_MAX) {
        mu_fleet_end(x->fleet, run, mu_orchestra_now(x));
        return mu_orchestra_fail(x, task, MU_FAILURE_CANCELLED, "it was begun as often as a task may be", e);
    }
    MU_TRY_RETURN(mu_state_log_append(&x->log, ev, MU_COUNT(ev), e));
    *w = (struct mu_work){.id = w->id,
                          .number = w->number,
                          .group = group,
                          .run = run,
                          .started_ns = mu_now_ns(x->o->clock),
                          .need = w->need};
    x->running[x->n_running++] = task;
    if (launch(x, task, seats, &why) == MU_OK) {
        MU_TRY_RETURN(note_place(x, w, e));
        mu_orchestra_tell(x, MU_EVENT_TASK_STARTED, task, NULL, 0, 0);
        return MU_OK;
    }
    leave_running(x, task);
    return fail_launch(x, task, &why, e);
}
