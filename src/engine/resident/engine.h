/* engine.h - engines in a table of residents: a name is the path of a model
 *
 *     struct mu_resident_engines x = {.opts = MU_ENGINE_OPTS_INIT};
 *     struct mu_resident_opts o = {.ops = &mu_resident_engine_ops, .arg = &x, .bytes_max = limit};
 *     mu_residents_open(&r, &o, &err);
 *     mu_residents_add(r, "models/muster-llama-tiny", false, &err);
 *     mu_residents_use(r, "models/muster-llama-tiny", wait_ns, &model, &err);
 *     mu_engine_submit(model, ...) ... mu_residents_done(r, model);
 *
 * Whoever uses a model has it for polling alone only if nobody else does: that is for the users to agree on. */
#ifndef MU_ENGINE_RESIDENT_ENGINE_H
#define MU_ENGINE_RESIDENT_ENGINE_H

#include "engine/resident/resident.h"
#include <muster/engine.h>

struct mu_resident_engines {
    struct mu_engine_opts opts; /* of every engine, but for the model's path */
};

extern const struct mu_resident_ops mu_resident_engine_ops;

#endif
