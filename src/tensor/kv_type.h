/* kv_type.h - the types a KV cache is held in, and what a page of each takes
 *
 * f32, bf16, f16: rounded to nearest even. int8, symmetric: each key and each value of a head is cut into groups of
 * MU_KV_GROUP neighbouring elements (the last may be short), and a group has one scale, a bf16:
 *
 *   scale = bf16(max|x| / 127), q = round-to-nearest-even(x / scale) cut to -127..127; all zeros where the scale is
 * zero
 *
 * so q * scale is exact in f32, and off from x by at most half a scale. A group that holds NaN or infinity has the
 * scale NaN. The scales of a head follow its elements, those of a key in its lane, those of a value side by side:
 *
 *   K part  [n_kv_heads] of | int8 [dk][MU_KV_PAGE] | bf16 [groups][MU_KV_PAGE] |
 *   V part  [n_kv_heads] of | int8 [MU_KV_PAGE][dv] | bf16 [MU_KV_PAGE][groups] |
 *
 * which is 8.5 bits an element where groups are whole. */
#ifndef MU_TENSOR_KV_TYPE_H
#define MU_TENSOR_KV_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/dtype.h"
#include <muster/err.h>

#define MU_KV_PAGE  16 /* positions */
#define MU_KV_GROUP 32 /* int8 elements that share a scale */

#define MU_KV_TYPES "f32, bf16, f16 or int8"

bool mu_kv_type_is(enum mu_dtype t);
const char *mu_kv_type_name(enum mu_dtype t); /* MU_I8 is "int8" */
int mu_kv_type_from_name(enum mu_dtype *out, const char *name, struct mu_err *e);

static inline int mu_kv_groups(int width)
{
    return (width + MU_KV_GROUP - 1) / MU_KV_GROUP;
}

/* Bytes in a page of one head's keys, or values, of `width` elements each: a multiple of 16. */
size_t mu_kv_head_bytes(enum mu_dtype t, int width);

/* Of an element on average, scales among them. */
double mu_kv_element_bytes(enum mu_dtype t);

#endif
