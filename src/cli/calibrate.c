/* calibrate.c - timing a case, and points of a curve */
#include "cli/calibrate.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define CASE_NS       400000000
#define CASE_QUICK_NS 80000000
#define ROUNDS_MIN    3
#define ROUNDS_KEPT   256 /* the last ones of a case */
#define PART_MIN      1e-3

static int run_round(mu_calibrate_fn fn, void *arg, int64_t first, int64_t calls, struct mu_err *e)
{
    for (int64_t i = 0; i < calls; i++)
        MU_TRY_RETURN(fn(arg, first + i, e));
    return MU_OK;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of the rounds: what a step usually takes, on a machine that others share too. */
int mu_calibrate_time(struct mu_calibration *c, mu_calibrate_fn fn, void *arg, int64_t calls, double *seconds,
                      struct mu_err *e)
{
    struct mu_clock *clock = mu_clock_real();
    int64_t start = mu_now_ns(clock), now = start, limit = c->is_quick ? CASE_QUICK_NS : CASE_NS;
    double took[ROUNDS_KEPT];
    int64_t round = 0;
    for (; round < ROUNDS_MIN || now - start < limit; round++) {
        int64_t t = mu_now_ns(clock);
        MU_TRY_RETURN(run_round(fn, arg, round * calls, calls, e));
        now = mu_now_ns(clock);
        took[round % ROUNDS_KEPT] = (double)MU_MAX(now - t, 1) * 1e-9 / (double)calls;
    }
    round = MU_MIN(round, ROUNDS_KEPT);
    qsort(took, (size_t)round, sizeof *took, by_size);
    *seconds = took[round / 2];
    c->n_done++;
    mu_progress_update(&c->progress, (uint64_t)c->n_done, (uint64_t)MU_MAX(c->n_cases, c->n_done));
    return MU_OK;
}

void mu_calibrate_point(struct mu_curve *c, double x, double y)
{
    if (c->n == MU_CURVE_MAX)
        return;
    c->x[c->n] = x;
    c->y[c->n++] = MU_MAX(PART_MIN, MU_MIN(y, 4));
}
