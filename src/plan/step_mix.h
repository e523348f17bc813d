/* step_mix.h - what the steps of a run were made of, and how long the model of time takes for the same ones
 *
 * Steps of alike sizes are counted together, with and without prompts apart: few numbers, no allocation, and a
 * prediction of what ran rather than of what was expected to. Pure. */
#ifndef MU_PLAN_STEP_MIX_H
#define MU_PLAN_STEP_MIX_H

#include "plan/cost.h"

#define MU_STEP_SIZES 18 /* powers of two up to 65536 rows, and more */

/* One step, or the sum of several. */
struct mu_step_made {
    int64_t steps, rows, sequences;
    int64_t keys; /* that the rows attended to, all together */
    int64_t logit_rows;
    int64_t ns;
};

struct mu_step_mix {
    struct mu_step_made at[2][MU_STEP_SIZES]; /* every row a sequence of its own; with runs of prompts */
};

void mu_step_mix_add(struct mu_step_mix *x, const struct mu_step_made *one);
struct mu_step_made mu_step_mix_sum(const struct mu_step_mix *x);

/* Predicted seconds of all the steps in one replica of the layout. w: formats and engine; its counts do not matter. */
int mu_step_mix_cost(double *seconds, const struct mu_step_mix *x, const struct mu_spec *s, const struct mu_layout *l,
                     const struct mu_machine *m, const struct mu_workload *w, struct mu_err *e);

#endif
