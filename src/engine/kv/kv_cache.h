/* kv_cache.h - pages of running sequences: attach what is known, make room, remember, let go, move together
 *
 * A sequence is a row of the page table. At admission it attaches the full pages that already hold its beginning,
 * copies the page that holds a part of the next one, and reserves every page it may still need to its last token: a
 * running sequence never waits for memory and is never preempted. The price is that a request with a generous
 * max_tokens counts in full until it ends.
 *
 * Not here: which request runs when (batcher.h). */
#ifndef MU_ENGINE_KV_CACHE_H
#define MU_ENGINE_KV_CACHE_H

#include "engine/kv/kv_pages.h"
#include "engine/kv/prefix_tree.h"
#include "engine/runner.h"

/* Fewer tokens than this are computed again rather than copied or waited for: every text shares its BOS. */
#define MU_SHARE_TOKENS_MIN 4

struct mu_kv_cache {
    struct mu_kv_pages pages;
    struct mu_prefix_tree tree;
    struct mu_runner *runner; /* copies pages */
    bool is_sharing;
    int lane; /* whose pages these are */
    int n_seqs;
    int pages_max;        /* of one sequence */
    int32_t *table;       /* [n_seqs, pages_max], borrowed */
    int32_t *root;        /* [n_seqs] of the tree, for the sequence's class */
    int32_t *n_pages;     /* [n_seqs] */
    int32_t *n_published; /* [n_seqs] leading pages that are in the tree */
    int32_t *n_reserved;  /* [n_seqs] */
};

static inline int64_t mu_kv_pages_for(int64_t tokens)
{
    return (tokens + MU_KV_PAGE - 1) / MU_KV_PAGE;
}

void mu_kv_cache_carve(struct mu_kv_cache *kv, struct mu_carve *c, int n_seqs, int64_t context_max, int32_t pages_n);
void mu_kv_cache_reset(struct mu_kv_cache *kv, struct mu_runner *runner, int lane, int32_t *table, bool is_sharing);

/* What the tree knows of ids[0..n): full pages along a path, and a page whose first n_copy tokens come next. */
struct mu_kv_match {
    int32_t root;
    int n_pages;
    int n_copy;
    int32_t copy_from;             /* -1: none */
    int32_t last;                  /* node of the path's end, or root */
    int n_cached[MU_ATTN_STRANDS]; /* by class: pages of the path that no sequence holds */
};
void mu_kv_match(const struct mu_kv_cache *kv, int32_t root, const int32_t *ids, int n, struct mu_kv_match *m);

static inline int mu_kv_match_tokens(const struct mu_kv_match *m)
{
    return m->n_pages * MU_KV_PAGE + m->n_copy;
}

/* Pages that could be promised to a new sequence. */
static inline int64_t mu_kv_unpromised(const struct mu_kv_cache *kv)
{
    return (int64_t)kv->pages.n_free + kv->pages.n_cached - kv->pages.n_reserved;
}

/* Whether a sequence of n_total tokens that begins with m can be promised its pages now. */
bool mu_kv_fits(const struct mu_kv_cache *kv, const struct mu_kv_match *m, int64_t n_total);

/* Start sequence seq: attach m, reserve the rest. *n_attached tokens need not be computed. Requires mu_kv_fits(). */
int mu_kv_begin(struct mu_kv_cache *kv, int seq, const struct mu_kv_match *m, int64_t n_total, int *n_attached,
                struct mu_err *e);

/* Pages for the first n_tokens, out of the reservation: cannot fail within n_total. */
void mu_kv_make_room(struct mu_kv_cache *kv, int seq, int64_t n_tokens);

/* ids[0..n_done) are computed: remember the full pages. A page whose content another sequence remembered first is
 * given back and the other one attached: same tokens, same bits. */
void mu_kv_publish(struct mu_kv_cache *kv, int seq, const int32_t *ids, int64_t n_done);

/* End of the sequence; with keep, its last partial page is remembered too. */
void mu_kv_end(struct mu_kv_cache *kv, int seq, const int32_t *ids, int64_t n_done, bool keep);

/* Forget every page that no sequence holds; how many. */
int32_t mu_kv_drop_cached(struct mu_kv_cache *kv);

/* Move used pages to free ones further in front, at most pages_max of them, so that the end of the pool is free.
 * Between steps only. Sequences and tree follow: no result changes. A failure is the runner's; what was moved before it
 * stands. */
int mu_kv_compact(struct mu_kv_cache *kv, int pages_max, int *n_moved, struct mu_err *e);

/* The memory of the free pages behind the last used one back to the system, *n_pages that still had theirs. Where the
 * runner cannot, none. A page is taken again like any other: its memory comes when it is written. */
int mu_kv_give_back(struct mu_kv_cache *kv, int32_t *n_pages, struct mu_err *e);

#endif
