/* topology.h - nodes and partitions as Slurm's own commands print them
 *
 * Pure: text in, numbers out. Nodes from `scontrol --oneliner show node`, partitions from
 * `sinfo --noheader --format=MU_SLURM_SINFO_FORMAT`; both are printed alike by every Slurm of the last ten years, their
 * --json is not. */
#ifndef MU_SCHED_SLURM_TOPOLOGY_H
#define MU_SCHED_SLURM_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "plan/machine.h"

#define MU_SLURM_NODES_MAX      16384
#define MU_SLURM_PARTITIONS_MAX 1024
#define MU_SLURM_NAME_MAX       64
#define MU_SLURM_TEXT_MAX       256 /* features of a node, partitions of a node */

#define MU_SLURM_SINFO_FORMAT "%R|%a|%l|%L|%D|%G|%m|%c" /* a line for each kind of node in a partition */

struct mu_slurm_gres {
    char kind[MU_SLURM_NAME_MAX]; /* "h100"; "": Slurm names none */
    int count;
    bool is_mixed; /* there are GPUs of another kind too; count is of the first */
};

struct mu_slurm_node {
    char name[MU_SLURM_NAME_MAX];
    int cpus;
    int64_t memory_mib;
    struct mu_slurm_gres gpus;
    bool is_usable; /* neither down, drained, reserved for maintenance nor unknown; it may be busy */
    char state[MU_SLURM_NAME_MAX];
    char address[MU_SLURM_TEXT_MAX]; /* where slurmd listens, and at which port; "", 0: not said */
    int port;
    char features[MU_SLURM_TEXT_MAX];   /* active ones, between commas */
    char partitions[MU_SLURM_TEXT_MAX]; /* between commas */
};

struct mu_slurm_partition {
    char name[MU_SLURM_NAME_MAX];
    bool is_up;
    int64_t time_max_s, time_default_s; /* MU_SLURM_UNLIMITED; 0: none is set */
    int nodes;
};

struct mu_slurm_cluster {
    struct mu_slurm_node *nodes; /* owned */
    int n_nodes;
    struct mu_slurm_partition *partitions; /* owned */
    int n_partitions;
};
#define MU_SLURM_CLUSTER_INIT                                                                                          \
    {                                                                                                                  \
        NULL, 0, NULL, 0                                                                                               \
    }

/* Each adds to *out what one command printed. MU_EFORMAT names the line. */
int mu_slurm_nodes_parse(struct mu_slurm_cluster *out, struct mu_str text, struct mu_err *e);
int mu_slurm_partitions_parse(struct mu_slurm_cluster *out, struct mu_str text, struct mu_err *e);
void mu_slurm_cluster_fini(struct mu_slurm_cluster *c);

/* "gpu:h100:8(S:0-1),nic:2": its GPUs; none: count 0. */
int mu_slurm_gres_parse(struct mu_slurm_gres *out, struct mu_str text, struct mu_err *e);

bool mu_slurm_list_has(const char *list, const char *name); /* between commas */

/* The most numerous kind of node that is usable in the partition and has all features (names between commas, or NULL),
 * as a machine: GPUs by the preset of their kind, else CPUs by guess. MU_ENOENT: there is none. */
int mu_slurm_machine(struct mu_machine *out, const struct mu_slurm_cluster *c, const char *partition,
                     const char *features, struct mu_err *e);

#endif
