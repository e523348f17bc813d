/* event_log_int.h - what the files of the event log share */
#ifndef MU_SCHED_EVENT_LOG_INT_H
#define MU_SCHED_EVENT_LOG_INT_H

#include "base/sqlite.h"
#include "sched/event_log.h"

#define MU_OWNER_WORD_MAX 64 /* boot, namespace, token */
#define MU_TURN_JOB_MAX   128

enum mu_event_log_statement {
    MU_LOG_BEGIN,
    MU_LOG_COMMIT,
    MU_LOG_ROLLBACK,
    MU_LOG_PUT,
    MU_LOG_FIND,
    MU_LOG_READ,
    MU_LOG_LAST,
    MU_LOG_OWNER,
    MU_LOG_OWN,
    MU_LOG_RENEW,
    MU_LOG_CLAIM, /* from here on not of readers: the file may be of a time before there were claims */
    MU_LOG_CLAIMED,
    MU_LOG_STATEMENTS
};

/* This process, or the one that a row of the owner's table names. */
struct mu_owner_self {
    struct mu_owner pub;
    int64_t start; /* of the process, in ticks since boot */
    char boot[MU_OWNER_WORD_MAX], space[MU_OWNER_WORD_MAX], token[MU_OWNER_WORD_MAX];
};

struct mu_event_log {
    struct mu_db db;
    sqlite3_stmt *statement[MU_LOG_STATEMENTS];
    struct mu_clock *clock;
    int64_t last; /* number */

    struct mu_owner_self self; /* fence 0: does not own it */
    int64_t renewed_ns;        /* begun, by the clock */
    struct mu_owner seen;      /* who is watched */
    int64_t seen_ns;           /* since when its renewals have stood still */

    char job[MU_TURN_JOB_MAX]; /* "": in none */
    int turn;
};

int mu_event_log_run(struct mu_event_log *l, enum mu_event_log_statement which, struct mu_err *e);
int64_t mu_event_wall_ns(void);
/* Undoes an open transaction; rc unchanged. */
int mu_event_log_undo(struct mu_event_log *l, int rc);

/* ---- event_owner.c ---- */

int mu_owner_know_self(struct mu_owner_self *self, int64_t span_ns, struct mu_err *e);
/* Its process is seen to have ended: only where both see the same processes, and the system says so. */
bool mu_owner_is_gone(const struct mu_owner_self *self, const struct mu_owner_self *o);
/* Its process is seen to live here: silence would not make it the less an owner. */
bool mu_owner_is_here(const struct mu_owner_self *self, const struct mu_owner_self *o);
/* Inside a transaction: still the owner, and the renewal counts with it. */
int mu_owner_hold(struct mu_event_log *l, struct mu_err *e);

/* ---- event_turn.c: the turns of a job; in none nothing is done ---- */

int mu_turn_open(struct mu_event_log *l, const char *job, int turn, struct mu_err *e);
/* Writes down that this turn has begun. MU_EPEER: a later one has. */
int mu_turn_claim(struct mu_event_log *l, struct mu_err *e);
int mu_turn_check(struct mu_event_log *l, struct mu_err *e);

#endif
