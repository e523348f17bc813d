/* lanes_add.h - sums of rows on lanes: y = a + b, and y = w x + y */
#ifndef MU_TENSOR_CPU_LANES_ADD_H
#define MU_TENSOR_CPU_LANES_ADD_H

#include "tensor/cpu/lanes.h"
#include "tensor/cpu/level.h"

void MU_LEVEL(add)(float *y, const float *a, const float *b, int64_t D)
{
    for (int64_t i = 0; i < D; i += MU_LANES)
        v16_store_row(y, i, D, v16_add(v16_load_row(a, i, D), v16_load_row(b, i, D)));
}

void MU_LEVEL(axpy)(float *y, float w, const float *x, int64_t D)
{
    v16 weight = v16_set(w);
    for (int64_t i = 0; i < D; i += MU_LANES)
        v16_store_row(y, i, D, v16_fma(weight, v16_load_row(x, i, D), v16_load_row(y, i, D)));
}

#endif
