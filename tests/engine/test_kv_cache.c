/* test_kv_cache.c - random lives of sequences over a small pool: no page leaks, no page is written while shared, and
 * every sequence finds its own tokens in its pages */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/kv_cache.h"

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

static const struct mu_runner_ops copier_ops = {.name = "copier", .copy_page = copy_page};

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
    uint64_t seed;
};

static void open_world(struct world *w, bool is_sharing)
{
    struct mu_carve c = {NULL, 0};
    struct mu_err err = MU_ERR_INIT;
    memset(w, 0, sizeof *w);
    w->seed = 99;
    w->copier.base.ops = &copier_ops;
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
}

static void live(bool is_sharing)
{
    static struct world w;
    int n_shared = 0;
    open_world(&w, is_sharing);
    for (int round = 0; round < 20000; round++) {
        int seq = (int)(xt_rand(&w.seed) % SEQS);
        struct life *l = &w.lives[seq];
        if (!l->is_alive)
            begin(&w, seq);
        else if (l->n_done == l->n_total || xt_rand(&w.seed) % 30 == 0)
            finish(&w, seq);
        else
            advance(&w, seq);
        if (round % 5000 == 4999)
            mu_kv_drop_cached(&w.kv);
        check_counts(&w);
        n_shared += w.kv.pages.n_shared > 0;
    }
    for (int s = 0; s < SEQS; s++) {
        if (w.lives[s].is_alive) {
            check_tokens(&w, s);
            finish(&w, s);
        }
    }
    mu_kv_drop_cached(&w.kv);
    XT_EQ(w.kv.pages.n_free, PAGES);
    XT_CHECK(is_sharing ? n_shared > 100 : n_shared == 0);
    mu_free(w.block);
}

XT_TEST(pages_live_and_die_in_order_with_sharing)
{
    live(true);
}

XT_TEST(pages_live_and_die_in_order_without_sharing)
{
    live(false);
}
