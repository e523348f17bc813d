/* launcher.h - how work comes to run: worker processes, started, spoken to, waited for and stopped
 *
 * One table for every place where they may run: local/ starts processes on this machine, slurm/ steps of the allocation
 * that this job has, tests have one that makes ends up. A worker is one program with its arguments. What it writes to
 * standard error goes to a file. Its standard input and output are lines between the two (worker_line.h): said by
 * `say`, heard by `wait`. Its input ends when the launcher's process ends, however it does, and then so does the
 * worker. One thread at a time. */
#ifndef MU_SCHED_LAUNCHER_H
#define MU_SCHED_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_WORKERS_MAX       1024 /* of one launcher at a time */
#define MU_WORKER_LINE_BYTES 1024 /* its NUL counted; a longer line is cut */

/* All is borrowed for the call. */
struct mu_worker_order {
    const char *const *argv; /* ends with NULL */
    const char *log;         /* a file that is written on at its end */
    const char *const *node; /* names of those it runs on, n_nodes; 0: this machine */
    int n_nodes;
    int ranks;        /* processes; 1 or more */
    const int *share; /* [n_nodes] how many of them each node has, those of a node following each other; NULL: evenly */
    int cpus;         /* of each rank; 0: not said */
};

enum mu_worker_kind { MU_WORKER_SAID, MU_WORKER_ENDED };

struct mu_worker_told {
    enum mu_worker_kind kind;
    int64_t worker;
    char line[MU_WORKER_LINE_BYTES]; /* SAID: the line; ENDED: the last it wrote into the log; "" for nothing */

    /* ENDED */
    int exit_status; /* 128 + n where signal n ended it */
    int signal;
    bool is_node_down; /* a node it ran on is gone */
    bool is_refused;   /* there was no place for it: it never began, and may in a moment */
};

struct mu_launcher {
    const struct mu_launcher_ops *ops;
};

struct mu_launcher_ops {
    const char *name;

    /* *worker is a number of this launcher's, above 0. */
    int (*start)(struct mu_launcher *l, const struct mu_worker_order *o, int64_t *worker, struct mu_err *e);

    /* One line, without its end. A worker that does not read, or has ended, is no error here: its end is told. */
    void (*say)(struct mu_launcher *l, int64_t worker, const char *line);

    /* What one has said, or that it has ended, each told once and in this order; waits for that at most timeout_ns, and
     * may come back earlier. */
    bool (*wait)(struct mu_launcher *l, int64_t timeout_ns, struct mu_worker_told *out);

    /* Asks it to end (by a signal, or by the end of its input), or ends it and all it started. It is told by wait as
     * any other end. */
    void (*stop)(struct mu_launcher *l, int64_t worker, bool at_once);

    /* Whether a node of the allocation is gone; where there is no such thing NULL. */
    bool (*is_node_down)(struct mu_launcher *l, const char *node);

    void (*close)(struct mu_launcher *l); /* ends what still runs */
};

/* local/local.c: processes of this machine, each a group of its own. They are killed when this process dies, however it
 * does. Names of nodes are not looked at. */
int mu_launcher_open_local(struct mu_launcher **out, struct mu_err *e);

/* slurm/steps.c: steps of the Slurm job that this process is in, by srun. Steps that an earlier launcher of the same
 * job left behind are ended first. MU_EINVAL: this process is in no job. */
int mu_launcher_open_steps(struct mu_launcher **out, struct mu_err *e);

#endif
