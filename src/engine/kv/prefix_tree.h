/* prefix_tree.h - which pages hold the keys and values of which beginnings
 *
 * A node is a page with its tokens (up to MU_KV_PAGE) and, as parent, the page before it. What a page holds depends
 * only on the tokens from the beginning to its own, so a sequence that begins with the tokens on a path may read
 * these pages in place of computing them. Node and page share their number; roots are
 * negative. There is one root for each class of requests whose keys may be shared (runner.h).
 *
 *     [Once upon a] -- [ time there was] -- [ a cat]          a partial page: a leaf, copied, never shared
 *                   \- [ time the king ]                      full pages: shared
 *
 * Nodes that no running sequence holds wait in a list, the longest unused first. A sequence holds whole paths and lets
 * go deepest first, so the head of that list never has children, and evicting is taking the head.
 *
 * Always true: the tree changes no result; it only saves work. Lookups compare tokens, not hashes alone. */
#ifndef MU_ENGINE_PREFIX_TREE_H
#define MU_ENGINE_PREFIX_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/carve.h"
#include "tensor/ops.h"

/* The root of a class, 0 for almost every request. */
static inline int32_t mu_tree_root(int32_t class)
{
    return -1 - class;
}

/* Children looked through for the longest common beginning of a page. A node rarely has more; beyond it up to
 * MU_KV_PAGE - 1 tokens are computed again, nothing else. */
#define MU_TREE_SCAN_MAX 64

struct mu_tree_node {
    int32_t parent;
    int32_t child, sibling_next, sibling_prev; /* newest child first; -1: none */
    int32_t hash_next;
    int32_t lru_next, lru_prev;
    int32_t n_tokens; /* 0: not in the tree */
    int32_t tokens[MU_KV_PAGE];
    bool is_waiting; /* in the list of unheld nodes */
};

struct mu_prefix_tree {
    int32_t n;                  /* pages */
    int32_t n_buckets;          /* a power of two */
    struct mu_tree_node *nodes; /* [n] */
    int32_t *buckets;           /* [n_buckets] heads of chains of full nodes by (parent, tokens) */
    int32_t root_child;
    int32_t lru_head, lru_tail; /* longest unused first */
};

void mu_prefix_tree_carve(struct mu_prefix_tree *t, struct mu_carve *c, int32_t n_pages);
void mu_prefix_tree_reset(struct mu_prefix_tree *t);

/* The child of `parent` with exactly these MU_KV_PAGE tokens, or -1. */
int32_t mu_prefix_tree_child(const struct mu_prefix_tree *t, int32_t parent, const int32_t *tokens);

/* The child of `parent` that shares the longest beginning with tokens[0..n): its page, or -1, and how many tokens. */
int32_t mu_prefix_tree_best(const struct mu_prefix_tree *t, int32_t parent, const int32_t *tokens, int n,
                            int *n_common);

/* Add page as child of `parent` with n tokens, 1..MU_KV_PAGE. A full page must not be there yet. */
void mu_prefix_tree_add(struct mu_prefix_tree *t, int32_t page, int32_t parent, const int32_t *tokens, int n);

/* Held by a sequence again; let go by the last one (now the most recently used). */
void mu_prefix_tree_hold(struct mu_prefix_tree *t, int32_t page);
void mu_prefix_tree_release(struct mu_prefix_tree *t, int32_t page);

/* Take the longest unused node out of the tree: its page, or -1 when every node is held. */
int32_t mu_prefix_tree_evict(struct mu_prefix_tree *t);

/* The node src, if there is one, is dst from now on, with its place in the tree and its age; dst is no node. Its
 * children are found under their parent's number, so a move costs as much as it has children. */
void mu_prefix_tree_move(struct mu_prefix_tree *t, int32_t dst, int32_t src);

#endif
