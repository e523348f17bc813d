/* uppercase.c - responses in upper-case letters */
#include "base/check.h"
#include "eval/filter/filter_int.h"
#include "eval/py/case.h"

static int one(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a filtered response", MU_FILTER_TEXT_MAX);
    int rc;

    (void)arg;
    if (!json_is_string(resp))
        return mu_fail(e, MU_EINVAL, "filter uppercase: a response is not a text");
    MU_TRY(mu_py_upper(&text, mu_filter_str(resp), e));
    MU_TRY(mu_filter_text(mu_buf_str(&text), out, e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)kwargs;
    (void)docs;
    return mu_filter_each("uppercase", resps, one, NULL, out, e);
}

const struct mu_filter mu_filter_uppercase = {"uppercase", NULL, apply};
