/* lanes_rope.h - rotary positions of one head on lanes */
#ifndef MU_TENSOR_CPU_LANES_ROPE_H
#define MU_TENSOR_CPU_LANES_ROPE_H

#include "tensor/cpu/lanes.h"
#include "tensor/cpu/level.h"

MU_INLINE void rotate(v16 x0, v16 x1, v16 c, v16 s, v16 *y0, v16 *y1)
{
    *y0 = v16_fma(x0, c, v16_neg(v16_mul(x1, s)));
    *y1 = v16_fma(x1, c, v16_mul(x0, s));
}

void MU_LEVEL(rope)(float *x, int rot, enum mu_rope_style style, const float *table)
{
    int64_t half = rot / 2;
    for (int64_t i = 0; i < half; i += MU_LANES) {
        v16 c = v16_load_row(table, i, half), s = v16_load_row(table + half, i, half), y0, y1;
        if (style == MU_ROPE_HALF) {
            rotate(v16_load_row(x, i, half), v16_load_row(x + half, i, half), c, s, &y0, &y1);
            v16_store_row(x, i, half, y0);
            v16_store_row(x + half, i, half, y1);
            continue;
        }
        int64_t at = 2 * i, end = 2 * half, next = at + MU_LANES;
        v16 a = v16_load_row(x, at, end), b = next < end ? v16_load_row(x, next, end) : v16_zero(), x0, x1;
        v16_unzip(a, b, &x0, &x1);
        rotate(x0, x1, c, s, &y0, &y1);
        v16_zip(y0, y1, &a, &b);
        v16_store_row(x, at, end, a);
        if (next < end)
            v16_store_row(x, next, end, b);
    }
}

#endif
