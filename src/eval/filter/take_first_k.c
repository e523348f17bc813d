/* take_first_k.c - of each request's responses the first k */
#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"
#include "eval/py/value.h"
#include "tok/jinja/text.h"

/* The first k of a list, or of the characters of a text, which stays a text. */
static int first_k(const json_t *inst, int64_t k, json_t **out, int64_t *n, struct mu_err *e)
{
    json_t *list = NULL;

    if (json_is_string(inst)) {
        struct mu_str s = mu_filter_str(inst);
        *n = (int64_t)mu_py_len(s);
        return mu_filter_text(mu_t_sub(s, 0, mu_t_byte_of(s, (size_t)k)), out, e);
    }
    MU_TRY_RETURN(mu_filter_list("take_first_k", inst, &list, e));
    *n = (int64_t)json_array_size(list);
    while ((int64_t)json_array_size(list) > k)
        json_array_remove(list, json_array_size(list) - 1);
    *out = list;
    return MU_OK;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    int64_t k = json_integer_value(json_object_get(kwargs, "k"));
    json_t *to = json_array(), *inst, *some;
    int64_t n;
    size_t i;
    int rc = MU_OK;

    (void)docs;
    if (!to)
        return mu_fail_nomem(e, sizeof(void *), "filtered responses");
    json_array_foreach(resps, i, inst)
    {
        MU_TRY(first_k(inst, k, &some, &n, e));
        MU_TRY(mu_filter_append(to, some, e));
        if (i == 0 && n < k)
            MU_TRY(mu_fail(e, MU_EINVAL,
                           "filter take_first_k needs %lld responses a request, but there are %lld; set repeats in the "
                           "task's file",
                           (long long)k, (long long)n));
    }
    *out = json_incref(to);
out:
    json_decref(to);
    return rc;
}

static int check(const json_t *kwargs, struct mu_err *e)
{
    static const char *const known[] = {"k", NULL};
    const json_t *k = json_object_get(kwargs, "k");

    MU_TRY_RETURN(mu_filter_known("take_first_k", kwargs, known, e));
    if (!json_is_integer(k) || json_integer_value(k) < 1)
        return mu_fail(e, MU_EFORMAT, "filter take_first_k needs k, how many responses it takes, 1 or more");
    return MU_OK;
}

const struct mu_filter mu_filter_take_first_k = {"take_first_k", check, apply};
