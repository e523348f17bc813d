/* lanes_layernorm.h - one row of layer norm on lanes */
#ifndef MU_TENSOR_CPU_LANES_LAYERNORM_H
#define MU_TENSOR_CPU_LANES_LAYERNORM_H

#include <math.h>

#include "tensor/cpu/lanes.h"
#include "tensor/cpu/level.h"

/* x - mean at [i, i+16), zeros beyond the row. */
MU_INLINE v16 centred(const float *x, int64_t i, int64_t D, v16 mean)
{
    v16 v = v16_sub(v16_load_row(x, i, D), mean);
    return D - i >= MU_LANES ? v : v16_select(v16_lt(v16_iota(), v16_set((float)(D - i))), v, v16_zero());
}

void MU_LEVEL(layernorm)(float *y, const float *x, const float *w, const float *b, float eps, int64_t D)
{
    v16 sum = v16_zero(), squares = v16_zero();
    for (int64_t i = 0; i < D; i += MU_LANES)
        sum = v16_add(sum, v16_load_row(x, i, D));
    v16 mean = v16_set(v16_halve(sum) / (float)D);
    for (int64_t i = 0; i < D; i += MU_LANES) {
        v16 v = centred(x, i, D, mean);
        squares = v16_fma(v, v, squares);
    }
    v16 r = v16_set(1.0f / sqrtf(v16_halve(squares) / (float)D + eps));
    for (int64_t i = 0; i < D; i += MU_LANES) {
        v16 t = v16_mul(centred(x, i, D, mean), r), weight = v16_load_row(w, i, D);
        v16_store_row(y, i, D, b ? v16_fma(t, weight, v16_load_row(b, i, D)) : v16_mul(t, weight));
    }
}

#endif
