/* elementary_level.c - the vector elementary functions of the level this is compiled for, over arrays */
#include "tensor/cpu/lanes_elementary.h"

void MU_LEVEL(test_elementary)(int which, float *y, const float *x, int64_t n);

void MU_LEVEL(test_elementary)(int which, float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += MU_LANES) {
        v16 v = v16_load_row(x, i, n);
        v = which == 0 ? v16_exp(v) : which == 1 ? v16_tanh(v) : v16_erf(v);
        v16_store_row(y, i, n, v);
    }
}
