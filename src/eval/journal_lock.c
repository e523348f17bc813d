/* journal_lock.c - who writes to a journal
 *
 * A lock on "<path>.lock" that belongs to the open file (F_OFD_SETLK): it ends with the process, kill -9 included, and
 * works on network file systems that know POSIX locks. The file holds "PID HOST" of the one who took it last. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "eval/journal_int.h"

#define PATH_BYTES_MAX 4096
#define TRY_MS         3000 /* for one that is ending to be gone */
#define WHO_BYTES_MAX  320  /* a host's name has 255 at most */

static int fail_locked(int fd, const char *path, struct mu_err *e)
{
    char who[WHO_BYTES_MAX], host[WHO_BYTES_MAX] = "an unknown host";
    int pid = 0;
    ssize_t n = pread(fd, who, sizeof who - 1, 0);
    who[n > 0 ? n : 0] = '\0';
    if (sscanf(who, "%d %319s", &pid, host) < 1)
        return mu_fail(e, MU_EPEER, "%s is in use by another process: wait for it, or name another folder", path);
    return mu_fail(e, MU_EPEER, "%s is in use by process %d on %s: wait for it, stop it, or name another folder", path,
                   pid, host);
}

/* Only for the sentence of others, so failing to write it is no failure. */
static void write_who(int fd)
{
    char who[WHO_BYTES_MAX], host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !host[0])
        snprintf(host, sizeof host, "?");
    int n = snprintf(who, sizeof who, "%d %s\n", (int)getpid(), host);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, who, (size_t)n, 0) != n)
        return;
}

int mu_journal_lock_take(struct mu_journal_lock *l, const char *path, struct mu_err *e)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char name[PATH_BYTES_MAX];

    l->fd = -1;
    if (snprintf(name, sizeof name, "%s.lock", path) >= (int)sizeof name)
        return mu_fail(e, MU_ELIMIT, "the path of the journal has more than %d bytes", PATH_BYTES_MAX - 6);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return mu_fail_errno(e, errno, "make", name);
    bool has_it = fcntl(fd, F_OFD_SETLK, &all) == 0;
    for (int ms = 0; !has_it && ms < TRY_MS && (errno == EAGAIN || errno == EACCES); ms += 20) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        has_it = fcntl(fd, F_OFD_SETLK, &all) == 0;
    }
    if (!has_it) {
        int rc = errno == EAGAIN || errno == EACCES
                     ? fail_locked(fd, path, e)
                     : mu_fail(e, MU_EIO, "%s cannot be locked: %s; name a folder on a file system with locks", name,
                               strerror(errno));
        close(fd);
        return rc;
    }
    write_who(fd);
    l->fd = fd;
    return MU_OK;
}

void mu_journal_lock_drop(struct mu_journal_lock *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
