/* dot_avx2.h - exact products of four int8 pairs a lane without VNNI
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits. int8: |w| times x with w's sign, at most
 * 2 * 127 * 127 = 32258, no overflow (values never reach -128). int4 is stored as q + 8, at most 2 * 15 * 127; the
 * caller starts from -8 * sum(x). */
#ifndef MU_TENSOR_CPU_DOT_AVX2_H
#define MU_TENSOR_CPU_DOT_AVX2_H

#define LANES_OFFSET_INT8 0
#define LANES_OFFSET_INT4 8

typedef v16i lanes_w;

MU_INLINE lanes_w lanes_w_int8(const unsigned char *p)
{
    const __m256i *v = (const __m256i *)(const void *)p;
    return (lanes_w){_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)};
}

/* The low (0) or high (1) halves of 64 bytes. */
MU_INLINE lanes_w lanes_w_int4(const unsigned char *p, int half)
{
    const __m256i *v = (const __m256i *)(const void *)p;
    __m256i lo = _mm256_loadu_si256(v), hi = _mm256_loadu_si256(v + 1), mask = _mm256_set1_epi8(15);
    if (half) {
        lo = _mm256_srli_epi16(lo, 4);
        hi = _mm256_srli_epi16(hi, 4);
    }
    return (lanes_w){_mm256_and_si256(lo, mask), _mm256_and_si256(hi, mask)};
}

MU_INLINE __m256i mu_dot_signed(__m256i acc, __m256i w, __m256i x)
{
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

MU_INLINE __m256i mu_dot_unsigned(__m256i acc, __m256i w, __m256i x)
{
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}

MU_INLINE v16i lanes_dot_int8(v16i acc, lanes_w w, v16i x)
{
    return (v16i){mu_dot_signed(acc.lo, w.lo, x.lo), mu_dot_signed(acc.hi, w.hi, x.hi)};
}

MU_INLINE v16i lanes_dot_int4(v16i acc, lanes_w w, v16i x)
{
    return (v16i){mu_dot_unsigned(acc.lo, w.lo, x.lo), mu_dot_unsigned(acc.hi, w.hi, x.hi)};
}

#endif
