/* expert_place.c - see expert_place.h */
#include "model/expert_place.h"

#include <math.h>

#include "base/check.h"

struct place {
    const double *load;
    int n_experts, n_ranks, room;
    int copies[MU_EXPERTS_MAX];
    int order[MU_EXPERTS_MAX]; /* experts, heaviest copy first */
    int first[MU_EXPERTS_MAX]; /* of each expert's copies */
    double rank_load[MU_EXPERT_COPIES_MAX];
    int rank_used[MU_EXPERT_COPIES_MAX];
};

static double share(const struct place *p, int expert)
{
    return p->load[expert] / p->copies[expert];
}

/* An expert with a copy on every rank needs no more. */
static void count_copies(struct place *p)
{
    for (int x = 0; x < p->n_experts; x++)
        p->copies[x] = 1;
    for (int i = p->n_experts; i < p->n_ranks * p->room; i++) {
        int most = -1;
        for (int x = 0; x < p->n_experts; x++)
            if (p->copies[x] < p->n_ranks && (most < 0 || share(p, x) > share(p, most)))
                most = x;
        p->copies[most < 0 ? i % p->n_experts : most]++;
    }
}

/* By insertion: a thousand experts at most, and equal ones stay in order. */
static void sort_experts(struct place *p)
{
    for (int x = 0; x < p->n_experts; x++) {
        int at = x;
        for (; at > 0 && share(p, p->order[at - 1]) < share(p, x); at--)
            p->order[at] = p->order[at - 1];
        p->order[at] = x;
    }
}

static bool has_copy(const struct mu_expert_place *out, int first, int end, int rank)
{
    for (int i = first; i < end; i++)
        if (out->rank[i] == rank)
            return true;
    return false;
}

/* The least loaded rank with room, of those that have none of copies [first, end), or (is_any) of all; -1: there is
 * none. */
static int lightest_rank(const struct place *p, const struct mu_expert_place *out, int first, int end, bool is_any)
{
    int best = -1;
    for (int r = 0; r < p->n_ranks; r++)
        if (p->rank_used[r] < p->room && (is_any || !has_copy(out, first, end, r)) &&
            (best < 0 || p->rank_load[r] < p->rank_load[best]))
            best = r;
    return best;
}

static void put(struct place *p, struct mu_expert_place *out, int copy, int rank, int sign)
{
    out->rank[copy] = sign > 0 ? rank : -1;
    p->rank_load[rank] += sign * share(p, out->expert[copy]);
    p->rank_used[rank] += sign;
}

/* Every rank with room has the expert already: another copy moves to such a rank and leaves its own place, the one
 * after which the fuller of both ranks is least loaded. Without any (more copies than ranks) a rank gets a second. */
static int make_room(struct place *p, struct mu_expert_place *out, int x)
{
    int to = lightest_rank(p, out, 0, 0, true), moved = -1;
    double least = 0;
    for (int i = 0; i < out->n_copies; i++) {
        int y = out->expert[i], from = out->rank[i];
        if (from < 0 || has_copy(out, p->first[x], p->first[x] + p->copies[x], from) ||
            has_copy(out, p->first[y], p->first[y] + p->copies[y], to))
            continue;
        double most = fmax(p->rank_load[to] + share(p, y), p->rank_load[from] - share(p, y) + share(p, x));
        if (moved < 0 || most < least) {
            moved = i;
            least = most;
        }
    }
    if (moved < 0)
        return to;
    int from = out->rank[moved];
    put(p, out, moved, from, -1);
    put(p, out, moved, to, 1);
    return from;
}

static void place_copies(struct place *p, struct mu_expert_place *out)
{
    for (int x = 0, at = 0; x < p->n_experts; x++) {
        p->first[x] = at;
        for (int i = 0; i < p->copies[x]; i++, at++) {
            out->expert[at] = x;
            out->rank[at] = -1;
        }
    }
    for (int i = 0; i < p->n_experts; i++) {
        int x = p->order[i], first = p->first[x];
        for (int at = first; at < first + p->copies[x]; at++) {
            int r = lightest_rank(p, out, first, at, false);
            put(p, out, at, r >= 0 ? r : make_room(p, out, x), 1);
        }
    }
}

int mu_expert_place(struct mu_expert_place *out, const double *load, int n_experts, int n_ranks, int room,
                    struct mu_err *e)
{
    struct place p = {.load = load, .n_experts = n_experts, .n_ranks = n_ranks, .room = room};

    if (n_experts < 1 || n_experts > MU_EXPERTS_MAX || n_ranks < 1 || room < 1 ||
        n_ranks > MU_EXPERT_COPIES_MAX / room || n_ranks * room < n_experts)
        return mu_fail(e, MU_EINVAL,
                       "%d experts on %d ranks with room for %d each; at least one place an expert, at "
                       "most %d places",
                       n_experts, n_ranks, room, MU_EXPERT_COPIES_MAX);
    for (int x = 0; x < n_experts; x++)
        if (!(load[x] >= 0) || !isfinite(load[x]))
            return mu_fail(e, MU_EINVAL, "the load of expert %d is %g", x, load[x]);
    out->n_copies = n_ranks * room;
    count_copies(&p);
    sort_experts(&p);
    place_copies(&p, out);
    return MU_OK;
}
