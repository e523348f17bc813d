/* tree.c - which subtrees a run of leaves is made of, and where runs are best cut (tree.h) */
#include "comm/tree.h"

struct walk {
    int32_t begin, end;
    struct mu_span *roots;
    int n;
};

static void find_roots(struct walk *w, int32_t lo, int32_t hi)
{
    if (hi <= w->begin || lo >= w->end)
        return;
    if (lo >= w->begin && hi <= w->end) {
        w->roots[w->n++] = (struct mu_span){lo, hi};
        return;
    }
    find_roots(w, lo, mu_tree_middle(lo, hi));
    find_roots(w, mu_tree_middle(lo, hi), hi);
}

int mu_tree_roots(int32_t n, int32_t begin, int32_t end, struct mu_span roots[MU_TREE_ROOTS_MAX])
{
    struct walk w = {.begin = begin, .end = end, .roots = roots};
    if (begin < end && begin >= 0 && end <= n)
        find_roots(&w, 0, n);
    return w.n;
}

/* The cut before rank r. A window that a node's middle does not lie in is on one side of it, so going down from the top
 * the first middle inside the window is the highest place there is. */
static int32_t cut(int32_t n, int size, int r)
{
    int64_t ideal = (int64_t)r * n; /* in leaves times size */
    int32_t lo = 0, hi = n;
    while (hi - lo > 1) {
        int32_t mid = mu_tree_middle(lo, hi);
        int64_t off = (int64_t)mid * size - ideal;
        if (4 * (off < 0 ? -off : off) < n)
            return mid;
        if (off < 0)
            lo = mid;
        else
            hi = mid;
    }
    return (int32_t)((2 * ideal + size) / (2 * (int64_t)size));
}

void mu_tree_cut(int32_t n, int size, int32_t *cuts)
{
    cuts[0] = 0;
    for (int r = 1; r < size; r++)
        cuts[r] = cut(n, size, r);
    cuts[size] = n;
}
