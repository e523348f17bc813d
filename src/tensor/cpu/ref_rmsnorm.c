/* ref_rmsnorm.c - one row of RMS norm (Zhang and Sennrich 2019, arXiv:1910.07467) */
#include "tensor/cpu/ref.h"

#include <math.h>

void mu_ref_rmsnorm(float *y, const float *x, const float *w, float w_offset, float eps, int64_t D)
{
    float p[16] = {0};
    for (int64_t i = 0; i < D; i++)
        p[i % 16] = fmaf(x[i], x[i], p[i % 16]);
    float r = 1.0f / sqrtf(mu_ref_halve16(p) / (float)D + eps);
    for (int64_t i = 0; i < D; i++)
        y[i] = w ? (x[i] * r) * (w[i] + w_offset) : x[i] * r;
}
