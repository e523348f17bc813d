/* runner.h - what the engine asks of a model
 *
 * The real member (runner_model.c) wraps model/model.h on a device; the fake (fake_runner.h) computes logits from the
 * token history it finds through the page table, so that a wrong page or position shows. Calls come from one thread
 * and may block for as long as a step takes. None is NULL. */
#ifndef MU_ENGINE_RUNNER_H
#define MU_ENGINE_RUNNER_H

#include "model/model.h"

struct mu_runner;

struct mu_runner_ops {
    const char *name;

    /* Reserve everything: weights, activations, scratch and pages_n KV pages. Called once. */
    int (*load)(struct mu_runner *r, int rows_max, int logit_rows_max, int64_t context_max, int64_t pages_n,
                mu_progress_fn progress, void *arg, struct mu_err *e);

    int (*step)(struct mu_runner *r, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e);

    /* Logits of hidden rows idx[0..n) of the last step: *logits [n, vocab] f32 readable by the host until the next
     * call; argmax[i] (lowest id on ties) and lse[i] = log sum exp. A row with NaN or +inf has argmax -1;
     * never fails with MU_ENUMERIC. */
    int (*logits)(struct mu_runner *r, const int32_t *idx, int n, const float **logits, int32_t *argmax, double *lse,
                  struct mu_err *e);

    int (*copy_page)(struct mu_runner *r, int32_t dst, int32_t src, struct mu_err *e);

    /* Some rotary scalings depend on the length a request declares (model/rope_table.h): lengths[seq] are the tokens
     * sequence seq will ever feed, borrowed until close. Only sequences whose lengths have one class share pages. */
    void (*set_lengths)(struct mu_runner *r, const int32_t *lengths);
    int64_t (*prefix_class)(const struct mu_runner *r, int64_t length);

    void (*close)(struct mu_runner *r);
};

struct mu_runner {
    const struct mu_runner_ops *ops;
    int64_t vocab;
    int64_t context; /* the longest the model allows */
};

#endif
