/* campaign_plan_page.h - what `muster run --plan` prints: order, placement, predicted times and cost */
#ifndef MU_CLI_CAMPAIGN_PLAN_PAGE_H
#define MU_CLI_CAMPAIGN_PLAN_PAGE_H

#include "sched/campaign.h"

/* On standard output. launcher and devices as mu_campaign_machine_look() takes them. Reads the suites' documents. */
int mu_campaign_show_plan(const struct mu_campaign *c, const char *launcher, int64_t devices, bool as_json,
                          struct mu_err *e);

#endif
