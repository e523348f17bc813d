/* orchestrate_open.c - a campaign's log, the first time and every time after (orchestrate.h) */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

#define PATH_BYTES ((size_t)4096)
#define SEATS_MAX  (MU_WORKERS_MAX * 3 / 4)

/* ---- the log ---- */

static int open_log(struct mu_orchestration *x, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES);
    struct mu_event_log_opts o = {.clock = x->o->clock, .job = x->o->job, .turn = x->o->turn};
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, x->o->output, MU_ORCHESTRA_STORE, e));
    MU_TRY(mu_state_log_open(&x->log, path.p, &o, true, MU_OWNER_AWAY_NS, e));
out:
    mu_buf_fini(&path);
    return rc;
}

static int begin_log(struct mu_orchestration *x, const char *hash, struct mu_err *e)
{
    const struct mu_campaign *c = x->o->campaign;
    struct mu_event *ev = NULL;
    int rc = MU_OK, n = 0;
    MU_TRY(MU_NEW_ARRAY(&ev, c->n_tasks + 1, "the tasks of a campaign", e));
    ev[n++] = (struct mu_event){.kind = MU_EVENT_OPENED, .text = hash};
    for (int i = 0; i < c->n_tasks; i++)
        ev[n++] = (struct mu_event){.kind = MU_EVENT_TASK_ADDED,
                                    .task = i,
                                    .value = (int32_t)c->task[i].policy.priority,
                                    .text = c->task[i].id};
    MU_TRY(mu_state_log_append(&x->log, ev, n, e));
out:
    mu_free(ev);
    return rc;
}

/* Groups of an orchestrator that ended, however it did: their processes have ended with it. */
static int bury_groups(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_state *s = &x->log.state;
    for (int32_t g = 0; g < s->n_groups; g++) {
        if (s->groups[g].state != MU_GROUP_UP && s->groups[g].state != MU_GROUP_DRAINING)
            continue;
        struct mu_event lost = {.kind = MU_EVENT_GROUP_LOST,
                                .group = g,
                                .value = MU_FAILURE_CANCELLED,
                                .text = "the orchestrator that started it had ended"};
        MU_TRY_RETURN(mu_state_log_append(&x->log, &lost, 1, e));
    }
    return MU_OK;
}

static int meet_log(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_state *s = &x->log.state;
    uint64_t own;
    char hash[32];
    MU_TRY_RETURN(mu_campaign_hash(x->o->campaign, &own, e));
    snprintf(hash, sizeof hash, "%016" PRIx64, own);
    if (s->campaign == MU_CAMPAIGN_NONE)
        return begin_log(x, hash, e);
    if (strcmp(mu_state_name(s, s->hash), hash) != 0)
        return mu_fail(
            e, MU_EINVAL,
            "%s holds another campaign than %s: tasks, or what decides their results, are not the same; give "
            "another output folder, or the file as it was",
            mu_event_log_path(x->log.log), x->o->campaign->file[0]);
    return bury_groups(x, e);
}

/* Numbers in the log by names: the file may list its tasks in another order now. */
static int number_tasks(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_state *s = &x->log.state;
    if (s->n_tasks != x->o->campaign->n_tasks)
        return mu_fail(e, MU_EINTERNAL, "%d tasks in the log of a campaign of %d", s->n_tasks, x->o->campaign->n_tasks);
    for (int32_t i = 0; i < s->n_tasks; i++) {
        int task = mu_campaign_find(x->o->campaign, mu_state_name(s, s->tasks[i].name));
        if (task < 0)
            return mu_fail(e, MU_EINTERNAL, "the log has task %s, the campaign has not",
                           mu_state_name(s, s->tasks[i].name));
        x->work[task].number = i;
    }
    return MU_OK;
}

/* ---- queue and fleet ---- */

static bool has_ended_badly(int state)
{
    return state == MU_TASK_FAILED || state == MU_TASK_CANCELLED || state == MU_TASK_SKIPPED;
}

/* Ends that were seen before: a good one is no condition any more, a bad one ends the task if it says so. */
static int count_befores(struct mu_orchestration *x, int task, const int32_t *before, int n, int *id, bool *is_lost)
{
    int n_id = 0;
    *is_lost = false;
    for (int i = 0; i < n; i++) {
        const struct mu_work *w = &x->work[before[i]];
        int state = x->log.state.tasks[w->number].state;
        if (w->id >= 0)
            id[n_id++] = w->id;
        *is_lost |= has_ended_badly(state) && mu_orchestra_task(x, task)->policy.if_failed != MU_AFTER_ANYWAY;
    }
    return n_id;
}

static int add_task(struct mu_orchestration *x, int task, int32_t *before, int *id, struct mu_err *e)
{
    const struct mu_campaign_task *t = mu_orchestra_task(x, task);
    struct mu_work *w = &x->work[task];
    bool is_lost;
    int n = mu_campaign_befores(x->o->campaign, task, before, x->o->campaign->n_tasks);
    int n_id = count_befores(x, task, before, n, id, &is_lost);
    struct mu_queue_task q = {.campaign = mu_orchestra_line(x, task),
                              .priority = (enum mu_priority)x->urgency[task],
                              .run_s = w->need.run_s,
                              .devices = w->need.devices,
                              .deadline_s = w->need.deadline_s,
                              .before = id,
                              .n_before = n_id,
                              .if_failed = t->policy.if_failed,
                              .tag = (uint64_t)task};
    w->id = -1;
    if (mu_task_state_is_end(x->log.state.tasks[w->number].state))
        return MU_OK;
    if (is_lost) {
        bool fails = t->policy.if_failed == MU_AFTER_FAIL;
        struct mu_event ev = {.kind = fails ? MU_EVENT_TASK_FAILED : MU_EVENT_TASK_SKIPPED,
                              .task = w->number,
                              .value = fails ? MU_FAILURE_APPLICATION : 0,
                              .text = "a task before it failed"};
        return mu_state_log_append(&x->log, &ev, 1, e);
    }
    return mu_queue_add(x->queue, &q, 0, &w->id, e);
}

static int64_t clamp_bytes(uint64_t bytes)
{
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

/* Seconds from now; the nearer of both kinds, INFINITY without one. */
static double deadline_of(const struct mu_orchestration *x, const struct mu_campaign_policy *p)
{
    double left = INFINITY;
    if (p->deadline_s > 0)
        left = p->deadline_s - ((double)time(NULL) - (double)x->log.state.opened_wall_ns * 1e-9);
    if (p->deadline_at > 0)
        left = fmin(left, (double)(p->deadline_at - (int64_t)time(NULL)));
    return left;
}

/* As the file says, else as few as hold its weights and a quarter more. */
static int devices_of(const struct mu_orchestration *x, int task, int64_t memory)
{
    const struct mu_campaign_task *t = mu_orchestra_task(x, task);
    int64_t fixed = mu_campaign_devices(x->o->campaign, task);
    int64_t bytes = x->o->weights ? x->o->weights[t->model] : 0;
    int32_t shrunk = x->log.state.tasks[x->work[task].number].ranks;
    if (x->o->campaign->model[t->model].endpoint)
        return 1;
    if (fixed == 0 && memory > 0)
        fixed = MU_MAX((bytes + bytes / 4 + memory - 1) / memory, 1);
    if (shrunk > 0)
        fixed = MU_MIN(fixed, shrunk);
    return (int)MU_MIN(MU_MAX(fixed, 1), MU_TASK_DEVICES_MAX + 1); /* one more is refused by the dispatcher */
}

/* A device that runs one task at a time keeps its model, and one model takes all of it, unless the file says how much
 * it takes. Tasks that share a device load theirs each time. */
void mu_orchestra_need(struct mu_orchestration *x, int task)
{
    const struct mu_campaign_task *t = mu_orchestra_task(x, task);
    int64_t memory = INT64_MAX, asked = clamp_bytes(t->policy.resources.memory);
    int at_once = 1;
    for (int i = 0; i < x->o->n_devices; i++) {
        memory = MU_MIN(memory, x->o->devices[i].memory);
        at_once = MU_MAX(at_once, x->o->devices[i].tasks_max);
    }
    int devices = devices_of(x, task, memory);
    x->work[task].need = (struct mu_need){.devices = devices,
                                          .model = at_once == 1 ? t->model : -1,
                                          .weights = asked > 0 ? asked : memory / at_once,
                                          .run_s = mu_orchestra_length(x, task, MU_ORCHESTRA_RUN_S),
                                          .is_guess = !mu_orchestra_knows_length(x, task),
                                          .load_s = mu_orchestra_load_s(x, task),
                                          .deadline_s = mu_orchestra_now(x) + deadline_of(x, &t->policy),
                                          .priority = x->urgency[task],
                                          .is_preemptible = true,
                                          .may_span = true};
}

/* Of tasks that wait to those they wait for. */
static int64_t count_edges(const struct mu_campaign *c)
{
    int64_t n = 1;
    for (int i = 0; i < c->n_tasks; i++)
        for (int k = 0; k < c->task[i].n_wait; k++)
            n += c->set[c->task[i].wait[k]].n;
    return n;
}

static int check_edges(const struct mu_campaign *c, struct mu_err *e)
{
    int64_t n = count_edges(c);
    if (n <= MU_QUEUE_EDGES_MAX)
        return MU_OK;
    return mu_fail(e, MU_ELIMIT,
                   "%s: its tasks wait for each other in %" PRId64
                   " pairs, and a run keeps at most %d: let them wait for "
                   "fewer, such as one task that waits for the rest",
                   c->file[0], n, MU_QUEUE_EDGES_MAX);
}

static int fill_queue(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_campaign *c = x->o->campaign;
    struct mu_queue_limits l = {.tasks = MU_MAX(c->n_tasks, 1),
                                .edges = (int)count_edges(c),
                                .campaigns = mu_orchestra_lines(x),
                                .age_s = MU_QUEUE_AGE_S};
    struct mu_dispatch_options d = MU_DISPATCH_DEFAULT;
    int32_t *before = NULL;
    int *id = NULL, campaign = 0, rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&before, MU_MAX(c->n_tasks, 1), "tasks before a task", e));
    MU_TRY(MU_NEW_ARRAY(&id, MU_MAX(c->n_tasks, 1), "tasks before a task", e));
    MU_TRY(mu_queue_open(&x->queue, &l, e));
    for (int i = 0; i < l.campaigns; i++)
        MU_TRY(mu_queue_campaign(x->queue, c->weight > 0 ? c->weight : 1, &campaign, e));
    for (int i = 0; i < c->n_tasks; i++)
        x->work[c->order[i]].id = x->work[c->order[i]].hand = x->work[c->order[i]].last_hand = -1;
    for (int i = 0; i < c->n_tasks; i++) {
        mu_orchestra_need(x, c->order[i]);
        MU_TRY(add_task(x, c->order[i], before, id, e));
    }
    if (c->strategy)
        MU_TRY(mu_strategy_kind_find(&d.strategy, c->strategy, e));
    MU_TRY(mu_dispatch_open(&x->dispatch, &d, x->queue, x->fleet, &l, e));
out:
    mu_free(before);
    mu_free(id);
    return rc;
}

/* A worker for each task that devices may have at a time, and some that end while others begin. */
static int check_seats(const struct mu_orchestra *o, struct mu_err *e)
{
    int64_t n = 0;
    for (int i = 0; i < o->n_devices; i++)
        n += o->devices[i].tasks_max;
    if (n <= SEATS_MAX)
        return MU_OK;
    return mu_fail(e, MU_ELIMIT,
                   "%d devices could have %" PRId64 " tasks at a time, and a run has %d workers at most: "
                   "fewer --devices or a smaller concurrency are needed",
                   o->n_devices, n, SEATS_MAX);
}

static void set_policy(struct mu_orchestration *x)
{
    const struct mu_campaign *c = x->o->campaign;
    mu_policy_default(&x->policy);
    x->policy.attempts_max = MU_STATE_TASK_TRIES_MAX; /* a task's own `retries` bound it */
    for (int i = 0; i < c->n_failures; i++) {
        struct mu_policy_rule *r = &x->policy.rule[c->failure[i].failure];
        r->first = c->failure[i].first;
        if (c->failure[i].tries > 0) {
            r->tries_max = (int)MU_MIN(c->failure[i].tries, MU_STATE_TASK_TRIES_MAX);
            r->then = c->failure[i].then;
        }
    }
}

int mu_orchestra_open(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_campaign *c = x->o->campaign;
    x->start_ns = mu_now_ns(x->o->clock);
    x->random = (uint64_t)x->start_ns;
    set_policy(x);
    MU_TRY_RETURN(check_edges(c, e));
    MU_TRY_RETURN(check_seats(x->o, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->followers, MU_MAX(c->n_tasks, 1), "the tasks of a campaign", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->work, MU_MAX(c->n_tasks, 1), "the tasks of a campaign", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->urgency, MU_MAX(c->n_tasks, 1), "the tasks of a campaign", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->running, MU_WORKERS_MAX, "running tasks", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->hand, MU_WORKERS_MAX, "workers", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->start, MU_WORKERS_MAX, "starts", e));
    MU_TRY_RETURN(mu_fleet_open(&x->fleet, x->o->devices, x->o->n_devices, MU_MAX(c->n_models, 1), e));
    MU_TRY_RETURN(open_log(x, e));
    MU_TRY_RETURN(mu_orchestra_alert_begin(x, e));
    MU_TRY_RETURN(meet_log(x, e));
    MU_TRY_RETURN(number_tasks(x, e));
    MU_TRY_RETURN(mu_orchestra_meet_nodes(x, e));
    MU_TRY_RETURN(mu_orchestra_open_scales(x, e));
    MU_TRY_RETURN(mu_orchestra_open_lengths(x, e));
    MU_TRY_RETURN(mu_orchestra_settle_urgency(x, e));
    MU_TRY_RETURN(fill_queue(x, e));
    MU_TRY_RETURN(mu_orchestra_share_open(x, e));
    mu_orchestra_listen(x);
    return MU_OK;
}

void mu_orchestra_close(struct mu_orchestration *x)
{
    mu_control_close(x->control);
    mu_orchestra_share_close(x);
    mu_dispatch_free(x->dispatch);
    mu_queue_free(x->queue);
    mu_fleet_free(x->fleet);
    mu_state_log_close(&x->log);
    mu_free(x->work);
    mu_free(x->running);
    mu_free(x->hand);
    mu_free(x->start);
    mu_free(x->node);
    mu_free(x->length);
    mu_free(x->requests);
    mu_free(x->model);
    mu_free(x->followers);
    mu_free(x->urgency);
}
