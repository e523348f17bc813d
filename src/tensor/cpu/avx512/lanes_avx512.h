/* lanes_avx512.h - lanes.h on one 512-bit register */
#ifndef MU_TENSOR_CPU_LANES_AVX512_H
#define MU_TENSOR_CPU_LANES_AVX512_H

typedef __m512 v16;
typedef __mmask16 m16;
typedef __m512i v16i;

MU_INLINE v16 v16_zero(void)
{
    return _mm512_setzero_ps();
}

MU_INLINE v16 v16_set(float x)
{
    return _mm512_set1_ps(x);
}

MU_INLINE v16 v16_iota(void)
{
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

MU_INLINE v16 v16_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

/* The first n lanes, others zero; memory beyond is not touched. */
MU_INLINE v16 v16_loadn(const float *p, int n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

MU_INLINE void v16_store(float *p, v16 a)
{
    _mm512_storeu_ps(p, a);
}

MU_INLINE void v16_storen(float *p, int n, v16 a)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
}

MU_INLINE v16 v16_from_bf16(const uint16_t *p)
{
    __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}

MU_INLINE v16 v16_from_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

MU_INLINE v16 v16_from_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

/* One bf16 in all lanes. */
MU_INLINE v16 v16_set_bf16(uint16_t x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_set1_epi16((short)x), 16));
}

MU_INLINE v16 v16_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}

MU_INLINE v16 v16_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}

MU_INLINE v16 v16_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}

MU_INLINE v16 v16_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}

/* a * b + c, rounded once */
MU_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* -(a * b) + c, rounded once */
MU_INLINE v16 v16_fnma(v16 a, v16 b, v16 c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* a > b ? a : b */
MU_INLINE v16 v16_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}

/* a < b ? a : b */
MU_INLINE v16 v16_min(v16 a, v16 b)
{
    return _mm512_min_ps(a, b);
}

MU_INLINE v16 v16_abs(v16 a)
{
    return _mm512_abs_ps(a);
}

MU_INLINE v16 v16_neg(v16 a)
{
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}

MU_INLINE v16 v16_copysign(v16 a, v16 sign)
{
    __m512 bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, a), _mm512_and_ps(bit, sign));
}

/* To the nearest integer, ties to even. */
MU_INLINE v16 v16_round(v16 a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

MU_INLINE m16 v16_lt(v16 a, v16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

MU_INLINE m16 v16_ge(v16 a, v16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}

MU_INLINE m16 v16_eq(v16 a, v16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

MU_INLINE m16 v16_is_nan(v16 a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}

MU_INLINE m16 m16_and(m16 a, m16 b)
{
    return (m16)(a & b);
}

/* Bit j: lane j is set. */
MU_INLINE unsigned m16_bits(m16 m)
{
    return m;
}

/* a where m is set, else b */
MU_INLINE v16 v16_select(m16 m, v16 a, v16 b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

MU_INLINE v16i v16_to_int(v16 a)
{
    return _mm512_cvtps_epi32(a);
}

MU_INLINE v16 v16_from_int(v16i a)
{
    return _mm512_cvtepi32_ps(a);
}

MU_INLINE v16i v16i_set(int32_t a)
{
    return _mm512_set1_epi32(a);
}

MU_INLINE v16i v16i_add(v16i a, v16i b)
{
    return _mm512_add_epi32(a, b);
}

MU_INLINE v16i v16i_sub(v16i a, v16i b)
{
    return _mm512_sub_epi32(a, b);
}

MU_INLINE v16i v16i_half(v16i a)
{
    return _mm512_srai_epi32(a, 1);
}

MU_INLINE void v16i_store(int32_t *p, v16i a)
{
    _mm512_storeu_si512(p, a);
}

/* The float whose bits are a << 23. */
MU_INLINE v16 v16_from_exponent(v16i a)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(a, 23));
}

/* Halves added: p[j] += p[j+8], then 4, 2, 1. */
MU_INLINE float v16_halve(v16 a)
{
    __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    c = _mm_add_ss(c, _mm_movehdup_ps(c));
    return _mm_cvtss_f32(c);
}

MU_INLINE float v16_max_lane(v16 a)
{
    return _mm512_reduce_max_ps(a);
}

/* Thirty-two values of pairs to their first and second members, and back. */
MU_INLINE void v16_unzip(v16 a, v16 b, v16 *first, v16 *second)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *first = _mm512_permutex2var_ps(a, even, b);
    *second = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
}

MU_INLINE void v16_zip(v16 first, v16 second, v16 *a, v16 *b)
{
    const __m512i lo = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *a = _mm512_permutex2var_ps(first, lo, second);
    *b = _mm512_permutex2var_ps(first, _mm512_add_epi32(lo, _mm512_set1_epi32(8)), second);
}

#endif
