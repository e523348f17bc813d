/* mpi_shared.c - one block of memory for the ranks of a node
 *
 * A memfd of the group's first rank, which the others open through /proc: it has no name, so nothing stays behind
 * whoever is killed when, and it is not bound by the size of /dev/shm. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/mpi/mpi_int.h"

/* What the first rank tells; fd -1: it has none. */
struct offer {
    int pid, fd;
    uint64_t device, inode;
};

static int make(struct offer *o, size_t bytes, struct mu_err *e)
{
    struct stat s;
    int fd = memfd_create("muster-shared", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0 || fstat(fd, &s) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return mu_fail(e, MU_ENOMEM, "%zu bytes of shared memory: %s", bytes, strerror(why));
    }
    *o = (struct offer){.pid = getpid(), .fd = fd, .device = s.st_dev, .inode = s.st_ino};
    return MU_OK;
}

static int take(const struct offer *o, int *fd, struct mu_err *e)
{
    char path[64];
    struct stat s;
    if (o->fd < 0)
        return mu_fail(e, MU_ENOMEM, "process %d, which was to make the shared memory, has none", o->pid);
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", o->pid, o->fd);
    *fd = open(path, O_RDWR | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &s) != 0)
        return mu_fail(e, MU_EUNSUPPORTED, "memory shared with process %d: opening %s: %s", o->pid, path,
                       strerror(errno));
    if (s.st_dev != o->device || s.st_ino != o->inode)
        return mu_fail(e, MU_EUNSUPPORTED, "memory shared with process %d: %s is something else here", o->pid, path);
    return MU_OK;
}

/* Room for the block at a multiple of a large page, as its bytes lie in the file: else it could have none. The rest of
 * the room is given up. */
static void *find_room(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (bytes + page - 1) / page * page;
    char *at = mmap(NULL, used + MU_LARGE_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    size_t skip = (MU_LARGE_PAGE_BYTES - (uintptr_t)at % MU_LARGE_PAGE_BYTES) % MU_LARGE_PAGE_BYTES;
    if (skip > 0)
        (void)munmap(at, skip);
    (void)munmap(at + skip + used, MU_LARGE_PAGE_BYTES - skip); /* never empty */
    return at + skip;
}

static int map(int fd, size_t bytes, void **p, struct mu_err *e)
{
    void *room = bytes >= MU_LARGE_PAGE_BYTES ? find_room(bytes) : NULL;
    void *at = mmap(room, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (room ? MAP_FIXED : 0), fd, 0);
    if (at == MAP_FAILED) {
        int why = errno;
        if (room)
            (void)munmap(room, bytes);
        return mu_fail(e, MU_ENOMEM, "mapping %zu bytes of shared memory: %s", bytes, strerror(why));
    }
    *p = at;
    return MU_OK;
}

/* One rank's failure is everybody's, so that all or none have the block. The reduction also keeps the first rank's
 * descriptor open until all have theirs. */
static int agree(struct mu_comm *c, int mine, struct mu_err *e)
{
    int64_t worst = mine;
    MU_TRY_RETURN(mu_comm_in_all_reduce(c, &worst, 1, MU_REDUCE_MAX_I64, e));
    if (mine == MU_OK && worst != MU_OK)
        return mu_fail(e, (int)worst, "another rank of group %s cannot share memory", c->name);
    return mine;
}

int mu_mpi_shared_open(struct mu_comm *c, size_t bytes, void **p, void **own, struct mu_err *e)
{
    struct offer o = {.pid = getpid(), .fd = -1};
    int fd = -1, mine = MU_OK, rc = MU_OK;
    bytes = MU_MAX(bytes, (size_t)1);
    *own = NULL;
    *p = NULL;
    if (c->rank == 0) {
        mine = make(&o, bytes, e);
        fd = o.fd;
    }
    MU_TRY(mu_comm_in_broadcast(c, &o, sizeof o, 0, c->rank == 0 && mine != MU_OK ? NULL : e));
    if (c->rank != 0)
        mine = take(&o, &fd, e);
    if (mine == MU_OK)
        mine = map(fd, bytes, p, e);
    rc = agree(c, mine, e);
out:
    if (fd >= 0)
        close(fd);
    if (rc != MU_OK)
        mu_mpi_shared_close(c->world, *p, bytes, NULL);
    return rc;
}

void mu_mpi_shared_close(struct mu_comm_world *w, void *p, size_t bytes, void *own)
{
    (void)w, (void)own;
    if (p)
        (void)munmap(p, MU_MAX(bytes, (size_t)1));
}

void mu_mpi_shared_seal(struct mu_comm_world *w, void *p, size_t bytes)
{
    (void)w;
    (void)mprotect(p, MU_MAX(bytes, (size_t)1), PROT_READ); /* a guard: without it nothing is wrong yet */
}
