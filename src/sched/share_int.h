/* share_int.h - what the files of the share's store have in common */
#ifndef MU_SCHED_SHARE_INT_H
#define MU_SCHED_SHARE_INT_H

#include "base/buf.h"
#include "sched/event_log_int.h"
#include "sched/share.h"

#define MU_SHARE_KEY_MAX 64

enum mu_share_statement {
    MU_SHARE_BEGIN,
    MU_SHARE_COMMIT,
    MU_SHARE_ROLLBACK,
    MU_SHARE_MEMBERS,
    MU_SHARE_ENTER,
    MU_SHARE_RENEW,
    MU_SHARE_END,
    MU_SHARE_FORGET,
    MU_SHARE_DEVICES,
    MU_SHARE_HOLD,
    MU_SHARE_FREE,
    MU_SHARE_CLEAR,
    MU_SHARE_ADD,
    MU_SHARE_STATEMENTS
};

/* A row of the members' table. */
struct mu_share_row {
    int64_t id, beat, span_ns;
    bool has_left; /* or was seen to be gone: it has no devices */
    double used_s;
    char key[MU_SHARE_KEY_MAX], campaign[MU_SHARE_NAME_MAX];
    struct mu_owner_self who;
    struct mu_share_member member;
};

/* Since when a beat has stood still, by the clock of who looks. */
struct mu_share_watch {
    int64_t id, beat, seen_ns;
};

/* A device as the store knows it. */
struct mu_share_device {
    const char *node;
    int number; /* of the node's */
};

struct mu_share {
    struct mu_share_opts o;
    struct mu_buf path;
    struct mu_db db; /* closed while the file cannot be opened */
    sqlite3_stmt *statement[MU_SHARE_STATEMENTS];
    struct mu_share_device *device; /* [n_devices] */
    int64_t *holder;                /* [n_devices] at the last look: a member's id; 0: nobody */
    int64_t *next;                  /* [n_devices] in the transaction */

    struct mu_share_row self; /* member: as of the last look */
    struct mu_share_row row[MU_SHARE_MEMBERS_MAX];
    int n_rows;
    struct mu_share_watch watch[MU_SHARE_MEMBERS_MAX];
    int n_watch;
    int64_t renewed_ns; /* begun, by the clock */
    int64_t charged_ns; /* until when its devices are counted */
    int64_t wide_task;  /* of its turn */
    int64_t takes_ns;   /* it takes nothing before then */
};

/* ---- share_store.c: rows ---- */

int mu_share_open_store(struct mu_share *s, struct mu_err *e);
void mu_share_close_store(struct mu_share *s); /* closed is fine */
bool mu_share_is_open(const struct mu_share *s);

/* The file is not the one at its path any more: whoever comes finds another. */
bool mu_share_has_moved(const struct mu_share *s);

int mu_share_run(struct mu_share *s, enum mu_share_statement which, struct mu_err *e);
int mu_share_undo(struct mu_share *s, int rc); /* an open transaction; rc unchanged */

/* Inside a transaction. Rows of others that have left are not read; this one's is row[0] if it is there. */
int mu_share_read_members(struct mu_share *s, bool *is_there, struct mu_err *e);

/* Who has each device, into next. *is_same: they are this member's, each once, and no others. */
int mu_share_read_devices(struct mu_share *s, bool *is_same, struct mu_err *e);

int mu_share_enter(struct mu_share *s, struct mu_err *e);           /* this member's row, anew; its devices are free */
int mu_share_renew(struct mu_share *s, struct mu_err *e);           /* its row, as self says */
int mu_share_end(struct mu_share *s, int64_t id, struct mu_err *e); /* that one has left */
int mu_share_hold(struct mu_share *s, int device, int64_t holder, struct mu_err *e);
int mu_share_set_devices(struct mu_share *s, struct mu_err *e); /* this member's in place of those there */

#endif
