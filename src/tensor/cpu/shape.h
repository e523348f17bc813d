/* shape.h - register blocks of the linear kernels, by the registers a level has, and the scratch they take */
#ifndef MU_TENSOR_CPU_SHAPE_H
#define MU_TENSOR_CPU_SHAPE_H

#include "base/check.h"
#include "tensor/cpu/tree.h"

#ifdef __AVX512F__
#define MU_LIN_ROWS             14 /* x 2 panels: 28 sums, 2 weights and a broadcast in 32 registers */
#define MU_LIN_PANELS           2
#define MU_LIN_GROUP            1
#define MU_LIN_BLOCKS           8
#define MU_LIN_STREAM_ROWS      8
#define MU_LIN_FEW_ROWS         8 /* x 2 panels: 16 sums */
#define MU_LIN_FEW_PANELS(rows) ((rows) <= 4 ? 4 : 2)
#define MU_LIN_AHEAD            0
#define MU_LIN_SHORT_ROWS       0
#define MU_LIN_SHORT_RUN_K      128
#define MU_INT_ROWS             6 /* x 2 panels: 12 integer and 12 float sums */
#define MU_INT_PANELS           2
#else
#define MU_LIN_ROWS             6 /* x 1 panel of two registers: 12 sums, 2 weights and a broadcast in 16 registers */
#define MU_LIN_PANELS           1
#define MU_LIN_GROUP            2
#define MU_LIN_BLOCKS           16
#define MU_LIN_STREAM_ROWS      12
#define MU_LIN_FEW_ROWS         6
#define MU_LIN_FEW_PANELS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)
#define MU_LIN_AHEAD            1024 /* bytes: one panel alone is a stream that the hardware follows late */
#define MU_LIN_SHORT_ROWS       48
#define MU_LIN_SHORT_RUN_K      64
#define MU_INT_ROWS             4 /* x 1 panel of two registers: 8 integer sums; the float ones wait in memory */
#define MU_INT_PANELS           1
#endif

/* MU_LIN_GROUP: groups of panels that take the same rows one after the other. MU_LIN_BLOCKS: blocks of a piece, which
 * share a widened run of weights. MU_LIN_AHEAD: how far a stream of several rows asks for its weights in advance; 0
 * where it was not measured. */
#define MU_LIN_RUN_K  128 /* inputs whose weights (64 bytes a panel) lie in L1 at once; no short run is longer */
#define MU_INT_PIECE  96  /* rows of an integer piece */
#define MU_PANEL_UNIT 2   /* a multiple of MU_LIN_GROUP * MU_LIN_PANELS */

static inline size_t mu_shape_scratch_bytes(int64_t n_in)
{
    size_t widened = (size_t)MU_LIN_GROUP * MU_LIN_PANELS * MU_LIN_RUN_K;
    size_t rows = MU_MAX(MU_LIN_BLOCKS * MU_LIN_GROUP * MU_LIN_ROWS * MU_LIN_PANELS, MU_INT_PIECE * MU_INT_PANELS);
    return (widened + (size_t)mu_tree_depth(n_in) * rows) * 16 * sizeof(float);
}

#endif
