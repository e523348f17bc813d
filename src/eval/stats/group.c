/* group.c - the score of a group of tasks and its standard error
 *
 * lm_eval/api/metrics.py: aggregate_subtask_metrics, pooled_sample_stderr (a pooled variance). */
#include <math.h>

#include "eval/stats/aggregation.h"

double mu_group_mean(const double *value, const int64_t *size, int n, bool weight_by_size)
{
    double sum = 0, sizes = 0;
    for (int i = 0; i < n; i++) {
        double weight = weight_by_size ? (double)size[i] : 1;
        sum += value[i] * weight;
        sizes += weight;
    }
    return sum / sizes;
}

double mu_group_stderr(const double *stderr_, const int64_t *size, int n)
{
    double sum = 0, sizes = 0;
    for (int i = 0; i < n; i++) {
        double k = (double)size[i];
        sum += (k - 1) * (stderr_[i] * stderr_[i]) * k;
        sizes += k;
    }
    return sqrt(sum / (sizes - n) / sizes);
}
