/* compare.c - is the difference between two runs on the same documents more than chance? */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/py/random.h"
#include "eval/stats/aggregation.h"
#include "eval/stats/stats_int.h"

static double log_choose(int64_t n, int64_t k)
{
    int sign;
    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) - lgamma_r((double)(n - k) + 1, &sign);
}

/* McNemar 1947 in its exact form: twice the tail of a fair coin, at most 1. Terms of the tail are taken relative to
 * the largest, which alone needs logarithms. */
double mu_mcnemar_p(int64_t only_a, int64_t only_b)
{
    int64_t k = MU_MIN(only_a, only_b), n = only_a + only_b;
    double sum = 0, term = 1;
    if (only_a == only_b)
        return 1;
    for (int64_t i = k; i >= 0 && term > sum * 1e-17; i--) {
        sum += term;
        term *= (double)i / (double)(n - i + 1);
    }
    return fmin(1, 2 * sum * exp(log_choose(n, k) - (double)n * log(2)));
}

#define BLOCK 1024

static double drawn_sum(struct mu_pyrandom *r, const double *v, uint32_t n)
{
    uint32_t index[BLOCK];
    double sum = 0;
    for (uint32_t done = 0; done < n;) {
        uint32_t some = MU_MIN(n - done, (uint32_t)BLOCK);
        mu_pyrandom_choices(r, n, some, index);
        for (uint32_t i = 0; i < some; i++)
            sum += v[index[i]];
        done += some;
    }
    return sum;
}

/* Efron and Tibshirani 1993, section 16.4: differences are drawn from their own, shifted to a mean of 0; p is the share
 * of replicates at least as far from 0 as what was seen, the observation itself counted as one of them. */
int mu_paired_bootstrap_p(const double *a, const double *b, int64_t n, int64_t iters, int64_t seed, double *p,
                          struct mu_err *e)
{
    struct mu_pyrandom r;
    double *difference = NULL, seen = 0;
    int64_t n_as_far = 1;

    if (n < 1 || n >= (int64_t)MU_ITEMS_MAX)
        return mu_fail(e, MU_EINVAL, "two runs cannot be compared on %lld documents: at least 1, below 2^31",
                       (long long)n);
    if (iters < 1 || iters > MU_BOOTSTRAP_ITERS_MAX)
        return mu_fail(e, MU_EINVAL, "%lld bootstrap replicates: at least 1, at most %d", (long long)iters,
                       MU_BOOTSTRAP_ITERS_MAX);
    MU_TRY_RETURN(MU_NEW_ARRAY(&difference, n, "a comparison", e));
    for (int64_t i = 0; i < n; i++)
        seen += difference[i] = a[i] - b[i];
    mu_pyrandom_seed(&r, seed);
    for (int64_t i = 0; i < iters; i++)
        n_as_far += fabs(drawn_sum(&r, difference, (uint32_t)n) - seen) >= fabs(seen);
    *p = (double)n_as_far / (double)(iters + 1);
    mu_free(difference);
    return MU_OK;
}
