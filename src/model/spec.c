/* spec.c - a config to a spec: finding the reader, what all architectures share, and checks
 *
 * Not here: the keys of each architecture (llama.c, qwen.c, ...), rotary keys (config_rope.c). */
#include "model/spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/params.h"

void mu_spec_fini(struct mu_spec *s)
{
    mu_free(s->layers);
    *s = (struct mu_spec)MU_SPEC_INIT;
}

/* ---- what the config says whatever the architecture ---- */

/* The first of `architectures`; NULL when there is none. */
static int architecture(const struct mu_config *c, const char **out)
{
    json_t *list;

    *out = NULL;
    if (!mu_json_has(c->o, "architectures"))
        return MU_OK;
    MU_TRY_RETURN(mu_json_array(c->o, "architectures", &list, c->where, c->e));
    const char *first = json_string_value(json_array_get(list, 0));
    if (!first || strlen(first) >= sizeof((struct mu_spec *)0)->arch)
        return mu_fail(c->e, MU_EFORMAT, "%s: architectures holds no name of a class", c->where);
    *out = first;
    return MU_OK;
}

static int read_dtype(const struct mu_config *c, struct mu_spec *s)
{
    static const char *const names[][2] = {
        {"float32", "f32"}, {"bfloat16", "bf16"}, {"float16", "f16"}, {"float64", "f64"},
        {"bf16", "bf16"},   {"fp8", "bf16"}, /* the inference configs': weights in 8 bits, the rest in bf16 */
    };
    const char *key = mu_config_key(c, "dtype", "torch_dtype"), *name = "float32";

    if (mu_json_has(c->o, "quantization_config") || mu_deepseek_is_inference_config(c->o))
        name = "bfloat16"; /* where the config does not say */
    MU_TRY_RETURN(mu_config_string(c, key, &name));
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        if (strcmp(name, names[i][0]) == 0) {
            snprintf(s->default_dtype, sizeof s->default_dtype, "%s", names[i][1]);
            return MU_OK;
        }
    }
    return mu_fail(c->e, MU_EUNSUPPORTED, "%s: %s is \"%s\"; known are float32, bfloat16, float16", c->where, key,
                   name);
}

static int read_quantisation(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_config q = *c;
    json_t *o, *block;
    const char *method = "";

    if (!mu_json_has(c->o, "quantization_config"))
        return MU_OK;
    MU_TRY_RETURN(mu_json_object(c->o, "quantization_config", &o, c->where, c->e));
    q.o = o;
    MU_TRY_RETURN(mu_config_string(&q, "quant_method", &method));
    if (strcmp(method, "fp8") != 0 || !mu_json_has(o, "weight_block_size"))
        return mu_fail(c->e, MU_EUNSUPPORTED,
                       "%s: quantization_config has quant_method \"%s\"; known is \"fp8\" with "
                       "weight_block_size, others must be converted to bf16 first",
                       c->where, method);
    MU_TRY_RETURN(mu_json_array(o, "weight_block_size", &block, c->where, c->e));
    json_int_t rows = json_integer_value(json_array_get(block, 0)), cols = json_integer_value(json_array_get(block, 1));
    if (rows < 1 || rows > 65536 || cols < 1 || cols > 65536)
        return mu_fail(c->e, MU_EFORMAT, "%s: weight_block_size must hold two numbers from 1 to 65536", c->where);
    s->fp8_block_rows = (int)rows;
    s->fp8_block_cols = (int)cols;
    return MU_OK;
}

/* ---- checks ---- */

static int check_heads(const struct mu_spec *s, const struct mu_layer_spec *l, int i, const char *where,
                       struct mu_err *e)
{
    if (l->n_kv_heads > l->n_heads || l->n_heads % l->n_kv_heads != 0)
        return mu_fail(e, MU_EFORMAT, "%s: layer %d has %d key-value heads, which do not divide its %d heads", where, i,
                       l->n_kv_heads, l->n_heads);
    if ((int64_t)l->n_heads * MU_MAX(l->dk, l->dv) > MU_HIDDEN_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: %d heads of %d make attention wider than %d", where, l->n_heads,
                       MU_MAX(l->dk, l->dv), MU_HIDDEN_MAX);
    if (s->position == MU_POS_ROPE && s->rope.dim > l->dk)
        return mu_fail(e, MU_EFORMAT, "%s: %d rotary dimensions in a head of %d", where, s->rope.dim, l->dk);
    return MU_OK;
}

static int check_experts(const struct mu_moe_spec *m, int i, const char *where, struct mu_err *e)
{
    if (m->n_experts % m->n_groups != 0)
        return mu_fail(e, MU_EFORMAT, "%s: %d experts do not divide into %d groups", where, m->n_experts, m->n_groups);
    if (m->top_groups > m->n_groups)
        return mu_fail(e, MU_EFORMAT, "%s: %d of %d expert groups are to be chosen", where, m->top_groups, m->n_groups);
    int reachable = m->n_experts / m->n_groups * m->top_groups;
    if (m->top_k > reachable)
        return mu_fail(e, MU_EFORMAT, "%s: layer %d chooses %d experts a token out of %d", where, i, m->top_k,
                       reachable);
    if (m->is_group_score_top2sum && m->n_groups > 1 && m->n_experts / m->n_groups < 2)
        return mu_fail(e, MU_EFORMAT, "%s: a group of %d expert has no two best", where, m->n_experts / m->n_groups);
    if ((int64_t)m->n_shared * m->ffn > MU_HIDDEN_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: %d shared experts of width %d are wider than %d", where, m->n_shared, m->ffn,
                       MU_HIDDEN_MAX);
    return MU_OK;
}

int mu_spec_finish(struct mu_spec *s, const char *where, struct mu_err *e)
{
    for (int i = 0; i < s->n_layers; i++) {
        const struct mu_layer_spec *l = &s->layers[i];
        MU_TRY_RETURN(check_heads(s, l, i, where, e));
        if (l->mlp == MU_MLP_MOE)
            MU_TRY_RETURN(check_experts(&l->moe, i, where, e));
        else if (l->ffn < 1 || l->ffn > MU_HIDDEN_MAX)
            return mu_fail(e, MU_EFORMAT, "%s: layer %d has an MLP of width %d, at most %d", where, i, l->ffn,
                           MU_HIDDEN_MAX);
    }
    return mu_spec_count_params(s, where, e);
}

/* ---- the whole ---- */

static int read_config(const struct mu_config *c, struct mu_spec *s)
{
    const char *arch, *type = NULL;

    if (!json_is_object(c->o))
        return mu_fail(c->e, MU_EFORMAT, "%s is no JSON object", c->where);
    MU_TRY_RETURN(read_dtype(c, s));
    MU_TRY_RETURN(read_quantisation(c, s));
    if (mu_deepseek_is_inference_config(c->o)) {
        MU_TRY_RETURN(mu_deepseek_read_inference(c, s));
        bool is_v3 = s->layers[s->n_layers - 1].moe.router == MU_ROUTER_SIGMOID_GROUPS;
        snprintf(s->family, sizeof s->family, "deepseek_v%d", is_v3 ? 3 : 2);
        snprintf(s->arch, sizeof s->arch, "DeepseekV%dForCausalLM", is_v3 ? 3 : 2);
        return mu_spec_finish(s, c->where, c->e);
    }
    MU_TRY_RETURN(architecture(c, &arch));
    MU_TRY_RETURN(mu_config_string(c, "model_type", &type));
    const struct mu_arch *a = mu_arch_of_config(arch, type);
    if (!a)
        return mu_fail(c->e, MU_EUNSUPPORTED,
                       "%s: architecture \"%s\" (model_type \"%s\") is not one muster runs; "
                       "`muster models` lists those",
                       c->where, arch ? arch : "", type ? type : "");
    snprintf(s->arch, sizeof s->arch, "%s", arch ? arch : a->architectures[0]);
    snprintf(s->family, sizeof s->family, "%s", a->model_type);
    MU_TRY_RETURN(a->read(c, s));
    return mu_spec_finish(s, c->where, c->e);
}

int mu_spec_from_config(struct mu_spec *out, const json_t *config, const char *where, struct mu_err *e)
{
    struct mu_config c = {config, where, e};
    struct mu_spec s = MU_SPEC_INIT;

    int rc = read_config(&c, &s);
    if (rc != MU_OK)
        mu_spec_fini(&s);
    *out = s;
    return rc;
}
