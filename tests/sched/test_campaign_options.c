/* test_campaign_options.c - the options of a campaign's models are those of the command line, with its bounds and words
 */
#include "xt.h"

#include <stdio.h>

#include "cli/model_opts.h"
#include "sched/campaign_int.h"

static const struct mu_opt opts[] = {MU_MODEL_OPTS(0), {.type = MU_OPT_END}};

/* What a campaign leaves out: the orchestrator's own. */
static const char *const left_out[] = {"write_expert_loads", "quiet"};

static void underscored(const char *name, char out[64])
{
    snprintf(out, 64, "%s", name);
    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : *p;
}

XT_TEST(every_option_of_a_model_is_there)
{
    char name[64];
    int n = 0, n_rows = 0;
    for (const struct mu_opt *o = opts; o->type != MU_OPT_END; o++) {
        underscored(o->name, name);
        const struct mu_campaign_row *row = mu_campaign_row_find(mu_campaign_model_rows, name);
        if (strcmp(name, left_out[0]) == 0 || strcmp(name, left_out[1]) == 0) {
            XT_CHECK(!row);
            continue;
        }
        XT_CHECKF(row, "a campaign knows no %s", name);
        if (o->type == MU_OPT_INT)
            XT_CHECKF(row->lo == o->lo && row->hi == o->hi, "%s has other bounds", name);
        if (o->choices)
            XT_STREQ(row->choices, o->choices);
        XT_CHECKF((row->kind == MU_CAMPAIGN_AUTO_INT) == o->takes_auto, "%s and auto", name);
        n++;
    }
    for (const struct mu_campaign_row *row = mu_campaign_model_rows; row->name; row++)
        n_rows++;
    XT_EQ(n_rows, n + 1); /* "name" besides */
}

XT_MAIN()
