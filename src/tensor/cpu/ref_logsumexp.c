/* ref_logsumexp.c - one vocabulary tile: maximum, where it first stands, and sum of exponentials */
#include "tensor/cpu/ref.h"

#include "tensor/cpu/elementary.h"

struct mu_lse_tile mu_ref_logsumexp(const float *x, int64_t n)
{
    struct mu_lse_tile t = {.max = -INFINITY};
    float p[16] = {0};
    for (int64_t i = 0; i < n; i++) {
        if (!(x[i] < INFINITY))
            t.is_bad = true;
        if (x[i] > t.max) {
            t.max = x[i];
            t.first = i;
        }
    }
    if (t.is_bad || t.max == -INFINITY)
        return t;
    for (int64_t i = 0; i < n; i++)
        p[i % 16] = p[i % 16] + mu_expf(x[i] - t.max);
    t.sum = mu_ref_halve16(p);
    return t;
}
