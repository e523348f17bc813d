/* matrix_int.h - where things lie inside a packed matrix (layout in matrix.h); for src/tensor only
 *
 * Integer formats cut each tile into groups of MU_GROUP_K inputs; every group fills MU_GROUP_K slots in memory, the
 * last one of a tile padded with zeros, so that a group is a fixed number of registers. */
#ifndef MU_TENSOR_MATRIX_INT_H
#define MU_TENSOR_MATRIX_INT_H

#include <stdbool.h>

#include "base/check.h"
#include "tensor/matrix.h"

/* The cut of the inputs of one matrix. A "group" index counts over all tiles. */
struct mu_cut {
    int64_t n_in;
    int64_t tile_k;      /* at most n_in */
    int64_t n_tiles;     /* at least 1, also for n_in = 0 */
    int64_t tile_groups; /* of a full tile */
    int64_t n_groups;    /* of all tiles */
    int64_t n_in_padded; /* n_groups * MU_GROUP_K */
};

static inline struct mu_cut mu_cut_of(int64_t n_in, int64_t tile_k)
{
    struct mu_cut c = {.n_in = n_in};
    c.tile_k = MU_MAX(1, MU_MIN(tile_k, n_in));
    c.n_tiles = MU_MAX(1, (n_in + c.tile_k - 1) / c.tile_k);
    c.tile_groups = (c.tile_k + MU_GROUP_K - 1) / MU_GROUP_K;
    int64_t last = n_in - (c.n_tiles - 1) * c.tile_k;
    c.n_groups = (c.n_tiles - 1) * c.tile_groups + (last + MU_GROUP_K - 1) / MU_GROUP_K;
    c.n_in_padded = c.n_groups * MU_GROUP_K;
    return c;
}

/* First input of a group and how many it has. */
static inline int64_t mu_group_begin(const struct mu_cut *c, int64_t group, int64_t *n)
{
    int64_t tile = group / c->tile_groups;
    int64_t begin = tile * c->tile_k + group % c->tile_groups * MU_GROUP_K;
    int64_t end = MU_MIN(MU_MIN(begin + MU_GROUP_K, (tile + 1) * c->tile_k), c->n_in);
    *n = end - begin;
    return begin;
}

static inline bool mu_wformat_is_int(enum mu_wformat f)
{
    return f == MU_WINT8 || f == MU_WINT4;
}

static inline int64_t mu_panels_of(int64_t n_out)
{
    return (n_out + MU_PANEL - 1) / MU_PANEL;
}

/* Bytes of one panel, and of one group of it. */
static inline size_t mu_group_bytes(enum mu_wformat f)
{
    return (size_t)MU_GROUP_K * MU_PANEL / (f == MU_WINT4 ? 2 : 1);
}

static inline size_t mu_panel_bytes(enum mu_wformat f, const struct mu_cut *c)
{
    if (mu_wformat_is_int(f))
        return (size_t)c->n_groups * mu_group_bytes(f);
    return (size_t)c->n_in * MU_PANEL * (f == MU_WF32 ? 4 : 2);
}

#endif
