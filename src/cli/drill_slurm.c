/* drill_slurm.c - the nodes of an allocation answer and have the GPUs that Slurm says (drill.h)
 *
 * Inside a job its own nodes, each by a step beside what else runs; with --slurm outside of one, a node that is free
 * now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/drill.h"
#include "sched/slurm/command.h"

#define STEP_NS 60000000000ll

/* "node7 0,1": its name and what it may use. */
static const char look[] = "echo \"$SLURMD_NODENAME ${CUDA_VISIBLE_DEVICES:-}\"";

static int ask(struct mu_command_end *end, int nodes, struct mu_err *e)
{
    char n[16];
    const char *inside[] = {"srun", "--overlap", "--mpi=none", "-N", n, "--ntasks-per-node=1", "sh", "-c", look, NULL};
    const char *outside[] = {"srun", "--mpi=none", "--immediate=30", "-t", "1", "-N", "1", "-n", "1", "sh", "-c",
                             look,   NULL};
    snprintf(n, sizeof n, "%d", nodes);
    return mu_command_run(end, nodes > 0 ? inside : outside, STEP_NS, e);
}

static int count_commas(const char *s, size_t n)
{
    int k = n > 0;
    for (size_t i = 0; i < n; i++)
        k += s[i] == ',';
    return k;
}

/* Lines, and the fewest GPUs one of them has, with the node's name. */
static int count_nodes(char *text, int *fewest, char name[64])
{
    char *save = NULL;
    int n = 0;
    *fewest = 1 << 20;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
        size_t host = strcspn(line, " ");
        const char *devices = line[host] ? line + host + 1 : "";
        int k = count_commas(devices, strlen(devices));
        if (k < *fewest)
            snprintf(name, 64, "%.*s", (int)MU_MIN(host, 63), line);
        *fewest = MU_MIN(*fewest, k);
    }
    return n;
}

static int judge(struct mu_command_end *end, int nodes, struct mu_drill_result *r, struct mu_err *e)
{
    const char *gpus = getenv("SLURM_GPUS_ON_NODE"); /* as the job asked for */
    int wanted = nodes > 0 && gpus ? atoi(gpus) : 0, fewest, n;
    char name[64] = "";
    if (end->status != 0)
        return mu_fail(e, MU_EPEER, "srun ended with status %d: %.300s", end->status,
                       end->err.p ? end->err.p : "it said nothing");
    n = count_nodes(end->out.p ? end->out.p : (char[1]){""}, &fewest, name);
    if (n < MU_MAX(nodes, 1))
        return mu_fail(e, MU_EPEER, "%d of %d nodes answered", n, MU_MAX(nodes, 1));
    if (fewest < wanted)
        return mu_fail(e, MU_EPEER, "node %s gives a step %d GPUs, the job asked for %d", name, fewest, wanted);
    return mu_drill_say(r, MU_DRILL_PASS, "%d node%s answered%s", n, n > 1 ? "s" : "",
                        wanted > 0 ? ", each with the GPUs the job asked for" : "");
}

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    const char *n = getenv("SLURM_JOB_NUM_NODES");
    bool is_inside = getenv("SLURM_JOB_ID") != NULL;
    if (!is_inside && !a->slurm)
        return mu_drill_say(r, MU_DRILL_SKIPPED, "not inside a Slurm job; --slurm asks for a node outside of one");
    int nodes = is_inside ? MU_MAX(n ? atoi(n) : 1, 1) : 0, rc = ask(&end, nodes, e);
    if (rc == MU_OK)
        rc = judge(&end, nodes, r, e);
    mu_command_end_fini(&end);
    return rc;
}

const struct mu_drill mu_drill_slurm = {.name = "slurm", .deadline_s = 90, .run = run};
