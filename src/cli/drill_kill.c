/* drill_kill.c - a rank is killed: the others end within the time and name it (drill.h) */
#include <signal.h>

#include "cli/drill_lost.h"

static int rank_part(const struct mu_drill_args *a, struct mu_comm *world, struct mu_err *e)
{
    return mu_drill_lose_rank(a, world, SIGKILL, e);
}

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    return mu_drill_lose(a, "kill", r, e);
}

const struct mu_drill mu_drill_kill = {.name = "kill", .deadline_s = 90, .run = run, .rank = rank_part};
