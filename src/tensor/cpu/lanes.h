/* lanes.h - sixteen f32 side by side: one AVX-512 register, or two of AVX2
 *
 * What the kernels of both levels are written in, so that they differ in registers and not in arithmetic. Included
 * only by sources compiled with the flags of a level. Every function is the IEEE operation lane by lane. */
#ifndef MU_TENSOR_CPU_LANES_H
#define MU_TENSOR_CPU_LANES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define MU_LANES  16
#define MU_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define MU_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MU_UNROLL _Pragma("GCC unroll 16")
#endif

/* The name of a kernel of the level being compiled. */
#ifdef __AVX512F__
#define MU_LEVEL(kernel) mu_avx512_##kernel
#include "tensor/cpu/avx512/lanes_avx512.h"
#else
#define MU_LEVEL(kernel) mu_avx2_##kernel
#include "tensor/cpu/avx2/lanes_avx2.h"
#endif

/* Elements [i, i+16) of a row of n, zeros beyond its end. */
MU_INLINE v16 v16_load_row(const float *x, int64_t i, int64_t n)
{
    return n - i >= MU_LANES ? v16_load(x + i) : v16_loadn(x + i, (int)(n - i));
}

MU_INLINE void v16_store_row(float *y, int64_t i, int64_t n, v16 v)
{
    if (n - i >= MU_LANES)
        v16_store(y + i, v);
    else
        v16_storen(y + i, (int)(n - i), v);
}

#endif
