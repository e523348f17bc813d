/* decontaminate.c - a name the harness knows and whose filter it never wrote */
#include "eval/filter/filter_int.h"

static int check(const json_t *kwargs, struct mu_err *e)
{
    (void)kwargs;
    return mu_fail(e, MU_EUNSUPPORTED,
                   "filter decontaminate does nothing in lm-evaluation-harness and is not done here; leave it out");
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)resps;
    (void)docs;
    (void)out;
    return check(kwargs, e);
}

const struct mu_filter mu_filter_decontaminate = {"decontaminate", check, apply};
