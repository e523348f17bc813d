/* campaign_order.c - tasks in an order in which each comes after those it waits for, circles, and who is urgent
 *
 * Nodes are tasks and, behind them, sets; a set comes after its tasks and before those that wait for it. So the work
 * grows with tasks, sets and their lists, not with pairs of tasks. Kahn, "Topological sorting of large networks", CACM
 * 1962. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/campaign_int.h"

#define CIRCLE_SHOWN 8 /* tasks of a circle that are named */

struct walk {
    struct mu_campaign *c;
    struct mu_campaign_faults *faults;
    int n;
    int32_t *left; /* [n] nodes before this one that are not done */
    int32_t *line; /* [n] nodes that are done or can be, in order */
    int n_line;
};

static void count_befores(struct walk *w)
{
    const struct mu_campaign *c = w->c;
    for (int i = 0; i < c->n_tasks; i++)
        w->left[i] = c->task[i].n_wait;
    for (int i = 0; i < c->n_sets; i++)
        w->left[c->n_tasks + i] = c->set[i].n;
    for (int i = 0; i < w->n; i++) {
        if (w->left[i] == 0)
            w->line[w->n_line++] = i;
    }
}

static void walk_line(struct walk *w)
{
    const struct mu_campaign *c = w->c;
    for (int at = 0; at < w->n_line; at++) {
        int i = w->line[at];
        bool is_task = i < c->n_tasks;
        const int32_t *next = is_task ? c->task[i].in : c->set[i - c->n_tasks].waiting;
        int n = is_task ? c->task[i].n_in : c->set[i - c->n_tasks].n_waiting;
        for (int k = 0; k < n; k++) {
            int32_t node = is_task ? c->n_tasks + next[k] : next[k];
            if (--w->left[node] == 0)
                w->line[w->n_line++] = node;
        }
    }
}

/* ---- circles ---- */

/* A node before this one that is left over too; every node left over has one. */
static int32_t before(const struct walk *w, int32_t i)
{
    const struct mu_campaign *c = w->c;
    bool is_task = i < c->n_tasks;
    const int32_t *list = is_task ? c->task[i].wait : c->set[i - c->n_tasks].task;
    int n = is_task ? c->task[i].n_wait : c->set[i - c->n_tasks].n;
    for (int k = 0; k < n; k++) {
        int32_t node = is_task ? c->n_tasks + list[k] : list[k];
        if (w->left[node] > 0)
            return node;
    }
    return i;
}

/* "a waits for b, b for c, c for a", beginning at the task `first`. */
static void fault_circle(struct walk *w, int32_t first)
{
    const struct mu_campaign *c = w->c;
    struct mu_buf text = MU_BUF_INIT("a circle", 4096);
    int32_t i = first, set = before(w, first);
    int n = 0, rc = MU_OK;
    do {
        int32_t next = before(w, before(w, i));
        if (n < CIRCLE_SHOWN || next == first)
            rc |= mu_buf_printf(&text, NULL, "%s%s%s for %s", n > 0 ? ", " : "", c->task[i].id, n > 0 ? "" : " waits",
                                c->task[next].id);
        else if (n == CIRCLE_SHOWN)
            rc |= mu_buf_puts(&text, ", ...", NULL);
        n++;
        i = next;
    } while (i != first && n <= c->n_tasks);
    mu_campaign_fault(c, w->faults, c->set[set - c->n_tasks].at, "%d tasks wait in a circle: %.640s", n,
                      rc == MU_OK ? mu_buf_str(&text).p : c->task[first].id);
    mu_buf_fini(&text);
}

/* From every node left over backwards, until a node that was seen: in this walk, a new circle. */
static int find_circles(struct walk *w, struct mu_err *e)
{
    int32_t *seen;
    MU_TRY_RETURN(MU_NEW_ARRAY(&seen, w->n, "a circle of tasks", e));
    for (int32_t start = 0; start < w->c->n_tasks; start++) {
        int32_t i = start;
        for (; w->left[i] > 0 && !seen[i]; i = before(w, i))
            seen[i] = start + 1;
        if (seen[i] == start + 1)
            fault_circle(w, i < w->c->n_tasks ? i : before(w, i));
    }
    mu_free(seen);
    return MU_OK;
}

/* ---- the order ---- */

static int keep_order(struct walk *w, struct mu_err *e)
{
    struct mu_campaign *c = w->c;
    int32_t *order = mu_arena_array(&c->arena, (size_t)c->n_tasks, sizeof *order, e);
    if (!order)
        return e->code;
    for (int i = 0, n = 0; i < w->n_line; i++) {
        if (w->line[i] < c->n_tasks)
            order[n++] = w->line[i];
    }
    c->order = order;
    return MU_OK;
}

/* From the last to the first: a task is as urgent as the most urgent that waits for it. left is free by now. */
static void settle_urgency(struct walk *w)
{
    struct mu_campaign *c = w->c;
    int32_t *urgency = w->left;
    for (int at = w->n_line - 1; at >= 0; at--) {
        int32_t i = w->line[at];
        bool is_task = i < c->n_tasks;
        const int32_t *next = is_task ? c->task[i].in : c->set[i - c->n_tasks].waiting;
        int n = is_task ? c->task[i].n_in : c->set[i - c->n_tasks].n_waiting;
        urgency[i] = is_task ? (int32_t)c->task[i].policy.priority : MU_PRIORITY_N;
        for (int k = 0; k < n; k++)
            urgency[i] = MU_MIN(urgency[i], urgency[is_task ? c->n_tasks + next[k] : next[k]]);
        if (is_task)
            c->task[i].urgency = (enum mu_priority)urgency[i];
    }
}

int mu_campaign_order(struct mu_campaign *c, struct mu_campaign_faults *faults, struct mu_err *e)
{
    struct walk w = {.c = c, .faults = faults, .n = c->n_tasks + c->n_sets};
    int rc;
    MU_TRY(MU_NEW_ARRAY(&w.left, w.n, "the order of tasks", e));
    MU_TRY(MU_NEW_ARRAY(&w.line, w.n, "the order of tasks", e));
    count_befores(&w);
    walk_line(&w);
    if (w.n_line < w.n) {
        rc = find_circles(&w, e);
        goto out;
    }
    MU_TRY(keep_order(&w, e));
    settle_urgency(&w);
out:
    mu_free(w.left);
    mu_free(w.line);
    return rc;
}
