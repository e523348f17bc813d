/* kv_pages.h - the pool of KV pages: who holds which
 *
 * A page is a number in [0, n); its bytes are the model's. A page is free, or held by references: one from every
 * running sequence that reads it and one from the prefix tree that remembers it. Promises made at admission
 * (`reserved`) say how many pages running sequences may still take; they are always covered by free pages and pages
 * that only the tree holds.
 *
 * Free pages may be without memory: what lies from n_backed on was given back to the system and comes again when it is
 * written (kv_cache.h).
 *
 * Where ranks share the pages out (runner.h), page p is of class p % classes and lies with one rank; a sequence needs
 * pages of stated classes. Promises, free and cached pages are counted by class.
 *
 * Not here: which tokens a page holds (prefix_tree.h), tables of sequences (kv_cache.h), how the pool looks as a whole
 * (pool_stats.h).
 *
 * Always true:
 *  - a page with more than one reference is full and never written again
 *  - n_free + n_cached >= n_reserved, in every class
 *  - pages that are not free lie below n_backed */
#ifndef MU_ENGINE_KV_PAGES_H
#define MU_ENGINE_KV_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/carve.h"
#include "tensor/ops.h"

/* Of one class. */
struct mu_kv_class {
    int32_t n_free, n_cached, n_reserved;
};

struct mu_kv_pages {
    int32_t n;
    int32_t classes; /* divides n */
    struct mu_kv_class class[MU_ATTN_STRANDS];
    /* of all classes: */
    int32_t n_free;
    int32_t n_cached;   /* held by the tree alone: can be taken back */
    int32_t n_shared;   /* held by more than one sequence */
    int32_t n_reserved; /* promised to running sequences, not yet taken */
    int32_t n_used_peak;
    int32_t n_backed;
    int32_t *free_stack; /* [classes][n / classes] */
    int32_t *refs;       /* [n] of sequences */
    bool *is_in_tree;    /* [n] */
};

void mu_kv_pages_carve(struct mu_kv_pages *p, struct mu_carve *c, int32_t n);
void mu_kv_pages_reset(struct mu_kv_pages *p, int classes); /* all free */

/* A free page, held by the caller; -1 when none is free (evict first). */
int32_t mu_kv_pages_take(struct mu_kv_pages *p, int class);

/* n more pages promised, or fewer (n < 0). */
static inline void mu_kv_pages_promise(struct mu_kv_pages *p, int class, int32_t n)
{
    p->class[class].n_reserved += n;
    p->n_reserved += n;
}

/* One more, one fewer sequence that holds it. Returns true when the last sequence let go and only the tree holds it;
 * a page nobody holds is free again. */
void mu_kv_pages_ref(struct mu_kv_pages *p, int32_t page);
bool mu_kv_pages_unref(struct mu_kv_pages *p, int32_t page);

/* The tree remembers a page (held by a sequence); the tree forgets it: free unless a sequence holds it. */
void mu_kv_pages_tree_add(struct mu_kv_pages *p, int32_t page);
void mu_kv_pages_tree_remove(struct mu_kv_pages *p, int32_t page);

static inline bool mu_kv_pages_is_free(const struct mu_kv_pages *p, int32_t page)
{
    return p->refs[page] == 0 && !p->is_in_tree[page];
}

/* One more than the highest page that is not free; 0 when all are. */
int32_t mu_kv_pages_span(const struct mu_kv_pages *p);

/* Compaction: the next move that brings used pages of a class to the front, from the highest used page to the lowest
 * free one below it. A search begins with *dst = class, *src = n - classes + class; false: there is none left. Both are
 * looked at once in a whole search. */
bool mu_kv_pages_next_move(const struct mu_kv_pages *p, int32_t *dst, int32_t *src);
/* Whoever holds src holds dst from now on. After the last move, and before a page is taken, the free ones are listed
 * anew: the lowest is taken first. */
void mu_kv_pages_move(struct mu_kv_pages *p, int32_t dst, int32_t src);
void mu_kv_pages_list_free(struct mu_kv_pages *p);

#endif
