/* launch.c - which of the three this process is: alone, one of several ranks, or the guardian of some */
#include "comm/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"
#include "comm/launch_int.h"
#include "comm/mpi/mpi.h"

#define ANSWER_S 10

static int guardian = -1; /* the connection, while there is one */

static int connect_guardian(const char *name, struct mu_err *e)
{
    struct sockaddr_un a;
    struct timeval limit = {.tv_sec = ANSWER_S};
    socklen_t n = mu_launch_address(&a, name);
    guardian = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (guardian < 0 || connect(guardian, (struct sockaddr *)&a, n) != 0)
        return mu_fail(e, MU_EPEER, "the process that started the ranks cannot be reached: %s", strerror(errno));
    (void)setsockopt(guardian, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return MU_OK;
}

/* The answer and the three files that came with it. */
static int hear_answer(struct mu_launch_packet *answer, int fds[3], struct mu_err *e)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct iovec io = {.iov_base = answer, .iov_len = sizeof *answer};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(guardian, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n == (ssize_t)sizeof *answer ? CMSG_FIRSTHDR(&m) : NULL;
    if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(3 * sizeof(int)))
        return mu_fail(e, MU_EPEER, "the process that started the ranks gave no answer: %s",
                       n < 0 ? strerror(errno) : "it ended");
    memcpy(fds, CMSG_DATA(c), 3 * sizeof(int));
    return MU_OK;
}

/* What mpirun gave us as files was its own; who is killed with whom: guardian, then mpirun, then us. */
static int join_guardian(const char *name, int rank, int size, struct mu_err *e)
{
    const char *job = getenv("OMPI_MCA_ess_base_jobid");
    struct mu_launch_packet hello = {.kind = MU_LAUNCH_HELLO, .rank = rank, .size = size}, answer;
    int fds[3];
    hello.job = job ? (uint32_t)strtoul(job, NULL, 10) : 0;
    MU_TRY_RETURN(connect_guardian(name, e));
    if (send(guardian, &hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello)
        return mu_fail(e, MU_EPEER, "the process that started the ranks cannot be reached: %s", strerror(errno));
    MU_TRY_RETURN(hear_answer(&answer, fds, e));
    for (int i = 0; i < 3; i++) {
        (void)dup2(fds[i], i);
        close(fds[i]);
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != answer.pid)
        return mu_fail(e, MU_ECANCELED, "rank %d: mpirun has ended", rank);
    (void)unsetenv(MU_LAUNCH_VARIABLE); /* for us alone, not for what we start */
    return MU_OK;
}

void mu_launch_spare_others(const struct mu_comm *world)
{
    struct mu_launch_packet spare = {.kind = MU_LAUNCH_SPARE};
    if (guardian >= 0 && mu_comm_rank(world) == 0)
        (void)send(guardian, &spare, sizeof spare, MSG_NOSIGNAL);
}

void mu_launch_end(int status)
{
    struct mu_launch_packet end = {.kind = MU_LAUNCH_STATUS, .status = status};
    if (guardian < 0)
        return;
    (void)send(guardian, &end, sizeof end, MSG_NOSIGNAL);
    close(guardian);
    guardian = -1;
}

static int join(struct mu_comm **world, const struct mu_launch_opts *o, int rank, int size, struct mu_err *e)
{
    const char *name = getenv(MU_LAUNCH_VARIABLE);
    if (o->ranks > 0 && o->ranks != size)
        return mu_fail(e, MU_EUSAGE,
                       "%d ranks are wanted, but the launcher started %d: give it the number and leave "
                       "--ranks out",
                       o->ranks, size);
    if (name)
        MU_TRY_RETURN(join_guardian(name, rank, size, e));
    MU_TRY_RETURN(mu_comm_open_mpi(world, &o->comm, e));
    if (mu_comm_size(*world) == size)
        return MU_OK;
    int got = mu_comm_size(*world);
    mu_comm_close(*world);
    *world = NULL;
    return mu_fail(e, MU_EPEER, "the launcher speaks of %d ranks, MPI of %d: is it another MPI's launcher?", size, got);
}

/* Tasks that srun started without PMIx know nothing of each other: each would be a guardian of its own. */
static int refuse_lone_tasks(int ranks, struct mu_err *e)
{
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    if (!tasks || atoi(tasks) < 2)
        return MU_OK;
    return mu_fail(e, MU_EUSAGE,
                   "--ranks %d in each of %s tasks of srun: start the ranks by srun --mpi=pmix -n %d, or one task only",
                   ranks, tasks, ranks);
}

int mu_launch(struct mu_comm **world, const struct mu_launch_opts *o, bool *is_guardian, int *status, struct mu_err *e)
{
    int rank, size;
    *world = NULL;
    *is_guardian = false;
    *status = 0;
    if (o->ranks < 0 || o->ranks > MU_COMM_RANKS_MAX)
        return mu_fail(e, MU_EUSAGE, "%d ranks: the number must lie in 1..%d", o->ranks, MU_COMM_RANKS_MAX);
    if (mu_mpi_is_launched(&rank, &size))
        return join(world, o, rank, size, e);
    if (o->ranks <= 1)
        return MU_OK;
    MU_TRY_RETURN(refuse_lone_tasks(o->ranks, e));
    if (!mu_mpi_is_available(e))
        return MU_EUNSUPPORTED;
    *is_guardian = true;
    return mu_launch_guard(o, status, e);
}
