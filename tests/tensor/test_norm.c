/* test_norm.c - RMS norm and layer norm against doubles, and the same bits everywhere
 *
 * Bound: sixteen partial sums of D/16 + 4 terms, one division, one square root and three products: an output is off by
 * at most (D/16 + 16) * 2^-24 of itself; layer norm subtracts a mean first, so of the largest |x - mean| and |mean|. */
#include "tensor_test.h"

#include "base/check.h"

struct norm_case {
    int64_t n, D, ld;
    const float *x, *w, *b, *want;
    float offset;
    bool is_layer;
};

static void run(struct mu_device *d, const struct norm_case *c, float *y, const float *x, int64_t row, int64_t n)
{
    struct mu_err err = MU_ERR_INIT;
    if (c->is_layer)
        XT_OK(d->ops->layernorm(d, y + row * c->ld, c->ld, x + row * c->ld, c->ld, c->w, c->b, 1e-5f, n, c->D, &err));
    else
        XT_OK(
            d->ops->rmsnorm(d, y + row * c->ld, c->ld, x + row * c->ld, c->ld, c->w, c->offset, 1e-6f, n, c->D, &err));
}

static void all_ways(struct mu_device *d, void *arg)
{
    const struct norm_case *c = arg;
    float *y = tt_alloc((size_t)(c->n * c->ld) * 4);
    run(d, c, y, c->x, 0, c->n);
    tt_same_bits("all rows", d, y, c->want, c->n * c->ld);
    memset(y, 0, (size_t)(c->n * c->ld) * 4);
    for (int64_t r = 0; r < c->n; r++)
        run(d, c, y, c->x, r, 1);
    tt_same_bits("row by row", d, y, c->want, c->n * c->ld);
    for (int64_t r = 0; r < c->n; r++)
        memcpy(y + r * c->ld, c->x + r * c->ld, (size_t)c->D * 4);
    run(d, c, y, y, 0, c->n);
    tt_same_bits("in place", d, y, c->want, c->n * c->ld);
}

static void check_row(const struct norm_case *c, int64_t r)
{
    const float *x = c->x + r * c->ld;
    double mean = 0, var = 0, size = 0;
    for (int64_t i = 0; i < c->D; i++)
        mean += c->is_layer ? (double)x[i] / (double)c->D : 0;
    for (int64_t i = 0; i < c->D; i++) {
        var += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)c->D;
        size = fmax(size, fabs((double)x[i]));
    }
    double inv = 1 / sqrt(var + (c->is_layer ? (double)1e-5f : (double)1e-6f));
    double bound = (double)(c->D / 16 + 16) * 0x1p-24;
    for (int64_t i = 0; i < c->D; i++) {
        double w = c->w ? (double)c->w[i] + (double)c->offset : 1, t = ((double)x[i] - mean) * inv;
        double want = t * w + (c->b ? (double)c->b[i] : 0);
        double off = c->is_layer ? 2 * size * inv * fabs(w) + fabs(want) : fabs(want);
        XT_NEAR(c->want[r * c->ld + i], want, bound * off + 0x1p-140);
    }
}

static void try_norms(bool is_layer)
{
    static const int64_t sizes[] = {1, 2, 7, 15, 16, 17, 31, 33, 100, 256, 700, 4096};
    for (size_t i = 0; i < MU_COUNT(sizes); i++) {
        for (int64_t n = 1; n <= 19; n += 6) {
            uint64_t seed = i * 100 + (uint64_t)n;
            int64_t D = sizes[i], ld = D + 3;
            struct norm_case c = {.n = n, .D = D, .ld = ld, .is_layer = is_layer, .offset = n % 2 ? 0.0f : 1.0f};
            float *want = tt_alloc((size_t)(n * ld) * 4);
            c.x = tt_random(&seed, n * ld, 4);
            c.w = n == 7 && !is_layer ? NULL : tt_random(&seed, D, 1);
            c.b = is_layer && n != 7 ? tt_random(&seed, D, 1) : NULL;
            c.offset = is_layer ? 0 : c.offset;
            c.want = want;
            run(tt_ref(), &c, want, c.x, 0, n);
            for (int64_t r = 0; r < n; r++)
                check_row(&c, r);
            tt_each_device(all_ways, &c);
            tt_free_all();
        }
    }
}

XT_TEST(rmsnorm)
{
    try_norms(false);
}

XT_TEST(layernorm)
{
    try_norms(true);
}

/* A row of zeros is no division by zero. */
XT_TEST(zero_row)
{
    struct mu_err err = MU_ERR_INIT;
    float x[20] = {0}, y[20];
    struct mu_device *d = tt_ref();
    XT_OK(d->ops->rmsnorm(d, y, 20, x, 20, NULL, 0, 1e-6f, 1, 20, &err));
    for (int i = 0; i < 20; i++)
        XT_CHECK(y[i] == 0);
}

XT_MAIN()
