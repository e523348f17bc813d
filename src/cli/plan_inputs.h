/* plan_inputs.h - where a plan's model and machine come from: names, files, or this machine */
#ifndef MU_CLI_PLAN_INPUTS_H
#define MU_CLI_PLAN_INPUTS_H

#include "base/buf.h"
#include "model/spec.h"
#include "plan/machine.h"
#include "tensor/matrix.h"

/* A checkpoint folder (its config.json is enough), a config.json, a .gguf file, or a model known by name. */
int mu_plan_spec_open(struct mu_spec *out, const char *model, struct mu_err *e);

/* The format it would run in: as asked (NULL: not), else that of a packed folder, else the config's own, else bf16. */
int mu_plan_weights(enum mu_wformat *out, const char *model, const struct mu_spec *s, const char *asked,
                    struct mu_err *e);

int mu_plan_machine_load(struct mu_machine *out, const char *path, struct mu_err *e); /* a cluster file */

/* Where `muster calibrate` keeps what it measured, and the folder of it: $XDG_CACHE_HOME/muster, or ~/.cache/muster.
 * MU_ENOENT when neither variable names a folder. */
int mu_machine_kept_path(struct mu_buf *file, struct mu_buf *folder, struct mu_err *e);

/* That file, or the one named by path; *is_there false: none is named and none was kept. Of the CPUs that ranks run on:
 * a file that describes GPUs is refused. */
int mu_machine_kept(struct mu_machine *out, const char *path, bool *is_there, struct mu_err *e);

/* This machine: its GPUs, or its CPUs as they were calibrated, else measured in half a second, as `ranks` equal shares.
 * how: a clause that says what was found and what is missing. */
#define MU_PLAN_HOW_MAX 256
int mu_plan_cpus_here(struct mu_machine *out, int ranks, int threads, char how[MU_PLAN_HOW_MAX],
                      struct mu_err *e); /* whether there are GPUs or not */
int mu_plan_machine_here(struct mu_machine *out, int ranks, int threads, char how[MU_PLAN_HOW_MAX], struct mu_err *e);

#endif
