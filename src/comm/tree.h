/* tree.h - the fixed shape of a sum that ranks share (docs/ARCHITECTURE.md, "Same bits")
 *
 * A sum over n leaves is a binary tree: sum(0, n) = sum(0, ceil(n/2)) + sum(ceil(n/2), n), the same as the tiles of a
 * product (tensor/matrix.h). A rank owns a run of leaves. The run is covered by the largest complete subtrees inside
 * it, its roots, in increasing order; where cuts fall at the tree's own halves that is one root, else a few. Ranks
 * exchange roots and everybody finishes the one tree that a single rank would have computed: the same bits for every
 * number of ranks and every cut. Leaves are tiles of a product: a leaf run may be empty.
 *
 * Pure but for mu_tree_all_reduce(). */
#ifndef MU_COMM_TREE_H
#define MU_COMM_TREE_H

#include "comm/comm.h"

#define MU_TREE_ROOTS_MAX 64 /* of one run: at most two a level, and leaves are below 2^31 */

struct mu_span {
    int32_t begin, end; /* leaves */
};

/* Where the halves of [lo, hi) meet; the left one is the larger. */
static inline int32_t mu_tree_middle(int32_t lo, int32_t hi)
{
    return hi - (hi - lo) / 2;
}

/* The roots of [begin, end) in a tree of n leaves, in order; how many (0 for an empty run). */
int mu_tree_roots(int32_t n, int32_t begin, int32_t end, struct mu_span roots[MU_TREE_ROOTS_MAX]);

/* How n leaves are cut among ranks: rank r owns [cuts[r], cuts[r + 1]). Cuts lie as near to equal shares as the tree
 * allows cheaply: of the places less than a quarter of a share away, the one highest in the tree; where there is none
 * (shares below two leaves), the nearest, the higher of two. cuts[size + 1]. */
void mu_tree_cut(int32_t n, int size, int32_t *cuts);

/* The shape of one sum over a group. */
struct mu_tree {
    int32_t n;                  /* leaves */
    const int32_t *cuts;        /* [size + 1], borrowed */
    const struct mu_span *root; /* of all ranks, in order, borrowed */
    const int32_t *first;       /* [size + 1] where each rank's roots begin in root, borrowed */
};

/* y[n] = the tree's sum on every rank of c. own: this rank's roots, [its number][n] f32 side by side in order (may be
 * changed). y may be own when the rank has at least one root. Scratch is the group's. */
int mu_tree_all_reduce(struct mu_comm *c, const struct mu_tree *t, float *y, float *own, int64_t n, struct mu_err *e);

#endif
