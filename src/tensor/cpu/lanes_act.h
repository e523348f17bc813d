/* lanes_act.h - activation functions of one row on lanes */
#ifndef MU_TENSOR_CPU_LANES_ACT_H
#define MU_TENSOR_CPU_LANES_ACT_H

#include "tensor/cpu/lanes_elementary.h"
#include "tensor/cpu/level.h"

MU_INLINE v16 activate(v16 x, const enum mu_act act)
{
    const v16 one = v16_set(1.0f), half = v16_set(0.5f);
    switch (act) {
    case MU_ACT_SILU:
        return v16_div(x, v16_add(one, v16_exp(v16_neg(x))));
    case MU_ACT_GELU:
        return v16_mul(v16_mul(half, x), v16_add(one, v16_erf(v16_mul(x, v16_set(MU_SQRT_HALF)))));
    case MU_ACT_GELU_TANH: {
        v16 cubic = v16_fma(v16_mul(v16_set(MU_GELU_CUBIC), v16_mul(x, x)), x, x);
        return v16_mul(v16_mul(half, x), v16_add(one, v16_tanh(v16_mul(v16_set(MU_SQRT_2_PI), cubic))));
    }
    case MU_ACT_RELU:
        return v16_select(v16_lt(x, v16_zero()), v16_zero(), x);
    case MU_ACT_RELU2:
        return v16_select(v16_lt(x, v16_zero()), v16_zero(), v16_mul(x, x));
    case MU_ACT_QUICK_GELU:
        return v16_div(x, v16_add(one, v16_exp(v16_neg(v16_mul(v16_set(MU_QUICK_SLOPE), x)))));
    }
    return x;
}

/* up NULL: the plain form */
MU_INLINE void act_row(float *y, const float *x, const float *up, const enum mu_act act, int64_t D)
{
    for (int64_t i = 0; i < D; i += MU_LANES) {
        v16 v = activate(v16_load_row(x, i, D), act);
        v16_store_row(y, i, D, up ? v16_mul(v, v16_load_row(up, i, D)) : v);
    }
}

#define ACT_CASE(act)                                                                                                  \
    case act:                                                                                                          \
        act_row(y, x, up, act, D);                                                                                     \
        break;

/* One loop a function, so that the choice is made once a row. */
static void act_choose(float *y, const float *x, const float *up, enum mu_act act, int64_t D)
{
    switch (act) {
        ACT_CASE(MU_ACT_SILU)
        ACT_CASE(MU_ACT_GELU)
        ACT_CASE(MU_ACT_GELU_TANH)
        ACT_CASE(MU_ACT_RELU)
        ACT_CASE(MU_ACT_RELU2)
        ACT_CASE(MU_ACT_QUICK_GELU)
    }
}

void MU_LEVEL(act)(float *y, const float *x, enum mu_act act, int64_t D)
{
    act_choose(y, x, NULL, act, D);
}

void MU_LEVEL(act_mul)(float *y, const float *gate, const float *up, enum mu_act act, int64_t D)
{
    act_choose(y, gate, up, act, D);
}

#endif
