/* test_rows.c - embed, add, gather and scatter_add: exact operations, so the wanted values are computed here */
#include "tensor_test.h"

#include "base/check.h"

struct rows_case {
    int64_t n, D, ld;
    const float *a, *b, *w;
    const int32_t *idx;
    int64_t n_to; /* rows that idx points into */
};

static void add_rows(struct mu_device *d, void *arg)
{
    const struct rows_case *c = arg;
    struct mu_err err = MU_ERR_INIT;
    size_t n = (size_t)(c->n * c->ld);
    float *y = tt_alloc(n * 4), *want = tt_alloc(n * 4);
    for (size_t i = 0; i < n; i++)
        want[i] = (int64_t)i % c->ld < c->D ? c->a[i] + c->b[i] : 0;
    XT_OK(d->ops->add(d, y, c->ld, c->a, c->ld, c->b, c->ld, c->n, c->D, &err));
    tt_same_bits("add", d, y, want, (int64_t)n);
    memcpy(y, c->a, n * 4);
    XT_OK(d->ops->add(d, y, c->ld, y, c->ld, c->b, c->ld, c->n, c->D, &err));
    for (size_t i = 0; i < n; i++)
        want[i] = (int64_t)i % c->ld < c->D ? want[i] : c->a[i];
    tt_same_bits("add in place", d, y, want, (int64_t)n);
}

static void gather_rows(struct mu_device *d, void *arg)
{
    const struct rows_case *c = arg;
    struct mu_err err = MU_ERR_INIT;
    float *y = tt_alloc((size_t)(c->n * c->ld) * 4);
    XT_OK(d->ops->gather(d, y, c->ld, c->a, c->ld, c->idx, c->n, c->D, &err));
    for (int64_t i = 0; i < c->n; i++)
        tt_same_bits("gather", d, y + i * c->ld, c->a + c->idx[i] * c->ld, c->D);
}

static void scatter_rows(struct mu_device *d, void *arg)
{
    const struct rows_case *c = arg;
    struct mu_err err = MU_ERR_INIT;
    size_t n = (size_t)(c->n_to * c->ld);
    float *y = tt_alloc(n * 4), *want = tt_alloc(n * 4);
    memcpy(y, c->b, n * 4);
    memcpy(want, c->b, n * 4);
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t k = 0; k < c->D; k++)
            want[c->idx[i] * c->ld + k] = fmaf(c->w[i], c->a[i * c->ld + k], want[c->idx[i] * c->ld + k]);
    XT_OK(d->ops->scatter_add(d, y, c->ld, c->a, c->ld, c->idx, c->w, c->n, c->D, &err));
    tt_same_bits("scatter_add", d, y, want, (int64_t)n);
}

XT_TEST(add_gather_scatter)
{
    static const int64_t sizes[] = {1, 5, 16, 17, 47, 130, 5000};
    for (size_t s = 0; s < MU_COUNT(sizes); s++) {
        for (int64_t n = 1; n <= 19; n += 6) {
            uint64_t seed = s * 50 + (uint64_t)n;
            int64_t to = n + 4, ld = sizes[s] + 3;
            int32_t *idx = tt_alloc((size_t)to * 4);
            for (int64_t i = 0; i < to; i++) { /* distinct, in no order */
                int64_t j = (int64_t)(xt_rand(&seed) % (uint64_t)(i + 1));
                idx[i] = idx[j];
                idx[j] = (int32_t)i;
            }
            struct rows_case c = {.n = n, .D = sizes[s], .ld = ld, .idx = idx, .n_to = to};
            c.a = tt_random(&seed, to * ld, 3);
            c.b = tt_random(&seed, to * ld, 3);
            c.w = tt_random(&seed, n, 1);
            tt_each_device(add_rows, &c);
            tt_each_device(gather_rows, &c);
            tt_each_device(scatter_rows, &c);
            tt_free_all();
        }
    }
}

static void embed_rows(struct mu_device *d, void *arg)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_matrix *m = arg;
    const int32_t ids[] = {0, 36, 5, 5, 16, 15, 31};
    float y[7 * 60], want[60];
    XT_OK(d->ops->embed(d, y, 60, m, ids, 7, &err));
    for (int i = 0; i < 7; i++) {
        mu_matrix_row(m, ids[i], want);
        tt_same_bits("embed", d, y + i * 60, want, m->n_in);
    }
}

XT_TEST(embed)
{
    uint64_t seed = 5;
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        float *w = tt_random(&seed, 37 * 52, 1);
        struct mu_matrix m = tt_matrix((enum mu_wformat)f, 37, 52, 20, w, NULL);
        tt_each_device(embed_rows, &m);
        tt_free_all();
    }
}

XT_MAIN()
