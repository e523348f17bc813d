/* dot_avx512.h - exact products of four int8 pairs a lane by VNNI
 *
 * vpdpbusd multiplies unsigned by signed bytes. The weights are made unsigned by an offset (int8: q + 128 by flipping
 * the sign bit; int4 is stored as q + 8), and the caller starts from -offset * sum(x), which is exact. */
#ifndef MU_TENSOR_CPU_DOT_AVX512_H
#define MU_TENSOR_CPU_DOT_AVX512_H

#define LANES_OFFSET_INT8 128
#define LANES_OFFSET_INT4 8

typedef __m512i lanes_w;

MU_INLINE lanes_w lanes_w_int8(const unsigned char *p)
{
    return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8((char)0x80));
}

/* The low (0) or high (1) halves of 64 bytes. */
MU_INLINE lanes_w lanes_w_int4(const unsigned char *p, int half)
{
    __m512i v = _mm512_loadu_si512(p);
    return _mm512_and_si512(half ? _mm512_srli_epi16(v, 4) : v, _mm512_set1_epi8(15));
}

MU_INLINE v16i lanes_dot_int8(v16i acc, lanes_w w, v16i x)
{
    return _mm512_dpbusd_epi32(acc, w, x);
}

MU_INLINE v16i lanes_dot_int4(v16i acc, lanes_w w, v16i x)
{
    return _mm512_dpbusd_epi32(acc, w, x);
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
    return offset;
}

MU_INLINE v16i lanes_end_int4(v16i acc, v16i offset)
{
    (void)offset;
    return acc;
}

#endif
