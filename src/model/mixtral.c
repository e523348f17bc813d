/* mixtral.c - Mixtral: Mistral's attention, and experts chosen by a softmax whose top-k is renormalised
 *
 * Keys: transformers' MixtralConfig; maths: modeling_mixtral.py. In the files w1 is the gate, w3 up, w2 down; files
 * with the experts stacked are read too. */
#include "model/arch.h"

#include "base/check.h"

static int read_mixtral(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {0};
    struct mu_moe_spec *m = &l.moe;

    s->context = 131072;
    s->norm.eps = 1e-5f;
    MU_TRY_RETURN(mu_read_llama_shape(c, s, &l, 8));
    MU_TRY_RETURN(mu_config_int(c, "sliding_window", 1, MU_POSITIONS_MAX, &l.window));
    *m = (struct mu_moe_spec){.n_experts = 8,
                              .top_k = 2,
                              .ffn = l.ffn,
                              .router = MU_ROUTER_SOFTMAX_TOPK,
                              .n_groups = 1,
                              .top_groups = 1,
                              .is_normalised = true,
                              .scaling = 1};
    MU_TRY_RETURN(
        mu_config_int(c, mu_config_key(c, "num_local_experts", "num_experts"), 1, MU_EXPERTS_MAX, &m->n_experts));
    MU_TRY_RETURN(mu_config_int(c, "num_experts_per_tok", 1, MU_EXPERTS_MAX, &m->top_k));
    l.mlp = MU_MLP_MOE;
    l.ffn = 0;
    MU_TRY_RETURN(mu_read_grouped_heads(c, s, &l, 0, 1000000));
    return mu_spec_new_layers(s, &l, c->e);
}

static const struct mu_slot_name names[] = {
    {MU_SLOT_EMBED, "model.embed_tokens.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_FINAL, "model.norm.weight", MU_PART_WHOLE},
    {MU_SLOT_HEAD, "lm_head.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_ATTN, "model.layers.{l}.input_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_MLP, "model.layers.{l}.post_attention_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_Q, "model.layers.{l}.self_attn.q_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_K, "model.layers.{l}.self_attn.k_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_V, "model.layers.{l}.self_attn.v_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_O, "model.layers.{l}.self_attn.o_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_ROUTER, "model.layers.{l}.block_sparse_moe.gate.weight", MU_PART_WHOLE},
    {MU_SLOT_ROUTER, "model.layers.{l}.mlp.gate.weight", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_GATE, "model.layers.{l}.block_sparse_moe.experts.{e}.w1.weight", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_GATE, "model.layers.{l}.mlp.experts.gate_up_proj", MU_PART_STACK_PAIR},
    {MU_SLOT_EXPERT_UP, "model.layers.{l}.block_sparse_moe.experts.{e}.w3.weight", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_UP, "model.layers.{l}.mlp.experts.gate_up_proj", MU_PART_STACK_PAIR},
    {MU_SLOT_EXPERT_DOWN, "model.layers.{l}.block_sparse_moe.experts.{e}.w2.weight", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_DOWN, "model.layers.{l}.mlp.experts.down_proj", MU_PART_STACK},
    {MU_SLOT_N, NULL, MU_PART_WHOLE},
};

const struct mu_arch mu_arch_mixtral = {.model_type = "mixtral",
                                        .architectures = {"MixtralForCausalLM"},
                                        .read = read_mixtral,
                                        .names = names,
                                        .prefix = "model.",
                                        .ignored = {"rotary_emb.inv_freq"}};
