/* journal_sqlite.c - SQLite on our heap, and its failures as ours */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/journal_int.h"

/* SQLite asks for the size of its blocks: it is kept before them. */
#define HEAD_BYTES MU_MEM_ALIGN

static void *heap_alloc(int n)
{
    char *p = n > 0 ? mu_alloc((size_t)n + HEAD_BYTES) : NULL;
    if (!p)
        return NULL;
    memcpy(p, &n, sizeof n);
    return p + HEAD_BYTES;
}

static void heap_free(void *p)
{
    if (p)
        mu_free((char *)p - HEAD_BYTES);
}

static int heap_size(void *p)
{
    int n = 0;
    if (p)
        memcpy(&n, (char *)p - HEAD_BYTES, sizeof n);
    return n;
}

static void *heap_realloc(void *p, int n)
{
    char *q = mu_realloc((char *)p - HEAD_BYTES, (size_t)n + HEAD_BYTES);
    if (!q)
        return NULL;
    memcpy(q, &n, sizeof n);
    return q + HEAD_BYTES;
}

static int heap_round(int n)
{
    return n > INT_MAX - 8 ? n : (n + 7) / 8 * 8;
}

static int heap_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void heap_shutdown(void *arg)
{
    (void)arg;
}

static void init_once(void)
{
    static sqlite3_mem_methods heap = {heap_alloc, heap_free, heap_realloc,  heap_size,
                                       heap_round, heap_init, heap_shutdown, NULL};
    sqlite3_config(SQLITE_CONFIG_MALLOC, &heap); /* refused when the program has used SQLite before us: its own heap */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

void mu_journal_sqlite_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}

static int fail_damaged(const char *path, struct mu_err *e)
{
    return mu_fail(e, MU_EFORMAT,
                   "%s is damaged: save what can be read with `sqlite3 %s .recover | sqlite3 saved.sqlite` and put "
                   "saved.sqlite in its place, or move it away to compute all anew",
                   path, path);
}

int mu_journal_fail(sqlite3 *db, int rc, const char *path, struct mu_err *e)
{
    int os_now = errno; /* SQLite does not remember it for the WAL */
    int os = db ? sqlite3_system_errno(db) : 0;
    if (os == 0 && (rc & 0xff) == SQLITE_IOERR)
        os = os_now;
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return mu_fail(e, MU_ENOMEM, "out of memory for the journal %s", path);
    case SQLITE_CORRUPT:
        return fail_damaged(path, e);
    case SQLITE_NOTADB:
        return mu_fail(e, MU_EFORMAT, "%s is not a journal of muster: name another file", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mu_fail(e, MU_EPEER, "%s is in use by another process: wait for it, or name another folder", path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return mu_fail(e, MU_EIO, "%s cannot be written: %s", path, db ? sqlite3_errmsg(db) : "no permission");
    default:
        break;
    }
    if ((rc & 0xff) == SQLITE_FULL || os == ENOSPC || os == EDQUOT || os == EFBIG)
        return mu_fail(e, MU_ENOSPC, "no space for %s: free some and run again, answers of earlier commits are kept",
                       path);
    return mu_fail(e, MU_EIO, "journal %s: %s%s%s", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), os ? ": " : "",
                   os ? strerror(os) : "");
}
