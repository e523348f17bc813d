/* queue_after.c - tasks that wait for others */
#include "sched/queue_int.h"

/* One that ended badly before this was added counts as one that ends badly now. */
static bool ended_badly(const struct slot *s)
{
    return s->state == MU_QUEUE_FAILED || s->state == MU_QUEUE_SKIPPED || s->state == MU_QUEUE_CANCELLED;
}

static int check(const struct mu_queue *q, const int *before, int n, int *n_edges, struct mu_err *e)
{
    *n_edges = 0;
    for (int i = 0; i < n; i++) {
        if (mu_queue_state(q, before[i]) == MU_QUEUE_FREE)
            return mu_fail(e, MU_EINVAL, "a task is to run after task %d, which is not in the queue: add that first",
                           before[i]);
        *n_edges += !queue_has_ended(q, before[i]);
    }
    return MU_OK;
}

static int edges_left(const struct mu_queue *q, int wanted)
{
    int n = 0;
    for (int at = q->free_edges; at >= 0 && n < wanted; at = q->edges[at].next)
        n++;
    return n;
}

int after_add(struct mu_queue *q, int id, const int *before, int n, struct mu_err *e)
{
    struct slot *s = &q->slots[id];
    int wanted;
    int rc = check(q, before, n, &wanted, e);
    if (rc != MU_OK)
        return rc;
    if (edges_left(q, wanted) < wanted)
        return mu_fail(e, MU_ELIMIT, "the queue holds at most %d dependencies: let some tasks end first",
                       q->limits.edges);
    for (int i = 0; i < n; i++) {
        struct slot *b = &q->slots[before[i]];
        s->is_hit = s->is_hit || ended_badly(b);
        if (queue_has_ended(q, before[i]))
            continue;
        int edge = q->free_edges;
        q->free_edges = q->edges[edge].next;
        q->edges[edge] = (struct edge){.task = id, .next = b->edges};
        b->edges = edge;
        s->pending++;
    }
    return MU_OK;
}

static void push_ended(struct mu_queue *q, int id)
{
    q->slots[id].next = -1;
    q->slots[id].is_listed = true;
    if (q->ended_last >= 0)
        q->slots[q->ended_last].next = id;
    else
        q->ended_first = id;
    q->ended_last = id;
}

/* It goes on, or ends too and is listed. */
void after_release(struct mu_queue *q, int id)
{
    struct slot *s = &q->slots[id];
    if (!s->is_hit || s->if_failed == MU_AFTER_ANYWAY) {
        queue_make_ready(q, id);
        return;
    }
    queue_set_state(q, id, s->if_failed == MU_AFTER_FAIL ? MU_QUEUE_FAILED : MU_QUEUE_SKIPPED);
    push_ended(q, id);
}

/* Tasks released by one task that has ended. */
static void release_after(struct mu_queue *q, int id)
{
    bool is_bad = ended_badly(&q->slots[id]);
    for (int at = q->slots[id].edges, next; at >= 0; at = next) {
        struct slot *s = &q->slots[q->edges[at].task];
        next = q->edges[at].next;
        q->edges[at].next = q->free_edges;
        q->free_edges = at;
        q->visits++;
        s->is_hit = s->is_hit || is_bad;
        if (--s->pending == 0 && s->state == MU_QUEUE_BLOCKED)
            after_release(q, (int)(s - q->slots));
    }
    q->slots[id].edges = -1;
}

/* The list of ended tasks is also the list of those whose own followers are to be released: no recursion. */
void after_end(struct mu_queue *q, int id)
{
    int last = q->ended_last;
    release_after(q, id);
    for (int at = last >= 0 ? q->slots[last].next : q->ended_first; at >= 0; at = q->slots[at].next)
        release_after(q, at);
}
