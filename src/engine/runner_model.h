/* runner_model.h - the real model as the engine's runner */
#ifndef MU_ENGINE_RUNNER_MODEL_H
#define MU_ENGINE_RUNNER_MODEL_H

#include "engine/checkpoint.h"
#include "engine/runner.h"

struct mu_model_runner_opts {
    enum mu_mla_form mla;
    bool is_mapped;               /* the checkpoint is a packed file */
    const struct mu_shard *shard; /* borrowed until close; NULL: the whole model */
};

/* The model's options under the limits of a bill, which names the formats. */
struct mu_model_opts mu_model_runner_model_opts(const struct mu_model_runner_opts *o, const struct mu_bill_limits *l);

/* Borrows checkpoint and device until close; load moves the spec out and closes the weights. */
int mu_model_runner_new(struct mu_runner **out, struct mu_checkpoint *c, struct mu_device *d,
                        const struct mu_model_runner_opts *o, struct mu_err *e);

#endif
