/* lanes_avx2.h - lanes.h on two 256-bit registers */
#ifndef MU_TENSOR_CPU_LANES_AVX2_H
#define MU_TENSOR_CPU_LANES_AVX2_H

typedef struct {
    __m256 lo, hi;
} v16;

typedef struct {
    __m256 lo, hi; /* all ones or all zeros a lane */
} m16;

typedef struct {
    __m256i lo, hi;
} v16i;

#define MU_V16(lo, hi)                                                                                                 \
    (v16)                                                                                                              \
    {                                                                                                                  \
        (lo), (hi)                                                                                                     \
    }

MU_INLINE v16 v16_zero(void)
{
    return MU_V16(_mm256_setzero_ps(), _mm256_setzero_ps());
}

MU_INLINE v16 v16_set(float x)
{
    __m256 v = _mm256_set1_ps(x);
    return MU_V16(v, v);
}

MU_INLINE v16 v16_iota(void)
{
    return MU_V16(_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_ps(8, 9, 10, 11, 12, 13, 14, 15));
}

MU_INLINE v16 v16_load(const float *p)
{
    return MU_V16(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}

MU_INLINE __m256i mu_first_lanes(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The first n lanes, others zero; memory beyond is not touched. */
MU_INLINE v16 v16_loadn(const float *p, int n)
{
    if (n <= 8)
        return MU_V16(_mm256_maskload_ps(p, mu_first_lanes(n)), _mm256_setzero_ps());
    return MU_V16(_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, mu_first_lanes(n - 8)));
}

MU_INLINE void v16_store(float *p, v16 a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}

MU_INLINE void v16_storen(float *p, int n, v16 a)
{
    _mm256_maskstore_ps(p, mu_first_lanes(n), a.lo);
    if (n > 8)
        _mm256_maskstore_ps(p + 8, mu_first_lanes(n - 8), a.hi);
}

MU_INLINE __m256 mu_bf16_half(const uint16_t *p)
{
    __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}

MU_INLINE v16 v16_from_bf16(const uint16_t *p)
{
    return MU_V16(mu_bf16_half(p), mu_bf16_half(p + 8));
}

MU_INLINE v16 v16_from_f16(const uint16_t *p)
{
    return MU_V16(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)),
                  _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 8))));
}

MU_INLINE __m256 mu_i8_half(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

MU_INLINE v16 v16_from_i8(const int8_t *p)
{
    return MU_V16(mu_i8_half(p), mu_i8_half(p + 8));
}

/* One bf16 in all lanes. */
MU_INLINE v16 v16_set_bf16(uint16_t x)
{
    __m256 v = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_set1_epi16((short)x), 16));
    return MU_V16(v, v);
}

MU_INLINE v16 v16_add(v16 a, v16 b)
{
    return MU_V16(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi));
}

MU_INLINE v16 v16_sub(v16 a, v16 b)
{
    return MU_V16(_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi));
}

MU_INLINE v16 v16_mul(v16 a, v16 b)
{
    return MU_V16(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi));
}

MU_INLINE v16 v16_div(v16 a, v16 b)
{
    return MU_V16(_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi));
}

/* a * b + c, rounded once */
MU_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return MU_V16(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}

/* -(a * b) + c, rounded once */
MU_INLINE v16 v16_fnma(v16 a, v16 b, v16 c)
{
    return MU_V16(_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi));
}

/* a > b ? a : b */
MU_INLINE v16 v16_max(v16 a, v16 b)
{
    return MU_V16(_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi));
}

/* a < b ? a : b */
MU_INLINE v16 v16_min(v16 a, v16 b)
{
    return MU_V16(_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi));
}

MU_INLINE v16 v16_abs(v16 a)
{
    __m256 bit = _mm256_set1_ps(-0.0f);
    return MU_V16(_mm256_andnot_ps(bit, a.lo), _mm256_andnot_ps(bit, a.hi));
}

MU_INLINE v16 v16_neg(v16 a)
{
    __m256 bit = _mm256_set1_ps(-0.0f);
    return MU_V16(_mm256_xor_ps(bit, a.lo), _mm256_xor_ps(bit, a.hi));
}

MU_INLINE v16 v16_copysign(v16 a, v16 sign)
{
    __m256 bit = _mm256_set1_ps(-0.0f);
    return MU_V16(_mm256_or_ps(_mm256_andnot_ps(bit, a.lo), _mm256_and_ps(bit, sign.lo)),
                  _mm256_or_ps(_mm256_andnot_ps(bit, a.hi), _mm256_and_ps(bit, sign.hi)));
}

/* To the nearest integer, ties to even. */
MU_INLINE v16 v16_round(v16 a)
{
    return MU_V16(_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                  _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

MU_INLINE m16 v16_lt(v16 a, v16 b)
{
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}

MU_INLINE m16 v16_ge(v16 a, v16 b)
{
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_GE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_GE_OQ)};
}

MU_INLINE m16 v16_eq(v16 a, v16 b)
{
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ)};
}

MU_INLINE m16 v16_is_nan(v16 a)
{
    return (m16){_mm256_cmp_ps(a.lo, a.lo, _CMP_UNORD_Q), _mm256_cmp_ps(a.hi, a.hi, _CMP_UNORD_Q)};
}

MU_INLINE m16 m16_and(m16 a, m16 b)
{
    return (m16){_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)};
}

/* Bit j: lane j is set. */
MU_INLINE unsigned m16_bits(m16 m)
{
    return (unsigned)_mm256_movemask_ps(m.lo) | (unsigned)_mm256_movemask_ps(m.hi) << 8;
}

/* a where m is set, else b */
MU_INLINE v16 v16_select(m16 m, v16 a, v16 b)
{
    return MU_V16(_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi));
}

MU_INLINE v16i v16_to_int(v16 a)
{
    return (v16i){_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
}

MU_INLINE v16 v16_from_int(v16i a)
{
    return MU_V16(_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi));
}

MU_INLINE v16i v16i_set(int32_t a)
{
    __m256i v = _mm256_set1_epi32(a);
    return (v16i){v, v};
}

MU_INLINE v16i v16i_add(v16i a, v16i b)
{
    return (v16i){_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}

MU_INLINE v16i v16i_sub(v16i a, v16i b)
{
    return (v16i){_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}

MU_INLINE v16i v16i_half(v16i a)
{
    return (v16i){_mm256_srai_epi32(a.lo, 1), _mm256_srai_epi32(a.hi, 1)};
}

MU_INLINE void v16i_store(int32_t *p, v16i a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, a.lo);
    _mm256_storeu_si256((__m256i *)(void *)(p + 8), a.hi);
}

/* The float whose bits are a << 23. */
MU_INLINE v16 v16_from_exponent(v16i a)
{
    return MU_V16(_mm256_castsi256_ps(_mm256_slli_epi32(a.lo, 23)), _mm256_castsi256_ps(_mm256_slli_epi32(a.hi, 23)));
}

/* Halves added: p[j] += p[j+8], then 4, 2, 1. */
MU_INLINE float v16_halve(v16 a)
{
    __m256 b = _mm256_add_ps(a.lo, a.hi);
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    c = _mm_add_ss(c, _mm_movehdup_ps(c));
    return _mm_cvtss_f32(c);
}

MU_INLINE float v16_max_lane(v16 a)
{
    __m256 b = _mm256_max_ps(a.lo, a.hi);
    __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_max_ps(c, _mm_movehl_ps(c, c));
    c = _mm_max_ss(c, _mm_movehdup_ps(c));
    return _mm_cvtss_f32(c);
}

/* Sixteen values of pairs to eight first and eight second members. */
MU_INLINE void mu_unzip_half(v16 a, __m256 *first, __m256 *second)
{
    __m256 e = _mm256_shuffle_ps(a.lo, a.hi, _MM_SHUFFLE(2, 0, 2, 0));
    __m256 o = _mm256_shuffle_ps(a.lo, a.hi, _MM_SHUFFLE(3, 1, 3, 1));
    *first = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(e), _MM_SHUFFLE(3, 1, 2, 0)));
    *second = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(o), _MM_SHUFFLE(3, 1, 2, 0)));
}

/* Thirty-two values of pairs to their first and second members, and back. */
MU_INLINE void v16_unzip(v16 a, v16 b, v16 *first, v16 *second)
{
    mu_unzip_half(a, &first->lo, &second->lo);
    mu_unzip_half(b, &first->hi, &second->hi);
}

MU_INLINE v16 mu_zip_half(__m256 first, __m256 second)
{
    __m256 l = _mm256_unpacklo_ps(first, second), h = _mm256_unpackhi_ps(first, second);
    return MU_V16(_mm256_permute2f128_ps(l, h, 0x20), _mm256_permute2f128_ps(l, h, 0x31));
}

MU_INLINE void v16_zip(v16 first, v16 second, v16 *a, v16 *b)
{
    *a = mu_zip_half(first.lo, second.lo);
    *b = mu_zip_half(first.hi, second.hi);
}

#endif
