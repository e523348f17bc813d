/* look.c - see look.h */
#include "sched/slurm/look.h"

#include <stdio.h>

#include "base/check.h"
#include "sched/slurm/duration.h"
#include "sched/slurm/jobs.h"

int mu_slurm_cluster_read(struct mu_slurm_cluster *out, struct mu_err *e)
{
    static const char *const nodes[] = {"scontrol", "--oneliner", "show", "node", NULL};
    static const char *const partitions[] = {"sinfo", "--noheader", "--format=" MU_SLURM_SINFO_FORMAT, NULL};
    struct mu_command_end end = MU_COMMAND_END_INIT;
    int rc = MU_OK;
    *out = (struct mu_slurm_cluster)MU_SLURM_CLUSTER_INIT;
    MU_TRY(mu_slurm_command(&end, nodes, e));
    MU_TRY(mu_slurm_nodes_parse(out, mu_buf_str(&end.out), e));
    MU_TRY(mu_slurm_command(&end, partitions, e));
    MU_TRY(mu_slurm_partitions_parse(out, mu_buf_str(&end.out), e));
out:
    mu_command_end_fini(&end);
    if (rc != MU_OK)
        mu_slurm_cluster_fini(out);
    return rc;
}

static const struct mu_slurm_partition *find(const struct mu_slurm_cluster *c, const char *name)
{
    for (int i = 0; i < c->n_partitions; i++) {
        if (strcmp(c->partitions[i].name, name) == 0)
            return &c->partitions[i];
    }
    return NULL;
}

/* Nodes of the partition that have what the profile says of one, and the GPUs of the last that has not. */
static int count_alike(const struct mu_site_partition *p, const struct mu_slurm_cluster *c, int *gpus, int *cpus)
{
    int n = 0;
    *gpus = *cpus = 0;
    for (int i = 0; i < c->n_nodes; i++) {
        const struct mu_slurm_node *node = &c->nodes[i];
        if (!mu_slurm_list_has(node->partitions, p->name))
            continue;
        if ((!p->gres || node->gpus.count >= p->machine.devices) && node->cpus >= p->cpus) {
            n++;
            continue;
        }
        *gpus = node->gpus.count;
        *cpus = node->cpus;
    }
    return n;
}

char *mu_slurm_differs(char buf[256], const struct mu_site_partition *p, const struct mu_slurm_cluster *c)
{
    const struct mu_slurm_partition *there = find(c, p->name);
    int gpus, cpus, alike = count_alike(p, c, &gpus, &cpus);
    buf[0] = 0;
    if (!there)
        snprintf(buf, 256, "Slurm has no partition %s", p->name);
    else if (!there->is_up)
        snprintf(buf, 256, "partition %s is not up: jobs wait", p->name);
    else if (alike == 0)
        snprintf(buf, 256, "no node of partition %s has %d cpus and %d GPUs, as the profile says; one has %d and %d",
                 p->name, (int)p->cpus, p->gres ? p->machine.devices : 0, cpus, gpus);
    else if (alike < p->machine.nodes)
        snprintf(buf, 256, "of the nodes of partition %s %d are as the profile says, which has %d", p->name, alike,
                 p->machine.nodes);
    else if (there->time_max_s > 0 && p->time_max_s != MU_SLURM_UNLIMITED && there->time_max_s < p->time_max_s)
        snprintf(buf, 256, "partition %s allows %lld s, and the profile says %lld", p->name,
                 (long long)there->time_max_s, (long long)p->time_max_s);
    return buf;
}
