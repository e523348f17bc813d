/* shard.h - which part of a model one rank holds, and how ranks meet inside a step
 *
 * A stage holds a run of layers. Inside a stage, `tp_size` ranks of one lane share every layer of their rows: they own
 * runs of query heads (with the KV heads these read, replicated where two runs need one), runs of MLP inputs, and runs
 * of the vocabulary; sums over what they share out are finished by the fixed tree of comm/tree.h. Neighbouring ones may
 * form context groups: each rank of a group still owns its query heads, but the KV heads that the group reads are
 * cached once in it, every rank holding the pages of its own strands of keys (tensor/ops.h). Lanes hold different
 * sequences: every rank of a stage owns whole experts, and rows travel to them (data-parallel attention with expert
 * parallelism). Norms, routers and the latent down projections are on every rank.
 *
 * Runs are cut where sums allow: MU_SLOT_O and the MLP's down projection are cut between tiles, heads and MLP inputs
 * follow these tiles. A rank's run may be empty; it enters every collective all the same.
 *
 * Plain data and pure functions; the groups are NULL while only sizes are asked. */
#ifndef MU_MODEL_SHARD_H
#define MU_MODEL_SHARD_H

#include "comm/tree.h"
#include "model/spec.h"

struct mu_shard {
    int tp_rank, tp_size;
    int cp_size; /* tensor ranks in a row that share one cache, which divides tp_size; 0 or 1: each has its own */
    int lane, n_lanes;
    int layer_begin, layer_end; /* the stage */
    bool has_embed, has_head;   /* first stage, last stage; tied weights are on both */

    struct mu_comm *tp;      /* the lane's ranks of the stage; NULL when tp_size is 1 */
    struct mu_comm *context; /* those that share this rank's cache; NULL when cp_size is 0 or 1 */
    struct mu_comm *experts; /* all ranks of the stage, rank lane * tp_size + tp_rank; NULL when alone */
    struct mu_comm *node;    /* ranks that read the checkpoint together; NULL: alone */

    /* The same over many nodes (mu_model_load_over_nodes); NULL: each node reads by itself. */
    struct mu_comm *together; /* all ranks of these nodes */
    struct mu_comm *column;   /* of them one reader of each node, in nodes' order; NULL: this rank is no reader */
    int n_columns;            /* readers of a node, its first ranks */

    /* Ranks of the node that hold the very same part: this seat in other replicas. They pack the weights between them
     * into one block, if there is one. */
    int n_alike;           /* this rank included; 0 or 1: there is no other */
    struct mu_comm *alike; /* NULL: alone */
    void *weights; /* the block, of mu_comm_shared_open() over alike: sizes.weights bytes; NULL: each has its own */

    const struct mu_expert_table *placed; /* experts of all ranks of the stage, borrowed; NULL: even blocks */
};

/* The whole model on one rank. */
void mu_shard_whole(struct mu_shard *sh, const struct mu_spec *s);

struct mu_run {
    int64_t begin, n;
};

/* sh NULL: the whole. */
struct mu_run mu_shard_heads(const struct mu_shard *sh, const struct mu_layer_spec *l);
/* Those that the heads read, of all ranks that share the cache. */
struct mu_run mu_shard_kv_heads(const struct mu_shard *sh, const struct mu_layer_spec *l);
struct mu_run mu_shard_ffn(const struct mu_shard *sh, int64_t ffn); /* MLP inputs, dense or of the shared experts */
struct mu_run mu_shard_vocab(const struct mu_shard *sh, int64_t vocab);
/* Even blocks; expert_table.h tells what is held when experts are placed by load. */
struct mu_run mu_shard_experts(const struct mu_shard *sh, const struct mu_moe_spec *m);
int mu_shard_expert_rank(const struct mu_shard *sh, const struct mu_moe_spec *m, int expert); /* of the group */

/* ---- ranks that share a cache: at most MU_ATTN_STRANDS ---- */

/* Rows of a step that go through it at once: the states of more would outweigh what sharing saves. */
#define MU_SHARED_ROWS 128

static inline int mu_shard_cp(const struct mu_shard *sh)
{
    return sh && sh->cp_size > 1 ? sh->cp_size : 1;
}

static inline int mu_shard_cp_rank(const struct mu_shard *sh)
{
    return sh ? sh->tp_rank % mu_shard_cp(sh) : 0;
}

/* Rank r of cp has strands [cuts[r], cuts[r + 1]). cuts[cp + 1]. */
void mu_shard_strands(int cp, int32_t *cuts);

/* Which of cp ranks has a sequence's page, and how many of its first n pages rank r has. */
int mu_shard_page_owner(int cp, int64_t page);
int64_t mu_shard_pages_of(int cp, int r, int64_t n);

/* Of a pool that gives cp ranks equally many pages: the fewest that hold a sequence of n. */
int64_t mu_shard_pages_for(int cp, int64_t n);

/* The tiles of a sum that ranks share, in inputs: the multiple of a head's values (for the MLP, of one input) and of 4
 * nearest to MU_TILE_K or, in small sums, to a sixteenth of the inputs; the least one where that would not divide a
 * group of heads. Ranks own runs of tiles as mu_tree_cut() cuts them. */
int64_t mu_shard_o_tile(const struct mu_layer_spec *l);
int64_t mu_shard_down_tile(int64_t ffn);
int32_t mu_shard_tiles(int64_t n_in, int64_t tile); /* how many */

/* Rows of logits that the first of several tensor ranks puts together at a time: what it takes beyond its result stays
 * small. */
#define MU_LOGITS_GATHER_ROWS 16

/* Whether the tensor ranks of one lane put the outputs of their experts together by slices of the rows (moe.c) rather
 * than by giving each all. Between ranks that share memory slices pay from four on where top_k is 8 (a step of 64 rows
 * takes a tenth less time of the CPU, and half the bytes), and cost more than they save between two. */
static inline bool mu_shard_pays_slices(int top_k, int ranks, double rows)
{
    return rows >= 4.0 * ranks && 2 * (top_k + ranks) <= top_k * ranks;
}

#endif
