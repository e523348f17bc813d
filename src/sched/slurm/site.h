/* site.h - a site profile: what differs between one Slurm installation and the next
 *
 * A YAML file, docs/slurm.md. Errors name file and line, an unknown key the nearest known one. Texts that come to stand
 * in an #SBATCH line are held to the letters of Slurm's own names, so that nothing can end its line; prolog lines are
 * the site's own shell and are copied as they are. */
#ifndef MU_SCHED_SLURM_SITE_H
#define MU_SCHED_SLURM_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/machine.h"

#define MU_SITE_PARTITIONS_MAX 32
#define MU_SITE_LINES_MAX      64
#define MU_SITE_TEXT_MAX       4096 /* bytes of one text */
#define MU_SITE_CPUS_MAX       65536
#define MU_SITE_RESTARTS_MAX   1000

struct mu_site_lines {
    int n;
    const char *line[MU_SITE_LINES_MAX];
};

enum mu_site_launch { MU_SITE_SRUN, MU_SITE_MPIRUN };

/* Texts may be NULL: not asked for. Equal nodes; those of a machine file with several kinds are several partitions. */
struct mu_site_partition {
    const char *name;
    const char *account, *qos;     /* NULL: the site's */
    const char *gres;              /* "gpu:h100", by the site's table of GPU kinds; NULL: devices are not asked for */
    const char *constraint;        /* always */
    const char *constraint_linked; /* also, where ranks of a node exchange parts of layers */
    int64_t cpus;                  /* of a node, that a job may take */
    int64_t time_max_s;            /* MU_SLURM_UNLIMITED: none */
    bool asks_memory;              /* --mem may be given */
    bool is_exclusive;             /* whole nodes only */
    struct mu_machine machine;     /* nodes: the most that one job may have */
};

struct mu_site {
    struct mu_yaml *yaml; /* owns the texts */
    const char *name;
    const char *muster; /* the program on the nodes */
    const char *account, *qos;
    struct mu_site_lines modules, prolog;
    enum mu_site_launch launch;
    const char *mpi; /* of srun --mpi */
    struct mu_site_lines launch_options;
    const char *store, *scratch, *models; /* folders all nodes see (scratch: a node's own); NULL: none said */
    int64_t signal_lead_s;                /* from the warning signal to the end of the job */
    int64_t restarts;                     /* of a job by itself, at most; 0: jobs may not be queued again */
    double time_margin;                   /* asked walltime over predicted */
    double memory_margin;                 /* asked host memory over billed */
    bool has_accounting;                  /* sacct answers */
    struct mu_site_partition partition[MU_SITE_PARTITIONS_MAX];
    int n_partitions; /* the file's order is the order of preference */
};

/* *out is the caller's, by mu_site_free(). */
int mu_site_load(struct mu_site **out, const char *path, struct mu_err *e);
int mu_site_parse(struct mu_site **out, struct mu_str text, const char *where, struct mu_err *e);
void mu_site_free(struct mu_site *s); /* NULL is fine */

/* MU_ENOENT names the nearest, or all. */
int mu_site_partition_find(const struct mu_site_partition **out, const struct mu_site *s, const char *name,
                           struct mu_err *e);

/* Whether the text can stand in an #SBATCH line as it is. */
bool mu_site_is_plain(const char *text);

#endif
