/* test_act.c - activation functions against doubles, and the same bits everywhere
 *
 * Bound: x times a factor in [0, 1] (or near it) that comes out of exp, erf or tanh within 1.5 ulp of values up to 2:
 * 2^-21 |x| in all; the argument of QuickGELU and of the tanh form is rounded first, which moves the factor by at most
 * 2^-22 |argument| of its slope, still inside. */
#include "tensor_test.h"

static double exact(double x, enum mu_act act)
{
    switch (act) {
    case MU_ACT_SILU:
        return x / (1 + exp(-x));
    case MU_ACT_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case MU_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case MU_ACT_RELU:
        return x > 0 ? x : 0;
    case MU_ACT_RELU2:
        return x > 0 ? x * x : 0;
    case MU_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    }
    return 0;
}

struct act_case {
    enum mu_act act;
    int64_t n, D, ld;
    const float *x, *up, *want, *want_mul;
};

static void run(struct mu_device *d, const struct act_case *c, float *y, const float *x, bool is_mul, int64_t row,
                int64_t n)
{
    struct mu_err err = MU_ERR_INIT;
    float *to = y + row * c->ld;
    const float *from = x + row * c->ld;
    if (is_mul)
        XT_OK(d->ops->act_mul(d, to, c->ld, from, c->ld, c->up + row * c->ld, c->ld, c->act, n, c->D, &err));
    else
        XT_OK(d->ops->act(d, to, c->ld, from, c->ld, c->act, n, c->D, &err));
}

static void all_ways(struct mu_device *d, void *arg)
{
    const struct act_case *c = arg;
    float *y = tt_alloc((size_t)(c->n * c->ld) * 4);
    for (int is_mul = 0; is_mul < 2; is_mul++) {
        const float *want = is_mul ? c->want_mul : c->want;
        memset(y, 0, (size_t)(c->n * c->ld) * 4);
        run(d, c, y, c->x, is_mul, 0, c->n);
        tt_same_bits("all rows", d, y, want, c->n * c->ld);
        for (int64_t r = 0; r < c->n; r++) {
            memcpy(y + r * c->ld, c->x + r * c->ld, (size_t)c->D * 4);
            run(d, c, y, y, is_mul, r, 1);
        }
        tt_same_bits("row by row, in place", d, y, want, c->n * c->ld);
    }
}

static void try_act(enum mu_act act)
{
    for (int64_t D = 1; D <= 700; D = D * 2 + 3) {
        for (int64_t n = 1; n <= 19; n += 9) {
            uint64_t seed = (uint64_t)(D * 31 + n);
            struct act_case c = {.act = act, .n = n, .D = D, .ld = D + 2};
            float *x = tt_random(&seed, n * c.ld, 12), *want = tt_alloc((size_t)(n * c.ld) * 4);
            float *want_mul = tt_alloc((size_t)(n * c.ld) * 4);
            if (D > 4) {
                x[0] = 100; /* far ends, where exp is 0 or infinite */
                x[1] = -100;
                x[2] = -3e38f;
                x[3] = 1e19f;
            }
            c.x = x;
            c.up = tt_random(&seed, n * c.ld, 2);
            c.want = want;
            c.want_mul = want_mul;
            run(tt_ref(), &c, want, x, false, 0, n);
            run(tt_ref(), &c, want_mul, x, true, 0, n);
            for (int64_t i = 0; i < n * c.ld; i++) {
                if (i % c.ld >= D)
                    continue;
                double y = exact((double)x[i], act);
                double size = act == MU_ACT_RELU2 ? fabs(y) : fabs((double)x[i]);
                XT_NEAR(want[i], y, 0x1p-21 * size + 0x1p-125);
                float product = want[i] * c.up[i];
                XT_CHECK(memcmp(&product, &want_mul[i], 4) == 0);
            }
            tt_each_device(all_ways, &c);
            tt_free_all();
        }
    }
}

XT_TEST(silu)
{
    try_act(MU_ACT_SILU);
}

XT_TEST(gelu)
{
    try_act(MU_ACT_GELU);
}

XT_TEST(gelu_tanh)
{
    try_act(MU_ACT_GELU_TANH);
}

XT_TEST(relu)
{
    try_act(MU_ACT_RELU);
}

XT_TEST(relu_squared)
{
    try_act(MU_ACT_RELU2);
}

XT_TEST(quick_gelu)
{
    try_act(MU_ACT_QUICK_GELU);
}

XT_MAIN()
