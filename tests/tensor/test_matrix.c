/* test_matrix.c - packing: round trips, the quantisation rule, what is refused */
#include "tensor_test.h"

#include <stdio.h>

#include "tensor/matrix_int.h"

struct shape {
    int64_t n_out, n_in, tile_k;
};

static const struct shape shapes[] = {{1, 1, 4},    {16, 32, 32},   {17, 33, 12},  {70, 100, 20},
                                      {31, 257, 4}, {33, 640, 128}, {48, 172, 172}};

static void make_source(float *w, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        w[i] = xt_randf(&seed) * (i % 11 == 0 ? 1e-3f : 1.0f);
    if (n > 3)
        w[3] = 0x1p-130f;
}

XT_TEST(float_formats_round_trip)
{
    for (size_t i = 0; i < MU_COUNT(shapes); i++) {
        const struct shape *s = &shapes[i];
        float *w = tt_alloc((size_t)(s->n_out * s->n_in) * 4), *row = tt_alloc((size_t)s->n_in * 4);
        make_source(w, s->n_out * s->n_in, i);
        for (int f = MU_WF32; f <= MU_WF16; f++) {
            struct mu_matrix m = tt_matrix((enum mu_wformat)f, s->n_out, s->n_in, s->tile_k, w, NULL);
            for (int64_t r = 0; r < s->n_out; r++) {
                mu_matrix_row(&m, r, row);
                for (int64_t k = 0; k < s->n_in; k++) {
                    float v = w[r * s->n_in + k];
                    float want = f == MU_WF32    ? v
                                 : f == MU_WBF16 ? mu_bf16_to_f32(mu_f32_to_bf16(v))
                                                 : mu_f16_to_f32(mu_f32_to_f16(v));
                    XT_CHECKF(memcmp(&want, &row[k], 4) == 0, "%s row %d column %d is %a, not %a",
                              mu_wformat_name((enum mu_wformat)f), (int)r, (int)k, (double)row[k], (double)want);
                }
            }
        }
        tt_free_all();
    }
}

/* 16-bit sources into their own format move bits; every source dtype gives what its f32 values give. */
XT_TEST(sources_of_16_bits)
{
    for (size_t i = 0; i < MU_COUNT(shapes); i++) {
        const struct shape *s = &shapes[i];
        int64_t n = s->n_out * s->n_in, ld = s->n_in + 1;
        float *w = tt_alloc((size_t)n * 4);
        unsigned char *raw = tt_alloc((size_t)(s->n_out * ld) * 2 + 1);
        make_source(w, n, i + 50);
        for (int t = 0; t < 2; t++) {
            enum mu_dtype type = t ? MU_F16 : MU_BF16;
            for (int64_t k = 0; k < n; k++) {
                uint16_t h = t ? mu_f32_to_f16(w[k]) : mu_f32_to_bf16(w[k]);
                memcpy(raw + 1 + (k / s->n_in * ld + k % s->n_in) * 2, &h, 2); /* odd address, padded rows */
                w[k] = t ? mu_f16_to_f32(h) : mu_bf16_to_f32(h);
            }
            for (int f = 0; f < MU_WFORMAT_N; f++) {
                struct mu_err err = MU_ERR_INIT;
                struct mu_matrix a = tt_matrix((enum mu_wformat)f, s->n_out, s->n_in, s->tile_k, w, NULL), b = a;
                size_t data, scales;
                mu_matrix_bytes((enum mu_wformat)f, s->n_out, s->n_in, s->tile_k, &data, &scales);
                b.data = tt_alloc(data);
                memset(b.data, 0xa5, data);
                b.scale = scales ? tt_alloc(scales) : NULL;
                XT_OK(mu_matrix_pack_from(&b, 0, s->n_out, raw + 1, type, ld, &err));
                float *ra = tt_alloc((size_t)s->n_in * 4), *rb = tt_alloc((size_t)s->n_in * 4);
                for (int64_t r = 0; r < s->n_out; r++) {
                    mu_matrix_row(&a, r, ra);
                    mu_matrix_row(&b, r, rb);
                    XT_CHECK(memcmp(ra, rb, (size_t)s->n_in * 4) == 0);
                }
            }
        }
        tt_free_all();
    }
}

/* Nearest multiple of max|w| / q_max in every group of every tile; padding lanes and slots are zero. */
XT_TEST(quantisation_rule)
{
    for (size_t i = 0; i < MU_COUNT(shapes); i++) {
        const struct shape *s = &shapes[i];
        struct mu_cut c = mu_cut_of(s->n_in, s->tile_k);
        float *w = tt_alloc((size_t)(s->n_out * s->n_in) * 4);
        make_source(w, s->n_out * s->n_in, i + 9);
        for (int f = MU_WINT8; f <= MU_WINT4; f++) {
            double q_max = f == MU_WINT8 ? 127 : 7;
            struct mu_matrix m = tt_matrix((enum mu_wformat)f, s->n_out, s->n_in, s->tile_k, w, NULL);
            float *row = tt_alloc((size_t)s->n_in * 4);
            for (int64_t r = 0; r < s->n_out; r++) {
                mu_matrix_row(&m, r, row);
                for (int64_t g = 0; g < c.n_groups; g++) {
                    int64_t n, begin = mu_group_begin(&c, g, &n);
                    double max = 0;
                    for (int64_t k = begin; k < begin + n; k++)
                        max = fmax(max, fabs((double)w[r * s->n_in + k]));
                    for (int64_t k = begin; k < begin + n; k++)
                        XT_NEAR(row[k], w[r * s->n_in + k], max / q_max * 0.500001 + 0x1p-148);
                }
            }
            int64_t last = (s->n_out - 1) / MU_PANEL * c.n_groups;
            for (int64_t lane = s->n_out % MU_PANEL; lane > 0 && lane < MU_PANEL; lane++)
                for (int64_t k = 0; k < MU_GROUP_K; k++)
                    XT_EQ(mu_matrix_quant(m.format, (unsigned char *)m.data + (size_t)last * mu_group_bytes(m.format),
                                          k, (int)lane),
                          0);
        }
        tt_free_all();
    }
}

XT_TEST(ties_go_to_even_and_zero_groups_stay_zero)
{
    float w[64] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f}, row[64]; /* scale 1; the second group is all zero */
    struct mu_matrix m = tt_matrix(MU_WINT8, 1, 64, 64, w, NULL);
    const float want[6] = {127, 0, 2, 2, 0, -2};
    mu_matrix_row(&m, 0, row);
    for (int k = 0; k < 6; k++)
        XT_CHECK(row[k] == want[k]);
    for (int k = 6; k < 64; k++)
        XT_CHECK(row[k] == 0);
    XT_CHECK(m.scale[0] == 1 && m.scale[MU_PANEL] == 0);
    tt_free_all();
}

XT_TEST(panels_can_be_packed_apart)
{
    enum { OUT = 50, IN = 70 };
    float *w = tt_alloc(OUT * IN * 4);
    make_source(w, OUT * IN, 4);
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_matrix a = tt_matrix((enum mu_wformat)f, OUT, IN, 24, w, NULL), b = a;
        size_t data, scales;
        mu_matrix_bytes(a.format, OUT, IN, 24, &data, &scales);
        b.data = tt_alloc(data);
        b.scale = scales ? tt_alloc(scales) : NULL;
        XT_OK(mu_matrix_pack(&b, 32, 18, w + 32 * IN, IN, &err));
        XT_OK(mu_matrix_pack(&b, 0, 16, w, IN, &err));
        XT_OK(mu_matrix_pack(&b, 16, 16, w + 16 * IN, IN, &err));
        XT_CHECK(memcmp(a.data, b.data, data) == 0 && (!scales || memcmp(a.scale, b.scale, scales) == 0));
    }
    tt_free_all();
}

/* Runs of 1, 2, 3 ... rows, which begin and end inside panels, in both orders, over memory that is not zero. */
XT_TEST(runs_of_any_rows_can_be_packed_apart)
{
    enum { OUT = 50, IN = 70 };
    uint16_t *half = tt_alloc(OUT * IN * 2);
    float *w = tt_alloc(OUT * IN * 4);
    make_source(w, OUT * IN, 4);
    for (int i = 0; i < OUT * IN; i++) {
        half[i] = mu_f32_to_bf16(w[i]);
        w[i] = mu_bf16_to_f32(half[i]);
    }
    for (int f = 0; f < MU_WFORMAT_N * 4; f++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_matrix a = tt_matrix((enum mu_wformat)(f / 4), OUT, IN, 24, w, NULL), b = a;
        bool is_backwards = f % 2, is_bf16 = f / 2 % 2;
        size_t data, scales;
        mu_matrix_bytes(a.format, OUT, IN, 24, &data, &scales);
        b.data = tt_alloc(data);
        memset(b.data, 0xa5, data);
        b.scale = scales ? tt_alloc(scales) : NULL;
        for (int r = 0, n = 1; r < OUT; r += n++) {
            int rows = MU_MIN(n, OUT - r), at = is_backwards ? OUT - r - rows : r;
            if (is_bf16)
                XT_OK(mu_matrix_pack_from(&b, at, rows, half + at * IN, MU_BF16, IN, &err));
            else
                XT_OK(mu_matrix_pack(&b, at, rows, w + at * IN, IN, &err));
        }
        XT_CHECK(memcmp(a.data, b.data, data) == 0 && (!scales || memcmp(a.scale, b.scale, scales) == 0));
    }
    tt_free_all();
}

XT_TEST(bad_weights_are_named)
{
    enum { OUT = 20, IN = 90 };
    struct mu_err err = MU_ERR_INIT;
    float *w = tt_alloc(OUT * IN * 4);
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        struct mu_matrix m = tt_matrix((enum mu_wformat)f, OUT, IN, 32, w, NULL);
        w[18 * IN + 77] = NAN;
        XT_FAILS(mu_matrix_pack(&m, 0, OUT, w, IN, &err), MU_ENUMERIC, "row 18, column 77 is nan");
        w[18 * IN + 77] = 0;
        w[3 * IN + 5] = -INFINITY;
        XT_FAILS(mu_matrix_pack(&m, 0, OUT, w, IN, &err), MU_ENUMERIC, "row 3, column 5 is -inf");
        XT_CHECK(strstr(err.text, mu_wformat_name((enum mu_wformat)f)));
        w[3 * IN + 5] = 0;
    }
    struct mu_matrix half = tt_matrix(MU_WF16, OUT, IN, 32, w, NULL);
    w[17 * IN] = 65520; /* the first that rounds beyond 65504 */
    XT_FAILS(mu_matrix_pack(&half, 0, OUT, w, IN, &err), MU_ENUMERIC,
             "row 17, column 0 is 65520, which does not fit f16");
    w[17 * IN] = 65519;
    XT_OK(mu_matrix_pack(&half, 0, OUT, w, IN, &err));

    uint16_t *h = tt_alloc(OUT * IN * 2);
    struct mu_matrix b = tt_matrix(MU_WBF16, OUT, IN, 32, w, NULL);
    h[19 * IN + 89] = 0x7fc0;
    XT_FAILS(mu_matrix_pack_from(&b, 0, OUT, h, MU_BF16, IN, &err), MU_ENUMERIC, "row 19, column 89 is nan");
    h[19 * IN + 89] = 0xff80;
    XT_FAILS(mu_matrix_pack_from(&b, 16, 4, h + 16 * IN, MU_BF16, IN, &err), MU_ENUMERIC, "row 19, column 89 is -inf");
    tt_free_all();
}

/* 16 bits to 16 bits at each place of a panel: the largest finite numbers pass, what comes after them is named. */
XT_TEST(bad_weights_of_16_bits_are_named_wherever_they_lie)
{
    enum { OUT = 18, IN = 83 };
    static const struct {
        enum mu_wformat format;
        enum mu_dtype dtype;
        uint16_t largest;
    } types[] = {{MU_WBF16, MU_BF16, 0x7f7f}, {MU_WF16, MU_F16, 0x7bff}};
    struct mu_err err = MU_ERR_INIT;
    float *zeros = tt_alloc(OUT * IN * 4);
    uint16_t *h = tt_alloc(OUT * IN * 2);
    for (size_t t = 0; t < MU_COUNT(types); t++) {
        struct mu_matrix m = tt_matrix(types[t].format, OUT, IN, 32, zeros, NULL);
        for (int i = 0; i < OUT * IN; i++) {
            char where[64];
            uint16_t sign = (uint16_t)(i % 2 << 15);
            h[i] = (uint16_t)(types[t].largest | sign);
            XT_OK(mu_matrix_pack_from(&m, 0, OUT, h, types[t].dtype, IN, &err));
            h[i] = (uint16_t)((types[t].largest + 1 + i % 3) | sign);
            snprintf(where, sizeof where, "row %d, column %d is", i / IN, i % IN);
            XT_FAILS(mu_matrix_pack_from(&m, 0, OUT, h, types[t].dtype, IN, &err), MU_ENUMERIC, where);
            h[i] = 0;
        }
    }
    tt_free_all();
}

XT_TEST(bad_requests_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    float w[40 * 8] = {0};
    struct mu_matrix m = tt_matrix(MU_WF32, 40, 8, 8, w, NULL);
    XT_FAILS(mu_matrix_pack(&m, 30, 11, w, 8, &err), MU_EINVAL, "rows 30 to 41");
    XT_FAILS(mu_matrix_pack(&m, -1, 2, w, 8, &err), MU_EINVAL, "rows -1 to 1");
    XT_FAILS(mu_matrix_pack(&m, 32, 16, w, 8, &err), MU_EINVAL, "matrix of 40");
    XT_FAILS(mu_matrix_pack_from(&m, 0, 16, w, MU_Q4_0, 8, &err), MU_EINVAL, "q4_0");
    XT_FAILS(mu_matrix_pack_from(&m, 0, 16, w, MU_I32, 8, &err), MU_EINVAL, "i32");
    m.format = MU_WINT8;
    m.tile_k = 6;
    XT_FAILS(mu_matrix_pack(&m, 0, 16, w, 8, &err), MU_EINVAL, "tile width 6");
    tt_free_all();
}

XT_TEST(names)
{
    struct mu_err err = MU_ERR_INIT;
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        enum mu_wformat back;
        XT_OK(mu_wformat_from_name(&back, mu_wformat_name((enum mu_wformat)f), &err));
        XT_EQ(back, f);
    }
    enum mu_wformat back;
    XT_FAILS(mu_wformat_from_name(&back, "int2", &err), MU_EUSAGE, "\"int2\" is none of");
    XT_STREQ(mu_wformat_name((enum mu_wformat)99), "?");
}

XT_TEST(sizes_are_those_of_the_layout)
{
    size_t data, scales;
    mu_matrix_bytes(MU_WBF16, 4096, 4096, 128, &data, &scales);
    XT_EQ(data, 4096 * 4096 * 2);
    XT_EQ(scales, 0);
    mu_matrix_bytes(MU_WINT4, 4096, 4096, 128, &data, &scales);
    XT_EQ(data, 4096 * 4096 / 2);
    XT_EQ(scales, 4096 * 4096 / 32 * 4);
    mu_matrix_bytes(MU_WINT8, 17, 172, 172, &data, &scales); /* two panels, six groups, the last padded */
    XT_EQ(data, 2 * 6 * 32 * 16);
    XT_EQ(scales, 2 * 6 * 16 * 4);
}

XT_MAIN()
