/* test_dtype.c - every value of the small types, and rounding against a plain definition */
#include "base/dtype.h"

#include <stdlib.h>

#include "xt.h"

static uint32_t bits_of(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

/* A float of `exponent_bits` and `fraction_bits` by its definition; NaN and infinity not asked for. */
static double small_float(unsigned v, int exponent_bits, int fraction_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(v >> fraction_bits & ((1u << exponent_bits) - 1));
    double fraction = (double)(v & ((1u << fraction_bits) - 1)) / (1 << fraction_bits);
    double mag = exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);
    return v >> (exponent_bits + fraction_bits) & 1 ? -mag : mag;
}

XT_TEST(every_f16_and_back)
{
    for (unsigned v = 0; v < 65536; v++) {
        float f = mu_f16_to_f32((uint16_t)v);
        if ((v & 0x7fff) > 0x7c00) {
            XT_CHECK(isnan(f) && (mu_f32_to_f16(f) & 0x7fff) > 0x7c00);
            continue;
        }
        double want = (v & 0x7fff) == 0x7c00 ? (v >> 15 ? -INFINITY : INFINITY) : small_float(v, 5, 10);
        XT_CHECKF((double)f == want && !!signbit(f) == (int)(v >> 15), "f16 %04x is %g", v, (double)f);
        XT_EQ(mu_f32_to_f16(f), v);
    }
}

XT_TEST(every_bf16_and_back)
{
    for (unsigned v = 0; v < 65536; v++) {
        float f = mu_bf16_to_f32((uint16_t)v);
        XT_EQ(bits_of(f), v << 16);
        if (isnan(f))
            XT_CHECK((mu_f32_to_bf16(f) & 0x7fff) > 0x7f80);
        else
            XT_EQ(mu_f32_to_bf16(f), v);
    }
}

XT_TEST(every_f8)
{
    for (unsigned v = 0; v < 256; v++) {
        float a = mu_f8e4m3_to_f32((uint8_t)v), b = mu_f8e5m2_to_f32((uint8_t)v);
        if ((v & 0x7f) == 0x7f)
            XT_CHECK(isnan(a));
        else
            XT_CHECKF((double)a == small_float(v, 4, 3), "e4m3 %02x is %g", v, (double)a);
        if ((v & 0x7f) > 0x7c)
            XT_CHECK(isnan(b));
        else if ((v & 0x7f) == 0x7c)
            XT_CHECK(isinf(b));
        else
            XT_CHECKF((double)b == small_float(v, 5, 2), "e5m2 %02x is %g", v, (double)b);
    }
    XT_CHECK(mu_f8e4m3_to_f32(0x7e) == 448.0f);
}

/* Round to nearest even: the midpoint of two neighbours goes to the even one, its neighbours to the near one. */
XT_TEST(narrowing_rounds_to_nearest_even)
{
    for (unsigned v = 0; v < 0x7bff; v++) {
        float lo = mu_f16_to_f32((uint16_t)v), hi = mu_f16_to_f32((uint16_t)(v + 1)), mid = (lo + hi) / 2;
        XT_EQ(mu_f32_to_f16(mid), v + (v & 1));
        XT_EQ(mu_f32_to_f16(nextafterf(mid, 0)), v);
        XT_EQ(mu_f32_to_f16(-nextafterf(mid, INFINITY)), (v + 1) | 0x8000);
    }
    for (unsigned v = 0; v < 0x7f7f; v++) {
        uint32_t mid = v << 16 | 0x8000;
        float f;
        memcpy(&f, &mid, sizeof f);
        XT_EQ(mu_f32_to_bf16(f), v + (v & 1));
        XT_EQ(mu_f32_to_bf16(nextafterf(f, 0)), v);
        XT_EQ(mu_f32_to_bf16(nextafterf(f, INFINITY)), v + 1);
    }
    XT_EQ(mu_f32_to_f16(65519.996f), 0x7bff);
    XT_EQ(mu_f32_to_f16(65520.0f), 0x7c00);
    XT_EQ(mu_f32_to_f16(-INFINITY), 0xfc00);
    XT_EQ(mu_f32_to_f16(0x1p-25f), 0);
    XT_EQ(mu_f32_to_bf16(INFINITY), 0x7f80);
    XT_EQ(mu_f32_to_bf16(3.4e38f), 0x7f80);
}

XT_TEST(runs_equal_scalars_at_any_address)
{
    unsigned char raw[1 + 8 * 37];
    float got[37];
    uint64_t seed = 7;
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (unsigned char)xt_rand(&seed);
    mu_to_f32(got, raw + 1, MU_F16, 37);
    for (int i = 0; i < 37; i++) {
        uint16_t v;
        memcpy(&v, raw + 1 + 2 * i, 2);
        XT_EQ(bits_of(got[i]), bits_of(mu_f16_to_f32(v)));
    }
    mu_to_f32(got, raw + 1, MU_I32, 37);
    for (int i = 0; i < 37; i++) {
        int32_t v;
        memcpy(&v, raw + 1 + 4 * i, 4);
        XT_CHECK(got[i] == (float)v);
    }
    mu_to_f32(got, raw + 1, MU_I8, 37);
    XT_CHECK(got[36] == (float)(int8_t)raw[37]);
    mu_to_f32(got, raw + 1, MU_BF16, 0); /* nothing read, nothing written */
}

XT_TEST(names_and_sizes)
{
    enum mu_dtype t;
    uint64_t bytes;
    for (int i = 0; i < MU_DTYPE_N; i++) {
        XT_CHECK(mu_dtype_from_name(&t, mu_dtype_name((enum mu_dtype)i)));
        XT_EQ(t, i);
        if (mu_dtype_safetensors_name((enum mu_dtype)i)) {
            XT_CHECK(mu_dtype_from_name(&t, mu_dtype_safetensors_name((enum mu_dtype)i)));
            XT_EQ(t, i);
        }
    }
    XT_CHECK(!mu_dtype_from_name(&t, "F4") && !mu_dtype_from_name(&t, ""));
    XT_CHECK(mu_dtype_bytes(MU_Q4_K, 512, &bytes) && bytes == 288);
    XT_CHECK(!mu_dtype_bytes(MU_Q4_K, 300, &bytes));
    XT_CHECK(!mu_dtype_bytes(MU_F64, UINT64_MAX / 4, &bytes));
    XT_CHECK(!mu_dtype_bytes(MU_DTYPE_N, 1, &bytes));
    XT_CHECK(mu_dtype_is_float(MU_F8_E5M2) && !mu_dtype_is_float(MU_I8) && !mu_dtype_is_float(MU_DTYPE_N));
    XT_STREQ(mu_dtype_name(MU_DTYPE_N), "unsupported");
}

XT_MAIN()
