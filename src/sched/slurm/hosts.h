/* hosts.h - Slurm's host lists: "node[01-03,7],login1,r[1-2]n[1-4]-ib" to names
 *
 * As slurm.conf(5) writes NodeName: names between commas, ranges of numbers in brackets, zeros in front kept, several
 * brackets multiplied, the last one running fastest. Pure. */
#ifndef MU_SCHED_SLURM_HOSTS_H
#define MU_SCHED_SLURM_HOSTS_H

#include "base/buf.h"

#define MU_SLURM_HOSTS_MAX     16384 /* as MU_NODES_MAX */
#define MU_SLURM_HOST_TEXT_MAX 255   /* bytes of one name */

struct mu_slurm_hosts {
    struct mu_buf text; /* owned: names, each ended by a NUL */
    int n;
};
#define MU_SLURM_HOSTS_INIT                                                                                            \
    {                                                                                                                  \
        MU_BUF_INIT("a host list", (size_t)MU_SLURM_HOSTS_MAX * 64), 0                                                 \
    }

/* Adds the names of list to out. MU_EFORMAT says where it ends making sense; MU_ELIMIT when there are too many. */
int mu_slurm_hosts_expand(struct mu_slurm_hosts *out, struct mu_str list, struct mu_err *e);
void mu_slurm_hosts_fini(struct mu_slurm_hosts *h);

/* The names in order: begin with NULL. NULL behind the last. */
const char *mu_slurm_hosts_next(const struct mu_slurm_hosts *h, const char *at);

#endif
