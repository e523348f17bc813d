/* config_rope.c - which rotary embedding a config asks for
 *
 * Keys and defaults are those of transformers' modeling_rope_utils.py. Two spellings exist: `rope_parameters` holds
 * everything (transformers 5); before, `rope_theta` stood beside `rope_scaling`. The kind is `rope_type`, or `type` in
 * older files. What the numbers mean is in rope_table.c. */
#include "model/config.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

static const struct {
    const char *name;
    enum mu_rope_scaling scaling;
} kinds[] = {{"default", MU_SCALE_NONE},  {"linear", MU_SCALE_LINEAR}, {"dynamic", MU_SCALE_DYNAMIC},
             {"llama3", MU_SCALE_LLAMA3}, {"yarn", MU_SCALE_YARN},     {"longrope", MU_SCALE_LONGROPE}};

/* The object with the parameters; an empty one when there is none. */
static int parameters(const struct mu_config *c, struct mu_config *p)
{
    const char *key = mu_config_key(c, "rope_parameters", "rope_scaling");
    *p = *c;
    p->o = NULL;
    if (mu_json_has(c->o, key)) {
        json_t *o;
        MU_TRY_RETURN(mu_json_object(c->o, key, &o, c->where, c->e));
        if (mu_json_has(o, "full_attention") || mu_json_has(o, "sliding_attention"))
            return mu_fail(c->e, MU_EUNSUPPORTED, "%s: %s differs by layer type; one rotary embedding a model is known",
                           c->where, key);
        p->o = o;
    }
    return MU_OK;
}

static int kind(const struct mu_config *p, enum mu_rope_scaling *out)
{
    const char *key = mu_config_key(p, "rope_type", "type"), *name = "default";
    MU_TRY_RETURN(mu_config_string(p, key, &name));
    for (size_t i = 0; i < MU_COUNT(kinds); i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            *out = kinds[i].scaling;
            return MU_OK;
        }
    }
    return mu_fail(p->e, MU_EUNSUPPORTED,
                   "%s: %s is \"%s\", an unknown rotary scaling; known are default, linear, dynamic, llama3, yarn, "
                   "longrope",
                   p->where, key, name);
}

static int need_factor(const struct mu_config *p, const char *key, double *out)
{
    return mu_json_real(p->o, key, 1e-6, 1e6, out, p->where, p->e);
}

static double yarn_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static int yarn(const struct mu_config *p, struct mu_rope_spec *r)
{
    double mscale = 0, mscale_all_dim = 0;

    r->beta_fast = 32;
    r->beta_slow = 1;
    r->is_truncated = true;
    MU_TRY_RETURN(mu_config_real(p, "beta_fast", 1e-6, 1e6, &r->beta_fast));
    MU_TRY_RETURN(mu_config_real(p, "beta_slow", 1e-6, 1e6, &r->beta_slow));
    MU_TRY_RETURN(mu_config_bool(p, "truncate", &r->is_truncated));
    MU_TRY_RETURN(mu_config_real(p, "mscale", 0, 1e3, &mscale));
    MU_TRY_RETURN(mu_config_real(p, "mscale_all_dim", 0, 1e3, &mscale_all_dim));
    r->attention_factor = yarn_mscale(r->factor, 1);
    if (mscale > 0 && mscale_all_dim > 0)
        r->attention_factor = yarn_mscale(r->factor, mscale) / yarn_mscale(r->factor, mscale_all_dim);
    return mu_config_real(p, "attention_factor", 0, 1e3, &r->attention_factor);
}

static int factor_list(const struct mu_config *p, const char *key, int n, float *out)
{
    json_t *list, *v;
    size_t i;
    MU_TRY_RETURN(mu_json_array(p->o, key, &list, p->where, p->e));
    if (json_array_size(list) != (size_t)n)
        return mu_fail(p->e, MU_EFORMAT, "%s: %s holds %zu factors, a rotary dimension of %d needs %d", p->where, key,
                       json_array_size(list), 2 * n, n);
    json_array_foreach(list, i, v)
    {
        double f = json_number_value(v);
        if (!(f >= 1e-6 && f <= 1e6))
            return mu_fail(p->e, MU_EFORMAT, "%s: %s[%zu] is no number from 1e-6 to 1e6", p->where, key, i);
        out[i] = (float)f;
    }
    return MU_OK;
}

static int longrope(const struct mu_config *p, struct mu_rope_spec *r, int64_t context)
{
    if (!mu_json_has(p->o, "factor"))
        r->factor = (double)context / (double)r->original_context;
    r->attention_factor = 1;
    if (r->factor > 1 && r->original_context > 1)
        r->attention_factor = sqrt(1 + log(r->factor) / log((double)r->original_context));
    MU_TRY_RETURN(mu_config_real(p, "attention_factor", 0, 1e3, &r->attention_factor));
    MU_TRY_RETURN(factor_list(p, "short_factor", r->dim / 2, r->short_factor));
    return factor_list(p, "long_factor", r->dim / 2, r->long_factor);
}

static int scaling(const struct mu_config *p, struct mu_spec *s)
{
    struct mu_rope_spec *r = &s->rope;
    switch (r->scaling) {
    case MU_SCALE_NONE:
        return MU_OK;
    case MU_SCALE_LINEAR:
        return need_factor(p, "factor", &r->factor);
    case MU_SCALE_DYNAMIC:
        r->original_context = s->context; /* transformers takes max_position_embeddings whatever else is said */
        MU_TRY_RETURN(need_factor(p, "factor", &r->factor));
        if (r->factor < 1 || r->dim < 4)
            return mu_fail(p->e, MU_EFORMAT,
                           "%s: dynamic rotary scaling needs a factor of 1 or more and a dimension "
                           "of 4 or more, not factor %g and dimension %d",
                           p->where, r->factor, r->dim);
        s->context = (int64_t)fmin((double)s->context * r->factor, MU_POSITIONS_MAX);
        return MU_OK;
    case MU_SCALE_LLAMA3:
        MU_TRY_RETURN(need_factor(p, "factor", &r->factor));
        MU_TRY_RETURN(need_factor(p, "low_freq_factor", &r->low_freq_factor));
        MU_TRY_RETURN(need_factor(p, "high_freq_factor", &r->high_freq_factor));
        if (r->high_freq_factor <= r->low_freq_factor)
            return mu_fail(p->e, MU_EFORMAT, "%s: high_freq_factor is %g, it must be above low_freq_factor %g",
                           p->where, r->high_freq_factor, r->low_freq_factor);
        return MU_OK;
    case MU_SCALE_YARN:
        r->factor = (double)s->context / (double)r->original_context;
        MU_TRY_RETURN(mu_config_real(p, "factor", 1e-6, 1e6, &r->factor));
        if (r->theta <= 1)
            return mu_fail(p->e, MU_EFORMAT, "%s: rope_theta is %g, YaRN needs more than 1", p->where, r->theta);
        s->context = MU_MAX(s->context, (int64_t)fmin((double)r->original_context * r->factor, MU_POSITIONS_MAX));
        return yarn(p, r);
    case MU_SCALE_LONGROPE:
        r->factor = 1;
        MU_TRY_RETURN(mu_config_real(p, "factor", 1e-6, 1e6, &r->factor));
        return longrope(p, r, s->context);
    }
    return mu_fail(p->e, MU_EINTERNAL, "rotary scaling %d", (int)r->scaling);
}

int mu_config_rope(const struct mu_config *c, struct mu_spec *s, enum mu_rope_style style, int dim,
                   double default_theta)
{
    struct mu_rope_spec *r = &s->rope;
    struct mu_config p;
    double partial = 1;

    if (dim < 2 || dim % 2 != 0 || dim > MU_ROPE_DIM_MAX)
        return mu_fail(c->e, MU_EFORMAT,
                       "%s: a rotary embedding turns pairs: %d dimensions of a head are not an even "
                       "number from 2 to %d",
                       c->where, dim, MU_ROPE_DIM_MAX);
    MU_TRY_RETURN(parameters(c, &p));
    s->position = MU_POS_ROPE;
    r->style = style;
    r->dim = dim;
    r->theta = default_theta;
    r->attention_factor = 1;
    MU_TRY_RETURN(mu_config_real(c, "rope_theta", 1e-3, 1e12, &r->theta));
    MU_TRY_RETURN(mu_config_real(c, "partial_rotary_factor", 0, 1, &partial));
    r->original_context = s->context;
    MU_TRY_RETURN(mu_config_int64(c, "original_max_position_embeddings", 1, MU_POSITIONS_MAX, &r->original_context));
    if (!p.o)
        return partial == 1 ? MU_OK
                            : mu_fail(c->e, MU_EUNSUPPORTED,
                                      "%s: partial_rotary_factor is %g, only 1 is known for "
                                      "this architecture",
                                      c->where, partial);
    MU_TRY_RETURN(mu_config_real(&p, "rope_theta", 1e-3, 1e12, &r->theta));
    MU_TRY_RETURN(mu_config_real(&p, "partial_rotary_factor", 0, 1, &partial));
    if (partial != 1)
        return mu_fail(c->e, MU_EUNSUPPORTED, "%s: partial_rotary_factor is %g, only 1 is known for this architecture",
                       c->where, partial);
    if (!mu_json_has(c->o, "original_max_position_embeddings"))
        MU_TRY_RETURN(
            mu_config_int64(&p, "original_max_position_embeddings", 1, MU_POSITIONS_MAX, &r->original_context));
    MU_TRY_RETURN(kind(&p, &r->scaling));
    return scaling(&p, s);
}

int mu_config_mscale(const struct mu_config *c, double *out)
{
    struct mu_config p;
    enum mu_rope_scaling k = MU_SCALE_NONE;
    double all = 0, factor = 1;

    *out = 1;
    MU_TRY_RETURN(parameters(c, &p));
    if (!p.o)
        return MU_OK;
    MU_TRY_RETURN(kind(&p, &k));
    MU_TRY_RETURN(mu_config_real(&p, "mscale_all_dim", 0, 1e3, &all));
    MU_TRY_RETURN(mu_config_real(&p, "factor", 1e-6, 1e6, &factor));
    if (k != MU_SCALE_NONE && all > 0)
        *out = yarn_mscale(factor, all) * yarn_mscale(factor, all);
    return MU_OK;
}
