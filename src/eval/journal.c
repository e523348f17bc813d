/* journal.c - see journal.h
 *
 * Tables: answer(key, value, sum) and note(name, value); value is JSON, sum its hash together with the key, so that a
 * byte that went bad on disk is found out where SQLite cannot: such an answer counts as not there. */
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sqlite.h"
#include "eval/journal_int.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)

static const struct mu_db_kind journal_kind = {
    .noun = "journal",
    .schema = "CREATE TABLE IF NOT EXISTS answer (key BLOB PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) "
              "WITHOUT ROWID;"
              "CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
    .kept = "answers of earlier commits are kept",
    .anew = "to compute all anew",
    .application_id = 0x4d554a52, /* "MUJR" */
    .version = 1,
};

enum statement { GET, PUT, DROP, NOTE, NOTED, BEGIN, COMMIT, ROLLBACK, STATEMENTS_N };

static const char *const statement_sql[STATEMENTS_N] = {
    [GET] = "SELECT value, sum FROM answer WHERE key = ?1",
    [PUT] = "INSERT OR IGNORE INTO answer (key, value, sum) VALUES (?1, ?2, ?3)",
    [DROP] = "DELETE FROM answer WHERE key = ?1",
    [NOTE] = "INSERT OR REPLACE INTO note (name, value) VALUES (?1, ?2)",
    [NOTED] = "SELECT value FROM note WHERE name = ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct mu_journal {
    struct mu_journal_lock lock;
    struct mu_db db;
    sqlite3_stmt *statement[STATEMENTS_N];
    bool is_open;     /* a transaction */
    int64_t n_before; /* answers when it began */
    struct mu_buf text;
    struct mu_journal_counts counts;
};

/* ---- opening ---- */

static int open_database(struct mu_journal *j, const char *path, struct mu_err *e)
{
    MU_TRY_RETURN(mu_db_open(&j->db, path, &journal_kind, MU_DB_ALONE, true, e));
    MU_TRY_RETURN(mu_db_prepare(&j->db, statement_sql, j->statement, STATEMENTS_N, e));
    return mu_db_ask(&j->db, "SELECT count(*) FROM answer", &j->counts.n_answers, NULL, 0, e);
}

static void close_database(struct mu_journal *j)
{
    mu_db_finalise(j->statement, STATEMENTS_N);
    mu_db_close(&j->db);
}

/* A journal of ours that is damaged is no reason not to begin anew; anything else is. */
static int open_fresh(struct mu_journal *j, const char *path, struct mu_err *e)
{
    int rc = open_database(j, path, e);
    if (rc == MU_EFORMAT && mu_db_is_ours(path, &journal_kind)) {
        close_database(j);
        mu_db_unlink(path);
        rc = open_database(j, path, e);
    }
    if (rc == MU_OK)
        rc = mu_db_exec(&j->db, "BEGIN IMMEDIATE; DELETE FROM answer; DELETE FROM note; COMMIT", e);
    j->counts.n_answers = 0;
    return rc;
}

int mu_journal_open(struct mu_journal **out, const char *path, enum mu_journal_mode mode, struct mu_err *e)
{
    struct mu_journal *j = NULL;
    int rc = MU_OK;

    mu_json_init();
    MU_TRY(MU_NEW(&j, "a journal", e));
    j->lock.fd = -1;
    j->text = (struct mu_buf)MU_BUF_INIT("an answer of the journal", ANSWER_BYTES_MAX);
    MU_TRY(mu_journal_lock_take(&j->lock, path, e));
    MU_TRY(mode == MU_JOURNAL_FRESH ? open_fresh(j, path, e) : open_database(j, path, e));
    *out = j;
    j = NULL;
out:
    mu_journal_close(j);
    return rc;
}

void mu_journal_close(struct mu_journal *j)
{
    if (!j)
        return;
    if (j->db.sqlite)
        mu_journal_commit(j, NULL);
    close_database(j);
    mu_journal_lock_drop(&j->lock);
    mu_buf_fini(&j->text);
    mu_free(j);
}

/* ---- statements ---- */

static int fail(struct mu_journal *j, int rc, struct mu_err *e)
{
    return mu_db_fail(&j->db, rc, e);
}

static int run_statement(struct mu_journal *j, enum statement which, struct mu_err *e)
{
    return mu_db_run(&j->db, j->statement[which], e);
}

/* A failed transaction is undone whole: what earlier commits hold stays. */
static int undo(struct mu_journal *j, int rc)
{
    if (!sqlite3_get_autocommit(j->db.sqlite))
        run_statement(j, ROLLBACK, NULL);
    j->is_open = false;
    j->counts.n_answers = j->n_before;
    return rc;
}

static int begin(struct mu_journal *j, struct mu_err *e)
{
    if (j->is_open)
        return MU_OK;
    MU_TRY_RETURN(run_statement(j, BEGIN, e));
    j->is_open = true;
    j->n_before = j->counts.n_answers;
    return MU_OK;
}

int mu_journal_commit(struct mu_journal *j, struct mu_err *e)
{
    if (!j->is_open)
        return MU_OK;
    int rc = run_statement(j, COMMIT, e);
    if (rc != MU_OK)
        return undo(j, rc);
    j->is_open = false;
    j->counts.n_commits++;
    return MU_OK;
}

/* ---- answers ---- */

static int64_t sum_of(const struct mu_key *key, const char *text, size_t n)
{
    return (int64_t)mu_hash64(text, n, mu_hash64(key->b, sizeof key->b, 0));
}

/* An answer whose bytes are not those that were put: as if it were not there, so that it is computed again. */
static int drop_damaged(struct mu_journal *j, const struct mu_key *key, struct mu_err *e)
{
    mu_log(MU_LOG_WARN, "%s: an answer has changed on disk since it was written; it is computed again", j->db.path);
    MU_TRY_RETURN(begin(j, e));
    int rc = mu_db_bind_bytes(j->statement[DROP], 1, key->b, sizeof key->b);
    if (rc != SQLITE_OK)
        return undo(j, fail(j, rc, e));
    rc = run_statement(j, DROP, e);
    if (rc != MU_OK)
        return undo(j, rc);
    j->counts.n_answers--;
    return MU_OK;
}

static int read_answer(struct mu_journal *j, const struct mu_key *key, json_t **answer, bool *is_damaged,
                       struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[GET];
    const char *p = (const char *)sqlite3_column_text(s, 0);
    struct mu_str text = {p, (size_t)sqlite3_column_bytes(s, 0)};

    if (!p)
        return fail(j, sqlite3_errcode(j->db.sqlite) == SQLITE_NOMEM ? SQLITE_NOMEM : SQLITE_CORRUPT, e);
    *is_damaged = sum_of(key, text.p, text.n) != sqlite3_column_int64(s, 1);
    if (*is_damaged)
        return MU_OK;
    int rc = mu_json_parse(answer, text, j->db.path, e);
    *is_damaged = rc != MU_OK && rc != MU_ENOMEM;
    j->counts.n_hits += rc == MU_OK;
    return *is_damaged ? MU_OK : rc;
}

int mu_journal_get(struct mu_journal *j, const struct mu_key *key, json_t **answer, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[GET];
    bool is_damaged = false;

    *answer = NULL;
    int result = MU_OK, rc = mu_db_bind_bytes(s, 1, key->b, sizeof key->b);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        result = read_answer(j, key, answer, &is_damaged, e);
    else if (rc != SQLITE_DONE)
        result = fail(j, rc, e);
    mu_db_reset(s);
    return is_damaged ? drop_damaged(j, key, e) : result;
}

int mu_journal_put(struct mu_journal *j, const struct mu_key *key, const json_t *answer, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[PUT];

    mu_buf_clear(&j->text);
    MU_TRY_RETURN(mu_json_dump(&j->text, answer, false, e));
    MU_TRY_RETURN(begin(j, e));
    int rc = mu_db_bind_bytes(s, 1, key->b, sizeof key->b);
    if (rc == SQLITE_OK)
        rc = mu_db_bind_text(s, 2, j->text.p, j->text.n);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, 3, sum_of(key, j->text.p, j->text.n));
    if (rc != SQLITE_OK)
        return undo(j, fail(j, rc, e));
    rc = run_statement(j, PUT, e);
    if (rc != MU_OK)
        return undo(j, rc);
    j->counts.n_puts++;
    j->counts.n_answers += sqlite3_changes(j->db.sqlite);
    return MU_OK;
}

/* ---- notes ---- */

int mu_journal_note(struct mu_journal *j, const char *name, const json_t *value, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[NOTE];

    mu_buf_clear(&j->text);
    MU_TRY_RETURN(mu_json_dump(&j->text, value, false, e));
    MU_TRY_RETURN(begin(j, e));
    int rc = mu_db_bind_text(s, 1, name, strlen(name));
    if (rc == SQLITE_OK)
        rc = mu_db_bind_text(s, 2, j->text.p, j->text.n);
    if (rc != SQLITE_OK)
        return undo(j, fail(j, rc, e));
    rc = run_statement(j, NOTE, e);
    return rc == MU_OK ? MU_OK : undo(j, rc);
}

int mu_journal_noted(struct mu_journal *j, const char *name, json_t **value, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[NOTED];

    *value = NULL;
    int result = MU_OK, rc = mu_db_bind_text(s, 1, name, strlen(name));
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        const char *p = (const char *)sqlite3_column_text(s, 0);
        result = p ? mu_json_parse(value, (struct mu_str){p, (size_t)sqlite3_column_bytes(s, 0)}, j->db.path, e)
                   : fail(j, SQLITE_CORRUPT, e);
    } else if (rc != SQLITE_DONE) {
        result = fail(j, rc, e);
    }
    mu_db_reset(s);
    return result;
}

void mu_journal_counts(const struct mu_journal *j, struct mu_journal_counts *out)
{
    *out = j->counts;
}
