/* evaluator.h - one evaluation from options to results, on a session that the caller has joined and closes
 *
 * Tasks and requests are read before the weights. In a session that is kept the model stays open for the next. */
#ifndef MU_CLI_EVALUATOR_H
#define MU_CLI_EVALUATOR_H

#include <stdio.h>

#include "cli/eval_args.h"

struct mu_evaluate_opts {
    FILE *results; /* gets the table, or JSON; NULL: nobody does */
    /* Requests, of all: when the tasks are read, then ten times a second. NULL: nobody listens. */
    void (*on_progress)(void *arg, int64_t done, int64_t total);
    /* Computing begins, with so many requests done: the model is open. Documents of the whole task, whatever part of it
     * runs. NULL: nobody listens. */
    void (*on_begun)(void *arg, int64_t done, int64_t documents);
    void *arg;
};

/* MU_ECANCELED after an interrupt: what is done is in the journal. */
int mu_evaluate(struct mu_session *s, const struct mu_eval_args *a, const struct mu_evaluate_opts *o, struct mu_err *e);

#endif
