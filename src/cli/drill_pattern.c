/* drill_pattern.c - see drill_pattern.h */
#include "cli/drill_pattern.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/pool.h"

#define SEED  0x9e3779b97f4a7c15u
#define BLOCK 8192 /* words between two looks at what differs */

struct pattern {
    uint64_t *to;
    const uint64_t *from;
    uint64_t flip;
    atomic_int_fast64_t n_bad, first;
};

static void write_words(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct pattern *t = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        t->to[i] = ((uint64_t)i + SEED) ^ t->flip;
}

void mu_pattern_write(struct mu_pool *pool, uint64_t *p, int64_t n, bool is_inverted)
{
    struct pattern t = {.to = p, .flip = is_inverted ? UINT64_MAX : 0};
    mu_pool_for(pool, n, BLOCK, write_words, &t);
}

static void note_bad(struct pattern *t, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        if (t->from[i] == (((uint64_t)i + SEED) ^ t->flip))
            continue;
        int_fast64_t first = atomic_load(&t->first);
        while (i < first && !atomic_compare_exchange_weak(&t->first, &first, i))
            ;
        atomic_fetch_add(&t->n_bad, 1);
    }
}

static void check_words(void *arg, int64_t begin, int64_t end, int worker)
{
    struct pattern *t = arg;
    (void)worker;
    for (int64_t at = begin; at < end; at += BLOCK) {
        int64_t until = MU_MIN(end, at + BLOCK);
        uint64_t differs = 0;
        for (int64_t i = at; i < until; i++)
            differs |= t->from[i] ^ ((uint64_t)i + SEED) ^ t->flip;
        if (differs)
            note_bad(t, at, until);
    }
}

int64_t mu_pattern_check(struct mu_pool *pool, const uint64_t *p, int64_t n, bool is_inverted, int64_t *first)
{
    struct pattern t = {.from = p, .flip = is_inverted ? UINT64_MAX : 0};
    atomic_init(&t.n_bad, 0);
    atomic_init(&t.first, INT64_MAX);
    mu_pool_for(pool, n, BLOCK, check_words, &t);
    int64_t n_bad = atomic_load(&t.n_bad);
    *first = n_bad > 0 ? (int64_t)atomic_load(&t.first) : -1;
    return n_bad;
}
