/* seat.h - what one rank is in a distributed engine: its place in the layout, its groups, its part of the model
 *
 * Opened by all ranks of the world together, in phases; after each all ranks agree (agree.h), so that either every one
 * of them goes on or every one returns the same failure. Order: rank 0's options travel, the checkpoint's headers are
 * read, binaries and checkpoints compared, the layout settled, groups split, the runner made, the bill worked out. */
#ifndef MU_ENGINE_SEAT_H
#define MU_ENGINE_SEAT_H

#include "engine/light.h"
#include "model/expert_table.h"
#include "plan/layout.h"

#define MU_LAYOUT_TEXT_MAX 128
#define MU_NAME_OPT_MAX    32 /* of "bf16", "absorbed" */

/* Tags in the world's group. */
enum mu_world_tag { MU_TAG_START = 1, MU_TAG_TO_REPLICA, MU_TAG_FROM_REPLICA };

/* Rank 0's options, as they travel. Empty names were NULL. */
struct mu_start {
    uint32_t magic;
    bool is_dismissed, no_prefix_sharing, has_expert_loads;
    int32_t source; /* enum mu_weights_source */
    int32_t redundant_experts;
    int32_t rows_max, sequences_max, prefill_chunk, queue_max;
    int64_t context_max, kv_tokens_max;
    uint64_t request_bytes, memory_bytes_max;
    char weights[MU_NAME_OPT_MAX], kv_dtype[MU_NAME_OPT_MAX], mla[MU_NAME_OPT_MAX];
    char layout[MU_LAYOUT_TEXT_MAX];
};

struct mu_seat {
    struct mu_start start;
    struct mu_engine_opts opts; /* this rank's with rank 0's numbers; names lead into start */
    struct mu_comm *world;      /* borrowed */
    struct mu_comm *replica, *tp, *context, *experts, *node, *alike;
    struct mu_comm_shared *block; /* of the weights, with the other ranks of alike; NULL: they are this rank's own */
    struct mu_layout layout;
    struct mu_layout_place place;
    char layout_text[MU_LAYOUT_TEXT_MAX];
    struct mu_shard shard;
    struct mu_expert_table *placed;        /* NULL: even blocks of experts */
    char loads_hash[MU_EXPERT_LOADS_HASH]; /* of the weights that the loads were counted on, or "" */
    struct mu_light_parts parts;
    struct mu_light_model model;
    struct mu_bill own, fullest; /* of this rank, of the rank with the highest peak */
    uint64_t bytes_read;         /* of the checkpoint, all ranks together */
};

/* Sends the options on rank 0, waits for them elsewhere; *is_dismissed: there will be no engine. */
int mu_seat_begin(struct mu_seat *s, const struct mu_engine_opts *o, bool *is_dismissed, struct mu_err *e);

/* Up to the bill, which rank 0 shows (opts.on_bill). */
int mu_seat_take(struct mu_seat *s, struct mu_err *e);

static inline bool mu_seat_is_driver(const struct mu_seat *s)
{
    return s->place.stage == 0 && s->place.lane == 0 && s->place.t == 0;
}

/* Weights and memory. *local: the replica's engine, on its driver. */
int mu_seat_load(struct mu_seat *s, mu_engine **local, struct mu_err *e);

void mu_seat_close(struct mu_seat *s);

/* seat_layout.c: rank 0 decides, all have it. */
int mu_seat_settle_layout(struct mu_seat *s, struct mu_err *e);

/* seat_files.c: where nodes get the weights from. */
enum mu_weights_source { MU_SOURCE_AUTO, MU_SOURCE_PEER, MU_SOURCE_FILE };
int mu_seat_choose_source(struct mu_start *t, const char *from, struct mu_err *e); /* from: a name, or NULL */
int mu_seat_join_nodes(struct mu_seat *s, struct mu_err *e);

/* seat_alike.c: replicas of a node that hold one copy of their weights. How many ranks of its node hold what this rank
 * of the layout holds; alike is made; once the bill is agreed on, the block is opened or, with a warning, given up and
 * the bill made anew. */
int mu_seat_n_alike(const struct mu_seat *s, const struct mu_layout *l, int rank);
int mu_seat_split_alike(struct mu_seat *s, struct mu_err *e);
int mu_seat_open_block(struct mu_seat *s, struct mu_err *e);

/* The bill of every rank, agreed on by all. */
int mu_seat_agree_bill(struct mu_seat *s, struct mu_err *e);

/* seat_experts.c: once the layout is settled, the experts of its ranks; once the weights are known, a warning when the
 * loads are of others. */
int mu_seat_place_experts(struct mu_seat *s, struct mu_err *e);
void mu_seat_compare_loads(const struct mu_seat *s, const char *weights_hash);

/* identity.c: MU_EINVAL naming the first rank that differs from rank 0, and in what. Weights: after loading. */
int mu_identity_compare(struct mu_comm *world, const struct mu_engine_opts *o, const struct mu_checkpoint *c,
                        struct mu_err *e);
int mu_identity_compare_weights(struct mu_comm *world, const char *content_hash, struct mu_err *e);
/* Which files, by inode, size and date, and by the device, which every node numbers for itself. */
uint64_t mu_identity_of_files(const struct mu_weights *w, bool has_device);

#endif
