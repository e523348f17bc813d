/* here.h - the Slurm job this process runs in
 *
 * By Slurm's own variables, never by WORLD_SIZE or others that people set. Time is asked of the controller: limits are
 * changed while jobs run, and SLURM_JOB_END_TIME (since 22.05) stays what it was. */
#ifndef MU_SCHED_SLURM_HERE_H
#define MU_SCHED_SLURM_HERE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/slurm/hosts.h"

struct mu_slurm_here {
    int64_t job;      /* 0: in no job */
    int64_t array;    /* index in its array; -1: in none */
    int restarts;     /* how often it was queued again */
    int64_t end_unix; /* SLURM_JOB_END_TIME in seconds since 1970; 0: not said */
    struct mu_slurm_hosts nodes;
};
#define MU_SLURM_HERE_INIT                                                                                             \
    {                                                                                                                  \
        0, -1, 0, 0, MU_SLURM_HOSTS_INIT                                                                               \
    }

/* get: getenv, or a test's own. MU_EFORMAT names a variable that makes no sense. */
int mu_slurm_here_read(struct mu_slurm_here *out, char *(*get)(const char *name), struct mu_err *e);
void mu_slurm_here_fini(struct mu_slurm_here *h);

/* Seconds left of a job's walltime, by squeue; MU_SLURM_UNLIMITED: no limit. Where the controller does not answer
 * within MU_SLURM_ANSWER_NS and end_unix is known, by that. Otherwise errors as jobs.h has them. */
int mu_slurm_time_left(int64_t *seconds, const struct mu_slurm_here *h, struct mu_err *e);

/* squeue's --format=%L: "1-02:03:04", "12:34", "0:07", "UNLIMITED"; MU_ENOENT: "NOT_SET", "INVALID", nothing. */
int mu_slurm_time_left_parse(int64_t *seconds, struct mu_str text, struct mu_err *e);

#endif
