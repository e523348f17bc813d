/* arena.h - many small allocations that die together
 *
 * Grows by blocks up to bytes_max; memory handed out is zeroed and 16-byte aligned (64 with
 * mu_arena_alloc_aligned). Nothing is freed singly. Used by one thread at a time. */
#ifndef MU_BASE_ARENA_H
#define MU_BASE_ARENA_H

#include <stddef.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_arena_block;

struct mu_arena {
    struct mu_arena_block *head;
    size_t bytes_used;
    size_t bytes_max;
    const char *what;
};

#define MU_ARENA_INIT(what, bytes_max)                                                                                 \
    {                                                                                                                  \
        NULL, 0, (bytes_max), (what)                                                                                   \
    }

/* NULL when over bytes_max or out of memory; the error says which. */
void *mu_arena_alloc(struct mu_arena *a, size_t bytes, struct mu_err *e);
void *mu_arena_alloc_aligned(struct mu_arena *a, size_t bytes, size_t align, struct mu_err *e);
void *mu_arena_array(struct mu_arena *a, size_t n, size_t size, struct mu_err *e);
char *mu_arena_strdup(struct mu_arena *a, struct mu_str s, struct mu_err *e); /* NUL-terminated copy */
void mu_arena_fini(struct mu_arena *a);                                       /* frees all; usable again */

#endif
