/* pack_int.h - what the files that pack weights share */
#ifndef MU_TENSOR_PACK_INT_H
#define MU_TENSOR_PACK_INT_H

#include "tensor/matrix.h"

/* Some columns of the sixteen rows of a panel, as f32. Only lanes [lane, lane_end) are written. */
struct mu_pack_strip {
    const struct mu_matrix *m;
    int64_t row; /* first row of the panel */
    int lane, lane_end;
    int64_t k, n_k; /* columns */
    const float *v; /* [MU_PANEL][ld]; rows beyond the matrix are zero */
    int64_t ld;
};

/* MU_ENUMERIC naming row and column of value v. */
int mu_pack_fail(const struct mu_pack_strip *s, int lane, int64_t col, float v, struct mu_err *e);

/* Quantise one group (n_k <= MU_GROUP_K) into its data and its scales [MU_PANEL]. */
void mu_pack_group(unsigned char *data, float *scale, const struct mu_pack_strip *s);

/* dst [n][MU_PANEL] = transpose of src [MU_PANEL][ld], n columns of 16 bits, anywhere in memory. Returns the largest of
 * them without their signs: below the exponent's mask all are finite. */
uint16_t mu_transpose16(uint16_t *dst, const void *src, int64_t ld, int64_t n);

#endif
