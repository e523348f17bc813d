/* mcc.c - Matthews' correlation of [gold, predicted] for any number of classes
 *
 * Gorodkin 2004, computed as scikit-learn's matthews_corrcoef does: covariances of counts in doubles, 0 when one of
 * them is 0. Labels are numbers or texts. */
#include <math.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/stats/stats_int.h"

/* The class of a label: labels seen so far are the keys of `classes`. */
static int label(const json_t *v, size_t i, json_t *classes, uint32_t *out, struct mu_err *e)
{
    char number[40];
    double x = 0;
    const char *key = json_string_value(v);
    if (!key) {
        MU_TRY_RETURN(mu_items_number(v, i, "matthews_corrcoef", &x, e));
        snprintf(number, sizeof number, "%.17g", x);
        key = number;
    }
    const json_t *known = json_object_get(classes, key);
    size_t n = json_object_size(classes);
    *out = known ? (uint32_t)json_integer_value(known) : (uint32_t)n;
    if (known)
        return MU_OK;
    if (n == MU_LABELS_MAX)
        return mu_fail(e, MU_ELIMIT, "matthews_corrcoef: more than %d labels", MU_LABELS_MAX);
    if (json_object_set_new(classes, key, json_integer((json_int_t)n)) != 0)
        return mu_fail_nomem(e, strlen(key), "a label");
    return MU_OK;
}

static double correlation(double correct, double n, double dot, double gold_squares, double predicted_squares)
{
    double both = correct * n - dot;
    double spread = (n * n - predicted_squares) * (n * n - gold_squares);
    return spread == 0 ? 0 : both / sqrt(spread);
}

static double of_counts(const struct mu_resample *r, const uint32_t *count)
{
    double correct = 0, dot = 0, gold_squares = 0, predicted_squares = 0;
    size_t k = (size_t)r->n_labels;
    for (size_t c = 0; c < k; c++) {
        double gold = 0, predicted = 0;
        for (size_t other = 0; other < k; other++) {
            gold += count[c * k + other];
            predicted += count[other * k + c];
        }
        correct += count[c * k + c];
        dot += gold * predicted;
        gold_squares += gold * gold;
        predicted_squares += predicted * predicted;
    }
    return correlation(correct, r->n, dot, gold_squares, predicted_squares);
}

/* The classes of all items, two an item: gold, predicted. */
static int read_labels(const json_t *items, uint32_t **out, int *n_labels, struct mu_err *e)
{
    const json_t *a, *b;
    json_t *classes = NULL;
    uint32_t *v = NULL;
    int rc = MU_OK;

    MU_TRY(mu_items_check(items, "matthews_corrcoef", e));
    mu_json_init();
    classes = json_object();
    if (!classes) {
        rc = mu_fail_nomem(e, sizeof a, "labels");
        goto out;
    }
    MU_TRY(MU_NEW_ARRAY(&v, 2 * json_array_size(items), "the items of an aggregation", e));
    for (size_t i = 0; i < json_array_size(items); i++) {
        MU_TRY(mu_items_pair(items, i, "matthews_corrcoef", &a, &b, e));
        MU_TRY(label(a, i, classes, &v[2 * i], e));
        MU_TRY(label(b, i, classes, &v[2 * i + 1], e));
    }
    *n_labels = (int)json_object_size(classes);
    *out = v;
    v = NULL;
out:
    json_decref(classes);
    mu_free(v);
    return rc;
}

int mu_resample_mcc(const json_t *items, struct mu_resample *r, struct mu_err *e)
{
    uint32_t *v = NULL;
    int rc = MU_OK;
    MU_TRY(read_labels(items, &v, &r->n_labels, e));
    r->n = (uint32_t)json_array_size(items);
    r->of_counts = of_counts;
    if (r->n_labels * r->n_labels > MU_CELLS_MAX)
        goto out; /* too many cells: left to compute() */
    r->n_cells = (uint32_t)(r->n_labels * r->n_labels);
    MU_TRY(MU_NEW_ARRAY(&r->cell, r->n, "the items of an aggregation", e));
    for (size_t i = 0; i < r->n; i++)
        r->cell[i] = v[2 * i] * (uint32_t)r->n_labels + v[2 * i + 1];
out:
    mu_free(v);
    return rc;
}

/* Counts by gold and by predicted class alone: few, whatever the number of classes. */
int mu_agg_mcc(const json_t *items, double *out, struct mu_err *e)
{
    double correct = 0, dot = 0, gold_squares = 0, predicted_squares = 0;
    double count[MU_LABELS_MAX][2] = {{0}};
    uint32_t *v = NULL;
    int k = 0;

    MU_TRY_RETURN(read_labels(items, &v, &k, e));
    for (size_t i = 0; i < json_array_size(items); i++) {
        correct += v[2 * i] == v[2 * i + 1];
        count[v[2 * i]][0]++;
        count[v[2 * i + 1]][1]++;
    }
    mu_free(v);
    for (int c = 0; c < k; c++) {
        dot += count[c][0] * count[c][1];
        gold_squares += count[c][0] * count[c][0];
        predicted_squares += count[c][1] * count[c][1];
    }
    *out = correlation(correct, (double)json_array_size(items), dot, gold_squares, predicted_squares);
    return MU_OK;
}
