/* orchestrate_task.c - one task: how it starts, and what follows its end (orchestrate.h) */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "sched/orchestrate_int.h"
#include "sched/worker_line.h"

#define REFUSED_S   2                         /* before a worker is tried again for which there was no place */
#define DEVICES_MAX (MU_TASK_DEVICES_MAX * 8) /* of their list as text */

/* ---- ending ---- */

/* One append, so that no restart sees half of it. */
int mu_orchestra_append_ends(struct mu_orchestration *x, const struct mu_event *own, int n_own, struct mu_err *e)
{
    struct mu_event *ev = NULL;
    int rc = MU_OK, n = 0, id;
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

int mu_orchestra_end_task(struct mu_orchestration *x, int task, bool is_good, const struct mu_event *own, int n_own,
                          struct mu_err *e)
{
    mu_queue_end(x->queue, x->work[task].id, is_good, mu_orchestra_now(x));
    return mu_orchestra_append_ends(x, own, n_own, e);
}

static int finish(struct mu_orchestration *x, int task, double seconds, double load_s, struct mu_err *e)
{
    struct mu_event ev = {
        .kind = MU_EVENT_TASK_FINISHED, .task = x->work[task].number, .attempt = mu_orchestra_attempt(x, task)};
    mu_orchestra_learn(x, task, seconds, load_s);
    MU_TRY_RETURN(mu_orchestra_end_task(x, task, true, &ev, 1, e));
    mu_orchestra_tell(x, MU_EVENT_TASK_FINISHED, task, NULL, seconds, 0);
    return MU_OK;
}

/* It was taken away rather than failed: it waits for its turn as before, or for a while. */
static int take_back(struct mu_orchestration *x, int task, const char *why, double delay_s, struct mu_err *e)
{
    double now_s = mu_orchestra_now(x);
    struct mu_work *w = &x->work[task];
    struct mu_event ev = {.kind = MU_EVENT_ATTEMPT_FAILED,
                          .task = w->number,
                          .attempt = mu_orchestra_attempt(x, task),
                          .value = MU_FAILURE_CANCELLED,
                          .text = why};
    MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    mu_queue_again(x->queue, w->id, mu_orchestra_left_s(w), delay_s > 0 ? now_s + delay_s : -INFINITY, now_s);
    return MU_OK;
}

static void leave_running(struct mu_orchestration *x, int task)
{
    for (int i = 0; i < x->n_running; i++)
        if (x->running[i] == task)
            x->running[i--] = x->running[--x->n_running];
    mu_fleet_end(x->fleet, x->work[task].run, mu_orchestra_now(x));
}

/* Devices' time is spent however it ended; the group is over first, if it is. */
static int settle(struct mu_orchestration *x, int task, double seconds, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    struct mu_event ev = {.kind = MU_EVENT_BUDGET_SPENT,
                          .value = MU_BUDGET_DEVICE_TIME,
                          .amount = ((int64_t)(seconds * 1e9) - w->charged_ns) * w->need.devices};
    leave_running(x, task);
    w->last_hand = w->hand;
    w->hand = -1;
    return ev.amount > 0 ? mu_state_log_append(&x->log, &ev, 1, e) : MU_OK;
}

static int drain_group(struct mu_orchestration *x, int32_t group, struct mu_err *e)
{
    struct mu_event ev = {.kind = MU_EVENT_GROUP_DRAINED, .group = group};
    return mu_state_log_append(&x->log, &ev, 1, e);
}

/* What a program printed may be anything; events hold UTF-8. */
void mu_orchestra_make_valid(char *text)
{
    for (size_t n = strlen(text), at = 0; (at += mu_utf8_valid_prefix(text + at, n - at)) < n; at++)
        text[at] = '?';
}

/* A sentence about a file, an option or a request may name anything. */
static bool may_be_device(const struct mu_task_end *end)
{
    static const int codes[] = {MU_EINTERNAL, MU_EIO, MU_EPEER, MU_ETIMEDOUT};
    bool may = end->signal != 0;
    for (size_t i = 0; i < MU_COUNT(codes); i++)
        may |= end->exit_status == mu_code_exit_status(codes[i]);
    return may;
}

static int end_badly(struct mu_orchestration *x, int task, const struct mu_task_end *end, double seconds,
                     struct mu_err *e)
{
    struct mu_evidence seen = {.has_exit = true,
                               .exit_status = end->exit_status,
                               .signal = end->signal,
                               .is_node_down = end->is_node_down,
                               .sentence = end->line,
                               .device = may_be_device(end) && mu_failure_names_device(end->line) ? end->line : NULL};
    double timeout_s = mu_orchestra_task(x, task)->policy.timeout_s;
    char why[MU_WHY_MAX], text[MU_EVENT_TEXT_MAX];
    enum mu_failure f = mu_failure_classify(&seen, why);
    switch (x->work[task].asked) {
    case MU_ASKED_STOP:
        return take_back(x, task, "the orchestrator was stopped", 0, e);
    case MU_ASKED_PREEMPTED:
        return take_back(x, task, "it made room for a task of higher priority", 0, e);
    case MU_ASKED_LENT:
        return take_back(x, task, "it made room for another campaign", 0, e);
    case MU_ASKED_MOVED:
        return take_back(x, task, "its device or node is out", 0, e);
    case MU_ASKED_LATE:
        snprintf(text, sizeof text, "it was stopped after its time-out of %.0f s", timeout_s);
        f = MU_FAILURE_APPLICATION;
        break;
    case MU_ASKED_SILENT:
        snprintf(text, sizeof text, "its worker gave no sign of life for %.0f s and was ended",
                 (double)mu_orchestra_silence_ns(&x->hand[x->work[task].last_hand]) * 1e-9);
        f = end->is_node_down ? MU_FAILURE_NODE : MU_FAILURE_KILLED;
        break;
    default:
        if (end->is_refused)
            return take_back(x, task, "there was no place for its worker just now", REFUSED_S, e);
        if (end->exit_status == mu_code_exit_status(MU_ECANCELED))
            return take_back(x, task, "its worker was asked to stop by somebody else", 0, e);
        snprintf(text, sizeof text, "%s", why);
        mu_orchestra_make_valid(text);
    }
    mu_orchestra_note_death(x, task, end, f);
    return mu_orchestra_fail_attempt(x, task, f, text, seconds, e);
}

int mu_orchestra_ended(struct mu_orchestration *x, int task, const struct mu_task_end *end, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    int32_t group = x->hand[w->hand].group;
    double seconds = (double)(mu_now_ns(x->o->clock) - w->started_ns) * 1e-9;
    if (!end->group_is_over)
        mu_fleet_loaded(x->fleet, w->run);
    mu_orchestra_count_end(x, task, end->exit_status == 0, end->load_s);
    MU_TRY_RETURN(settle(x, task, seconds, e));
    bool is_over = x->log.state.tasks[w->number].state == MU_TASK_CANCELLED; /* since somebody wanted it */
    if (!is_over && end->exit_status == 0 && mu_orchestra_is_probe(x, task))
        MU_TRY_RETURN(mu_orchestra_probe_lived(x, task, seconds, e));
    else if (!is_over && end->exit_status == 0)
        MU_TRY_RETURN(finish(x, task, seconds, end->load_s, e));
    else if (!is_over)
        MU_TRY_RETURN(end_badly(x, task, end, seconds, e));
    return end->group_is_over ? drain_group(x, group, e) : MU_OK;
}

void mu_orchestra_ask(struct mu_orchestration *x, int task, enum mu_asked why)
{
    struct mu_work *w = &x->work[task];
    if (w->hand < 0 || w->asked != MU_ASKED_NOT)
        return;
    w->asked = why;
    mu_orchestra_stop_hand(x, w->hand, false);
}

/* ---- starting ---- */

static const char *list_devices(const struct mu_orchestration *x, char text[DEVICES_MAX], const struct mu_seats *s)
{
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < s->n; i++)
        n += (size_t)snprintf(text + n, DEVICES_MAX - n, "%s%d", i ? "," : "",
                              mu_orchestra_device_number(x, s->device[i]));
    return text;
}

/* A worker's place in the books: one that has the model, or a new one, which begins in the log. */
static int take_hand(struct mu_orchestration *x, int task, const struct mu_seats *seats, struct mu_err *e)
{
    char devices[DEVICES_MAX];
    int hand = mu_orchestra_idle_hand(x, x->work[task].need.model, seats);
    x->work[task].hand = hand;
    if (hand >= 0)
        return MU_OK;
    hand = x->work[task].hand = mu_orchestra_free_hand(x);
    if (hand < 0)
        return mu_fail(e, MU_ELIMIT, "%d workers at a time, no more", MU_WORKERS_MAX);
    struct mu_hand *h = &x->hand[hand];
    *h = (struct mu_hand){.group = x->log.state.n_groups,
                          .task = -1,
                          .model = x->work[task].need.model,
                          .n = seats->n,
                          .node = x->o->devices[seats->device[0]].node};
    memcpy(h->device, seats->device, sizeof h->device);
    struct mu_event ev = {.kind = MU_EVENT_GROUP_STARTED,
                          .group = h->group,
                          .node = x->node[h->node].number,
                          .job = -1,
                          .value = seats->n,
                          .text = list_devices(x, devices, seats)};
    return mu_state_log_append(&x->log, &ev, 1, e);
}

/* Where it is, for people and for who comes after. */
static int note_place(struct mu_orchestration *x, const struct mu_hand *h, struct mu_err *e)
{
    struct mu_event ev = {
        .kind = MU_EVENT_GROUP_PLACED, .group = h->group, .amount = h->worker, .text = x->node[h->node].name};
    return mu_state_log_append(&x->log, &ev, 1, e);
}

static int give(struct mu_orchestration *x, int task, struct mu_err *e)
{
    struct mu_hand *h = &x->hand[x->work[task].hand];
    struct mu_buf path = MU_BUF_INIT("a path", MU_ORCHESTRA_LINE_BYTES),
                  line = MU_BUF_INIT("a line to a worker", MU_ORCHESTRA_LINE_BYTES);
    struct mu_worker_line l = {.kind = MU_LINE_TASK, .task = x->work[task].number};
    bool is_new = h->worker == 0;
    int rc = MU_OK;
    MU_TRY(mu_orchestra_write_options(x, task, &path, e));
    l.config = path.p;
    MU_TRY(mu_worker_line_print(&line, &l, e));
    if (is_new)
        MU_TRY(mu_orchestra_start_hand(x, x->work[task].hand, e));
    h->task = task;
    x->o->launcher->ops->say(x->o->launcher, h->worker, line.p);
out:
    mu_buf_fini(&path);
    mu_buf_fini(&line);
    return rc;
}

/* An attempt that failed, by what kept it from starting. The worker, if there was one, is as idle as before. */
static int fail_start(struct mu_orchestration *x, int task, const struct mu_err *why, struct mu_err *e)
{
    struct mu_evidence seen = {.has_exit = true, .exit_status = mu_code_exit_status(why->code), .sentence = why->text};
    struct mu_hand *h = &x->hand[x->work[task].hand];
    bool is_over = h->worker == 0;
    char text[MU_EVENT_TEXT_MAX];
    snprintf(text, sizeof text, "it could not be started: %.*s", (int)sizeof text - 32, why->text);
    mu_orchestra_make_valid(text);
    MU_TRY_RETURN(settle(x, task, 0, e));
    if (is_over)
        mu_fleet_forget(x->fleet, h->model, h->device, h->n);
    MU_TRY_RETURN(mu_orchestra_fail_attempt(x, task, mu_failure_classify(&seen, NULL), text, 0, e));
    return is_over ? drain_group(x, h->group, e) : MU_OK;
}

/* In the log before it begins. A worker that cannot be started is an attempt that failed. */
int mu_orchestra_start(struct mu_orchestration *x, int task, int run, const struct mu_seats *seats, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    int32_t attempt = mu_orchestra_attempt(x, task) + 1;
    struct mu_err why = MU_ERR_INIT;
    bool may;
    if (attempt > MU_STATE_TASK_TRIES_MAX) {
        mu_fleet_end(x->fleet, run, mu_orchestra_now(x));
        return mu_orchestra_fail(x, task, MU_FAILURE_CANCELLED, "it was begun as often as a task may be", e);
    }
    MU_TRY_RETURN(mu_orchestra_share_allows(x, seats, &may, e));
    if (!may) { /* its devices are another campaign's by now */
        mu_fleet_end(x->fleet, run, mu_orchestra_now(x));
        mu_queue_again(x->queue, w->id, mu_orchestra_left_s(w), -INFINITY, mu_orchestra_now(x));
        return MU_OK;
    }
    *w = (struct mu_work){.id = w->id,
                          .number = w->number,
                          .hand = -1,
                          .run = run,
                          .started_ns = mu_now_ns(x->o->clock),
                          .deaths = w->deaths,
                          .need = w->need};
    x->running[x->n_running++] = task;
    mu_orchestra_make_room(x);
    MU_TRY_RETURN(take_hand(x, task, seats, e));
    struct mu_hand *h = &x->hand[w->hand];
    struct mu_event ev[] = {{.kind = MU_EVENT_TASK_READY, .task = w->number, .attempt = attempt},
                            {.kind = MU_EVENT_TASK_STARTED,
                             .task = w->number,
                             .attempt = attempt,
                             .group = h->group,
                             .amount = MU_ORCHESTRA_LEASE_NS}};
    bool is_new = h->worker == 0;
    w->busy_ns = !is_new && h->is_working ? w->started_ns : 0;
    MU_TRY_RETURN(mu_state_log_append(&x->log, ev, MU_COUNT(ev), e));
    if (give(x, task, &why) != MU_OK)
        return fail_start(x, task, &why, e);
    if (is_new)
        MU_TRY_RETURN(note_place(x, h, e));
    mu_orchestra_tell(x, MU_EVENT_TASK_STARTED, task, NULL, 0, 0);
    return MU_OK;
}
