/* visible_gpus.h - of the GPUs that a batch system shows to a process, the one that it is given
 *
 * Slurm lists those of a step, by number or name, in CUDA_VISIBLE_DEVICES and its like, which drivers go by. Steps that
 * overlap are shown all that their job has on the node, so who shares them out narrows the lists. */
#ifndef MU_CLI_VISIBLE_GPUS_H
#define MU_CLI_VISIBLE_GPUS_H

#include <stdio.h>

#include "base/buf.h"

/* The name at that place, from 0, of a list between commas; empty: it has not as many. Pure. */
struct mu_str mu_gpus_at(struct mu_str list, int place);

/* places: for each rank which GPU of its node, "0,1,0". The lists of this process then name that one alone; one that is
 * not there, or has fewer, stays as it is: devices are not GPUs then. Tells on f (NULL: nobody) what was narrowed.
 * MU_EUSAGE: places say nothing of the rank. Before threads are started. */
int mu_gpus_keep(const char *places, int rank, FILE *f, struct mu_err *e);

#endif
