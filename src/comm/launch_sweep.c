/* launch_sweep.c - Open MPI 4.1's files, by its names: room for them before, and what a killed mpirun leaves behind
 *
 * mpirun sweeps up itself otherwise, also after ranks that were killed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "comm/launch_int.h"

#define DEPTH_MAX     8                         /* Open MPI's folders are four deep */
#define SEGMENT_BYTES (((uint64_t)4 << 20) + 8) /* of a rank's shared memory; what is used of it is less */

/* No link is followed. */
static void remove_tree(int at, const char *name, int depth)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 && depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    for (struct dirent *f; d && (f = readdir(d));)
        if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0 && unlinkat(fd, f->d_name, 0) != 0)
            remove_tree(fd, f->d_name, depth + 1);
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

/* The first of these variables that is set. */
static const char *folder(const char *const *names, const char *otherwise)
{
    for (; *names; names++) {
        const char *path = getenv(*names);
        if (path && *path)
            return path;
    }
    return otherwise;
}

static const char *const shared[] = {"OMPI_MCA_btl_vader_backing_directory", NULL};

int mu_launch_check_room(struct mu_err *e)
{
    const char *path = folder(shared, "/dev/shm");
    struct statvfs s;
    if (statvfs(path, &s) != 0)
        return mu_fail(e, MU_EIO, "%s, where ranks share memory: %s", path, strerror(errno));
    uint64_t room = (uint64_t)s.f_bavail * s.f_frsize;
    if (room >= SEGMENT_BYTES)
        return MU_OK;
    return mu_fail(e, MU_ENOSPC,
                   "%s has room for %llu bytes: each rank needs %llu there to share memory with the others", path,
                   (unsigned long long)room, (unsigned long long)SEGMENT_BYTES);
}

void mu_launch_sweep(pid_t mpirun, uint32_t job, int ranks)
{
    static const char *const temporary[] = {"TMPDIR", "TEMP", "TMP", NULL};
    char host[256] = "", path[PATH_MAX];
    if (gethostname(host, sizeof host - 1) != 0)
        return;
    host[strcspn(host, ".")] = '\0';
    for (int r = 0; r < ranks && job; r++) {
        (void)snprintf(path, sizeof path, "%s/vader_segment.%s.%u.%x.%d", folder(shared, "/dev/shm"), host,
                       (unsigned)geteuid(), job, r);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/ompi.%s.%u/pid.%d", folder(temporary, "/tmp"), host, (unsigned)geteuid(),
                   (int)mpirun);
    remove_tree(AT_FDCWD, path, 0);
    *strrchr(path, '/') = '\0';
    (void)rmdir(path); /* when no other job uses it */
}
