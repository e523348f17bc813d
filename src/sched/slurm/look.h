/* look.h - the cluster as it is now, and what a site profile says otherwise */
#ifndef MU_SCHED_SLURM_LOOK_H
#define MU_SCHED_SLURM_LOOK_H

#include "sched/slurm/site.h"
#include "sched/slurm/topology.h"

/* Asks scontrol and sinfo. Errors as jobs.h has them. *out: the caller's, by mu_slurm_cluster_fini(). */
int mu_slurm_cluster_read(struct mu_slurm_cluster *out, struct mu_err *e);

/* A sentence for the first thing in which the profile's partition is not the cluster's; "" where they agree. Pure.
 * Returns buf. */
char *mu_slurm_differs(char buf[256], const struct mu_site_partition *p, const struct mu_slurm_cluster *c);

#endif
