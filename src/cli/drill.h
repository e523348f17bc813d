/* drill.h - `muster doctor --drill`: does the hardware still do what it did when it was calibrated, and does muster
 * find out when it fails
 *
 * Each drill runs in a process of its own with a deadline: what hangs, is killed by the kernel or finds broken memory
 * is told, and the others go on. Nothing stays behind: files have no name or lie in a scratch folder that is removed,
 * processes end with their drill. */
#ifndef MU_CLI_DRILL_H
#define MU_CLI_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/opt.h"
#include "plan/machine.h"

#define MU_DRILL_SLOW_RATE  0.5 /* of the baseline: a rate below is slow. Others may use the machine too */
#define MU_DRILL_SLOW_TIME  4.0 /* times the baseline: a latency above is slow */
#define MU_DRILL_FOUND_S    10  /* a lost rank is named by all others within it */
#define MU_DRILL_TEXT_BYTES 700

enum mu_drill_verdict { MU_DRILL_PASS, MU_DRILL_SLOW, MU_DRILL_BROKEN, MU_DRILL_SKIPPED };

/* What the command line says; paths are borrowed. */
struct mu_drill_args {
    bool json, slurm;
    int64_t ranks;
    uint64_t memory;                          /* bytes; 0: most of what is free */
    const char *storage, *scratch, *baseline; /* scratch NULL: of a rank that a launcher started, not a drill */
    struct mu_opt_list only;
    const struct mu_machine *machine; /* the calibrated one; NULL: none */
};

/* Plain data: it goes through a pipe. */
struct mu_drill_result {
    enum mu_drill_verdict verdict;
    char text[MU_DRILL_TEXT_BYTES];
    double value, baseline; /* of what is compared, in unit; 0: nothing is */
    char unit[16];
    double seconds;
};

struct mu_comm;

struct mu_drill {
    const char *name;
    int deadline_s;
    /* An error is a broken part with that sentence; so none needs to be told twice. */
    int (*run)(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e);
    int (*rank)(const struct mu_drill_args *a, struct mu_comm *world, struct mu_err *e); /* one of its ranks; or NULL */
};

extern const struct mu_drill mu_drill_products, mu_drill_memory, mu_drill_storage, mu_drill_ranks, mu_drill_kill,
    mu_drill_stop, mu_drill_link, mu_drill_disk, mu_drill_slurm;

/* All that --only names, or all. Exit status: MU_EPEER where a part is broken, else MU_ELIMIT where one is slow. */
int mu_drill_run(struct mu_drill_args *a, struct mu_err *e);

/* ---- for drills ---- */

int mu_drill_say(struct mu_drill_result *r, enum mu_drill_verdict v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); /* MU_OK */

/* "12.3 GB/s, 96% of the calibrated 12.8" behind what fmt says; slow where it is. baseline 0: there is none. scale: of
 * the unit ("GB/s": 1e9). */
void mu_drill_rate(struct mu_drill_result *r, double value, double baseline, double scale, const char *unit,
                   const char *what);

/* Starts a drill's ranks, which run its `rank`, and waits for their ends. False: ranks cannot be started here, which is
 * said. */
bool mu_drill_start_ranks(const struct mu_drill_args *a, const char *name, int ranks, struct mu_drill_result *r,
                          int *status);

/* A small file of the scratch folder. */
int mu_drill_write(const struct mu_drill_args *a, const char *name, const char *text, struct mu_err *e);
bool mu_drill_read(const struct mu_drill_args *a, const char *name, char *text, size_t bytes);

#endif
