/* kv_pages.c - references and counts of the page pool; the last page freed is taken first */
#include "engine/kv_pages.h"

#include "base/check.h"

void mu_kv_pages_carve(struct mu_kv_pages *p, struct mu_carve *c, int32_t n)
{
    p->n = n;
    p->free_stack = mu_carve(c, n, sizeof *p->free_stack);
    p->refs = mu_carve(c, n, sizeof *p->refs);
    p->is_in_tree = mu_carve(c, n, sizeof *p->is_in_tree);
}

void mu_kv_pages_reset(struct mu_kv_pages *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        p->free_stack[i] = p->n - 1 - i; /* page 0 is taken first */
        p->refs[i] = 0;
        p->is_in_tree[i] = false;
    }
    p->n_free = p->n;
    p->n_cached = p->n_shared = p->n_reserved = p->n_used_peak = 0;
}

static void note_peak(struct mu_kv_pages *p)
{
    p->n_used_peak = MU_MAX(p->n_used_peak, p->n - p->n_free - p->n_cached);
}

int32_t mu_kv_pages_take(struct mu_kv_pages *p)
{
    if (p->n_free == 0)
        return -1;
    int32_t page = p->free_stack[--p->n_free];
    p->refs[page] = 1;
    note_peak(p);
    return page;
}

static void give_back(struct mu_kv_pages *p, int32_t page)
{
    p->free_stack[p->n_free++] = page;
}

void mu_kv_pages_ref(struct mu_kv_pages *p, int32_t page)
{
    int32_t refs = ++p->refs[page];
    if (refs == 1 && p->is_in_tree[page])
        p->n_cached--;
    if (refs == 2)
        p->n_shared++;
    note_peak(p);
}

bool mu_kv_pages_unref(struct mu_kv_pages *p, int32_t page)
{
    int32_t refs = --p->refs[page];
    if (refs == 1)
        p->n_shared--;
    if (refs > 0)
        return false;
    if (p->is_in_tree[page]) {
        p->n_cached++;
        return true;
    }
    give_back(p, page);
    return false;
}

void mu_kv_pages_tree_add(struct mu_kv_pages *p, int32_t page)
{
    p->is_in_tree[page] = true;
}

void mu_kv_pages_tree_remove(struct mu_kv_pages *p, int32_t page)
{
    p->is_in_tree[page] = false;
    if (p->refs[page] == 0) {
        p->n_cached--;
        give_back(p, page);
    }
}
