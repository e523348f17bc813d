/* test_kv_cache.c - random lives of sequences over a small pool: no page leaks, no page is written while shared, and
 * every sequence finds its own tokens in its pages, however often these are moved together and memory is given back */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/kv/pool_stats.h"

#define SEQS    7
#define PAGES   40
#define CONTEXT 160
#define LANE    3

/* A runner that only copies; page contents are tokens. */
struct copier {
    struct mu_runner base;
    int32_t tokens[PAGES][MU_KV_PAGE]; /* with the class above */
};

static int copy_page(struct mu_runner *r, int lane, int32_t dst, int32_t src, struct mu_err *e)
{
    struct copier *c = (struct copier *)r;
    (void)e;
    XT_EQ(lane, LANE);
    memcpy(c->tokens[dst], c->tokens[src], sizeof c->tokens[0]);
    return MU_OK;
}

/* What is given back is lost. */
static int keep_pages(struct mu_runner *r, int lane, int32_t n, struct mu_err *e)
{
    struct copier *c = (struct copier *)r;
    (void)e;
    XT_EQ(lane, LANE);
    for (int32_t page = n; page < PAGES; page++)
        memset(c->tokens[page], 0x7f, sizeof c->tokens[page]);
    return MU_OK;
}

static const struct mu_runner_ops copier_ops = {.name = "copier", .copy_page = copy_page, .keep_pages = keep_pages};

struct life {
    int32_t ids[CONTEXT];
    int n_total, n_done;
    int32_t class;
    bool is_alive;
};

struct world {
    struct mu_kv_cache kv;
    int32_t table[SEQS * ((CONTEXT + MU_KV_PAGE - 1) / MU_KV_PAGE)];
    struct copier copier;
    struct life lives[SEQS];
    void *block;
    uint64_t seed, seed_moves;
    int n_moved, n_given_back;
};

static void open_world(struct world *w, bool is_sharing, int classes)
{
    struct mu_carve c = {NULL, 0};
    struct mu_err err = MU_ERR_INIT;
    memset(w, 0, sizeof *w);
    w->seed = 99;
    w->seed_moves = 5;
    w->copier.base.ops = &copier_ops;
    w->copier.base.page_owners = classes;
    mu_kv_cache_carve(&w->kv, &c, SEQS, CONTEXT, PAGES);
    char **block = (char **)&w->block;
    XT_OK(MU_NEW_ARRAY(block, c.used, "the cache", &err));
    c = (struct mu_carve){w->block, 0};
    mu_kv_cache_carve(&w->kv, &c, SEQS, CONTEXT, PAGES);
    mu_kv_cache_reset(&w->kv, &w->copier.base, LANE, w->table, is_sharing);
}

static int32_t page_of(struct world *w, int seq, int i)
{
    return w->kv.table[seq * w->kv.pages_max + i];
}

static int32_t content(const struct life *l, int t)
{
    return l->ids[t] + l->class * 1000;
}

static void check_tokens(struct world *w, int seq)
{
    struct life *l = &w->lives[seq];
    for (int t = 0; t < l->n_done; t++)
        XT_CHECKF(w->copier.tokens[page_of(w, seq, t / MU_KV_PAGE)][t % MU_KV_PAGE] == content(l, t),
                  "sequence %d lost its token %d", seq, t);
}

/* Two-symbol texts share beginnings often. */
static void begin(struct world *w, int seq)
{
    struct life *l = &w->lives[seq];
    struct mu_err err = MU_ERR_INIT;
    struct mu_kv_match m;
    l->n_total = 1 + (int)(xt_rand(&w->seed) % (CONTEXT - 1));
    l->class = l->n_total > 140;
    for (int t = 0; t < CONTEXT; t++)
        l->ids[t] = (int32_t)(xt_rand(&w->seed) % 12 == 0) + t / 16 % 2 * 2;
    mu_kv_match(&w->kv, mu_tree_root(l->class), l->ids, l->n_total - 1, &m);
    if (!mu_kv_fits(&w->kv, &m, l->n_total))
        return;
    XT_OK(mu_kv_begin(&w->kv, seq, &m, l->n_total, &l->n_done, &err));
    XT_CHECK(l->n_done <= mu_kv_match_tokens(&m));
    l->is_alive = true;
    check_tokens(w, seq);
}

static void advance(struct world *w, int seq)
{
    struct life *l = &w->lives[seq];
    int n = 1 + (int)(xt_rand(&w->seed) % 20);
    n = MU_MIN(n, l->n_total - l->n_done);
    mu_kv_make_room(&w->kv, seq, l->n_done + n);
    for (int i = 0; i < n; i++, l->n_done++) {
        int32_t page = page_of(w, seq, l->n_done / MU_KV_PAGE);
        XT_EQ(w->kv.pages.refs[page], 1); /* never written while shared */
        XT_CHECK(!w->kv.pages.is_in_tree[page]);
        w->copier.tokens[page][l->n_done % MU_KV_PAGE] = content(l, l->n_done);
    }
    mu_kv_publish(&w->kv, seq, l->ids, l->n_done);
}

static void finish(struct world *w, int seq)
{
    struct life *l = &w->lives[seq];
    mu_kv_end(&w->kv, seq, l->ids, l->n_done, xt_rand(&w->seed) % 4 != 0);
    l->is_alive = false;
    l->n_done = 0;
}

/* The same by class; a sequence's pages are where their strands are. */
static void check_classes(struct world *w)
{
    const struct mu_kv_pages *p = &w->kv.pages;
    int n_free[MU_ATTN_STRANDS] = {0}, n_cached[MU_ATTN_STRANDS] = {0}, n_reserved[MU_ATTN_STRANDS] = {0};
    for (int s = 0; s < SEQS; s++) {
        for (int i = 0; i < w->kv.n_pages[s]; i++)
            XT_EQ(page_of(w, s, i) % p->classes, mu_shard_page_owner(p->classes, i));
        for (int i = 0; i < w->kv.n_reserved[s]; i++)
            n_reserved[mu_shard_page_owner(p->classes, w->kv.n_pages[s] + i)]++;
    }
    for (int i = 0; i < PAGES; i++) {
        n_free[i % p->classes] += p->refs[i] == 0 && !p->is_in_tree[i];
        n_cached[i % p->classes] += p->refs[i] == 0 && p->is_in_tree[i];
    }
    for (int c = 0; c < p->classes; c++) {
        XT_EQ(p->class[c].n_free, n_free[c]);
        XT_EQ(p->class[c].n_cached, n_cached[c]);
        XT_EQ(p->class[c].n_reserved, n_reserved[c]);
        XT_CHECK(n_free[c] + n_cached[c] >= n_reserved[c]);
    }
}

/* Every count told from scratch. */
static void check_counts(struct world *w)
{
    const struct mu_kv_pages *p = &w->kv.pages;
    int refs[PAGES] = {0}, n_free = 0, n_cached = 0, n_shared = 0, n_reserved = 0;
    for (int s = 0; s < SEQS; s++) {
        for (int i = 0; i < w->kv.n_pages[s]; i++)
            refs[page_of(w, s, i)]++;
        n_reserved += w->kv.n_reserved[s];
    }
    for (int i = 0; i < PAGES; i++) {
        XT_EQ(p->refs[i], refs[i]);
        XT_EQ(p->is_in_tree[i], w->kv.tree.nodes[i].n_tokens > 0);
        n_free += refs[i] == 0 && !p->is_in_tree[i];
        n_cached += refs[i] == 0 && p->is_in_tree[i];
        n_shared += refs[i] > 1;
        XT_EQ(w->kv.tree.nodes[i].is_waiting, refs[i] == 0 && p->is_in_tree[i]);
    }
    XT_EQ(p->n_free, n_free);
    XT_EQ(p->n_cached, n_cached);
    XT_EQ(p->n_shared, n_shared);
    XT_EQ(p->n_reserved, n_reserved);
    XT_CHECK(n_free + n_cached >= n_reserved);
    check_classes(w);
}

/* Every node stands once among its parent's children, is found there by its tokens, and may be waiting once. */
static void check_tree(struct world *w)
{
    const struct mu_prefix_tree *t = &w->kv.tree;
    int n_nodes = 0, n_listed = 0, n_waiting = 0, n_aged = 0;
    for (int32_t i = -1; i < PAGES; i++) {
        if (i >= 0 && t->nodes[i].n_tokens == 0)
            continue;
        n_nodes += i >= 0;
        n_waiting += i >= 0 && t->nodes[i].is_waiting;
        int32_t before = -1;
        for (int32_t c = i < 0 ? t->root_child : t->nodes[i].child; c >= 0; c = t->nodes[c].sibling_next) {
            XT_CHECK(i < 0 ? t->nodes[c].parent < 0 : t->nodes[c].parent == i);
            XT_EQ(t->nodes[c].sibling_prev, before);
            if (t->nodes[c].n_tokens == MU_KV_PAGE)
                XT_EQ(mu_prefix_tree_child(t, t->nodes[c].parent, t->nodes[c].tokens), c);
            before = c;
            n_listed++;
        }
    }
    for (int32_t i = t->lru_head; i >= 0; i = t->nodes[i].lru_next, n_aged++)
        XT_CHECK(n_aged < PAGES && t->nodes[i].is_waiting);
    XT_EQ(n_listed, n_nodes);
    XT_EQ(n_aged, n_waiting);
}

/* The statistics, told from the pages' tokens one by one. */
static void check_stats(struct world *w)
{
    bool is_held[PAGES] = {false}, is_used[PAGES] = {false};
    bool is_there[PAGES][MU_KV_PAGE] = {{false}};
    struct mu_kv_stats s;
    int64_t n_tokens = 0, n_refs = 0, n_held = 0, n_distinct = 0, span = 0, run = 0, longest = 0;
    for (int seq = 0; seq < SEQS; seq++) {
        n_tokens += w->lives[seq].n_done;
        n_refs += w->kv.n_pages[seq];
        for (int i = 0; i < w->kv.n_pages[seq]; i++)
            is_held[page_of(w, seq, i)] = true;
        for (int t = 0; t < w->lives[seq].n_done; t++)
            is_there[page_of(w, seq, t / MU_KV_PAGE)][t % MU_KV_PAGE] = true;
    }
    for (int i = 0; i < PAGES; i++) {
        is_used[i] = is_held[i] || w->kv.tree.nodes[i].n_tokens > 0;
        n_held += is_held[i];
        span = is_used[i] ? i + 1 : span;
        run = is_used[i] ? 0 : run + 1;
        longest = MU_MAX(longest, run);
        for (int t = 0; t < MU_KV_PAGE; t++)
            n_distinct += is_there[i][t];
    }
    mu_kv_stats_take(&s, &w->kv, n_tokens);
    XT_EQ(s.pages, PAGES);
    XT_EQ(s.free + s.held + s.cached, PAGES);
    XT_EQ(s.held, n_held);
    XT_EQ(s.refs, n_refs);
    XT_EQ(s.tokens, n_distinct);
    XT_EQ(s.tokens_room, n_held * MU_KV_PAGE);
    XT_EQ(s.span, span);
    XT_EQ(s.free_run, longest);
    XT_CHECK(s.held_peak >= s.held && s.given_back <= s.free);
}

/* Some moves, or all there are; now and then the memory behind goes. */
static void tidy(struct world *w)
{
    struct mu_err err = MU_ERR_INIT;
    int most = xt_rand(&w->seed_moves) % 4 ? 1 + (int)(xt_rand(&w->seed_moves) % 5) : PAGES, n_moved;
    int32_t n_given = 0;
    XT_OK(mu_kv_compact(&w->kv, most, &n_moved, &err));
    XT_CHECK(n_moved <= most);
    w->n_moved += n_moved;
    for (int32_t i = w->kv.pages.classes; i < PAGES && n_moved < most; i++)
        XT_CHECK(mu_kv_pages_is_free(&w->kv.pages, i) || !mu_kv_pages_is_free(&w->kv.pages, i - w->kv.pages.classes));
    if (xt_rand(&w->seed_moves) % 8 == 0) {
        XT_OK(mu_kv_give_back(&w->kv, &n_given, &err));
        XT_EQ(w->kv.pages.n_backed, mu_kv_pages_span(&w->kv.pages));
    }
    w->n_given_back += n_given;
    for (int s = 0; s < SEQS; s++)
        check_tokens(w, s);
}

static void one_round(struct world *w, int round)
{
    int seq = (int)(xt_rand(&w->seed) % SEQS);
    struct life *l = &w->lives[seq];
    if (!l->is_alive)
        begin(w, seq);
    else if (l->n_done == l->n_total || xt_rand(&w->seed) % 30 == 0)
        finish(w, seq);
    else
        advance(w, seq);
    if (round % 200 == 199)
        mu_kv_drop_cached(&w->kv);
    check_counts(w);
    check_stats(w);
}

static void end_world(struct world *w)
{
    for (int s = 0; s < SEQS; s++) {
        if (w->lives[s].is_alive) {
            check_tokens(w, s);
            finish(w, s);
        }
    }
    mu_kv_drop_cached(&w->kv);
    XT_EQ(w->kv.pages.n_free, PAGES);
    mu_free(w->block);
}

/* Two worlds live the same lives; in one of them pages are moved after every round, and nobody there can tell. */
static void live(bool is_sharing, int classes)
{
    static struct world w, moved;
    int n_shared = 0;
    open_world(&w, is_sharing, classes);
    open_world(&moved, is_sharing, classes);
    for (int round = 0; round < 20000 / XT_STRIDE; round++) {
        one_round(&w, round);
        one_round(&moved, round);
        tidy(&moved);
        check_counts(&moved);
        check_tree(&moved);
        for (int s = 0; s < SEQS; s++)
            XT_CHECK(w.lives[s].is_alive == moved.lives[s].is_alive && w.lives[s].n_done == moved.lives[s].n_done);
        n_shared += w.kv.pages.n_shared > 0;
    }
    XT_CHECK(is_sharing ? n_shared > 100 : n_shared == 0);
    xt_note("%d pages moved, %d given back", moved.n_moved, moved.n_given_back);
    XT_CHECK(moved.n_moved > 300 && moved.n_given_back > 500);
    end_world(&w);
    end_world(&moved);
}

XT_TEST(pages_live_and_die_in_order_with_sharing)
{
    live(true, 0);
}

XT_TEST(pages_live_and_die_in_order_without_sharing)
{
    live(false, 0);
}

/* Pages that several ranks share out: each only has those of its own strands. */
XT_TEST(pages_of_classes_live_and_die_in_order)
{
    for (int i = 0; i < 4; i++) {
        static const int classes[] = {2, 4, 5, 8};
        live(i % 2 == 0, classes[i]);
        live(i % 2 == 1, classes[i]);
    }
}

static int refuse_copy(struct mu_runner *r, int lane, int32_t dst, int32_t src, struct mu_err *e)
{
    (void)r, (void)lane, (void)dst;
    return mu_fail(e, MU_EPEER, "page %d cannot be copied", src);
}

XT_TEST(a_failed_copy_leaves_the_pool_as_it_was)
{
    static const struct mu_runner_ops refusing = {.name = "refusing", .copy_page = refuse_copy};
    static struct world w;
    struct mu_err err = MU_ERR_INIT;
    struct mu_kv_match m;
    int n_attached, n_moved = -1;
    int32_t n_given = -1;
    open_world(&w, false, 0);
    for (int seq = 0; seq < 2; seq++) {
        mu_kv_match(&w.kv, mu_tree_root(0), w.lives[seq].ids, 40, &m);
        XT_OK(mu_kv_begin(&w.kv, seq, &m, 40, &n_attached, &err));
        mu_kv_make_room(&w.kv, seq, 40);
    }
    mu_kv_end(&w.kv, 0, w.lives[0].ids, 0, false);
    w.copier.base.ops = &refusing;
    XT_FAILS(mu_kv_compact(&w.kv, PAGES, &n_moved, &err), MU_EPEER, "page 5 cannot be copied");
    XT_EQ(n_moved, 0);
    XT_EQ(page_of(&w, 1, 2), 5);
    check_counts(&w);
    XT_OK(mu_kv_give_back(&w.kv, &n_given, &err)); /* a runner that cannot */
    XT_EQ(n_given, 0);
    w.copier.base.ops = &copier_ops;
    XT_OK(mu_kv_compact(&w.kv, 2, &n_moved, &err));
    XT_EQ(n_moved, 2);
    XT_EQ(mu_kv_pages_span(&w.kv.pages), 4);
    XT_OK(mu_kv_compact(&w.kv, 2, &n_moved, &err));
    XT_EQ(n_moved, 1);
    XT_OK(mu_kv_give_back(&w.kv, &n_given, &err));
    XT_EQ(n_given, PAGES - 3);
    mu_free(w.block);
}

XT_TEST(shares_over_the_pool)
{
    struct mu_kv_stats none = {.pages = 8, .free = 8, .free_run = 8};
    struct mu_kv_stats s = {.pages = 20,
                            .free = 10,
                            .held = 8,
                            .cached = 2,
                            .refs = 12,
                            .tokens = 96,
                            .tokens_room = 128,
                            .span = 16,
                            .free_run = 4};
    XT_NEAR(mu_kv_stats_empty(&s), 0.25, 1e-12);
    XT_NEAR(mu_kv_stats_scatter(&s), 0.375, 1e-12);
    XT_NEAR(mu_kv_stats_broken(&s), 0.6, 1e-12);
    XT_NEAR(mu_kv_stats_gain(&s), 1.5, 1e-12);
    XT_CHECK(mu_kv_stats_empty(&none) == 0 && mu_kv_stats_scatter(&none) == 0 && mu_kv_stats_broken(&none) == 0);
    XT_CHECK(mu_kv_stats_gain(&none) == 1);
    mu_kv_stats_add(&s, &none);
    XT_EQ(s.pages, 28);
    XT_EQ(s.free_run, 8); /* of one pool: runs of two do not join */
}
