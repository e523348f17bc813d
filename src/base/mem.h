/* mem.h - the heap, counted, and able to fail on order
 *
 * Every allocation of the library goes through here: the bytes in use are known (the memory bill is held
 * against them) and a test can make the nth allocation fail. Zero bytes yields a valid pointer.
 * Blocks are 64-byte aligned. Freeing NULL is fine. Thread-safe. */
#ifndef MU_BASE_MEM_H
#define MU_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_MEM_ALIGN 64

void *mu_alloc(size_t bytes);            /* NULL when there is no memory */
void *mu_calloc(size_t n, size_t size);  /* zeroed; NULL also when n * size overflows */
void *mu_realloc(void *p, size_t bytes); /* as realloc: on failure p stays valid */
char *mu_strdup(const char *s);
char *mu_strndup(const char *s, size_t n); /* copies exactly n bytes and a NUL */
void mu_free(void *p);

/* One sentence for a failed allocation: "out of memory: N bytes for WHAT". */
int mu_fail_nomem(struct mu_err *e, size_t bytes, const char *what);

/* *(void **)out = zeroed n * size bytes for `what`, or an error. */
int mu_new_array(void *out, size_t n, size_t size, const char *what, struct mu_err *e);
#define MU_NEW(out, what, e)          mu_new_array((out), 1, sizeof **(out), (what), (e))
#define MU_NEW_ARRAY(out, n, what, e) mu_new_array((out), (size_t)(n), sizeof **(out), (what), (e))

size_t mu_mem_bytes_used(void); /* now */
size_t mu_mem_bytes_peak(void); /* the most since start or the last reset */
void mu_mem_peak_reset(void);
uint64_t mu_mem_allocs(void); /* allocations made so far: a step that allocates nothing leaves it alone */

/* The large pages (MU_LARGE_PAGE_BYTES) that lie in a block as a whole: how many, the first in *first (may be NULL).
 * The system is asked to have them as such; it may not, which costs speed only. For what is read again and again,
 * before its first touch. */
#define MU_LARGE_PAGE_BYTES ((size_t)2 << 20) /* of x86-64, and of others with pages of 4 KiB */
int64_t mu_large_pages(void *p, size_t bytes, char **first);

/* Tests: let the nth allocation from now on fail (1 = the next), once; 0 switches it off. Per thread. */
void mu_mem_fail_at(uint64_t n);

#endif
