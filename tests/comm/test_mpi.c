/* test_mpi.c - the calls of comm.h between processes: run by mpirun with 1, 2, 3, 4 and 8 ranks
 *
 * What is checked is what the fake's ranks check too (comm_checks.h, tree_checks.h); here only what is MPI's own
 * besides. A check that fails on one rank ends the world, so that the others fail with it and none waits. Only rank 0
 * prints. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comm/launch.h"
#include "comm/mpi/mpi.h"
#include "comm_checks.h"
#include "tree_checks.h"

static struct mu_comm *world;

/* All ranks run every body; the first failure of any is told by all. */
static void run_body(mu_fake_fn fn, void *arg)
{
    struct mu_err err = MU_ERR_INIT;
    int rc = fn(arg, world, &err);
    if (rc != MU_OK && world)
        mu_comm_abort(world, err.text);
    XT_CHECKF(rc == MU_OK, "rank %d of %d: %s: %s", mu_comm_rank(world), mu_comm_size(world), mu_code_name(rc),
              err.text);
    XT_OK(mu_comm_barrier(world, &err));
}

XT_TEST(random_calls)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        run_body(play_world, &(struct setting){.seed = seed * 101, .n_calls = 200});
}

XT_TEST(large_messages)
{
    run_body(play_world, &(struct setting){.seed = 7, .n_calls = 24, .is_large = true});
}

XT_TEST(groups_of_groups)
{
    run_body(play_groups, &(struct setting){.seed = 31, .n_calls = 20});
}

XT_TEST(groups_have_a_limit)
{
    run_body(many_groups, NULL);
}

XT_TEST(memory_of_a_node)
{
    for (int i = 0; i < 3; i++)
        run_body(share, NULL);
}

XT_TEST(sums_over_a_tree)
{
    static struct sum_test t;
    int ranks = mu_comm_size(world);
    for (int32_t n = 1; n <= 24; n++)
        for (int kind = 0; kind < 3; kind++) {
            t = (struct sum_test){.n = n, .width = n == 24 ? 5001 : 1 + n % 5, .is_in_place = (n + kind) % 2};
            t.seed = (uint64_t)(n * 1000 + kind);
            set_cuts(&t, ranks, kind);
            run_body(sum_up, &t);
        }
}

static int some_counts(void *arg, struct mu_comm *c, struct mu_err *e)
{
    struct mu_comm_counts before, after;
    unsigned char p[1400] = {0};
    int me = mu_comm_rank(c), size = mu_comm_size(c), next = (me + 1) % size, last = (me + size - 1) % size;
    struct mu_comm_op *op = NULL;
    (void)arg;
    mu_comm_counts(c, &before);
    MU_TRY_RETURN(mu_comm_start_send(&op, c, next, 0, p, 700, e));
    MU_TRY_RETURN(mu_comm_recv(c, last, 0, p + 700, 700, e));
    MU_TRY_RETURN(mu_comm_wait(op, e));
    mu_comm_counts(c, &after);
    TRUE_OR_FAIL(after.calls >= before.calls + 2 && after.wait_ns >= before.wait_ns);
    SAME(after.bytes_sent - before.bytes_sent, 700);
    SAME(after.bytes_received - before.bytes_received, 700);
    SAME(after.bytes_off_node - before.bytes_off_node, 0);
    return MU_OK;
}

XT_TEST(bytes_are_counted)
{
    run_body(some_counts, NULL);
}

/* Everybody writes to rank 0, which takes what it finds, from whomever. */
static int take_from_anybody(void *arg, struct mu_comm *c, struct mu_err *e)
{
    int size = mu_comm_size(c), sum = 0, sender = -1, rank = mu_comm_rank(c);
    unsigned char p[64] = {0};
    size_t bytes = 0;
    (void)arg;
    if (rank > 0)
        return mu_comm_send(c, 0, 5, p, (size_t)rank, e);
    for (int i = 1; i < size; i++) {
        MU_TRY_RETURN(mu_comm_probe(c, -1, 5, 10000000000ll, &sender, &bytes, e));
        SAME(bytes, sender);
        MU_TRY_RETURN(mu_comm_recv(c, sender, 5, p, bytes, e));
        sum += sender;
    }
    SAME(sum, size * (size - 1) / 2);
    SAME(mu_comm_probe(c, -1, 5, 1000000, &sender, &bytes, e), MU_ETIMEDOUT);
    return MU_OK;
}

XT_TEST(messages_from_anybody)
{
    run_body(take_from_anybody, NULL);
}

/* Above what MPI counts in its ints; 5 GB of memory, so only when asked for. */
static int send_much(void *arg, struct mu_comm *c, struct mu_err *e)
{
    size_t n = ((size_t)5 << 29) + 12345; /* 2.5 GiB */
    unsigned char *p = NULL;
    int rank = mu_comm_rank(c), rc = MU_OK;
    (void)arg;
    if (rank > 1)
        return MU_OK;
    MU_TRY(MU_NEW_ARRAY(&p, n, "a very large message", e));
    for (size_t i = 0; i < n && rank == 0; i += 4093)
        p[i] = (unsigned char)(i / 4093 % 251 + 1);
    MU_TRY(rank == 0 ? mu_comm_send(c, 1, 0, p, n, e) : mu_comm_recv(c, 0, 0, p, n, e));
    for (size_t i = 0; i < n; i += 4093)
        TRUE_OR_FAIL(p[i] == (unsigned char)(i / 4093 % 251 + 1));
out:
    mu_free(p);
    return rc;
}

XT_TEST(a_message_above_two_gigabytes)
{
    if (!getenv("MUSTER_TEST_LARGE"))
        xt_skip("needs 5 GB of memory; set MUSTER_TEST_LARGE to run it");
    if (mu_comm_size(world) < 2)
        xt_skip("needs two ranks");
    run_body(send_much, NULL);
}

int main(int argc, char **argv)
{
    struct mu_launch_opts o = {.argv = argv, .comm.timeout_ns = 60000000000ll};
    struct mu_err err = MU_ERR_INIT;
    bool is_guardian = false;
    int status = 0, rank = 0, size = 1;
    if (mu_mpi_is_launched(&rank, &size)) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", rank);
        (void)setenv("XT_RANK", text, 1);
    }
    int rc = mu_launch(&world, &o, &is_guardian, &status, &err);
    if (rc == MU_OK && !world)
        rc = mu_comm_open_mpi(&world, NULL, &err);
    if (rc != MU_OK) {
        fprintf(stderr, "rank %d of %d: %s\n", rank, size, err.text);
        _exit(mu_code_exit_status(rc));
    }
    status = xt_main(argc, argv);
    mu_comm_close(world);
    fflush(NULL);
    _exit(status);
}
