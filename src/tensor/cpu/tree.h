/* tree.h - the fixed shape of a sum over tiles, walked with a small stack
 *
 * sum(0, n) = sum(0, ceil(n/2)) + sum(ceil(n/2), n). Leaves come in increasing order; after leaf i as many of the
 * topmost partial sums are added as leaf i closes subtrees:
 *
 *   n = 5:  leaf 0 | 1: merge 1 | 2: merge 1 | 3 | 4: merge 2      ((0+1)+2)+(3+4)
 *
 * so a row's whole state is one partial sum a level. */
#ifndef MU_TENSOR_CPU_TREE_H
#define MU_TENSOR_CPU_TREE_H

#include <stdint.h>

/* Merges due after leaf i of n. */
static inline int mu_tree_merges(int64_t i, int64_t n)
{
    int64_t lo = 0, hi = n;
    int merges = 0;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (i < mid) {
            hi = mid;
            merges = 0;
        } else {
            lo = mid;
            merges++;
        }
    }
    return merges;
}

/* Partial sums alive at once for n leaves, the newest leaf included. */
static inline int mu_tree_depth(int64_t n)
{
    int depth = 1;
    for (int64_t width = 1; width < n; width *= 2)
        depth++;
    return depth;
}

#endif
