/* perplexity.c - perplexity, weighted_perplexity, bits_per_byte */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/stats/stats_int.h"

static double of_sums(double sum, double n)
{
    return exp(-(sum / n));
}

int mu_resample_perplexity(const json_t *items, struct mu_resample *r, struct mu_err *e)
{
    MU_TRY_RETURN(mu_items_numbers(items, "perplexity", &r->value, e));
    r->n = (uint32_t)json_array_size(items);
    r->of_sums = of_sums;
    return MU_OK;
}

int mu_agg_perplexity(const json_t *items, double *out, struct mu_err *e)
{
    double mean = 0;
    MU_TRY_RETURN(mu_agg_mean(items, &mean, e));
    *out = exp(-mean);
    if (!isfinite(*out))
        return mu_fail(e, MU_ENUMERIC, "perplexity: the mean log-likelihood %g is beyond what a double can hold", mean);
    return MU_OK;
}

/* The sum of the first members over the sum of the second. */
static int weighted_mean(const json_t *items, const char *what, double *out, struct mu_err *e)
{
    double sum = 0, weights = 0, v = 0;
    const json_t *a, *b;
    MU_TRY_RETURN(mu_items_check(items, what, e));
    for (size_t i = 0; i < json_array_size(items); i++) {
        MU_TRY_RETURN(mu_items_pair(items, i, what, &a, &b, e));
        MU_TRY_RETURN(mu_items_number(a, i, what, &v, e));
        sum += v;
        MU_TRY_RETURN(mu_items_number(b, i, what, &v, e));
        weights += v;
    }
    if (weights == 0)
        return mu_fail(e, MU_ENUMERIC, "%s: the weights of all items add up to 0", what);
    *out = sum / weights;
    return MU_OK;
}

int mu_agg_weighted_perplexity(const json_t *items, double *out, struct mu_err *e)
{
    double mean = 0;
    MU_TRY_RETURN(weighted_mean(items, "weighted_perplexity", &mean, e));
    *out = exp(-mean);
    if (!isfinite(*out))
        return mu_fail(e, MU_ENUMERIC,
                       "weighted_perplexity: the mean log-likelihood %g is beyond what a double can hold", mean);
    return MU_OK;
}

int mu_agg_bits_per_byte(const json_t *items, double *out, struct mu_err *e)
{
    double mean = 0;
    MU_TRY_RETURN(weighted_mean(items, "bits_per_byte", &mean, e));
    *out = -mean / log(2);
    return MU_OK;
}
