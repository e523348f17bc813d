/* lanes_rmsnorm.h - one row of RMS norm on lanes */
#ifndef MU_TENSOR_CPU_LANES_RMSNORM_H
#define MU_TENSOR_CPU_LANES_RMSNORM_H

#include <math.h>

#include "tensor/cpu/lanes.h"
#include "tensor/cpu/level.h"

void MU_LEVEL(rmsnorm)(float *y, const float *x, const float *w, float w_offset, float eps, int64_t D)
{
    v16 sum = v16_zero();
    for (int64_t i = 0; i < D; i += MU_LANES) {
        v16 v = v16_load_row(x, i, D);
        sum = v16_fma(v, v, sum);
    }
    v16 r = v16_set(1.0f / sqrtf(v16_halve(sum) / (float)D + eps)), offset = v16_set(w_offset);
    for (int64_t i = 0; i < D; i += MU_LANES) {
        v16 v = v16_mul(v16_load_row(x, i, D), r);
        if (w)
            v = v16_mul(v, v16_add(v16_load_row(w, i, D), offset));
        v16_store_row(y, i, D, v);
    }
}

#endif
