/* trie.c - edges in an open-addressed table, doubled at half full */
#include "tok/trie.h"

#include "base/check.h"
#include "base/mem.h"

#define EDGE_SLOTS_MIN 64
#define EDGE_FREE      UINT64_MAX

static size_t edge_place(uint64_t key, size_t n_slots)
{
    key *= 0x9E3779B97F4A7C15u; /* Fibonacci hashing: the high bits are well mixed */
    return (size_t)(key >> 20) & (n_slots - 1);
}

static struct mu_trie_edge *edge_slot(struct mu_trie_edge *edges, size_t n_slots, uint64_t key)
{
    size_t i = edge_place(key, n_slots);
    while (edges[i].key != EDGE_FREE && edges[i].key != key)
        i = (i + 1) & (n_slots - 1);
    return &edges[i];
}

static int grow_edges(struct mu_trie *t, struct mu_err *e)
{
    size_t n = t->n_edge_slots;
    if (n && t->n_edges * 2 < n)
        return MU_OK;
    n = n ? n * 2 : EDGE_SLOTS_MIN;
    struct mu_trie_edge *edges = mu_alloc(n * sizeof *edges);
    if (!edges)
        return mu_fail_nomem(e, n * sizeof *edges, "the token trie");
    for (size_t i = 0; i < n; i++)
        edges[i].key = EDGE_FREE;
    for (size_t i = 0; i < t->n_edge_slots; i++)
        if (t->edges[i].key != EDGE_FREE)
            *edge_slot(edges, n, t->edges[i].key) = t->edges[i];
    mu_free(t->edges);
    t->edges = edges;
    t->n_edge_slots = n;
    return MU_OK;
}

static int new_node(struct mu_trie *t, uint32_t *out, struct mu_err *e)
{
    if (t->n_nodes >= MU_TRIE_NODES_MAX)
        return mu_fail(e, MU_ELIMIT, "the vocabulary needs more than %zu trie nodes", MU_TRIE_NODES_MAX);
    if (t->n_nodes == t->cap_nodes) {
        size_t cap = t->cap_nodes ? t->cap_nodes * 2 : EDGE_SLOTS_MIN;
        int32_t *values = mu_realloc(t->values, cap * sizeof *values);
        if (!values)
            return mu_fail_nomem(e, cap * sizeof *values, "the token trie");
        t->values = values;
        t->cap_nodes = cap;
    }
    t->values[t->n_nodes] = -1;
    *out = (uint32_t)t->n_nodes++;
    return MU_OK;
}

int mu_trie_add(struct mu_trie *t, struct mu_str s, int32_t value, struct mu_err *e)
{
    uint32_t node = 0;
    if (s.n == 0)
        return MU_OK;
    if (t->n_nodes == 0)
        MU_TRY_RETURN(new_node(t, &node, e));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char byte = (unsigned char)s.p[i];
        if (mu_trie_step(t, &node, byte))
            continue;
        uint32_t next = 0;
        MU_TRY_RETURN(grow_edges(t, e));
        MU_TRY_RETURN(new_node(t, &next, e));
        uint64_t key = (uint64_t)node << 8 | byte;
        *edge_slot(t->edges, t->n_edge_slots, key) = (struct mu_trie_edge){key, next};
        t->n_edges++;
        node = next;
    }
    if (t->values[node] < 0)
        t->values[node] = value;
    unsigned char head = (unsigned char)s.p[0];
    t->first[head >> 6] |= (uint64_t)1 << (head & 63);
    return MU_OK;
}

void mu_trie_fini(struct mu_trie *t)
{
    mu_free(t->edges);
    mu_free(t->values);
    *t = (struct mu_trie)MU_TRIE_INIT;
}

bool mu_trie_step(const struct mu_trie *t, uint32_t *node, unsigned char byte)
{
    if (t->n_edge_slots == 0)
        return false;
    uint64_t key = (uint64_t)*node << 8 | byte;
    const struct mu_trie_edge *edge = edge_slot(t->edges, t->n_edge_slots, key);
    if (edge->key != key)
        return false;
    *node = edge->to;
    return true;
}

int32_t mu_trie_longest(const struct mu_trie *t, const char *p, size_t n, size_t *len)
{
    int32_t best = -1;
    uint32_t node = 0;
    if (n == 0 || !mu_trie_may_begin(t, (unsigned char)p[0]))
        return -1;
    for (size_t i = 0; i < n && mu_trie_step(t, &node, (unsigned char)p[i]); i++) {
        if (t->values[node] >= 0) {
            best = t->values[node];
            *len = i + 1;
        }
    }
    return best;
}
