/* forecast.h - what the model of time says of the steps that an engine ran
 *
 * Kept beside an open engine: its network's description, its layout and the machine as its ranks share it. The machine
 * is the caller's calibrated one, or a guess of round numbers, which is told apart. */
#ifndef MU_ENGINE_FORECAST_H
#define MU_ENGINE_FORECAST_H

#include "plan/layout.h"
#include "plan/step_mix.h"
#include <muster/engine.h>

struct mu_forecast {
    bool is_there, is_calibrated;
    struct mu_spec spec; /* own copy */
    struct mu_layout layout;
    struct mu_machine machine;
    struct mu_workload work;
};

/* The machine of the options as the world's ranks share it, `threads` threads each, with the memory that one may take:
 * 0 leaves what the machine says. */
void mu_forecast_machine(struct mu_machine *out, const struct mu_engine_opts *o, int threads, double memory);

/* layout NULL: one rank. */
int mu_forecast_open(struct mu_forecast *f, const struct mu_spec *s, const struct mu_engine_opts *o,
                     const struct mu_layout *layout, int threads, enum mu_wformat weights, enum mu_dtype kv_dtype,
                     struct mu_err *e);
void mu_forecast_close(struct mu_forecast *f);

/* Seconds of the steps that `made` sums up; 0 where there is no forecast. */
double mu_forecast_step(const struct mu_forecast *f, const struct mu_step_made *made);

/* Fills the times of *out; zeros where there is no forecast or nothing ran. */
void mu_forecast_see(const struct mu_forecast *f, const struct mu_step_mix *x, struct mu_engine_seen *out);

#endif
