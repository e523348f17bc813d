/* cmd_status.c - `muster status`: how a campaign stands, also while it runs */
#include "base/check.h"
#include "cli/campaign_status.h"
#include "cli/cmd.h"

struct status_args {
    bool json;
};

static int status_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    const struct status_args *a = args;
    if (n_operands != 1)
        return mu_fail(e, MU_EUSAGE, "status takes the output folder of one campaign, %d were given", n_operands);
    return mu_campaign_print_status(operands[0], a->json, e);
}

static const struct mu_opt status_opts[] = {
    {MU_OPT_FLAG, "json", 0, offsetof(struct status_args, json), .help = "Print JSON."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_status = {
    .name = "status",
    .summary = "show how a campaign stands",
    .operands = "OUTPUT",
    .story =
        "Reads the events that `muster run` keeps in OUTPUT/campaign.sqlite, also while it runs: rate and time left "
        "once enough have ended, GPU hours, failures, who runs it; running tasks with their progress, what happened "
        "last, and each task with its state, attempts, the time of the last one and why it failed. `muster top` shows "
        "the same as it goes.",
    .examples = "  muster status build/campaign\n"
                "  muster status build/campaign --json | jq .states\n",
    .opts = status_opts,
    .args_size = sizeof(struct status_args),
    .run = status_run,
};
