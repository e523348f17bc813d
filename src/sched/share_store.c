/* share_store.c - the rows of the share's file (share.h)
 *
 * Tables: member, one row a campaign that shares or did; device, one row a device with the id of who has it, 0 for
 * nobody. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "sched/share_int.h"

#define BUSY_MS 200 /* a look that has to wait longer is not taken */

static const struct mu_db_kind share_kind = {
    .noun = "store of shared devices",
    .schema =
        "CREATE TABLE IF NOT EXISTS member (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, campaign TEXT NOT NULL, "
        "host TEXT NOT NULL, pid INTEGER NOT NULL, start INTEGER NOT NULL, boot TEXT NOT NULL, space TEXT NOT NULL, "
        "token TEXT NOT NULL, span INTEGER NOT NULL, beat INTEGER NOT NULL, has_left INTEGER NOT NULL, "
        "weight REAL NOT NULL, busy INTEGER NOT NULL, want INTEGER NOT NULL, narrow INTEGER NOT NULL, "
        "wide INTEGER NOT NULL, pass REAL NOT NULL, used REAL NOT NULL, owes INTEGER NOT NULL, turn INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS device (node TEXT NOT NULL, number INTEGER NOT NULL, holder INTEGER NOT NULL, "
        "PRIMARY KEY (node, number)) WITHOUT ROWID;",
    .kept = "campaigns go on with the devices they have",
    .anew = "while no campaign uses it: the next one makes it anew",
    .application_id = 0x4d555348, /* "MUSH" */
    .version = 1,
};

static const char *const statement_sql[MU_SHARE_STATEMENTS] = {
    [MU_SHARE_BEGIN] = "BEGIN IMMEDIATE",
    [MU_SHARE_COMMIT] = "COMMIT",
    [MU_SHARE_ROLLBACK] = "ROLLBACK",
    [MU_SHARE_MEMBERS] = "SELECT id, pid, start, span, beat, has_left, busy, want, narrow, wide, owes, turn, weight, "
                         "pass, used, key, campaign, host, boot, space, token FROM member "
                         "WHERE has_left = 0 OR key = ?1 ORDER BY key <> ?1, id",
    [MU_SHARE_ENTER] = "INSERT INTO member (key, campaign, host, pid, start, boot, space, token, span, beat, has_left, "
                       "weight, busy, want, narrow, wide, pass, used, owes, turn) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, ?10, 0, 0, 0, 0, 0, 0, 0, 0) "
                       "ON CONFLICT (key) DO UPDATE SET campaign = ?2, host = ?3, pid = ?4, start = ?5, boot = ?6, "
                       "space = ?7, token = ?8, span = ?9, beat = beat + 1, has_left = 0, weight = ?10, busy = 0, "
                       "want = 0, narrow = 0, wide = 0, turn = 0",
    [MU_SHARE_RENEW] = "UPDATE member SET beat = ?2, busy = ?3, want = ?4, narrow = ?5, wide = ?6, owes = ?7, "
                       "turn = ?8, pass = ?9, used = ?10, has_left = 0 WHERE id = ?1",
    [MU_SHARE_END] = "UPDATE member SET has_left = 1, beat = beat + 1, busy = 0, want = 0, narrow = 0, wide = 0, "
                     "turn = 0 WHERE id = ?1",
    /* Of those that have left, the ones that came first. */
    [MU_SHARE_FORGET] = "DELETE FROM member WHERE id IN (SELECT id FROM member WHERE has_left = 1 ORDER BY id "
                        "LIMIT max((SELECT count(*) FROM member) - ?1, 0))",
    [MU_SHARE_DEVICES] = "SELECT number, holder, node FROM device ORDER BY node, number",
    [MU_SHARE_HOLD] = "UPDATE device SET holder = ?3 WHERE node = ?1 AND number = ?2",
    [MU_SHARE_FREE] = "UPDATE device SET holder = 0 WHERE holder = ?1",
    [MU_SHARE_CLEAR] = "DELETE FROM device",
    [MU_SHARE_ADD] = "INSERT INTO device (node, number, holder) VALUES (?1, ?2, 0)",
};

/* ---- the file ---- */

bool mu_share_is_open(const struct mu_share *s)
{
    return s->db.sqlite != NULL;
}

void mu_share_close_store(struct mu_share *s)
{
    mu_db_finalise(s->statement, MU_SHARE_STATEMENTS);
    mu_db_close(&s->db);
}

static int open_store(struct mu_share *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_path_make_folders(s->o.folder, e));
    MU_TRY_RETURN(mu_db_open(&s->db, s->path.p, &share_kind, MU_DB_SHARED, true, e));
    sqlite3_busy_timeout(s->db.sqlite, BUSY_MS);
    /* A beat need not outlive the machine. */
    MU_TRY_RETURN(mu_db_exec(&s->db, "PRAGMA synchronous = NORMAL", e));
    return mu_db_prepare(&s->db, statement_sql, s->statement, MU_SHARE_STATEMENTS, e);
}

int mu_share_open_store(struct mu_share *s, struct mu_err *e)
{
    int rc = open_store(s, e);
    if (rc != MU_OK)
        mu_share_close_store(s);
    return rc;
}

bool mu_share_has_moved(const struct mu_share *s)
{
    int has_moved = 0;
    return sqlite3_file_control(s->db.sqlite, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) == SQLITE_OK && has_moved;
}

int mu_share_run(struct mu_share *s, enum mu_share_statement which, struct mu_err *e)
{
    return mu_db_run(&s->db, s->statement[which], e);
}

int mu_share_undo(struct mu_share *s, int rc)
{
    if (mu_share_is_open(s) && !sqlite3_get_autocommit(s->db.sqlite))
        mu_share_run(s, MU_SHARE_ROLLBACK, NULL);
    return rc;
}

/* Runs a statement whose numbers begin at place `at`; rc: of what was bound before. */
static int run_with(struct mu_share *s, enum mu_share_statement which, int rc, int at, const int64_t *number, int n,
                    struct mu_err *e)
{
    for (int i = 0; i < n && rc == SQLITE_OK; i++)
        rc = sqlite3_bind_int64(s->statement[which], at + i, number[i]);
    if (rc == SQLITE_OK)
        return mu_share_run(s, which, e);
    mu_db_reset(s->statement[which]);
    return mu_db_fail(&s->db, rc, e);
}

static int bind_text(sqlite3_stmt *q, int at, const char *text)
{
    return mu_db_bind_text(q, at, text, strlen(text));
}

/* ---- members ---- */

static void copy_text(sqlite3_stmt *q, int column, char *out, size_t bytes)
{
    const char *p = (const char *)sqlite3_column_text(q, column);
    snprintf(out, bytes, "%s", p ? p : "");
}

/* What others wrote may be anything: at least it is no number that breaks the deciding. */
static int small(sqlite3_stmt *q, int column)
{
    int64_t n = sqlite3_column_int64(q, column);
    return (int)MU_MAX(MU_MIN(n, INT32_MAX / 2), 0);
}

static double real_of(sqlite3_stmt *q, int column, double least)
{
    double x = sqlite3_column_double(q, column);
    return x >= least && x < 1e18 ? x : least;
}

static void read_row(sqlite3_stmt *q, struct mu_share_row *r)
{
    *r = (struct mu_share_row){.id = sqlite3_column_int64(q, 0),
                               .span_ns = sqlite3_column_int64(q, 3),
                               .beat = sqlite3_column_int64(q, 4),
                               .has_left = sqlite3_column_int(q, 5) != 0,
                               .used_s = real_of(q, 14, 0)};
    r->member = (struct mu_share_member){.busy = small(q, 6),
                                         .want = small(q, 7),
                                         .narrow = small(q, 8),
                                         .wide = small(q, 9),
                                         .owes = sqlite3_column_int(q, 10) != 0,
                                         .has_turn = sqlite3_column_int(q, 11) != 0,
                                         .weight = real_of(q, 12, 1e-6),
                                         .pass_s = real_of(q, 13, 0)};
    r->who.pub.pid = sqlite3_column_int64(q, 1);
    r->who.start = sqlite3_column_int64(q, 2);
    copy_text(q, 15, r->key, sizeof r->key);
    copy_text(q, 16, r->campaign, sizeof r->campaign);
    copy_text(q, 17, r->who.pub.host, sizeof r->who.pub.host);
    copy_text(q, 18, r->who.boot, sizeof r->who.boot);
    copy_text(q, 19, r->who.space, sizeof r->who.space);
    copy_text(q, 20, r->who.token, sizeof r->who.token);
}

int mu_share_read_members(struct mu_share *s, bool *is_there, struct mu_err *e)
{
    sqlite3_stmt *q = s->statement[MU_SHARE_MEMBERS];
    int rc = bind_text(q, 1, s->self.key);
    s->n_rows = 0;
    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(q)) == SQLITE_ROW && s->n_rows < MU_SHARE_MEMBERS_MAX)
            read_row(q, &s->row[s->n_rows++]);
    int result = rc == SQLITE_DONE  ? MU_OK
                 : rc == SQLITE_ROW ? mu_fail(e, MU_ELIMIT,
                                              "%s has more than %d campaigns, the most that share devices: "
                                              "end some, or name another folder",
                                              s->path.p, MU_SHARE_MEMBERS_MAX)
                                    : mu_db_fail(&s->db, rc, e);
    mu_db_reset(q);
    *is_there = s->n_rows > 0 && strcmp(s->row[0].key, s->self.key) == 0;
    return result;
}

static int enter(struct mu_share *s, struct mu_err *e)
{
    sqlite3_stmt *q = s->statement[MU_SHARE_ENTER];
    const struct mu_owner_self *me = &s->self.who;
    int rc = bind_text(q, 1, s->self.key);
    if (rc == SQLITE_OK)
        rc = bind_text(q, 2, s->self.campaign);
    if (rc == SQLITE_OK)
        rc = bind_text(q, 3, me->pub.host);
    if (rc == SQLITE_OK)
        rc = bind_text(q, 6, me->boot);
    if (rc == SQLITE_OK)
        rc = bind_text(q, 7, me->space);
    if (rc == SQLITE_OK)
        rc = bind_text(q, 8, me->token);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(q, 9, s->self.span_ns);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_double(q, 10, s->o.weight);
    return run_with(s, MU_SHARE_ENTER, rc, 4, (const int64_t[]){me->pub.pid, me->start}, 2, e);
}

int mu_share_enter(struct mu_share *s, struct mu_err *e)
{
    bool is_there;
    MU_TRY_RETURN(run_with(s, MU_SHARE_FORGET, SQLITE_OK, 1, (const int64_t[]){MU_SHARE_MEMBERS_MAX / 2}, 1, e));
    MU_TRY_RETURN(enter(s, e));
    MU_TRY_RETURN(mu_share_read_members(s, &is_there, e));
    if (!is_there)
        return mu_db_fail_damaged(&s->db, e);
    s->self.id = s->row[0].id;
    s->self.beat = s->row[0].beat;
    s->self.used_s = s->row[0].used_s;
    s->self.member = s->row[0].member;
    return run_with(s, MU_SHARE_FREE, SQLITE_OK, 1, &s->self.id, 1, e);
}

int mu_share_renew(struct mu_share *s, struct mu_err *e)
{
    sqlite3_stmt *q = s->statement[MU_SHARE_RENEW];
    const struct mu_share_member *m = &s->self.member;
    const int64_t number[] = {s->self.id, s->self.beat, m->busy, m->want, m->narrow, m->wide, m->owes, m->has_turn};
    int rc = sqlite3_bind_double(q, 9, m->pass_s);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_double(q, 10, s->self.used_s);
    return run_with(s, MU_SHARE_RENEW, rc, 1, number, MU_COUNT(number), e);
}

int mu_share_end(struct mu_share *s, int64_t id, struct mu_err *e)
{
    MU_TRY_RETURN(run_with(s, MU_SHARE_FREE, SQLITE_OK, 1, &id, 1, e));
    return run_with(s, MU_SHARE_END, SQLITE_OK, 1, &id, 1, e);
}

/* ---- devices ---- */

/* Looked for from `from` on, then before it: rows come node by node. */
static int find_device(const struct mu_share *s, int from, const char *node, int64_t number)
{
    for (int k = 0; k < s->o.n_devices; k++) {
        int i = (from + k) % s->o.n_devices;
        if (s->device[i].number == number && node && strcmp(s->device[i].node, node) == 0)
            return i;
    }
    return -1;
}

int mu_share_read_devices(struct mu_share *s, bool *is_same, struct mu_err *e)
{
    sqlite3_stmt *q = s->statement[MU_SHARE_DEVICES];
    int n = 0, at = 0, rc;
    *is_same = true;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW && *is_same) {
        at = find_device(s, at, (const char *)sqlite3_column_text(q, 2), sqlite3_column_int64(q, 0));
        *is_same = at >= 0;
        if (at >= 0)
            s->next[at] = sqlite3_column_int64(q, 1);
        n++;
    }
    int result = rc == SQLITE_DONE || rc == SQLITE_ROW ? MU_OK : mu_db_fail(&s->db, rc, e);
    mu_db_reset(q);
    *is_same &= n == s->o.n_devices;
    return result;
}

int mu_share_hold(struct mu_share *s, int device, int64_t holder, struct mu_err *e)
{
    const int64_t number[] = {s->device[device].number, holder};
    int rc = bind_text(s->statement[MU_SHARE_HOLD], 1, s->device[device].node);
    s->next[device] = holder;
    return run_with(s, MU_SHARE_HOLD, rc, 2, number, MU_COUNT(number), e);
}

int mu_share_set_devices(struct mu_share *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_share_run(s, MU_SHARE_CLEAR, e));
    for (int i = 0; i < s->o.n_devices; i++) {
        const int64_t number = s->device[i].number;
        int rc = bind_text(s->statement[MU_SHARE_ADD], 1, s->device[i].node);
        s->next[i] = 0;
        MU_TRY_RETURN(run_with(s, MU_SHARE_ADD, rc, 2, &number, 1, e));
    }
    return MU_OK;
}
