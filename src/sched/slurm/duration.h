/* duration.h - lengths of time as Slurm and people write them */
#ifndef MU_SCHED_SLURM_DURATION_H
#define MU_SCHED_SLURM_DURATION_H

#include <stdint.h>

#include "base/buf.h"

#define MU_SLURM_UNLIMITED INT64_MAX
#define MU_SLURM_DAYS_MAX  3650

/* Seconds of "D-HH[:MM[:SS]]", "HH:MM:SS", "MM:SS" (sbatch(1), --time), "UNLIMITED" or "INFINITE", and of a number with
 * a unit: "90s", "15m", "12h", "2d". A number alone is refused: to Slurm it is minutes, to most people seconds.
 * MU_EFORMAT with the text. */
int mu_slurm_duration_parse(int64_t *seconds, struct mu_str text, struct mu_err *e);

/* "1-02:30:00", rounded up to whole minutes, which is what Slurm counts. Returns buf. */
char *mu_slurm_duration_text(char buf[32], int64_t seconds);

#endif
