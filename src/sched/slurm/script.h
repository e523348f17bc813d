/* script.h - the text of a job script
 *
 * One node, many nodes, several parts with resources of their own (a heterogeneous job, a step each), or an array with
 * a command for each index. The body starts muster and, when Slurm warned and muster drained, has the same job queued
 * again; one that starts its own steps is started again when it was killed. Everything else is muster's. What comes
 * from people is quoted for the shell or held to plain letters; a text that could not be quoted is refused. Pure. */
#ifndef MU_SCHED_SLURM_SCRIPT_H
#define MU_SCHED_SLURM_SCRIPT_H

#include "sched/slurm/site.h"

#define MU_SLURM_PARTS_MAX  8
#define MU_SLURM_ARRAY_MAX  1000 /* sbatch's default bound, MaxArraySize, is 1001 */
#define MU_SLURM_SCRIPT_MAX ((size_t)4 << 20)
#define MU_SLURM_ARGS_MAX   4096

/* What muster ends with when it drained: the work goes on when the same command is run again. */
#define MU_SLURM_DRAINED MU_ECANCELED

/* Ranks of one command and what they need; or, is_direct, one process that the script starts itself on the first node
 * and that starts steps of its own on all of them: tasks is nodes then. */
struct mu_slurm_part {
    const struct mu_site_partition *partition;
    int nodes, tasks, tasks_per_node, cpus_per_task;
    int gres_per_node;      /* 0: one a task */
    const char *constraint; /* asked with those of the partition; NULL: none */
    int64_t memory_mib;     /* of a node; 0: not asked for */
    bool is_whole;          /* whole nodes, all their memory */
    bool is_linked;         /* ranks of a node exchange parts of layers: constraint_linked counts */
    bool is_direct;
    const char *const *argv; /* ended by NULL; NULL with an array */
};

struct mu_slurm_script {
    const struct mu_site *site;
    const char *title;      /* a comment */
    const char *name;       /* of the job; what Slurm would not print plainly becomes _ */
    const char *folder;     /* of its log */
    const char *dependency; /* "afterok:12:13"; NULL: none */
    int64_t time_s;
    struct mu_slurm_part part[MU_SLURM_PARTS_MAX];
    int n_parts;
    const char *const *const *commands; /* an array: one a job, part[0] the resources of each; NULL: none */
    int n_commands, at_once;            /* at_once 0: all */
};

int mu_slurm_script_write(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e);

/* One word of the shell that means this text and nothing else. */
int mu_slurm_quote(struct mu_buf *out, const char *text, struct mu_err *e);

#endif
