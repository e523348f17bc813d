/* regex.h - the patterns of tokenizer files, run by PCRE2
 *
 * Patterns are written for Oniguruma (Hugging Face tokenizers) or Rust's regex; mu_regex_compile() translates what the
 * two read differently: \s \w \d \h and their complements are the Unicode ones, ^ and $ mean lines, (?m) is "dot
 * matches newline", {n,m}+ repeats greedily, classes nest and intersect with &&.
 * A compiled pattern is immutable and shared by threads; each caller brings a matcher. */
#ifndef MU_TOK_REGEX_H
#define MU_TOK_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include <muster/err.h>

#define MU_REGEX_BYTES_MAX 65536 /* of one pattern; the longest published is below 4 KB */

struct mu_regex;

int mu_regex_compile(struct mu_regex **out, struct mu_str pattern, const char *where, struct mu_err *e);
void mu_regex_free(struct mu_regex *r);

/* PCRE2's pcre2_general_context on our heap, the caller's to free; NULL when there is no memory. */
void *mu_regex_heap(void);

/* Oniguruma's syntax in PCRE2's. Exposed for its tests. */
int mu_regex_translate(struct mu_buf *out, struct mu_str pattern, const char *where, struct mu_err *e);

/* What a match needs of its own: one per thread, made when first used. */
struct mu_matcher {
    void *data; /* pcre2_match_data */
};
#define MU_MATCHER_INIT                                                                                                \
    {                                                                                                                  \
        NULL                                                                                                           \
    }
void mu_matcher_fini(struct mu_matcher *m);

/* The first match in text[0..n) that begins at or after `from`; text is valid UTF-8. *found false: none.
 * mark, if not NULL, receives the name of the (*MARK) passed, or NULL. */
int mu_regex_find(const struct mu_regex *r, struct mu_matcher *m, const char *text, size_t n, size_t from, bool *found,
                  size_t *begin, size_t *end, const char **mark, struct mu_err *e);

#endif
