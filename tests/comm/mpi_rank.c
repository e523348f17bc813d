/* mpi_rank.c - a program of ranks for the scripts beside it
 *
 *   mpi_rank [--ranks N] work         collectives of all kinds until a signal or a fault; a line on the way
 *   mpi_rank [--ranks N] end STATUS RANK   one collective; then RANK ends with STATUS after mu_comm_abort()
 *   mpi_rank [--ranks N] echo         rank 0 copies its standard input to its standard output; all try to print
 *   mpi_rank [--ranks N] hang         rank 1 leaves the others alone in a call
 *   mpi_rank [--ranks N] size         rank 1 receives less than rank 0 sends it
 *
 * A failure is one line on standard error, beginning with the rank, and the exit status of its code. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "comm/launch.h"

#define FLOATS 40000

static volatile sig_atomic_t was_asked;

static void on_signal(int sig)
{
    (void)sig;
    was_asked = 1;
}

static float values[FLOATS];
static unsigned char blocks[16 * 5000], sent[16 * 5000];

/* Every rank learns in the same turn that one was asked to stop. */
static int one_turn(struct mu_comm *c, bool *stop, struct mu_err *e)
{
    size_t bytes[16];
    int64_t asked = was_asked;
    for (int i = 0; i < mu_comm_size(c); i++)
        bytes[i] = 5000;
    for (int i = 0; i < FLOATS; i++)
        values[i] = (float)(i % 7);
    MU_TRY_RETURN(mu_comm_all_reduce(c, values, FLOATS, MU_REDUCE_SUM_F32, e));
    MU_TRY_RETURN(mu_comm_broadcast(c, blocks, sizeof blocks, 0, e));
    MU_TRY_RETURN(mu_comm_all_to_all(c, sent, bytes, blocks, bytes, e));
    MU_TRY_RETURN(mu_comm_all_gather(c, blocks, bytes, e));
    MU_TRY_RETURN(mu_comm_barrier(c, e));
    MU_TRY_RETURN(mu_comm_all_reduce(c, &asked, 1, MU_REDUCE_MAX_I64, e));
    *stop = asked != 0;
    for (int i = 0; i < FLOATS; i++)
        if (values[i] != (float)(i % 7 * mu_comm_size(c)))
            return mu_fail(e, MU_ENUMERIC, "value %d is %g", i, (double)values[i]);
    return MU_OK;
}

static int work(struct mu_comm *c, struct mu_err *e)
{
    struct mu_comm_shared *s = NULL;
    int64_t *p = NULL;
    int rc = MU_OK;
    if (mu_comm_nodes(c) == 1)
        MU_TRY(mu_comm_shared_open(&s, c, 4 << 20, (void **)&p, e));
    fprintf(stderr, "rank %d process %d works\n", mu_comm_rank(c), (int)getpid());
    for (bool stop = false; !stop;)
        MU_TRY(one_turn(c, &stop, e));
    fprintf(stderr, "rank %d stops\n", mu_comm_rank(c));
out:
    mu_comm_shared_close(s);
    return rc;
}

static int end_early(struct mu_comm *c, int code, int rank, struct mu_err *e)
{
    MU_TRY_RETURN(mu_comm_barrier(c, e));
    if (mu_comm_rank(c) == rank) {
        mu_comm_abort(c, "it was told to");
        return mu_fail(e, code, "told to end");
    }
    return mu_comm_barrier(c, e);
}

static int echo(struct mu_comm *c, struct mu_err *e)
{
    char p[4096];
    size_t n, sum = 0;
    while ((n = fread(p, 1, sizeof p, stdin)) > 0) {
        sum += n;
        if (mu_comm_rank(c) == 0)
            (void)fwrite(p, 1, n, stdout);
    }
    if (mu_comm_rank(c) != 0)
        printf("rank %d prints\n", mu_comm_rank(c));
    fprintf(stderr, "rank %d read %zu bytes\n", mu_comm_rank(c), sum);
    return mu_comm_barrier(c, e);
}

static int hang(struct mu_comm *c, struct mu_err *e)
{
    fprintf(stderr, "rank %d process %d works\n", mu_comm_rank(c), (int)getpid());
    while (mu_comm_rank(c) == 1 && !was_asked)
        sleep(1);
    return mu_comm_barrier(c, e);
}

static int wrong_size(struct mu_comm *c, struct mu_err *e)
{
    unsigned char p[20] = {0};
    if (mu_comm_rank(c) == 0)
        MU_TRY_RETURN(mu_comm_send(c, 1, 0, p, 20, e));
    if (mu_comm_rank(c) == 1)
        MU_TRY_RETURN(mu_comm_recv(c, 0, 0, p, 12, e));
    return mu_comm_barrier(c, e);
}

static int run(struct mu_comm *c, char **argv, struct mu_err *e)
{
    if (strcmp(argv[0], "end") == 0 && argv[1] && argv[2])
        return end_early(c, atoi(argv[1]), atoi(argv[2]), e);
    if (strcmp(argv[0], "echo") == 0)
        return echo(c, e);
    if (strcmp(argv[0], "size") == 0)
        return wrong_size(c, e);
    return strcmp(argv[0], "hang") == 0 ? hang(c, e) : work(c, e);
}

int main(int argc, char **argv)
{
    struct mu_launch_opts o = {.argv = argv};
    struct mu_err err = MU_ERR_INIT;
    struct mu_comm *world = NULL;
    bool is_guardian = false;
    int status = 0, at = 1;
    if (argc > 2 && strcmp(argv[1], "--ranks") == 0) {
        o.ranks = atoi(argv[2]);
        at = 3;
    }
    if (argc <= at)
        return 2;
    int rc = mu_launch(&world, &o, &is_guardian, &status, &err);
    if (rc == MU_OK && is_guardian)
        return status;
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    rc = rc == MU_OK ? run(world, argv + at, &err) : rc;
    if (rc != MU_OK)
        fprintf(stderr, "rank %d: %s: %s\n", mu_comm_rank(world), mu_code_name(rc), err.text);
    status = mu_code_exit_status(rc);
    mu_comm_close(world);
    fflush(NULL);
    mu_launch_end(status);
    _exit(status);
}
