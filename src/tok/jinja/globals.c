/* globals.c - functions every template can call */
#include <time.h>

#include "tok/jinja/render.h"

#define GLOBAL(name) static int name(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)

#define RANGE_VALUE_MAX ((int64_t)1 << 61) /* keeps start + i * step within 64 bits */

GLOBAL(global_range)
{
    int64_t v[3] = {0, 0, 1}, span;
    (void)self;
    if (c->n_pos < 1 || c->n_pos > 3 || c->n_kw > 0)
        return mu_j_fail(J, MU_EINVAL, "range expected 1 to 3 arguments, got %zu", c->n_pos + c->n_kw);
    for (size_t i = 0; i < c->n_pos; i++) {
        MU_TRY_RETURN(mu_j_want_int(J, &c->pos[i], "an argument of range()", &v[c->n_pos == 1 ? 1 : i]));
        if (v[c->n_pos == 1 ? 1 : i] > RANGE_VALUE_MAX || v[c->n_pos == 1 ? 1 : i] < -RANGE_VALUE_MAX)
            return mu_j_fail(J, MU_ELIMIT, "range() up to %lld, larger than any sequence here", (long long)v[1]);
    }
    if (v[2] == 0)
        return mu_j_fail(J, MU_EINVAL, "range() arg 3 must not be zero");
    span = v[2] > 0 ? v[1] - v[0] : v[0] - v[1];
    int64_t step = v[2] > 0 ? v[2] : -v[2], n = span > 0 ? (span - 1) / step + 1 : 0;
    if (J->t->o.sandbox && n > MU_JINJA_RANGE_MAX)
        return mu_j_fail(J, MU_ELIMIT, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                         MU_JINJA_RANGE_MAX);
    out->range = mu_j_alloc(J, 1, sizeof *out->range);
    MU_J_NEED(J, out->range);
    *out->range = (struct mu_jrange){v[0], v[1], v[2], n};
    out->t = J_RANGE;
    return MU_OK;
}

GLOBAL(global_dict)
{
    (void)self;
    MU_TRY_RETURN(mu_j_new_dict(J, out));
    return mu_j_dict_update(J, out->dict, c);
}

GLOBAL(global_namespace)
{
    MU_TRY_RETURN(global_dict(J, self, c, out));
    out->t = J_NAMESPACE;
    for (size_t i = 0; J->t->o.chat && i < out->dict->n; i++) {
        const struct mu_jv *key = &out->dict->at[i].key;
        if (key->t == J_STR && key->s.n > 0 && key->s.p[0] == '_')
            return mu_j_fail(J, MU_EINVAL, "a namespace cannot have the attribute '%.*s': rename it without underscore",
                             MU_STR_ARG(key->s));
    }
    return MU_OK;
}

GLOBAL(global_cycler)
{
    (void)self;
    if (c->n_pos == 0)
        return mu_j_fail(J, MU_EINVAL, "at least one item has to be provided");
    out->cycler = mu_j_alloc(J, 1, sizeof *out->cycler);
    MU_J_NEED(J, out->cycler);
    out->cycler->items = (struct mu_jlist){.v = c->pos, .n = c->n_pos};
    out->t = J_CYCLER;
    return MU_OK;
}

GLOBAL(global_joiner)
{
    (void)self;
    struct mu_str separator = MU_STR(", ");
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_str(J, &c->arg[0], &separator));
    out->joiner = mu_j_alloc(J, 1, sizeof *out->joiner);
    MU_J_NEED(J, out->joiner);
    out->joiner->separator = separator;
    out->t = J_JOINER;
    return MU_OK;
}

GLOBAL(global_lipsum)
{
    (void)self;
    (void)c;
    (void)out;
    return mu_j_fail(J, MU_EUNSUPPORTED, "lipsum() is random and not supported");
}

GLOBAL(global_raise)
{
    struct mu_str text;
    (void)self;
    (void)out;
    MU_TRY_RETURN(mu_j_str(J, &c->arg[0], &text));
    return mu_j_fail(J, MU_EINVAL, "%.*s", (int)MU_MIN(text.n, (size_t)MU_ERR_TEXT_MAX), text.p);
}

#define STRFTIME_MAX 4096 /* bytes of one formatted date */

GLOBAL(global_strftime_now)
{
    struct mu_str format;
    struct tm now;
    (void)self;
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "the format of strftime_now()", &format));
    char *zformat = mu_j_alloc(J, format.n + 2, 1), *text = mu_j_alloc(J, STRFTIME_MAX, 1);
    if (!zformat || !text)
        return J->err.code;
    zformat[0] = '-'; /* so that a length of 0 always means too long */
    if (format.n > 0)
        memcpy(zformat + 1, format.p, format.n);
    if (J->now) {
        now = *J->now;
    } else {
        time_t t = time(NULL);
        localtime_r(&t, &now);
    }
    size_t n = strftime(text, STRFTIME_MAX, zformat, &now);
    if (n == 0)
        return mu_j_fail(J, MU_ELIMIT, "a date of more than %d bytes", STRFTIME_MAX);
    *out = mu_j_string((struct mu_str){text + 1, n - 1});
    return MU_OK;
}

const struct mu_jfn mu_j_globals[] = {
    {"range", "*", global_range, 0},
    {"dict", "*", global_dict, 0},
    {"namespace", "*", global_namespace, 0},
    {"cycler", "*", global_cycler, 0},
    {"joiner", "sep?", global_joiner, 0},
    {"lipsum", "*", global_lipsum, 0},
    {"raise_exception", "message", global_raise, MU_J_CHAT},
    {"strftime_now", "format", global_strftime_now, MU_J_CHAT},
    {NULL, NULL, NULL, 0},
};
