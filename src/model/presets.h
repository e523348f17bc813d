/* presets.h - specs of the models known by name (their list: include/muster/model.h) */
#ifndef MU_MODEL_PRESETS_H
#define MU_MODEL_PRESETS_H

#include "model/spec.h"
#include <muster/model.h>

/* MU_EUNSUPPORTED with the preset's own sentence where muster cannot run it. */
int mu_preset_spec(struct mu_spec *out, const struct mu_preset *p, struct mu_err *e);

#endif
