/* measure.h - the measures of one document, with what scoring a whole work needs besides */
#ifndef MU_EVAL_MEASURE_H
#define MU_EVAL_MEASURE_H

#include "eval/score.h"

struct mu_measure_opts {
    struct mu_sandbox *sandbox;
    bool predict_only; /* every metric is "bypass", and process_results is not asked */
    json_t *origin;    /* NULL, or an object that learns the index of the task's metric that a named number came from */
};

int mu_measure_with(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                    const struct mu_measure_opts *o, json_t **out, struct mu_err *e);

/* The task's metrics, or "bypass" alone. */
const struct mu_task_metric *mu_measure_metrics(const struct mu_task *t, bool predict_only, int *n);

/* measure_choice.c and measure_generate.c */
int mu_measure_choice(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                      const struct mu_task_metric *metric, int n_metrics, json_t *to, struct mu_err *e);
int mu_measure_generate(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                        const struct mu_task_metric *metric, int n_metrics, const struct mu_measure_opts *o, json_t *to,
                        struct mu_err *e);

bool mu_measure_has(const struct mu_task_metric *metric, int n_metrics, const char *name);
int mu_measure_put(json_t *to, const char *name, json_t *value, struct mu_err *e); /* takes value; NULL: no memory */

#endif
