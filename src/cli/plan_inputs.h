/* plan_inputs.h - where a plan's model and machine come from: names, files, or this machine */
#ifndef MU_CLI_PLAN_INPUTS_H
#define MU_CLI_PLAN_INPUTS_H

#include "model/spec.h"
#include "plan/machine.h"

/* A checkpoint folder (its config.json is enough), a config.json, a .gguf file, or a model known by name. */
int mu_plan_spec_open(struct mu_spec *out, const char *model, struct mu_err *e);

int mu_plan_machine_load(struct mu_machine *out, const char *path, struct mu_err *e); /* a cluster file */

/* This machine: its GPUs, or its CPUs measured in half a second as `ranks` equal shares. how: a clause that says what
 * was found and what is missing. */
#define MU_PLAN_HOW_MAX 256
int mu_plan_machine_here(struct mu_machine *out, int ranks, int threads, char how[MU_PLAN_HOW_MAX], struct mu_err *e);

#endif
