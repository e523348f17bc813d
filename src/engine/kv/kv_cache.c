/* kv_cache.c - see kv_cache.h */
#include "engine/kv/kv_cache.h"

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
    mu_kv_pages_reset(&kv->pages, MU_MAX(runner->page_owners, 1));
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
        m->n_cached[page % kv->pages.classes] += kv->pages.refs[page] == 0;
    }
    m->copy_from = mu_prefix_tree_best(&kv->tree, m->last, ids + at, MU_MIN(n - at, MU_KV_PAGE), &m->n_copy);
    if (m->n_copy < MU_SHARE_TOKENS_MIN)
        m->n_copy = 0;
}

/* Pages [from, to) of a sequence that are of a class. */
static int64_t pages_of(const struct mu_kv_cache *kv, int class, int64_t from, int64_t to)
{
    int cp = kv->pages.classes;
    return mu_shard_pages_of(cp, class, to) - mu_shard_pages_of(cp, class, from);
}

bool mu_kv_fits(const struct mu_kv_cache *kv, const struct mu_kv_match *m, int64_t n_total)
{
    for (int i = 0; i < kv->pages.classes; i++) {
        const struct mu_kv_class *c = &kv->pages.class[i];
        int64_t left = (int64_t)c->n_free + c->n_cached - c->n_reserved - m->n_cached[i];
        if (left < pages_of(kv, i, m->n_pages, mu_kv_pages_for(n_total)))
            return false;
    }
    return true;
}

/* Pages [n_pages, n_pages + n) of the sequence are promised to it, or (sign -1) no longer. */
static void promise(struct mu_kv_cache *kv, int seq, int32_t n, int sign)
{
    kv->n_reserved[seq] += sign * n;
    for (int i = 0; i < kv->pages.classes; i++) {
        int64_t own = pages_of(kv, i, kv->n_pages[seq], (int64_t)kv->n_pages[seq] + n);
        mu_kv_pages_promise(&kv->pages, i, (int32_t)own * sign);
    }
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

static int class_of(const struct mu_kv_cache *kv, int page)
{
    return mu_shard_page_owner(kv->pages.classes, page);
}

/* A page out of the free ones or the longest unused, which go in their order until one is of the class; -1 when all
 * are held. */
static int32_t take_page(struct mu_kv_cache *kv, int class)
{
    while (kv->pages.class[class].n_free == 0) {
        int32_t old = mu_prefix_tree_evict(&kv->tree);
        if (old < 0)
            return -1;
        mu_kv_pages_tree_remove(&kv->pages, old);
    }
    return mu_kv_pages_take(&kv->pages, class);
}

/* The sequence's next page, which was promised. */
static int32_t append_page(struct mu_kv_cache *kv, int seq)
{
    int32_t page = take_page(kv, class_of(kv, kv->n_pages[seq]));
    promise(kv, seq, 1, -1);
    table_of(kv, seq)[kv->n_pages[seq]++] = page;
    return page;
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
    if (m->n_copy == 0)
        return MU_OK;
    const struct mu_kv_class *c = &kv->pages.class[class_of(kv, m->n_pages)];
    if (c->n_free + c->n_cached - (kv->pages.refs[m->copy_from] == 0) == 0)
        return MU_OK;
    hold(kv, m->copy_from);
    int32_t page = append_page(kv, seq);
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
    promise(kv, seq, (int32_t)(mu_kv_pages_for(n_total) - m->n_pages), 1);
    *n_attached = m->n_pages * MU_KV_PAGE;
    int rc = copy_partial(kv, seq, m, n_attached, e);
    if (rc != MU_OK)
        mu_kv_end(kv, seq, NULL, 0, false);
    return rc;
}

void mu_kv_make_room(struct mu_kv_cache *kv, int seq, int64_t n_tokens)
{
    while ((int64_t)kv->n_pages[seq] * MU_KV_PAGE < n_tokens)
        append_page(kv, seq);
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
    promise(kv, seq, kv->n_reserved[seq], -1);
    kv->n_pages[seq] = kv->n_published[seq] = 0;
}

int32_t mu_kv_drop_cached(struct mu_kv_cache *kv)
{
    int32_t n = 0;
    for (int32_t page; (page = mu_prefix_tree_evict(&kv->tree)) >= 0; n++)
        mu_kv_pages_tree_remove(&kv->pages, page);
    return n;
}

/* ---- compaction ---- */

/* As many entries as there are references. */
static void move_in_tables(struct mu_kv_cache *kv, int32_t dst, int32_t src)
{
    int32_t left = kv->pages.refs[src];
    for (int seq = 0; seq < kv->n_seqs && left > 0; seq++) {
        int32_t *table = table_of(kv, seq);
        int i = 0;
        while (i < kv->n_pages[seq] && table[i] != src)
            i++;
        if (i == kv->n_pages[seq])
            continue;
        table[i] = dst; /* a sequence holds a page once */
        left--;
    }
}

static int compact_class(struct mu_kv_cache *kv, int class, int pages_max, int *n_moved, struct mu_err *e)
{
    int32_t dst = class, src = kv->pages.n - kv->pages.classes + class;
    while (*n_moved < pages_max && mu_kv_pages_next_move(&kv->pages, &dst, &src)) {
        MU_TRY_RETURN(kv->runner->ops->copy_page(kv->runner, kv->lane, dst, src, e));
        move_in_tables(kv, dst, src);
        mu_prefix_tree_move(&kv->tree, dst, src);
        mu_kv_pages_move(&kv->pages, dst, src);
        ++*n_moved;
    }
    return MU_OK;
}

int mu_kv_compact(struct mu_kv_cache *kv, int pages_max, int *n_moved, struct mu_err *e)
{
    int rc = MU_OK;
    *n_moved = 0;
    for (int class = 0; class < kv->pages.classes && rc == MU_OK; class ++)
        rc = compact_class(kv, class, pages_max, n_moved, e);
    mu_kv_pages_list_free(&kv->pages);
    return rc;
}

int mu_kv_give_back(struct mu_kv_cache *kv, int32_t *n_pages, struct mu_err *e)
{
    int32_t keep = mu_kv_pages_span(&kv->pages);
    *n_pages = 0;
    if (!kv->runner->ops->keep_pages || keep == kv->pages.n_backed)
        return MU_OK;
    MU_TRY_RETURN(kv->runner->ops->keep_pages(kv->runner, kv->lane, keep, e));
    *n_pages = kv->pages.n_backed - keep;
    kv->pages.n_backed = keep;
    return MU_OK;
}
