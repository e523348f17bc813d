/* test_rope.c - both pairings against doubles (three roundings an element), and the same bits everywhere */
#include "tensor_test.h"

struct rope_case {
    int64_t n, ld, stride;
    int heads, rot;
    enum mu_rope_style style;
    const float *x, *table, *want;
    const int32_t *pos;
};

static void run(struct mu_device *d, const struct rope_case *c, float *y, int64_t row, int64_t n)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(d->ops->rope(d, y + row * c->ld, c->ld, c->stride, c->heads, c->rot, c->style, c->table, c->pos + row, n,
                       &err));
}

static void all_ways(struct mu_device *d, void *arg)
{
    const struct rope_case *c = arg;
    size_t bytes = (size_t)(c->n * c->ld) * 4;
    float *y = tt_alloc(bytes);
    memcpy(y, c->x, bytes);
    run(d, c, y, 0, c->n);
    tt_same_bits("all rows", d, y, c->want, c->n * c->ld);
    memcpy(y, c->x, bytes);
    for (int64_t r = 0; r < c->n; r++)
        run(d, c, y, r, 1);
    tt_same_bits("row by row", d, y, c->want, c->n * c->ld);
}

static void check(const struct rope_case *c)
{
    int half = c->rot / 2;
    for (int64_t r = 0; r < c->n; r++) {
        const float *t = c->table + c->pos[r] * c->rot;
        for (int64_t i = 0; i < c->ld; i++) {
            int64_t h = i / c->stride, j = i % c->stride, at = r * c->ld + i;
            if (h >= c->heads || j >= 2 * half) { /* beyond the rotated part nothing moves */
                XT_CHECK(memcmp(&c->want[at], &c->x[at], 4) == 0);
                continue;
            }
            bool is_half = c->style == MU_ROPE_HALF;
            int64_t pair = is_half ? j % half : j / 2;
            bool is_first = is_half ? j < half : j % 2 == 0;
            int64_t other = is_half ? (is_first ? at + half : at - half) : (is_first ? at + 1 : at - 1);
            double cs = (double)t[pair], sn = (double)t[half + pair], a = (double)c->x[at], b = (double)c->x[other];
            XT_NEAR(c->want[at], is_first ? a * cs - b * sn : a * cs + b * sn,
                    3 * 0x1p-24 * (fabs(a * cs) + fabs(b * sn)) + 0x1p-148);
        }
    }
}

XT_TEST(both_styles_and_odd_sizes)
{
    static const int rots[] = {2, 4, 6, 10, 16, 20, 30, 32, 34, 64, 80, 128};
    for (size_t i = 0; i < sizeof rots / sizeof rots[0]; i++) {
        for (int style = MU_ROPE_HALF; style <= MU_ROPE_INTERLEAVED; style++) {
            uint64_t seed = i + 1;
            struct rope_case c = {
                .n = 1 + (int64_t)i, .heads = 1 + (int)i % 3, .rot = rots[i], .style = (enum mu_rope_style)style};
            c.stride = c.rot + (int64_t)(i % 4); /* rot may be a part of the head */
            c.ld = c.stride * c.heads + 5;
            c.x = tt_random(&seed, c.n * c.ld, 2);
            c.table = tt_random(&seed, 50 * c.rot, 1);
            int32_t *pos = tt_alloc((size_t)c.n * 4);
            for (int64_t r = 0; r < c.n; r++)
                pos[r] = (int32_t)(xt_rand(&seed) % 50);
            c.pos = pos;
            float *want = tt_alloc((size_t)(c.n * c.ld) * 4);
            memcpy(want, c.x, (size_t)(c.n * c.ld) * 4);
            c.want = want;
            run(tt_ref(), &c, want, 0, c.n);
            check(&c);
            tt_each_device(all_ways, &c);
            tt_free_all();
        }
    }
}

XT_MAIN()
