/* bench_mpi.c - our collectives beside the MPI library's own, in one run
 *
 *   bench_mpi --ranks 2 [--batches 15]
 *
 * Batches of equal calls, ours and MPI's in turn; a row is the median time of a call, in microseconds, and the ratio;
 * then the same of each side's best batch, which is what counts when others use the machine too. bytes: of the message,
 * or of each rank's piece. The all-reduce is ours of the fixed tree: the same bits on any number of ranks, which MPI's
 * does not give. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "comm/launch.h"
#include "comm/mpi/mpi.h"
#include "comm/mpi/mpi_module.h"

#define RANKS_MAX   64
#define BATCHES_MAX 101
#define BATCH_NS    20000000ll /* about as long as one batch takes */
#define FASTEST_BPS 4e9        /* guess for the number of calls in a batch */
#define BYTES_FIRST ((size_t)8 << 10)
#define BYTES_LAST  ((size_t)16 << 20)

struct bench {
    struct mu_comm *c;
    const struct mu_mpi_own *mpi;
    int n_batches;
    size_t bytes; /* of this row */
    size_t pieces[RANKS_MAX];
    unsigned char *a, *b; /* [ranks][BYTES_LAST] */
};

typedef int (*call_fn)(struct bench *b, struct mu_err *e);

static int from_mpi(int rc, struct mu_err *e)
{
    return rc == 0 ? MU_OK : mu_fail(e, MU_EPEER, "MPI failed");
}

static int our_broadcast(struct bench *b, struct mu_err *e)
{
    return mu_comm_broadcast(b->c, b->a, b->bytes, 0, e);
}

static int mpi_broadcast(struct bench *b, struct mu_err *e)
{
    return from_mpi(b->mpi->broadcast(b->a, (int)b->bytes), e);
}

static int our_all_gather(struct bench *b, struct mu_err *e)
{
    return mu_comm_all_gather(b->c, b->a, b->pieces, e);
}

static int mpi_all_gather(struct bench *b, struct mu_err *e)
{
    return from_mpi(b->mpi->all_gather(b->a, (int)b->bytes), e);
}

static int our_all_to_all(struct bench *b, struct mu_err *e)
{
    return mu_comm_all_to_all(b->c, b->a, b->pieces, b->b, b->pieces, e);
}

static int mpi_all_to_all(struct bench *b, struct mu_err *e)
{
    return from_mpi(b->mpi->all_to_all(b->a, b->b, (int)b->bytes), e);
}

static int our_all_reduce(struct bench *b, struct mu_err *e)
{
    return mu_comm_all_reduce(b->c, b->a, (int64_t)(b->bytes / 4), MU_REDUCE_SUM_F32, e);
}

static int mpi_all_reduce(struct bench *b, struct mu_err *e)
{
    return from_mpi(b->mpi->all_reduce_f32((const float *)b->a, (float *)b->b, (int)(b->bytes / 4)), e);
}

static const struct {
    const char *name;
    call_fn ours, mpis;
} rows[] = {
    {"broadcast", our_broadcast, mpi_broadcast},
    {"all_gather", our_all_gather, mpi_all_gather},
    {"all_to_all", our_all_to_all, mpi_all_to_all},
    {"all_reduce", our_all_reduce, mpi_all_reduce},
};

static int time_batch(struct bench *b, call_fn call, int n, double *us, struct mu_err *e)
{
    memset(b->a, 0, b->bytes); /* sums of sums must not grow out of all bounds */
    MU_TRY_RETURN(mu_comm_barrier(b->c, e));
    int64_t begin = mu_now_ns(mu_clock_real());
    for (int i = 0; i < n; i++)
        MU_TRY_RETURN(call(b, e));
    MU_TRY_RETURN(mu_comm_barrier(b->c, e)); /* the last rank's end counts */
    *us = (double)(mu_now_ns(mu_clock_real()) - begin) / 1e3 / n;
    return MU_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static int run_row(struct bench *b, size_t row, struct mu_err *e)
{
    double ours[BATCHES_MAX], mpis[BATCHES_MAX], warm;
    double guess_ns = 3000 + (double)b->bytes * mu_comm_size(b->c) / FASTEST_BPS * 1e9;
    int n = (int)MU_MAX(3.0, MU_MIN(1000.0, (double)BATCH_NS / guess_ns));
    MU_TRY_RETURN(time_batch(b, rows[row].ours, n, &warm, e));
    MU_TRY_RETURN(time_batch(b, rows[row].mpis, n, &warm, e));
    for (int i = 0; i < b->n_batches; i++) {
        MU_TRY_RETURN(time_batch(b, rows[row].ours, n, &ours[i], e));
        MU_TRY_RETURN(time_batch(b, rows[row].mpis, n, &mpis[i], e));
    }
    double our = median(ours, b->n_batches), mpi = median(mpis, b->n_batches);
    if (mu_comm_rank(b->c) == 0)
        printf("%-11s %9zu %11.1f %11.1f %7.2f %11.1f %11.1f %7.2f\n", rows[row].name, b->bytes, our, mpi, our / mpi,
               ours[0], mpis[0], ours[0] / mpis[0]);
    fflush(stdout);
    return MU_OK;
}

static int run(struct bench *b, struct mu_err *e)
{
    int size = mu_comm_size(b->c), rc = MU_OK;
    if (size < 2 || size > RANKS_MAX)
        return mu_fail(e, MU_EUSAGE, "%d ranks: --ranks 2 to %d", size, RANKS_MAX);
    b->mpi = mu_mpi_own();
    MU_TRY(MU_NEW_ARRAY(&b->a, BYTES_LAST * (size_t)size, "messages", e));
    MU_TRY(MU_NEW_ARRAY(&b->b, BYTES_LAST * (size_t)size, "messages", e));
    if (mu_comm_rank(b->c) == 0)
        printf("%-11s %9s %11s %11s %7s %11s %11s %7s   (us, %d ranks)\n", "call", "bytes", "muster", "MPI", "ratio",
               "best", "MPI's best", "ratio", size);
    for (size_t row = 0; row < MU_COUNT(rows); row++)
        for (b->bytes = BYTES_FIRST; b->bytes <= BYTES_LAST; b->bytes *= 2) {
            for (int r = 0; r < size; r++)
                b->pieces[r] = b->bytes;
            MU_TRY(run_row(b, row, e));
        }
out:
    mu_free(b->a);
    mu_free(b->b);
    return rc;
}

int main(int argc, char **argv)
{
    struct mu_launch_opts o = {.ranks = 2, .argv = argv};
    struct bench b = {.n_batches = 15};
    struct mu_err err = MU_ERR_INIT;
    bool is_guardian = false;
    int status = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ranks") == 0)
            o.ranks = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--batches") == 0)
            b.n_batches = MU_MAX(1, MU_MIN(atoi(argv[i + 1]), BATCHES_MAX));
    }
    int rc = mu_launch(&b.c, &o, &is_guardian, &status, &err);
    if (rc == MU_OK && is_guardian)
        return status;
    rc = rc == MU_OK ? run(&b, &err) : rc;
    if (rc != MU_OK) {
        fprintf(stderr, "bench_mpi: %s\n", err.text);
        mu_comm_abort(b.c, err.text);
    }
    status = mu_code_exit_status(rc);
    mu_comm_close(b.c);
    fflush(NULL);
    mu_launch_end(status);
    _exit(status);
}
