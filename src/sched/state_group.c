/* state_group.c - worker groups in the fold */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "sched/state_int.h"

static const char *const names[MU_GROUP_STATES] = {"up", "draining", "drained", "lost"};

const char *mu_group_state_name(int state)
{
    return state >= 0 && state < MU_GROUP_STATES ? names[state] : "?";
}

static int check_group(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    if (ev->group < s->n_groups)
        return MU_OK;
    return mu_state_refuse(ev, e, "there is no group %d, the last one is %d", ev->group, s->n_groups - 1);
}

static int refuse_group(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return mu_state_refuse(ev, e, "group %d is %s", ev->group, mu_group_state_name(s->groups[ev->group].state));
}

static bool is_alive(const struct mu_state_group *g)
{
    return g->state == MU_GROUP_UP || g->state == MU_GROUP_DRAINING;
}

static int check_alive(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(check_group(s, ev, e));
    return is_alive(&s->groups[ev->group]) ? MU_OK : refuse_group(s, ev, e);
}

int mu_state_check_group_takes(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(check_group(s, ev, e));
    return s->groups[ev->group].state == MU_GROUP_UP ? MU_OK : refuse_group(s, ev, e);
}

/* ---- starting ---- */

/* The next number of "0-3,8" and what follows it; -1: none can be read. */
static int64_t next_number(const char **p)
{
    char *end;
    if (**p < '0' || **p > '9')
        return -1;
    long n = strtol(*p, &end, 10);
    *p = end;
    return n < INT32_MAX ? n : -1;
}

/* The next run of devices; false: the text is no list, or does not rise, or names a device that is not there. */
static bool next_run(const struct mu_state *s, const char **p, int64_t *after, int64_t *from, int64_t *to)
{
    *from = *to = next_number(p);
    if (**p == '-') {
        ++*p;
        *to = next_number(p);
    }
    if (*from <= *after || *to < *from || *to >= s->n_devices || (**p && **p != ','))
        return false;
    *after = *to;
    if (**p == ',' && !*++*p)
        return false;
    return true;
}

static int add_devices(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    int32_t n_before = s->n_group_devices;
    int64_t after = -1, from, to;
    for (const char *p = ev->text ? ev->text : ""; *p;) {
        int rc = next_run(s, &p, &after, &from, &to)
                     ? MU_OK
                     : mu_state_refuse(ev, e, "\"%s\" is no rising list of devices from 0 to %d", ev->text,
                                       s->n_devices - 1);
        for (int64_t d = from; rc == MU_OK && d <= to; d++) {
            rc = mu_state_grow(&s->group_devices, s->n_group_devices, &s->cap_group_devices, MU_STATE_GROUP_DEVICES_MAX,
                               sizeof *s->group_devices, "devices of groups", e);
            if (rc == MU_OK)
                s->group_devices[s->n_group_devices++] = (int32_t)d;
        }
        if (rc != MU_OK) {
            s->n_group_devices = n_before;
            return rc;
        }
    }
    return MU_OK;
}

static void count_devices(struct mu_state *s, const struct mu_state_group *g, int by)
{
    for (int32_t i = 0; i < g->n_devices; i++)
        s->devices[s->group_devices[g->device_at + i]].n_groups += by;
}

static int check_start(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    if (ev->group != s->n_groups)
        return mu_state_refuse(ev, e, "the next group is %d, not %d", s->n_groups, ev->group);
    if (ev->node >= s->n_nodes)
        return mu_state_refuse(ev, e, "there is no node %d, the last one is %d", ev->node, s->n_nodes - 1);
    if (ev->job >= s->n_jobs)
        return mu_state_refuse(ev, e, "there is no job %d, the last one is %d", ev->job, s->n_jobs - 1);
    if (ev->value < 1 || ev->value > MU_STATE_GROUP_RANKS_MAX)
        return mu_state_refuse(ev, e, "a group of %d ranks, it may have 1 to %d", ev->value, MU_STATE_GROUP_RANKS_MAX);
    return MU_OK;
}

int mu_state_group_started(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    int32_t device_at = s->n_group_devices;
    MU_TRY_RETURN(check_start(s, ev, e));
    MU_TRY_RETURN(MU_STATE_GROW(s, groups, MU_STATE_GROUPS_MAX, e));
    MU_TRY_RETURN(add_devices(s, ev, e));
    struct mu_state_group *g = &s->groups[s->n_groups++];
    *g = (struct mu_state_group){.state = MU_GROUP_UP,
                                 .node = ev->node,
                                 .job = ev->job,
                                 .ranks = ev->value,
                                 .held_first = -1,
                                 .device_at = device_at,
                                 .n_devices = s->n_group_devices - device_at,
                                 .pid = ev->amount,
                                 .start_seq = ev->seq,
                                 .start_wall_ns = ev->wall_ns};
    count_devices(s, g, 1);
    s->by_group_state[MU_GROUP_UP]++;
    return MU_OK;
}

/* Told after the start: a group's start is written before anything is started, so that none can be forgotten. */
int mu_state_group_placed(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    size_t host;
    MU_TRY_RETURN(check_alive(s, ev, e));
    if (s->groups[ev->group].host > 0)
        return mu_state_refuse(ev, e, "group %d is placed already, on %s as process %" PRId64, ev->group,
                               mu_state_name(s, s->groups[ev->group].host), s->groups[ev->group].pid);
    MU_TRY_RETURN(mu_state_keep_name(s, ev->text, &host, e));
    s->groups[ev->group].pid = ev->amount;
    s->groups[ev->group].host = host;
    return MU_OK;
}

/* ---- ending ---- */

static void move_group(struct mu_state *s, int32_t group, enum mu_group_state to)
{
    struct mu_state_group *g = &s->groups[group];
    s->by_group_state[g->state]--;
    s->by_group_state[to]++;
    if (is_alive(g) && (to == MU_GROUP_LOST || to == MU_GROUP_DRAINED))
        count_devices(s, g, -1);
    g->state = (uint8_t)to;
}

int mu_state_group_lost(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(check_alive(s, ev, e));
    MU_TRY_RETURN(mu_state_check_value(ev, MU_FAILURES, "class of failure", e));
    struct mu_state_group *g = &s->groups[ev->group];
    for (int32_t task; (task = g->held_first) >= 0;) {
        bool is_running = s->tasks[task].state == MU_TASK_RUNNING;
        if (is_running)
            mu_state_end_attempt(s, task, MU_ATTEMPT_FAILED, ev->value, ev);
        mu_state_let_go(s, task);
        mu_state_move(s, task, is_running ? MU_TASK_WAITING : MU_TASK_READY);
    }
    g->failure = (uint8_t)ev->value;
    move_group(s, ev->group, MU_GROUP_LOST);
    return MU_OK;
}

int mu_state_group_draining(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_group_takes(s, ev, e));
    move_group(s, ev->group, MU_GROUP_DRAINING);
    return MU_OK;
}

int mu_state_group_drained(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(check_alive(s, ev, e));
    int32_t task = s->groups[ev->group].held_first;
    if (task >= 0)
        return mu_state_refuse(ev, e, "group %d still holds %d tasks, of which task %d (%s) is %s", ev->group,
                               s->groups[ev->group].n_held, task, mu_state_name(s, s->tasks[task].name),
                               mu_task_state_name(s->tasks[task].state));
    move_group(s, ev->group, MU_GROUP_DRAINED);
    return MU_OK;
}
