/* expert_table.h - which rank holds which experts, layer by layer
 *
 * A copy is one expert on one rank. The copies of a layer are numbered by rank, within a rank by expert, so that rows
 * listed by copy are listed by rank; every rank has the same number, and none has two of one expert. Layers whose loads
 * differ have different places.
 *
 * Without a table (NULL) ranks hold the even blocks of shard.h, one copy of each expert: a copy's number is then its
 * expert's. Where an expert is computed never changes a result: its output for a row is the same bits everywhere, and a
 * row adds its experts by their index. Plain data, made once when the ranks of a stage are known. */
#ifndef MU_MODEL_EXPERT_TABLE_H
#define MU_MODEL_EXPERT_TABLE_H

#include "model/expert_loads.h"
#include "model/shard.h"

struct mu_expert_layer {
    int n_experts;   /* 0: the layer has none, and nothing below */
    int n;           /* copies */
    int32_t *expert; /* [n] of each copy */
    int32_t *first;  /* [n_experts + 1] where each expert's copies begin below */
    int32_t *copy;   /* [n] in increasing number */
};

struct mu_expert_table {
    int n_layers, n_ranks;
    struct mu_expert_layer *layers;
};

/* Places by load (expert_place.h), with so many copies a layer beyond one of each; loads NULL: all alike. *out is NULL,
 * which stands for even blocks, without loads and further copies. MU_EUSAGE when the copies cannot be shared out
 * evenly, naming the nearest numbers that can. */
int mu_expert_table_make(struct mu_expert_table **out, const struct mu_spec *s, const struct mu_expert_loads *loads,
                         int redundant, int n_ranks, struct mu_err *e);
void mu_expert_table_free(struct mu_expert_table *t); /* NULL is fine */

/* The same question without making one: whether so many copies a layer can be shared out. */
int mu_expert_table_room(const struct mu_spec *s, int redundant, int n_ranks, struct mu_err *e);

/* Whether it was made for this network and so many ranks. */
int mu_expert_table_check(const struct mu_expert_table *t, const struct mu_spec *s, int n_ranks, struct mu_err *e);

/* The layer of the shard's table, NULL without one. */
static inline const struct mu_expert_layer *mu_expert_layer(const struct mu_shard *sh, int layer)
{
    return sh && sh->placed ? &sh->placed->layers[layer] : NULL;
}

/* Of one layer, t NULL for even blocks. */
static inline int mu_expert_of(const struct mu_expert_layer *t, int64_t copy)
{
    return t ? t->expert[copy] : (int)copy;
}

static inline int mu_expert_copies(const struct mu_expert_layer *t, int expert)
{
    return t ? t->first[expert + 1] - t->first[expert] : 1;
}

static inline int32_t mu_expert_copy(const struct mu_expert_layer *t, int expert, int i)
{
    return t ? t->copy[t->first[expert] + i] : expert;
}

/* Copies of all ranks; of one rank of the group; of this rank (sh NULL: the whole). */
int mu_experts_copies(const struct mu_shard *sh, const struct mu_spec *s, int layer);
struct mu_run mu_experts_on(const struct mu_shard *sh, const struct mu_spec *s, int layer, int rank);
struct mu_run mu_experts_held(const struct mu_shard *sh, const struct mu_spec *s, int layer);

/* Place of the expert among those this rank holds, -1: it has none. */
int mu_expert_place_held(const struct mu_shard *sh, const struct mu_spec *s, int layer, int expert);

/* How uneven the ranks' rows are under measured loads: the fullest rank's over the mean, 1 is even. */
struct mu_expert_balance {
    double mean, worst; /* over the layers that computed anything; 1 when none did */
    int worst_layer;    /* -1: none */
};
void mu_expert_balance_of(struct mu_expert_balance *out, const struct mu_shard *sh, const struct mu_spec *s,
                          const int64_t *rows);

#endif
