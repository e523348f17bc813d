/* ref_add.c - sums of rows: y = a + b, and y = w x + y */
#include "tensor/cpu/ref.h"

#include <math.h>

void mu_ref_add(float *y, const float *a, const float *b, int64_t D)
{
    for (int64_t i = 0; i < D; i++)
        y[i] = a[i] + b[i];
}

void mu_ref_axpy(float *y, float w, const float *x, int64_t D)
{
    for (int64_t i = 0; i < D; i++)
        y[i] = fmaf(w, x[i], y[i]);
}
