/* event_turn.c - whose turn of a job it is, see event_log.h */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sched/event_log_int.h"

int mu_turn_open(struct mu_event_log *l, const char *job, int turn, struct mu_err *e)
{
    if (strlen(job) >= sizeof l->job)
        return mu_fail(e, MU_ELIMIT, "the job's name \"%.40s...\" has more than %zu bytes", job, sizeof l->job - 1);
    snprintf(l->job, sizeof l->job, "%s", job);
    l->turn = turn;
    return MU_OK;
}

static int read_claim(struct mu_event_log *l, int64_t *turn, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_CLAIMED];
    int rc = mu_db_bind_text(s, 1, l->job, strlen(l->job));
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    *turn = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    int result = rc == SQLITE_ROW || rc == SQLITE_DONE ? MU_OK : mu_db_fail(&l->db, rc, e);
    mu_db_reset(s);
    return result;
}

int mu_turn_check(struct mu_event_log *l, struct mu_err *e)
{
    int64_t turn;
    if (!l->job[0])
        return MU_OK;
    MU_TRY_RETURN(read_claim(l, &turn, e));
    if (turn <= l->turn)
        return MU_OK;
    return mu_fail(e, MU_EPEER,
                   "%s: job %s was queued again, and its turn %" PRId64 " goes on here: this one, turn %d, must stop",
                   l->db.path, l->job, turn, l->turn);
}

int mu_turn_claim(struct mu_event_log *l, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_CLAIM];
    if (!l->job[0])
        return MU_OK;
    MU_TRY_RETURN(mu_turn_check(l, e));
    int rc = mu_db_bind_text(s, 1, l->job, strlen(l->job));
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, 2, l->turn);
    if (rc == SQLITE_OK)
        return mu_db_run(&l->db, s, e);
    mu_db_reset(s);
    return mu_db_fail(&l->db, rc, e);
}
