/* word_cache.c - 16384 entries of up to 6 ids: 768 KiB, which fits a core's second-level cache */
#include "tok/word_cache.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#define CACHE_ENTRIES   16384
#define CACHE_IDS       6 /* longer words are rare enough to be merged again */
#define CACHE_BYTES_MAX 48

struct entry {
    const char *p; /* NULL: free */
    uint32_t n, n_ids;
    int32_t ids[CACHE_IDS];
};

struct mu_word_cache {
    struct entry entries[CACHE_ENTRIES];
};

int mu_word_cache_new(struct mu_word_cache **out, struct mu_err *e)
{
    return MU_NEW(out, "the word cache", e);
}

void mu_word_cache_free(struct mu_word_cache *c)
{
    mu_free(c);
}

static size_t place_of(struct mu_str word)
{
    return (size_t)mu_hash64(word.p, word.n, 0) % CACHE_ENTRIES;
}

int mu_word_cache_get(const struct mu_word_cache *c, struct mu_str word, struct mu_ids *ids, bool *found,
                      struct mu_err *e)
{
    *found = false;
    if (word.n > CACHE_BYTES_MAX)
        return MU_OK;
    const struct entry *entry = &c->entries[place_of(word)];
    if (!entry->p || entry->n != word.n || memcmp(entry->p, word.p, word.n) != 0)
        return MU_OK;
    for (uint32_t i = 0; i < entry->n_ids; i++)
        MU_TRY_RETURN(mu_ids_add(ids, entry->ids[i], e));
    *found = true;
    return MU_OK;
}

void mu_word_cache_put(struct mu_word_cache *c, struct mu_str word, const int32_t *ids, size_t n)
{
    if (word.n > CACHE_BYTES_MAX || n > CACHE_IDS)
        return;
    struct entry *entry = &c->entries[place_of(word)];
    *entry = (struct entry){word.p, (uint32_t)word.n, (uint32_t)n, {0}};
    if (n)
        memcpy(entry->ids, ids, n * sizeof *ids);
}
