/* device_cpu.c - the CPU as a device: plain memory, a thread pool, and the level that its kernels come from
 *
 * Big blocks ask for large pages before they are touched. The system zeroes what it gives, so nothing else does: all
 * threads take the pages of a block (which also spreads them over the nodes of a NUMA machine), or, where a block is
 * written in full anyway, whoever writes first. The level is chosen once, at open. */
#include "tensor/device.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/levels.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* of Linux 6.1; what is older refuses it */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* of Linux 5.14, and the next */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* of Linux 5.14 */
#endif

struct cpu_device {
    struct mu_device base;
    const struct mu_cpu_kernels *kernels;
};

/* Memory that the heap hands out may have been used before. Given back, a page is zeros when it comes again; where that
 * is refused, as for locked memory, it is written. */
static void forget(char *p, size_t bytes)
{
    if (bytes > 0 && madvise(p, bytes, MADV_DONTNEED) != 0)
        memset(p, 0, bytes);
}

static void touch_run(void *arg, int64_t begin, int64_t end, int worker)
{
    char *p = (char *)arg + (size_t)begin * MU_LARGE_PAGE_BYTES;
    size_t bytes = (size_t)(end - begin) * MU_LARGE_PAGE_BYTES;
    (void)worker;
    if (madvise(p, bytes, MADV_POPULATE_WRITE) != 0)
        memset(p, 0, bytes);
}

/* The ends of a block, outside its large pages, are small. */
static int alloc_zeros(struct mu_pool *touched_by, void **out, size_t bytes, const char *what, struct mu_err *e)
{
    char *p = mu_alloc(bytes), *first;
    if (!p)
        return mu_fail_nomem(e, bytes, what);
    int64_t n = mu_large_pages(p, bytes, &first);
    size_t head = n > 0 ? (size_t)(first - p) : bytes, middle = (size_t)n * MU_LARGE_PAGE_BYTES;
    memset(p, 0, head);
    forget(p + head, middle);
    memset(p + head + middle, 0, bytes - head - middle);
    if (touched_by)
        mu_pool_for(touched_by, n, 1, touch_run, first);
    *out = p;
    return MU_OK;
}

static int cpu_alloc(struct mu_device *d, void **out, size_t bytes, const char *what, struct mu_err *e)
{
    return alloc_zeros(d->pool, out, bytes, what, e);
}

static int cpu_alloc_untouched(struct mu_device *d, void **out, size_t bytes, const char *what, struct mu_err *e)
{
    (void)d;
    return alloc_zeros(NULL, out, bytes, what, e);
}

static void cpu_free(struct mu_device *d, void *p)
{
    (void)d;
    mu_free(p);
}

/* Shared memory has large pages at its first touch only where shmem_enabled says so, which few systems do. Made out of
 * small ones they are to be had everywhere, and sooner than small ones: one touched page in each is enough. */
static void collapse_run(void *arg, int64_t begin, int64_t end, int worker)
{
    char *p = (char *)arg + (size_t)begin * MU_LARGE_PAGE_BYTES;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        (void)*(volatile char *)((char *)arg + (size_t)i * MU_LARGE_PAGE_BYTES);
    madvise(p, (size_t)(end - begin) * MU_LARGE_PAGE_BYTES, MADV_COLLAPSE);
}

static void cpu_adopt(struct mu_device *d, void *host, size_t bytes, int i, int n)
{
    char *first;
    int64_t pages = mu_large_pages(host, bytes, &first), begin = pages * i / n, end = pages * (i + 1) / n;
    mu_pool_for(d->pool, end - begin, 1, collapse_run, first + (size_t)begin * MU_LARGE_PAGE_BYTES);
}

/* Page tables are filled in runs, and what is not in memory yet is read in large pieces. Where the system cannot, pages
 * come at their first touch: nothing is lost but time. */
static void map_in_run(void *arg, int64_t begin, int64_t end, int worker)
{
    char *p = (char *)arg + (size_t)begin * MU_LARGE_PAGE_BYTES;
    (void)worker;
    madvise(p, (size_t)(end - begin) * MU_LARGE_PAGE_BYTES, MADV_POPULATE_READ);
}

static void cpu_map_in(struct mu_device *d, const void *host, size_t bytes)
{
    char *p = (char *)(uintptr_t)host;
    size_t skip = (MU_LARGE_PAGE_BYTES - (uintptr_t)p % MU_LARGE_PAGE_BYTES) % MU_LARGE_PAGE_BYTES;
    if (skip < bytes)
        mu_pool_for(d->pool, (int64_t)((bytes - skip) / MU_LARGE_PAGE_BYTES), 1, map_in_run, p + skip);
}

/* Whole system pages inside the bytes. */
static void cpu_give_back(struct mu_device *d, void *p, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (page - (uintptr_t)p % page) % page;
    (void)d;
    if (skip < bytes && bytes - skip >= page)
        madvise((char *)p + skip, (bytes - skip) / page * page, MADV_DONTNEED); /* refused: it stays as it is */
}

static int cpu_upload(struct mu_device *d, void *dst, const void *src_host, size_t bytes, struct mu_err *e)
{
    (void)d;
    (void)e;
    memcpy(dst, src_host, bytes);
    return MU_OK;
}

static int cpu_synchronize(struct mu_device *d, struct mu_err *e)
{
    (void)d;
    (void)e;
    return MU_OK; /* ops have run when they return */
}

static void cpu_close(struct mu_device *d)
{
    mu_pool_close(d->pool);
    mu_free(d);
}

static const struct mu_device_ops cpu_ops = {.name = "cpu",
                                             .alloc = cpu_alloc,
                                             .alloc_untouched = cpu_alloc_untouched,
                                             .free = cpu_free,
                                             .give_back = cpu_give_back,
                                             .adopt = cpu_adopt,
                                             .map_in = cpu_map_in,
                                             .upload = cpu_upload,
                                             .download = cpu_upload, /* host and device are one memory */
                                             .synchronize = cpu_synchronize,
                                             .close = cpu_close};

int mu_device_open_cpu(struct mu_device **out, const struct mu_cpu_opts *o, struct mu_err *e)
{
    struct mu_pool_opts pool = {.n_threads = o->n_threads, .pin = o->pin};
    struct cpu_device *c = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW(&c, "the CPU device", e));
    c->base.dev = &cpu_ops;
    c->base.state = c;
    MU_TRY(mu_cpu_level_choose(o->level ? o->level : "auto", &c->base.ops, &c->kernels, e));
    MU_TRY(mu_pool_open(&c->base.pool, &pool, e));
    *out = &c->base;
    c = NULL;
out:
    if (c)
        cpu_close(&c->base);
    return rc;
}

int mu_device_open_default(struct mu_device **out, const char *level, int n_threads, struct mu_err *e)
{
    struct mu_cpu_opts o = {.level = level, .n_threads = n_threads};
    return mu_device_open_cpu(out, &o, e);
}

const struct mu_cpu_kernels *mu_cpu_kernels_of(const struct mu_device *d)
{
    return ((const struct cpu_device *)d->state)->kernels;
}
