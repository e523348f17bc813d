/* remove_whitespace.c - white space at both ends of a response goes */
#include "eval/filter/filter_int.h"
#include "eval/py/value.h"

static int strip(struct mu_buf *out, struct mu_str text, struct mu_err *e)
{
    struct mu_str s = mu_py_strip(text, true, true);
    return mu_buf_add(out, s.p, s.n, e);
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)kwargs;
    (void)docs;
    return mu_filter_each_text("remove_whitespace", resps, strip, out, e);
}

const struct mu_filter mu_filter_remove_whitespace = {"remove_whitespace", NULL, apply};
