/* qwen.c - Qwen2 (biases on q, k, v) and Qwen3 (norms on the heads of q and k)
 *
 * Keys: transformers' Qwen2Config, Qwen3Config. The sliding window counts only with use_sliding_window, and then from
 * layer max_window_layers on, or where layer_types says so. */
#include "model/arch.h"

#include <string.h>

#include "base/check.h"

static int windows_by_type(const struct mu_config *c, struct mu_spec *s, int window)
{
    json_t *types, *v;
    size_t i;

    MU_TRY_RETURN(mu_json_array(c->o, "layer_types", &types, c->where, c->e));
    if (json_array_size(types) != (size_t)s->n_layers)
        return mu_fail(c->e, MU_EFORMAT, "%s: layer_types has %zu entries, num_hidden_layers is %d", c->where,
                       json_array_size(types), s->n_layers);
    json_array_foreach(types, i, v)
    {
        const char *type = json_string_value(v);
        if (type && strcmp(type, "full_attention") == 0)
            continue;
        if (!type || strcmp(type, "sliding_attention") != 0)
            return mu_fail(c->e, MU_EUNSUPPORTED,
                           "%s: layer_types[%zu] is \"%s\"; known are full_attention and sliding_attention", c->where,
                           i, type ? type : "no string");
        if (window == 0)
            return mu_fail(c->e, MU_EFORMAT,
                           "%s: layer_types[%zu] is sliding_attention, but use_sliding_window is "
                           "false or sliding_window is null",
                           c->where, i);
        s->layers[i].window = window;
    }
    return MU_OK;
}

static int read_windows(const struct mu_config *c, struct mu_spec *s)
{
    bool is_used = false;
    int window = json_object_get(c->o, "sliding_window") ? 0 : 4096, first = 28;

    MU_TRY_RETURN(mu_config_bool(c, "use_sliding_window", &is_used));
    MU_TRY_RETURN(mu_config_int(c, "sliding_window", 1, MU_POSITIONS_MAX, &window));
    MU_TRY_RETURN(mu_config_int(c, "max_window_layers", 0, MU_LAYERS_MAX, &first));
    if (!is_used)
        window = 0;
    if (mu_json_has(c->o, "layer_types"))
        return windows_by_type(c, s, window);
    for (int i = first; i < s->n_layers; i++)
        s->layers[i].window = window;
    return MU_OK;
}

static int read_qwen2(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {.has_qkv_bias = true};

    s->context = 32768;
    s->norm.eps = 1e-6f;
    MU_TRY_RETURN(mu_read_llama_shape(c, s, &l, 32));
    MU_TRY_RETURN(mu_read_grouped_heads(c, s, &l, 0, 10000));
    MU_TRY_RETURN(mu_spec_new_layers(s, &l, c->e));
    return read_windows(c, s);
}

static int read_qwen3(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {.has_qk_norm = true};
    bool attention_bias = false;

    s->context = 32768;
    s->norm.eps = 1e-6f;
    MU_TRY_RETURN(mu_read_llama_shape(c, s, &l, 32));
    MU_TRY_RETURN(mu_config_bool(c, "attention_bias", &attention_bias));
    l.has_qkv_bias = l.has_out_bias = attention_bias;
    MU_TRY_RETURN(mu_read_grouped_heads(c, s, &l, 128, 10000));
    MU_TRY_RETURN(mu_spec_new_layers(s, &l, c->e));
    return read_windows(c, s);
}

const struct mu_arch mu_arch_qwen2 = {.model_type = "qwen2",
                                      .architectures = {"Qwen2ForCausalLM"},
                                      .read = read_qwen2,
                                      .names = mu_llama_names,
                                      .prefix = "model.",
                                      .ignored = {"rotary_emb.inv_freq"}};

const struct mu_arch mu_arch_qwen3 = {.model_type = "qwen3",
                                      .architectures = {"Qwen3ForCausalLM"},
                                      .read = read_qwen3,
                                      .names = mu_llama_names,
                                      .prefix = "model.",
                                      .ignored = {"rotary_emb.inv_freq"}};
