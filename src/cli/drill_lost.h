/* drill_lost.h - what the drills that lose a rank share */
#ifndef MU_CLI_DRILL_LOST_H
#define MU_CLI_DRILL_LOST_H

#include "cli/drill.h"

/* The last rank sends itself `signal`; each other one has to name it within MU_DRILL_FOUND_S. */
int mu_drill_lose(const struct mu_drill_args *a, const char *name, struct mu_drill_result *r, struct mu_err *e);
int mu_drill_lose_rank(const struct mu_drill_args *a, struct mu_comm *world, int signal, struct mu_err *e);

#endif
