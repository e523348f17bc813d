/* filter_int.h - what the files of this folder share
 *
 * Where the harness writes `for resp in inst`, an instance is a list of responses, or, after take_first, a text, whose
 * characters it then walks through; mu_filter_each() does the same. */
#ifndef MU_EVAL_FILTER_FILTER_INT_H
#define MU_EVAL_FILTER_FILTER_INT_H

#include "base/buf.h"
#include "eval/filter/filter.h"
#include "eval/py/regex.h"

#define MU_FILTER_TEXT_MAX ((size_t)64 << 20)

extern const struct mu_filter mu_filter_regex, mu_filter_regex_pos, mu_filter_multi_choice_regex,
    mu_filter_remove_whitespace, mu_filter_lowercase, mu_filter_uppercase, mu_filter_map, mu_filter_take_first,
    mu_filter_take_first_k, mu_filter_majority_vote, mu_filter_format_span, mu_filter_decontaminate, mu_filter_custom;

/* *out = one(response) for every response of every request. */
typedef int (*mu_filter_one)(void *arg, const json_t *resp, json_t **out, struct mu_err *e);
int mu_filter_each(const char *name, const json_t *resps, mu_filter_one one, void *arg, json_t **out, struct mu_err *e);

/* The same where every response is a text and becomes another: change appends to out. */
typedef int (*mu_filter_change)(struct mu_buf *out, struct mu_str text, struct mu_err *e);
int mu_filter_each_text(const char *name, const json_t *resps, mu_filter_change change, json_t **out, struct mu_err *e);

/* The responses of one request as a new array. */
int mu_filter_list(const char *name, const json_t *inst, json_t **out, struct mu_err *e);
int mu_filter_list_each(const char *name, const json_t *inst, mu_filter_one one, void *arg, json_t **out,
                        struct mu_err *e);

int mu_filter_append(json_t *array, json_t *value, struct mu_err *e); /* takes value, NULL too, when it fails as well */
int mu_filter_text(struct mu_str s, json_t **out, struct mu_err *e);

static inline struct mu_str mu_filter_str(const json_t *v) /* "" when v is no text */
{
    const char *p = json_string_value(v);
    return (struct mu_str){p ? p : "", json_string_length(v)};
}

/* ---- keyword arguments ---- */

/* Only these names; known ends with NULL. */
int mu_filter_known(const char *name, const json_t *kwargs, const char *const *known, struct mu_err *e);

/* What regex and its kin take. */
struct mu_filter_regex_args {
    struct mu_pyre *regex;
    int64_t group_select;
    json_t *fallback; /* owned */
};
int mu_filter_regex_open(struct mu_filter_regex_args *a, const char *name, const json_t *kwargs, struct mu_err *e);
void mu_filter_regex_close(struct mu_filter_regex_args *a);

/* The match that group_select chooses, stripped: *out a text; NULL: there is none. all_empty: it has groups, and none
 * of them took part; then *out is NULL too. */
int mu_filter_regex_find(const struct mu_filter_regex_args *a, const json_t *resp, json_t **out, bool *all_empty,
                         struct mu_err *e);

#endif
