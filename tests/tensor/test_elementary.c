/* test_elementary.c - error bounds of exp, tanh, erf, sigmoid against libm's doubles, and vector twins bit for bit
 *
 * Every STEP-th float of all 2^32 is tried, which meets all exponents, denormals, infinities and NaN. The bounds are
 * those elementary.h states (over all floats). */
#include "tensor/cpu/elementary.h"

#include "tensor/device.h"
#include "tensor/ops.h"
#include "xt.h"

#define STEP  1009u
#define BATCH 4096

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double ulp(double y)
{
    int e;
    if (fabs(y) < 0x1p-126)
        return 0x1p-149;
    frexp(y, &e);
    return ldexp(1, e - 24);
}

/* The largest error of f in ulp; a result beyond the largest float must be infinite. Results below `floor` are skipped.
 */
static double worst(float (*f)(float), double (*exact)(double), double floor)
{
    double most = 0;
    for (uint64_t b = 0; b < 0x100000000u; b += STEP) {
        float x = mu_f32_from_bits((uint32_t)b), y = f(x);
        double want = exact((double)x);
        if (x != x) {
            XT_CHECKF(y != y, "f(NaN) is %a", (double)y);
            continue;
        }
        if (fabs(want) >= 0x1.ffffffp127) {
            XT_CHECKF(isinf(y), "f(%a) is %a", (double)x, (double)y);
            continue;
        }
        if (fabs(want) >= floor)
            most = fmax(most, fabs((double)y - want) / ulp(want));
    }
    return most;
}

XT_TEST(exp_within_bound)
{
    double w = worst(mu_expf, exp, 0);
    XT_CHECKF(w <= 1.1, "exp is %.3f ulp off", w);
}

XT_TEST(tanh_within_bound)
{
    double w = worst(mu_tanhf, tanh, 0);
    XT_CHECKF(w <= 1.5, "tanh is %.3f ulp off", w);
}

XT_TEST(erf_within_bound)
{
    double w = worst(mu_erff, erf, 0);
    XT_CHECKF(w <= 1.25, "erf is %.3f ulp off", w);
}

XT_TEST(sigmoid_within_bound)
{
    double w = worst(mu_sigmoidf, sigmoid, 0x1p-126);
    XT_CHECKF(w <= 2.5, "sigmoid is %.3f ulp off", w);
}

XT_TEST(special_values)
{
    XT_CHECK(mu_expf(-INFINITY) == 0 && !signbit(mu_expf(-INFINITY)));
    XT_CHECK(isinf(mu_expf(INFINITY)) && mu_expf(0) == 1 && mu_expf(-0.0f) == 1);
    XT_CHECK(mu_expf(-103.5f) == 0x1p-149f); /* denormals are kept */
    XT_CHECK(mu_tanhf(INFINITY) == 1 && mu_tanhf(-INFINITY) == -1 && signbit(mu_tanhf(-0.0f)));
    XT_CHECK(mu_erff(INFINITY) == 1 && mu_erff(-INFINITY) == -1 && signbit(mu_erff(-0.0f)));
    XT_CHECK(mu_sigmoidf(-INFINITY) == 0 && mu_sigmoidf(INFINITY) == 1 && mu_sigmoidf(0) == 0.5f);
}

#ifdef MU_CPU_X86
void mu_avx2_test_elementary(int which, float *y, const float *x, int64_t n);
void mu_avx512_test_elementary(int which, float *y, const float *x, int64_t n);

static bool is_available(const char *level)
{
    for (const struct mu_ops *const *l = mu_cpu_levels(); *l; l++) {
        if (strcmp((*l)->level, level) == 0)
            return (*l)->is_available();
    }
    return false;
}

static void same_as_scalar(void (*twin)(int which, float *y, const float *x, int64_t n))
{
    float (*const scalar[])(float) = {mu_expf, mu_tanhf, mu_erff};
    static float x[BATCH], y[BATCH];
    uint64_t b = 0;
    while (b < 0x100000000u) {
        for (int i = 0; i < BATCH; i++, b += STEP)
            x[i] = mu_f32_from_bits((uint32_t)b);
        for (int which = 0; which < 3; which++) {
            twin(which, y, x, BATCH);
            for (int i = 0; i < BATCH; i++) {
                float want = scalar[which](x[i]);
                XT_CHECKF(memcmp(&want, &y[i], 4) == 0, "function %d of %a is %a, not %a", which, (double)x[i],
                          (double)y[i], (double)want);
            }
        }
    }
}

XT_TEST(avx2_twin_same_bits)
{
    if (!is_available("avx2"))
        xt_skip("this CPU has no AVX2");
    same_as_scalar(mu_avx2_test_elementary);
}

XT_TEST(avx512_twin_same_bits)
{
    if (!is_available("avx512"))
        xt_skip("this CPU has no AVX-512");
    same_as_scalar(mu_avx512_test_elementary);
}
#endif

XT_MAIN()
