/* launch.h - one face to ranks: start them here, or join those a launcher started
 *
 * `--ranks N` outside any launcher starts N local processes of the same program with the same arguments under mpirun
 * and becomes their guardian: it passes signals on, returns the first failing rank's status and leaves no orphan.
 * Under mpirun or srun a rank joins. Roles come from the launcher's own variables, never from WORLD_SIZE.
 *
 * Under a guardian rank 0 has the guardian's own standard input and output, the others have neither; standard error is
 * everybody's. A first SIGINT, SIGTERM or SIGHUP goes to all ranks, a second one kills them. When a rank fails, what
 * remains MU_LAUNCH_GRACE_NS later is killed; where rank 0 spares the others, only when it has ended itself, and its
 * status is the job's. Killing the guardian itself ends all ranks. */
#ifndef MU_COMM_LAUNCH_H
#define MU_COMM_LAUNCH_H

#include "comm/comm.h"

#define MU_LAUNCH_START_NS 60000000000ll /* for all ranks to come to life */
#define MU_LAUNCH_GRACE_NS 4000000000ll

struct mu_launch_opts {
    int ranks;   /* wanted; 0: as many as the launcher started, else 1 */
    char **argv; /* of this process, to start the others with */
    struct mu_comm_opts comm;
};

/* *world is NULL for a single rank. *is_guardian: ranks ran and ended as children; *status is what to exit with.
 * MU_EUSAGE when a launcher started another number than ranks. */
int mu_launch(struct mu_comm **world, const struct mu_launch_opts *o, bool *is_guardian, int *status, struct mu_err *e);

/* On rank 0: it goes on when others are lost (mu_comm_set_parts), so they are not to be the end of the job. Does
 * nothing elsewhere, or where there is no guardian. */
void mu_launch_spare_others(const struct mu_comm *world);

/* With which status this rank ends: its last act after closing the world, and before _exit() or return from main. A
 * rank that ends without counts as killed. Does nothing where there is no guardian. */
void mu_launch_end(int status);

#endif
