/* gpt2.c - GPT-2 and GPT-SW3
 *
 * Keys: transformers' GPT2Config; maths: modeling_gpt2.py. Layer norms, biases everywhere, learned positions, weights
 * stored transposed (Conv1D) with q, k and v side by side. GPT-SW3's apply_query_key_layer_scaling and
 * normalize_attention_scores are hints to its trainer that change no value in exact arithmetic; transformers ignores
 * them and so do we. reorder_and_upcast_attn speaks of half precision; sums are f32 here anyway. */
#include "model/arch.h"

#include <math.h>

#include "base/check.h"

static int scales(const struct mu_config *c, struct mu_spec *s)
{
    bool is_scaled = true, by_layer = false;

    MU_TRY_RETURN(mu_config_bool(c, "scale_attn_weights", &is_scaled));
    MU_TRY_RETURN(mu_config_bool(c, "scale_attn_by_inverse_layer_idx", &by_layer));
    for (int i = 0; i < s->n_layers; i++) {
        double scale = is_scaled ? 1 / sqrt(s->layers[i].dk) : 1;
        s->layers[i].scale = (float)(by_layer ? scale / (i + 1) : scale);
    }
    return MU_OK;
}

static int read_gpt2(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {.attn = MU_ATTN_GROUPED,
                              .has_qkv_bias = true,
                              .has_out_bias = true,
                              .block = MU_BLOCK_SEQUENTIAL,
                              .mlp = MU_MLP_PLAIN,
                              .act = MU_ACT_GELU_TANH,
                              .has_mlp_bias = true};
    bool cross = false;
    int hidden, vocab;

    MU_TRY_RETURN(mu_config_need(c, mu_config_key(c, "n_embd", "hidden_size"), 1, MU_HIDDEN_MAX, &hidden));
    MU_TRY_RETURN(mu_config_need(c, "vocab_size", 1, MU_VOCAB_MAX, &vocab));
    MU_TRY_RETURN(mu_config_need(c, mu_config_key(c, "n_layer", "num_hidden_layers"), 1, MU_LAYERS_MAX, &s->n_layers));
    MU_TRY_RETURN(mu_config_need(c, mu_config_key(c, "n_head", "num_attention_heads"), 1, MU_HEADS_MAX, &l.n_heads));
    s->hidden = hidden;
    s->vocab = vocab;
    s->context = 1024;
    MU_TRY_RETURN(mu_config_int64(c, mu_config_key(c, "n_positions", "n_ctx"), 1, MU_HIDDEN_MAX, &s->context));
    if (s->hidden % l.n_heads != 0)
        return mu_fail(c->e, MU_EFORMAT, "%s: n_embd is %d, which n_head %d does not divide", c->where, hidden,
                       l.n_heads);
    MU_TRY_RETURN(mu_config_bool(c, "add_cross_attention", &cross));
    if (cross)
        return mu_fail(c->e, MU_EUNSUPPORTED, "%s: add_cross_attention is true; muster runs decoders only", c->where);
    s->position = MU_POS_LEARNED;
    s->norm = (struct mu_norm_spec){.kind = MU_NORM_LAYER, .eps = 1e-5f, .has_bias = true};
    MU_TRY_RETURN(mu_config_float(c, "layer_norm_epsilon", 0, 1, &s->norm.eps));
    s->is_tied = true;
    MU_TRY_RETURN(mu_config_bool(c, "tie_word_embeddings", &s->is_tied));
    MU_TRY_RETURN(mu_config_act(c, "activation_function", &l.act));
    l.n_kv_heads = l.n_heads;
    l.dk = l.dv = hidden / l.n_heads;
    l.ffn = 4 * hidden;
    MU_TRY_RETURN(mu_config_int(c, "n_inner", 1, MU_HIDDEN_MAX, &l.ffn));
    MU_TRY_RETURN(mu_spec_new_layers(s, &l, c->e));
    return scales(c, s);
}

static const struct mu_slot_name names[] = {
    {MU_SLOT_EMBED, "transformer.wte.weight", MU_PART_WHOLE},
    {MU_SLOT_POSITIONS, "transformer.wpe.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_FINAL, "transformer.ln_f.weight", MU_PART_WHOLE},
    {MU_SLOT_HEAD, "lm_head.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_ATTN, "transformer.h.{l}.ln_1.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_MLP, "transformer.h.{l}.ln_2.weight", MU_PART_WHOLE},
    {MU_SLOT_Q, "transformer.h.{l}.attn.c_attn.weight", MU_PART_BLOCKS_T},
    {MU_SLOT_K, "transformer.h.{l}.attn.c_attn.weight", MU_PART_BLOCKS_T},
    {MU_SLOT_V, "transformer.h.{l}.attn.c_attn.weight", MU_PART_BLOCKS_T},
    {MU_SLOT_O, "transformer.h.{l}.attn.c_proj.weight", MU_PART_TRANSPOSED},
    {MU_SLOT_UP, "transformer.h.{l}.mlp.c_fc.weight", MU_PART_TRANSPOSED},
    {MU_SLOT_DOWN, "transformer.h.{l}.mlp.c_proj.weight", MU_PART_TRANSPOSED},
    {MU_SLOT_N, NULL, MU_PART_WHOLE},
};

const struct mu_arch mu_arch_gpt2 = {.model_type = "gpt2",
                                     .architectures = {"GPT2LMHeadModel", "GPT2Model"},
                                     .read = read_gpt2,
                                     .names = names,
                                     .prefix = "transformer.",
                                     .ignored = {".attn.bias", ".attn.masked_bias"}};
