/* gguf_names.c - names of tensors inside GGUF files, one set for all families (gguf-py's tensor_mapping.py)
 *
 * llama.cpp's converter changes some tensors: q and k of the Llama family are reordered for interleaved rotation,
 * GPT-2's Conv1D is turned to [out, in], Falcon's fused projection becomes blocks of q, k and v, experts are stacked.
 */
#include <string.h>

#include "model/arch.h"

#define COMMON                                                                                                         \
    {MU_SLOT_EMBED, "token_embd.weight", MU_PART_WHOLE}, {MU_SLOT_POSITIONS, "position_embd.weight", MU_PART_WHOLE},   \
        {MU_SLOT_NORM_FINAL, "output_norm.weight", MU_PART_WHOLE}, {MU_SLOT_HEAD, "output.weight", MU_PART_WHOLE},     \
        {MU_SLOT_NORM_ATTN, "blk.{l}.attn_norm_2.weight", MU_PART_WHOLE},                                              \
        {MU_SLOT_NORM_ATTN, "blk.{l}.attn_norm.weight", MU_PART_WHOLE},                                                \
        {MU_SLOT_NORM_MLP, "blk.{l}.ffn_norm.weight", MU_PART_WHOLE},                                                  \
        {MU_SLOT_NORM_MLP, "blk.{l}.attn_norm.weight", MU_PART_WHOLE},                                                 \
        {MU_SLOT_V, "blk.{l}.attn_v.weight", MU_PART_WHOLE}, {MU_SLOT_O, "blk.{l}.attn_output.weight", MU_PART_WHOLE}, \
        {MU_SLOT_Q_NORM, "blk.{l}.attn_q_norm.weight", MU_PART_WHOLE},                                                 \
        {MU_SLOT_K_NORM, "blk.{l}.attn_k_norm.weight", MU_PART_WHOLE},                                                 \
        {MU_SLOT_GATE, "blk.{l}.ffn_gate.weight", MU_PART_WHOLE},                                                      \
        {MU_SLOT_UP, "blk.{l}.ffn_up.weight", MU_PART_WHOLE},                                                          \
        {MU_SLOT_DOWN, "blk.{l}.ffn_down.weight", MU_PART_WHOLE},                                                      \
        {MU_SLOT_ROUTER, "blk.{l}.ffn_gate_inp.weight", MU_PART_WHOLE},                                                \
        {MU_SLOT_ROUTER_BIAS, "blk.{l}.exp_probs_b.bias", MU_PART_WHOLE},                                              \
        {MU_SLOT_EXPERT_GATE, "blk.{l}.ffn_gate_exps.weight", MU_PART_STACK},                                          \
        {MU_SLOT_EXPERT_GATE, "blk.{l}.ffn_gate.{e}.weight", MU_PART_WHOLE},                                           \
        {MU_SLOT_EXPERT_UP, "blk.{l}.ffn_up_exps.weight", MU_PART_STACK},                                              \
        {MU_SLOT_EXPERT_UP, "blk.{l}.ffn_up.{e}.weight", MU_PART_WHOLE},                                               \
        {MU_SLOT_EXPERT_DOWN, "blk.{l}.ffn_down_exps.weight", MU_PART_STACK},                                          \
        {MU_SLOT_EXPERT_DOWN, "blk.{l}.ffn_down.{e}.weight", MU_PART_WHOLE},                                           \
        {MU_SLOT_SHARED_GATE, "blk.{l}.ffn_gate_shexp.weight", MU_PART_WHOLE},                                         \
        {MU_SLOT_SHARED_UP, "blk.{l}.ffn_up_shexp.weight", MU_PART_WHOLE},                                             \
        {MU_SLOT_SHARED_DOWN, "blk.{l}.ffn_down_shexp.weight", MU_PART_WHOLE},                                         \
        {MU_SLOT_Q_A, "blk.{l}.attn_q_a.weight", MU_PART_WHOLE},                                                       \
        {MU_SLOT_Q_A_NORM, "blk.{l}.attn_q_a_norm.weight", MU_PART_WHOLE},                                             \
        {MU_SLOT_Q, "blk.{l}.attn_q_b.weight", MU_PART_WHOLE},                                                         \
        {MU_SLOT_KV_A, "blk.{l}.attn_kv_a_mqa.weight", MU_PART_WHOLE},                                                 \
        {MU_SLOT_KV_A_NORM, "blk.{l}.attn_kv_a_norm.weight", MU_PART_WHOLE},                                           \
        {MU_SLOT_KV_UP_K, "blk.{l}.attn_kv_b.weight", MU_PART_HEADS_KV},                                               \
        {MU_SLOT_KV_UP_K, "blk.{l}.attn_k_b.weight", MU_PART_HEADS_K_T},                                               \
        {MU_SLOT_KV_UP_V, "blk.{l}.attn_kv_b.weight", MU_PART_HEADS_KV},                                               \
        {MU_SLOT_KV_UP_V, "blk.{l}.attn_v_b.weight", MU_PART_STACK},                                                   \
    {                                                                                                                  \
        MU_SLOT_N, NULL, MU_PART_WHOLE                                                                                 \
    }

static const struct mu_slot_name plain[] = {
    {MU_SLOT_Q, "blk.{l}.attn_q.weight", MU_PART_WHOLE},    {MU_SLOT_K, "blk.{l}.attn_k.weight", MU_PART_WHOLE},
    {MU_SLOT_Q, "blk.{l}.attn_qkv.weight", MU_PART_BLOCKS}, {MU_SLOT_K, "blk.{l}.attn_qkv.weight", MU_PART_BLOCKS},
    {MU_SLOT_V, "blk.{l}.attn_qkv.weight", MU_PART_BLOCKS}, COMMON,
};

static const struct mu_slot_name paired[] = {
    {MU_SLOT_Q, "blk.{l}.attn_q.weight", MU_PART_PAIRED_ROPE},
    {MU_SLOT_K, "blk.{l}.attn_k.weight", MU_PART_PAIRED_ROPE},
    COMMON,
};

const struct mu_slot_name *mu_gguf_names(const char *family)
{
    bool is_llama = strcmp(family, "llama") == 0 || strcmp(family, "mistral") == 0 || strcmp(family, "mixtral") == 0;
    return is_llama ? paired : plain;
}
