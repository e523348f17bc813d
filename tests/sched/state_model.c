/* state_model.c - see state_model.h */
#include "state_model.h"

#include <stdio.h>

#include "base/check.h"
#include "sched/slurm/jobs.h"
#include "xt.h"

struct model m;

static bool task_is(int t, const char *states)
{
    return t < m.n_tasks && strstr(states, m.task[t].state);
}

static bool group_is(int g, const char *states)
{
    return g < m.n_groups && strstr(states, m.group[g].state);
}

static bool job_is_over(int j)
{
    return !strstr("PENDING RUNNING SUSPENDED OTHER", m.job[j].word);
}

static bool model_start_is_legal(const struct mu_event *ev)
{
    int from, to, n = 0, last = -1;
    if (ev->group != m.n_groups || ev->node >= m.n_nodes || ev->job >= m.n_jobs || ev->value < 1)
        return false;
    for (const char *p = ev->text; *p; p += n) { /* texts here are "a-b" or "a-b,c-d" */
        XT_EQ(sscanf(p, "%d-%d%n", &from, &to, &n), 2);
        n += p[n] == ',';
        if (from <= last || to < from || to >= m.n_devices)
            return false;
        last = to;
    }
    return true;
}

static bool model_task_event_is_legal(const struct mu_event *ev)
{
    int t = ev->task;
    bool is_held_by = t < m.n_tasks && m.task[t].group == ev->group;
    int attempts = t < m.n_tasks ? m.task[t].attempts : 0;
    int now = ev->value == MU_SHRINK_RANKS ? m.task[t % MODEL_MAX].ranks : m.task[t % MODEL_MAX].batch;
    switch (ev->kind) {
    case MU_EVENT_TASK_ADDED:
        return m.campaign != 3 && t == m.n_tasks && ev->value < 5;
    case MU_EVENT_TASK_READY:
        return m.campaign != 3 && task_is(t, "waiting") && ev->attempt == attempts + 1;
    case MU_EVENT_TASK_STARTED:
        return m.campaign == 1 && ev->attempt == attempts + 1 && group_is(ev->group, "up") &&
               (task_is(t, "ready") || (task_is(t, "leased") && is_held_by));
    case MU_EVENT_TASK_FINISHED:
        return task_is(t, "running") && ev->attempt == attempts;
    case MU_EVENT_ATTEMPT_FAILED:
        return task_is(t, "running") && ev->attempt == attempts && ev->value < MU_FAILURES;
    case MU_EVENT_TASK_FAILED:
        return task_is(t, "waiting ready") && ev->value < MU_FAILURES;
    case MU_EVENT_TASK_CANCELLED:
    case MU_EVENT_REQUEST_SKIPPED:
        return task_is(t, "waiting ready leased running");
    case MU_EVENT_SEARCH_BEGUN:
        return task_is(t, "waiting ready leased running") && ev->attempt == attempts && attempts > 0 &&
               !m.task[t].is_searched && ev->amount > 0;
    case MU_EVENT_PROBE_ENDED:
        return task_is(t, "running") && ev->attempt == attempts && m.task[t].is_searched && ev->value < 5;
    case MU_EVENT_SEARCH_ENDED:
        return task_is(t, "waiting ready leased running") && ev->attempt == attempts && m.task[t].is_searched;
    case MU_EVENT_TASK_SKIPPED:
        return task_is(t, "waiting ready");
    case MU_EVENT_PRIORITY_CHANGED:
        return task_is(t, "waiting ready leased running") && ev->value < 5;
    case MU_EVENT_DEGRADED:
        if (!task_is(t, "waiting ready leased running") || ev->value > 2)
            return false;
        return ev->value == MU_SHRINK_INT8 ? !m.task[t].is_int8 && ev->amount == 8
                                           : ev->amount >= 1 && (now == 0 || ev->amount < now);
    case MU_EVENT_LEASE_TAKEN:
        return m.campaign == 1 && task_is(t, "ready") && group_is(ev->group, "up");
    case MU_EVENT_LEASE_RENEWED:
        return task_is(t, "leased running") && is_held_by;
    case MU_EVENT_LEASE_EXPIRED:
        return task_is(t, "leased running") && is_held_by && ev->value < MU_FAILURES;
    case MU_EVENT_LEASE_RELEASED:
        return task_is(t, "leased") && is_held_by;
    default:
        return false;
    }
}

bool model_is_legal(const struct mu_event *ev)
{
    bool holds = false;
    for (int t = 0; t < m.n_tasks; t++)
        holds = holds || m.task[t].group == ev->group;
    if (m.campaign == 0)
        return ev->kind == MU_EVENT_OPENED;
    switch (ev->kind) {
    case MU_EVENT_OPENED:
        return false;
    case MU_EVENT_PAUSED:
        return m.campaign == 1;
    case MU_EVENT_RESUMED:
        return m.campaign == 2;
    case MU_EVENT_CANCELLED:
        return m.campaign != 3;
    case MU_EVENT_GROUP_STARTED:
        return model_start_is_legal(ev);
    case MU_EVENT_GROUP_LOST:
        return group_is(ev->group, "up draining") && ev->value < MU_FAILURES;
    case MU_EVENT_GROUP_PLACED:
        return group_is(ev->group, "up draining") && !m.group[ev->group].is_placed;
    case MU_EVENT_GROUP_DRAINING:
        return group_is(ev->group, "up");
    case MU_EVENT_GROUP_DRAINED:
        return group_is(ev->group, "up draining") && !holds;
    case MU_EVENT_NODE_SEEN:
        return ev->node == m.n_nodes && ev->amount <= 64;
    case MU_EVENT_NODE_QUARANTINED:
        return ev->node < m.n_nodes && !m.node[ev->node].is_out;
    case MU_EVENT_NODE_BACK:
        return ev->node < m.n_nodes && m.node[ev->node].is_out;
    case MU_EVENT_DEVICE_QUARANTINED:
        return ev->device < m.n_devices && !m.device[ev->device].is_out;
    case MU_EVENT_DEVICE_BACK:
        return ev->device < m.n_devices && m.device[ev->device].is_out;
    case MU_EVENT_SCALED:
        return ev->value <= 4096 && ev->amount < 12;
    case MU_EVENT_BUDGET_SPENT:
        return ev->value < 2;
    case MU_EVENT_ALERT_SENT:
        return true;
    case MU_EVENT_JOB_SUBMITTED:
        return ev->job == m.n_jobs;
    case MU_EVENT_JOB_SEEN:
        return ev->job < m.n_jobs && (!job_is_over(ev->job) || strcmp(m.job[ev->job].word, ev->text) == 0);
    case MU_EVENT_JOB_REQUEUED:
        return ev->job < m.n_jobs;
    case MU_EVENT_WALLTIME_WARNING:
        return ev->job < m.n_jobs && !job_is_over(ev->job);
    default:
        return model_task_event_is_legal(ev);
    }
}

static void end_attempt(int t, const char *state, int failure)
{
    for (int i = 0; i < m.n_attempts; i++)
        if (m.attempt[i].task == t && m.attempt[i].number == m.task[t].attempts) {
            strcpy(m.attempt[i].state, state);
            m.attempt[i].failure = failure;
            m.attempt[i].end = m.active;
        }
    if (strcmp(state, "failed") == 0)
        m.task[t].failure = failure;
}

static void set_task(int t, const char *state, int group)
{
    strcpy(m.task[t].state, state);
    m.task[t].group = group;
}

static void lose_hold(int t, int failure)
{
    bool was_running = task_is(t, "running");
    if (was_running)
        end_attempt(t, "failed", failure);
    set_task(t, was_running ? "waiting" : "ready", -1);
}

static void model_start_group(const struct mu_event *ev)
{
    int from, to, n = 0, g = m.n_groups++;
    strcpy(m.group[g].state, "up");
    m.group[g].pid = ev->amount;
    for (const char *p = ev->text; *p; p += n + (p[n] == ',')) {
        sscanf(p, "%d-%d%n", &from, &to, &n);
        for (int d = from; d <= to; d++)
            m.group[g].device[m.group[g].n_devices++] = d;
    }
}

static void model_start_task(const struct mu_event *ev)
{
    int a = m.n_attempts++;
    m.attempt[a].task = ev->task;
    m.attempt[a].number = ev->attempt;
    m.attempt[a].group = ev->group;
    m.attempt[a].start = m.active;
    m.attempt[a].end = -1;
    strcpy(m.attempt[a].state, "running");
    m.task[ev->task].attempts++;
    set_task(ev->task, "running", ev->group);
}

static void model_task_event(const struct mu_event *ev)
{
    int t = ev->task;
    switch (ev->kind) {
    case MU_EVENT_TASK_ADDED:
        m.n_tasks++;
        m.task[t].priority = ev->value;
        set_task(t, "waiting", -1);
        break;
    case MU_EVENT_TASK_READY:
        set_task(t, "ready", -1);
        break;
    case MU_EVENT_TASK_STARTED:
        model_start_task(ev);
        break;
    case MU_EVENT_TASK_FINISHED:
        end_attempt(t, "finished", 0);
        set_task(t, "finished", -1);
        m.finishes++;
        break;
    case MU_EVENT_ATTEMPT_FAILED:
        end_attempt(t, "failed", ev->value);
        set_task(t, "waiting", -1);
        break;
    case MU_EVENT_TASK_FAILED:
        m.task[t].failure = ev->value;
        set_task(t, "failed", -1);
        break;
    case MU_EVENT_TASK_CANCELLED:
        if (task_is(t, "running"))
            end_attempt(t, "cancelled", MU_FAILURE_CANCELLED);
        set_task(t, "cancelled", -1);
        break;
    case MU_EVENT_TASK_SKIPPED:
        set_task(t, "skipped", -1);
        break;
    case MU_EVENT_PRIORITY_CHANGED:
        m.task[t].priority = ev->value;
        break;
    case MU_EVENT_DEGRADED:
        *(ev->value == MU_SHRINK_RANKS  ? &m.task[t].ranks
          : ev->value == MU_SHRINK_INT8 ? &m.task[t].is_int8
                                        : &m.task[t].batch) = (int)ev->amount;
        m.degraded++;
        break;
    case MU_EVENT_REQUEST_SKIPPED:
        m.task[t].skipped++;
        m.task[t].last_skip = ev->amount;
        m.task[t].is_searched = false;
        break;
    case MU_EVENT_SEARCH_BEGUN:
        m.task[t].is_searched = true;
        break;
    case MU_EVENT_PROBE_ENDED:
        end_attempt(t,
                    ev->value >= 2   ? "failed"
                    : ev->value == 1 ? "finished"
                                     : "cancelled",
                    ev->value >= 2 ? MU_FAILURE_POISON : 0);
        set_task(t, "waiting", -1);
        break;
    case MU_EVENT_SEARCH_ENDED:
        m.task[t].is_searched = false;
        m.task[t].is_vain = true;
        break;
    case MU_EVENT_LEASE_TAKEN:
        set_task(t, "leased", ev->group);
        break;
    case MU_EVENT_LEASE_EXPIRED:
        lose_hold(t, ev->value);
        break;
    case MU_EVENT_LEASE_RELEASED:
        set_task(t, "ready", -1);
        break;
    default:
        break;
    }
}

void model_do(const struct mu_event *ev)
{
    switch (ev->kind) {
    case MU_EVENT_OPENED:
    case MU_EVENT_RESUMED:
        m.campaign = 1;
        break;
    case MU_EVENT_PAUSED:
        m.campaign = 2;
        break;
    case MU_EVENT_CANCELLED:
        m.campaign = 3;
        break;
    case MU_EVENT_GROUP_STARTED:
        model_start_group(ev);
        break;
    case MU_EVENT_GROUP_LOST:
        for (int t = 0; t < m.n_tasks; t++)
            if (m.task[t].group == ev->group)
                lose_hold(t, ev->value);
        strcpy(m.group[ev->group].state, "lost");
        break;
    case MU_EVENT_GROUP_PLACED:
        m.group[ev->group].pid = ev->amount;
        m.group[ev->group].is_placed = true;
        break;
    case MU_EVENT_GROUP_DRAINING:
        strcpy(m.group[ev->group].state, "draining");
        break;
    case MU_EVENT_GROUP_DRAINED:
        strcpy(m.group[ev->group].state, "drained");
        break;
    case MU_EVENT_NODE_SEEN:
        for (int i = 0; i < ev->amount; i++)
            m.device[m.n_devices++].node = ev->node;
        m.node[m.n_nodes++].n_devices = (int)ev->amount;
        break;
    case MU_EVENT_NODE_QUARANTINED:
    case MU_EVENT_NODE_BACK:
        m.node[ev->node].is_out = ev->kind == MU_EVENT_NODE_QUARANTINED;
        break;
    case MU_EVENT_DEVICE_QUARANTINED:
    case MU_EVENT_DEVICE_BACK:
        m.device[ev->device].is_out = ev->kind == MU_EVENT_DEVICE_QUARANTINED;
        break;
    case MU_EVENT_SCALED:
        m.model[ev->text[6] - '0'].replicas = ev->value;
        m.model[ev->text[6] - '0'].changes++;
        break;
    case MU_EVENT_BUDGET_SPENT:
        m.spent[ev->value] += ev->amount;
        break;
    case MU_EVENT_ALERT_SENT:
        m.alerts++;
        break;
    case MU_EVENT_JOB_SUBMITTED:
        strcpy(m.job[m.n_jobs++].word, "PENDING");
        break;
    case MU_EVENT_JOB_SEEN:
        strcpy(m.job[ev->job].word, ev->text);
        break;
    case MU_EVENT_JOB_REQUEUED:
        strcpy(m.job[ev->job].word, "PENDING");
        m.job[ev->job].requeues++;
        m.job[ev->job].is_warned = 0;
        break;
    case MU_EVENT_WALLTIME_WARNING:
        m.job[ev->job].is_warned = 1;
        break;
    default:
        model_task_event(ev);
    }
}

/* ---- the two held against each other ---- */

static void compare_tasks(const struct mu_state *s, struct mu_counts *c)
{
    for (int t = 0; t < m.n_tasks; t++) {
        const struct mu_state_task *a = &s->tasks[t];
        XT_STREQ(mu_task_state_name(a->state), m.task[t].state);
        XT_EQ(a->priority, m.task[t].priority);
        XT_EQ(a->attempts, m.task[t].attempts);
        XT_EQ(a->group, m.task[t].group);
        XT_EQ(a->failure, m.task[t].failure);
        XT_EQ(a->ranks, m.task[t].ranks);
        XT_EQ(a->batch, m.task[t].batch);
        XT_EQ(a->is_int8, m.task[t].is_int8 != 0);
        XT_EQ(a->skipped, m.task[t].skipped);
        XT_EQ(a->search >= 0, m.task[t].is_searched);
        XT_EQ(a->is_searched_in_vain, m.task[t].is_vain);
        if (a->skipped > 0)
            XT_EQ(s->skips[a->last_skip].document, m.task[t].last_skip);
        char name[24];
        snprintf(name, sizeof name, "task-%d", t);
        XT_STREQ(mu_state_name(s, a->name), name);
        c->by_priority[a->priority][a->state]--;
        c->by_state[a->state]--;
        c->left -= !strstr("finished failed cancelled skipped", m.task[t].state);
    }
    for (int i = 0; i < m.n_attempts; i++) {
        static const char *const names[] = {"running", "finished", "failed", "cancelled"};
        const struct mu_state_attempt *a = &s->attempts[i];
        XT_STREQ(names[a->state], m.attempt[i].state);
        XT_EQ(a->task, m.attempt[i].task);
        XT_EQ(a->number, m.attempt[i].number);
        XT_EQ(a->group, m.attempt[i].group);
        XT_EQ(a->failure, m.attempt[i].failure);
        XT_EQ(a->start_ns, m.attempt[i].start);
        XT_EQ(a->end_ns, m.attempt[i].end);
        if (strcmp(m.attempt[i].state, "failed") == 0)
            c->failures[a->failure]--;
    }
}

static void compare_groups(const struct mu_state *s, struct mu_counts *c)
{
    static int users[8 * MODEL_MAX];
    memset(users, 0, sizeof users);
    for (int g = 0; g < m.n_groups; g++) {
        const struct mu_state_group *a = &s->groups[g];
        int held = 0, listed = 0;
        for (int t = 0; t < m.n_tasks; t++)
            held += m.task[t].group == g;
        for (int t = a->held_first; t >= 0; t = s->tasks[t].held_after, listed++)
            XT_EQ(m.task[t].group, g);
        XT_STREQ(mu_group_state_name(a->state), m.group[g].state);
        XT_EQ(a->n_held, held);
        XT_EQ(listed, held);
        XT_EQ(a->n_devices, m.group[g].n_devices);
        XT_EQ(a->pid, m.group[g].pid);
        for (int i = 0; i < a->n_devices; i++) {
            XT_EQ(s->group_devices[a->device_at + i], m.group[g].device[i]);
            users[m.group[g].device[i]] += group_is(g, "up draining");
        }
        c->groups[a->state]--;
    }
    for (int d = 0; d < m.n_devices; d++) {
        XT_EQ(s->devices[d].n_groups, users[d]);
        XT_EQ(s->devices[d].node, m.device[d].node);
        XT_EQ(mu_state_device_is_good(s, d), !m.device[d].is_out && !m.node[m.device[d].node].is_out);
        c->devices_out -= m.device[d].is_out;
    }
    for (int n = 0; n < m.n_nodes; n++) {
        XT_EQ(s->nodes[n].n_devices, m.node[n].n_devices);
        c->nodes_out -= m.node[n].is_out;
    }
}

static void compare_models(const struct mu_state *s)
{
    for (int i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "model-%d", i);
        const struct mu_state_model *a = mu_state_find_model(s, name);
        XT_EQ(a ? a->replicas : 0, m.model[i].replicas);
        XT_EQ(a ? a->changes : 0, m.model[i].changes);
    }
}

static bool is_all_zero(const void *p, size_t n)
{
    const unsigned char *b = p;
    while (n > 0 && b[n - 1] == 0)
        n--;
    return n == 0;
}

void model_compare(const struct mu_state *s)
{
    struct mu_counts c;
    mu_state_counts(s, 0, &c);
    XT_EQ(s->campaign, m.campaign);
    XT_EQ(c.tasks, m.n_tasks);
    XT_EQ(c.attempts, m.n_attempts);
    XT_EQ(s->n_groups, m.n_groups);
    XT_EQ(c.nodes, m.n_nodes);
    XT_EQ(c.devices, m.n_devices);
    XT_EQ(s->n_jobs, m.n_jobs);
    compare_tasks(s, &c);
    compare_groups(s, &c);
    /* What is counted was taken off one by one: nothing is left. */
    XT_CHECK(is_all_zero(c.by_priority, sizeof c.by_priority) && is_all_zero(c.by_state, sizeof c.by_state));
    XT_CHECK(is_all_zero(c.groups, sizeof c.groups) && is_all_zero(c.failures, sizeof c.failures));
    XT_CHECK(c.left == 0 && c.nodes_out == 0 && c.devices_out == 0);
    for (int j = 0; j < m.n_jobs; j++) {
        XT_EQ(s->jobs[j].state, mu_slurm_state_of(mu_str(m.job[j].word)));
        XT_EQ(s->jobs[j].requeues, m.job[j].requeues);
        XT_EQ(s->jobs[j].is_warned, m.job[j].is_warned != 0);
    }
    compare_models(s);
    XT_EQ(c.spent_ns[0], m.spent[0]);
    XT_EQ(c.spent_ns[1], m.spent[1]);
    XT_EQ(c.alerts, m.alerts);
    XT_EQ(c.degraded, m.degraded);
    XT_EQ(c.active_ns, m.active);
    XT_EQ(s->n_finished, m.finishes);
}

/* ---- random events ---- */

int model_below(uint64_t *r, int n)
{
    return n > 0 ? (int)(xt_rand(r) % (uint64_t)n) : 0;
}

static const int kinds[] = {
#define KIND(name, number, words, members) number,
    MU_EVENT_MAP(KIND)
#undef KIND
};

/* Mostly what may well be legal. */
struct mu_event model_random(uint64_t *r, char text[48])
{
    static const int often[] = {MU_EVENT_TASK_ADDED,    MU_EVENT_TASK_READY,  MU_EVENT_TASK_STARTED,
                                MU_EVENT_TASK_FINISHED, MU_EVENT_LEASE_TAKEN, MU_EVENT_GROUP_STARTED,
                                MU_EVENT_SEARCH_BEGUN,  MU_EVENT_PROBE_ENDED};
    static const char *const words[] = {"PENDING", "RUNNING", "COMPLETED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"};
    struct mu_event ev = {.kind = model_below(r, 2) ? often[model_below(r, 8)]
                                                    : kinds[model_below(r, (int)MU_COUNT(kinds))]};
    if ((ev.kind == MU_EVENT_CANCELLED || ev.kind == MU_EVENT_PAUSED) && model_below(r, 40))
        ev.kind = MU_EVENT_RESUMED;
    ev.task = ev.kind == MU_EVENT_TASK_ADDED ? m.n_tasks + (model_below(r, 9) == 0) : model_below(r, m.n_tasks + 1);
    if (ev.task < m.n_tasks && model_below(r, 3)) /* among the last ones something goes on */
        ev.task = m.n_tasks - 1 - model_below(r, MU_MIN(m.n_tasks, 20));
    int attempts = ev.task < m.n_tasks ? m.task[ev.task].attempts : 0;
    bool is_next = ev.kind == MU_EVENT_TASK_READY || ev.kind == MU_EVENT_TASK_STARTED;
    ev.attempt = MU_MAX(1, model_below(r, 9) ? attempts + is_next : 1 + model_below(r, 4));
    ev.group =
        ev.kind == MU_EVENT_GROUP_STARTED ? m.n_groups + (model_below(r, 9) == 0) : model_below(r, m.n_groups + 1);
    if (ev.task < m.n_tasks && m.task[ev.task].group >= 0 && model_below(r, 4))
        ev.group = m.task[ev.task].group;
    ev.node = ev.kind == MU_EVENT_NODE_SEEN ? m.n_nodes + (model_below(r, 9) == 0) : model_below(r, m.n_nodes + 1);
    ev.device = model_below(r, m.n_devices + 1);
    ev.job = ev.kind == MU_EVENT_JOB_SUBMITTED ? m.n_jobs + (model_below(r, 9) == 0) : model_below(r, m.n_jobs + 2) - 1;
    if (ev.kind != MU_EVENT_GROUP_STARTED)
        ev.job = MU_MAX(ev.job, 0);
    ev.value = ev.kind == MU_EVENT_GROUP_STARTED ? model_below(r, 9) : model_below(r, model_below(r, 9) ? 5 : 40);
    ev.amount = ev.kind == MU_EVENT_NODE_SEEN  ? model_below(r, 6)
                : ev.kind == MU_EVENT_DEGRADED ? model_below(r, 20)
                                               : model_below(r, 1000);
    ev.text = "text";
    if (ev.kind == MU_EVENT_TASK_ADDED)
        snprintf(text, 48, "task-%d", ev.task), ev.text = text;
    if (ev.kind == MU_EVENT_SCALED) {
        snprintf(text, 48, "model-%d", model_below(r, 8)), ev.text = text;
        ev.amount %= 13; /* the last is no reason */
    }
    if (ev.kind == MU_EVENT_JOB_SEEN)
        ev.text = words[model_below(r, 6)];
    if (ev.kind == MU_EVENT_GROUP_STARTED) {
        int a = model_below(r, m.n_devices), b = a + model_below(r, 3), c = b + model_below(r, 3),
            d = c + model_below(r, 3);
        snprintf(text, 48, model_below(r, 2) ? "%d-%d" : "%d-%d,%d-%d", a, b, c, d);
        ev.text = model_below(r, 4) ? text : "";
    }
    return ev;
}
