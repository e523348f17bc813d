/* kv_cache.c - see kv_cache.h */
#include "engine/kv_cache.h"

#include "base/check.h"

void mu_kv_cache_carve(struct mu_kv_cache *kv, struct mu_carve *c, int n_seqs, int64_t context_max, int32_t pages_n)
{
    kv->n_seqs = n_seqs;
    kv->pages_max = (int)mu_kv_pages_for(context_max);
    mu_kv_pages_carve(&kv->pages, c, pages_n);
    mu_prefix_tree_carve(&kv->tree, c, pages_n);
    kv->root = mu_carve(c, n_seqs, sizeof *kv->root);
    kv->n_pages = mu_carve(c, n_seqs, sizeof *kv->n_pages);
    kv->n_published = mu_carve(c, n_seqs, sizeof *kv->n_published);
    kv->n_reserved = mu_carve(c, n_seqs, sizeof *kv->n_reserved);
}

void mu_kv_cache_reset(struct mu_kv_cache *kv, struct mu_runner *runner, int lane, int32_t *table, bool is_sharing)
{
    kv->runner = runner;
    kv->lane = lane;
    kv->table = table;
    kv->is_sharing = is_sharing;
    mu_kv_pages_reset(&kv->pages);
    mu_prefix_tree_reset(&kv->tree);
}

static int32_t *table_of(struct mu_kv_cache *kv, int seq)
{
    return kv->table + (int64_t)seq * kv->pages_max;
}

void mu_kv_match(const struct mu_kv_cache *kv, int32_t root, const int32_t *ids, int n, struct mu_kv_match *m)
{
    *m = (struct mu_kv_match){.root = root, .copy_from = -1, .last = root};
    if (!kv->is_sharing)
        return;
    int at = 0;
    for (; n - at >= MU_KV_PAGE; at += MU_KV_PAGE) {
        int32_t page = mu_prefix_tree_child(&kv->tree, m->last, ids + at);
        if (page < 0)
            break;
        m->last = page;
        m->n_pages++;
        m->n_cached += kv->pages.refs[page] == 0;
    }
    m->copy_from = mu_prefix_tree_best(&kv->tree, m->last, ids + at, MU_MIN(n - at, MU_KV_PAGE), &m->n_copy);
    if (m->n_copy < MU_SHARE_TOKENS_MIN)
        m->n_copy = 0;
}

bool mu_kv_fits(const struct mu_kv_cache *kv, const struct mu_kv_match *m, int64_t n_total)
{
    return mu_kv_unpromised(kv) - m->n_cached >= mu_kv_pages_for(n_total) - m->n_pages;
}

static void hold(struct mu_kv_cache *kv, int32_t page)
{
    mu_kv_pages_ref(&kv->pages, page);
    mu_prefix_tree_hold(&kv->tree, page);
}

static void let_go(struct mu_kv_cache *kv, int32_t page)
{
    if (mu_kv_pages_unref(&kv->pages, page))
        mu_prefix_tree_release(&kv->tree, page);
}

/* A page out of the free ones or the longest unused; -1 when all are held. */
static int32_t take_page(struct mu_kv_cache *kv)
{
    if (kv->pages.n_free == 0) {
        int32_t old = mu_prefix_tree_evict(&kv->tree);
        if (old >= 0)
            mu_kv_pages_tree_remove(&kv->pages, old);
    }
    return mu_kv_pages_take(&kv->pages);
}

static void append_page(struct mu_kv_cache *kv, int seq, int32_t page)
{
    table_of(kv, seq)[kv->n_pages[seq]++] = page;
    kv->n_reserved[seq]--;
    kv->pages.n_reserved--;
}

static void attach_path(struct mu_kv_cache *kv, int seq, const struct mu_kv_match *m)
{
    int32_t node = m->last;
    for (int i = m->n_pages - 1; i >= 0; i--) {
        table_of(kv, seq)[i] = node;
        hold(kv, node);
        node = kv->tree.nodes[node].parent;
    }
    kv->n_pages[seq] = kv->n_published[seq] = m->n_pages;
}

/* The source is held while a page is taken, so that it is not the one evicted. When it is the only page left to take,
 * its tokens are computed again instead. */
static int copy_partial(struct mu_kv_cache *kv, int seq, const struct mu_kv_match *m, int *n_attached, struct mu_err *e)
{
    bool can_take =
        kv->pages.n_free > 0 || (mu_prefix_tree_next(&kv->tree) >= 0 &&
                                 (mu_prefix_tree_next(&kv->tree) != m->copy_from || kv->pages.n_cached > 1));
    if (m->n_copy == 0 || !can_take)
        return MU_OK;
    hold(kv, m->copy_from);
    int32_t page = take_page(kv);
    append_page(kv, seq, page);
    int rc = kv->runner->ops->copy_page(kv->runner, kv->lane, page, m->copy_from, e);
    let_go(kv, m->copy_from);
    if (rc == MU_OK)
        *n_attached += m->n_copy;
    return rc;
}

int mu_kv_begin(struct mu_kv_cache *kv, int seq, const struct mu_kv_match *m, int64_t n_total, int *n_attached,
                struct mu_err *e)
{
    kv->root[seq] = m->root;
    attach_path(kv, seq, m);
    kv->n_reserved[seq] = (int32_t)(mu_kv_pages_for(n_total) - m->n_pages);
    kv->pages.n_reserved += kv->n_reserved[seq];
    *n_attached = m->n_pages * MU_KV_PAGE;
    int rc = copy_partial(kv, seq, m, n_attached, e);
    if (rc != MU_OK)
        mu_kv_end(kv, seq, NULL, 0, false);
    return rc;
}

void mu_kv_make_room(struct mu_kv_cache *kv, int seq, int64_t n_tokens)
{
    while ((int64_t)kv->n_pages[seq] * MU_KV_PAGE < n_tokens)
        append_page(kv, seq, take_page(kv));
}

static int32_t parent_of(struct mu_kv_cache *kv, int seq, int i)
{
    return i == 0 ? kv->root[seq] : table_of(kv, seq)[i - 1];
}

void mu_kv_publish(struct mu_kv_cache *kv, int seq, const int32_t *ids, int64_t n_done)
{
    if (!kv->is_sharing)
        return;
    int32_t *table = table_of(kv, seq);
    for (int i = kv->n_published[seq]; (int64_t)(i + 1) * MU_KV_PAGE <= n_done; i++) {
        const int32_t *tokens = ids + (int64_t)i * MU_KV_PAGE;
        int32_t parent = parent_of(kv, seq, i);
        int32_t known = mu_prefix_tree_child(&kv->tree, parent, tokens);
        if (known >= 0) {
            hold(kv, known);
            let_go(kv, table[i]);
            table[i] = known;
        } else {
            mu_prefix_tree_add(&kv->tree, table[i], parent, tokens, MU_KV_PAGE);
            mu_kv_pages_tree_add(&kv->pages, table[i]);
        }
        kv->n_published[seq] = i + 1;
    }
}

/* Remember the last page unless the tree has a page that begins with the same tokens. */
static void publish_partial(struct mu_kv_cache *kv, int seq, const int32_t *ids, int64_t n_done)
{
    int i = kv->n_published[seq];
    int n = (int)(n_done - (int64_t)i * MU_KV_PAGE);
    int n_common;
    if (n <= 0 || n >= MU_KV_PAGE || i >= kv->n_pages[seq])
        return;
    const int32_t *tokens = ids + (int64_t)i * MU_KV_PAGE;
    mu_prefix_tree_best(&kv->tree, parent_of(kv, seq, i), tokens, n, &n_common);
    if (n_common == n)
        return;
    mu_prefix_tree_add(&kv->tree, table_of(kv, seq)[i], parent_of(kv, seq, i), tokens, n);
    mu_kv_pages_tree_add(&kv->pages, table_of(kv, seq)[i]);
}

void mu_kv_end(struct mu_kv_cache *kv, int seq, const int32_t *ids, int64_t n_done, bool keep)
{
    if (keep && kv->is_sharing) {
        mu_kv_publish(kv, seq, ids, n_done);
        publish_partial(kv, seq, ids, n_done);
    }
    for (int i = kv->n_pages[seq] - 1; i >= 0; i--) /* deepest first: see prefix_tree.h */
        let_go(kv, table_of(kv, seq)[i]);
    kv->pages.n_reserved -= kv->n_reserved[seq];
    kv->n_pages[seq] = kv->n_published[seq] = kv->n_reserved[seq] = 0;
}

int32_t mu_kv_drop_cached(struct mu_kv_cache *kv)
{
    int32_t n = 0;
    for (int32_t page; (page = mu_prefix_tree_evict(&kv->tree)) >= 0; n++)
        mu_kv_pages_tree_remove(&kv->pages, page);
    return n;
}
