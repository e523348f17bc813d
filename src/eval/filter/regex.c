/* regex.c - the match of a regular expression in place of the response */
#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"
#include "eval/py/value.h"

int mu_filter_regex_open(struct mu_filter_regex_args *a, const char *name, const json_t *kwargs, struct mu_err *e)
{
    const json_t *pattern = json_object_get(kwargs, "regex_pattern"), *select = json_object_get(kwargs, "group_select");
    json_t *fallback = json_object_get(kwargs, "fallback");
    struct mu_str source = MU_STR("#### (\\-?[0-9\\.\\,]+)");
    char where[96];

    *a = (struct mu_filter_regex_args){0};
    if (pattern && !json_is_string(pattern))
        return mu_fail(e, MU_EFORMAT, "filter %s: regex_pattern must be a text", name);
    if (select && !json_is_integer(select))
        return mu_fail(e, MU_EFORMAT, "filter %s: group_select must be a whole number: which of the matches", name);
    a->group_select = json_integer_value(select);
    if (pattern)
        source = mu_filter_str(pattern);
    snprintf(where, sizeof where, "filter %s, regex_pattern", name);
    MU_TRY_RETURN(mu_pyre_compile(&a->regex, source, 0, where, e));
    a->fallback = fallback ? json_incref(fallback) : json_string("[invalid]");
    return a->fallback ? MU_OK : mu_fail_nomem(e, sizeof(void *), "a filter");
}

void mu_filter_regex_close(struct mu_filter_regex_args *a)
{
    mu_pyre_free(a->regex);
    json_decref(a->fallback);
}

static int stripped(const json_t *match, json_t **out, struct mu_err *e)
{
    return mu_filter_text(mu_py_strip(mu_filter_str(match), true, true), out, e);
}

/* Of a match with several groups the first that is not empty. */
static const json_t *first_group(const json_t *match)
{
    json_t *group;
    size_t i;
    json_array_foreach(match, i, group) if (json_string_length(group) > 0) return group;
    return NULL;
}

int mu_filter_regex_find(const struct mu_filter_regex_args *a, const json_t *resp, json_t **out, bool *all_empty,
                         struct mu_err *e)
{
    json_t *matches = NULL;
    int rc;

    *out = NULL;
    *all_empty = false;
    MU_TRY(mu_pyre_findall(a->regex, mu_filter_str(resp), &matches, e));
    int64_t n = (int64_t)json_array_size(matches), at = a->group_select < 0 ? n + a->group_select : a->group_select;
    if (at < 0 || at >= n)
        goto out; /* also where the harness would stop with an IndexError: too few matches */
    const json_t *match = json_array_get(matches, (size_t)at);
    if (json_is_array(match) && !first_group(match))
        *all_empty = true;
    else
        rc = stripped(json_is_array(match) ? first_group(match) : match, out, e);
out:
    json_decref(matches);
    return rc;
}

static int one(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    const struct mu_filter_regex_args *a = arg;
    bool all_empty;

    MU_TRY_RETURN(mu_filter_regex_find(a, resp, out, &all_empty, e));
    if (all_empty && json_is_string(a->fallback))
        return stripped(a->fallback, out, e);
    if (!*out)
        *out = json_incref(a->fallback);
    return MU_OK;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    struct mu_filter_regex_args a;
    int rc;

    (void)docs;
    MU_TRY(mu_filter_regex_open(&a, "regex", kwargs, e));
    MU_TRY(mu_filter_each("regex", resps, one, &a, out, e));
out:
    mu_filter_regex_close(&a);
    return rc;
}

static int check(const json_t *kwargs, struct mu_err *e)
{
    static const char *const known[] = {"regex_pattern", "group_select", "fallback", NULL};
    struct mu_filter_regex_args a;

    MU_TRY_RETURN(mu_filter_known("regex", kwargs, known, e));
    int rc = mu_filter_regex_open(&a, "regex", kwargs, e);
    mu_filter_regex_close(&a);
    return rc;
}

const struct mu_filter mu_filter_regex = {"regex", check, apply};
