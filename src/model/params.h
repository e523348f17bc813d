/* params.h - counting parameters, and checks that end every reader; internal to src/model */
#ifndef MU_MODEL_PARAMS_H
#define MU_MODEL_PARAMS_H

#include "model/spec.h"

/* Checks what every architecture must hold, then counts. */
int mu_spec_finish(struct mu_spec *s, const char *where, struct mu_err *e);

/* Sets n_params and n_params_active; MU_ELIMIT above 2^62. */
int mu_spec_count_params(struct mu_spec *s, const char *where, struct mu_err *e);

#endif
