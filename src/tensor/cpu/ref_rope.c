/* ref_rope.c - rotary position embedding of one head (Su et al. 2021, arXiv:2104.09864) */
#include "tensor/cpu/ref.h"

#include <math.h>

void mu_ref_rope(float *x, int rot, enum mu_rope_style style, const float *table)
{
    int half = rot / 2;
    for (int i = 0; i < half; i++) {
        float *a = style == MU_ROPE_HALF ? &x[i] : &x[2 * i];
        float *b = style == MU_ROPE_HALF ? &x[i + half] : &x[2 * i + 1];
        float c = table[i], s = table[half + i], x0 = *a, x1 = *b;
        *a = fmaf(x0, c, -(x1 * s));
        *b = fmaf(x1, c, x0 * s);
    }
}
