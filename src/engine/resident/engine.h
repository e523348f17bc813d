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
#include "plan/bill.h"
#include <muster/engine.h>

struct mu_resident_engines {
    struct mu_engine_opts opts; /* of every engine, but for the model's path */
};

extern const struct mu_resident_ops mu_resident_engine_ops;

/* What an engine would take and the limits it would choose. Nothing is reserved or read but headers. */
struct mu_resident_size {
    size_t bytes; /* beside what the process holds already; 0: unknown (no engine of this process) */
    struct mu_bill_limits limits;
};

/* bytes_max: what it may take by itself; 0: what o says. */
int mu_resident_measure(const struct mu_engine_opts *o, size_t bytes_max, struct mu_resident_size *out,
                        struct mu_err *e);
/* An engine opened by o takes what was measured, whatever the machine has left by then. */
void mu_resident_pin(struct mu_engine_opts *o, const struct mu_resident_size *size);

/* For a table's ops: what the machine wants back by pressure.h. */
size_t mu_resident_pressure(void *unused);

#endif
