/* test_tree.c - the fixed tree: its roots and cuts against a list of all its nodes, its sums against one rank's */
#include "comm/tree.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tree_checks.h"

#define LEAVES_MAX 300

/* ---- every node of a tree, as the definition makes them ---- */

struct node {
    int32_t begin, end, depth, parent;
};

static struct node nodes[2 * LEAVES_MAX];
static int n_nodes;

static void list_nodes(int32_t lo, int32_t hi, int depth, int parent)
{
    int me = n_nodes++;
    nodes[me] = (struct node){lo, hi, depth, parent};
    if (hi - lo < 2)
        return;
    int32_t mid = lo + (hi - lo) / 2 + (hi - lo) % 2; /* the left one is the larger */
    list_nodes(lo, mid, depth + 1, me);
    list_nodes(mid, hi, depth + 1, me);
}

static bool is_inside(int node, int32_t begin, int32_t end)
{
    return node >= 0 && nodes[node].begin >= begin && nodes[node].end <= end;
}

/* A root is a node inside the run whose parent is not. */
static void check_roots(int32_t n, int32_t begin, int32_t end)
{
    struct mu_span roots[MU_TREE_ROOTS_MAX];
    int got = mu_tree_roots(n, begin, end, roots), want = 0;
    for (int i = 0; i < n_nodes; i++) { /* listed from left to right where they do not hold each other */
        if (!is_inside(i, begin, end) || is_inside(nodes[i].parent, begin, end))
            continue;
        XT_CHECK(want < got);
        XT_EQ(roots[want].begin, nodes[i].begin);
        XT_EQ(roots[want].end, nodes[i].end);
        want++;
    }
    XT_EQ(got, want);
}

XT_TEST(roots_are_the_largest_nodes_inside)
{
    for (int32_t n = 1; n <= 40; n++) {
        n_nodes = 0;
        list_nodes(0, n, 0, -1);
        for (int32_t begin = 0; begin <= n; begin++)
            for (int32_t end = begin; end <= n; end++)
                if (begin < end)
                    check_roots(n, begin, end);
                else
                    XT_EQ(mu_tree_roots(n, begin, end, (struct mu_span[MU_TREE_ROOTS_MAX]){{0, 0}}), 0);
    }
}

XT_TEST(roots_of_a_large_tree_are_few)
{
    struct mu_span roots[MU_TREE_ROOTS_MAX];
    int32_t n = INT32_MAX;
    int got = mu_tree_roots(n, 1, n - 1, roots);
    XT_CHECK(got > 30 && got <= MU_TREE_ROOTS_MAX);
    XT_EQ(roots[0].begin, 1);
    XT_EQ(roots[got - 1].end, n - 1);
    XT_EQ(mu_tree_roots(n, 0, n, roots), 1);
}

/* How deep the node is whose two halves meet at place p. */
static int depth_of(int32_t p)
{
    for (int i = 0; i < n_nodes; i++)
        if (nodes[i].begin < p && p < nodes[i].end && nodes[i].begin + (nodes[i].end - nodes[i].begin + 1) / 2 == p)
            return nodes[i].depth;
    return 1000;
}

static int32_t best_cut(int32_t n, int size, int r)
{
    double ideal = (double)r * n / size, share = (double)n / size;
    int32_t best = -1;
    for (int32_t p = 1; p < n; p++)
        if (fabs(p - ideal) < share / 4 - 1e-9 && (best < 0 || depth_of(p) < depth_of(best)))
            best = p;
    return best >= 0 ? best : (int32_t)floor(ideal + 0.5 + 1e-9);
}

XT_TEST(cuts_are_the_highest_places_near_equal_shares)
{
    for (int32_t n = 1; n <= 130; n += n < 40 ? 1 : 9) {
        n_nodes = 0;
        list_nodes(0, n, 0, -1);
        for (int size = 1; size <= 17; size++) {
            int32_t cuts[18];
            mu_tree_cut(n, size, cuts);
            XT_EQ(cuts[0], 0);
            XT_EQ(cuts[size], n);
            for (int r = 1; r < size; r++) {
                XT_CHECK(cuts[r] >= cuts[r - 1] && cuts[r] <= cuts[r + 1]);
                XT_CHECKF(cuts[r] == best_cut(n, size, r), "%d leaves, %d ranks: cut %d is %d, not %d", n, size, r,
                          cuts[r], best_cut(n, size, r));
            }
        }
    }
}

XT_TEST(powers_of_two_have_one_root_a_rank)
{
    struct mu_span roots[MU_TREE_ROOTS_MAX];
    int32_t cuts[9];
    for (int32_t n = 8; n < 2000; n = n * 3 / 2 + 1)
        for (int size = 1; size <= 8 && size * 4 < n; size *= 2) { /* a leaf is less than a quarter of a share */
            mu_tree_cut(n, size, cuts);
            for (int r = 0; r < size; r++)
                XT_EQ(mu_tree_roots(n, cuts[r], cuts[r + 1], roots), 1);
        }
}

/* ---- sums ---- */

#define KINDS 3

/* One world for all of them: opening one costs more than a sum. */
static int sum_up_kinds(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct sum_test *t = arg;
    for (int kind = 0; kind < KINDS; kind++)
        MU_TRY_RETURN(sum_up(&t[kind], world, e));
    return MU_OK;
}

static void run_sums(int32_t n, int64_t width, const struct mu_fake_opts_comm *o, int ranks_step)
{
    static struct sum_test t[KINDS];
    for (int ranks = 1; ranks <= RANKS_MAX; ranks += ranks_step) {
        for (int kind = 0; kind < KINDS; kind++) {
            t[kind] = (struct sum_test){.n = n, .width = width, .is_in_place = (n + ranks + kind) % 2};
            t[kind].seed = (uint64_t)(n * 1000 + ranks * 10 + kind);
            set_cuts(&t[kind], ranks, kind);
        }
        run_ranks(ranks, o, sum_up_kinds, t);
    }
}

XT_TEST(any_cut_gives_the_bits_of_one_rank)
{
    for (int32_t n = 1; n <= 24; n += XT_STRIDE)
        run_sums(n, 1 + n % 5, NULL, 1);
    run_sums(97, 33, NULL, 1);
    run_sums(224, 7, NULL, 1);
}

XT_TEST(long_sums_go_in_slices_and_pieces)
{
    struct mu_fake_opts_comm small = {.comm.work_bytes = 1};
    run_sums(7, 5001, NULL, 1 + XT_TSAN);
    run_sums(24, 3000, &small, 1 + XT_TSAN);
    run_sums(13, 777, &small, 1 + XT_TSAN);
}

XT_TEST(sums_over_nodes_have_the_same_bits)
{
    for (int per_node = 1; per_node <= 4; per_node++) {
        struct mu_fake_opts_comm o = {.ranks_per_node = per_node};
        run_sums(11, 10, &o, 1 + XT_TSAN);
        run_sums(11, 2500, &o, 1 + XT_TSAN);
        o.comm.work_bytes = 16384;
        run_sums(19, 900, &o, 1 + XT_TSAN);
    }
}

struct traffic {
    int64_t n;
    uint64_t sent[2];
};

static int exchange(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct traffic *t = arg;
    struct mu_comm_counts c;
    float *p = NULL;
    MU_TRY_RETURN(MU_NEW_ARRAY(&p, t->n, "a sum", e));
    int rc = mu_comm_all_reduce(world, p, t->n, MU_REDUCE_SUM_F32, e);
    mu_comm_counts(world, &c);
    t->sent[mu_comm_rank(world)] = c.bytes_sent;
    mu_free(p);
    return rc;
}

XT_TEST(two_ranks_send_no_more_than_a_plain_exchange)
{
    for (int64_t n = 1; n < 3000000; n = n * 7 + 1) {
        struct traffic t = {.n = n};
        run_ranks(2, NULL, exchange, &t);
        XT_CHECK(t.sent[0] + t.sent[1] <= 2 * (uint64_t)n * sizeof(float));
    }
}

static int not_a_tree(void *arg, struct mu_comm *world, struct mu_err *e)
{
    static const struct mu_span hole[2] = {{0, 2}, {3, 4}}, askew[3] = {{0, 1}, {1, 3}, {3, 4}};
    static const int32_t cuts[3] = {0, 2, 4}, first[3] = {0, 1, 2}, first3[3] = {0, 1, 3};
    float own[2] = {0}, y[1];
    (void)arg;
    SAME(mu_tree_all_reduce(world, &(struct mu_tree){4, cuts, hole, first}, y, own, 1, e), MU_EINVAL);
    SAME(mu_tree_all_reduce(world, &(struct mu_tree){4, cuts, askew, first3}, y, own, 1, e), MU_EINVAL);
    return MU_OK;
}

XT_TEST(roots_that_make_no_tree_are_refused)
{
    run_ranks(2, NULL, not_a_tree, NULL);
}

XT_MAIN()
