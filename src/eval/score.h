/* score.h - responses to metrics: filters, one document's measures, aggregates and standard errors
 *
 * Source: lm_eval/api/task.py process_results, lm_eval/evaluator.py, lm_eval/evaluator_utils.py. */
#ifndef MU_EVAL_SCORE_H
#define MU_EVAL_SCORE_H

#include "base/pool.h"
#include "eval/work.h"

struct mu_sandbox; /* eval/sandbox.h */

struct mu_score_opts {
    int64_t bootstrap_iters; /* 100000 */
    bool predict_only;
    struct mu_pool *pool;       /* for the bootstrap; NULL: the caller alone */
    struct mu_sandbox *sandbox; /* for tasks that run code; NULL: such a task is refused */
};

/* Every response must be there. Fills score of every document, result and n_results. */
int mu_work_score(struct mu_work *w, const struct mu_score_opts *o, struct mu_err *e);

/* The measures of one document by its output type (measure*.c): results is the array of its filtered responses. *out:
 * an object, metric -> item. */
int mu_measure(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results, struct mu_sandbox *sandbox,
               json_t **out, struct mu_err *e);

/* One group's line for one metric and filter over the results of its leaf tasks. */
struct mu_group_result {
    const char *metric, *filter;
    double value;
    bool has_stderr;
    double stderr_value;
    int64_t n;         /* documents of all leaves: the harness's sample_len */
    int64_t n_counted; /* documents of the leaves that have the metric: its sample_count */
};
/* *out: n results of a group, the caller's to mu_free(). works[i] is the work of set->task[i]. */
int mu_group_score(const struct mu_task_set *set, int group, struct mu_work *const *works, struct mu_group_result **out,
                   int *n, struct mu_err *e);

#endif
