/* drill_stop.c - a rank is stopped, not killed: the others find out by its silence (drill.h) */
#include <signal.h>

#include "cli/drill_lost.h"

static int rank_part(const struct mu_drill_args *a, struct mu_comm *world, struct mu_err *e)
{
    return mu_drill_lose_rank(a, world, SIGSTOP, e);
}

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    return mu_drill_lose(a, "stop", r, e);
}

const struct mu_drill mu_drill_stop = {.name = "stop", .deadline_s = 90, .run = run, .rank = rank_part};
