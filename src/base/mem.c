/* mem.c - counted allocations with a header that remembers the size
 *
 *   | header 64 bytes: size | caller's block ... |
 */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct header {
    size_t bytes;
    unsigned char pad[MU_MEM_ALIGN - sizeof(size_t)];
};

static atomic_size_t bytes_used;
static atomic_size_t bytes_peak;
static atomic_uint_fast64_t n_allocs;
static _Thread_local uint64_t fail_at;

static int must_fail(void)
{
    if (fail_at == 0)
        return 0;
    return --fail_at == 0;
}

static void count_in(size_t bytes)
{
    atomic_fetch_add_explicit(&n_allocs, 1, memory_order_relaxed);
    size_t used = atomic_fetch_add_explicit(&bytes_used, bytes, memory_order_relaxed) + bytes;
    size_t peak = atomic_load_explicit(&bytes_peak, memory_order_relaxed);
    while (used > peak &&
           !atomic_compare_exchange_weak_explicit(&bytes_peak, &peak, used, memory_order_relaxed, memory_order_relaxed))
        ;
}

static void *block_of(struct header *h, size_t bytes)
{
    if (!h)
        return NULL;
    h->bytes = bytes;
    count_in(bytes);
    return h + 1;
}

/* Room for header and block, a multiple of the alignment; 0 on overflow. */
static size_t padded(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * MU_MEM_ALIGN)
        return 0;
    return (bytes + sizeof(struct header) + MU_MEM_ALIGN - 1) / MU_MEM_ALIGN * MU_MEM_ALIGN;
}

void *mu_alloc(size_t bytes)
{
    size_t total = padded(bytes);
    if (total == 0 || must_fail())
        return NULL;
    return block_of(aligned_alloc(MU_MEM_ALIGN, total), bytes);
}

void *mu_calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *p = mu_alloc(bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *mu_realloc(void *p, size_t bytes)
{
    if (!p)
        return mu_alloc(bytes);
    size_t old = ((struct header *)p - 1)->bytes;
    void *q = mu_alloc(bytes);
    if (!q)
        return NULL;
    memcpy(q, p, old < bytes ? old : bytes);
    mu_free(p);
    return q;
}

char *mu_strndup(const char *s, size_t n)
{
    char *d = n == SIZE_MAX ? NULL : mu_alloc(n + 1);
    if (!d)
        return NULL;
    memcpy(d, s, n);
    d[n] = 0;
    return d;
}

char *mu_strdup(const char *s)
{
    return mu_strndup(s, strlen(s));
}

void mu_free(void *p)
{
    if (!p)
        return;
    struct header *h = (struct header *)p - 1;
    atomic_fetch_sub_explicit(&bytes_used, h->bytes, memory_order_relaxed);
    free(h);
}

int mu_fail_nomem(struct mu_err *e, size_t bytes, const char *what)
{
    return mu_fail(e, MU_ENOMEM, "out of memory: %zu bytes for %s", bytes, what);
}

int mu_new_array(void *out, size_t n, size_t size, const char *what, struct mu_err *e)
{
    void *p = mu_calloc(n, size);
    memcpy(out, &p, sizeof p);
    return p ? MU_OK : mu_fail_nomem(e, size && n > SIZE_MAX / size ? SIZE_MAX : n * size, what);
}

size_t mu_mem_bytes_used(void)
{
    return atomic_load_explicit(&bytes_used, memory_order_relaxed);
}

size_t mu_mem_bytes_peak(void)
{
    return atomic_load_explicit(&bytes_peak, memory_order_relaxed);
}

void mu_mem_peak_reset(void)
{
    atomic_store_explicit(&bytes_peak, mu_mem_bytes_used(), memory_order_relaxed);
}

uint64_t mu_mem_allocs(void)
{
    return atomic_load_explicit(&n_allocs, memory_order_relaxed);
}

void mu_mem_fail_at(uint64_t n)
{
    fail_at = n;
}

int64_t mu_large_pages(void *p, size_t bytes, char **first)
{
    size_t skip = (MU_LARGE_PAGE_BYTES - (uintptr_t)p % MU_LARGE_PAGE_BYTES) % MU_LARGE_PAGE_BYTES;
    int64_t n = skip < bytes ? (int64_t)((bytes - skip) / MU_LARGE_PAGE_BYTES) : 0;
    char *at = (char *)p + skip;
    if (n > 0)
        madvise(at, (size_t)n * MU_LARGE_PAGE_BYTES, MADV_HUGEPAGE);
    if (first)
        *first = at;
    return n;
}
