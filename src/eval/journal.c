/* journal.c - see journal.h
 *
 * Tables: answer(key, value, sum) and note(name, value); value is JSON, sum its hash together with the key, so that a
 * byte that went bad on disk is found out where SQLite cannot: such an answer counts as not there. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/journal_int.h"

#define APPLICATION_ID   0x4d554a52 /* "MUJR" */
#define VERSION          1
#define CHECK_BYTES_MAX  ((int64_t)256 << 20) /* a larger file is not read whole to open it */
#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define PATH_BYTES_MAX   4096

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
    char *path;
    struct mu_journal_lock lock;
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS_N];
    bool is_open;     /* a transaction */
    int64_t n_before; /* answers when it began */
    struct mu_buf text;
    struct mu_journal_counts counts;
};

static int fail(struct mu_journal *j, int rc, struct mu_err *e)
{
    return mu_journal_fail(j->db, rc, j->path, e);
}

/* ---- opening ---- */

static int run_sql(struct mu_journal *j, const char *sql, struct mu_err *e)
{
    int rc = sqlite3_exec(j->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? MU_OK : fail(j, rc, e);
}

/* The one number or text that sql yields. */
static int ask(struct mu_journal *j, const char *sql, int64_t *n, char *text, size_t text_bytes, struct mu_err *e)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(j->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW && n)
        *n = sqlite3_column_int64(s, 0);
    if (rc == SQLITE_ROW && text)
        snprintf(text, text_bytes, "%s", sqlite3_column_text(s, 0) ? (const char *)sqlite3_column_text(s, 0) : "");
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? MU_OK : fail(j, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, e);
}

static int make_tables(struct mu_journal *j, struct mu_err *e)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE;"
             "CREATE TABLE answer (key BLOB PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;"
             "CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
             "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, VERSION);
    int rc = run_sql(j, sql, e);
    if (rc != MU_OK)
        sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* A file that another program made must not be written to, so this comes before anything that writes. */
static int check_owner(struct mu_journal *j, bool *is_new, struct mu_err *e)
{
    int64_t id, version, n_tables;
    MU_TRY_RETURN(ask(j, "PRAGMA application_id", &id, NULL, 0, e));
    MU_TRY_RETURN(ask(j, "PRAGMA user_version", &version, NULL, 0, e));
    MU_TRY_RETURN(ask(j, "SELECT count(*) FROM sqlite_master", &n_tables, NULL, 0, e));
    *is_new = id == 0 && version == 0 && n_tables == 0;
    if (*is_new)
        return MU_OK;
    if (id != APPLICATION_ID)
        return mu_fail(e, MU_EFORMAT, "%s is a database of another program: name another file", j->path);
    if (version != VERSION)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s is a journal of version %" PRId64 " and this muster knows version %d: use the newer muster, "
                       "or name another folder",
                       j->path, version, VERSION);
    return MU_OK;
}

static int check_whole(struct mu_journal *j, struct mu_err *e)
{
    struct stat st;
    char said[8];
    if (stat(j->path, &st) == 0 && st.st_size > CHECK_BYTES_MAX)
        return MU_OK;
    MU_TRY_RETURN(ask(j, "PRAGMA quick_check(1)", NULL, said, sizeof said, e));
    return strcmp(said, "ok") == 0 ? MU_OK : fail(j, SQLITE_CORRUPT, e);
}

static int prepare(struct mu_journal *j, struct mu_err *e)
{
    for (int i = 0; i < STATEMENTS_N; i++) {
        int rc = sqlite3_prepare_v3(j->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &j->statement[i], NULL);
        if (rc == SQLITE_ERROR)
            rc = SQLITE_CORRUPT; /* a table is missing or another one */
        if (rc != SQLITE_OK)
            return fail(j, rc, e);
    }
    return MU_OK;
}

/* The folder's entry for a new file must survive too. */
static void sync_folder(const char *path)
{
    char folder[PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder)
        return;
    memcpy(folder, path, n);
    folder[n] = '\0';
    int fd = open(n ? folder : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* some file systems cannot, and then need not */
    close(fd);
}

static int open_database(struct mu_journal *j, struct mu_err *e)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    bool is_new;
    int rc = sqlite3_open_v2(j->path, &j->db, flags, NULL);
    if (rc != SQLITE_OK)
        return fail(j, rc, e);
    sqlite3_extended_result_codes(j->db, 1);
    sqlite3_busy_timeout(j->db, 1000);
    sqlite3_db_config(j->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(j->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* Exclusive before the first look: WAL then needs no shared memory and works on network file systems. */
    MU_TRY_RETURN(run_sql(j, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY", e));
    MU_TRY_RETURN(check_owner(j, &is_new, e));
    MU_TRY_RETURN(run_sql(j, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", e));
    if (is_new) {
        MU_TRY_RETURN(make_tables(j, e));
        sync_folder(j->path);
    } else {
        MU_TRY_RETURN(check_whole(j, e));
    }
    MU_TRY_RETURN(prepare(j, e));
    return ask(j, "SELECT count(*) FROM answer", &j->counts.n_answers, NULL, 0, e);
}

/* ---- beginning anew ---- */

/* Whether the file's first bytes say it is ours, whatever the rest looks like. */
static bool is_ours(const char *path)
{
    static const char magic[] = "SQLite format 3";
    unsigned char head[72];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = pread(fd, head, sizeof head, 0);
    close(fd);
    if (n != (ssize_t)sizeof head)
        return false;
    uint32_t id = (uint32_t)head[68] << 24 | (uint32_t)head[69] << 16 | (uint32_t)head[70] << 8 | head[71];
    return memcmp(head, magic, sizeof magic) == 0 && id == APPLICATION_ID;
}

static void close_database(struct mu_journal *j)
{
    for (int i = 0; i < STATEMENTS_N; i++) {
        sqlite3_finalize(j->statement[i]);
        j->statement[i] = NULL;
    }
    sqlite3_close(j->db);
    j->db = NULL;
}

static void unlink_all(const char *path)
{
    static const char *const ends[] = {"-wal", "-shm", ""};
    char name[PATH_BYTES_MAX];
    for (size_t i = 0; i < MU_COUNT(ends); i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

/* A journal of ours that is damaged is no reason not to begin anew; anything else is. */
static int open_fresh(struct mu_journal *j, struct mu_err *e)
{
    int rc = open_database(j, e);
    if (rc == MU_EFORMAT && is_ours(j->path)) {
        close_database(j);
        unlink_all(j->path);
        rc = open_database(j, e);
    }
    if (rc == MU_OK)
        rc = run_sql(j, "BEGIN IMMEDIATE; DELETE FROM answer; DELETE FROM note; COMMIT", e);
    j->counts.n_answers = 0;
    return rc;
}

int mu_journal_open(struct mu_journal **out, const char *path, enum mu_journal_mode mode, struct mu_err *e)
{
    struct mu_journal *j = NULL;
    int rc = MU_OK;

    mu_journal_sqlite_init();
    mu_json_init();
    if (strlen(path) + sizeof ".lock" > PATH_BYTES_MAX)
        return mu_fail(e, MU_ELIMIT, "the path of the journal has more than %d bytes", PATH_BYTES_MAX - 8);
    MU_TRY(MU_NEW(&j, "a journal", e));
    j->lock.fd = -1;
    j->text = (struct mu_buf)MU_BUF_INIT("an answer of the journal", ANSWER_BYTES_MAX);
    j->path = mu_strdup(path);
    if (!j->path)
        MU_TRY(mu_fail_nomem(e, strlen(path) + 1, "a path"));
    MU_TRY(mu_journal_lock_take(&j->lock, path, e));
    MU_TRY(mode == MU_JOURNAL_FRESH ? open_fresh(j, e) : open_database(j, e));
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
    if (j->db)
        mu_journal_commit(j, NULL);
    close_database(j);
    mu_journal_lock_drop(&j->lock);
    mu_buf_fini(&j->text);
    mu_free(j->path);
    mu_free(j);
}

/* ---- statements ---- */

static int bind_bytes(sqlite3_stmt *s, int at, const void *p, size_t n)
{
    return sqlite3_bind_blob64(s, at, p, n, SQLITE_STATIC);
}

static int bind_text(sqlite3_stmt *s, int at, const char *p, size_t n)
{
    return sqlite3_bind_text64(s, at, p, n, SQLITE_STATIC, SQLITE_UTF8);
}

static void reset(sqlite3_stmt *s)
{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

/* Step a statement that yields no rows, and make it ready for the next time. */
static int run_statement(struct mu_journal *j, enum statement which, struct mu_err *e)
{
    int rc = sqlite3_step(j->statement[which]);
    int result = rc == SQLITE_DONE ? MU_OK : fail(j, rc, e);
    reset(j->statement[which]);
    return result;
}

/* A failed transaction is undone whole: what earlier commits hold stays. */
static int undo(struct mu_journal *j, int rc)
{
    if (!sqlite3_get_autocommit(j->db))
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
    mu_log(MU_LOG_WARN, "%s: an answer has changed on disk since it was written; it is computed again", j->path);
    MU_TRY_RETURN(begin(j, e));
    int rc = bind_bytes(j->statement[DROP], 1, key->b, sizeof key->b);
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
        return fail(j, sqlite3_errcode(j->db) == SQLITE_NOMEM ? SQLITE_NOMEM : SQLITE_CORRUPT, e);
    *is_damaged = sum_of(key, text.p, text.n) != sqlite3_column_int64(s, 1);
    if (*is_damaged)
        return MU_OK;
    int rc = mu_json_parse(answer, text, j->path, e);
    *is_damaged = rc != MU_OK && rc != MU_ENOMEM;
    j->counts.n_hits += rc == MU_OK;
    return *is_damaged ? MU_OK : rc;
}

int mu_journal_get(struct mu_journal *j, const struct mu_key *key, json_t **answer, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[GET];
    bool is_damaged = false;

    *answer = NULL;
    int result = MU_OK, rc = bind_bytes(s, 1, key->b, sizeof key->b);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        result = read_answer(j, key, answer, &is_damaged, e);
    else if (rc != SQLITE_DONE)
        result = fail(j, rc, e);
    reset(s);
    return is_damaged ? drop_damaged(j, key, e) : result;
}

int mu_journal_put(struct mu_journal *j, const struct mu_key *key, const json_t *answer, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[PUT];

    mu_buf_clear(&j->text);
    MU_TRY_RETURN(mu_json_dump(&j->text, answer, false, e));
    MU_TRY_RETURN(begin(j, e));
    int rc = bind_bytes(s, 1, key->b, sizeof key->b);
    if (rc == SQLITE_OK)
        rc = bind_text(s, 2, j->text.p, j->text.n);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, 3, sum_of(key, j->text.p, j->text.n));
    if (rc != SQLITE_OK)
        return undo(j, fail(j, rc, e));
    rc = run_statement(j, PUT, e);
    if (rc != MU_OK)
        return undo(j, rc);
    j->counts.n_puts++;
    j->counts.n_answers += sqlite3_changes(j->db);
    return MU_OK;
}

/* ---- notes ---- */

int mu_journal_note(struct mu_journal *j, const char *name, const json_t *value, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[NOTE];

    mu_buf_clear(&j->text);
    MU_TRY_RETURN(mu_json_dump(&j->text, value, false, e));
    MU_TRY_RETURN(begin(j, e));
    int rc = bind_text(s, 1, name, strlen(name));
    if (rc == SQLITE_OK)
        rc = bind_text(s, 2, j->text.p, j->text.n);
    if (rc != SQLITE_OK)
        return undo(j, fail(j, rc, e));
    rc = run_statement(j, NOTE, e);
    return rc == MU_OK ? MU_OK : undo(j, rc);
}

int mu_journal_noted(struct mu_journal *j, const char *name, json_t **value, struct mu_err *e)
{
    sqlite3_stmt *s = j->statement[NOTED];

    *value = NULL;
    int result = MU_OK, rc = bind_text(s, 1, name, strlen(name));
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        const char *p = (const char *)sqlite3_column_text(s, 0);
        result = p ? mu_json_parse(value, (struct mu_str){p, (size_t)sqlite3_column_bytes(s, 0)}, j->path, e)
                   : fail(j, SQLITE_CORRUPT, e);
    } else if (rc != SQLITE_DONE) {
        result = fail(j, rc, e);
    }
    reset(s);
    return result;
}

void mu_journal_counts(const struct mu_journal *j, struct mu_journal_counts *out)
{
    *out = j->counts;
}
