/* tree_checks.h - sums over a fixed tree that ranks share, against the one tree of a single rank
 *
 * For threads and processes alike. */
#ifndef TEST_TREE_CHECKS_H
#define TEST_TREE_CHECKS_H

#include <stdlib.h>

#include "base/mem.h"
#include "comm/tree.h"
#include "ranks.h"

#ifndef RANKS_MAX
#define RANKS_MAX 9
#endif

struct sum_test {
    int32_t n; /* leaves */
    int32_t cuts[RANKS_MAX + 1], first[RANKS_MAX + 1];
    struct mu_span root[RANKS_MAX * MU_TREE_ROOTS_MAX];
    int64_t width;
    bool is_in_place;
    uint64_t seed;
};

/* Far apart in magnitude, so that another order shows. */
static inline float leaf(const struct sum_test *t, int32_t l, int64_t i)
{
    uint64_t z = t->seed + (uint64_t)l * 1000003u + (uint64_t)i * 7919u;
    float x = xt_randf(&z);
    return ldexpf(x, (int)(xt_rand(&z) % 30) - 15);
}

static inline float serial(const struct sum_test *t, int32_t lo, int32_t hi, int64_t i)
{
    if (hi - lo == 1)
        return leaf(t, lo, i);
    int32_t mid = lo + (hi - lo) / 2 + (hi - lo) % 2;
    float left = serial(t, lo, mid, i), right = serial(t, mid, hi, i);
    return left + right;
}

static inline int sum_up(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct sum_test *t = arg;
    struct mu_tree tree = {t->n, t->cuts, t->root, t->first};
    int me = mu_comm_rank(world), mine = t->first[me + 1] - t->first[me], rc = MU_OK;
    float *own = NULL, *y = NULL;
    MU_TRY(MU_NEW_ARRAY(&own, mine * t->width + 1, "roots", e));
    MU_TRY(MU_NEW_ARRAY(&y, t->width + 1, "a sum", e));
    for (int k = 0; k < mine; k++) {
        struct mu_span s = t->root[t->first[me] + k];
        for (int64_t i = 0; i < t->width; i++)
            own[k * t->width + i] = serial(t, s.begin, s.end, i);
    }
    float *out = t->is_in_place && mine > 0 ? own : y;
    out[t->width] = t->is_in_place && mine > 1 ? out[t->width] : 42;
    MU_TRY(mu_tree_all_reduce(world, &tree, out, own, t->width, e));
    for (int64_t i = 0; i < t->width; i++) {
        float want = serial(t, 0, t->n, i);
        TRUE_OR_FAIL(memcmp(&want, &out[i], sizeof want) == 0);
    }
    TRUE_OR_FAIL(out[t->width] == 42 || (t->is_in_place && mine > 1));
out:
    mu_free(own);
    mu_free(y);
    return rc;
}

static inline void set_roots(struct sum_test *t, int ranks)
{
    int n = 0;
    for (int r = 0; r < ranks; r++) {
        t->first[r] = n;
        n += mu_tree_roots(t->n, t->cuts[r], t->cuts[r + 1], t->root + n);
    }
    t->first[ranks] = n;
}

static inline int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* kind 0: as mu_tree_cut() says; 1: anywhere, empty runs too; 2: everything on one rank. */
static inline void set_cuts(struct sum_test *t, int ranks, int kind)
{
    mu_tree_cut(t->n, ranks, t->cuts);
    for (int r = 1; r < ranks && kind > 0; r++) {
        uint64_t z = t->seed * 31 + (uint64_t)r;
        t->cuts[r] = kind == 2 ? (r <= ranks / 2 ? 0 : t->n) : (int32_t)(xt_rand(&z) % (uint64_t)(t->n + 1));
    }
    qsort(t->cuts, (size_t)ranks + 1, sizeof *t->cuts, by_value);
    set_roots(t, ranks);
}

#endif
