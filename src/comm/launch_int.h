/* launch_int.h - guardian (launch_guard.c) and rank (launch.c) talk over a socket of packets whose name is random
 *
 *   rank: hello (rank, size, job) guardian: answer (mpirun's process) with the files 0, 1, 2
 *   rank 0: spare                 from here on it outlives others, and its end is the job's
 *   rank: status, at its end      an end of the connection without: the rank was killed
 */
#ifndef MU_COMM_LAUNCH_INT_H
#define MU_COMM_LAUNCH_INT_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "comm/launch.h"

#define MU_LAUNCH_VARIABLE "MUSTER_GUARDIAN" /* the socket's name, in the ranks' environment */

enum mu_launch_kind { MU_LAUNCH_HELLO = 1, MU_LAUNCH_ANSWER, MU_LAUNCH_SPARE, MU_LAUNCH_STATUS };

struct mu_launch_packet {
    int32_t kind;
    int32_t rank, size; /* hello */
    uint32_t job;       /* hello: mpirun's number of it, in the names of what it leaves behind when killed */
    int32_t pid;        /* answer */
    int32_t status;     /* end */
};

/* Starts o->ranks ranks and returns when all have ended. */
int mu_launch_guard(const struct mu_launch_opts *o, int *status, struct mu_err *e);

/* MU_ENOSPC when not even one rank has room for its shared memory: Open MPI would end without a word that says so. */
int mu_launch_check_room(struct mu_err *e);

/* What a killed mpirun left of a job: files of its shared memory, its folder under the temporary one. */
void mu_launch_sweep(pid_t mpirun, uint32_t job, int ranks);

/* The abstract address of a name; its length. */
static inline socklen_t mu_launch_address(struct sockaddr_un *a, const char *name)
{
    size_t n = 0;
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    for (; name[n] && n + 1 < sizeof a->sun_path; n++)
        a->sun_path[n + 1] = name[n];
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

#endif
