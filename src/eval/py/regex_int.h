/* regex_int.h - what the files of the regular expressions share */
#ifndef MU_EVAL_PY_REGEX_INT_H
#define MU_EVAL_PY_REGEX_INT_H

#include "eval/py/regex.h"

#define MU_PYRE_BYTES_MAX 65536 /* of one pattern; the longest in published task files is below 1 KB */
#define MU_PYRE_DEPTH_MAX 200   /* groups in groups; PCRE2's own bound is 250 */

/* A named group: where its name stands in the pattern. */
struct mu_pyre_name {
    size_t at, n;
    int group;
};

/* A pattern in PCRE2's syntax, and what only Python's told. All groups are numbered in it; names are kept here. */
struct mu_pyre_syntax {
    struct mu_buf out;
    unsigned flags; /* asked for, and those at the beginning of the pattern */
    int groups;     /* without group 0 */
    bool is_atomic; /* has a possessive repeat or (?>...) */
    struct mu_pyre_name names[MU_PYRE_GROUPS_MAX];
    int n_names;
};

int mu_pyre_translate(struct mu_pyre_syntax *x, struct mu_str pattern, unsigned flags, const char *where,
                      struct mu_err *e);

/* The state of a translation. */
struct mu_pyre_reader {
    struct mu_pyre_syntax *x;
    struct mu_str s; /* the pattern */
    size_t at;
    int depth;
    int latest_condition; /* highest group that a (?(n)...) asked about */
    bool is_open[MU_PYRE_GROUPS_MAX];
    const char *where;
    struct mu_err *e;
};

int mu_pyre_fail(const struct mu_pyre_reader *t, int code, const char *why);
int mu_pyre_peek(const struct mu_pyre_reader *t, size_t ahead); /* a byte, -1 past the end */
int mu_pyre_emit(struct mu_pyre_reader *t, const char *text);
int mu_pyre_emit_char(struct mu_pyre_reader *t, uint32_t cp); /* as itself, in a class and outside */

/* regex_class.c: [...] with t->at behind the bracket; \d \w \s and their complements; the number of an escape that is
 * one character (\n, \x41, \101, \u...), t->at behind the backslash. */
int mu_pyre_class(struct mu_pyre_reader *t);
const char *mu_pyre_category(int letter, bool is_in_class); /* NULL for another letter */
int mu_pyre_escape_char(struct mu_pyre_reader *t, bool is_in_class, uint32_t *cp);

/* The group of a name, -1 when there is none. */
int mu_pyre_group_of(const struct mu_pyre_syntax *x, struct mu_str pattern, struct mu_str name);

/* regex.c: the compiled pattern, for regex_sub.c */
struct mu_pyre {
    void *code;   /* pcre2_code */
    void *limits; /* pcre2_match_context */
    struct mu_pyre_syntax syntax;
    char *where, *pattern;
    size_t pattern_n;
};

/* One walk over all matches of a text, as re.finditer: an empty match may follow a match, but not an empty one there.
 */
struct mu_pyre_walk {
    const struct mu_pyre *r;
    struct mu_str text;
    void *data; /* pcre2_match_data */
    size_t from;
    bool was_empty;
};

int mu_pyre_walk_begin(struct mu_pyre_walk *w, const struct mu_pyre *r, struct mu_str text, struct mu_err *e);
int mu_pyre_walk_next(struct mu_pyre_walk *w, bool *found, struct mu_pyre_match *m, struct mu_err *e);
void mu_pyre_walk_end(struct mu_pyre_walk *w);

#endif
