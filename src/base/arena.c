/* arena.c - bump allocation in blocks; the unused tail of a block is poisoned for ASan */
#include "base/arena.h"

#include <stdint.h>

#include "base/check.h"
#include "base/mem.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define ARENA_BLOCK_BYTES ((size_t)64 << 10)

struct mu_arena_block {
    struct mu_arena_block *next;
    size_t used;
    size_t cap;
    _Alignas(64) unsigned char data[];
};

static struct mu_arena_block *block_new(size_t cap)
{
    struct mu_arena_block *b = mu_calloc(1, sizeof *b + cap);
    if (!b)
        return NULL;
    b->cap = cap;
    POISON(b->data, cap);
    return b;
}

void *mu_arena_alloc_aligned(struct mu_arena *a, size_t bytes, size_t align, struct mu_err *e)
{
    if (bytes > a->bytes_max || a->bytes_used > a->bytes_max - bytes) {
        mu_fail(e, MU_ELIMIT, "%s needs more than the %zu bytes it may use", a->what, a->bytes_max);
        return NULL;
    }
    struct mu_arena_block *b = a->head;
    size_t at = b ? (b->used + align - 1) / align * align : 0;
    if (!b || at > b->cap || bytes > b->cap - at) {
        b = block_new(MU_MAX(bytes, ARENA_BLOCK_BYTES));
        if (!b) {
            mu_fail_nomem(e, bytes, a->what);
            return NULL;
        }
        b->next = a->head;
        a->head = b;
        at = 0;
    }
    void *p = b->data + at;
    b->used = at + bytes;
    a->bytes_used += bytes;
    UNPOISON(p, bytes);
    return p;
}

void *mu_arena_alloc(struct mu_arena *a, size_t bytes, struct mu_err *e)
{
    return mu_arena_alloc_aligned(a, bytes, 16, e);
}

void *mu_arena_array(struct mu_arena *a, size_t n, size_t size, struct mu_err *e)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        bytes = SIZE_MAX;
    return mu_arena_alloc(a, bytes, e);
}

char *mu_arena_strdup(struct mu_arena *a, struct mu_str s, struct mu_err *e)
{
    char *p = mu_arena_alloc_aligned(a, s.n + 1, 1, e);
    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

void mu_arena_fini(struct mu_arena *a)
{
    while (a->head) {
        struct mu_arena_block *b = a->head;
        a->head = b->next;
        UNPOISON(b->data, b->cap);
        mu_free(b);
    }
    a->bytes_used = 0;
}
