/* lanes_quantise.h - activations to int8 groups on lanes (rule: matrix.h) */
#ifndef MU_TENSOR_CPU_LANES_QUANTISE_H
#define MU_TENSOR_CPU_LANES_QUANTISE_H

#include <math.h>

#include "tensor/cpu/lanes.h"
#include "tensor/cpu/level.h"

/* Sixteen of a group's values as integers in -127..127. */
MU_INLINE void quantise_half(v16 x, v16 scale, int8_t *q, int32_t *sum)
{
    int32_t v[MU_LANES];
    v16 r = v16_round(v16_div(x, scale));
    r = v16_max(v16_min(r, v16_set(127.0f)), v16_set(-127.0f));
    v16i_store(v, v16_to_int(r));
    for (int i = 0; i < MU_LANES; i++) {
        q[i] = (int8_t)v[i];
        *sum += v[i];
    }
}

static float quantise_group(const float *x, int64_t n, int8_t *q, int32_t *sum)
{
    v16 a = v16_load_row(x, 0, n), b = n > MU_LANES ? v16_load_row(x, MU_LANES, n) : v16_zero();
    v16 largest = v16_set(0x1.fffffep127f);
    m16 fits = m16_and(v16_ge(largest, v16_abs(a)), v16_ge(largest, v16_abs(b)));
    float scale = v16_max_lane(v16_max(v16_abs(a), v16_abs(b))) / 127.0f;
    *sum = 0;
    if (m16_bits(fits) != 0xffff || !(scale > 0)) {
        memset(q, 0, MU_GROUP_K);
        return m16_bits(fits) == 0xffff ? scale : NAN;
    }
    quantise_half(a, v16_set(scale), q, sum);
    quantise_half(b, v16_set(scale), q + MU_LANES, sum);
    return scale;
}

void MU_LEVEL(quantise_row)(const struct mu_cut *c, const float *x, int8_t *q, float *scale, int32_t *sum)
{
    for (int64_t g = 0; g < c->n_groups; g++) {
        int64_t n, begin = mu_group_begin(c, g, &n);
        scale[g] = quantise_group(x + begin, n, q + g * MU_GROUP_K, &sum[g]);
    }
}

#endif
