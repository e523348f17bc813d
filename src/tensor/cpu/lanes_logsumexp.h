/* lanes_logsumexp.h - one vocabulary tile on lanes */
#ifndef MU_TENSOR_CPU_LANES_LOGSUMEXP_H
#define MU_TENSOR_CPU_LANES_LOGSUMEXP_H

#include "tensor/cpu/lanes_elementary.h"
#include "tensor/cpu/level.h"

/* Elements [i, i+16) of a row of n, -inf beyond its end. */
MU_INLINE v16 load_or_lowest(const float *x, int64_t i, int64_t n)
{
    v16 v = v16_load_row(x, i, n);
    return n - i >= MU_LANES ? v : v16_select(v16_lt(v16_iota(), v16_set((float)(n - i))), v, v16_set(-INFINITY));
}

struct mu_lse_tile MU_LEVEL(logsumexp)(const float *x, int64_t n)
{
    struct mu_lse_tile t = {.max = -INFINITY};
    v16 max = v16_set(-INFINITY), inf = v16_set(INFINITY), sum = v16_zero();
    unsigned good = 0xffff;
    for (int64_t i = 0; i < n; i += MU_LANES) {
        v16 v = load_or_lowest(x, i, n);
        good &= m16_bits(v16_lt(v, inf));
        max = v16_max(v, max);
    }
    t.is_bad = good != 0xffff;
    t.max = v16_max_lane(max);
    if (t.is_bad || t.max == -INFINITY)
        return t;
    max = v16_set(t.max);
    for (t.first = 0; t.first < n; t.first += MU_LANES) {
        unsigned at = m16_bits(v16_eq(load_or_lowest(x, t.first, n), max));
        if (at) {
            t.first += __builtin_ctz(at);
            break;
        }
    }
    for (int64_t i = 0; i < n; i += MU_LANES) /* exp(-inf) is the +0 that lanes beyond the end shall add */
        sum = v16_add(sum, v16_exp(v16_sub(load_or_lowest(x, i, n), max)));
    t.sum = v16_halve(sum);
    return t;
}

#endif
