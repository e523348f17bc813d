/* carve.h - tables cut from one block, sized and placed by the same code
 *
 * A table's xx_carve() function is run twice: with base NULL it only counts, for the memory bill; with a block of
 * that many zeroed bytes it sets the pointers. So the bill cannot differ from what is used. */
#ifndef MU_ENGINE_CARVE_H
#define MU_ENGINE_CARVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct mu_carve {
    char *base; /* NULL: count only */
    size_t used;
};

/* n elements of size bytes, aligned to MU_MEM_ALIGN; NULL while counting. The counts are bounded by the engine's named
 * maxima, so that the sum does not overflow. */
static inline void *mu_carve(struct mu_carve *c, int64_t n, size_t size)
{
    char *p = c->base ? c->base + c->used : NULL;
    c->used += ((size_t)n * size + MU_MEM_ALIGN - 1) / MU_MEM_ALIGN * MU_MEM_ALIGN;
    return p;
}

#endif
