/* queue_line.c - lines of ready tasks, and whose turn it is
 *
 * A line is a leftist heap (Crane 1972; Knuth, volume 3, 5.2.3) linked through the slots: no room of its own, O(log n)
 * for each call, also for taking one out of the middle. */
#include <math.h>

#include "base/check.h"
#include "sched/queue_int.h"

static bool is_before(struct mu_queue *q, int a, int b)
{
    const struct slot *x = &q->slots[a], *y = &q->slots[b];
    q->visits++;
    return x->ready_s < y->ready_s || (x->ready_s == y->ready_s && x->seq < y->seq);
}

static int rank_of(const struct mu_queue *q, int id)
{
    return id < 0 ? 0 : q->slots[id].rank;
}

/* The longer side stands left. */
static void lean(struct mu_queue *q, int id)
{
    struct slot *s = &q->slots[id];
    if (rank_of(q, s->left) < rank_of(q, s->right)) {
        int side = s->left;
        s->left = s->right;
        s->right = side;
    }
    s->rank = rank_of(q, s->right) + 1;
}

/* One heap of two: down the right sides, which are short, then back up. */
static int merge(struct mu_queue *q, int a, int b)
{
    int top = -1, at = -1;
    while (a >= 0 && b >= 0) {
        int first = is_before(q, a, b) ? a : b, other = first == a ? b : a;
        q->slots[first].parent = at;
        if (at >= 0)
            q->slots[at].right = first;
        else
            top = first;
        at = first;
        a = q->slots[first].right;
        b = other;
    }
    int rest = a >= 0 ? a : b;
    if (at < 0)
        return rest;
    q->slots[at].right = rest;
    if (rest >= 0)
        q->slots[rest].parent = at;
    for (; at >= 0; at = q->slots[at].parent)
        lean(q, at);
    return top;
}

static void activate(struct mu_queue *q, int line)
{
    q->lines[line].at = q->n_active;
    q->active[q->n_active++] = line;
}

static void deactivate(struct mu_queue *q, int line)
{
    int last = q->active[--q->n_active];
    q->active[q->lines[line].at] = last;
    q->lines[last].at = q->lines[line].at;
}

void line_put(struct mu_queue *q, int id)
{
    struct slot *s = &q->slots[id];
    int p = q->now_s >= s->rise_s ? MU_PRIORITY_CRITICAL : s->priority;
    s->line = s->campaign * MU_PRIORITY_N + p;
    s->left = s->right = s->parent = -1;
    s->rank = 1;
    struct line *l = &q->lines[s->line];
    if (l->root < 0)
        activate(q, s->line);
    l->root = merge(q, l->root, id);
    q->slots[l->root].parent = -1;
}

/* Ranks above a place that changed, as far up as they change: at most log n, for a rank that stays stops it. */
static void lean_up(struct mu_queue *q, int id)
{
    while (id >= 0) {
        int before = q->slots[id].rank;
        lean(q, id);
        q->visits++;
        if (q->slots[id].rank == before)
            break;
        id = q->slots[id].parent;
    }
}

void line_remove(struct mu_queue *q, int id)
{
    struct slot *s = &q->slots[id];
    struct line *l = &q->lines[s->line];
    int parent = s->parent, rest = merge(q, s->left, s->right);
    if (rest >= 0)
        q->slots[rest].parent = parent;
    if (parent < 0)
        l->root = rest;
    else if (q->slots[parent].left == id)
        q->slots[parent].left = rest;
    else
        q->slots[parent].right = rest;
    lean_up(q, parent);
    if (l->root < 0)
        deactivate(q, s->line);
}

/* ---- whose turn ---- */

struct turn {
    int line, level;
    double pass, since_s;
};

static struct turn turn_of(const struct mu_queue *q, int line)
{
    const struct line *l = &q->lines[line];
    const struct campaign *c = &q->campaigns[line / MU_PRIORITY_N];
    struct turn t = {.line = line, .level = line % MU_PRIORITY_N};
    t.since_s = MU_MAX(q->slots[l->root].ready_s, l->served_s);
    double risen = floor((q->now_s - t.since_s) / q->limits.age_s);
    t.level = risen >= t.level ? 0 : risen > 0 ? t.level - (int)risen : t.level;
    t.pass = MU_MAX(c->pass, q->least_pass) + c->held;
    return t;
}

static bool goes_first(const struct turn *a, const struct turn *b)
{
    if (a->level != b->level)
        return a->level < b->level;
    if (a->pass != b->pass)
        return a->pass < b->pass;
    return a->since_s < b->since_s || (a->since_s == b->since_s && a->line < b->line);
}

int line_next(struct mu_queue *q, enum mu_priority *level)
{
    struct turn best = {.line = -1};
    for (int i = 0; i < q->n_active; i++) {
        q->visits++;
        if (q->campaigns[q->active[i] / MU_PRIORITY_N].is_paused)
            continue;
        struct turn t = turn_of(q, q->active[i]);
        if (best.line < 0 || goes_first(&t, &best))
            best = t;
    }
    if (best.line < 0)
        return -1;
    if (q->n_held == 0)
        q->least_pass = best.pass;
    *level = (enum mu_priority)best.level;
    return q->lines[best.line].root;
}
