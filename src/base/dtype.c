/* dtype.c - element types: the table, and every way to f32 and back
 *
 * Scalars are converted by plain branch-free expressions that compilers turn into vectors. The block types follow the
 * layouts of ggml's block_q8_0, block_q4_0, block_q4_K and block_q6_K; their products are taken in the same order as
 * the reference dequantisation, so values agree bit for bit.
 *
 * Always true: src may lie at any address; nothing here reads past n elements. */
#include "base/dtype.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

struct dtype_row {
    const char *safetensors_name;
    const char *name;
    uint16_t block_elems;
    uint16_t block_bytes;
};

static const struct dtype_row rows[MU_DTYPE_N] = {
#define ROW(name, st, lower, elems, bytes) [MU_##name] = {st, lower, elems, bytes},
    MU_DTYPE_MAP(ROW)
#undef ROW
};

const char *mu_dtype_name(enum mu_dtype t)
{
    return (unsigned)t < MU_DTYPE_N ? rows[t].name : "unsupported";
}

const char *mu_dtype_safetensors_name(enum mu_dtype t)
{
    return (unsigned)t < MU_DTYPE_N ? rows[t].safetensors_name : NULL;
}

bool mu_dtype_from_name(enum mu_dtype *out, const char *name)
{
    for (unsigned t = 0; t < MU_DTYPE_N; t++) {
        const char *st = rows[t].safetensors_name;
        if (strcmp(name, rows[t].name) != 0 && (!st || strcmp(name, st) != 0))
            continue;
        *out = (enum mu_dtype)t;
        return true;
    }
    return false;
}

size_t mu_dtype_block_elems(enum mu_dtype t)
{
    return (unsigned)t < MU_DTYPE_N ? rows[t].block_elems : 1;
}

size_t mu_dtype_block_bytes(enum mu_dtype t)
{
    return (unsigned)t < MU_DTYPE_N ? rows[t].block_bytes : 0;
}

bool mu_dtype_is_float(enum mu_dtype t)
{
    switch (t) {
    case MU_F64:
    case MU_F32:
    case MU_F16:
    case MU_BF16:
    case MU_F8_E4M3:
    case MU_F8_E5M2:
    case MU_Q8_0:
    case MU_Q4_0:
    case MU_Q4_K:
    case MU_Q6_K:
        return true;
    default:
        return false;
    }
}

bool mu_dtype_bytes(enum mu_dtype t, uint64_t n, uint64_t *bytes)
{
    if ((unsigned)t >= MU_DTYPE_N || n % rows[t].block_elems != 0)
        return false;
    return !__builtin_mul_overflow(n / rows[t].block_elems, (uint64_t)rows[t].block_bytes, bytes);
}

/* ---- scalars ---- */

static inline float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline uint32_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

float mu_bf16_to_f32(uint16_t v)
{
    return float_of((uint32_t)v << 16);
}

/* Normal numbers: move the exponent from bias 15 to 127. Subnormals m * 2^-24: put m below the leading one of 2^-14
 * and take 2^-14 away, which is exact. Infinity and NaN: exponent of all ones. */
static inline float f16_to_f32(uint16_t v)
{
    const uint32_t two_to_minus_14 = 113u << 23;
    uint32_t mag = (uint32_t)(v & 0x7fffu) << 13, sign = (uint32_t)(v & 0x8000u) << 16;
    uint32_t normal = mag + (112u << 23);
    uint32_t subnormal = bits_of(float_of(two_to_minus_14 + mag) - float_of(two_to_minus_14));
    uint32_t special = mag | 0x7f800000u;
    uint32_t bits = mag < (1u << 23) ? subnormal : normal;
    bits = mag >= (31u << 23) ? special : bits;
    return float_of(bits | sign);
}

float mu_f16_to_f32(uint16_t v)
{
    return f16_to_f32(v);
}

/* As f16_to_f32 with bias 7 and three bits of fraction; the one NaN is all ones. */
static inline float f8e4m3_to_f32(uint8_t v)
{
    const uint32_t two_to_minus_6 = 121u << 23;
    uint32_t mag = (uint32_t)(v & 0x7fu) << 20, sign = (uint32_t)(v & 0x80u) << 24;
    uint32_t normal = mag + (120u << 23);
    uint32_t subnormal = bits_of(float_of(two_to_minus_6 + mag) - float_of(two_to_minus_6));
    uint32_t bits = mag < (1u << 23) ? subnormal : normal;
    bits = (v & 0x7fu) == 0x7fu ? 0x7fc00000u : bits;
    return float_of(bits | sign);
}

float mu_f8e4m3_to_f32(uint8_t v)
{
    return f8e4m3_to_f32(v);
}

/* E5M2 is the upper byte of an f16. */
static inline float f8e5m2_to_f32(uint8_t v)
{
    return f16_to_f32((uint16_t)(v << 8));
}

float mu_f8e5m2_to_f32(uint8_t v)
{
    return f8e5m2_to_f32(v);
}

uint16_t mu_f32_to_bf16(float v)
{
    uint32_t bits = bits_of(v);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uint32_t nan = bits >> 16 | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

/* Below 2^-14 the spacing of f16 is 2^-24: adding 0.5 makes f32's own rounding happen at that bit. */
uint16_t mu_f32_to_f16(float v)
{
    uint32_t bits = bits_of(v), sign = bits >> 16 & 0x8000u, mag = bits & 0x7fffffffu;
    if (mag > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (mag >= 0x477ff000u) /* 65520, half way from the largest f16 to the next power of two */
        return (uint16_t)(sign | 0x7c00u);
    if (mag < (113u << 23))
        return (uint16_t)(sign | (bits_of(float_of(mag) + 0.5f) - bits_of(0.5f)));
    return (uint16_t)(sign | ((mag - (112u << 23) + 0xfffu + (mag >> 13 & 1u)) >> 13));
}

/* ---- runs of scalars ---- */

static inline uint16_t load_u16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#define RUN(fn, type, expr)                                                                                            \
    static void fn(float *restrict dst, const unsigned char *restrict src, size_t n)                                   \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++) {                                                                               \
            type v;                                                                                                    \
            memcpy(&v, src + i * sizeof v, sizeof v);                                                                  \
            dst[i] = (expr);                                                                                           \
        }                                                                                                              \
    }

RUN(run_f64, double, (float)v)
RUN(run_f16, uint16_t, f16_to_f32(v))
RUN(run_bf16, uint16_t, float_of((uint32_t)v << 16))
RUN(run_f8_e4m3, uint8_t, f8e4m3_to_f32(v))
RUN(run_f8_e5m2, uint8_t, f8e5m2_to_f32(v))
RUN(run_i64, int64_t, (float)v)
RUN(run_i32, int32_t, (float)v)
RUN(run_i16, int16_t, (float)v)
RUN(run_i8, int8_t, (float)v)
RUN(run_u64, uint64_t, (float)v)
RUN(run_u32, uint32_t, (float)v)
RUN(run_u16, uint16_t, (float)v)
RUN(run_u8, uint8_t, (float)v)
RUN(run_bool, uint8_t, v ? 1.0f : 0.0f)
#undef RUN

static void run_f32(float *restrict dst, const unsigned char *restrict src, size_t n)
{
    if (n)
        memcpy(dst, src, n * sizeof *dst);
}

/* ---- ggml blocks ---- */

/* | d f16 | 32 x int8 |   y = d * q */
static void run_q8_0(float *restrict dst, const unsigned char *restrict src, size_t n)
{
    for (size_t b = 0; b < n / 32; b++, src += 34, dst += 32) {
        float d = f16_to_f32(load_u16(src));
        for (int i = 0; i < 32; i++)
            dst[i] = d * (float)(int8_t)src[2 + i];
    }
}

/* | d f16 | 16 x two nibbles |   low nibbles are elements 0..15, high nibbles 16..31; y = d * (q - 8) */
static void run_q4_0(float *restrict dst, const unsigned char *restrict src, size_t n)
{
    for (size_t b = 0; b < n / 32; b++, src += 18, dst += 32) {
        float d = f16_to_f32(load_u16(src));
        for (int i = 0; i < 16; i++) {
            dst[i] = d * (float)((src[2 + i] & 15) - 8);
            dst[i + 16] = d * (float)((src[2 + i] >> 4) - 8);
        }
    }
}

/* The 12 scale bytes of a Q4_K block hold eight 6-bit scales and eight 6-bit minima: the first four of each in the low
 * bits of bytes 0..3 and 4..7; of the last four, the low nibbles in bytes 8..11 and the top two bits above the first.
 */
static void q4_k_scale(const unsigned char *s, int j, float *scale, float *min)
{
    if (j < 4) {
        *scale = (float)(s[j] & 63);
        *min = (float)(s[j + 4] & 63);
    } else {
        *scale = (float)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *min = (float)((s[j + 4] >> 4) | (s[j] >> 6) << 4);
    }
}

/* | d f16 | dmin f16 | scales 12 | 128 x two nibbles |   8 groups of 32; y = d*scale * q - dmin*min. Each 32 bytes
 * of nibbles hold two groups: the low nibbles, then the high ones. */
static void run_q4_k(float *restrict dst, const unsigned char *restrict src, size_t n)
{
    for (size_t b = 0; b < n / 256; b++, src += 144) {
        float d = f16_to_f32(load_u16(src)), dmin = f16_to_f32(load_u16(src + 2));
        const unsigned char *q = src + 16;
        for (int j = 0; j < 8; j++, dst += 32) {
            float scale, min;
            q4_k_scale(src + 4, j, &scale, &min);
            scale *= d;
            min *= dmin;
            const unsigned char *group = q + 32 * (j / 2);
            int shift = 4 * (j & 1);
            for (int i = 0; i < 32; i++)
                dst[i] = scale * (float)(group[i] >> shift & 15) - min;
        }
    }
}

/* | low nibbles 128 | high pairs of bits 64 | 16 x int8 scales | d f16 |   16 groups of 16; y = d*scale * (q - 32).
 * Each half of the block (128 elements) is four runs of 32: run r takes its nibbles from bytes 32*(r&1).., the upper
 * ones for r >= 2, and bits 2r.. of the pairs. */
static void run_q6_k(float *restrict dst, const unsigned char *restrict src, size_t n)
{
    for (size_t b = 0; b < n / 256; b++, src += 210) {
        float d = f16_to_f32(load_u16(src + 208));
        for (int run = 0; run < 8; run++, dst += 32) {
            int half = run / 4, r = run % 4;
            const unsigned char *low = src + 64 * half + 32 * (r & 1), *high = src + 128 + 32 * half;
            const unsigned char *scales = src + 192 + 8 * half + 2 * r;
            float group[2] = {d * (float)(int8_t)scales[0], d * (float)(int8_t)scales[1]};
            int low_shift = 4 * (r / 2), high_shift = 2 * r;
            for (int i = 0; i < 32; i++) {
                int q = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
                dst[i] = group[i / 16] * (float)(q - 32);
            }
        }
    }
}

void mu_to_f32(float *dst, const void *src, enum mu_dtype t, size_t n)
{
    static void (*const run[MU_DTYPE_N])(float *restrict, const unsigned char *restrict, size_t) = {
        [MU_F64] = run_f64,         [MU_F32] = run_f32,         [MU_F16] = run_f16,   [MU_BF16] = run_bf16,
        [MU_F8_E4M3] = run_f8_e4m3, [MU_F8_E5M2] = run_f8_e5m2, [MU_I64] = run_i64,   [MU_I32] = run_i32,
        [MU_I16] = run_i16,         [MU_I8] = run_i8,           [MU_U64] = run_u64,   [MU_U32] = run_u32,
        [MU_U16] = run_u16,         [MU_U8] = run_u8,           [MU_BOOL] = run_bool, [MU_Q8_0] = run_q8_0,
        [MU_Q4_0] = run_q4_0,       [MU_Q4_K] = run_q4_k,       [MU_Q6_K] = run_q6_k};
    if ((unsigned)t < MU_DTYPE_N)
        run[t](dst, src, n);
}
