/* campaign_world.h - what a campaign's names stand for on this machine: models that are there, tasks that are known */
#ifndef MU_CLI_CAMPAIGN_WORLD_H
#define MU_CLI_CAMPAIGN_WORLD_H

#include "sched/campaign.h"

/* Nothing to release: each question opens and closes what it needs. */
struct mu_campaign_world mu_campaign_world_here(void);

/* Reads the file and prints all that is wrong with it, one line each; MU_EFORMAT or MU_EINVAL then. */
int mu_campaign_open_here(struct mu_campaign **out, const char *path, struct mu_err *e);

/* Prints faults, one line each, and has *e tell of them; rc is what finding them came to. */
int mu_campaign_tell_faults(int rc, const char *path, const struct mu_campaign_faults *faults, struct mu_err *e);

/* Whether there are events of it: then what the file says of times is not held against a start now. */
bool mu_campaign_has_begun(const char *output);

#endif
