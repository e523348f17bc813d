/* lanes_elementary.h - elementary.h on sixteen lanes: the same operations in the same order, the same bits */
#ifndef MU_TENSOR_CPU_LANES_ELEMENTARY_H
#define MU_TENSOR_CPU_LANES_ELEMENTARY_H

#include "tensor/cpu/constants.h"
#include "tensor/cpu/elementary.h"
#include "tensor/cpu/lanes.h"

MU_INLINE v16 v16_quiet_nan(v16 x, v16 y) /* y, but the one NaN where x is NaN */
{
    return v16_select(v16_is_nan(x), v16_set(mu_f32_from_bits(MU_NAN_BITS)), y);
}

MU_INLINE v16 v16_exp(v16 x0)
{
    v16 x = v16_max(v16_min(x0, v16_set(MU_EXP_HI)), v16_set(MU_EXP_LO));
    v16 n = v16_round(v16_mul(x, v16_set(MU_LOG2E)));
    v16 r = v16_fnma(n, v16_set(MU_LN2_HI), x);
    r = v16_fnma(n, v16_set(MU_LN2_LO), r);
    v16 q = v16_set(MU_EXP_C4);
    q = v16_fma(q, r, v16_set(MU_EXP_C3));
    q = v16_fma(q, r, v16_set(MU_EXP_C2));
    q = v16_fma(q, r, v16_set(MU_EXP_C1));
    q = v16_fma(q, r, v16_set(MU_EXP_C0));
    v16 y = v16_add(v16_fma(q, v16_mul(r, r), r), v16_set(1.0f));
    v16i k = v16_to_int(n), half = v16i_half(k), bias = v16i_set(127);
    y = v16_mul(y, v16_from_exponent(v16i_add(half, bias)));
    y = v16_mul(y, v16_from_exponent(v16i_add(v16i_sub(k, half), bias)));
    return v16_quiet_nan(x0, y);
}

MU_INLINE v16 v16_tanh(v16 x)
{
    v16 a = v16_abs(x), z = v16_mul(a, a), one = v16_set(1.0f);
    v16 p = v16_set(MU_TANH_C4);
    p = v16_fma(p, z, v16_set(MU_TANH_C3));
    p = v16_fma(p, z, v16_set(MU_TANH_C2));
    p = v16_fma(p, z, v16_set(MU_TANH_C1));
    p = v16_fma(p, z, v16_set(MU_TANH_C0));
    v16 small = v16_fma(p, v16_mul(a, z), a);
    v16 large = v16_sub(one, v16_div(v16_set(2.0f), v16_add(v16_exp(v16_add(a, a)), one)));
    v16 y = v16_select(v16_lt(a, v16_set(MU_TANH_SPLIT)), small, large);
    return v16_quiet_nan(x, v16_copysign(y, x));
}

MU_INLINE v16 v16_erf(v16 x)
{
    v16 a = v16_abs(x), z = v16_mul(a, a), t = v16_min(a, v16_set(MU_ERF_HI));
    v16 p = v16_set(MU_ERF_S6);
    p = v16_fma(p, z, v16_set(MU_ERF_S5));
    p = v16_fma(p, z, v16_set(MU_ERF_S4));
    p = v16_fma(p, z, v16_set(MU_ERF_S3));
    p = v16_fma(p, z, v16_set(MU_ERF_S2));
    p = v16_fma(p, z, v16_set(MU_ERF_S1));
    p = v16_fma(p, z, v16_set(MU_ERF_S0));
    v16 small = v16_fma(p, a, a);
    p = v16_set(MU_ERF_B7);
    p = v16_fma(p, t, v16_set(MU_ERF_B6));
    p = v16_fma(p, t, v16_set(MU_ERF_B5));
    p = v16_fma(p, t, v16_set(MU_ERF_B4));
    p = v16_fma(p, t, v16_set(MU_ERF_B3));
    p = v16_fma(p, t, v16_set(MU_ERF_B2));
    p = v16_fma(p, t, v16_set(MU_ERF_B1));
    p = v16_fma(p, t, v16_set(MU_ERF_B0));
    v16 large = v16_sub(v16_set(1.0f), v16_exp(p));
    v16 y = v16_select(v16_lt(a, v16_set(MU_ERF_SPLIT)), small, large);
    return v16_quiet_nan(x, v16_copysign(y, x));
}

#endif
