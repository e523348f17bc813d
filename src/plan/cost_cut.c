/* cost_cut.c - how tensor ranks share the inputs of a sum: who has most, and what they exchange
 *
 * Ours cut between tiles, at the halves of the sum's tree where these are near (model/shard.h): runs are uneven, and a
 * run that is not one subtree leaves several roots to exchange. Other programs cut evenly. Ranks of a node are
 * neighbours; where a group spans nodes, the first rank of each exchanges the roots of all its node's runs. */
#include "plan/cost_int.h"

#include "base/check.h"

static int n_roots(int32_t leaves, int32_t begin, int32_t end)
{
    struct mu_span roots[MU_TREE_ROOTS_MAX];
    return mu_tree_roots(leaves, begin, end, roots);
}

static void count(struct cost_roots *c, int n)
{
    c->least = c->all == 0 ? n : MU_MIN(c->least, n);
    c->most = MU_MAX(c->most, n);
    c->all += n;
}

static void count_roots(struct cost_cut *c, const struct cost_at *at, int32_t leaves, const int32_t *cuts)
{
    int inside = cost_nodes_of(at, at->tp).inside;
    for (int r = 0; r < at->tp; r += inside) {
        int end = MU_MIN(r + inside, at->tp), brought = 0;
        for (int i = r; i < end; i++) {
            int n = n_roots(leaves, cuts[i], cuts[i + 1]);
            brought += i > r ? n : 0;
            count(&c->rank, n);
        }
        c->brought = MU_MAX(c->brought, brought);
        count(&c->node, n_roots(leaves, cuts[r], cuts[end]));
    }
}

struct cost_cut cost_cut_of(const struct cost_at *at, int64_t n, int64_t width, int64_t tile)
{
    struct cost_cut c = {.widest = cost_share((double)n, at->tp)};
    int32_t cuts[MU_COMM_RANKS_MAX + 1], widest = 0;

    if (at->tp == 1 || !at->g->is_own_comm)
        return c;
    int32_t tiles = mu_shard_tiles(n * width, tile);
    mu_tree_cut(tiles, at->tp, cuts);
    for (int r = 0; r < at->tp; r++)
        widest = MU_MAX(widest, cuts[r + 1] - cuts[r]);
    c.widest = (double)MU_MIN(widest * tile, n * width) / (double)width;
    count_roots(&c, at, tiles, cuts);
    return c;
}

struct cost_cut cost_cut_by_rank(const struct cost_at *at)
{
    struct cost_cut c = {.widest = 1};
    int32_t cuts[MU_COMM_RANKS_MAX + 1];

    if (at->tp == 1 || !at->g->is_own_comm)
        return c;
    for (int r = 0; r <= at->tp; r++)
        cuts[r] = r;
    count_roots(&c, at, at->tp, cuts);
    return c;
}
