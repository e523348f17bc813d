/* regex.h - Python's re on PCRE2
 *
 * Patterns of task files are written for Python's re. compile() translates what the two read differently (\Z, \A, named
 * groups (?P<n>...), inline flags, {,n}, escapes in classes) and refuses with a sentence what PCRE2 cannot do alike.
 * Text is UTF-8; \w \d \s \b are Unicode's, as for str patterns. A match that takes more than a stated number of steps
 * is MU_ELIMIT, never an endless loop. */
#ifndef MU_EVAL_PY_REGEX_H
#define MU_EVAL_PY_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

enum mu_pyre_flag { MU_PYRE_IGNORECASE = 1, MU_PYRE_MULTILINE = 2, MU_PYRE_DOTALL = 4, MU_PYRE_VERBOSE = 8 };

struct mu_pyre;

int mu_pyre_compile(struct mu_pyre **out, struct mu_str pattern, unsigned flags, const char *where, struct mu_err *e);
void mu_pyre_free(struct mu_pyre *r); /* NULL is fine */
int mu_pyre_groups(const struct mu_pyre *r);

#define MU_PYRE_GROUPS_MAX 100

/* Groups of one match: begin SIZE_MAX for one that took no part. */
struct mu_pyre_match {
    size_t begin[MU_PYRE_GROUPS_MAX], end[MU_PYRE_GROUPS_MAX];
    int n; /* groups, 0 included */
};

/* The first match at or after `from` (bytes); *found false: none. anchored: only at `from`, as re.match. */
int mu_pyre_search(const struct mu_pyre *r, struct mu_str text, size_t from, bool anchored, bool *found,
                   struct mu_pyre_match *m, struct mu_err *e);

/* re.findall: array of texts; of arrays of texts when the pattern has two groups or more. */
int mu_pyre_findall(const struct mu_pyre *r, struct mu_str text, json_t **out, struct mu_err *e);

/* re.sub with Python's replacement syntax (\1, \g<name>), appended to out; count 0: all. */
int mu_pyre_sub(const struct mu_pyre *r, struct mu_str replacement, struct mu_str text, int64_t count,
                struct mu_buf *out, struct mu_err *e);

#endif
