/* trie.h - byte strings by common prefix: all that begin at a place, or the longest
 *
 * Edges live in one hash table keyed by (node, byte); the first byte has a bitmap so that most places cost one look. */
#ifndef MU_TOK_TRIE_H
#define MU_TOK_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/err.h>

#define MU_TRIE_NODES_MAX ((size_t)1 << 27) /* a full vocabulary of long tokens; nodes are 31 bits */

struct mu_trie_edge {
    uint64_t key; /* node << 8 | byte; UINT64_MAX: free */
    uint32_t to;
};

struct mu_trie {
    struct mu_trie_edge *edges;
    size_t n_edge_slots, n_edges; /* slots: a power of two */
    int32_t *values;              /* by node; -1: no string ends here */
    size_t n_nodes, cap_nodes;
    uint64_t first[4]; /* bytes that begin a string */
};

#define MU_TRIE_INIT                                                                                                   \
    {                                                                                                                  \
        .edges = NULL                                                                                                  \
    }

/* value >= 0. A string already there keeps its first value. The empty string is ignored. */
int mu_trie_add(struct mu_trie *t, struct mu_str s, int32_t value, struct mu_err *e);
void mu_trie_fini(struct mu_trie *t);

/* Walking: from node 0, one byte at a time; false when nothing goes on. */
bool mu_trie_step(const struct mu_trie *t, uint32_t *node, unsigned char byte);

static inline int32_t mu_trie_value(const struct mu_trie *t, uint32_t node)
{
    return t->values[node];
}

static inline bool mu_trie_may_begin(const struct mu_trie *t, unsigned char byte)
{
    return (t->first[byte >> 6] >> (byte & 63) & 1) != 0;
}

/* The longest string that p[0..n) begins with; returns its value and length, or -1. */
int32_t mu_trie_longest(const struct mu_trie *t, const char *p, size_t n, size_t *len);

#endif
