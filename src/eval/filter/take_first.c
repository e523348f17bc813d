/* take_first.c - of each request's responses the first; of a text its first character, as in the harness */
#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"

static int first_of(const json_t *inst, json_t **out, struct mu_err *e)
{
    json_t *list = NULL;
    int rc;

    if (json_is_array(inst) && json_array_size(inst) > 0) {
        *out = json_incref(json_array_get(inst, 0));
        return MU_OK;
    }
    MU_TRY(mu_filter_list("take_first", inst, &list, e));
    if (json_array_size(list) == 0)
        MU_TRY(mu_fail(e, MU_EINVAL, "filter take_first: a request has nothing to take the first of"));
    *out = json_incref(json_array_get(list, 0));
out:
    json_decref(list);
    return rc;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    json_t *to = json_array(), *inst, *first = NULL;
    size_t i;
    int rc = MU_OK;

    (void)kwargs;
    (void)docs;
    if (!to)
        return mu_fail_nomem(e, sizeof(void *), "filtered responses");
    json_array_foreach(resps, i, inst)
    {
        MU_TRY(first_of(inst, &first, e));
        MU_TRY(mu_filter_append(to, first, e));
    }
    *out = json_incref(to);
out:
    json_decref(to);
    return rc;
}

const struct mu_filter mu_filter_take_first = {"take_first", NULL, apply};
