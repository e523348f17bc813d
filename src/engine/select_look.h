/* select_look.h - what the selector is told: the model's size, free memory, what each engine computes at a time */
#ifndef MU_ENGINE_SELECT_LOOK_H
#define MU_ENGINE_SELECT_LOOK_H

#include "engine/select.h"
#include <muster/engine.h>

/* Headers of the checkpoint's files are read; what cannot be is left unknown. Engines are known by name. */
void mu_select_look(struct mu_select_ask *ask, struct mu_select_candidate *c, int n, const struct mu_engine_opts *o);

#endif
