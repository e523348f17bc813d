/* kv_pages.h - the pool of KV pages: who holds which
 *
 * A page is a number in [0, n); its bytes are the model's. A page is free, or held by references: one from every
 * running sequence that reads it and one from the prefix tree that remembers it. Promises made at admission
 * (`reserved`) say how many pages running sequences may still take; they are always covered by free pages and pages
 * that only the tree holds.
 *
 * Not here: which tokens a page holds (prefix_tree.h), tables of sequences (kv_cache.h).
 *
 * Always true:
 *  - a page with more than one reference is full and never written again
 *  - n_free + n_cached >= n_reserved */
#ifndef MU_ENGINE_KV_PAGES_H
#define MU_ENGINE_KV_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/carve.h"

struct mu_kv_pages {
    int32_t n;
    int32_t n_free;
    int32_t n_cached;   /* held by the tree alone: can be taken back */
    int32_t n_shared;   /* held by more than one sequence */
    int32_t n_reserved; /* promised to running sequences, not yet taken */
    int32_t n_used_peak;
    int32_t *free_stack; /* [n] */
    int32_t *refs;       /* [n] of sequences */
    bool *is_in_tree;    /* [n] */
};

void mu_kv_pages_carve(struct mu_kv_pages *p, struct mu_carve *c, int32_t n);
void mu_kv_pages_reset(struct mu_kv_pages *p); /* all free */

/* A free page, held by the caller; -1 when none is free (evict first). */
int32_t mu_kv_pages_take(struct mu_kv_pages *p);

/* One more, one fewer sequence that holds it. Returns true when the last sequence let go and only the tree holds it;
 * a page nobody holds is free again. */
void mu_kv_pages_ref(struct mu_kv_pages *p, int32_t page);
bool mu_kv_pages_unref(struct mu_kv_pages *p, int32_t page);

/* The tree remembers a page (held by a sequence); the tree forgets it: free unless a sequence holds it. */
void mu_kv_pages_tree_add(struct mu_kv_pages *p, int32_t page);
void mu_kv_pages_tree_remove(struct mu_kv_pages *p, int32_t page);

#endif
