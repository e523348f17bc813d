/* doomed.h - names of a launcher's steps, and those of them that the controller is to end
 *
 * A step is named by who started it, "muster:HOST:PID:START:NUMBER": whose it is, and whether that one is still there,
 * can be read out of squeue. One that is doomed is asked for again and again until it is listed no more: srun, or the
 * node under it, may hang. */
#ifndef MU_SCHED_SLURM_DOOMED_H
#define MU_SCHED_SLURM_DOOMED_H

#include "sched/launcher.h"
#include "sched/slurm/allocation.h"
#include "sched/slurm/step_words.h"

#define MU_DOOMED_MAX (2 * MU_WORKERS_MAX)

struct mu_doomed {
    char prefix[200]; /* of the names of our steps */
    int64_t *number;  /* [MU_DOOMED_MAX], n of them */
    int n;
    int64_t sweep_ns; /* the next look for them */
};

int mu_doomed_open(struct mu_doomed *d, struct mu_err *e);
void mu_doomed_close(struct mu_doomed *d); /* all zero is fine */

void mu_doomed_name(const struct mu_doomed *d, int64_t number, char name[MU_STEP_NAME_BYTES]);

/* Looked for at once. */
void mu_doomed_add(struct mu_doomed *d, int64_t number);

/* Has those end that are listed, and with them what launchers of this host that are no more have left. *n_found: how
 * many were there; left alone where the controller is away. Those that were not listed are doomed no more. */
void mu_doomed_sweep(struct mu_doomed *d, struct mu_slurm_allocation *a, int *n_found);

/* Until none is there, for some seconds at most. */
void mu_doomed_sweep_all(struct mu_doomed *d, struct mu_slurm_allocation *a);

/* Whether a step is of a launcher on this host that is no more. */
bool mu_doomed_is_left_behind(const struct mu_doomed *d, struct mu_str name);

#endif
