/* ref_layernorm.c - one row of layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450) */
#include "tensor/cpu/ref.h"

#include <math.h>

void mu_ref_layernorm(float *y, const float *x, const float *w, const float *b, float eps, int64_t D)
{
    float s[16] = {0}, v[16] = {0};
    for (int64_t i = 0; i < D; i++)
        s[i % 16] = s[i % 16] + x[i];
    float mean = mu_ref_halve16(s) / (float)D;
    for (int64_t i = 0; i < D; i++)
        v[i % 16] = fmaf(x[i] - mean, x[i] - mean, v[i % 16]);
    float r = 1.0f / sqrtf(mu_ref_halve16(v) / (float)D + eps);
    for (int64_t i = 0; i < D; i++) {
        float t = (x[i] - mean) * r;
        y[i] = b ? fmaf(t, w[i], b[i]) : t * w[i];
    }
}
