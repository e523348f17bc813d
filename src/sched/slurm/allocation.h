/* allocation.h - what the Slurm job that this process is in has now: its nodes, and the steps that run on them
 *
 * By Slurm's commands, each with a few seconds to answer: who asks has workers to look after. A controller that does
 * not answer is left alone for a while, and what it said last stands. Errors as jobs.h has them. */
#ifndef MU_SCHED_SLURM_ALLOCATION_H
#define MU_SCHED_SLURM_ALLOCATION_H

#include "sched/slurm/command.h"
#include "sched/slurm/here.h"
#include "sched/slurm/knock.h"

#define MU_SLURM_ALONE_NS ((int64_t)10000000000) /* after one that was not answered */

struct mu_slurm_allocation {
    struct mu_slurm_here here;  /* nodes: those that the job began with */
    struct mu_slurm_hosts gone; /* of these, as last seen */
    int64_t looked_ns;          /* when; 0: never */
    int64_t alone_until_ns;
    struct mu_slurm_doors doors; /* of the nodes; none where Slurm did not tell them */
};
#define MU_SLURM_ALLOCATION_INIT                                                                                       \
    {                                                                                                                  \
        MU_SLURM_HERE_INIT, MU_SLURM_HOSTS_INIT, 0, 0,                                                                 \
        {                                                                                                              \
            NULL, 0, 0                                                                                                 \
        }                                                                                                              \
    }

/* MU_EINVAL: this process is in no job. get: getenv, or a test's own. */
int mu_slurm_allocation_open(struct mu_slurm_allocation *a, char *(*get)(const char *name), struct mu_err *e);
void mu_slurm_allocation_fini(struct mu_slurm_allocation *a);

/* Learns where the nodes listen. A want of that is no error: then only the controller tells that one is gone. */
void mu_slurm_allocation_meet(struct mu_slurm_allocation *a);

/* Whether a node is the job's no more (a job that is kept when one fails loses it for good), is down, or does not
 * answer Slurm, or us. What was seen less than max_age_ns ago is not asked again. */
bool mu_slurm_node_is_gone(struct mu_slurm_allocation *a, const char *node, int64_t max_age_ns);

/* The same, pure: kept is what squeue printed of the job's nodes, state what scontrol did of those it began with. */
int mu_slurm_nodes_gone(struct mu_slurm_hosts *gone, const struct mu_slurm_hosts *nodes, struct mu_str kept,
                        struct mu_str state, struct mu_err *e);

/* Into end->out the steps of the job, to be read with mu_slurm_step_next(); false: no more. */
int mu_slurm_steps_list(struct mu_slurm_allocation *a, struct mu_command_end *end, struct mu_err *e);
bool mu_slurm_step_next(struct mu_str *rest, struct mu_str *id, struct mu_str *name);

/* scancel's own options, then ids; ends with NULL. One that has ended by now is no error. */
int mu_slurm_steps_end(struct mu_slurm_allocation *a, const char *const *argv, struct mu_err *e);

/* Has the job's script warned, as Slurm does before the end of its time (script.h). */
int mu_slurm_job_warn(struct mu_slurm_allocation *a, struct mu_err *e);

#endif
