/* transpose.c - 16-bit columns side by side; SSE2 where the compiler has it (all of x86-64) */
#include "tensor/matrix_int.h"
#include "tensor/pack_int.h"

static void transpose_plain(uint16_t *dst, const uint16_t *src, int64_t ld, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        for (int lane = 0; lane < MU_PANEL; lane++)
            dst[k * MU_PANEL + lane] = src[lane * ld + k];
}

#ifdef __SSE2__
#include <emmintrin.h>

/* Eight rows of eight: three rounds of interleaving. */
static void transpose_8x8(uint16_t *dst, const uint16_t *src, int64_t ld)
{
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm_loadu_si128((const __m128i *)(const void *)(src + i * ld));
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
}

void mu_transpose16(uint16_t *dst, const uint16_t *src, int64_t ld, int64_t n)
{
    int64_t k = 0;
    for (; k + 8 <= n; k += 8) {
        transpose_8x8(dst + k * MU_PANEL, src + k, ld);
        transpose_8x8(dst + k * MU_PANEL + 8, src + 8 * ld + k, ld);
    }
    transpose_plain(dst + k * MU_PANEL, src + k, ld, n - k);
}
#else
void mu_transpose16(uint16_t *dst, const uint16_t *src, int64_t ld, int64_t n)
{
    transpose_plain(dst, src, ld, n);
}
#endif
