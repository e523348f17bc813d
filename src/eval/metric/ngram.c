/* ngram.c - hash tables of n-grams and words, made to be filled again and again
 *
 * An n-gram is named by the slot of its first n - 1 units and its last unit, so that keys are exact at every order. */
#include "eval/metric/ngram.h"

#include <stdbool.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

struct mu_ngram {
    uint64_t key; /* 1 + slot of the shorter n-gram (0: none) << 32 | unit */
    uint32_t count, most, reference;
    bool used;
};

/* ---- units ---- */

int mu_units_add(struct mu_units *u, uint32_t unit, struct mu_err *e)
{
    if (u->n == u->cap) {
        size_t cap = u->cap ? 2 * u->cap : 256;
        if (cap > MU_NGRAM_UNITS_MAX)
            return mu_fail(e, MU_ELIMIT, "a text to be compared has more than %zu characters or words",
                           MU_NGRAM_UNITS_MAX);
        uint32_t *p = mu_realloc(u->p, cap * sizeof *p);
        if (!p)
            return mu_fail_nomem(e, cap * sizeof *p, "the characters of a text");
        u->p = p;
        u->cap = cap;
    }
    u->p[u->n++] = unit;
    return MU_OK;
}

void mu_units_fini(struct mu_units *u)
{
    mu_free(u->p);
    *u = (struct mu_units){0};
}

/* ---- n-grams ---- */

/* Zeroed slots, twice as many as `want`, a power of two; *cap are allocated. */
static int slots(void *array, size_t size, size_t want, size_t *n, size_t *cap, const char *what, struct mu_err *e)
{
    void **p = array;
    size_t need = 16;
    while (need < 2 * want)
        need *= 2;
    if (need > *cap) {
        mu_free(*p);
        *p = NULL;
        *cap = *n = 0;
        MU_TRY_RETURN(mu_new_array(p, need, size, what, e));
        *cap = need;
    } else {
        memset(*p, 0, need * size);
    }
    *n = need;
    return MU_OK;
}

int mu_ngrams_begin(struct mu_ngrams *g, size_t n_units, int order, struct mu_err *e)
{
    if (n_units > MU_NGRAM_UNITS_MAX)
        return mu_fail(e, MU_ELIMIT, "a prediction and its references have %zu characters or words; the most is %zu",
                       n_units, MU_NGRAM_UNITS_MAX);
    g->reference = 0;
    return slots(&g->slot, sizeof *g->slot, n_units * (size_t)order, &g->n_slots, &g->cap, "n-grams", e);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 32)) * 0x9E3779B97F4A7C15u;
    return x ^ (x >> 29);
}

static struct mu_ngram *find(struct mu_ngrams *g, uint64_t key)
{
    size_t at = (size_t)mix(key) & (g->n_slots - 1);
    while (g->slot[at].used && g->slot[at].key != key)
        at = (at + 1) & (g->n_slots - 1);
    return &g->slot[at];
}

static uint64_t key_of(const struct mu_ngrams *g, const struct mu_ngram *shorter, uint32_t unit)
{
    return (shorter ? (uint64_t)(shorter - g->slot + 1) << 32 : 0) | unit;
}

void mu_ngrams_reference(struct mu_ngrams *g, const struct mu_units *u, int order)
{
    g->reference++;
    for (size_t i = 0; i < u->n; i++) {
        struct mu_ngram *gram = NULL;
        for (int n = 0; n < order && i + (size_t)n < u->n; n++) {
            uint64_t key = key_of(g, gram, u->p[i + (size_t)n]);
            gram = find(g, key);
            if (!gram->used || gram->reference != g->reference)
                gram->count = 0;
            gram->used = true;
            gram->key = key;
            gram->reference = g->reference;
            gram->count++;
            gram->most = MU_MAX(gram->most, gram->count);
        }
    }
}

void mu_ngrams_match(struct mu_ngrams *g, const struct mu_units *u, int order, int64_t *match)
{
    for (size_t i = 0; i < u->n; i++) {
        struct mu_ngram *gram = NULL;
        for (int n = 0; n < order && i + (size_t)n < u->n; n++) {
            gram = find(g, key_of(g, gram, u->p[i + (size_t)n]));
            if (!gram->used)
                break; /* no reference has a longer one either */
            if (gram->most > 0) {
                gram->most--;
                match[n]++;
            }
        }
    }
}

void mu_ngrams_fini(struct mu_ngrams *g)
{
    mu_free(g->slot);
    *g = (struct mu_ngrams){0};
}

/* ---- words ---- */

int mu_words_begin(struct mu_words *w, size_t n_words, struct mu_err *e)
{
    return slots(&w->slot, sizeof *w->slot, n_words, &w->n_slots, &w->cap, "words", e);
}

uint32_t mu_words_number(struct mu_words *w, struct mu_str word)
{
    size_t at = (size_t)mu_hash64(word.p, word.n, 0) & (w->n_slots - 1);
    while (w->slot[at].p && !mu_str_eq(w->slot[at], word))
        at = (at + 1) & (w->n_slots - 1);
    w->slot[at] = word;
    return (uint32_t)at;
}

void mu_words_fini(struct mu_words *w)
{
    mu_free(w->slot);
    *w = (struct mu_words){0};
}
