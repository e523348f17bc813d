/* ref_act.c - activation functions of one row, alone and gating another row */
#include "tensor/cpu/ref.h"

#include "tensor/cpu/elementary.h"

static float activate(float x, enum mu_act act)
{
    switch (act) {
    case MU_ACT_SILU:
        return x / (1.0f + mu_expf(-x));
    case MU_ACT_GELU:
        return (0.5f * x) * (1.0f + mu_erff(x * MU_SQRT_HALF));
    case MU_ACT_GELU_TANH:
        return (0.5f * x) * (1.0f + mu_tanhf(MU_SQRT_2_PI * fmaf(MU_GELU_CUBIC * (x * x), x, x)));
    case MU_ACT_RELU:
        return x < 0 ? 0.0f : x;
    case MU_ACT_RELU2:
        return x < 0 ? 0.0f : x * x;
    case MU_ACT_QUICK_GELU:
        return x / (1.0f + mu_expf(-(MU_QUICK_SLOPE * x)));
    }
    return x;
}

void mu_ref_act(float *y, const float *x, enum mu_act act, int64_t D)
{
    for (int64_t i = 0; i < D; i++)
        y[i] = activate(x[i], act);
}

void mu_ref_act_mul(float *y, const float *gate, const float *up, enum mu_act act, int64_t D)
{
    for (int64_t i = 0; i < D; i++)
        y[i] = activate(gate[i], act) * up[i];
}
