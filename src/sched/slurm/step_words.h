/* step_words.h - a worker's order as the command line of srun
 *
 * Steps overlap and are given all of the job's memory and GPUs on their nodes: what each may use is the orchestrator's
 * to say. Lines go to and from rank 0, what ranks complain to the log. Pure, but for SLURM_MPI_TYPE, by which a site's
 * own kind of PMI comes (docs/slurm.md). */
#ifndef MU_SCHED_SLURM_STEP_WORDS_H
#define MU_SCHED_SLURM_STEP_WORDS_H

#include "base/buf.h"
#include "sched/launcher.h"

#define MU_STEP_NAME_BYTES 224 /* squeue prints 256 */
#define MU_STEP_WORDS_MAX  24  /* before the worker's own */

struct mu_step_words {
    const char *argv[MU_STEP_WORDS_MAX + 1];
    int n;
    char name[MU_STEP_NAME_BYTES + 16], n_nodes[32], tasks[32], per_node[32], cpus[32];
    struct mu_buf list;  /* "--nodelist=a,b" */
    struct mu_buf nodes; /* "a,b": each once */
};
#define MU_STEP_WORDS_INIT                                                                                             \
    {                                                                                                                  \
        .list = MU_BUF_INIT("the nodes of a worker", 100000), .nodes = MU_BUF_INIT("the nodes of a worker", 100000)    \
    }

/* name: of the step; here: the node of an order that names none. MU_EINVAL: its ranks cannot be spread so. */
int mu_step_words_make(struct mu_step_words *w, const struct mu_worker_order *o, const char *name, const char *here,
                       struct mu_err *e);
void mu_step_words_fini(struct mu_step_words *w);

#endif
