/* falcon.c - Falcon in its three shapes
 *
 *   7B          parallel block, one norm, one KV head
 *   40B, 180B   new_decoder_architecture: parallel block, a norm for attention and one for the MLP (11B: one norm),
 *               grouped KV heads
 *   RW          alibi instead of rotation, blocks one after the other, biases, every head its own KV
 *
 * Keys: transformers' FalconConfig and, for files older than it (RWForCausalLM), n_head, n_layer, n_head_kv; maths:
 * modeling_falcon.py. All fused projections have one layout: for each KV head its query heads, its key, its value. */
#include "model/arch.h"

#include <math.h>

#include "base/check.h"

struct shape {
    bool is_new, multi_query, parallel, alibi, bias;
    int n_norms; /* of a parallel block; 0: not said */
};

static int read_shape(const struct mu_config *c, struct shape *f)
{
    *f = (struct shape){.multi_query = true, .parallel = true};
    MU_TRY_RETURN(mu_config_bool(c, "new_decoder_architecture", &f->is_new));
    MU_TRY_RETURN(mu_config_bool(c, "multi_query", &f->multi_query));
    MU_TRY_RETURN(mu_config_bool(c, "parallel_attn", &f->parallel));
    MU_TRY_RETURN(mu_config_bool(c, "alibi", &f->alibi));
    MU_TRY_RETURN(mu_config_bool(c, "bias", &f->bias));
    MU_TRY_RETURN(mu_config_int(c, "num_ln_in_parallel_attn", 1, 2, &f->n_norms));
    if (f->is_new && !f->parallel)
        return mu_fail(c->e, MU_EFORMAT,
                       "%s: new_decoder_architecture is true and parallel_attn false; that "
                       "architecture has parallel blocks only",
                       c->where);
    if (!f->is_new && f->n_norms == 2)
        return mu_fail(c->e, MU_EFORMAT, "%s: num_ln_in_parallel_attn is 2, which needs new_decoder_architecture",
                       c->where);
    if (f->is_new && f->n_norms == 0)
        f->n_norms = 2;
    return MU_OK;
}

static int read_kv_heads(const struct mu_config *c, const struct shape *f, struct mu_layer_spec *l)
{
    l->n_kv_heads = l->n_heads;
    if (f->is_new)
        return mu_config_int(c, mu_config_key(c, "num_kv_heads", "n_head_kv"), 1, MU_HEADS_MAX, &l->n_kv_heads);
    if (f->multi_query)
        l->n_kv_heads = 1;
    return MU_OK;
}

static int read_falcon(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {.attn = MU_ATTN_GROUPED, .mlp = MU_MLP_PLAIN, .act = MU_ACT_GELU};
    struct shape f;
    int hidden, vocab;

    MU_TRY_RETURN(read_shape(c, &f));
    MU_TRY_RETURN(mu_config_need(c, mu_config_key(c, "hidden_size", "n_embed"), 1, MU_HIDDEN_MAX, &hidden));
    MU_TRY_RETURN(mu_config_need(c, "vocab_size", 1, MU_VOCAB_MAX, &vocab));
    MU_TRY_RETURN(mu_config_need(c, mu_config_key(c, "num_hidden_layers", "n_layer"), 1, MU_LAYERS_MAX, &s->n_layers));
    MU_TRY_RETURN(mu_config_need(c, mu_config_key(c, "num_attention_heads", "n_head"), 1, MU_HEADS_MAX, &l.n_heads));
    MU_TRY_RETURN(read_kv_heads(c, &f, &l));
    if (hidden % l.n_heads != 0)
        return mu_fail(c->e, MU_EFORMAT, "%s: hidden_size is %d, which num_attention_heads %d does not divide",
                       c->where, hidden, l.n_heads);
    s->hidden = hidden;
    s->vocab = vocab;
    s->context = 2048;
    MU_TRY_RETURN(mu_config_int64(c, "max_position_embeddings", 1, MU_POSITIONS_MAX, &s->context));
    s->norm = (struct mu_norm_spec){.kind = MU_NORM_LAYER, .eps = 1e-5f, .has_bias = true};
    MU_TRY_RETURN(mu_config_float(c, "layer_norm_epsilon", 0, 1, &s->norm.eps));
    s->is_tied = true;
    MU_TRY_RETURN(mu_config_bool(c, "tie_word_embeddings", &s->is_tied));
    MU_TRY_RETURN(mu_config_act(c, "activation", &l.act));
    l.dk = l.dv = hidden / l.n_heads;
    l.scale = (float)(1 / sqrt(l.dk));
    l.ffn = 4 * hidden;
    MU_TRY_RETURN(mu_config_int(c, "ffn_hidden_size", 1, MU_HIDDEN_MAX, &l.ffn));
    l.has_qkv_bias = l.has_out_bias = l.has_mlp_bias = f.bias;
    l.block = !f.parallel ? MU_BLOCK_SEQUENTIAL : f.n_norms == 2 ? MU_BLOCK_PARALLEL_NORMS : MU_BLOCK_PARALLEL;
    if (f.alibi)
        s->position = MU_POS_ALIBI;
    else
        MU_TRY_RETURN(mu_config_rope(c, s, MU_ROPE_HALF, l.dk, 10000));
    return mu_spec_new_layers(s, &l, c->e);
}

static const struct mu_slot_name names[] = {
    {MU_SLOT_EMBED, "transformer.word_embeddings.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_FINAL, "transformer.ln_f.weight", MU_PART_WHOLE},
    {MU_SLOT_HEAD, "lm_head.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_ATTN, "transformer.h.{l}.ln_attn.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_ATTN, "transformer.h.{l}.input_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_MLP, "transformer.h.{l}.ln_mlp.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_MLP, "transformer.h.{l}.post_attention_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_Q, "transformer.h.{l}.self_attention.query_key_value.weight", MU_PART_GROUPED},
    {MU_SLOT_K, "transformer.h.{l}.self_attention.query_key_value.weight", MU_PART_GROUPED},
    {MU_SLOT_V, "transformer.h.{l}.self_attention.query_key_value.weight", MU_PART_GROUPED},
    {MU_SLOT_O, "transformer.h.{l}.self_attention.dense.weight", MU_PART_WHOLE},
    {MU_SLOT_UP, "transformer.h.{l}.mlp.dense_h_to_4h.weight", MU_PART_WHOLE},
    {MU_SLOT_DOWN, "transformer.h.{l}.mlp.dense_4h_to_h.weight", MU_PART_WHOLE},
    {MU_SLOT_N, NULL, MU_PART_WHOLE},
};

const struct mu_arch mu_arch_falcon = {.model_type = "falcon",
                                       .architectures = {"FalconForCausalLM", "RWForCausalLM"},
                                       .read = read_falcon,
                                       .names = names,
                                       .prefix = "transformer.",
                                       .ignored = {"rotary_emb.inv_freq", "self_attention.rotary.inv_freq"}};
