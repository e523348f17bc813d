/* knock.h - whether the nodes of a job still answer, found without the controller
 *
 * Slurm's controller takes from seconds to minutes to notice that a node is gone, as the site has set it. The port of
 * slurmd, where srun must be able to reach it, tells it within a second: a node without power or cable does not answer,
 * one whose daemon has ended refuses. Only a door that was once seen open counts, so a firewall never makes a node
 * dead. Nothing waits; who knocks has heard nothing from that node for a while and decides what it means. */
#ifndef MU_SCHED_SLURM_KNOCK_H
#define MU_SCHED_SLURM_KNOCK_H

#include <netinet/in.h>
#include <stdbool.h>

#include "sched/slurm/topology.h"

#define MU_SLURM_KNOCK_NS   ((int64_t)1000000000) /* for an answer */
#define MU_SLURM_KNOCKS_MAX 256                   /* under way at a time */

enum mu_slurm_answer {
    MU_SLURM_UNKNOWN, /* no answer yet, or never seen open */
    MU_SLURM_OPEN,
    MU_SLURM_SHUT
};

struct mu_slurm_door {
    char name[MU_SLURM_NAME_MAX];
    struct sockaddr_in6 address; /* of either family: large enough for IPv4 too */
    socklen_t n_address;         /* 0: not known */
    int fd;                      /* -1: no knock is under way */
    int64_t since_ns, until_ns;  /* when that began; no other before until_ns */
    bool was_open;
    enum mu_slurm_answer last;
};

struct mu_slurm_doors {
    struct mu_slurm_door *door; /* owned */
    int n, n_asked;             /* asked: under way */
};

/* text: of `scontrol --oneliner show node`. Names of addresses are looked up here, for some seconds in all. A node
 * without address or port, or whose turn did not come, has a door that never answers. */
int mu_slurm_doors_open(struct mu_slurm_doors *d, struct mu_str text, struct mu_err *e);
void mu_slurm_doors_close(struct mu_slurm_doors *d);

/* Looks at the knock under way, and begins one where the last is a second old. What was answered last. */
enum mu_slurm_answer mu_slurm_knock(struct mu_slurm_doors *d, const char *node, int64_t now_ns);

/* Knocks until it was once seen open. */
void mu_slurm_meet(struct mu_slurm_doors *d, const char *node, int64_t now_ns);

#endif
