/* fit.h - from a model and a site to the resources of a job
 *
 * The fewest devices of the first partition, in the profile's order, on which the planner finds a layout: parts of one
 * node, then whole nodes. Where the work is known and a time is wanted (or the partition has a limit), as many as meet
 * it. Formats of weights are never changed unasked: that would change numbers. */
#ifndef MU_SCHED_SLURM_FIT_H
#define MU_SCHED_SLURM_FIT_H

#include "plan/plan.h"
#include "sched/slurm/script.h"

/* Host memory of a rank whose model lies on a GPU: the process, the driver's host side, staging of weights. */
#define MU_SLURM_GPU_HOST_BYTES ((double)((int64_t)8 << 30))
/* Ranks found each other, task files read, requests built. */
#define MU_SLURM_START_S 60
/* No job asks for less. */
#define MU_SLURM_TIME_LEAST_S 600

struct mu_slurm_wish {
    const char *partition;                /* of that name, which several may have; NULL: the first on which it fits */
    const struct mu_site_partition *only; /* this one of the profile; NULL: any */
    int nodes, devices;                   /* 0: as few as do */
    int64_t time_s;                       /* walltime to ask for; 0: predicted */
    bool is_work_known;                   /* ask.work.requests were counted, not assumed */
};

struct mu_slurm_fit {
    const struct mu_site_partition *partition;
    struct mu_machine machine; /* the nodes that are asked for */
    struct mu_plan_ask ask;    /* points into this struct */
    struct mu_plan *plan;      /* owned */
    struct mu_slurm_part part; /* its command is the caller's to fill */
    int devices_held;          /* what the job keeps from others */
    double predicted_s;        /* start, loading and all requests */
    int64_t time_s;            /* asked for */
    int64_t runs;              /* how often the job is queued again, by the prediction, and once */
};

/* The walltime to ask for, wish_s where that is not 0, and how many runs it takes: predicted_s in all, load_s of it
 * before the first request of each. MU_EUSAGE: a run would be warned before it has loaded, and come back for ever. */
int mu_slurm_walltime(int64_t *time_s, int64_t *runs, double predicted_s, double load_s, const struct mu_site *site,
                      const struct mu_site_partition *p, int64_t wish_s, struct mu_err *e);

/* ask: spec, work, layout, strategy; machine, devices and the KV cache's type (f32 on CPUs, bf16 on GPUs) are found
 * here. out stays where it is (ask points into it). MU_ENOMEM: it fits nowhere; the sentence names the partition that
 * comes nearest and what it lacks. */
int mu_slurm_fit(struct mu_slurm_fit *out, const struct mu_site *site, const struct mu_plan_ask *ask,
                 const struct mu_slurm_wish *wish, struct mu_err *e);
void mu_slurm_fit_fini(struct mu_slurm_fit *f);

#endif
