/* matrix.h - a weight matrix in the one packed layout that one-row and many-row products share
 *
 * W is [n_out, n_in], y = x W^T + b. Outputs are packed in panels of MU_PANEL; inside a panel the inputs run in
 * increasing k, so that a SIMD lane is an output and every level adds in the same order:
 *
 *   float formats   data[panel][k][MU_PANEL]                        f32, bf16 or f16
 *   MU_WINT8        data[panel][group][k/4][MU_PANEL][4] int8       scales[panel][group][MU_PANEL] f32
 *   MU_WINT4        data[panel][group][k/8][MU_PANEL][4] bytes      scales likewise; a byte holds q + 8 of k%8 in its
 *                   low half and of k%8 + 4 in its high half
 *
 * with k counted inside the group for the integer formats.
 *
 * The sum over k has a fixed shape (design, section 6). Inputs are cut into tiles of tile_k; within a tile products
 * are added by fma in increasing k, starting from +0; tiles are combined by recursive halving: sum(0, n) =
 * sum(0, ceil(n/2)) + sum(ceil(n/2), n). tile_k is chosen by the model so that the cuts of a tensor-parallel
 * layout fall between tiles (model/slots.h); a complete subtree of tiles is a matrix of its own, whose product is that
 * subtree's sum. Integer formats: a group is at most MU_GROUP_K inputs of one tile; a group's integer dot
 * product is exact and enters the tile's f32 sum as fma((float)dot, scale_w * scale_x, sum). tile_k is a
 * multiple of 4 for integer formats; the last group of a tile may be short and is padded with zeros to MU_GROUP_K slots
 * in memory (so a tile_k that is a multiple of MU_GROUP_K wastes nothing).
 *
 * Quantisation, symmetric, per output and group: int8 scale = max|w| / 127, int4 scale = max|w| / 7 (values -7..7);
 * q = round-to-nearest-even(w / scale), cut to the range; all zeros where the scale is zero. Activations the same way
 * per row and group of the same cut, int8; a group that holds NaN or infinity gets a NaN scale, so the output is NaN.
 */
#ifndef MU_TENSOR_MATRIX_H
#define MU_TENSOR_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include <muster/err.h>

#define MU_PANEL   16  /* outputs side by side: one AVX-512 register of f32 */
#define MU_GROUP_K 32  /* inputs that share a scale */
#define MU_TILE_K  128 /* tile width where nothing asks for another */

/* X(enum, name) */
#define MU_WFORMAT_MAP(X)                                                                                              \
    X(MU_WF32, "f32")                                                                                                  \
    X(MU_WBF16, "bf16")                                                                                                \
    X(MU_WF16, "f16")                                                                                                  \
    X(MU_WINT8, "int8")                                                                                                \
    X(MU_WINT4, "int4")

enum mu_wformat {
#define MU_WFORMAT_ENUM(id, name) id,
    MU_WFORMAT_MAP(MU_WFORMAT_ENUM)
#undef MU_WFORMAT_ENUM
        MU_WFORMAT_N
};

struct mu_matrix {
    enum mu_wformat format;
    int64_t n_out;
    int64_t n_in;
    int64_t tile_k;
    void *data;        /* device memory, owned by whoever allocated it */
    float *scale;      /* integer formats; else NULL */
    const float *bias; /* [n_out] or NULL */
};

const char *mu_wformat_name(enum mu_wformat f);
int mu_wformat_from_name(enum mu_wformat *out, const char *name, struct mu_err *e);

/* Bytes of data and of scales (each a multiple of 64). Pure: the memory bill adds these up. */
void mu_matrix_bytes(enum mu_wformat f, int64_t n_out, int64_t n_in, int64_t tile_k, size_t *data, size_t *scales);

/* Pack rows [row, row + n_rows) from src [n_rows, n_in] f32, row stride ld elements. Whole panels are fastest; the run
 * that ends the matrix fills the missing rows of the last panel with zeros. MU_ENUMERIC on NaN or infinity, or a value
 * that the format cannot hold (f16 ends at 65504), naming row and column. Host side (a device uploads what this wrote).
 * Different rows may be packed by different threads, also those of one panel. */
int mu_matrix_pack(struct mu_matrix *m, int64_t row, int64_t n_rows, const float *src, int64_t ld, struct mu_err *e);

/* The same from any plain float dtype (bf16 and f16 without a detour where format equals src_dtype; else through f32).
 * src needs no alignment. */
int mu_matrix_pack_from(struct mu_matrix *m, int64_t row, int64_t n_rows, const void *src, enum mu_dtype src_dtype,
                        int64_t ld, struct mu_err *e);

/* A part of a packed matrix: rows [row0, row0 + part->n_out) and inputs [col0, col0 + part->n_in), which begin where a
 * tile does and end where one does or with the matrix; part has its sizes, the format and tile_k of `whole`.
 * mu_matrix_part(): whether the part lies in `whole` as it would by itself (whole panels, all inputs); data and scale
 * are set then. Else mu_matrix_copy_part() copies panels [begin, end) of it to where its data and scale point: the
 * bytes that packing these rows and inputs gives. */
bool mu_matrix_part(struct mu_matrix *part, const struct mu_matrix *whole, int64_t row0, int64_t col0);
void mu_matrix_copy_part(const struct mu_matrix *part, const struct mu_matrix *whole, int64_t row0, int64_t col0,
                         int64_t begin, int64_t end);

/* Row `row` back to f32 [n_in] (embedding look-up with tied weights, tests). */
void mu_matrix_row(const struct mu_matrix *m, int64_t row, float *dst);

/* The quantised value at slot k of a group of an integer format (data of that group), output `lane` of the panel. */
int mu_matrix_quant(enum mu_wformat f, const unsigned char *group, int64_t k, int lane);

#endif
