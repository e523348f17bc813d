/* llama.c - Llama 2 and 3, Code Llama, ALIA, Mistral
 *
 * Keys: transformers' LlamaConfig and MistralConfig; maths: modeling_llama.py. Pre-norm blocks, gated MLP, grouped
 * attention, rotary halves. Mistral differs by its sliding window, which it has unless the config says null. */
#include "model/arch.h"

#include <math.h>

#include "base/check.h"

/* hidden, layers, vocabulary, heads, norm and MLP width: the keys that Llama's descendants kept. */
int mu_read_llama_shape(const struct mu_config *c, struct mu_spec *s, struct mu_layer_spec *l, int default_kv_heads)
{
    int hidden, vocab;

    MU_TRY_RETURN(mu_config_need(c, "hidden_size", 1, MU_HIDDEN_MAX, &hidden));
    MU_TRY_RETURN(mu_config_need(c, "vocab_size", 1, MU_VOCAB_MAX, &vocab));
    MU_TRY_RETURN(mu_config_need(c, "num_hidden_layers", 1, MU_LAYERS_MAX, &s->n_layers));
    MU_TRY_RETURN(mu_config_need(c, "num_attention_heads", 1, MU_HEADS_MAX, &l->n_heads));
    MU_TRY_RETURN(mu_config_need(c, "intermediate_size", 1, MU_HIDDEN_MAX, &l->ffn));
    s->hidden = hidden;
    s->vocab = vocab;
    l->n_kv_heads = l->n_heads;
    if (default_kv_heads > 0 && !json_object_get(c->o, "num_key_value_heads"))
        l->n_kv_heads = default_kv_heads;
    MU_TRY_RETURN(mu_config_int(c, "num_key_value_heads", 1, MU_HEADS_MAX, &l->n_kv_heads));
    MU_TRY_RETURN(mu_config_int64(c, "max_position_embeddings", 1, MU_POSITIONS_MAX, &s->context));
    s->norm.kind = MU_NORM_RMS;
    MU_TRY_RETURN(mu_config_float(c, "rms_norm_eps", 0, 1, &s->norm.eps));
    MU_TRY_RETURN(mu_config_bool(c, "tie_word_embeddings", &s->is_tied));
    l->block = MU_BLOCK_SEQUENTIAL;
    l->mlp = MU_MLP_GATED;
    l->act = MU_ACT_SILU;
    return mu_config_act(c, "hidden_act", &l->act);
}

int mu_read_grouped_heads(const struct mu_config *c, struct mu_spec *s, struct mu_layer_spec *l, int default_head_dim,
                          double default_theta)
{
    int head_dim = default_head_dim;

    MU_TRY_RETURN(mu_config_int(c, "head_dim", 1, MU_HEAD_DIM_MAX, &head_dim));
    if (head_dim == 0 && s->hidden % l->n_heads != 0)
        return mu_fail(c->e, MU_EFORMAT,
                       "%s: hidden_size is %d, which %d num_attention_heads do not divide, and "
                       "there is no head_dim",
                       c->where, (int)s->hidden, l->n_heads);
    l->attn = MU_ATTN_GROUPED;
    l->dk = l->dv = head_dim ? head_dim : (int)(s->hidden / l->n_heads);
    l->scale = (float)(1 / sqrt(l->dk));
    return mu_config_rope(c, s, MU_ROPE_HALF, l->dk, default_theta);
}

static int read_llama(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {0};
    bool attention_bias = false;

    s->context = 2048;
    s->norm.eps = 1e-6f;
    MU_TRY_RETURN(mu_read_llama_shape(c, s, &l, 0));
    MU_TRY_RETURN(mu_config_bool(c, "attention_bias", &attention_bias));
    MU_TRY_RETURN(mu_config_bool(c, "mlp_bias", &l.has_mlp_bias));
    l.has_qkv_bias = l.has_out_bias = attention_bias;
    MU_TRY_RETURN(mu_read_grouped_heads(c, s, &l, 0, 10000));
    return mu_spec_new_layers(s, &l, c->e);
}

static int read_mistral(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {0};

    s->context = 131072;
    s->norm.eps = 1e-6f;
    l.window = json_object_get(c->o, "sliding_window") ? 0 : 4096;
    MU_TRY_RETURN(mu_read_llama_shape(c, s, &l, 8));
    MU_TRY_RETURN(mu_config_int(c, "sliding_window", 1, MU_POSITIONS_MAX, &l.window));
    MU_TRY_RETURN(mu_read_grouped_heads(c, s, &l, 0, 10000));
    return mu_spec_new_layers(s, &l, c->e);
}

const struct mu_slot_name mu_llama_names[] = {
    {MU_SLOT_EMBED, "model.embed_tokens.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_FINAL, "model.norm.weight", MU_PART_WHOLE},
    {MU_SLOT_HEAD, "lm_head.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_ATTN, "model.layers.{l}.input_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_MLP, "model.layers.{l}.post_attention_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_Q, "model.layers.{l}.self_attn.q_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_K, "model.layers.{l}.self_attn.k_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_V, "model.layers.{l}.self_attn.v_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_O, "model.layers.{l}.self_attn.o_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_Q_NORM, "model.layers.{l}.self_attn.q_norm.weight", MU_PART_WHOLE},
    {MU_SLOT_K_NORM, "model.layers.{l}.self_attn.k_norm.weight", MU_PART_WHOLE},
    {MU_SLOT_GATE, "model.layers.{l}.mlp.gate_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_UP, "model.layers.{l}.mlp.up_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_DOWN, "model.layers.{l}.mlp.down_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_N, NULL, MU_PART_WHOLE},
};

const struct mu_arch mu_arch_llama = {.model_type = "llama",
                                      .architectures = {"LlamaForCausalLM", "LLaMAForCausalLM"},
                                      .read = read_llama,
                                      .names = mu_llama_names,
                                      .prefix = "model.",
                                      .ignored = {"rotary_emb.inv_freq"}};

const struct mu_arch mu_arch_mistral = {.model_type = "mistral",
                                        .architectures = {"MistralForCausalLM"},
                                        .read = read_mistral,
                                        .names = mu_llama_names,
                                        .prefix = "model.",
                                        .ignored = {"rotary_emb.inv_freq"}};
