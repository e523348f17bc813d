/* filter.c - the registry, and walking through responses */
#include "eval/filter/filter.h"

#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"
#include "tok/jinja/text.h"

static const struct mu_filter *const filters[] = {
    &mu_filter_regex,
    &mu_filter_regex_pos,
    &mu_filter_multi_choice_regex,
    &mu_filter_remove_whitespace,
    &mu_filter_lowercase,
    &mu_filter_uppercase,
    &mu_filter_map,
    &mu_filter_take_first,
    &mu_filter_take_first_k,
    &mu_filter_majority_vote,
    &mu_filter_format_span,
    &mu_filter_decontaminate,
    &mu_filter_custom,
};

const struct mu_filter *mu_filter_at(int i)
{
    return i >= 0 && i < (int)MU_COUNT(filters) ? filters[i] : NULL;
}

const struct mu_filter *mu_filter_find(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(filters); i++)
        if (strcmp(filters[i]->name, name) == 0)
            return filters[i];
    return NULL;
}

int mu_filter_append(json_t *array, json_t *value, struct mu_err *e)
{
    if (json_array_append_new(array, value) != 0)
        return mu_fail_nomem(e, sizeof(void *), "filtered responses");
    return MU_OK;
}

int mu_filter_text(struct mu_str s, json_t **out, struct mu_err *e)
{
    *out = json_stringn(s.p ? s.p : "", s.n);
    return *out ? MU_OK : mu_fail_nomem(e, s.n, "a filtered response");
}

static int new_array(json_t **out, struct mu_err *e)
{
    *out = json_array();
    return *out ? MU_OK : mu_fail_nomem(e, sizeof(void *), "filtered responses");
}

/* The characters of a text, as Python walks through a str. */
static int add_characters(json_t *to, struct mu_str s, struct mu_err *e)
{
    size_t len;
    for (size_t i = 0; i < s.n; i += len) {
        mu_t_at(s, i, &len);
        MU_TRY_RETURN(mu_filter_append(to, json_stringn(s.p + i, len), e));
    }
    return MU_OK;
}

int mu_filter_list(const char *name, const json_t *inst, json_t **out, struct mu_err *e)
{
    json_t *to = NULL, *v;
    size_t i;
    int rc;

    if (!json_is_array(inst) && !json_is_string(inst))
        return mu_fail(e, MU_EINVAL, "filter %s: what the filter before it made is neither a list nor a text", name);
    MU_TRY(new_array(&to, e));
    if (json_is_string(inst))
        MU_TRY(add_characters(to, mu_filter_str(inst), e));
    json_array_foreach(inst, i, v) MU_TRY(mu_filter_append(to, json_incref(v), e));
    *out = to;
    to = NULL;
out:
    json_decref(to);
    return rc;
}

int mu_filter_list_each(const char *name, const json_t *inst, mu_filter_one one, void *arg, json_t **out,
                        struct mu_err *e)
{
    json_t *list = NULL, *to = NULL, *resp, *made;
    size_t i;
    int rc;

    MU_TRY(mu_filter_list(name, inst, &list, e));
    MU_TRY(new_array(&to, e));
    json_array_foreach(list, i, resp)
    {
        MU_TRY(one(arg, resp, &made, e));
        MU_TRY(mu_filter_append(to, made, e));
    }
    *out = to;
    to = NULL;
out:
    json_decref(list);
    json_decref(to);
    return rc;
}

int mu_filter_each(const char *name, const json_t *resps, mu_filter_one one, void *arg, json_t **out, struct mu_err *e)
{
    json_t *to = NULL, *inst, *made;
    size_t i;
    int rc;

    MU_TRY(new_array(&to, e));
    json_array_foreach(resps, i, inst)
    {
        MU_TRY(mu_filter_list_each(name, inst, one, arg, &made, e));
        MU_TRY(mu_filter_append(to, made, e));
    }
    *out = to;
    to = NULL;
out:
    json_decref(to);
    return rc;
}

struct text_filter {
    const char *name;
    mu_filter_change change;
};

static int change_text(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    const struct text_filter *f = arg;
    struct mu_buf text = MU_BUF_INIT("a filtered response", MU_FILTER_TEXT_MAX);
    int rc;

    if (!json_is_string(resp))
        return mu_fail(e, MU_EINVAL, "filter %s: a response is not a text", f->name);
    MU_TRY(f->change(&text, mu_filter_str(resp), e));
    MU_TRY(mu_filter_text(mu_buf_str(&text), out, e));
out:
    mu_buf_fini(&text);
    return rc;
}

int mu_filter_each_text(const char *name, const json_t *resps, mu_filter_change change, json_t **out, struct mu_err *e)
{
    struct text_filter f = {name, change};
    return mu_filter_each(name, resps, change_text, &f, out, e);
}

int mu_filter_known(const char *name, const json_t *kwargs, const char *const *known, struct mu_err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)kwargs, key, value)
    {
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i] && !known[0])
            return mu_fail(e, MU_EFORMAT, "filter %s takes no arguments, but %s is given", name, key);
        if (!known[i])
            return mu_fail(e, MU_EFORMAT, "filter %s has no argument %s; its first is %s", name, key, known[0]);
    }
    return MU_OK;
}
