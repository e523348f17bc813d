/* f1.c - F1 of the class 1, as scikit-learn's f1_score(average="binary") of [gold, predicted]
 *
 * 2 tp / (golds + predictions), and 0 where that is 0 / 0. More than two labels, or two of which none is 1, are
 * refused as there. A sample of good items is good, so a replicate needs no check. */
#include "base/check.h"
#include "base/mem.h"
#include "eval/stats/stats_int.h"

enum cell { CELL_NONE, CELL_PREDICTED, CELL_GOLD, CELL_BOTH, CELL_N };

/* The labels other than 1 that were seen. */
struct seen {
    bool has_one, has_other;
    double other;
};

static int label(const json_t *v, size_t i, struct seen *seen, bool *is_one, struct mu_err *e)
{
    double x = 0;
    MU_TRY_RETURN(mu_items_number(v, i, "f1", &x, e));
    *is_one = x == 1;
    seen->has_one |= *is_one;
    if (*is_one)
        return MU_OK;
    if (seen->has_other && seen->other != x)
        return mu_fail(e, MU_EINVAL, "f1: item %zu has the label %g beside %g: f1 takes the labels 0 and 1", i, x,
                       seen->other);
    seen->has_other = true;
    seen->other = x;
    return MU_OK;
}

static double of_counts(const struct mu_resample *r, const uint32_t *count)
{
    (void)r;
    double both = count[CELL_BOTH], all = 2 * both + count[CELL_GOLD] + count[CELL_PREDICTED];
    return all > 0 ? 2 * both / all : 0;
}

int mu_resample_f1(const json_t *items, struct mu_resample *r, struct mu_err *e)
{
    struct seen seen = {false, false, 0};
    const json_t *a, *b;

    MU_TRY_RETURN(mu_items_check(items, "f1", e));
    r->n = (uint32_t)json_array_size(items);
    r->n_cells = CELL_N;
    r->of_counts = of_counts;
    MU_TRY_RETURN(MU_NEW_ARRAY(&r->cell, r->n, "the items of an aggregation", e));
    for (uint32_t i = 0; i < r->n; i++) {
        bool is_gold = false, is_predicted = false;
        MU_TRY_RETURN(mu_items_pair(items, i, "f1", &a, &b, e));
        MU_TRY_RETURN(label(a, i, &seen, &is_gold, e));
        MU_TRY_RETURN(label(b, i, &seen, &is_predicted, e));
        r->cell[i] = (is_gold ? CELL_GOLD : 0u) | (is_predicted ? CELL_PREDICTED : 0u);
    }
    return MU_OK;
}

int mu_agg_f1(const json_t *items, double *out, struct mu_err *e)
{
    struct mu_resample r = {0};
    uint32_t count[CELL_N] = {0};
    int rc = mu_resample_f1(items, &r, e);
    for (uint32_t i = 0; rc == MU_OK && i < r.n; i++)
        count[r.cell[i]]++;
    if (rc == MU_OK)
        *out = of_counts(&r, count);
    mu_resample_fini(&r);
    return rc;
}
