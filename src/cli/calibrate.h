/* calibrate.h - what this machine does in muster's own operations, as the numbers of a plan's machine
 *
 * Each part measures with the code that runs models, keeps the median of several rounds, and fills its fields. Times
 * are those of an otherwise idle machine: on a shared one they are too long, by as much as others took. */
#ifndef MU_CLI_CALIBRATE_H
#define MU_CLI_CALIBRATE_H

#include "cli/progress.h"
#include "plan/machine.h"

struct mu_comm;
struct mu_device;

struct mu_calibration {
    struct mu_machine machine;
    struct mu_device *dev;
    bool is_quick;
    struct mu_progress progress;
    int n_done, n_cases;
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

/* Seconds of one call in the median of several rounds of `calls` calls: as many rounds as fit into the time of a case,
 * three at least. A round that reads as much as a step does meets what a step meets; the best single call would not. */
typedef int (*mu_calibrate_fn)(void *arg, int64_t call, struct mu_err *e);
int mu_calibrate_time(struct mu_calibration *c, mu_calibrate_fn fn, void *arg, int64_t calls, double *seconds,
                      struct mu_err *e);

void mu_calibrate_point(struct mu_curve *c, double x, double y); /* at the end; y is kept in what a curve may hold */

#endif
