/* config.c - getters over a config.json tree */
#include "model/config.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

const char *mu_config_key(const struct mu_config *c, const char *a, const char *b)
{
    return !b || mu_json_has(c->o, a) ? a : b;
}

int mu_config_int64(const struct mu_config *c, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    return mu_json_has(c->o, key) ? mu_json_int(c->o, key, lo, hi, out, c->where, c->e) : MU_OK;
}

int mu_config_need(const struct mu_config *c, const char *key, int64_t lo, int64_t hi, int *out)
{
    int64_t v;
    MU_TRY_RETURN(mu_json_int(c->o, key, lo, hi, &v, c->where, c->e));
    *out = (int)v;
    return MU_OK;
}

int mu_config_int(const struct mu_config *c, const char *key, int64_t lo, int64_t hi, int *out)
{
    return mu_json_has(c->o, key) ? mu_config_need(c, key, lo, hi, out) : MU_OK;
}

int mu_config_real(const struct mu_config *c, const char *key, double lo, double hi, double *out)
{
    return mu_json_has(c->o, key) ? mu_json_real(c->o, key, lo, hi, out, c->where, c->e) : MU_OK;
}

int mu_config_float(const struct mu_config *c, const char *key, double lo, double hi, float *out)
{
    double v = *out;
    MU_TRY_RETURN(mu_config_real(c, key, lo, hi, &v));
    *out = (float)v;
    return MU_OK;
}

int mu_config_bool(const struct mu_config *c, const char *key, bool *out)
{
    return mu_json_has(c->o, key) ? mu_json_bool(c->o, key, out, c->where, c->e) : MU_OK;
}

int mu_config_string(const struct mu_config *c, const char *key, const char **out)
{
    return mu_json_has(c->o, key) ? mu_json_string(c->o, key, out, c->where, c->e) : MU_OK;
}

bool mu_act_from_name(enum mu_act *out, const char *name)
{
    static const struct {
        const char *name;
        enum mu_act act;
    } rows[] = {
        {"silu", MU_ACT_SILU},          {"swish", MU_ACT_SILU},
        {"gelu", MU_ACT_GELU},          {"gelu_python", MU_ACT_GELU},
        {"gelu_new", MU_ACT_GELU_TANH}, {"gelu_pytorch_tanh", MU_ACT_GELU_TANH},
        {"relu", MU_ACT_RELU},          {"gelu_fast", MU_ACT_GELU_TANH},
        {"relu2", MU_ACT_RELU2},        {"quick_gelu", MU_ACT_QUICK_GELU},
    };
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        if (strcmp(name, rows[i].name) == 0) {
            *out = rows[i].act;
            return true;
        }
    }
    return false;
}

int mu_config_act(const struct mu_config *c, const char *key, enum mu_act *out)
{
    const char *name = NULL;
    MU_TRY_RETURN(mu_config_string(c, key, &name));
    if (!name || mu_act_from_name(out, name))
        return MU_OK;
    return mu_fail(c->e, MU_EUNSUPPORTED,
                   "%s: %s is \"%s\", an unknown activation; known are silu, gelu, gelu_new, relu, relu2, quick_gelu",
                   c->where, key, name);
}

int mu_spec_new_layers(struct mu_spec *s, const struct mu_layer_spec *layer, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->layers, s->n_layers, "layer descriptions", e));
    for (int i = 0; i < s->n_layers; i++)
        s->layers[i] = *layer;
    return MU_OK;
}
