/* calibrate.c - timing cases, and points of a curve */
#include "cli/calibrate.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define TURNS       5
#define CASE_NS     400000000 /* of all turns */
#define QUICK_NS    80000000
#define ROUNDS_KEPT 64 /* the last ones of a turn */
#define PART_MIN    1e-3

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_size);
    return v[n / 2];
}

/* Seconds of one call in a round of them; *call counts on. */
static int run_round(const struct mu_calibration *c, const struct mu_calibrate_case *k, int64_t *call, double *seconds,
                     struct mu_err *e)
{
    int64_t t = mu_now_ns(c->clock);
    for (int64_t i = 0; i < k->calls; i++)
        MU_TRY_RETURN(k->fn(k->arg, (*call)++, e));
    *seconds = (double)MU_MAX(mu_now_ns(c->clock) - t, 1) * 1e-9 / (double)k->calls;
    return MU_OK;
}

/* The median of as many rounds as fit: what a step usually takes, on a machine that others share too. */
static int take_turn(const struct mu_calibration *c, const struct mu_calibrate_case *k, double *seconds,
                     struct mu_err *e)
{
    int64_t start = mu_now_ns(c->clock), limit = (c->is_quick ? QUICK_NS : CASE_NS) / TURNS, call = 0;
    double took[ROUNDS_KEPT];
    size_t n = 0;
    do
        MU_TRY_RETURN(run_round(c, k, &call, &took[n++ % ROUNDS_KEPT], e));
    while (mu_now_ns(c->clock) - start < limit);
    *seconds = median(took, MU_MIN(n, ROUNDS_KEPT));
    return MU_OK;
}

int mu_calibrate_cases(struct mu_calibration *c, struct mu_calibrate_case *cases, int n, struct mu_err *e)
{
    double took[MU_CALIBRATE_CASES_MAX][TURNS];
    if (n > MU_CALIBRATE_CASES_MAX)
        return mu_fail(e, MU_EINTERNAL, "%d cases of a calibration, at most %d", n, MU_CALIBRATE_CASES_MAX);
    c->n_turns += n * TURNS;
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < n; i++) {
            MU_TRY_RETURN(take_turn(c, &cases[i], &took[i][turn], e));
            mu_progress_update(&c->progress, (uint64_t)++c->n_done, (uint64_t)c->n_turns);
        }
    }
    for (int i = 0; i < n; i++)
        cases[i].seconds = median(took[i], TURNS);
    return MU_OK;
}

void mu_calibrate_point(struct mu_curve *c, double x, double y)
{
    if (c->n == MU_CURVE_MAX)
        return;
    c->x[c->n] = x;
    c->y[c->n++] = MU_MAX(PART_MIN, MU_MIN(y, 4));
}
