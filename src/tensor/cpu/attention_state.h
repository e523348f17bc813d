/* attention_state.h - joining two states of attention (ops.h), either of which may be empty */
#ifndef MU_TENSOR_CPU_ATTENTION_STATE_H
#define MU_TENSOR_CPU_ATTENTION_STATE_H

#include <string.h>

#include "tensor/cpu/kernels.h"

/* Takes the state at `from` into the one at `to`: M, L, and O `at` floats from the beginning of each. */
static inline void mu_attention_join(const struct mu_cpu_kernels *k, float *to, const float *from, int at, int dv)
{
    if (from[1] == 0)
        return;
    if (to[1] == 0) {
        memcpy(to, from, 2 * sizeof *to);
        memcpy(to + at, from + at, (size_t)dv * sizeof *to);
    } else {
        k->attention_join(to, to + 1, to + at, from[0], from[1], from + at, dv);
    }
}

#endif
