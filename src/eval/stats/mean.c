/* mean.c - mean, nanmean, and the deviation of a sample
 *
 * Sums run in order, as Python's sum() did before 3.12. numpy's nanmean adds pairwise: its last bits may differ. */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/stats/stats_int.h"

static double sum(const double *v, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += v[i];
    return s;
}

double mu_sample_stddev(const double *v, int64_t n)
{
    double mean = sum(v, n) / (double)n, s = 0;
    for (int64_t i = 0; i < n; i++)
        s += (v[i] - mean) * (v[i] - mean);
    return sqrt(s / (double)(n - 1));
}

double mu_mean_stderr(const double *v, int64_t n)
{
    return mu_sample_stddev(v, n) / sqrt((double)n);
}

int mu_agg_mean(const json_t *items, double *out, struct mu_err *e)
{
    double *v = NULL;
    MU_TRY_RETURN(mu_items_numbers(items, "mean", &v, e));
    int64_t n = (int64_t)json_array_size(items);
    *out = sum(v, n) / (double)n;
    mu_free(v);
    return MU_OK;
}

static double nanmean_of_sums(double total, double n)
{
    return n > 0 ? total / n : NAN;
}

/* A null adds nothing and weighs nothing. */
int mu_resample_nanmean(const json_t *items, struct mu_resample *r, struct mu_err *e)
{
    MU_TRY_RETURN(mu_items_check(items, "nanmean", e));
    r->n = (uint32_t)json_array_size(items);
    r->of_sums = nanmean_of_sums;
    MU_TRY_RETURN(MU_NEW_ARRAY(&r->value, r->n, "the items of an aggregation", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&r->weight, r->n, "the items of an aggregation", e));
    bool has_null = false;
    for (uint32_t i = 0; i < r->n; i++) {
        const json_t *v = json_array_get(items, i);
        r->weight[i] = !json_is_null(v);
        if (json_is_null(v))
            has_null = true;
        else
            MU_TRY_RETURN(mu_items_number(v, i, "nanmean", &r->value[i], e));
    }
    if (!has_null) {
        mu_free(r->weight);
        r->weight = NULL;
    }
    return MU_OK;
}

int mu_agg_nanmean(const json_t *items, double *out, struct mu_err *e)
{
    struct mu_resample r = {0};
    int rc = mu_resample_nanmean(items, &r, e);
    if (rc == MU_OK)
        *out = nanmean_of_sums(sum(r.value, r.n), r.weight ? sum(r.weight, r.n) : (double)r.n);
    mu_resample_fini(&r);
    return rc;
}
