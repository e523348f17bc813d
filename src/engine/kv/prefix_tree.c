/* prefix_tree.c - children by hash, siblings by list, unheld nodes by age */
#include "engine/kv/prefix_tree.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

static int32_t buckets_for(int32_t n_pages)
{
    int32_t n = 16;
    while (n < n_pages)
        n *= 2;
    return n;
}

void mu_prefix_tree_carve(struct mu_prefix_tree *t, struct mu_carve *c, int32_t n_pages)
{
    t->n = n_pages;
    t->n_buckets = buckets_for(n_pages);
    t->nodes = mu_carve(c, t->n, sizeof *t->nodes);
    t->buckets = mu_carve(c, t->n_buckets, sizeof *t->buckets);
}

void mu_prefix_tree_reset(struct mu_prefix_tree *t)
{
    memset(t->nodes, 0, (size_t)t->n * sizeof *t->nodes);
    for (int32_t i = 0; i < t->n_buckets; i++)
        t->buckets[i] = -1;
    t->root_child = t->lru_head = t->lru_tail = -1;
}

static int32_t *bucket_of(const struct mu_prefix_tree *t, int32_t parent, const int32_t *tokens)
{
    uint64_t h = mu_hash64(tokens, MU_KV_PAGE * sizeof *tokens, (uint64_t)(uint32_t)parent);
    return &t->buckets[h & (uint64_t)(t->n_buckets - 1)];
}

static int32_t *first_child(struct mu_prefix_tree *t, int32_t parent)
{
    return parent < 0 ? &t->root_child : &t->nodes[parent].child;
}

int32_t mu_prefix_tree_child(const struct mu_prefix_tree *t, int32_t parent, const int32_t *tokens)
{
    for (int32_t i = *bucket_of(t, parent, tokens); i >= 0; i = t->nodes[i].hash_next) {
        const struct mu_tree_node *node = &t->nodes[i];
        if (node->parent == parent && memcmp(node->tokens, tokens, sizeof node->tokens) == 0)
            return i;
    }
    return -1;
}

/* What leads to a full node in its chain. */
static int32_t *hash_link(struct mu_prefix_tree *t, int32_t page)
{
    struct mu_tree_node *node = &t->nodes[page];
    int32_t *link = bucket_of(t, node->parent, node->tokens);
    while (*link != page)
        link = &t->nodes[*link].hash_next;
    return link;
}

static void hash_add(struct mu_prefix_tree *t, int32_t page)
{
    struct mu_tree_node *node = &t->nodes[page];
    int32_t *bucket = bucket_of(t, node->parent, node->tokens);
    node->hash_next = *bucket;
    *bucket = page;
}

static int common(const int32_t *a, const int32_t *b, int n)
{
    int i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

int32_t mu_prefix_tree_best(const struct mu_prefix_tree *t, int32_t parent, const int32_t *tokens, int n, int *n_common)
{
    int32_t best = -1;
    int looked = 0;
    *n_common = 0;
    int32_t i = parent < 0 ? t->root_child : t->nodes[parent].child;
    for (; i >= 0 && looked < MU_TREE_SCAN_MAX; i = t->nodes[i].sibling_next, looked++) {
        int k = common(t->nodes[i].tokens, tokens, MU_MIN(n, t->nodes[i].n_tokens));
        if (k > *n_common && t->nodes[i].parent == parent) { /* the roots' children are in one list */
            *n_common = k;
            best = i;
        }
    }
    return best;
}

void mu_prefix_tree_add(struct mu_prefix_tree *t, int32_t page, int32_t parent, const int32_t *tokens, int n)
{
    struct mu_tree_node *node = &t->nodes[page];
    int32_t *first = first_child(t, parent);
    *node = (struct mu_tree_node){.parent = parent,
                                  .child = -1,
                                  .sibling_next = *first,
                                  .sibling_prev = -1,
                                  .hash_next = -1,
                                  .lru_next = -1,
                                  .lru_prev = -1,
                                  .n_tokens = n};
    memcpy(node->tokens, tokens, (size_t)n * sizeof *tokens);
    if (*first >= 0)
        t->nodes[*first].sibling_prev = page;
    *first = page;
    if (n == MU_KV_PAGE)
        hash_add(t, page);
}

static void lru_remove(struct mu_prefix_tree *t, int32_t page)
{
    struct mu_tree_node *node = &t->nodes[page];
    *(node->lru_prev >= 0 ? &t->nodes[node->lru_prev].lru_next : &t->lru_head) = node->lru_next;
    *(node->lru_next >= 0 ? &t->nodes[node->lru_next].lru_prev : &t->lru_tail) = node->lru_prev;
    node->is_waiting = false;
}

void mu_prefix_tree_hold(struct mu_prefix_tree *t, int32_t page)
{
    if (t->nodes[page].is_waiting)
        lru_remove(t, page);
}

void mu_prefix_tree_release(struct mu_prefix_tree *t, int32_t page)
{
    struct mu_tree_node *node = &t->nodes[page];
    node->lru_next = -1;
    node->lru_prev = t->lru_tail;
    *(t->lru_tail >= 0 ? &t->nodes[t->lru_tail].lru_next : &t->lru_head) = page;
    t->lru_tail = page;
    node->is_waiting = true;
}

static void sibling_remove(struct mu_prefix_tree *t, int32_t page)
{
    struct mu_tree_node *node = &t->nodes[page];
    *(node->sibling_prev >= 0 ? &t->nodes[node->sibling_prev].sibling_next : first_child(t, node->parent)) =
        node->sibling_next;
    if (node->sibling_next >= 0)
        t->nodes[node->sibling_next].sibling_prev = node->sibling_prev;
}

int32_t mu_prefix_tree_evict(struct mu_prefix_tree *t)
{
    int32_t page = t->lru_head;
    if (page < 0)
        return -1;
    lru_remove(t, page);
    sibling_remove(t, page);
    if (t->nodes[page].n_tokens == MU_KV_PAGE)
        *hash_link(t, page) = t->nodes[page].hash_next;
    t->nodes[page].n_tokens = 0;
    return page;
}

/* ---- moving ---- */

static bool is_full(const struct mu_tree_node *node)
{
    return node->n_tokens == MU_KV_PAGE;
}

static void relink_siblings(struct mu_prefix_tree *t, int32_t page)
{
    struct mu_tree_node *node = &t->nodes[page];
    *(node->sibling_prev >= 0 ? &t->nodes[node->sibling_prev].sibling_next : first_child(t, node->parent)) = page;
    if (node->sibling_next >= 0)
        t->nodes[node->sibling_next].sibling_prev = page;
}

static void relink_lru(struct mu_prefix_tree *t, int32_t page)
{
    struct mu_tree_node *node = &t->nodes[page];
    *(node->lru_prev >= 0 ? &t->nodes[node->lru_prev].lru_next : &t->lru_head) = page;
    *(node->lru_next >= 0 ? &t->nodes[node->lru_next].lru_prev : &t->lru_tail) = page;
}

static void reparent_children(struct mu_prefix_tree *t, int32_t parent)
{
    for (int32_t i = t->nodes[parent].child; i >= 0; i = t->nodes[i].sibling_next) {
        struct mu_tree_node *node = &t->nodes[i];
        if (is_full(node))
            *hash_link(t, i) = node->hash_next;
        node->parent = parent;
        if (is_full(node))
            hash_add(t, i);
    }
}

void mu_prefix_tree_move(struct mu_prefix_tree *t, int32_t dst, int32_t src)
{
    struct mu_tree_node *node = &t->nodes[src];
    if (node->n_tokens == 0)
        return;
    if (is_full(node))
        *hash_link(t, src) = dst;
    t->nodes[dst] = *node;
    node->n_tokens = 0;
    node->is_waiting = false;
    relink_siblings(t, dst);
    if (t->nodes[dst].is_waiting)
        relink_lru(t, dst);
    reparent_children(t, dst);
}
