/* bench_comm.c - collectives between threads (comm/fake), and what the fixed tree costs besides moving bytes
 *
 *   bench_comm [ranks [seconds]]
 *
 * Prints, as CSV, the best of many calls: call, bytes (of the message, or of each rank's piece), microseconds, GB/s of
 * that rank's bytes. "add" is one rank finishing a tree of `ranks` roots alone, "copy" a memcpy of one message: what no
 * all-reduce gets below. Ranks as processes are bench_mpi's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "comm/fake/fake.h"
#include "comm/tree.h"

#define RANKS_MAX   16
#define BYTES_FIRST ((size_t)1 << 10)
#define BYTES_LAST  ((size_t)16 << 20)

struct bench {
    struct mu_comm *c;
    int64_t budget_ns; /* of a row */
    size_t bytes;
    size_t pieces[RANKS_MAX];
    int64_t runs[RANKS_MAX];
    unsigned char *a, *b; /* [ranks][BYTES_LAST] */
};

typedef int (*call_fn)(struct bench *b, struct mu_err *e);

static int do_barrier(struct bench *b, struct mu_err *e)
{
    return mu_comm_barrier(b->c, e);
}

static int do_broadcast(struct bench *b, struct mu_err *e)
{
    return mu_comm_broadcast(b->c, b->a, b->bytes, 0, e);
}

static int do_all_gather(struct bench *b, struct mu_err *e)
{
    return mu_comm_all_gather(b->c, b->a, b->pieces, e);
}

static int do_all_to_all(struct bench *b, struct mu_err *e)
{
    return mu_comm_all_to_all(b->c, b->a, b->pieces, b->b, b->pieces, e);
}

static int do_all_reduce(struct bench *b, struct mu_err *e)
{
    return mu_comm_all_reduce(b->c, b->a, (int64_t)(b->bytes / sizeof(float)), MU_REDUCE_SUM_F32, e);
}

static int do_reduce_scatter(struct bench *b, struct mu_err *e)
{
    return mu_comm_reduce_scatter(b->c, b->b, b->a, b->runs, MU_REDUCE_SUM_F32, e);
}

static const struct {
    const char *name;
    call_fn call;
} cases[] = {{"barrier", do_barrier},       {"broadcast", do_broadcast},   {"all_gather", do_all_gather},
             {"all_to_all", do_all_to_all}, {"all_reduce", do_all_reduce}, {"reduce_scatter", do_reduce_scatter}};

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

static void print(const char *name, size_t bytes, int64_t ns)
{
    printf("%s,%zu,%.2f,%.3f\n", name, bytes, (double)ns / 1e3, (double)bytes / (double)MU_MAX(ns, (int64_t)1));
}

/* Every rank makes as many calls: rank 0 says when it is enough. */
static int time_call(struct bench *b, const char *name, call_fn call, struct mu_err *e)
{
    int64_t best = INT64_MAX, end = now_ns() + b->budget_ns, goes_on = 1;
    while (goes_on) {
        MU_TRY_RETURN(mu_comm_barrier(b->c, e));
        int64_t start = now_ns();
        MU_TRY_RETURN(call(b, e));
        best = MU_MIN(best, now_ns() - start);
        goes_on = now_ns() < end;
        MU_TRY_RETURN(mu_comm_broadcast(b->c, &goes_on, sizeof goes_on, 0, e));
    }
    if (mu_comm_rank(b->c) == 0)
        print(name, call == do_barrier ? 0 : b->bytes, best);
    return MU_OK;
}

static int rank_main(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct bench b = {.c = world, .budget_ns = *(const int64_t *)arg};
    int size = mu_comm_size(world), rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&b.a, (size_t)size * BYTES_LAST, "a message", e));
    MU_TRY(MU_NEW_ARRAY(&b.b, (size_t)size * BYTES_LAST, "a message", e));
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        for (b.bytes = BYTES_FIRST; b.bytes <= BYTES_LAST; b.bytes *= 4) {
            for (int r = 0; r < size; r++) {
                b.pieces[r] = b.bytes;
                b.runs[r] = (int64_t)(b.bytes / sizeof(float)) / size;
            }
            MU_TRY(time_call(&b, cases[i].name, cases[i].call, e));
            if (cases[i].call == do_barrier)
                break;
        }
    }
out:
    mu_free(b.a);
    mu_free(b.b);
    return rc;
}

/* ---- without moving anything ---- */

static int add_alone(int roots, int64_t budget_ns, struct mu_err *e)
{
    struct mu_span root[RANKS_MAX];
    const int32_t cuts[2] = {0, roots}, first[2] = {0, roots};
    struct mu_tree t = {roots, cuts, root, first};
    struct mu_comm *self = NULL;
    float *own = NULL, *y = NULL;
    int rc = MU_OK;
    for (int r = 0; r < roots; r++)
        root[r] = (struct mu_span){r, r + 1};
    MU_TRY(mu_comm_open_self(&self, e));
    MU_TRY(MU_NEW_ARRAY(&own, (size_t)roots * BYTES_LAST / sizeof *own, "roots", e));
    MU_TRY(MU_NEW_ARRAY(&y, BYTES_LAST / sizeof *y, "a sum", e));
    for (size_t bytes = BYTES_FIRST; bytes <= BYTES_LAST; bytes *= 4) {
        int64_t add = INT64_MAX, copy = INT64_MAX;
        for (int64_t end = now_ns() + budget_ns; now_ns() < end;) {
            int64_t start = now_ns();
            MU_TRY(mu_tree_all_reduce(self, &t, y, own, (int64_t)(bytes / sizeof *y), e));
            int64_t middle = now_ns();
            memcpy(own, y, bytes);
            add = MU_MIN(add, middle - start);
            copy = MU_MIN(copy, now_ns() - middle);
        }
        print("add", bytes, add);
        print("copy", bytes, copy);
    }
out:
    mu_free(own);
    mu_free(y);
    mu_comm_close(self);
    return rc;
}

int main(int argc, char **argv)
{
    struct mu_err e = MU_ERR_INIT, errs[RANKS_MAX];
    struct mu_fake_world *w = NULL;
    int ranks = argc > 1 ? atoi(argv[1]) : 2, rc = MU_OK;
    int64_t budget_ns = (int64_t)((argc > 2 ? atof(argv[2]) : 0.1) * 1e9);

    if (ranks < 1 || ranks > RANKS_MAX)
        rc = mu_fail(&e, MU_EUSAGE, "%d ranks: 1 to %d", ranks, RANKS_MAX);
    printf("call,bytes,us,gb_per_s\n");
    if (rc == MU_OK)
        rc = mu_fake_world_open(&w, ranks, NULL, &e);
    if (rc == MU_OK)
        rc = mu_fake_world_run(w, rank_main, &budget_ns, NULL, errs);
    if (rc != MU_OK && w)
        e = errs[0];
    mu_fake_world_close(w);
    if (rc == MU_OK)
        rc = add_alone(ranks, budget_ns, &e);
    if (rc != MU_OK)
        fprintf(stderr, "bench_comm: %s\n", e.text);
    return mu_code_exit_status(rc);
}
