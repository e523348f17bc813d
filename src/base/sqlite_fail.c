/* sqlite_fail.c - SQLite's failures as ours: the file, what happened, what to do */
#include <errno.h>
#include <string.h>

#include "base/sqlite.h"

int mu_db_fail_damaged(const struct mu_db *db, struct mu_err *e)
{
    return mu_fail(e, MU_EFORMAT,
                   "%s is damaged: save what can be read with `sqlite3 %s .recover | sqlite3 saved.sqlite` and put "
                   "saved.sqlite in its place, or move it away %s",
                   db->path, db->path, db->kind->anew);
}

/* The system's own error behind rc, 0 for none. SQLite does not remember it for the WAL: errno_now is the best to have.
 */
static int system_error(const struct mu_db *db, int rc, int errno_now)
{
    int os = db->sqlite ? sqlite3_system_errno(db->sqlite) : 0;
    return os == 0 && (rc & 0xff) == SQLITE_IOERR ? errno_now : os;
}

int mu_db_fail(const struct mu_db *db, int rc, struct mu_err *e)
{
    int os = system_error(db, rc, errno);
    const char *noun = db->kind->noun, *said = db->sqlite ? sqlite3_errmsg(db->sqlite) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return mu_fail(e, MU_ENOMEM, "out of memory for the %s %s", noun, db->path);
    case SQLITE_CORRUPT:
        return mu_db_fail_damaged(db, e);
    case SQLITE_NOTADB:
        return mu_fail(e, MU_EFORMAT, "%s is not a %s of muster: name another file", db->path, noun);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mu_fail(e, MU_EPEER, "%s is in use by another process: wait for it, or name another folder", db->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return mu_fail(e, MU_EIO, "%s cannot be written: %s", db->path, said);
    default:
        break;
    }
    if ((rc & 0xff) == SQLITE_FULL || os == ENOSPC || os == EDQUOT || os == EFBIG)
        return mu_fail(e, MU_ENOSPC, "no space for %s: free some and run again, %s", db->path, db->kind->kept);
    return mu_fail(e, MU_EIO, "%s %s: %s%s%s", noun, db->path, said, os ? ": " : "", os ? strerror(os) : "");
}
