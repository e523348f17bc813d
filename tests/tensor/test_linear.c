/* test_linear.c - linear: the reference against doubles, every level, thread count and row count against the reference
 *
 * Bound of the float formats: a sum of n_in rounded products in any order is off by at most
 * (n_in + tiles) * 2^-24 * sum|w x|; the bias adds one more rounding. Integer formats are held against doubles of the
 * quantised values, where each group adds three roundings instead of its inputs. */
#include "tensor_test.h"

#include "tensor/matrix_int.h"

#define ROWS_MAX 131

struct shape {
    int64_t n_out, n_in, tile_k;
};

/* Odd in every way; the last few fill whole register blocks, many tiles, and tiles wider than the kernels' runs. */
static const struct shape shapes[] = {
    {1, 1, 1},      {5, 3, 2},       {16, 16, 16},     {17, 33, 12},   {70, 100, 20},   {48, 131, 44},    {33, 700, 36},
    {64, 512, 128}, {100, 700, 300}, {130, 640, 1000}, {96, 1024, 64}, {40, 2000, 128}, {31, 1300, 1300}, {20, 96, 4},
};

struct linear_case {
    struct mu_matrix w;
    const float *x, *want;
    int64_t n, ldx, ldy;
};

static void run(struct mu_device *d, const struct linear_case *c, float *y, int64_t first, int64_t n)
{
    struct mu_err err = MU_ERR_INIT;
    tt_reserve(d, d->ops->linear_work_bytes(d, c->w.format, n, c->w.n_in));
    XT_OK(d->ops->linear(d, y + first * c->ldy, c->ldy, c->x + first * c->ldx, c->ldx, n, &c->w, &err));
}

static void all_ways(struct mu_device *d, void *arg)
{
    const struct linear_case *c = arg;
    float *y = tt_alloc((size_t)(c->n * c->ldy) * sizeof(float));
    if (d != tt_ref()) { /* which made want so */
        run(d, c, y, 0, c->n);
        tt_same_bits("all rows at once", d, y, c->want, c->n * c->ldy);
    }
    if (!tt_is_fewest_or_most(d))
        return;
    memset(y, 0, (size_t)(c->n * c->ldy) * sizeof(float));
    for (int64_t r = 0; r < c->n; r++)
        run(d, c, y, r, 1);
    tt_same_bits("row by row", d, y, c->want, c->n * c->ldy);
    memset(y, 0, (size_t)(c->n * c->ldy) * sizeof(float));
    for (int64_t r = 0, n = 1; r < c->n; r += n, n++)
        run(d, c, y, r, MU_MIN(n, c->n - r));
    tt_same_bits("in growing chunks", d, y, c->want, c->n * c->ldy);
}

/* What the weights really are, and for integer formats the inputs as quantised. */
static void check_against_double(const struct linear_case *c)
{
    struct mu_cut cut = mu_cut_of(c->w.n_in, c->w.tile_k);
    bool is_int = mu_wformat_is_int(c->w.format);
    float *w = tt_alloc((size_t)c->w.n_in * sizeof(float));
    for (int64_t o = 0; o < c->w.n_out; o++) {
        mu_matrix_row(&c->w, o, w);
        for (int64_t r = 0; r < c->n; r++) {
            const float *x = c->x + r * c->ldx;
            double sum = 0, size = 0;
            for (int64_t g = 0; is_int && g < cut.n_groups; g++) {
                int64_t n, k0 = mu_group_begin(&cut, g, &n);
                float max = 0;
                for (int64_t k = k0; k < k0 + n; k++)
                    max = fmaxf(max, fabsf(x[k]));
                float scale = max / 127.0f;
                for (int64_t k = k0; k < k0 + n && scale > 0; k++) {
                    double q = rint((double)(x[k] / scale)) * (double)scale;
                    sum += q * (double)w[k];
                    size += fabs(q * (double)w[k]);
                }
            }
            for (int64_t k = 0; !is_int && k < c->w.n_in; k++) {
                sum += (double)x[k] * (double)w[k];
                size += fabs((double)x[k] * (double)w[k]);
            }
            if (c->w.bias) {
                sum += (double)c->w.bias[o];
                size += fabs((double)c->w.bias[o]);
            }
            double bound = (double)(c->w.n_in + cut.n_tiles + 4) * 0x1p-24 * size + 0x1p-140;
            XT_NEAR(c->want[r * c->ldy + o], sum, bound);
        }
    }
}

static void try_shape(enum mu_wformat f, const struct shape *s, int64_t n, bool has_bias, uint64_t seed)
{
    const float *w = tt_random(&seed, s->n_out * s->n_in, 1), *bias = tt_random(&seed, s->n_out, 3);
    int64_t tile_k = mu_wformat_is_int(f) ? (s->tile_k + 3) / 4 * 4 : s->tile_k;
    struct linear_case c = {.n = n, .ldx = s->n_in + 3, .ldy = s->n_out + 5};
    float *want = tt_alloc((size_t)(n * c.ldy) * sizeof(float));
    c.w = tt_matrix(f, s->n_out, s->n_in, tile_k, w, has_bias ? bias : NULL);
    c.x = tt_random(&seed, n * c.ldx, 2);
    c.want = want;
    run(tt_ref(), &c, want, 0, n);
    check_against_double(&c);
    tt_each_device(all_ways, &c);
    tt_free_all();
}

static void try_format(enum mu_wformat f)
{
    for (size_t i = 0; i < MU_COUNT(shapes); i++)
        for (int64_t n = 1 + (int64_t)(i % 5); n <= 19; n += 5)
            try_shape(f, &shapes[i], n, (n + (int64_t)i) % 2, (uint64_t)f * 1000 + i * 20 + (uint64_t)n);
    struct shape many = {33, 200, 68}, small = {35, 90, 32};
    try_shape(f, &many, ROWS_MAX, true, 99);
    for (int64_t n = 1; n <= 29; n++) /* every size of a register block */
        try_shape(f, &small, n, false, 200 + (uint64_t)n);
}

XT_TEST(f32)
{
    try_format(MU_WF32);
}

XT_TEST(bf16)
{
    try_format(MU_WBF16);
}

XT_TEST(f16)
{
    try_format(MU_WF16);
}

XT_TEST(int8)
{
    try_format(MU_WINT8);
}

XT_TEST(int4)
{
    try_format(MU_WINT4);
}

/* Extremes of the integer paths: all values at both ends of the range. */
XT_TEST(int_extremes)
{
    enum { OUT = 34, IN = 160, N = 3 };
    for (int f = MU_WINT8; f <= MU_WINT4; f++) {
        float *w = tt_alloc(OUT * IN * sizeof(float)), *x = tt_alloc(N * IN * sizeof(float));
        float *want = tt_alloc(N * OUT * sizeof(float));
        for (int i = 0; i < OUT * IN; i++)
            w[i] = i / IN % 2 ? 1.0f : -1.0f;
        for (int i = 0; i < N * IN; i++)
            x[i] = i / IN % 2 ? 1.0f : -1.0f;
        struct linear_case c = {.n = N, .ldx = IN, .ldy = OUT, .x = x, .want = want};
        c.w = tt_matrix((enum mu_wformat)f, OUT, IN, 80, w, NULL);
        run(tt_ref(), &c, want, 0, N);
        for (int i = 0; i < N * OUT; i++)
            XT_NEAR(fabs((double)want[i]), IN, 1e-3);
        tt_each_device(all_ways, &c);
        tt_free_all();
    }
}

static void nan_row(struct mu_device *d, void *arg)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_matrix *w = arg;
    float x[3 * 40], y[3 * 20];
    for (int i = 0; i < 120; i++)
        x[i] = (float)(i % 7);
    x[47] = NAN;
    x[99] = INFINITY;
    tt_reserve(d, d->ops->linear_work_bytes(d, w->format, 3, 40));
    XT_OK(d->ops->linear(d, y, 20, x, 40, 3, w, &err));
    for (int i = 0; i < 20; i++) {
        XT_CHECKF(isfinite(y[i]), "%s: the NaN of row 1 reached row 0", mu_wformat_name(w->format));
        XT_CHECKF(isnan(y[20 + i]) && !isfinite(y[40 + i]), "%s: row 1 or 2 hides its NaN", mu_wformat_name(w->format));
    }
}

XT_TEST(nan_stays_in_its_row)
{
    uint64_t seed = 7;
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        float *weights = tt_alloc(20 * 40 * sizeof(float));
        for (int i = 0; i < 20 * 40; i++)
            weights[i] = 1.5f + xt_randf(&seed);
        struct mu_matrix w = tt_matrix((enum mu_wformat)f, 20, 40, 16, weights, NULL);
        tt_each_device(nan_row, &w);
        tt_free_all();
    }
}

XT_MAIN()
