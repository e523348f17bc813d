/* median.c - the harness's median: the item at place n / 2 of the sorted ones, also for an even n
 *
 * For the bootstrap the items are sorted once; a replicate counts how often each place was drawn. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/stats/stats_int.h"

struct placed {
    double v;
    uint32_t item;
};

static int compare(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    return x->v < y->v ? -1 : x->v > y->v;
}

static double of_counts(const struct mu_resample *r, const uint32_t *count)
{
    uint64_t before = 0;
    uint32_t place = 0;
    while ((before += count[place]) <= r->n / 2)
        place++;
    return r->value[place];
}

int mu_resample_median(const json_t *items, struct mu_resample *r, struct mu_err *e)
{
    struct placed *sorted = NULL;
    int rc = MU_OK;

    MU_TRY(mu_items_numbers(items, "median", &r->value, e));
    r->n = r->n_cells = (uint32_t)json_array_size(items);
    r->of_counts = of_counts;
    MU_TRY(MU_NEW_ARRAY(&r->cell, r->n, "the items of an aggregation", e));
    MU_TRY(MU_NEW_ARRAY(&sorted, r->n, "the items of an aggregation", e));
    for (uint32_t i = 0; i < r->n; i++)
        sorted[i] = (struct placed){r->value[i], i};
    qsort(sorted, r->n, sizeof *sorted, compare);
    for (uint32_t place = 0; place < r->n; place++) {
        r->value[place] = sorted[place].v;
        r->cell[sorted[place].item] = place;
    }
out:
    mu_free(sorted);
    return rc;
}

int mu_agg_median(const json_t *items, double *out, struct mu_err *e)
{
    struct mu_resample r = {0};
    int rc = mu_resample_median(items, &r, e);
    if (rc == MU_OK)
        *out = r.value[r.n / 2];
    mu_resample_fini(&r);
    return rc;
}
