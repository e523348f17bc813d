/* items.c - reading the items of an aggregation */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/stats/stats_int.h"

int mu_items_check(const json_t *items, const char *what, struct mu_err *e)
{
    size_t n = json_array_size(items);
    if (!json_is_array(items) || n == 0)
        return mu_fail(e, MU_EINVAL, "%s of no items at all: evaluate at least one document", what);
    if (n >= MU_ITEMS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s of %zu items: at most %zu", what, n, MU_ITEMS_MAX - 1);
    return MU_OK;
}

int mu_items_number(const json_t *v, size_t i, const char *what, double *out, struct mu_err *e)
{
    if (json_is_number(v))
        *out = json_number_value(v);
    else if (json_is_boolean(v))
        *out = json_is_true(v);
    else
        return mu_fail(e, MU_EINVAL, "%s: item %zu is no number", what, i);
    return MU_OK;
}

int mu_items_pair(const json_t *items, size_t i, const char *what, const json_t **a, const json_t **b, struct mu_err *e)
{
    const json_t *v = json_array_get(items, i);
    if (json_array_size(v) != 2)
        return mu_fail(e, MU_EINVAL, "%s: item %zu is no pair", what, i);
    *a = json_array_get(v, 0);
    *b = json_array_get(v, 1);
    return MU_OK;
}

int mu_items_numbers(const json_t *items, const char *what, double **out, struct mu_err *e)
{
    double *v = NULL;
    int rc = MU_OK;
    MU_TRY(mu_items_check(items, what, e));
    MU_TRY(MU_NEW_ARRAY(&v, json_array_size(items), "the items of an aggregation", e));
    for (size_t i = 0; i < json_array_size(items); i++)
        MU_TRY(mu_items_number(json_array_get(items, i), i, what, &v[i], e));
    *out = v;
    v = NULL;
out:
    mu_free(v);
    return rc;
}
