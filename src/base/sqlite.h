/* sqlite.h - the one way to keep a file of ours in SQLite
 *
 * On our heap, with a mark that tells our files from those of other programs, a version, and sentences that name the
 * file and a way out. What is committed survives kill -9 and power loss. Extended result codes are on. */
#ifndef MU_BASE_SQLITE_H
#define MU_BASE_SQLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include <muster/err.h>

#define MU_DB_PATH_MAX 4096 /* bytes, with what SQLite appends */

struct mu_db_kind {
    const char *noun;   /* "journal" */
    const char *schema; /* makes the tables where they are not; each statement ends with ';' */
    const char *kept;   /* what a full disk leaves: "answers of earlier commits are kept" */
    const char *anew;   /* what moving a damaged file away is good for: "to compute all anew" */
    uint32_t application_id;
    int version;
};

enum mu_db_access {
    MU_DB_ALONE,   /* one process at a time: WAL without shared memory, good on any file system with locks */
    MU_DB_SHARED,  /* several: WAL where the file system is this machine's own, else as the next */
    MU_DB_READ,    /* as SHARED, for who only looks: makes no file, leaves its mode as it is, and does where the file or
                    * its folder may not be written. MU_ENOENT: nothing is in it yet */
    MU_DB_ROLLBACK /* several, on any nodes: a rollback journal, because WAL's shared memory is one machine's */
};

struct mu_db {
    sqlite3 *sqlite; /* NULL: closed */
    const struct mu_db_kind *kind;
    char path[MU_DB_PATH_MAX];
};

/* Creates the file when there is none. MU_EFORMAT: another program's, or damaged; MU_EUNSUPPORTED: of another version;
 * MU_EPEER: another process holds it. Files up to 256 MiB are checked whole when is_checked. After a failure the
 * caller closes. */
int mu_db_open(struct mu_db *db, const char *path, const struct mu_db_kind *kind, enum mu_db_access access,
               bool is_checked, struct mu_err *e);
void mu_db_close(struct mu_db *db); /* statements are finalised before; closed twice is fine */

/* rc of a call of SQLite's as a code and a sentence about the file. */
int mu_db_fail(const struct mu_db *db, int rc, struct mu_err *e);
int mu_db_fail_damaged(const struct mu_db *db, struct mu_err *e);

int mu_db_exec(struct mu_db *db, const char *sql, struct mu_err *e);
/* The one number, or text, that sql yields; either place may be NULL. */
int mu_db_ask(struct mu_db *db, const char *sql, int64_t *n, char *text, size_t text_bytes, struct mu_err *e);

/* Statements that are kept: all of them or an error, after which those that were made are still to be finalised. */
int mu_db_prepare(struct mu_db *db, const char *const *sql, sqlite3_stmt **out, int n, struct mu_err *e);
void mu_db_finalise(sqlite3_stmt **s, int n); /* and NULL */

/* Step one that yields no rows, and make it ready for the next time. */
int mu_db_run(struct mu_db *db, sqlite3_stmt *s, struct mu_err *e);
void mu_db_reset(sqlite3_stmt *s);
int mu_db_bind_bytes(sqlite3_stmt *s, int at, const void *p, size_t n); /* borrowed until the reset */
int mu_db_bind_text(sqlite3_stmt *s, int at, const char *p, size_t n);  /* the same */

/* ---- files as such ---- */

/* Whether the file's first bytes say it is of this kind, whatever the rest looks like. */
bool mu_db_is_ours(const char *path, const struct mu_db_kind *kind);
void mu_db_unlink(const char *path); /* with what SQLite keeps beside it */

#endif
