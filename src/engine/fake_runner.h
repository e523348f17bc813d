/* fake_runner.h - a model that remembers instead of computing
 *
 * Its KV pages hold the tokens themselves. The logits of a row are a hash of every token and position that row can see
 * through the page table, so a wrong page, position, order or stale page changes them; a slot that holds another
 * position than it should is an MU_EINTERNAL error at once. Faults come on order. No device is needed. */
#ifndef MU_ENGINE_FAKE_RUNNER_H
#define MU_ENGINE_FAKE_RUNNER_H

#include "engine/runner.h"

struct mu_fake_opts {
    int64_t vocab, context;
    int32_t nan_token;                     /* rows that see it have NaN logits; -1: none */
    int32_t fail_token;                    /* a step that computes it fails with MU_EPEER; -1: none */
    int32_t dizzy_token;                   /* a step that computes it fails with MU_ENUMERIC; -1: none */
    int64_t short_max;                     /* lengths above it are classes of their own, with other logits; 0: none */
    bool is_earlier_stage, is_later_stage; /* of a pipeline: rows go on to another, rows come from another */
};

struct mu_fake_counts {
    uint64_t steps, rows, rows_max, logit_rows, copies, given_back;
};

int mu_fake_runner_new(struct mu_runner **out, const struct mu_fake_opts *o, struct mu_err *e);
const struct mu_fake_counts *mu_fake_runner_counts(const struct mu_runner *r);

/* The logits after ids[0..n) of class 0, computed without pages: [vocab] f32. */
void mu_fake_logits(const struct mu_fake_opts *o, const int32_t *ids, int n, float *logits);

/* Its sizes, as mu_model_sizes() would give them. */
void mu_fake_sizes(const struct mu_fake_opts *o, int rows, int logit_rows, struct mu_model_sizes *out);

#endif
