/* elementary.h - exp, tanh, erf and what is made of them, in one fixed order of f32 operations
 *
 * The scalar twin of lanes_elementary.h: the two give the same bits for every input, and so does every level.
 * Whole range: denormals kept (no flush to zero), infinities to their limits, any NaN to one quiet NaN. Bounds, in
 * units in the last place of the exact result (measured over all floats, tests/tensor/test_elementary.c):
 *
 *   mu_expf 1.1    mu_tanhf 1.5    mu_erff 1.25    mu_sigmoidf 2.5 (results below 2^-126: 0 or exact to 2^-126)
 *
 * Method: reduction by Cody and Waite, minimax polynomials fitted by Remez exchange (error below 0.06 ulp each). */
#ifndef MU_TENSOR_CPU_ELEMENTARY_H
#define MU_TENSOR_CPU_ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/cpu/constants.h"

static inline float mu_f32_from_bits(uint32_t b)
{
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

/* e^x = 2^n e^r, r in +-ln2/2. 2^n is applied in two halves so that denormal results are rounded once. */
static inline float mu_expf(float x)
{
    if (x != x)
        return mu_f32_from_bits(MU_NAN_BITS);
    x = x > MU_EXP_HI ? MU_EXP_HI : x;
    x = x < MU_EXP_LO ? MU_EXP_LO : x;
    float n = nearbyintf(x * MU_LOG2E);
    float r = fmaf(-n, MU_LN2_HI, x);
    r = fmaf(-n, MU_LN2_LO, r);
    float q = MU_EXP_C4;
    q = fmaf(q, r, MU_EXP_C3);
    q = fmaf(q, r, MU_EXP_C2);
    q = fmaf(q, r, MU_EXP_C1);
    q = fmaf(q, r, MU_EXP_C0);
    float y = fmaf(q, r * r, r) + 1.0f;
    int32_t k = (int32_t)n, half = k >> 1;
    float s1 = mu_f32_from_bits((uint32_t)(half + 127) << 23);
    float s2 = mu_f32_from_bits((uint32_t)(k - half + 127) << 23);
    return y * s1 * s2;
}

/* Below 0.625 an odd polynomial, above 1 - 2 / (e^2|x| + 1). */
static inline float mu_tanhf(float x)
{
    if (x != x)
        return mu_f32_from_bits(MU_NAN_BITS);
    float a = fabsf(x), y;
    if (a < MU_TANH_SPLIT) {
        float z = a * a;
        float p = MU_TANH_C4;
        p = fmaf(p, z, MU_TANH_C3);
        p = fmaf(p, z, MU_TANH_C2);
        p = fmaf(p, z, MU_TANH_C1);
        p = fmaf(p, z, MU_TANH_C0);
        y = fmaf(p, a * z, a);
    } else {
        y = 1.0f - 2.0f / (mu_expf(a + a) + 1.0f);
    }
    return copysignf(y, x);
}

/* Below 0.921875 an odd polynomial, above 1 - exp(polynomial); 1 from 4 on. */
static inline float mu_erff(float x)
{
    if (x != x)
        return mu_f32_from_bits(MU_NAN_BITS);
    float a = fabsf(x), y;
    if (a < MU_ERF_SPLIT) {
        float z = a * a;
        float p = MU_ERF_S6;
        p = fmaf(p, z, MU_ERF_S5);
        p = fmaf(p, z, MU_ERF_S4);
        p = fmaf(p, z, MU_ERF_S3);
        p = fmaf(p, z, MU_ERF_S2);
        p = fmaf(p, z, MU_ERF_S1);
        p = fmaf(p, z, MU_ERF_S0);
        y = fmaf(p, a, a);
    } else {
        float t = a > MU_ERF_HI ? MU_ERF_HI : a;
        float p = MU_ERF_B7;
        p = fmaf(p, t, MU_ERF_B6);
        p = fmaf(p, t, MU_ERF_B5);
        p = fmaf(p, t, MU_ERF_B4);
        p = fmaf(p, t, MU_ERF_B3);
        p = fmaf(p, t, MU_ERF_B2);
        p = fmaf(p, t, MU_ERF_B1);
        p = fmaf(p, t, MU_ERF_B0);
        y = 1.0f - mu_expf(p);
    }
    return copysignf(y, x);
}

static inline float mu_sigmoidf(float x)
{
    return 1.0f / (1.0f + mu_expf(-x));
}

#endif
