/* campaign_status.h - how a campaign stands, from its events, for people and programs */
#ifndef MU_CLI_CAMPAIGN_STATUS_H
#define MU_CLI_CAMPAIGN_STATUS_H

#include <stdbool.h>

#include <muster/err.h>

/* MU_ENOENT: no campaign was ever run there. */
int mu_campaign_print_status(const char *folder, bool as_json, struct mu_err *e);

#endif
