/* bootstrap.h - the standard error of an aggregation by resampling, fast and plain */
#ifndef MU_EVAL_STATS_BOOTSTRAP_H
#define MU_EVAL_STATS_BOOTSTRAP_H

#include "eval/stats/aggregation.h"

/* The reference: compute() over every drawn list of items. */
int mu_bootstrap_plain(const struct mu_aggregation *a, const json_t *items, int64_t iters, struct mu_pool *pool,
                       double *out, struct mu_err *e);

/* The same number without the items, where the aggregation allows it; otherwise the plain way. */
int mu_bootstrap_stderr(const struct mu_aggregation *a, const json_t *items, int64_t iters, struct mu_pool *pool,
                        double *out, struct mu_err *e);

#endif
