/* jobs.h - jobs of Slurm, by its commands: submitted and looked at
 *
 * The commands are asked rather than libslurm: they are the same from one release to the next, and libslurm's licence
 * would become ours. Errors: MU_EPEER the controller does not answer (ask again later), MU_ENOENT there is no such job
 * (any more), MU_EINVAL Slurm refuses what is asked, each with Slurm's own words. */
#ifndef MU_SCHED_SLURM_JOBS_H
#define MU_SCHED_SLURM_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/slurm/command.h"

#define MU_SLURM_COMMAND_NS ((int64_t)60 * 1000000000) /* Slurm's commands try again for some time by themselves */
#define MU_SLURM_ANSWER_NS  ((int64_t)3000000000)      /* where others wait meanwhile */
#define MU_SLURM_ID_MAX     32
#define MU_SLURM_WORD_MAX   64

/* X(name, Slurm's word, it is over) */
#define MU_SLURM_STATE_MAP(X)                                                                                          \
    X(PENDING, "PENDING", false)                                                                                       \
    X(RUNNING, "RUNNING", false)                                                                                       \
    X(SUSPENDED, "SUSPENDED", false)                                                                                   \
    X(COMPLETED, "COMPLETED", true)                                                                                    \
    X(FAILED, "FAILED", true)                                                                                          \
    X(CANCELLED, "CANCELLED", true)                                                                                    \
    X(TIMEOUT, "TIMEOUT", true)                                                                                        \
    X(OUT_OF_MEMORY, "OUT_OF_MEMORY", true)                                                                            \
    X(NODE_FAIL, "NODE_FAIL", true)                                                                                    \
    X(BOOT_FAIL, "BOOT_FAIL", true)                                                                                    \
    X(DEADLINE, "DEADLINE", true)                                                                                      \
    X(PREEMPTED, "PREEMPTED", true)                                                                                    \
    X(REVOKED, "REVOKED", true)                                                                                        \
    X(OTHER, "OTHER", false) /* configuring, completing, requeued, and words of releases to come */

enum mu_slurm_state {
#define MU_SLURM_STATE_ENUM(name, word, is_over) MU_SLURM_##name,
    MU_SLURM_STATE_MAP(MU_SLURM_STATE_ENUM)
#undef MU_SLURM_STATE_ENUM
};

struct mu_slurm_job {
    char id[MU_SLURM_ID_MAX]; /* "71", "71_3", "71+1" */
    enum mu_slurm_state state;
    char word[MU_SLURM_WORD_MAX];   /* of Slurm for it */
    char reason[MU_SLURM_WORD_MAX]; /* why it waits or ended; "" none */
    int status, signal;             /* of its script, once it is over */
    int restarts;
};

bool mu_slurm_state_is_over(enum mu_slurm_state s);
enum mu_slurm_state mu_slurm_state_of(struct mu_str word); /* "CANCELLED by 0" too */

/* A Slurm command whose status is 0; its complaint is told apart as above. */
int mu_slurm_command(struct mu_command_end *end, const char *const *argv, struct mu_err *e);
int mu_slurm_command_within(struct mu_command_end *end, const char *const *argv, int64_t ns, struct mu_err *e);
int mu_slurm_fail(struct mu_err *e, const char *program, struct mu_str complaint);

/* script: a file. id: of the job, without the cluster. Where the controller was reached and said nothing, the sentence
 * tells that the job may be there. */
int mu_slurm_submit(char id[MU_SLURM_ID_MAX], const char *script, struct mu_err *e);
int mu_slurm_submit_parse(char id[MU_SLURM_ID_MAX], struct mu_str printed, struct mu_err *e); /* "71;cluster" */

/* Of an array or a heterogeneous job: the part that says most, which is one that is not over, else the worst. */
int mu_slurm_look(struct mu_slurm_job *out, const char *id, bool has_accounting, struct mu_err *e);
int mu_slurm_look_parse(struct mu_slurm_job *out, struct mu_str printed, struct mu_err *e);       /* of squeue */
int mu_slurm_accounting_parse(struct mu_slurm_job *out, struct mu_str printed, struct mu_err *e); /* of sacct */

/* The code and sentence that a job's end stands for; MU_OK of one that completed. A job's script ends with muster's own
 * status. */
int mu_slurm_job_code(const struct mu_slurm_job *j, struct mu_err *e);

#endif
