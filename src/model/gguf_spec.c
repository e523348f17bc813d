/* gguf_spec.c - a spec from the metadata of a GGUF file
 *
 * The metadata is turned back into the config.json that it was made from, and the reader of that architecture reads it:
 * one way to describe a model, one set of checks. What the metadata does not say is seen from the tensors: biases,
 * tied heads, Falcon's second norm, the vocabulary. Keys: ggml's docs/gguf.md and gguf-py's constants.py.
 *
 * Llama 3's rotary scaling comes as a tensor of factors, one a pair; that is longrope with one list. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "fmt/gguf.h"
#include "fmt/weights.h"
#include "model/arch.h"

#define KEY_BYTES 96

struct key {
    const char *gguf, *config; /* gguf: after "<arch>." */
    bool is_real;
};

static const struct key llama_keys[] = {{"embedding_length", "hidden_size", false},
                                        {"feed_forward_length", "intermediate_size", false},
                                        {"block_count", "num_hidden_layers", false},
                                        {"attention.head_count", "num_attention_heads", false},
                                        {"attention.head_count_kv", "num_key_value_heads", false},
                                        {"attention.key_length", "head_dim", false},
                                        {"attention.sliding_window", "sliding_window", false},
                                        {"attention.layer_norm_rms_epsilon", "rms_norm_eps", true},
                                        {"context_length", "max_position_embeddings", false},
                                        {"rope.freq_base", "rope_theta", true},
                                        {"expert_count", "num_local_experts", false},
                                        {"expert_used_count", "num_experts_per_tok", false},
                                        {NULL, NULL, false}};

static const struct key gpt2_keys[] = {{"embedding_length", "n_embd", false},
                                       {"feed_forward_length", "n_inner", false},
                                       {"block_count", "n_layer", false},
                                       {"attention.head_count", "n_head", false},
                                       {"attention.layer_norm_epsilon", "layer_norm_epsilon", true},
                                       {"context_length", "n_positions", false},
                                       {NULL, NULL, false}};

static const struct key falcon_keys[] = {{"embedding_length", "hidden_size", false},
                                         {"feed_forward_length", "ffn_hidden_size", false},
                                         {"block_count", "num_hidden_layers", false},
                                         {"attention.head_count", "num_attention_heads", false},
                                         {"attention.head_count_kv", "num_kv_heads", false},
                                         {"attention.layer_norm_epsilon", "layer_norm_epsilon", true},
                                         {"context_length", "max_position_embeddings", false},
                                         {"rope.freq_base", "rope_theta", true},
                                         {NULL, NULL, false}};

static const struct key deepseek_keys[] = {{"embedding_length", "hidden_size", false},
                                           {"feed_forward_length", "intermediate_size", false},
                                           {"block_count", "num_hidden_layers", false},
                                           {"attention.head_count", "num_attention_heads", false},
                                           {"attention.q_lora_rank", "q_lora_rank", false},
                                           {"attention.kv_lora_rank", "kv_lora_rank", false},
                                           {"attention.value_length", "v_head_dim", false},
                                           {"attention.value_length_mla", "v_head_dim", false},
                                           {"attention.layer_norm_rms_epsilon", "rms_norm_eps", true},
                                           {"context_length", "max_position_embeddings", false},
                                           {"rope.dimension_count", "qk_rope_head_dim", false},
                                           {"rope.freq_base", "rope_theta", true},
                                           {"leading_dense_block_count", "first_k_dense_replace", false},
                                           {"expert_count", "n_routed_experts", false},
                                           {"expert_used_count", "num_experts_per_tok", false},
                                           {"expert_shared_count", "n_shared_experts", false},
                                           {"expert_feed_forward_length", "moe_intermediate_size", false},
                                           {"expert_group_count", "n_group", false},
                                           {"expert_group_used_count", "topk_group", false},
                                           {"expert_weights_scale", "routed_scaling_factor", true},
                                           {"nextn_predict_layers", "num_nextn_predict_layers", false},
                                           {NULL, NULL, false}};

struct reading {
    struct mu_weights *w;
    const struct mu_gguf *g;
    char arch[32];
    const char *where;
    json_t *config;
    bool is_out_of_memory;
    struct mu_err *e;
};

/* ---- building the config ---- */

static void set(struct reading *r, json_t *o, const char *key, json_t *v)
{
    r->is_out_of_memory |= json_object_set_new(o, key, v) != 0; /* v NULL fails too */
}

static const char *full_key(const struct reading *r, char *out, const char *key)
{
    snprintf(out, KEY_BYTES, "%s.%s", r->arch, key);
    return out;
}

static bool has_key(const struct reading *r, const char *key)
{
    char full[KEY_BYTES];
    return mu_gguf_find(r->g, full_key(r, full, key)) != NULL;
}

static bool has_tensor(const struct reading *r, const char *name)
{
    return mu_weights_find(r->w, name) != NULL;
}

static int copy_key(struct reading *r, json_t *o, const char *from, const char *to, bool is_real)
{
    char full[KEY_BYTES];
    int64_t i;
    double v;

    if (!has_key(r, from))
        return MU_OK;
    full_key(r, full, from);
    if (is_real) {
        MU_TRY_RETURN(mu_gguf_real(r->g, full, &v, r->e));
        set(r, o, to, json_real(v)); /* NULL for NaN: refused below as out of memory would be */
    } else {
        MU_TRY_RETURN(mu_gguf_int(r->g, full, INT64_MIN, INT64_MAX, &i, r->e));
        set(r, o, to, json_integer(i));
    }
    return MU_OK;
}

static int copy_keys(struct reading *r, const struct key *rows)
{
    for (; rows->gguf; rows++)
        MU_TRY_RETURN(copy_key(r, r->config, rows->gguf, rows->config, rows->is_real));
    return MU_OK;
}

static int rope_scaling(struct reading *r)
{
    char full[KEY_BYTES], type[16];
    struct mu_str name;
    double multiplier;

    if (!has_key(r, "rope.scaling.type"))
        return MU_OK;
    MU_TRY_RETURN(mu_gguf_string(r->g, full_key(r, full, "rope.scaling.type"), &name, r->e));
    snprintf(type, sizeof type, MU_STR_FMT, MU_STR_ARG(name));
    if (strcmp(type, "none") == 0)
        return MU_OK;
    json_t *o = json_object();
    set(r, r->config, "rope_scaling", o);
    if (!o)
        return MU_OK;
    set(r, o, "rope_type", json_string(type));
    MU_TRY_RETURN(copy_key(r, o, "rope.scaling.factor", "factor", true));
    MU_TRY_RETURN(copy_key(r, o, "rope.scaling.original_context_length", "original_max_position_embeddings", false));
    MU_TRY_RETURN(copy_key(r, o, "rope.scaling.yarn_beta_fast", "beta_fast", true));
    MU_TRY_RETURN(copy_key(r, o, "rope.scaling.yarn_beta_slow", "beta_slow", true));
    if (has_key(r, "rope.scaling.yarn_log_multiplier")) { /* 0.1 times DeepSeek's mscale_all_dim */
        MU_TRY_RETURN(mu_gguf_real(r->g, full_key(r, full, "rope.scaling.yarn_log_multiplier"), &multiplier, r->e));
        set(r, o, "mscale", json_real((double)(float)(multiplier * 10)));
        set(r, o, "mscale_all_dim", json_real((double)(float)(multiplier * 10)));
    }
    return MU_OK;
}

/* ---- architectures ---- */

static int build_llama(struct reading *r, const char *plain)
{
    bool is_moe = has_key(r, "expert_count");
    set(r, r->config, "model_type", json_string(is_moe ? "mixtral" : plain));
    if (!has_key(r, "attention.sliding_window"))
        set(r, r->config, "sliding_window", json_null());
    else
        set(r, r->config, "use_sliding_window", json_true());
    set(r, r->config, "attention_bias", json_boolean(has_tensor(r, "blk.0.attn_output.bias")));
    set(r, r->config, "mlp_bias", json_boolean(has_tensor(r, "blk.0.ffn_up.bias")));
    MU_TRY_RETURN(copy_keys(r, llama_keys));
    return rope_scaling(r);
}

static int build_gpt2(struct reading *r)
{
    set(r, r->config, "model_type", json_string("gpt2"));
    return copy_keys(r, gpt2_keys);
}

static int build_falcon(struct reading *r)
{
    char full[KEY_BYTES];
    int64_t kv = 1;
    bool two = has_tensor(r, "blk.0.attn_norm_2.weight");

    if (has_key(r, "attention.head_count_kv"))
        MU_TRY_RETURN(mu_gguf_int(r->g, full_key(r, full, "attention.head_count_kv"), 1, MU_HEADS_MAX, &kv, r->e));
    set(r, r->config, "model_type", json_string("falcon"));
    set(r, r->config, "new_decoder_architecture", json_boolean(two || kv > 1));
    set(r, r->config, "num_ln_in_parallel_attn", json_integer(two ? 2 : 1));
    MU_TRY_RETURN(copy_keys(r, falcon_keys));
    return rope_scaling(r);
}

static int build_deepseek(struct reading *r)
{
    char full[KEY_BYTES];
    int64_t gating = 1, key, rope;
    bool is_normalised = false;

    if (has_key(r, "expert_gating_func"))
        MU_TRY_RETURN(mu_gguf_int(r->g, full_key(r, full, "expert_gating_func"), 0, 3, &gating, r->e));
    if (has_key(r, "expert_weights_norm"))
        MU_TRY_RETURN(mu_gguf_bool(r->g, full_key(r, full, "expert_weights_norm"), &is_normalised, r->e));
    const char *length = has_key(r, "attention.key_length_mla") ? "attention.key_length_mla" : "attention.key_length";
    MU_TRY_RETURN(mu_gguf_int(r->g, full_key(r, full, length), 1, MU_HEAD_DIM_MAX, &key, r->e));
    MU_TRY_RETURN(mu_gguf_int(r->g, full_key(r, full, "rope.dimension_count"), 1, MU_HEAD_DIM_MAX, &rope, r->e));
    bool is_v3 = gating == 2; /* sigmoid */
    set(r, r->config, "model_type", json_string(is_v3 ? "deepseek_v3" : "deepseek_v2"));
    set(r, r->config, "norm_topk_prob", json_boolean(is_normalised));
    set(r, r->config, "qk_nope_head_dim", json_integer(key - rope));
    if (!has_key(r, "attention.q_lora_rank"))
        set(r, r->config, "q_lora_rank", json_null());
    if (!is_v3 && has_key(r, "expert_group_count"))
        set(r, r->config, "topk_method", json_string("group_limited_greedy"));
    MU_TRY_RETURN(copy_keys(r, deepseek_keys));
    return rope_scaling(r);
}

static int build(struct reading *r)
{
    if (strcmp(r->arch, "llama") == 0)
        return build_llama(r, "llama");
    if (strcmp(r->arch, "qwen2") == 0 || strcmp(r->arch, "qwen3") == 0)
        return build_llama(r, r->arch);
    if (strcmp(r->arch, "gpt2") == 0)
        return build_gpt2(r);
    if (strcmp(r->arch, "falcon") == 0)
        return build_falcon(r);
    if (strcmp(r->arch, "deepseek2") == 0)
        return build_deepseek(r);
    return mu_fail(r->e, MU_EUNSUPPORTED,
                   "%s: general.architecture is \"%s\"; known are llama, qwen2, qwen3, gpt2, falcon, deepseek2",
                   r->where, r->arch);
}

/* ---- what the tensors say ---- */

static const char *dtype_of(const struct mu_tensor_info *t)
{
    return t->dtype == MU_F32 ? "float32" : t->dtype == MU_BF16 ? "bfloat16" : "float16";
}

static int from_tensors(struct reading *r)
{
    const struct mu_tensor_info *embed = mu_weights_find(r->w, "token_embd.weight");
    if (!embed || embed->n_dims != 2 || embed->dims[0] > MU_VOCAB_MAX)
        return mu_fail(r->e, MU_EFORMAT, "%s lacks tensor token_embd.weight [vocabulary, hidden]", r->where);
    set(r, r->config, "vocab_size", json_integer((json_int_t)embed->dims[0]));
    set(r, r->config, "tie_word_embeddings", json_boolean(!has_tensor(r, "output.weight")));
    set(r, r->config, "torch_dtype", json_string(dtype_of(embed)));
    return MU_OK;
}

static int rope_factors(struct reading *r, struct mu_spec *s)
{
    const struct mu_tensor_info *t = mu_weights_find(r->w, "rope_freqs.weight");
    struct mu_rope_spec *rope = &s->rope;

    if (!t || s->position != MU_POS_ROPE)
        return MU_OK;
    if (t->dtype != MU_F32 || t->n_elems != (uint64_t)rope->dim / 2 || rope->scaling != MU_SCALE_NONE)
        return mu_fail(r->e, MU_EFORMAT, "%s: rope_freqs.weight does not hold one f32 factor for each of %d pairs",
                       r->where, rope->dim / 2);
    MU_TRY_RETURN(mu_weights_read(r->w, t, 0, t->n_bytes, rope->short_factor, r->e));
    for (int i = 0; i < rope->dim / 2; i++)
        if (!(rope->short_factor[i] >= 1e-6f && rope->short_factor[i] <= 1e6f))
            return mu_fail(r->e, MU_EFORMAT, "%s: rope_freqs.weight holds %g, no factor", r->where,
                           (double)rope->short_factor[i]);
    memcpy(rope->long_factor, rope->short_factor, sizeof rope->long_factor);
    rope->scaling = MU_SCALE_LONGROPE;
    rope->factor = 1;
    return MU_OK;
}

int mu_spec_from_gguf(struct mu_spec *out, struct mu_weights *w, const char *where, struct mu_err *e)
{
    struct reading r = {.w = w, .g = mu_weights_gguf(w), .where = where, .e = e};
    struct mu_spec s = MU_SPEC_INIT;
    struct mu_str arch;
    int rc = MU_OK;

    *out = s;
    MU_TRY(mu_gguf_string(r.g, "general.architecture", &arch, e));
    snprintf(r.arch, sizeof r.arch, MU_STR_FMT, MU_STR_ARG(arch));
    r.config = json_object();
    if (r.config)
        MU_TRY(build(&r));
    if (r.config)
        MU_TRY(from_tensors(&r));
    if (!r.config || r.is_out_of_memory) {
        rc = mu_fail(e, MU_ENOMEM, "%s: no memory for its metadata, or a metadata value is not finite", where);
        goto out;
    }
    MU_TRY(mu_spec_from_config(&s, r.config, where, e));
    MU_TRY(rope_factors(&r, &s));
    *out = s;
    s = (struct mu_spec)MU_SPEC_INIT;
out:
    json_decref(r.config);
    mu_spec_fini(&s);
    return rc;
}
