/* aggregation.h - from the items of all documents to one number, and its standard error
 *
 * Names: lm_eval/api/metrics.py. Standard errors: closed form for mean and acc_all, bootstrap for those the harness
 * bootstraps, none for the rest. The bootstrap is the harness's: chunk i of (at most) 1000 replicates draws from
 * CPython's random.Random(i), replicates are aggregated over rnd.choices(items, k=n), and the standard error is the
 * sample deviation of all replicates; chunks run on the pool's threads, which changes nothing. */
#ifndef MU_EVAL_STATS_AGGREGATION_H
#define MU_EVAL_STATS_AGGREGATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/pool.h"
#include <muster/err.h>

#define MU_BOOTSTRAP_ITERS 100000 /* the harness's default */

enum mu_stderr_kind { MU_STDERR_NONE, MU_STDERR_MEAN, MU_STDERR_ACC_ALL, MU_STDERR_BOOTSTRAP };

struct mu_aggregation {
    const char *name;
    enum mu_stderr_kind stderr_kind;
    int64_t iters_max; /* of a bootstrap: 100 for bleu, chrf, chrf++, ter; 0: as asked */
    int (*compute)(const json_t *items, double *out, struct mu_err *e);
};

const struct mu_aggregation *mu_aggregation_find(const char *name); /* NULL: unknown */
const struct mu_aggregation *mu_aggregation_at(int i);              /* NULL past the last */

/* *has false: "N/A" (one item, iters 0, or an aggregation without one). iters: 0 switches all standard errors off. */
int mu_aggregation_stderr(const struct mu_aggregation *a, const json_t *items, int64_t iters, struct mu_pool *pool,
                          double *out, bool *has, struct mu_err *e);

/* ---- groups: lm_eval/evaluator_utils.py, pooled_sample_stderr and the size-weighted mean ---- */

double mu_group_mean(const double *value, const int64_t *size, int n, bool weight_by_size);
double mu_group_stderr(const double *stderr_, const int64_t *size, int n);

/* ---- comparing two runs on the same documents (muster report) ---- */

/* Exact two-sided binomial McNemar test; only_a, only_b: documents only one of them got right. */
double mu_mcnemar_p(int64_t only_a, int64_t only_b);

/* Two-sided p of the mean difference a[i] - b[i] by a paired bootstrap of iters replicates from random.Random(seed). */
int mu_paired_bootstrap_p(const double *a, const double *b, int64_t n, int64_t iters, int64_t seed, double *p,
                          struct mu_err *e);

#endif
