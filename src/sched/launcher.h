/* launcher.h - how work comes to run: worker processes, started, waited for and stopped
 *
 * One table for every place where they may run: local/ starts processes on this machine, tests have one that makes
 * ends up. A worker is one program with its arguments; what it prints goes to a file. One thread at a time. */
#ifndef MU_SCHED_LAUNCHER_H
#define MU_SCHED_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_WORKERS_MAX       1024 /* of one launcher at a time */
#define MU_WORKER_LINE_BYTES 512

struct mu_worker_end {
    int64_t worker;
    int exit_status; /* 128 + n where signal n ended it */
    int signal;
    char line[MU_WORKER_LINE_BYTES]; /* the last it printed; "" for nothing */
};

struct mu_launcher {
    const struct mu_launcher_ops *ops;
};

struct mu_launcher_ops {
    const char *name;

    /* argv ends with NULL; it and log (a file that is written on at its end) are borrowed for the call. *worker is a
     * number of this launcher's, above 0. */
    int (*start)(struct mu_launcher *l, const char *const *argv, const char *log, int64_t *worker, struct mu_err *e);

    /* Whether one has ended, each told once; waits for that at most timeout_ns, and may come back earlier. */
    bool (*wait)(struct mu_launcher *l, int64_t timeout_ns, struct mu_worker_end *out);

    /* Asks it to end, or ends it and all it started. It is told by wait as any other end. */
    void (*stop)(struct mu_launcher *l, int64_t worker, bool at_once);

    void (*close)(struct mu_launcher *l); /* ends what still runs */
};

/* local/local.c: processes of this machine, each a group of its own. They are killed when this process dies, however it
 * does.
 */
int mu_launcher_open_local(struct mu_launcher **out, struct mu_err *e);

#endif
