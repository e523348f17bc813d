/* campaign_json.h - a campaign's view for programs: the keys of `muster status --json` and `muster top --json` */
#ifndef MU_CLI_CAMPAIGN_JSON_H
#define MU_CLI_CAMPAIGN_JSON_H

#include "cli/campaign_view.h"

/* A new tree; NULL: no memory. with_each: every task under "each", not only those that run. */
json_t *mu_campaign_json(const struct mu_view *v, bool with_each);

#endif
