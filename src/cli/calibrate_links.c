/* calibrate_links.c - sums over two ranks, which are threads that share this machine
 *
 * A sum of n elements over two ranks is one round of the tree: each sends all of it to the other. The smallest one is
 * latency; what larger ones move beside it is the link's rate. */
#include "cli/calibrate.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "comm/fake/fake.h"

#define RANKS       2
#define ROUNDS      40
#define ROUNDS_WARM 5

static const int64_t sizes[] = {64, 8192, 65536, 524288, 4194304}; /* bytes */

struct sums {
    double seconds[MU_COUNT(sizes)];
};

static int time_sum(struct mu_comm *c, float *p, int64_t n, double *best, struct mu_err *e)
{
    struct mu_clock *clock = mu_clock_real();
    *best = 1e9;
    for (int i = 0; i < ROUNDS_WARM + ROUNDS; i++) {
        MU_TRY_RETURN(mu_comm_barrier(c, e));
        int64_t t = mu_now_ns(clock);
        MU_TRY_RETURN(mu_comm_all_reduce(c, p, n, MU_REDUCE_SUM_F32, e));
        t = mu_now_ns(clock) - t;
        if (i >= ROUNDS_WARM)
            *best = MU_MIN(*best, (double)MU_MAX(t, 1) * 1e-9);
    }
    return MU_OK;
}

static int run_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct sums *s = arg;
    float *p = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&p, sizes[MU_COUNT(sizes) - 1] / (int64_t)sizeof(float), "a calibration", e));
    for (size_t i = 0; i < MU_COUNT(sizes); i++) {
        double best;
        MU_TRY(time_sum(world, p, sizes[i] / (int64_t)sizeof(float), &best, e));
        if (mu_comm_rank(world) == 0)
            s->seconds[i] = best;
    }
out:
    mu_free(p);
    return rc;
}

int mu_calibrate_links(struct mu_calibration *c, struct mu_err *e)
{
    struct mu_link_spec *l = &c->machine.inside;
    struct mu_fake_world *w = NULL;
    struct sums s = {{0}};
    int rc = MU_OK;

    MU_TRY(mu_fake_world_open(&w, RANKS, NULL, e));
    MU_TRY(mu_fake_world_run(w, run_rank, &s, NULL, NULL));
    *l = (struct mu_link_spec){.latency_s = s.seconds[0]};
    snprintf(l->name, sizeof l->name, "memory");
    for (size_t i = 1; i < MU_COUNT(sizes); i++)
        l->rate = MU_MAX(l->rate, (double)sizes[i] / MU_MAX(s.seconds[i] - l->latency_s, 1e-9));
    for (size_t i = 1; i < MU_COUNT(sizes); i++)
        mu_calibrate_point(&l->reached, (double)sizes[i],
                           (double)sizes[i] / MU_MAX(s.seconds[i] - l->latency_s, 1e-9) / l->rate);
    /* The rate is one of two ranks'; a host's is that of all its devices together, and here it has one. */
    l->rate *= RANKS;
out:
    mu_fake_world_close(w);
    return rc;
}
