/* slurm_text.c - fuzz target: what Slurm's commands print; the first byte says which of them did */
#include <stdint.h>
#include <stdlib.h>

#include "sched/slurm/duration.h"
#include "sched/slurm/here.h"
#include "sched/slurm/jobs.h"
#include "sched/slurm/look.h"

static void hosts(struct mu_str text)
{
    struct mu_slurm_hosts h = MU_SLURM_HOSTS_INIT;
    struct mu_err e;
    int n = 0;
    if (mu_slurm_hosts_expand(&h, text, &e) == MU_OK) {
        for (const char *at = NULL; (at = mu_slurm_hosts_next(&h, at)) != NULL;)
            n++;
        if (n != h.n || n == 0)
            abort();
    }
    mu_slurm_hosts_fini(&h);
}

static void cluster(struct mu_str text, bool is_nodes)
{
    struct mu_slurm_cluster c = MU_SLURM_CLUSTER_INIT;
    struct mu_machine m;
    struct mu_err e;
    int rc = is_nodes ? mu_slurm_nodes_parse(&c, text, &e) : mu_slurm_partitions_parse(&c, text, &e);
    if (rc == MU_OK && is_nodes)
        (void)mu_slurm_machine(&m, &c, "p", "f", &e);
    mu_slurm_cluster_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_str text = {(const char *)data + 1, n > 0 ? n - 1 : 0};
    char id[MU_SLURM_ID_MAX];
    struct mu_slurm_job j;
    struct mu_slurm_gres g;
    struct mu_err e;
    int64_t seconds;
    switch (n > 0 ? data[0] : 0) {
    case 'h':
        hosts(text);
        break;
    case 'n':
    case 'p':
        cluster(text, data[0] == 'n');
        break;
    case 'g':
        (void)mu_slurm_gres_parse(&g, text, &e);
        break;
    case 'q':
        (void)mu_slurm_look_parse(&j, text, &e);
        break;
    case 'a':
        (void)mu_slurm_accounting_parse(&j, text, &e);
        break;
    case 's':
        (void)mu_slurm_submit_parse(id, text, &e);
        break;
    case 'e':
        (void)mu_slurm_fail(&e, "sbatch", text);
        break;
    case 't':
        if (mu_slurm_time_left_parse(&seconds, text, &e) == MU_OK && seconds < 0)
            abort();
        break;
    default:
        break;
    }
    return 0;
}
