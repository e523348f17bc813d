/* drill_lost.c - a rank is lost, all others have to tell which (drill_lost.h)
 *
 * Each survivor notes in the scratch folder what it was told and when; the clock is the machine's, which all of them
 * share. */
#include "cli/drill_lost.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "comm/comm.h"

#define RANKS 3

static int note(const struct mu_drill_args *a, int rank, const char *why)
{
    char name[32], text[MU_ERR_TEXT_MAX + 32];
    snprintf(name, sizeof name, "rank-%d", rank);
    snprintf(text, sizeof text, "%lld %s", (long long)mu_now_ns(mu_clock_real()), why);
    return mu_drill_write(a, name, text, NULL);
}

int mu_drill_lose_rank(const struct mu_drill_args *a, struct mu_comm *world, int signal, struct mu_err *e)
{
    int rank = mu_comm_rank(world), rc;
    if (!world)
        return mu_fail(e, MU_EUSAGE, "one rank alone has nobody to lose");
    MU_TRY_RETURN(mu_comm_barrier(world, e));
    if (rank == mu_comm_size(world) - 1) {
        MU_TRY_RETURN(note(a, rank, "leaves"));
        raise(signal);
    }
    do
        rc = mu_comm_barrier(world, e);
    while (rc == MU_OK);
    (void)note(a, rank, e->text);
    return rc;
}

/* When, in s of the machine's clock, and what rank i noted. */
static bool noted(const struct mu_drill_args *a, int i, double *at_s, char *why, size_t bytes)
{
    char name[32], text[MU_ERR_TEXT_MAX + 32], *rest;
    snprintf(name, sizeof name, "rank-%d", i);
    if (!mu_drill_read(a, name, text, sizeof text))
        return false;
    *at_s = (double)strtoll(text, &rest, 10) * 1e-9;
    snprintf(why, bytes, "%s", *rest == ' ' ? rest + 1 : rest);
    return true;
}

static int judge(const struct mu_drill_args *a, int ranks, struct mu_drill_result *r, struct mu_err *e)
{
    char lost[32], why[MU_ERR_TEXT_MAX];
    double left_s, at_s, slowest_s = 0;
    snprintf(lost, sizeof lost, "rank %d ", ranks - 1);
    if (!noted(a, ranks - 1, &left_s, why, sizeof why))
        return mu_fail(e, MU_EPEER, "the ranks never met");
    for (int i = 0; i < ranks - 1; i++) {
        if (!noted(a, i, &at_s, why, sizeof why))
            return mu_fail(e, MU_EPEER, "rank %d did not find out that another was lost", i);
        if (!strstr(why, lost))
            return mu_fail(e, MU_EPEER, "rank %d did not name rank %d: %.300s", i, ranks - 1, why);
        slowest_s = MU_MAX(slowest_s, at_s - left_s);
    }
    return mu_drill_say(r, slowest_s > MU_DRILL_FOUND_S ? MU_DRILL_SLOW : MU_DRILL_PASS,
                        "rank %d was named by the %d others, by the last after %.2f s (%d s are allowed)", ranks - 1,
                        ranks - 1, slowest_s, MU_DRILL_FOUND_S);
}

int mu_drill_lose(const struct mu_drill_args *a, const char *name, struct mu_drill_result *r, struct mu_err *e)
{
    int ranks = a->ranks > 2 ? (int)a->ranks : RANKS, status = 0;
    for (int i = 0; i < ranks; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/rank-%d", a->scratch, i);
        remove(path); /* of the drill before */
    }
    if (!mu_drill_start_ranks(a, name, ranks, r, &status))
        return MU_OK;
    return judge(a, ranks, r, e);
}
