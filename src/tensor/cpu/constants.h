/* constants.h - the numbers of the elementary functions, shared by the scalar and the vector twin */
#ifndef MU_TENSOR_CPU_CONSTANTS_H
#define MU_TENSOR_CPU_CONSTANTS_H

#define MU_NAN_BITS 0x7fc00000u

/* exp: beyond HI the result is infinite, below LO it rounds to zero. ln2 = HI + LO, HI with 15 bits so that
 * n * HI is exact. e^r = 1 + r + r^2 (C0 + C1 r + ...) on +-ln2/2. */
#define MU_EXP_HI 89.0f
#define MU_EXP_LO (-104.0f)
#define MU_LOG2E  0x1.715476p+0f
#define MU_LN2_HI 0x1.62e4p-1f
#define MU_LN2_LO 0x1.7f7d1cp-20f
#define MU_EXP_C0 0x1.fffffcp-2f
#define MU_EXP_C1 0x1.555492p-3f
#define MU_EXP_C2 0x1.5558f2p-5f
#define MU_EXP_C3 0x1.123a1ep-7f
#define MU_EXP_C4 0x1.6a2402p-10f

/* tanh x = x + x^3 (C0 + C1 x^2 + ...) below SPLIT */
#define MU_TANH_SPLIT 0.625f
#define MU_TANH_C0    (-0x1.555534p-2f)
#define MU_TANH_C1    0x1.110768p-3f
#define MU_TANH_C2    (-0x1.b8444ap-5f)
#define MU_TANH_C3    0x1.5256dap-6f
#define MU_TANH_C4    (-0x1.76ac22p-8f)

/* erf x = x + x (S0 + S1 x^2 + ...) below SPLIT, else 1 - exp(B0 + B1 x + ...) */
#define MU_ERF_SPLIT 0.921875f
#define MU_ERF_HI    4.0f
#define MU_ERF_S0    0x1.06eba8p-3f
#define MU_ERF_S1    (-0x1.812744p-2f)
#define MU_ERF_S2    0x1.ce2e30p-4f
#define MU_ERF_S3    (-0x1.b811c2p-6f)
#define MU_ERF_S4    0x1.54e64cp-8f
#define MU_ERF_S5    (-0x1.ab48b6p-11f)
#define MU_ERF_S6    0x1.603a3ep-14f
#define MU_ERF_B0    0x1.70dc08p-13f
#define MU_ERF_B1    (-0x1.212848p+0f)
#define MU_ERF_B2    (-0x1.44446cp-1f)
#define MU_ERF_B3    (-0x1.bb9292p-4f)
#define MU_ERF_B4    0x1.9bb574p-6f
#define MU_ERF_B5    (-0x1.119774p-8f)
#define MU_ERF_B6    0x1.c85e16p-12f
#define MU_ERF_B7    (-0x1.630c64p-16f)

/* GELU: 1/sqrt(2), sqrt(2/pi), the cubic's coefficient; QuickGELU's slope */
#define MU_SQRT_HALF   0x1.6a09e6p-1f
#define MU_SQRT_2_PI   0x1.988454p-1f
#define MU_GELU_CUBIC  0.044715f
#define MU_QUICK_SLOPE 1.702f

#endif
