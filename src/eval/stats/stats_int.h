/* stats_int.h - what the files of the aggregations share
 *
 * An aggregation that is bootstrapped often says besides compute() how a replicate comes from drawn indices alone: as
 * sums of doubles in drawing order, or as counts of small cells. Both give the very numbers that compute() gives on
 * the drawn items; tests hold them to it. */
#ifndef MU_EVAL_STATS_INT_H
#define MU_EVAL_STATS_INT_H

#include "eval/stats/aggregation.h"

#define MU_ITEMS_MAX  ((size_t)1 << 31) /* of one metric: indices are 32 bits */
#define MU_CELLS_MAX  4096              /* of counts, except the median's */
#define MU_LABELS_MAX 1024              /* classes of matthews_corrcoef */

struct mu_resample {
    uint32_t n;
    double *value;    /* sums: one an item; median: sorted. Owned */
    double *weight;   /* sums: NULL when every item weighs 1. Owned */
    uint32_t *cell;   /* counts: the cell of an item; NULL for sums. Owned */
    uint32_t n_cells; /* 0 for sums, and when there is no way but compute() */
    int n_labels;     /* matthews_corrcoef: its cells are gold * n_labels + predicted */
    double (*of_sums)(double sum, double weight);
    double (*of_counts)(const struct mu_resample *r, const uint32_t *count);
};

typedef int (*mu_resample_fn)(const json_t *items, struct mu_resample *r, struct mu_err *e);

void mu_resample_fini(struct mu_resample *r);
mu_resample_fn mu_resample_of(const struct mu_aggregation *a); /* NULL: none */

/* ---- reading items; the sentences name the item ---- */

/* At least one item and no more than MU_ITEMS_MAX. */
int mu_items_check(const json_t *items, const char *what, struct mu_err *e);
int mu_items_number(const json_t *v, size_t i, const char *what, double *out, struct mu_err *e); /* true is 1 */
/* Item i is an array of two. */
int mu_items_pair(const json_t *items, size_t i, const char *what, const json_t **a, const json_t **b,
                  struct mu_err *e);
int mu_items_numbers(const json_t *items, const char *what, double **out, struct mu_err *e); /* mu_free() */

/* ---- the aggregations ---- */

int mu_agg_mean(const json_t *items, double *out, struct mu_err *e);
int mu_agg_nanmean(const json_t *items, double *out, struct mu_err *e); /* null is NaN; of nothing else NaN */
int mu_agg_median(const json_t *items, double *out, struct mu_err *e);
int mu_agg_perplexity(const json_t *items, double *out, struct mu_err *e);
int mu_agg_weighted_perplexity(const json_t *items, double *out, struct mu_err *e); /* [log-likelihood, weight] */
int mu_agg_bits_per_byte(const json_t *items, double *out, struct mu_err *e);       /* [log-likelihood, bytes] */
int mu_agg_f1(const json_t *items, double *out, struct mu_err *e);                  /* [gold, predicted] */
int mu_agg_mcc(const json_t *items, double *out, struct mu_err *e);                 /* [gold, predicted] */
int mu_agg_brier_score(const json_t *items, double *out, struct mu_err *e);         /* [gold, probabilities] */
int mu_agg_acc_all(const json_t *items, double *out, struct mu_err *e);             /* [predicted, document] */
int mu_agg_bypass(const json_t *items, double *out, struct mu_err *e);

int mu_resample_nanmean(const json_t *items, struct mu_resample *r, struct mu_err *e);
int mu_resample_median(const json_t *items, struct mu_resample *r, struct mu_err *e);
int mu_resample_perplexity(const json_t *items, struct mu_resample *r, struct mu_err *e);
int mu_resample_f1(const json_t *items, struct mu_resample *r, struct mu_err *e);
int mu_resample_mcc(const json_t *items, struct mu_resample *r, struct mu_err *e);

/* ---- standard errors ---- */

double mu_sample_stddev(const double *v, int64_t n); /* n >= 2 */
double mu_mean_stderr(const double *v, int64_t n);   /* n >= 2 */
int mu_acc_all_stderr(const json_t *items, double *out, bool *has, struct mu_err *e);

#define MU_BOOTSTRAP_ITERS_MAX 10000000

#endif
