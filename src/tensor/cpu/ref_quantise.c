/* ref_quantise.c - activations to int8 groups, as matrix.h states the rule */
#include "tensor/cpu/ref.h"

#include <math.h>

/* q[MU_GROUP_K] from n values; padding is zero. Returns the scale, NaN for a group that is not finite. */
static float quantise_group(const float *x, int64_t n, int8_t *q, int32_t *sum)
{
    float max_abs = 0;
    bool is_finite = true;
    for (int64_t k = 0; k < n; k++) {
        max_abs = MU_MAX(max_abs, fabsf(x[k]));
        is_finite = is_finite && isfinite(x[k]);
    }
    float scale = max_abs / 127.0f;
    *sum = 0;
    for (int64_t k = 0; k < MU_GROUP_K; k++) {
        float v = 0;
        if (k < n && is_finite && scale > 0)
            v = MU_MAX(-127.0f, MU_MIN(nearbyintf(x[k] / scale), 127.0f));
        q[k] = (int8_t)v;
        *sum += q[k];
    }
    return is_finite ? scale : NAN;
}

void mu_ref_quantise_row(const struct mu_cut *c, const float *x, int8_t *q, float *scale, int32_t *sum)
{
    for (int64_t g = 0; g < c->n_groups; g++) {
        int64_t n, begin = mu_group_begin(c, g, &n);
        scale[g] = quantise_group(x + begin, n, q + g * MU_GROUP_K, &sum[g]);
    }
}
