/* launch_sweep.c - what Open MPI 4.1 leaves behind when mpirun is killed, by its names
 *
 * mpirun sweeps up itself otherwise, also after ranks that were killed. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "comm/launch_int.h"

#define DEPTH_MAX 8 /* Open MPI's folders are four deep */

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

void mu_launch_sweep(pid_t mpirun, uint32_t job, int ranks)
{
    static const char *const shared[] = {"OMPI_MCA_btl_vader_backing_directory", NULL};
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
