/* fit_campaign.h - from a campaign and a site to the resources of the one job that runs it
 *
 * The first partition of the profile on which each of its models fits. Devices: as many as its widest task needs, more
 * where a time is wanted that they would not meet: parts of one node, then whole nodes. Time: the longest chain of
 * waits, or all work shared out over the devices, whichever is longer. */
#ifndef MU_SCHED_SLURM_FIT_CAMPAIGN_H
#define MU_SCHED_SLURM_FIT_CAMPAIGN_H

#include "sched/campaign.h"
#include "sched/slurm/fit.h"

/* prompt 0: so many requests are assumed, each as of the model's own work. */
struct mu_slurm_suite_work {
    double requests;
    int64_t prompt, output; /* tokens of one; output 0: scoring */
};

struct mu_slurm_campaign_ask {
    const struct mu_campaign *campaign;
    const struct mu_plan_ask *model;         /* [n_models]: spec, work; without a spec nothing is known of it */
    const struct mu_slurm_suite_work *suite; /* [n_suites] */
    const char *partition;                   /* NULL: the first on which it fits */
    int nodes, devices;                      /* 0: as above; devices in all */
    int64_t time_s;                          /* walltime to ask for; 0: predicted */
};

struct mu_slurm_campaign_fit {
    const struct mu_site_partition *partition;
    struct mu_slurm_part part;      /* its command is the caller's to fill */
    int devices, devices_per_node;  /* that tasks are put on */
    int devices_held;               /* what the job keeps from others */
    struct mu_campaign_guess *task; /* owned, [n_tasks] */
    int n_unknown;                  /* tasks without a prediction */
    double work_s;                  /* of one device */
    double chain_s;
    double load_s;      /* of the model that takes longest */
    double predicted_s; /* of the job, at the best */
    int64_t time_s;     /* asked for */
    int64_t runs;       /* how often the job is queued again, and once */
};

/* Errors as mu_slurm_fit(), with the model's name in front. Deadlines and budgets are not looked at here. */
int mu_slurm_fit_campaign(struct mu_slurm_campaign_fit *out, const struct mu_site *site,
                          const struct mu_slurm_campaign_ask *ask, struct mu_err *e);
/* The campaign held against these predictions and the partition's nodes (mu_campaign_check): deadlines, time-outs,
 * resources, budgets. start_at: when it begins at the earliest, Unix seconds. */
int mu_slurm_campaign_hold(struct mu_slurm_campaign_fit *f, const struct mu_campaign *c, int64_t start_at,
                           struct mu_campaign_faults *faults, struct mu_err *e);
void mu_slurm_campaign_fit_fini(struct mu_slurm_campaign_fit *f);

#endif
