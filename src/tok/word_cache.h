/* word_cache.h - ids of words met before, within one encode
 *
 * Texts repeat words; a bounded, direct-mapped table saves merging them again and never changes a result. Words are
 * named by where they lie in the text being encoded, which must not move. */
#ifndef MU_TOK_WORD_CACHE_H
#define MU_TOK_WORD_CACHE_H

#include "tok/tok_int.h"

struct mu_word_cache;

int mu_word_cache_new(struct mu_word_cache **out, struct mu_err *e);
void mu_word_cache_free(struct mu_word_cache *c);

/* Append the ids of a word met before: true. */
int mu_word_cache_get(const struct mu_word_cache *c, struct mu_str word, struct mu_ids *ids, bool *found,
                      struct mu_err *e);
void mu_word_cache_put(struct mu_word_cache *c, struct mu_str word, const int32_t *ids, size_t n);

#endif
