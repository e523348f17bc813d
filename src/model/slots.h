/* slots.h - the list of weights a spec needs: one enumeration for sizes, counting and loading
 *
 * Internal to src/model. A slot is a place for one matrix or vector; mu_slots_each() visits every use of every slot
 * in the order of the forward pass. Sizes add the uses up, the loader fills them, parameters are counted from them:
 * said once, so they cannot disagree.
 *
 * Tiles (tensor/matrix.h): a layout cuts o_proj and the down projections of dense and shared MLPs between tiles, so
 * these have tiles of their own (shard.h); every other matrix has MU_TILE_K.
 *
 * With a shard only what that rank holds is visited. A slot cut over its inputs is held as one matrix a root of the
 * rank's run of tiles (comm/tree.h): so an ordinary product gives the root's partial sum. */
#ifndef MU_MODEL_SLOTS_H
#define MU_MODEL_SLOTS_H

#include "model/model.h"

enum mu_slot {
    MU_SLOT_EMBED,
    MU_SLOT_POSITIONS, /* learned: [context, hidden] */
    MU_SLOT_NORM_FINAL,
    MU_SLOT_HEAD, /* absent when tied */

    MU_SLOT_NORM_ATTN,
    MU_SLOT_NORM_MLP, /* absent in MU_BLOCK_PARALLEL */
    MU_SLOT_Q,        /* latent attention with q_lora: the up projection */
    MU_SLOT_K,
    MU_SLOT_V,
    MU_SLOT_O,
    MU_SLOT_Q_NORM,
    MU_SLOT_K_NORM,
    MU_SLOT_Q_A,
    MU_SLOT_Q_A_NORM,
    MU_SLOT_KV_A,
    MU_SLOT_KV_A_NORM,
    MU_SLOT_KV_UP_K, /* one a head: [dk_nope, kv_lora], or its transpose when absorbed */
    MU_SLOT_KV_UP_V, /* one a head: [dv, kv_lora] */

    MU_SLOT_GATE,
    MU_SLOT_UP,
    MU_SLOT_DOWN,
    MU_SLOT_ROUTER,
    MU_SLOT_ROUTER_BIAS, /* e_score_correction_bias */
    MU_SLOT_EXPERT_GATE, /* one an expert */
    MU_SLOT_EXPERT_UP,
    MU_SLOT_EXPERT_DOWN,
    MU_SLOT_SHARED_GATE,
    MU_SLOT_SHARED_UP,
    MU_SLOT_SHARED_DOWN,
    MU_SLOT_N
};

/* Sums over inputs that ranks share: o_proj, down and the shared experts' down. */
#define MU_SLOT_SUMS 3
int mu_slot_sum(enum mu_slot slot); /* its number, -1: none of them */

struct mu_slot_use {
    enum mu_slot slot;
    int layer;    /* -1 outside the layers */
    int index;    /* head or expert among those held, else 0 */
    int piece;    /* root of a shared sum, else 0 */
    bool is_bias; /* of the slot's matrix or norm: a vector of n_out */
    int64_t n_out;
    int64_t n_in; /* 0: a vector */
    int64_t tile_k;
    enum mu_wformat format;
    int64_t row0, col0; /* where it begins in the whole slot */
    int64_t n_out_whole, n_in_whole;
};

typedef int (*mu_slot_fn)(void *arg, const struct mu_slot_use *u);

/* Calls fn for each use; stops at and returns its first nonzero code. Only format, mla and shard of the options matter.
 */
int mu_slots_each(const struct mu_spec *s, const struct mu_model_opts *o, mu_slot_fn fn, void *arg);

/* What o->shard holds of a use of the whole model: so many uses in out, in increasing row and column. */
int mu_slot_pieces(const struct mu_spec *s, const struct mu_model_opts *o, const struct mu_slot_use *whole,
                   struct mu_slot_use out[MU_TREE_ROOTS_MAX]);

/* Whether what is held of a use lies in the whole slot's memory as it would by itself (tensor/matrix.h). */
bool mu_slot_is_in_place(const struct mu_slot_use *u);

/* Bytes on the device, a multiple of 64: data and scales of a matrix, or f32 of a vector. */
size_t mu_slot_bytes(const struct mu_slot_use *u, size_t *scale_offset);

#endif
