/* shard.h - which part of a model one rank holds, and how ranks meet inside a step
 *
 * A stage holds a run of layers. Inside a stage, `tp_size` ranks of one lane share every layer of their rows: they own
 * runs of query heads (with the KV heads these read, replicated where two runs need one), runs of MLP inputs, and runs
 * of the vocabulary; sums over what they share out are finished by the fixed tree of comm/tree.h. Lanes hold different
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
    int lane, n_lanes;
    int layer_begin, layer_end; /* the stage */
    bool has_embed, has_head;   /* first stage, last stage; tied weights are on both */

    struct mu_comm *tp;      /* the lane's ranks of the stage; NULL when tp_size is 1 */
    struct mu_comm *experts; /* all ranks of the stage, rank lane * tp_size + tp_rank; NULL when alone */
    struct mu_comm *node;    /* ranks that read the checkpoint together; NULL: alone */
};

/* The whole model on one rank. */
void mu_shard_whole(struct mu_shard *sh, const struct mu_spec *s);

struct mu_run {
    int64_t begin, n;
};

/* sh NULL: the whole. */
struct mu_run mu_shard_heads(const struct mu_shard *sh, const struct mu_layer_spec *l);
struct mu_run mu_shard_kv_heads(const struct mu_shard *sh, const struct mu_layer_spec *l); /* those the heads read */
struct mu_run mu_shard_ffn(const struct mu_shard *sh, int64_t ffn); /* MLP inputs, dense or of the shared experts */
struct mu_run mu_shard_vocab(const struct mu_shard *sh, int64_t vocab);
struct mu_run mu_shard_experts(const struct mu_shard *sh, const struct mu_moe_spec *m);       /* contiguous blocks */
int mu_shard_expert_rank(const struct mu_shard *sh, const struct mu_moe_spec *m, int expert); /* of the group */

/* The tiles of a sum that ranks share, in inputs: the multiple of a head's values (for the MLP, of one input) and of 4
 * nearest to MU_TILE_K or, in small sums, to a sixteenth of the inputs; the least one where that would not divide a
 * group of heads. Ranks own runs of tiles as mu_tree_cut() cuts them. */
int64_t mu_shard_o_tile(const struct mu_layer_spec *l);
int64_t mu_shard_down_tile(int64_t ffn);
int32_t mu_shard_tiles(int64_t n_in, int64_t tile); /* how many */

#endif
