/* dot_avx2.h - exact products of four int8 pairs a lane without VNNI
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits. int8: |w| times x with w's sign, at most
 * 2 * 127 * 127 = 32258, no overflow (values never reach -128). int4 is stored as q + 8, at most 2 * 15 * 127 a pair:
 * the eight pairs of a group's lane, 30480, are added in 16 bits, and -8 * sum(x) at the end. */
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

/* A sum stays as it is written: compilers regroup sums of integers into trees that registers cannot hold. */
MU_INLINE __m256i mu_kept(__m256i a)
{
    __asm__("" : "+x"(a));
    return a;
}

MU_INLINE __m256i mu_dot_signed(__m256i acc, __m256i w, __m256i x)
{
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return mu_kept(_mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
}

MU_INLINE __m256i mu_dot_unsigned(__m256i acc, __m256i w, __m256i x)
{
    return mu_kept(_mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x)));
}

MU_INLINE v16i lanes_dot_int8(v16i acc, lanes_w w, v16i x)
{
    return (v16i){mu_dot_signed(acc.lo, w.lo, x.lo), mu_dot_signed(acc.hi, w.hi, x.hi)};
}

MU_INLINE v16i lanes_dot_int4(v16i acc, lanes_w w, v16i x)
{
    return (v16i){mu_dot_unsigned(acc.lo, w.lo, x.lo), mu_dot_unsigned(acc.hi, w.hi, x.hi)};
}

/* A group's dots grow from begin; end makes them what they are. */
MU_INLINE v16i lanes_begin_int8(v16i offset)
{
    return offset;
}

MU_INLINE v16i lanes_end_int8(v16i acc, v16i offset)
{
    (void)offset;
    return acc;
}

MU_INLINE v16i lanes_begin_int4(v16i offset)
{
    (void)offset;
    return v16i_set(0);
}

MU_INLINE v16i lanes_end_int4(v16i acc, v16i offset)
{
    __m256i ones = _mm256_set1_epi16(1);
    return v16i_add(offset, (v16i){_mm256_madd_epi16(acc.lo, ones), _mm256_madd_epi16(acc.hi, ones)});
}

#endif
