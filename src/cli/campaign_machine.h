/* campaign_machine.h - the devices that a campaign's tasks are put on: of this machine, or of a Slurm job's nodes */
#ifndef MU_CLI_CAMPAIGN_MACHINE_H
#define MU_CLI_CAMPAIGN_MACHINE_H

#include "sched/campaign.h"
#include "sched/fleet.h"
#include "sched/slurm/here.h"

struct mu_campaign_machine {
    const char **node; /* names; n_nodes */
    int n_nodes;
    struct mu_fleet_device *device; /* n_devices, a node's side by side */
    int n_devices;
    int64_t *weights; /* bytes of each model of the campaign, as its tasks load it; 0: not known */
    int cores;        /* of a device */
    bool is_job;      /* work runs as steps of a job */
    char name[256];   /* of this machine */
    struct mu_slurm_here here;
    char job[96];   /* its name among all jobs, "CLUSTER:NUMBER"; "": this process is in none */
    int64_t lead_s; /* of the job's warning */
    double asked_s; /* when the controller was asked for the job's end, by the steady clock; 0: not yet */
    double ends_s;  /* and when that is; INFINITY: never */
};

/* launcher: "local", "steps", or NULL and "auto": steps in a job of several nodes. devices: of a node, 0: one. lead_s:
 * from a job's warning to its end. Nodes are taken to be alike: this one is looked at. MU_EINVAL: steps in no job. */
int mu_campaign_machine_look(struct mu_campaign_machine *m, const struct mu_campaign *c, const char *launcher,
                             int64_t devices, int64_t lead_s, struct mu_err *e);
/* Seconds until the job is warned of its end; INFINITY: there is no job, or no end. Asks Slurm once a minute. */
double mu_campaign_machine_left(struct mu_campaign_machine *m);

void mu_campaign_machine_release(struct mu_campaign_machine *m); /* all zero is fine */

#endif
