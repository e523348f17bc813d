/* map.c - responses looked up in a table
 *
 * Keys are texts here: a number as a response has no entry. */
#include "base/check.h"
#include "eval/filter/filter_int.h"

static int one(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    const json_t *kwargs = arg, *table = json_object_get(kwargs, "mapping_dict");
    json_t *value = NULL;

    if (json_is_array(resp) || json_is_object(resp))
        return mu_fail(e, MU_EINVAL,
                       "filter map: a response is a list, which cannot be looked up; take_first goes before");
    if (json_is_string(resp))
        value = json_object_getn(table, json_string_value(resp), json_string_length(resp));
    if (!value)
        value = json_object_get(kwargs, "default_value");
    *out = value ? json_incref(value) : json_null();
    return MU_OK;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)docs;
    return mu_filter_each("map", resps, one, (void *)kwargs, out, e);
}

static int check(const json_t *kwargs, struct mu_err *e)
{
    static const char *const known[] = {"mapping_dict", "default_value", NULL};
    const json_t *table = json_object_get(kwargs, "mapping_dict");

    MU_TRY_RETURN(mu_filter_known("map", kwargs, known, e));
    if (table && !json_is_object(table) && !json_is_null(table))
        return mu_fail(e, MU_EFORMAT, "filter map: mapping_dict must be a table of response: value");
    return MU_OK;
}

const struct mu_filter mu_filter_map = {"map", check, apply};
