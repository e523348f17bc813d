/* transpose.c - 16-bit columns side by side; SSE2 where the compiler has it (all of x86-64) */
#include <string.h>

#include "base/check.h"
#include "tensor/matrix_int.h"
#include "tensor/pack_int.h"

#define MAGNITUDE 0x7fff

static uint16_t transpose_plain(uint16_t *dst, const unsigned char *src, int64_t ld, int64_t n)
{
    uint16_t largest = 0, v;
    for (int64_t k = 0; k < n; k++)
        for (int lane = 0; lane < MU_PANEL; lane++) {
            memcpy(&v, src + (lane * ld + k) * 2, 2);
            dst[k * MU_PANEL + lane] = v;
            largest = MU_MAX(largest, (uint16_t)(v & MAGNITUDE));
        }
    return largest;
}

#ifdef __SSE2__
#include <emmintrin.h>

/* Eight rows of eight: three rounds of interleaving. */
static inline __m128i transpose_8x8(uint16_t *dst, const unsigned char *src, int64_t ld, __m128i largest)
{
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++) {
        a[i] = _mm_loadu_si128((const __m128i *)(const void *)(src + i * ld * 2));
        largest = _mm_max_epi16(largest, _mm_and_si128(a[i], _mm_set1_epi16(MAGNITUDE)));
    }
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
        a[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 8; i++)
        _mm_storeu_si128((__m128i *)(void *)(dst + i * MU_PANEL), b[i]);
    return largest;
}

/* Half of the lanes, then the other: rows a power of two apart share a set of the first cache, which holds eight. */
uint16_t mu_transpose16(uint16_t *dst, const void *src, int64_t ld, int64_t n)
{
    const unsigned char *from = src;
    int64_t whole = n / 8 * 8;
    __m128i largest = _mm_setzero_si128();
    uint16_t lane[8];

    for (int half = 0; half < 2; half++)
        for (int64_t k = 0; k < whole; k += 8)
            largest = transpose_8x8(dst + k * MU_PANEL + 8 * half, from + (8 * half * ld + k) * 2, ld, largest);
    memcpy(lane, &largest, sizeof lane);
    uint16_t most = transpose_plain(dst + whole * MU_PANEL, from + whole * 2, ld, n - whole);
    for (int i = 0; i < 8; i++)
        most = MU_MAX(most, lane[i]);
    return most;
}
#else
uint16_t mu_transpose16(uint16_t *dst, const void *src, int64_t ld, int64_t n)
{
    return transpose_plain(dst, src, ld, n);
}
#endif
