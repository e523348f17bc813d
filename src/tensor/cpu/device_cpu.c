/* device_cpu.c - the CPU as a device: plain memory, a thread pool, and the level that its kernels come from
 *
 * Big blocks ask for large pages before they are touched, and are zeroed by all threads (which also spreads them over
 * the nodes of a NUMA machine). The level is chosen once, at open. */
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
#define ZERO_GRAIN ((int64_t)1 << 20) /* bytes a thread zeroes at least */

struct cpu_device {
    struct mu_device base;
    const struct mu_cpu_kernels *kernels;
};

static void zero_run(void *arg, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    memset((char *)arg + begin, 0, (size_t)(end - begin));
}

static int cpu_alloc(struct mu_device *d, void **out, size_t bytes, const char *what, struct mu_err *e)
{
    char *p = mu_alloc(bytes), *first;
    if (!p)
        return mu_fail_nomem(e, bytes, what);
    mu_large_pages(p, bytes, &first);
    mu_pool_for(d->pool, (int64_t)bytes, ZERO_GRAIN, zero_run, p);
    *out = p;
    return MU_OK;
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
                                             .free = cpu_free,
                                             .give_back = cpu_give_back,
                                             .adopt = cpu_adopt,
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
