/* map_copy.c - see map_copy.h
 *
 * A load from a page that the file no longer has raises SIGBUS. Looking at the file's size before each piece leaves a
 * gap in which it can shrink, and a signal handler is the process's, not a library's. So the kernel does the loads:
 * process_vm_readv() on ourselves copies straight from the mapping into dst and answers EFAULT where a page is missing.
 * Whatever it does not copy (also where a sandbox forbids the call) is read with pread, which knows the reason. */
#include "fmt/map_copy.h"

#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"

#define COPY_ONCE_MAX ((size_t)1 << 30) /* the kernel moves at most 2 GiB - 4 KiB a call */

int mu_map_copy(void *dst, const struct mu_map *m, const struct mu_file *f, uint64_t offset, size_t n, struct mu_err *e)
{
    char *to = dst;
    while (n > 0 && offset < m->n) {
        size_t piece = MU_MIN(MU_MIN(n, COPY_ONCE_MAX), m->n - (size_t)offset);
        struct iovec local = {to, piece}, remote = {(void *)(uintptr_t)(m->p + offset), piece};
        ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
        if (got <= 0)
            break;
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return n ? mu_file_read_at(f, to, n, offset, e) : MU_OK;
}
