/* regex_pos.c - the part-of-speech tags of a response that writes ('word', 'TAG') pairs: a list of tags a response */
#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"

struct tags {
    struct mu_pyre *pair;
    const json_t *fallback;
};

static int open_tags(struct tags *t, const json_t *kwargs, struct mu_err *e)
{
    const json_t *fallback = json_object_get(kwargs, "fallback");
    t->fallback = json_is_null(fallback) ? NULL : fallback;
    return mu_pyre_compile(&t->pair, MU_STR("\\('([^']*)', '([^']*)'\\)"), 0, "filter regex_pos", e);
}

static int add_tags(json_t *to, const json_t *pairs, struct mu_err *e)
{
    json_t *pair;
    size_t i;
    json_array_foreach(pairs, i, pair)
    {
        if (json_array_size(pair) != 2)
            return mu_fail(e, MU_EINVAL, "filter regex_pos: entry %zu of a response is not a pair of word and tag", i);
        MU_TRY_RETURN(mu_filter_append(to, json_incref(json_array_get(pair, 1)), e));
    }
    return MU_OK;
}

static int one(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    const struct tags *t = arg;
    json_t *pairs = NULL, *to = json_array();
    int rc = MU_OK;

    if (!to)
        return mu_fail_nomem(e, sizeof(void *), "tags");
    if (json_is_string(resp))
        MU_TRY(mu_pyre_findall(t->pair, mu_filter_str(resp), &pairs, e));
    else if (json_is_array(resp))
        pairs = json_incref((json_t *)resp);
    else
        MU_TRY(mu_fail(e, MU_EINVAL, "filter regex_pos: a response is neither a text nor a list of pairs"));
    MU_TRY(add_tags(to, pairs, e));
    if (json_array_size(to) == 0 && t->fallback)
        *out = json_incref((json_t *)t->fallback);
    else if (json_array_size(to) == 0 && json_array_append_new(to, json_string("invalid")) != 0)
        rc = mu_fail_nomem(e, sizeof(void *), "tags");
    else
        *out = json_incref(to);
out:
    json_decref(pairs);
    json_decref(to);
    return rc;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    struct tags t = {0};
    int rc;

    (void)docs;
    MU_TRY(open_tags(&t, kwargs, e));
    MU_TRY(mu_filter_each("regex_pos", resps, one, &t, out, e));
out:
    mu_pyre_free(t.pair);
    return rc;
}

static int check(const json_t *kwargs, struct mu_err *e)
{
    static const char *const known[] = {"regex_pattern", "group_select", "fallback", NULL};
    struct mu_filter_regex_args a;

    /* regex_pattern and group_select are taken and checked but not used, here as in the harness. */
    MU_TRY_RETURN(mu_filter_known("regex_pos", kwargs, known, e));
    int rc = mu_filter_regex_open(&a, "regex_pos", kwargs, e);
    mu_filter_regex_close(&a);
    return rc;
}

const struct mu_filter mu_filter_regex_pos = {"regex_pos", check, apply};
