/* event_log.c - see event_log.h
 *
 * Tables: event, one row an event, of which a column that its kind does not use is NULL; owner, one row an owner, the
 * last of which is the present one; claim, the last turn of each job that wanted to be one. sum is the hash of all that
 * a row tells. */
#include "sched/event_log.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sched/event_log_int.h"

/* The first files of version 1 are without it. */
#define CLAIM_TABLE "CREATE TABLE IF NOT EXISTS claim (job TEXT PRIMARY KEY, turn INTEGER NOT NULL) WITHOUT ROWID;"

static const struct mu_db_kind log_kind = {
    .noun = "campaign store",
    .schema = "CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, fence INTEGER NOT NULL, "
              "wall INTEGER NOT NULL, mono INTEGER NOT NULL, kind INTEGER NOT NULL, task INTEGER, attempt INTEGER, "
              "grp INTEGER, node INTEGER, device INTEGER, job INTEGER, value INTEGER, amount INTEGER, text TEXT, "
              "key TEXT UNIQUE, sum INTEGER NOT NULL);"
              "CREATE TABLE IF NOT EXISTS owner (fence INTEGER PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, "
              "start INTEGER NOT NULL, boot TEXT NOT NULL, space TEXT NOT NULL, token TEXT NOT NULL, "
              "span INTEGER NOT NULL, renewals INTEGER NOT NULL, wall INTEGER NOT NULL, "
              "given_up INTEGER NOT NULL);" CLAIM_TABLE,
    .kept = "events of earlier appends are kept",
    .anew = "to run the campaign anew (its journals keep the answers)",
    .application_id = 0x4d554556, /* "MUEV" */
    .version = MU_EVENT_LOG_VERSION,
};

#define EVENT_COLUMNS                                                                                                  \
    "seq, fence, wall, mono, kind, task, attempt, grp, node, device, job, value, amount, text, key, sum"

static const char *const statement_sql[MU_LOG_STATEMENTS] = {
    [MU_LOG_BEGIN] = "BEGIN IMMEDIATE",
    [MU_LOG_COMMIT] = "COMMIT",
    [MU_LOG_ROLLBACK] = "ROLLBACK",
    [MU_LOG_PUT] = "INSERT INTO event (" EVENT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
                   "?13, ?14, ?15, ?16) ON CONFLICT (key) DO NOTHING",
    [MU_LOG_FIND] = "SELECT " EVENT_COLUMNS " FROM event WHERE key = ?1",
    [MU_LOG_READ] = "SELECT " EVENT_COLUMNS " FROM event WHERE seq > ?1 ORDER BY seq",
    [MU_LOG_LAST] = "SELECT coalesce(max(seq), 0) FROM event",
    [MU_LOG_OWNER] = "SELECT fence, pid, span, renewals, wall, given_up, host, start, boot, space, token FROM owner "
                     "ORDER BY fence DESC LIMIT 1",
    [MU_LOG_OWN] = "INSERT INTO owner (fence, pid, span, renewals, wall, given_up, host, start, boot, space, token) "
                   "VALUES (?1, ?2, ?3, 0, ?4, 0, ?5, ?6, ?7, ?8, ?9)",
    [MU_LOG_RENEW] = "UPDATE owner SET renewals = ?3, wall = ?4, given_up = ?5 WHERE fence = ?1 AND token = ?2 "
                     "AND fence = (SELECT max(fence) FROM owner)",
    [MU_LOG_CLAIM] = "INSERT INTO claim (job, turn) VALUES (?1, ?2) "
                     "ON CONFLICT (job) DO UPDATE SET turn = max(turn, excluded.turn)",
    [MU_LOG_CLAIMED] = "SELECT turn FROM claim WHERE job = ?1",
};

enum column { SEQ, FENCE, WALL, MONO, KIND, TASK, ATTEMPT, GROUP, NODE, DEVICE, JOB, VALUE, AMOUNT, TEXT, KEY, SUM };

/* Which column holds which member. */
static const struct place {
    enum column column;
    int members;
    size_t at;
} places[] = {
    {TASK, MU_EVENT_TASK, offsetof(struct mu_event, task)},
    {ATTEMPT, MU_EVENT_ATTEMPT, offsetof(struct mu_event, attempt)},
    {GROUP, MU_EVENT_GROUP, offsetof(struct mu_event, group)},
    {NODE, MU_EVENT_NODE, offsetof(struct mu_event, node)},
    {DEVICE, MU_EVENT_DEVICE, offsetof(struct mu_event, device)},
    {JOB, MU_EVENT_JOB | MU_EVENT_MAYBE_JOB, offsetof(struct mu_event, job)},
    {VALUE, MU_EVENT_VALUE, offsetof(struct mu_event, value)},
};

int mu_event_log_run(struct mu_event_log *l, enum mu_event_log_statement which, struct mu_err *e)
{
    return mu_db_run(&l->db, l->statement[which], e);
}

int mu_event_log_undo(struct mu_event_log *l, int rc)
{
    if (!sqlite3_get_autocommit(l->db.sqlite))
        mu_event_log_run(l, MU_LOG_ROLLBACK, NULL);
    return rc;
}

/* ---- opening ---- */

static int find_last(struct mu_event_log *l, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_LAST];
    int rc = sqlite3_step(s), result = rc == SQLITE_ROW ? MU_OK : mu_db_fail(&l->db, rc, e);
    if (rc == SQLITE_ROW)
        l->last = sqlite3_column_int64(s, 0);
    mu_db_reset(s);
    return result;
}

int mu_event_log_open(struct mu_event_log **out, const char *path, const struct mu_event_log_opts *o, struct mu_err *e)
{
    static const struct mu_event_log_opts plain;
    struct mu_event_log *l = NULL;
    int rc = MU_OK;

    o = o ? o : &plain;
    MU_TRY(MU_NEW(&l, "an event log", e));
    l->clock = o->clock ? o->clock : mu_clock_real();
    MU_TRY(mu_owner_know_self(&l->self, o->span_ns > 0 ? o->span_ns : MU_EVENT_LOG_SPAN_NS, e));
    const enum mu_db_access access = o->is_reader ? MU_DB_READ : o->is_many_nodes ? MU_DB_ROLLBACK : MU_DB_SHARED;
    MU_TRY(mu_turn_open(l, o->job ? o->job : "", o->turn, e));
    MU_TRY(mu_db_open(&l->db, path, &log_kind, access, !o->was_checked, e));
    if (!o->is_reader)
        MU_TRY(mu_db_exec(&l->db, CLAIM_TABLE, e));
    MU_TRY(mu_db_prepare(&l->db, statement_sql, l->statement, o->is_reader ? MU_LOG_CLAIM : MU_LOG_STATEMENTS, e));
    MU_TRY(find_last(l, e));
    *out = l;
    l = NULL;
out:
    mu_event_log_close(l);
    return rc;
}

void mu_event_log_close(struct mu_event_log *l)
{
    if (!l)
        return;
    if (l->db.sqlite)
        mu_event_log_disown(l, NULL);
    mu_db_finalise(l->statement, MU_LOG_STATEMENTS);
    mu_db_close(&l->db);
    mu_free(l);
}

const char *mu_event_log_path(const struct mu_event_log *l)
{
    return l->db.path;
}

int64_t mu_event_log_last(const struct mu_event_log *l)
{
    return l->last;
}

/* ---- rows ---- */

static int32_t *member(struct mu_event *ev, const struct place *p)
{
    return (int32_t *)(void *)((char *)ev + p->at);
}

static int64_t sum_of(const struct mu_event *ev, const char *key)
{
    const char *text = ev->text ? ev->text : "";
    const int64_t n[] = {ev->seq,   ev->fence, ev->wall_ns, ev->mono_ns, ev->kind,  ev->task,  ev->attempt,
                         ev->group, ev->node,  ev->device,  ev->job,     ev->value, ev->amount};
    uint64_t h = mu_hash64(n, sizeof n, 0);
    return (int64_t)mu_hash64(key, strlen(key), mu_hash64(text, strlen(text), h));
}

/* What a kind does not use is -1 or 0, as it will be read. */
static void drop_unused(struct mu_event *ev)
{
    int members = mu_event_members(ev->kind);
    for (size_t i = 0; i < MU_COUNT(places); i++)
        if (!(members & places[i].members))
            *member(ev, &places[i]) = -1;
    if (!(members & MU_EVENT_AMOUNT))
        ev->amount = 0;
    if (!(members & MU_EVENT_TEXT))
        ev->text = NULL;
}

static int bind(sqlite3_stmt *s, struct mu_event *ev, const char *key)
{
    const int64_t head[] = {ev->seq, ev->fence, ev->wall_ns, ev->mono_ns, ev->kind};
    int members = mu_event_members(ev->kind), rc = SQLITE_OK;
    for (int i = 0; i < (int)MU_COUNT(head) && rc == SQLITE_OK; i++)
        rc = sqlite3_bind_int64(s, i + 1, head[i]);
    for (size_t i = 0; i < MU_COUNT(places) && rc == SQLITE_OK; i++)
        if (members & places[i].members)
            rc = sqlite3_bind_int(s, (int)places[i].column + 1, *member(ev, &places[i]));
    if (rc == SQLITE_OK && (members & MU_EVENT_AMOUNT))
        rc = sqlite3_bind_int64(s, AMOUNT + 1, ev->amount);
    if (rc == SQLITE_OK && (members & MU_EVENT_TEXT))
        rc = mu_db_bind_text(s, TEXT + 1, ev->text ? ev->text : "", ev->text ? strlen(ev->text) : 0);
    if (rc == SQLITE_OK)
        rc = mu_db_bind_text(s, KEY + 1, key, strlen(key));
    return rc == SQLITE_OK ? sqlite3_bind_int64(s, SUM + 1, sum_of(ev, key)) : rc;
}

static int read_row(struct mu_event_log *l, sqlite3_stmt *s, struct mu_event *ev, struct mu_err *e)
{
    *ev = (struct mu_event){.seq = sqlite3_column_int64(s, SEQ),
                            .fence = sqlite3_column_int64(s, FENCE),
                            .wall_ns = sqlite3_column_int64(s, WALL),
                            .mono_ns = sqlite3_column_int64(s, MONO),
                            .kind = sqlite3_column_int(s, KIND),
                            .amount = sqlite3_column_int64(s, AMOUNT)};
    for (size_t i = 0; i < MU_COUNT(places); i++) {
        bool is_there = sqlite3_column_type(s, (int)places[i].column) != SQLITE_NULL;
        *member(ev, &places[i]) = is_there ? sqlite3_column_int(s, (int)places[i].column) : -1;
    }
    if (sqlite3_column_type(s, TEXT) != SQLITE_NULL)
        ev->text = (const char *)sqlite3_column_text(s, TEXT);
    ev->key = (const char *)sqlite3_column_text(s, KEY);
    if (sqlite3_errcode(l->db.sqlite) == SQLITE_NOMEM)
        return mu_db_fail(&l->db, SQLITE_NOMEM, e);
    if (!ev->key || sum_of(ev, ev->key) != sqlite3_column_int64(s, SUM))
        return mu_db_fail_damaged(&l->db, e);
    return MU_OK;
}

/* ---- replay ---- */

static int replay_row(struct mu_event_log *l, sqlite3_stmt *s, mu_event_fn *fn, void *arg, struct mu_err *e)
{
    struct mu_event ev;
    MU_TRY_RETURN(read_row(l, s, &ev, e));
    if (ev.seq != l->last + 1)
        return mu_fail(e, MU_EFORMAT,
                       "%s: event %" PRId64 " is followed by event %" PRId64 ", so some are missing: restore the "
                       "file from a copy",
                       l->db.path, l->last, ev.seq);
    if (mu_event_members(ev.kind) < 0)
        return mu_fail(e, MU_EFORMAT, "%s: event %" PRId64 " is of kind %d, which version %d does not have", l->db.path,
                       ev.seq, ev.kind, MU_EVENT_LOG_VERSION);
    if (ev.key[0] == '#')
        ev.key = NULL; /* it had none */
    MU_TRY_RETURN(fn ? fn(arg, &ev, e) : MU_OK);
    l->last = ev.seq;
    return MU_OK;
}

int mu_event_log_replay(struct mu_event_log *l, int64_t after, mu_event_fn *fn, void *arg, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_READ];
    int result = MU_OK, rc = sqlite3_bind_int64(s, 1, after);
    int64_t last = l->last;

    l->last = after;
    while (rc == SQLITE_OK && result == MU_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        result = replay_row(l, s, fn, arg, e);
        rc = SQLITE_OK;
    }
    if (result == MU_OK && rc != SQLITE_OK && rc != SQLITE_DONE)
        result = mu_db_fail(&l->db, rc, e);
    mu_db_reset(s);
    if (result == MU_OK && l->last < last)
        result = mu_fail(e, MU_EFORMAT,
                         "%s ends with event %" PRId64 " and had %" PRId64 " before: restore the file from a copy",
                         l->db.path, l->last, last);
    if (result != MU_OK)
        l->last = last;
    return result;
}

/* ---- append ---- */

/* An event whose key is taken: fine when it tells of what is there. */
static int check_repeat(struct mu_event_log *l, const struct mu_event *ev, const char *key, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_FIND];
    struct mu_event there;
    int rc = mu_db_bind_text(s, 1, key, strlen(key));
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    int result = rc == SQLITE_ROW ? read_row(l, s, &there, e) : mu_db_fail(&l->db, rc, e);
    if (result == MU_OK && !mu_event_is_same(ev, &there))
        result = mu_fail(e, MU_EINVAL,
                         "the key \"%s\" stands for event %" PRId64 " (%s) of %s and cannot stand for another (%s)",
                         key, there.seq, mu_event_kind_words(there.kind), l->db.path, mu_event_kind_words(ev->kind));
    mu_db_reset(s);
    return result;
}

int64_t mu_event_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int append_one(struct mu_event_log *l, const struct mu_event *given, mu_event_fn *fn, void *arg,
                      struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_PUT];
    char key[MU_EVENT_KEY_MAX];
    struct mu_event ev = *given;

    MU_TRY_RETURN(mu_event_check(given, e));
    if (l->last >= MU_EVENTS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s has %" PRId64 " events, the most there may be", l->db.path, l->last);
    ev.seq = l->last + 1;
    ev.fence = l->self.pub.fence;
    ev.mono_ns = mu_now_ns(l->clock);
    ev.wall_ns = ev.wall_ns ? ev.wall_ns : mu_event_wall_ns();
    drop_unused(&ev);
    mu_event_key(&ev, key);
    int rc = bind(s, &ev, key);
    int result = rc == SQLITE_OK ? mu_db_run(&l->db, s, e) : mu_db_fail(&l->db, rc, e);
    if (rc != SQLITE_OK)
        mu_db_reset(s);
    if (result != MU_OK)
        return result;
    if (sqlite3_changes(l->db.sqlite) == 0)
        return check_repeat(l, &ev, key, e);
    l->last = ev.seq;
    return fn ? fn(arg, &ev, e) : MU_OK;
}

int mu_event_log_append(struct mu_event_log *l, const struct mu_event *ev, int n, mu_event_fn *fn, void *arg,
                        struct mu_err *e)
{
    int rc = MU_OK;
    int64_t last = l->last, begun_ns = mu_now_ns(l->clock);

    if (n > MU_EVENT_BATCH_MAX)
        return mu_fail(e, MU_ELIMIT, "%d events in one append, at most %d are", n, MU_EVENT_BATCH_MAX);
    MU_TRY_RETURN(mu_event_log_run(l, MU_LOG_BEGIN, e));
    MU_TRY(mu_owner_hold(l, e));
    for (int i = 0; i < n; i++)
        MU_TRY(append_one(l, &ev[i], fn, arg, e));
    MU_TRY(mu_event_log_run(l, MU_LOG_COMMIT, e));
    l->renewed_ns = begun_ns;
    return MU_OK;
out:
    l->last = last;
    return mu_event_log_undo(l, rc);
}
