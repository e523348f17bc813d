/* sqlite.c - see sqlite.h */
#include "base/sqlite.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/sqlite_int.h"

#define CHECK_BYTES_MAX ((int64_t)256 << 20) /* a larger file is not read whole to open it */
#define ALONE_BUSY_MS   1000
#define SHARED_BUSY_MS  10000 /* readers of a rollback journal hold a writer up as long as they read */
#define BUSY_SLICE_US   5000

/* Not in linux/magic.h: zfs, bcachefs. */
#define MAGIC_ZFS      0x2fc12fc1
#define MAGIC_BCACHEFS 0xca451a4e

/* ---- asking ---- */

int mu_db_exec(struct mu_db *db, const char *sql, struct mu_err *e)
{
    int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? MU_OK : mu_db_fail(db, rc, e);
}

int mu_db_ask(struct mu_db *db, const char *sql, int64_t *n, char *text, size_t text_bytes, struct mu_err *e)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW && n)
        *n = sqlite3_column_int64(s, 0);
    if (rc == SQLITE_ROW && text)
        snprintf(text, text_bytes, "%s", sqlite3_column_text(s, 0) ? (const char *)sqlite3_column_text(s, 0) : "");
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? MU_OK : mu_db_fail(db, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, e);
}

int mu_db_prepare(struct mu_db *db, const char *const *sql, sqlite3_stmt **out, int n, struct mu_err *e)
{
    for (int i = 0; i < n; i++) {
        int rc = sqlite3_prepare_v3(db->sqlite, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);
        if (rc == SQLITE_ERROR)
            rc = SQLITE_CORRUPT; /* a table is missing or another one */
        if (rc != SQLITE_OK)
            return mu_db_fail(db, rc, e);
    }
    return MU_OK;
}

void mu_db_finalise(sqlite3_stmt **s, int n)
{
    for (int i = 0; i < n; i++) {
        sqlite3_finalize(s[i]);
        s[i] = NULL;
    }
}

int mu_db_run(struct mu_db *db, sqlite3_stmt *s, struct mu_err *e)
{
    int rc = sqlite3_step(s);
    int result = rc == SQLITE_DONE ? MU_OK : mu_db_fail(db, rc, e);
    mu_db_reset(s);
    return result;
}

void mu_db_reset(sqlite3_stmt *s)
{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

int mu_db_bind_bytes(sqlite3_stmt *s, int at, const void *p, size_t n)
{
    return sqlite3_bind_blob64(s, at, p, n, SQLITE_STATIC);
}

int mu_db_bind_text(sqlite3_stmt *s, int at, const char *p, size_t n)
{
    return sqlite3_bind_text64(s, at, p, n, SQLITE_STATIC, SQLITE_UTF8);
}

/* ---- files ---- */

/* The folder of a path: "." where it names none. */
static bool folder_of(const char *path, char folder[MU_DB_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= MU_DB_PATH_MAX)
        return false;
    memcpy(folder, path, n);
    folder[n] = '\0';
    if (n == 0)
        strcpy(folder, slash ? "/" : ".");
    return true;
}

/* The folder's entry for a new file must survive too. */
static void sync_folder(const char *path)
{
    char folder[MU_DB_PATH_MAX];
    if (!folder_of(path, folder))
        return;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* some file systems cannot, and then need not */
    close(fd);
}

/* Whether only this machine's processes can have the file open. What is not known to be so is not. */
static bool is_machine_s_own(const char *path)
{
    static const uint64_t own[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
                                   F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, MAGIC_ZFS,         MAGIC_BCACHEFS};
    char folder[MU_DB_PATH_MAX];
    struct statfs fs;
    if (!folder_of(path, folder) || statfs(folder, &fs) != 0)
        return false;
    for (size_t i = 0; i < MU_COUNT(own); i++)
        if ((uint64_t)fs.f_type == own[i])
            return true;
    return false;
}

bool mu_db_is_ours(const char *path, const struct mu_db_kind *kind)
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
    return memcmp(head, magic, sizeof magic) == 0 && id == kind->application_id;
}

void mu_db_unlink(const char *path)
{
    static const char *const ends[] = {"-wal", "-shm", "-journal", ""};
    char name[MU_DB_PATH_MAX];
    for (size_t i = 0; i < MU_COUNT(ends); i++)
        if (snprintf(name, sizeof name, "%s%s", path, ends[i]) < (int)sizeof name)
            unlink(name);
}

/* ---- opening ---- */

/* A file that another program made must not be written to, so this comes before anything that writes. One read
 * transaction: another process may be making the tables. */
static int look_at_owner(struct mu_db *db, int64_t *id, int64_t *version, int64_t *n_tables, struct mu_err *e)
{
    int rc = MU_OK;
    MU_TRY(mu_db_exec(db, "BEGIN", e));
    MU_TRY(mu_db_ask(db, "SELECT count(*) FROM sqlite_master", n_tables, NULL, 0, e));
    MU_TRY(mu_db_ask(db, "PRAGMA application_id", id, NULL, 0, e));
    MU_TRY(mu_db_ask(db, "PRAGMA user_version", version, NULL, 0, e));
out:
    sqlite3_exec(db->sqlite, "COMMIT", NULL, NULL, NULL);
    return rc;
}

static int check_owner(struct mu_db *db, bool *is_new, struct mu_err *e)
{
    int64_t id = 0, version = 0, n_tables = 0;
    MU_TRY_RETURN(look_at_owner(db, &id, &version, &n_tables, e));
    *is_new = id == 0 && version == 0 && n_tables == 0;
    if (*is_new)
        return MU_OK;
    if (id != db->kind->application_id)
        return mu_fail(e, MU_EFORMAT, "%s is a database of another program: name another file", db->path);
    if (version != db->kind->version)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s is a %s of version %" PRId64 " and this muster knows version %d: use the newer muster, "
                       "or name another folder",
                       db->path, db->kind->noun, version, db->kind->version);
    return MU_OK;
}

static int make_tables(struct mu_db *db, struct mu_err *e)
{
    char sql[2048];
    int n =
        snprintf(sql, sizeof sql, "BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                 db->kind->schema, (int)db->kind->application_id, db->kind->version);
    if (n >= (int)sizeof sql)
        return mu_fail(e, MU_EINTERNAL, "the tables of a %s take more than %zu bytes to tell", db->kind->noun,
                       sizeof sql);
    int rc = mu_db_exec(db, sql, e);
    if (rc != MU_OK)
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* Changing the mode may meet another process that is opening the file, and SQLite does not wait for that one. */
static int set_mode(struct mu_db *db, const char *sql, struct mu_err *e)
{
    int rc, left = SHARED_BUSY_MS * 1000 / BUSY_SLICE_US;
    do {
        rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    } while ((rc & 0xff) == SQLITE_BUSY && left-- > 0 && usleep(BUSY_SLICE_US) == 0);
    return rc == SQLITE_OK ? MU_OK : mu_db_fail(db, rc, e);
}

static int check_whole(struct mu_db *db, struct mu_err *e)
{
    struct stat st;
    char said[8];
    if (stat(db->path, &st) == 0 && st.st_size > CHECK_BYTES_MAX)
        return MU_OK;
    MU_TRY_RETURN(mu_db_ask(db, "PRAGMA quick_check(1)", NULL, said, sizeof said, e));
    return strcmp(said, "ok") == 0 ? MU_OK : mu_db_fail_damaged(db, e);
}

/* "file:/a%20path?immutable=1". */
static bool name_immutable(const char *path, char *out, size_t bytes)
{
    size_t n = (size_t)snprintf(out, bytes, "file:");
    for (; *path && n + sizeof "%20?immutable=1" < bytes; path++) {
        bool is_plain = isalnum((unsigned char)*path) || strchr("/._-", *path);
        n += (size_t)snprintf(out + n, bytes - n, is_plain ? "%c" : "%%%02X", (unsigned char)*path);
    }
    snprintf(out + n, bytes - n, "?immutable=1");
    return !*path;
}

/* By the file's header (SQLite file format, 1.3: read version at byte 19). */
static bool is_in_wal_mode(const char *path)
{
    unsigned char head[20] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_read = fd >= 0 && pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head;
    if (fd >= 0)
        close(fd);
    return is_read && head[19] == 2;
}

/* Whether the file is in WAL mode, nobody has it open, and the folder is not ours to write: SQLite then cannot make the
 * shared memory that it reads such a file with, and nobody is there to share it. */
static bool is_at_rest(const char *path)
{
    char wal[MU_DB_PATH_MAX + 8], folder[MU_DB_PATH_MAX];
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    bool may_write = faccessat(AT_FDCWD, slash ? folder : ".", W_OK, AT_EACCESS) == 0 &&
                     faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
    return !may_write && access(wal, F_OK) != 0 && is_in_wal_mode(path);
}

static int open_handle(struct mu_db *db, enum mu_db_access access)
{
    char name[3 * MU_DB_PATH_MAX + 32];
    if (access != MU_DB_READ)
        return sqlite3_open_v2(db->path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               NULL);
    if (is_at_rest(db->path) && name_immutable(db->path, name, sizeof name))
        return sqlite3_open_v2(name, &db->sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    /* SQLite itself opens for reading only what may not be written. */
    return sqlite3_open_v2(db->path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
}

static int open_file(struct mu_db *db, enum mu_db_access access, struct mu_err *e)
{
    int rc = open_handle(db, access);
    if (rc != SQLITE_OK)
        return mu_db_fail(db, rc, e);
    sqlite3_extended_result_codes(db->sqlite, 1);
    sqlite3_busy_timeout(db->sqlite, access == MU_DB_ALONE ? ALONE_BUSY_MS : SHARED_BUSY_MS);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    MU_TRY_RETURN(mu_db_exec(db, "PRAGMA temp_store = MEMORY", e));
    /* Exclusive before the first look: WAL then needs no shared memory and works on network file systems. */
    return access == MU_DB_ALONE ? mu_db_exec(db, "PRAGMA locking_mode = EXCLUSIVE", e) : MU_OK;
}

int mu_db_open(struct mu_db *db, const char *path, const struct mu_db_kind *kind, enum mu_db_access access,
               bool is_checked, struct mu_err *e)
{
    bool is_new, is_wal = access == MU_DB_ALONE || (access == MU_DB_SHARED && is_machine_s_own(path));

    mu_sqlite_init();
    *db = (struct mu_db){.kind = kind};
    if (strlen(path) + sizeof "-journal" > sizeof db->path)
        return mu_fail(e, MU_ELIMIT, "the path of the %s has more than %zu bytes", kind->noun,
                       sizeof db->path - sizeof "-journal");
    strcpy(db->path, path);
    MU_TRY_RETURN(open_file(db, access, e));
    MU_TRY_RETURN(check_owner(db, &is_new, e));
    if (access == MU_DB_READ && is_new)
        return mu_fail(e, MU_ENOENT, "%s is empty: its %s has not begun", db->path, db->kind->noun);
    if (access == MU_DB_READ)
        return is_checked ? check_whole(db, e) : MU_OK;
    /* FULL syncs every commit in WAL, and the emptied journal in TRUNCATE, so that it cannot come back. */
    MU_TRY_RETURN(set_mode(db, is_wal ? "PRAGMA journal_mode = WAL" : "PRAGMA journal_mode = TRUNCATE", e));
    MU_TRY_RETURN(mu_db_exec(db, "PRAGMA synchronous = FULL", e));
    if (is_new) {
        MU_TRY_RETURN(make_tables(db, e));
        sync_folder(db->path);
        return MU_OK;
    }
    return is_checked ? check_whole(db, e) : MU_OK;
}

void mu_db_close(struct mu_db *db)
{
    sqlite3_close(db->sqlite);
    db->sqlite = NULL;
}
