/* state_task.c - tasks and their attempts in the fold */
#include <inttypes.h>

#include "base/check.h"
#include "sched/state_int.h"

#define BIT(state) (1u << (state))

#define NOT_ENDED (BIT(MU_TASK_WAITING) | BIT(MU_TASK_READY) | BIT(MU_TASK_LEASED) | BIT(MU_TASK_RUNNING))

static const char *const names[MU_TASK_STATES] = {"waiting",  "ready",  "leased",    "running",
                                                  "finished", "failed", "cancelled", "skipped"};

const char *mu_task_state_name(int state)
{
    return state >= 0 && state < MU_TASK_STATES ? names[state] : "?";
}

bool mu_task_state_is_end(int state)
{
    return state >= MU_TASK_FINISHED && state < MU_TASK_STATES;
}

/* ---- checks ---- */

int mu_state_check_task(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    if (ev->task < s->n_tasks)
        return MU_OK;
    return mu_state_refuse(ev, e, "there is no task %d, the last one is %d", ev->task, s->n_tasks - 1);
}

static int refuse_task(const struct mu_state *s, const struct mu_event *ev, const char *why, struct mu_err *e)
{
    const struct mu_state_task *t = &s->tasks[ev->task];
    return mu_state_refuse(ev, e, "task %d (%s) is %s%s", ev->task, mu_state_name(s, t->name),
                           mu_task_state_name(t->state), why);
}

int mu_state_check_in(const struct mu_state *s, const struct mu_event *ev, unsigned states, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_task(s, ev, e));
    return BIT(s->tasks[ev->task].state) & states ? MU_OK : refuse_task(s, ev, "", e);
}

int mu_state_check_not_ended(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return mu_state_check_in(s, ev, NOT_ENDED, e);
}

int mu_state_check_attempt(const struct mu_state *s, const struct mu_event *ev, int32_t at, struct mu_err *e)
{
    if (ev->attempt == at)
        return MU_OK;
    return mu_state_refuse(ev, e, "it speaks of attempt %d of task %d (%s), which is %s and at attempt %d", ev->attempt,
                           ev->task, mu_state_name(s, s->tasks[ev->task].name),
                           mu_task_state_name(s->tasks[ev->task].state), at);
}

int mu_state_check_holder(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    const struct mu_state_task *t = &s->tasks[ev->task];
    if (t->group == ev->group)
        return MU_OK;
    return mu_state_refuse(ev, e, "group %d does not hold task %d (%s), which is %s with group %d", ev->group, ev->task,
                           mu_state_name(s, t->name), mu_task_state_name(t->state), t->group);
}

/* ---- moves ---- */

void mu_state_move(struct mu_state *s, int32_t task, enum mu_task_state to)
{
    struct mu_state_task *t = &s->tasks[task];
    s->by_priority[t->priority][t->state]--;
    s->by_priority[t->priority][to]++;
    t->state = (uint8_t)to;
}

void mu_state_hold(struct mu_state *s, int32_t task, int32_t group, int64_t span_ns, int64_t seq)
{
    struct mu_state_task *t = &s->tasks[task];
    struct mu_state_group *g = &s->groups[group];
    t->group = group;
    t->lease_span_ns = span_ns;
    t->lease_seq = seq;
    t->held_before = -1;
    t->held_after = g->held_first;
    if (g->held_first >= 0)
        s->tasks[g->held_first].held_before = task;
    g->held_first = task;
    g->n_held++;
}

void mu_state_let_go(struct mu_state *s, int32_t task)
{
    struct mu_state_task *t = &s->tasks[task];
    if (t->group < 0)
        return;
    struct mu_state_group *g = &s->groups[t->group];
    if (t->held_before >= 0)
        s->tasks[t->held_before].held_after = t->held_after;
    else
        g->held_first = t->held_after;
    if (t->held_after >= 0)
        s->tasks[t->held_after].held_before = t->held_before;
    g->n_held--;
    t->group = t->held_before = t->held_after = -1;
    t->lease_span_ns = t->lease_seq = 0;
}

void mu_state_end_attempt(struct mu_state *s, int32_t task, enum mu_attempt_state as, int failure,
                          const struct mu_event *ev)
{
    struct mu_state_attempt *a = &s->attempts[s->tasks[task].last_attempt];
    a->state = (uint8_t)as;
    a->failure = (uint8_t)failure;
    a->end_ns = s->active_ns;
    a->end_wall_ns = ev->wall_ns;
    if (as == MU_ATTEMPT_FAILED) {
        s->failures[failure]++;
        s->tasks[task].failure = (uint8_t)failure;
    }
}

/* ---- events ---- */

int mu_state_task_added(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    size_t name;
    MU_TRY_RETURN(mu_state_check_open(s, ev, e));
    if (ev->task != s->n_tasks)
        return mu_state_refuse(ev, e, "the next task to be added is %d, not %d", s->n_tasks, ev->task);
    MU_TRY_RETURN(mu_state_check_value(ev, MU_PRIORITY_N, "priority", e));
    MU_TRY_RETURN(MU_STATE_GROW(s, tasks, MU_STATE_TASKS_MAX, e));
    MU_TRY_RETURN(mu_state_keep_name(s, ev->text, &name, e));
    s->tasks[s->n_tasks++] = (struct mu_state_task){.priority = (uint8_t)ev->value,
                                                    .last_skip = -1,
                                                    .search = -1,
                                                    .last_attempt = -1,
                                                    .group = -1,
                                                    .held_before = -1,
                                                    .held_after = -1,
                                                    .name = name};
    s->by_priority[ev->value][MU_TASK_WAITING]++;
    return MU_OK;
}

int mu_state_task_ready(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_open(s, ev, e));
    MU_TRY_RETURN(mu_state_check_in(s, ev, BIT(MU_TASK_WAITING), e));
    MU_TRY_RETURN(mu_state_check_attempt(s, ev, s->tasks[ev->task].attempts + 1, e));
    mu_state_move(s, ev->task, MU_TASK_READY);
    return MU_OK;
}

int mu_state_task_started(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_runs(s, ev, e));
    MU_TRY_RETURN(mu_state_check_in(s, ev, BIT(MU_TASK_READY) | BIT(MU_TASK_LEASED), e));
    struct mu_state_task *t = &s->tasks[ev->task];
    MU_TRY_RETURN(mu_state_check_attempt(s, ev, t->attempts + 1, e));
    if (t->state == MU_TASK_LEASED)
        MU_TRY_RETURN(mu_state_check_holder(s, ev, e));
    MU_TRY_RETURN(mu_state_check_group_takes(s, ev, e));
    if (t->attempts >= MU_STATE_TASK_TRIES_MAX)
        return refuse_task(s, ev, " and has been attempted as often as a task may be", e);
    MU_TRY_RETURN(MU_STATE_GROW(s, attempts, MU_STATE_ATTEMPTS_MAX, e));
    s->attempts[s->n_attempts] = (struct mu_state_attempt){.task = ev->task,
                                                           .number = ev->attempt,
                                                           .group = ev->group,
                                                           .before = t->last_attempt,
                                                           .state = MU_ATTEMPT_RUNNING,
                                                           .start_seq = ev->seq,
                                                           .start_ns = s->active_ns,
                                                           .end_ns = -1,
                                                           .start_wall_ns = ev->wall_ns};
    mu_state_let_go(s, ev->task);
    mu_state_hold(s, ev->task, ev->group, ev->amount, ev->seq);
    t->last_attempt = s->n_attempts++;
    t->attempts = ev->attempt;
    mu_state_move(s, ev->task, MU_TASK_RUNNING);
    return MU_OK;
}

int mu_state_check_running(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_in(s, ev, BIT(MU_TASK_RUNNING), e));
    return mu_state_check_attempt(s, ev, s->tasks[ev->task].attempts, e);
}

int mu_state_task_finished(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_running(s, ev, e));
    mu_state_end_attempt(s, ev->task, MU_ATTEMPT_FINISHED, MU_FAILURE_NONE, ev);
    mu_state_let_go(s, ev->task);
    mu_state_move(s, ev->task, MU_TASK_FINISHED);
    s->finished_ns[s->n_finished++ % MU_STATE_RATE_WINDOW] = s->active_ns;
    return MU_OK;
}

int mu_state_attempt_failed(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_running(s, ev, e));
    MU_TRY_RETURN(mu_state_check_value(ev, MU_FAILURES, "class of failure", e));
    mu_state_end_attempt(s, ev->task, MU_ATTEMPT_FAILED, ev->value, ev);
    mu_state_let_go(s, ev->task);
    mu_state_move(s, ev->task, MU_TASK_WAITING);
    return MU_OK;
}

int mu_state_task_failed(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_in(s, ev, BIT(MU_TASK_WAITING) | BIT(MU_TASK_READY), e));
    MU_TRY_RETURN(mu_state_check_value(ev, MU_FAILURES, "class of failure", e));
    s->tasks[ev->task].failure = (uint8_t)ev->value;
    mu_state_move(s, ev->task, MU_TASK_FAILED);
    return MU_OK;
}

int mu_state_task_cancelled(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_not_ended(s, ev, e));
    if (s->tasks[ev->task].state == MU_TASK_RUNNING)
        mu_state_end_attempt(s, ev->task, MU_ATTEMPT_CANCELLED, MU_FAILURE_CANCELLED, ev);
    mu_state_let_go(s, ev->task);
    mu_state_move(s, ev->task, MU_TASK_CANCELLED);
    return MU_OK;
}

int mu_state_task_skipped(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_in(s, ev, BIT(MU_TASK_WAITING) | BIT(MU_TASK_READY), e));
    mu_state_move(s, ev->task, MU_TASK_SKIPPED);
    return MU_OK;
}

int mu_state_priority_changed(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_not_ended(s, ev, e));
    MU_TRY_RETURN(mu_state_check_value(ev, MU_PRIORITY_N, "priority", e));
    struct mu_state_task *t = &s->tasks[ev->task];
    s->by_priority[t->priority][t->state]--;
    s->by_priority[ev->value][t->state]++;
    t->priority = (uint8_t)ev->value;
    t->is_rated = true;
    return MU_OK;
}

/* Each step makes it smaller than the last one of its kind did. */
int mu_state_degraded(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_not_ended(s, ev, e));
    MU_TRY_RETURN(mu_state_check_value(ev, MU_SHRINKS, "way to make a task smaller", e));
    struct mu_state_task *t = &s->tasks[ev->task];
    int32_t *now = ev->value == MU_SHRINK_RANKS ? &t->ranks : &t->batch;
    if (ev->value == MU_SHRINK_INT8) {
        if (t->is_int8 || ev->amount != 8)
            return refuse_task(s, ev, t->is_int8 ? " and has int8 weights already" : ": int8 has 8 bits", e);
        t->is_int8 = true;
    } else {
        if (ev->amount < 1 || ev->amount > INT32_MAX || (*now > 0 && ev->amount >= *now))
            return mu_state_refuse(ev, e, "task %d (%s) has %s %d already, and %" PRId64 " is no step down", ev->task,
                                   mu_state_name(s, t->name), mu_shrink_name(ev->value), *now, ev->amount);
        *now = (int32_t)ev->amount;
    }
    s->n_degraded++;
    return MU_OK;
}
