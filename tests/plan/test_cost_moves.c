/* test_cost_moves.c - the bytes that the time model thinks ranks exchange, against those that comm counts
 *
 * Links without latency that carry a byte a second: the model's seconds are the bytes of the busiest rank. The same
 * collectives run over threads, and what a rank sends and gets is counted by comm itself. */
#include "xt.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/fake/fake.h"
#include "plan/cost.h"

#define HIDDEN  64
#define HEADS   16
#define WIDTH   16
#define FFN     512
#define TOP_K   2
#define EXPERTS 48 /* any number of ranks below divides it */
#define RANKS   12

static const struct mu_cost_engine ours = {.name = "ours",
                                           .product = 1,
                                           .memory = 1,
                                           .kv = 1,
                                           .attention = 1,
                                           .overlap = 1,
                                           .link = 1,
                                           .act_bytes = 4,
                                           .is_own_comm = true};

static struct mu_layer_spec layer(bool has_experts)
{
    struct mu_layer_spec l = {.n_heads = HEADS, .n_kv_heads = HEADS, .dk = WIDTH, .dv = WIDTH, .mlp = MU_MLP_GATED};
    l.ffn = has_experts ? 0 : FFN;
    l.mlp = has_experts ? MU_MLP_MOE : MU_MLP_GATED;
    l.moe = (struct mu_moe_spec){.n_experts = EXPERTS, .top_k = TOP_K, .ffn = 4};
    return l;
}

struct sum {
    int32_t cuts[RANKS + 1], first[RANKS + 1];
    struct mu_span root[RANKS * MU_TREE_ROOTS_MAX];
    struct mu_tree tree;
};

static void cut(struct sum *s, int32_t tiles, int ranks)
{
    mu_tree_cut(tiles, ranks, s->cuts);
    for (int r = 0; r < ranks; r++)
        s->first[r + 1] = s->first[r] + mu_tree_roots(tiles, s->cuts[r], s->cuts[r + 1], s->root + s->first[r]);
    s->tree = (struct mu_tree){.n = tiles, .cuts = s->cuts, .root = s->root, .first = s->first};
}

struct step {
    int ranks;
    int64_t rows;
    bool has_experts;
    struct sum o, down;
    bool has_nodes;
    size_t moved[RANKS];
};

static int gather_outputs(const struct step *t, struct mu_comm *c, float *all, struct mu_err *e)
{
    size_t bytes[RANKS];
    for (int r = 0; r < t->ranks; r++)
        bytes[r] = (size_t)(t->rows * TOP_K * HIDDEN) * sizeof(float) / (size_t)t->ranks;
    return mu_comm_all_gather(c, all, bytes, e);
}

/* The embedding, the sum of attention, and that of the MLP or the outputs of experts. */
static int run_rank(void *arg, struct mu_comm *c, struct mu_err *e)
{
    struct step *t = arg;
    struct mu_comm_counts n;
    int64_t elements = t->rows * HIDDEN;
    float *y = NULL, *own = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&y, elements * TOP_K, "rows", e));
    MU_TRY(MU_NEW_ARRAY(&own, elements * MU_TREE_ROOTS_MAX, "roots", e));
    MU_TRY(mu_comm_all_reduce(c, y, elements, MU_REDUCE_OR_U32, e));
    MU_TRY(mu_tree_all_reduce(c, &t->o.tree, y, own, elements, e));
    if (t->has_experts)
        MU_TRY(gather_outputs(t, c, y, e));
    else
        MU_TRY(mu_tree_all_reduce(c, &t->down.tree, y, own, elements, e));
    mu_comm_counts(c, &n);
    /* The way to a node's first rank, between these, and back are one after the other. */
    t->moved[mu_comm_rank(c)] =
        t->has_nodes ? n.bytes_sent + n.bytes_received - n.bytes_off_node : MU_MAX(n.bytes_sent, n.bytes_received);
out:
    mu_free(own);
    mu_free(y);
    return rc;
}

static double moved(struct step *t, int ranks_per_node)
{
    struct mu_fake_opts_comm o = {.ranks_per_node = ranks_per_node};
    struct mu_layer_spec l = layer(t->has_experts);
    struct mu_err err = MU_ERR_INIT;
    struct mu_fake_world *w;
    size_t most = 0;
    cut(&t->o, mu_shard_tiles(HEADS * WIDTH, mu_shard_o_tile(&l)), t->ranks);
    cut(&t->down, mu_shard_tiles(FFN, mu_shard_down_tile(FFN)), t->ranks);
    XT_OK(mu_fake_world_open(&w, t->ranks, &o, &err));
    XT_OK(mu_fake_world_run(w, run_rank, t, NULL, NULL));
    mu_fake_world_close(w);
    for (int r = 0; r < t->ranks; r++)
        most = MU_MAX(most, t->moved[r]);
    return (double)most;
}

static double predicted(const struct step *t, int ranks_per_node)
{
    struct mu_layer_spec l = layer(t->has_experts);
    struct mu_spec s = MU_SPEC_INIT;
    struct mu_link_spec link = {.rate = 1};
    struct mu_machine m = {
        .nodes = t->ranks / ranks_per_node, .devices = ranks_per_node, .inside = link, .between = link};
    struct mu_layout at = {.tp = t->ranks, .pp = 1, .dp = 1, .ep = 1};
    struct mu_workload w = {.batch = 1, .prompt = 1, .weights = MU_WBF16, .kv_dtype = MU_BF16, .engine = &ours};
    struct mu_cost_rows r = {.rows = (double)t->rows, .sequences = (double)t->rows};
    struct mu_err err = MU_ERR_INIT;
    struct mu_cost_step step;
    s.n_layers = 1, s.hidden = HIDDEN, s.vocab = 96, s.layers = &l;
    m.device = (struct mu_device_spec){.memory_rate = 1e15, .flops = {1e18, 1e18}};
    XT_OK(mu_cost_step_of(&step, &s, &at, &m, &w, &r, &err));
    return step.comm;
}

static void compare(int ranks, int ranks_per_node, int64_t rows, bool has_experts, double near)
{
    struct step t = {.ranks = ranks, .rows = rows, .has_experts = has_experts};
    t.has_nodes = ranks_per_node > 1 && ranks_per_node < ranks;
    double model = predicted(&t, ranks_per_node), real = moved(&t, ranks_per_node);
    XT_CHECKF(fabs(model / real - 1) <= near, "%d ranks, %d a node, %d rows%s: %.0f bytes by the model, %.0f moved",
              ranks, ranks_per_node, (int)rows, has_experts ? " to experts" : "", model, real);
}

/* Cuts at the tree's halves: to the byte but for slices that are rounded to cache lines. */
XT_TEST(single_subtrees_move_what_the_model_says)
{
    static const int64_t rows[] = {4, 1024};
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        for (int ranks = 2; ranks <= 8; ranks *= 2) {
            compare(ranks, ranks, rows[i], false, 0.001);
            compare(ranks, ranks, rows[i], true, 0.001);
            compare(ranks, 1, rows[i], false, 0.001);
        }
    }
}

/* The busiest rank of one exchange need not be that of the next, and one with several roots gets fewer. */
XT_TEST(several_roots_move_about_what_the_model_says)
{
    static const int ranks[] = {3, 6, 12};
    for (size_t i = 0; i < MU_COUNT(ranks); i++) {
        compare(ranks[i], ranks[i], 4, false, 0.15);
        compare(ranks[i], ranks[i], 1024, false, 0.15);
    }
}

/* The first rank of a node is the busiest one. What it gets while it hands out is counted here, not in the model. */
XT_TEST(nodes_move_about_what_the_model_says)
{
    compare(4, 2, 4, false, 0.2);
    compare(4, 2, 1024, false, 0.2);
    compare(8, 4, 4, false, 0.2);
    compare(8, 4, 1024, false, 0.2);
    compare(8, 4, 1024, true, 0.2);
}

XT_MAIN()
