/* same.c - whether two specs describe the same network */
#include <string.h>

#include "base/check.h"
#include "model/spec.h"

static bool same_rope(const struct mu_rope_spec *a, const struct mu_rope_spec *b)
{
    bool same = a->style == b->style && a->dim == b->dim && a->theta == b->theta && a->scaling == b->scaling &&
                a->factor == b->factor && a->low_freq_factor == b->low_freq_factor &&
                a->high_freq_factor == b->high_freq_factor && a->beta_fast == b->beta_fast &&
                a->beta_slow == b->beta_slow && a->attention_factor == b->attention_factor &&
                a->is_truncated == b->is_truncated && a->original_context == b->original_context;
    for (int i = 0; same && i < a->dim / 2; i++)
        same = a->short_factor[i] == b->short_factor[i] && a->long_factor[i] == b->long_factor[i];
    return same;
}

static bool same_moe(const struct mu_moe_spec *a, const struct mu_moe_spec *b)
{
    return a->n_experts == b->n_experts && a->top_k == b->top_k && a->ffn == b->ffn && a->n_shared == b->n_shared &&
           a->router == b->router && a->n_groups == b->n_groups && a->top_groups == b->top_groups &&
           a->is_group_score_top2sum == b->is_group_score_top2sum && a->is_normalised == b->is_normalised &&
           a->scaling == b->scaling && a->has_bias == b->has_bias;
}

static bool same_layer(const struct mu_layer_spec *a, const struct mu_layer_spec *b)
{
    return a->attn == b->attn && a->n_heads == b->n_heads && a->n_kv_heads == b->n_kv_heads && a->dk == b->dk &&
           a->dv == b->dv && a->q_lora == b->q_lora && a->kv_lora == b->kv_lora && a->dk_nope == b->dk_nope &&
           a->dk_rope == b->dk_rope && a->has_qkv_bias == b->has_qkv_bias && a->has_out_bias == b->has_out_bias &&
           a->has_qk_norm == b->has_qk_norm && a->scale == b->scale && a->window == b->window && a->block == b->block &&
           a->mlp == b->mlp && a->act == b->act && a->ffn == b->ffn && a->has_mlp_bias == b->has_mlp_bias &&
           same_moe(&a->moe, &b->moe);
}

bool mu_spec_same_network(const struct mu_spec *a, const struct mu_spec *b)
{
    bool same = a->vocab == b->vocab && a->hidden == b->hidden && a->context == b->context &&
                a->n_layers == b->n_layers && a->norm.kind == b->norm.kind && a->norm.eps == b->norm.eps &&
                a->norm.is_zero_centred == b->norm.is_zero_centred && a->norm.has_bias == b->norm.has_bias &&
                a->latent_norm_eps == b->latent_norm_eps && a->position == b->position &&
                same_rope(&a->rope, &b->rope) && a->is_tied == b->is_tied && a->n_mtp == b->n_mtp &&
                a->fp8_block_rows == b->fp8_block_rows && a->fp8_block_cols == b->fp8_block_cols &&
                strcmp(a->default_dtype, b->default_dtype) == 0 && a->n_params == b->n_params &&
                a->n_params_active == b->n_params_active;
    for (int i = 0; same && i < a->n_layers; i++)
        same = same_layer(&a->layers[i], &b->layers[i]);
    return same;
}
