/* calibrate_links.c - sums over ranks that share this machine
 *
 * A sum of n elements over two ranks is one round of the tree: each sends all of it to the other. What larger ones take
 * beyond the smallest one is the link's rate.
 *
 * Latency is what a meeting adds to work: ranks work between sums, arrive one after the other, and who has waited
 * long is slow to wake. So the same work is timed with and without a small sum after each piece of it. The work is
 * reading memory, as a decoding step's is: while one rank waits the others read the faster. Ranks that outnumber the
 * cores wait for each other's turns too: that is a latency of its own. */
#include "cli/calibrate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "comm/fake/fake.h"

#define RANKS       2
#define ROUNDS      61
#define ROUNDS_WARM 5
#define MEETINGS    100
#define TRIES       5
#define TRIES_QUICK 2
#define WORK_BYTES  ((size_t)8 << 20) /* a piece of work: a layer's part of a decoding step */
#define WORK_PIECES 8                 /* before one comes again: it is in no cache any more */
#define LINE        64

static const int64_t sizes[] = {64, 8192, 65536, 524288, 4194304}; /* bytes */

struct sums {
    bool is_quick;
    double seconds[MU_COUNT(sizes)]; /* of one sum, back to back */
    double meeting_s;                /* that one adds to work */
};

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* memory: [WORK_PIECES][WORK_BYTES] */
static void work(const unsigned char *memory, int piece)
{
    const unsigned char *p = memory + (size_t)(piece % WORK_PIECES) * WORK_BYTES;
    volatile unsigned out;
    unsigned x = 0;
    for (size_t i = 0; i < WORK_BYTES; i += LINE)
        x += p[i];
    out = x;
    (void)out;
}

/* All pieces of work, met after each or only at the end. */
static int time_work(struct mu_comm *c, const unsigned char *memory, bool meets, double *least, struct mu_err *e)
{
    struct mu_clock *clock = mu_clock_real();
    float p[16] = {0};
    MU_TRY_RETURN(mu_comm_barrier(c, e));
    int64_t t = mu_now_ns(clock);
    for (int i = 0; i < MEETINGS; i++) {
        work(memory, i);
        if (meets)
            MU_TRY_RETURN(mu_comm_all_reduce(c, p, MU_COUNT(p), MU_REDUCE_SUM_F32, e));
    }
    MU_TRY_RETURN(mu_comm_barrier(c, e));
    *least = MU_MIN(*least, (double)(mu_now_ns(clock) - t) * 1e-9);
    return MU_OK;
}

static int time_meetings(struct mu_comm *c, int tries, double *seconds, struct mu_err *e)
{
    double alone = 1e9, met = 1e9;
    unsigned char *memory = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&memory, WORK_PIECES * WORK_BYTES, "a calibration", e));
    memset(memory, 1, WORK_PIECES * WORK_BYTES);
    for (int i = 0; i < tries; i++) {
        MU_TRY(time_work(c, memory, false, &alone, e));
        MU_TRY(time_work(c, memory, true, &met, e));
    }
    *seconds = MU_MAX(0, (met - alone) / MEETINGS);
out:
    mu_free(memory);
    return rc;
}

/* The clock runs from before the barrier's last moment on: ranks leave it one after the other, and wait in the sum. */
static int time_sum(struct mu_comm *c, float *p, int64_t n, double *middle, struct mu_err *e)
{
    struct mu_clock *clock = mu_clock_real();
    int64_t ns[ROUNDS];
    for (int i = -ROUNDS_WARM; i < ROUNDS; i++) {
        MU_TRY_RETURN(mu_comm_barrier(c, e));
        int64_t t = mu_now_ns(clock);
        MU_TRY_RETURN(mu_comm_all_reduce(c, p, n, MU_REDUCE_SUM_F32, e));
        if (i >= 0)
            ns[i] = MU_MAX(1, mu_now_ns(clock) - t);
    }
    qsort(ns, ROUNDS, sizeof ns[0], by_size);
    *middle = (double)ns[ROUNDS / 2] * 1e-9;
    return MU_OK;
}

static int run_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct sums *s = arg;
    float *p = NULL;
    double meeting;
    int rc = MU_OK;
    MU_TRY(time_meetings(world, s->is_quick ? TRIES_QUICK : TRIES, &meeting, e));
    if (mu_comm_rank(world) == 0)
        s->meeting_s = meeting;
    MU_TRY(MU_NEW_ARRAY(&p, sizes[MU_COUNT(sizes) - 1] / (int64_t)sizeof(float), "a calibration", e));
    for (size_t i = 0; i < MU_COUNT(sizes); i++) {
        double one;
        MU_TRY(time_sum(world, p, sizes[i] / (int64_t)sizeof(float), &one, e));
        if (mu_comm_rank(world) == 0)
            s->seconds[i] = one;
    }
out:
    mu_free(p);
    return rc;
}

/* Bytes a second of one rank, the smallest sum's time taken off. */
static double moved(const struct sums *s, size_t i)
{
    return (double)sizes[i] / MU_MAX(s->seconds[i] - s->seconds[0], 0.1 * s->seconds[i]);
}

/* A host's rate is that of all its devices together: of m->devices times one of the two ranks'. */
static void fill_link(struct mu_machine *m, const struct sums *s)
{
    struct mu_link_spec *l = &m->inside;
    double crowded = l->crowded_s;
    *l = (struct mu_link_spec){.latency_s = MU_MAX(s->seconds[0], s->meeting_s), .crowded_s = crowded};
    snprintf(l->name, sizeof l->name, "memory");
    for (size_t i = 1; i < MU_COUNT(sizes); i++)
        l->rate = MU_MAX(l->rate, moved(s, i));
    for (size_t i = 1; i < MU_COUNT(sizes); i++)
        mu_calibrate_point(&l->reached, (double)sizes[i], moved(s, i) / l->rate);
    l->rate *= (double)RANKS / m->devices;
}

int mu_calibrate_links(struct mu_calibration *c, struct mu_err *e)
{
    struct mu_fake_world *w = NULL;
    struct sums s = {.is_quick = c->is_quick};
    int rc = MU_OK;

    MU_TRY(mu_fake_world_open(&w, RANKS, NULL, e));
    MU_TRY(mu_fake_world_run(w, run_rank, &s, NULL, NULL));
    fill_link(&c->machine, &s);
out:
    mu_fake_world_close(w);
    return rc;
}

int mu_calibrate_sums(struct mu_machine *m, struct mu_comm *world, bool is_quick, struct mu_err *e)
{
    struct sums s = {.is_quick = is_quick};
    int n = mu_comm_size(world);
    MU_TRY_RETURN(run_rank(&s, world, e));
    if (mu_comm_rank(world) > 0)
        return MU_OK;
    if (m->host_cores > 0 && n > m->host_cores)
        m->inside.crowded_s = MU_MAX(s.seconds[0], s.meeting_s) / ceil(log2(n));
    else
        fill_link(m, &s);
    return MU_OK;
}
