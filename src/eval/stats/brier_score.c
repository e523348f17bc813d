/* brier_score.c - mean over documents of the squared distance between probabilities and the gold class
 *
 * Items are [gold, [probability of each class]]; a negative gold counts from the end, as numpy's index does. */
#include "base/check.h"
#include "eval/stats/stats_int.h"

static int distance(const json_t *items, size_t i, size_t n_classes, double *out, struct mu_err *e)
{
    const json_t *gold, *p;
    double v = 0;

    MU_TRY_RETURN(mu_items_pair(items, i, "brier_score", &gold, &p, e));
    if (json_array_size(p) != n_classes)
        return mu_fail(e, MU_EINVAL, "brier_score: item %zu has %zu probabilities, the first one %zu", i,
                       json_array_size(p), n_classes);
    json_int_t g = json_integer_value(gold), n = (json_int_t)n_classes;
    if (!json_is_integer(gold) || g < -n || g >= n)
        return mu_fail(e, MU_EINVAL, "brier_score: the gold class of item %zu is none of its %zu", i, n_classes);
    g += g < 0 ? n : 0;
    *out = 0;
    for (size_t c = 0; c < n_classes; c++) {
        MU_TRY_RETURN(mu_items_number(json_array_get(p, c), i, "brier_score", &v, e));
        v -= c == (size_t)g;
        *out += v * v;
    }
    return MU_OK;
}

int mu_agg_brier_score(const json_t *items, double *out, struct mu_err *e)
{
    double sum = 0, d = 0;
    MU_TRY_RETURN(mu_items_check(items, "brier_score", e));
    size_t n = json_array_size(items), n_classes = json_array_size(json_array_get(json_array_get(items, 0), 1));
    for (size_t i = 0; i < n; i++) {
        MU_TRY_RETURN(distance(items, i, n_classes, &d, e));
        sum += d;
    }
    *out = sum / (double)n;
    return MU_OK;
}
