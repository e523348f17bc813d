/* timers.c - see timers.h */
#include "sched/timers.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"

int mu_timers_init(struct mu_timers *t, int n_max, struct mu_err *e)
{
    int rc;
    *t = (struct mu_timers){.n_max = n_max};
    MU_TRY(MU_NEW_ARRAY(&t->heap, n_max, "timers", e));
    MU_TRY(MU_NEW_ARRAY(&t->pos, n_max, "timers", e));
    MU_TRY(MU_NEW_ARRAY(&t->at, n_max, "timers", e));
    for (int i = 0; i < n_max; i++)
        t->pos[i] = -1;
out:
    if (rc != MU_OK)
        mu_timers_fini(t);
    return rc;
}

void mu_timers_fini(struct mu_timers *t)
{
    mu_free(t->heap);
    mu_free(t->pos);
    mu_free(t->at);
    *t = (struct mu_timers){0};
}

static bool is_before(struct mu_timers *t, int a, int b)
{
    t->visits++;
    return t->at[a] < t->at[b] || (t->at[a] == t->at[b] && a < b);
}

static void seat(struct mu_timers *t, int id, int at)
{
    t->heap[at] = id;
    t->pos[id] = at;
}

static void sift_up(struct mu_timers *t, int id)
{
    int at = t->pos[id];
    while (at > 0 && is_before(t, id, t->heap[(at - 1) / 2])) {
        seat(t, t->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    seat(t, id, at);
}

static void sift_down(struct mu_timers *t, int id)
{
    int at = t->pos[id];
    for (;;) {
        int child = 2 * at + 1;
        if (child + 1 < t->n && is_before(t, t->heap[child + 1], t->heap[child]))
            child++;
        if (child >= t->n || !is_before(t, t->heap[child], id))
            break;
        seat(t, t->heap[child], at);
        at = child;
    }
    seat(t, id, at);
}

void mu_timers_set(struct mu_timers *t, int id, double at)
{
    if (!(at < INFINITY)) {
        mu_timers_drop(t, id);
        return;
    }
    t->at[id] = at;
    if (t->pos[id] < 0)
        seat(t, id, t->n++);
    sift_up(t, id);
    sift_down(t, id);
}

void mu_timers_drop(struct mu_timers *t, int id)
{
    int at = t->pos[id];
    if (at < 0)
        return;
    int last = t->heap[--t->n];
    t->pos[id] = -1;
    if (last != id) {
        seat(t, last, at);
        sift_up(t, last);
        sift_down(t, last);
    }
}
