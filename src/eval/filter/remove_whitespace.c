/* remove_whitespace.c - white space at both ends of a response goes */
#include "base/check.h"
#include "eval/filter/filter_int.h"
#include "eval/py/value.h"

static int one(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    (void)arg;
    if (!json_is_string(resp))
        return mu_fail(e, MU_EINVAL, "filter remove_whitespace: a response is not a text");
    return mu_filter_text(mu_py_strip(mu_filter_str(resp), true, true), out, e);
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)kwargs;
    (void)docs;
    return mu_filter_each("remove_whitespace", resps, one, NULL, out, e);
}

const struct mu_filter mu_filter_remove_whitespace = {"remove_whitespace", NULL, apply};
