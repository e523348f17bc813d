/* custom.c - a filter written in Python by the task's file: the step carries a built-in function in its place
 *
 * score.c calls that function; one that comes here has none. */
#include "base/check.h"
#include "eval/filter/filter_int.h"

static int check(const json_t *kwargs, struct mu_err *e)
{
    static const char *const known[] = {"filter_fn", NULL};
    MU_TRY_RETURN(mu_filter_known("custom", kwargs, known, e));
    if (!json_object_get(kwargs, "filter_fn"))
        return mu_fail(e, MU_EFORMAT, "filter custom needs filter_fn, the function that filters");
    return MU_OK;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    const char *name = json_string_value(json_object_get(kwargs, "filter_fn"));
    (void)resps;
    (void)docs;
    (void)out;
    return mu_fail(e, MU_EUNSUPPORTED, "filter custom: there is no built-in function in place of %s",
                   name ? name : "filter_fn");
}

const struct mu_filter mu_filter_custom = {"custom", check, apply};
