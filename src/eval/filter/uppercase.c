/* uppercase.c - responses in upper-case letters */
#include "eval/filter/filter_int.h"
#include "eval/py/case.h"

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)kwargs;
    (void)docs;
    return mu_filter_each_text("uppercase", resps, mu_py_upper, out, e);
}

const struct mu_filter mu_filter_uppercase = {"uppercase", NULL, apply};
