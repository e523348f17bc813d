/* calibrate.h - what this machine does in muster's own operations, as the numbers of a plan's machine
 *
 * Each part measures with the code that runs models, keeps the median of several rounds, and fills its fields. Times
 * are those of an otherwise idle machine: on a shared one they are too long, by as much as others took. */
#ifndef MU_CLI_CALIBRATE_H
#define MU_CLI_CALIBRATE_H

#include "cli/progress.h"
#include "plan/machine.h"

struct mu_clock;
struct mu_comm;
struct mu_device;

struct mu_calibration {
    struct mu_machine machine;
    struct mu_device *dev;
    struct mu_clock *clock;
    bool is_quick;
    struct mu_progress progress;
    int n_done, n_turns;
};

/* Bytes a second, products of each format, rows, attention, starting an operation. */
int mu_calibrate_products(struct mu_calibration *c, struct mu_err *e);
int mu_calibrate_attention(struct mu_calibration *c, struct mu_err *e);

/* Sums over ranks of this machine, which are threads here: the code that adds is the same, the way from rank to rank is
 * not. Where there is MPI, mu_calibrate_sums() on its ranks comes after. */
int mu_calibrate_links(struct mu_calibration *c, struct mu_err *e);

/* All ranks of the world call it; rank 0 changes the links of m: their rate and latency, or, when there are more ranks
 * than cores, the latency of a crowd. */
int mu_calibrate_sums(struct mu_machine *m, struct mu_comm *world, bool is_quick, struct mu_err *e);

/* Reading a file that is written into folder and removed again. */
int mu_calibrate_storage(struct mu_calibration *c, const char *folder, struct mu_err *e);

typedef int (*mu_calibrate_fn)(void *arg, int64_t call, struct mu_err *e);

struct mu_calibrate_case {
    mu_calibrate_fn fn;
    void *arg;
    int64_t
        calls; /* of a round: one that reads as much as a step does meets what a step meets, a single call would not */
    double seconds; /* of one call, filled in */
};

/* Cases take turns, so that a moment in which others had the machine falls on one turn of several cases and not on all
 * of one. The median of the turns, each the median of its rounds. */
#define MU_CALIBRATE_CASES_MAX 64
int mu_calibrate_cases(struct mu_calibration *c, struct mu_calibrate_case *cases, int n, struct mu_err *e);

void mu_calibrate_point(struct mu_curve *c, double x, double y); /* at the end; y is kept in what a curve may hold */

#endif
