/* ngram.h - counting the n-grams of one text that another text has too
 *
 * A text is an array of units: code points, or numbers of words. References are added first; each n-gram keeps the
 * largest count that any one reference has. Matching then uses these counts up: clipped counts of Papineni et al. 2002.
 * One table serves document after document. */
#ifndef MU_EVAL_METRIC_NGRAM_H
#define MU_EVAL_METRIC_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/err.h>

#define MU_NGRAM_ORDER_MAX 6
#define MU_NGRAM_UNITS_MAX ((size_t)1 << 20) /* of one document: prediction and references */

struct mu_units {
    uint32_t *p; /* owned */
    size_t n, cap;
};
int mu_units_add(struct mu_units *u, uint32_t unit, struct mu_err *e);
void mu_units_fini(struct mu_units *u);

struct mu_ngram; /* ngram.c */
struct mu_ngrams {
    struct mu_ngram *slot; /* owned; a power of two of them, half full at most */
    size_t n_slots, cap;
    uint32_t reference; /* number of the one being added */
};

/* Forget what was counted; room for the n-grams of n_units units. */
int mu_ngrams_begin(struct mu_ngrams *g, size_t n_units, int order, struct mu_err *e);
void mu_ngrams_reference(struct mu_ngrams *g, const struct mu_units *u, int order);
/* match[n - 1] += how many n-grams of u the references have. Once after each begin. */
void mu_ngrams_match(struct mu_ngrams *g, const struct mu_units *u, int order, int64_t *match);
void mu_ngrams_fini(struct mu_ngrams *g);

/* How many n-grams a text of n units has. */
static inline int64_t mu_ngram_count(size_t n_units, int n)
{
    return n_units >= (size_t)n ? (int64_t)(n_units - (size_t)n + 1) : 0;
}

/* Numbers for words: equal words get equal numbers. Words are borrowed until the next begin. */
struct mu_words {
    struct mu_str *slot; /* owned */
    size_t n_slots, cap;
};
int mu_words_begin(struct mu_words *w, size_t n_words, struct mu_err *e);
uint32_t mu_words_number(struct mu_words *w, struct mu_str word);
void mu_words_fini(struct mu_words *w);

#endif
