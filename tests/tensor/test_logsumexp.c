/* test_logsumexp.c - log-sum-exp and arg-max against doubles, and the same bits everywhere
 *
 * Bound: a tile of 4096 adds 256 + 4 terms a partial sum (2^-24 each) of exponentials within 1.1 ulp; the logarithm
 * turns a relative error into an absolute one: (260 + 2) * 2^-24. The fold is in f64. */
#include "tensor_test.h"

#include "base/check.h"

struct lse_case {
    int64_t n, V, ld;
    const float *x;
    const double *lse;
    const int32_t *argmax;
};

static void all_ways(struct mu_device *d, void *arg)
{
    const struct lse_case *c = arg;
    struct mu_err err = MU_ERR_INIT;
    double *lse = tt_alloc((size_t)c->n * 8);
    int32_t *argmax = tt_alloc((size_t)c->n * 4);
    XT_OK(d->ops->logsumexp(d, c->x, c->ld, c->n, c->V, argmax, lse, &err));
    XT_CHECKF(memcmp(lse, c->lse, (size_t)c->n * 8) == 0, "level %s differs", d->ops->level);
    XT_CHECK(memcmp(argmax, c->argmax, (size_t)c->n * 4) == 0);
    for (int64_t r = 0; r < c->n; r++) {
        XT_OK(d->ops->logsumexp(d, c->x + r * c->ld, c->ld, 1, c->V, argmax, lse, &err));
        XT_CHECK(memcmp(lse, c->lse + r, 8) == 0 && argmax[0] == c->argmax[r]);
    }
}

XT_TEST(against_doubles)
{
    static const int64_t sizes[] = {1, 3, 16, 33, 700, 4096, 4097, 9000};
    for (size_t s = 0; s < MU_COUNT(sizes); s++) {
        uint64_t seed = s;
        struct lse_case c = {.n = 1 + (int64_t)s, .V = sizes[s], .ld = sizes[s] + 3};
        struct mu_err err = MU_ERR_INIT;
        float *x = tt_random(&seed, c.n * c.ld, s % 2 ? 5 : 60);
        double *lse = tt_alloc((size_t)c.n * 8);
        int32_t *argmax = tt_alloc((size_t)c.n * 4);
        if (c.V > 20) { /* two maxima: the first counts; masked entries are -inf */
            x[c.V - 1] = x[c.V / 2] = 70;
            x[4] = -INFINITY;
        }
        c.x = x;
        c.lse = lse;
        c.argmax = argmax;
        XT_OK(tt_ref()->ops->logsumexp(tt_ref(), x, c.ld, c.n, c.V, argmax, lse, &err));
        for (int64_t r = 0; r < c.n; r++) {
            const float *row = x + r * c.ld;
            int64_t best = 0;
            double sum = 0;
            for (int64_t v = 0; v < c.V; v++)
                best = row[v] > row[best] ? v : best;
            for (int64_t v = 0; v < c.V; v++)
                sum += exp((double)row[v] - (double)row[best]);
            XT_EQ(argmax[r], best);
            XT_NEAR(lse[r], (double)row[best] + log(sum), 262 * 0x1p-24);
        }
        tt_each_device(all_ways, &c);
        tt_free_all();
    }
}

static void bad_rows(struct mu_device *d, void *arg)
{
    struct mu_err err = MU_ERR_INIT;
    float x[12 * 50] = {0};
    double lse[12];
    int32_t argmax[12];
    (void)arg;
    x[7 * 50 + 49] = NAN;
    x[9 * 50] = INFINITY;
    XT_FAILS(d->ops->logsumexp(d, x, 50, 12, 50, argmax, lse, &err), MU_ENUMERIC, "row 7 of 12");
    XT_FAILS(d->ops->logsumexp(d, x + 8 * 50, 50, 4, 50, argmax, lse, &err), MU_ENUMERIC, "row 1 of 4");
    for (int i = 0; i < 50; i++)
        x[i] = -INFINITY;
    XT_OK(d->ops->logsumexp(d, x, 50, 1, 50, argmax, lse, &err));
    XT_CHECK(lse[0] == -INFINITY && argmax[0] == 0);
}

XT_TEST(nan_and_infinity_name_the_first_row)
{
    tt_each_device(bad_rows, NULL);
}

XT_MAIN()
