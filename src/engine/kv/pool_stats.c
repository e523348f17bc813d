/* pool_stats.c - see pool_stats.h */
#include "engine/kv/pool_stats.h"

#include "base/check.h"

static int64_t longest_free_run(const struct mu_kv_pages *p)
{
    int64_t run = 0, longest = 0;
    for (int32_t page = 0; page < p->n; page++) {
        run = mu_kv_pages_is_free(p, page) ? run + 1 : 0;
        longest = MU_MAX(longest, run);
    }
    return longest;
}

void mu_kv_stats_take(struct mu_kv_stats *out, const struct mu_kv_cache *kv, int64_t n_tokens)
{
    const struct mu_kv_pages *p = &kv->pages;
    *out = (struct mu_kv_stats){.pages = p->n,
                                .free = p->n_free,
                                .held = p->n - p->n_free - p->n_cached,
                                .cached = p->n_cached,
                                .shared = p->n_shared,
                                .reserved = p->n_reserved,
                                .held_peak = p->n_used_peak,
                                .span = mu_kv_pages_span(p),
                                .free_run = longest_free_run(p),
                                .given_back = p->n - p->n_backed};
    for (int seq = 0; seq < kv->n_seqs; seq++)
        out->refs += kv->n_pages[seq];
    out->tokens_room = out->held * MU_KV_PAGE;
    out->tokens = n_tokens - (out->refs - out->held) * MU_KV_PAGE; /* a page held twice is full, and counted once */
}

void mu_kv_stats_add(struct mu_kv_stats *a, const struct mu_kv_stats *b)
{
    a->pages += b->pages;
    a->free += b->free;
    a->held += b->held;
    a->cached += b->cached;
    a->shared += b->shared;
    a->refs += b->refs;
    a->reserved += b->reserved;
    a->held_peak += b->held_peak;
    a->tokens += b->tokens;
    a->tokens_room += b->tokens_room;
    a->span += b->span;
    a->free_run = MU_MAX(a->free_run, b->free_run);
    a->given_back += b->given_back;
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

double mu_kv_stats_empty(const struct mu_kv_stats *s)
{
    return share(s->tokens_room - s->tokens, s->tokens_room);
}

double mu_kv_stats_scatter(const struct mu_kv_stats *s)
{
    return share(s->span - s->held - s->cached, s->span);
}

double mu_kv_stats_broken(const struct mu_kv_stats *s)
{
    return share(s->free - s->free_run, s->free);
}

double mu_kv_stats_gain(const struct mu_kv_stats *s)
{
    return s->held > 0 ? share(s->refs, s->held) : 1;
}
