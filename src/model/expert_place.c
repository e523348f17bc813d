/* expert_place.c - see expert_place.h */
#include "model/expert_place.h"

#include <math.h>

#include "base/check.h"

struct place {
    const double *load;
    int n_experts, n_ranks, room;
    int copies[MU_EXPERTS_MAX];
    int order[MU_EXPERTS_MAX]; /* experts, heaviest copy first */
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

/* Where copies [first, at) of the expert are not, or anywhere where there is room. */
static int lightest_rank(const struct place *p, const struct mu_expert_place *out, int first, int at)
{
    int best = -1;
    for (int again = 0; best < 0 && again < 2; again++)
        for (int r = 0; r < p->n_ranks; r++)
            if (p->rank_used[r] < p->room && (again || !has_copy(out, first, at, r)) &&
                (best < 0 || p->rank_load[r] < p->rank_load[best]))
                best = r;
    return best;
}

static void place_copies(struct place *p, struct mu_expert_place *out)
{
    int first[MU_EXPERTS_MAX];

    for (int x = 0, at = 0; x < p->n_experts; at += p->copies[x++]) {
        first[x] = at;
        for (int i = 0; i < p->copies[x]; i++)
            out->expert[at + i] = x;
    }
    for (int i = 0; i < p->n_experts; i++) {
        int x = p->order[i];
        for (int at = first[x]; at < first[x] + p->copies[x]; at++) {
            int r = lightest_rank(p, out, first[x], at);
            out->rank[at] = r;
            p->rank_load[r] += share(p, x);
            p->rank_used[r]++;
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
