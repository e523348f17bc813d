/* metric.h - what is measured on one document of a generation task, and the names every task type may ask for
 *
 * Metrics of multiple choice, loglikelihood and rolling tasks are computed by measure.c from the log-likelihoods; here
 * are those that compare texts. A metric yields a number, or an item that only its aggregation understands (bleu keeps
 * [reference, prediction]). Names, keyword arguments and behaviour: lm_eval/api/metrics.py. One file a metric. */
#ifndef MU_EVAL_METRIC_METRIC_H
#define MU_EVAL_METRIC_METRIC_H

#include <jansson.h>

#include "eval/docs/processor.h"
#include <muster/err.h>

struct mu_metric {
    const char *name;
    const char *aggregation;                              /* its default: "mean" */
    int higher_is_better;                                 /* 1, 0, -1: null */
    unsigned output_types;                                /* bits 1 << enum mu_output_type where it may be asked for */
    int (*check)(const json_t *kwargs, struct mu_err *e); /* NULL: takes no keyword arguments */
    /* references, predictions: arrays of equal length, of texts. *out: a number, an item, or an object of several
     * named numbers. NULL for metrics that are computed from log-likelihoods only. */
    int (*compute)(const json_t *references, const json_t *predictions, const json_t *kwargs,
                   struct mu_sandbox *sandbox, json_t **out, struct mu_err *e);
};

const struct mu_metric *mu_metric_find(const char *name); /* NULL: unknown */
const struct mu_metric *mu_metric_at(int i);              /* NULL past the last */

/* The harness's metrics for a task that lists none, ended by NULL. */
const char *const *mu_metric_defaults(int output_type);

#endif
