/* kv_pages.c - references and counts of the page pool; the last page freed is taken first */
#include "engine/kv/kv_pages.h"

#include <string.h>

#include "base/check.h"

void mu_kv_pages_carve(struct mu_kv_pages *p, struct mu_carve *c, int32_t n)
{
    p->n = n;
    p->classes = 1;
    p->free_stack = mu_carve(c, n, sizeof *p->free_stack);
    p->refs = mu_carve(c, n, sizeof *p->refs);
    p->is_in_tree = mu_carve(c, n, sizeof *p->is_in_tree);
}

void mu_kv_pages_reset(struct mu_kv_pages *p, int classes)
{
    p->classes = classes;
    memset(p->class, 0, sizeof p->class);
    for (int32_t i = 0; i < p->n; i++) {
        p->refs[i] = 0;
        p->is_in_tree[i] = false;
    }
    p->n_cached = p->n_shared = p->n_reserved = p->n_used_peak = 0;
    p->n_backed = p->n;
    mu_kv_pages_list_free(p);
}

static void note_peak(struct mu_kv_pages *p)
{
    p->n_used_peak = MU_MAX(p->n_used_peak, p->n - p->n_free - p->n_cached);
}

static int32_t *free_of(const struct mu_kv_pages *p, int class)
{
    return p->free_stack + p->n / p->classes * class;
}

int32_t mu_kv_pages_take(struct mu_kv_pages *p, int class)
{
    if (p->class[class].n_free == 0)
        return -1;
    int32_t page = free_of(p, class)[--p->class[class].n_free];
    p->n_free--;
    p->refs[page] = 1;
    p->n_backed = MU_MAX(p->n_backed, page + 1);
    note_peak(p);
    return page;
}

static void give_back(struct mu_kv_pages *p, int32_t page)
{
    int class = page % p->classes;
    free_of(p, class)[p->class[class].n_free++] = page;
    p->n_free++;
}

static void count_cached(struct mu_kv_pages *p, int32_t page, int n)
{
    p->class[page % p->classes].n_cached += n;
    p->n_cached += n;
}

void mu_kv_pages_ref(struct mu_kv_pages *p, int32_t page)
{
    int32_t refs = ++p->refs[page];
    if (refs == 1 && p->is_in_tree[page])
        count_cached(p, page, -1);
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
        count_cached(p, page, 1);
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
        count_cached(p, page, -1);
        give_back(p, page);
    }
}

/* ---- compaction ---- */

int32_t mu_kv_pages_span(const struct mu_kv_pages *p)
{
    int32_t end = p->n_backed; /* nothing is used from there on */
    while (end > 0 && mu_kv_pages_is_free(p, end - 1))
        end--;
    return end;
}

bool mu_kv_pages_next_move(const struct mu_kv_pages *p, int32_t *dst, int32_t *src)
{
    while (*src > *dst && mu_kv_pages_is_free(p, *src))
        *src -= p->classes;
    while (*dst < *src && !mu_kv_pages_is_free(p, *dst))
        *dst += p->classes;
    return *dst < *src;
}

void mu_kv_pages_move(struct mu_kv_pages *p, int32_t dst, int32_t src)
{
    p->refs[dst] = p->refs[src];
    p->is_in_tree[dst] = p->is_in_tree[src];
    p->refs[src] = 0;
    p->is_in_tree[src] = false;
}

void mu_kv_pages_list_free(struct mu_kv_pages *p)
{
    p->n_free = 0;
    for (int class = 0; class < p->classes; class ++)
        p->class[class].n_free = 0;
    for (int32_t page = p->n - 1; page >= 0; page--) {
        if (mu_kv_pages_is_free(p, page))
            give_back(p, page);
    }
}
