/* deepseek.c - DeepSeek-V2 and V3: latent attention, shared and routed experts
 *
 * Keys: transformers' DeepseekV2Config, DeepseekV3Config, and the names DeepSeek's own inference code uses
 * (inference/configs in its repositories). Maths: modeling_deepseek_v2.py, modeling_deepseek_v3.py; DeepSeek-V2 paper,
 * section 2.1 (latent attention).
 *
 * Easy to get wrong: rotation turns interleaved pairs; the norms inside attention have eps 1e-6 whatever rms_norm_eps
 * says; under YaRN q·k is scaled by mscale(factor, mscale_all_dim)^2 beside 1/sqrt(dk); V3 chooses experts by
 * sigmoid + bias but weighs them by sigmoid alone. The multi-token-prediction layers that V3 ships after the last
 * layer are counted in n_mtp and not run. */
#include "model/arch.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

#define LATENT_NORM_EPS 1e-6f
#define INFERENCE_BLOCK 128 /* of fp8 scales, fixed in the reference code's kernels */

/* One config in either spelling of its keys. */
struct keys {
    const char *layers, *heads, *experts, *shared, *top_k, *expert_ffn, *groups, *top_groups, *scaling, *dense;
};
static const struct keys published = {
    "num_hidden_layers",     "num_attention_heads",   "n_routed_experts", "n_shared_experts",
    "num_experts_per_tok",   "moe_intermediate_size", "n_group",          "topk_group",
    "routed_scaling_factor", "first_k_dense_replace"};
static const struct keys inference = {
    "n_layers",      "n_heads",         "n_routed_experts", "n_shared_experts", "n_activated_experts",
    "moe_inter_dim", "n_expert_groups", "n_limited_groups", "route_scale",      "n_dense_layers"};

static const struct mu_moe_spec v2_defaults = {.n_shared = 2, .n_groups = 1, .top_groups = 1, .scaling = 1};
static const struct mu_moe_spec v3_defaults = {.n_shared = 1, .n_groups = 8, .top_groups = 4, .scaling = 2.5};

static int read_latent(const struct mu_config *c, struct mu_spec *s, struct mu_layer_spec *l)
{
    s->latent_norm_eps = LATENT_NORM_EPS;
    l->attn = MU_ATTN_LATENT;
    l->kv_lora = 512;
    l->dk_nope = 128;
    l->dk_rope = 64;
    l->dv = 128;
    MU_TRY_RETURN(mu_config_int(c, "q_lora_rank", 0, MU_HIDDEN_MAX, &l->q_lora));
    MU_TRY_RETURN(mu_config_int(c, "kv_lora_rank", 1, MU_HEAD_DIM_MAX, &l->kv_lora));
    MU_TRY_RETURN(mu_config_int(c, "qk_nope_head_dim", 1, MU_HEAD_DIM_MAX, &l->dk_nope));
    MU_TRY_RETURN(mu_config_int(c, "qk_rope_head_dim", 2, MU_ROPE_DIM_MAX, &l->dk_rope));
    MU_TRY_RETURN(mu_config_int(c, "v_head_dim", 1, MU_HEAD_DIM_MAX, &l->dv));
    l->dk = l->dk_nope + l->dk_rope;
    l->n_kv_heads = l->n_heads;
    return MU_OK;
}

static int read_experts(const struct mu_config *c, const struct keys *k, struct mu_moe_spec *m)
{
    MU_TRY_RETURN(mu_config_need(c, k->experts, 1, MU_EXPERTS_MAX, &m->n_experts));
    MU_TRY_RETURN(mu_config_need(c, k->top_k, 1, MU_EXPERTS_MAX, &m->top_k));
    MU_TRY_RETURN(mu_config_need(c, k->expert_ffn, 1, MU_HIDDEN_MAX, &m->ffn));
    MU_TRY_RETURN(mu_config_int(c, k->shared, 0, MU_EXPERTS_MAX, &m->n_shared));
    MU_TRY_RETURN(mu_config_int(c, k->groups, 1, MU_EXPERTS_MAX, &m->n_groups));
    MU_TRY_RETURN(mu_config_int(c, k->top_groups, 1, MU_EXPERTS_MAX, &m->top_groups));
    return mu_config_real(c, k->scaling, 0, 1e6, &m->scaling);
}

static int need_word(const struct mu_config *c, const char *key, const char *word)
{
    const char *is = word;
    MU_TRY_RETURN(mu_config_string(c, key, &is));
    if (strcmp(is, word) == 0)
        return MU_OK;
    return mu_fail(c->e, MU_EUNSUPPORTED, "%s: %s is \"%s\", known here is \"%s\"", c->where, key, is, word);
}

static int read_router_v2(const struct mu_config *c, struct mu_moe_spec *m)
{
    const char *method = "greedy";

    m->router = MU_ROUTER_SOFTMAX_TOPK;
    MU_TRY_RETURN(need_word(c, "scoring_func", "softmax"));
    MU_TRY_RETURN(mu_config_string(c, "topk_method", &method));
    if (strcmp(method, "greedy") == 0)
        m->n_groups = m->top_groups = 1;
    else if (strcmp(method, "group_limited_greedy") != 0)
        return mu_fail(c->e, MU_EUNSUPPORTED,
                       "%s: topk_method is \"%s\"; known are \"greedy\" and \"group_limited_greedy\"", c->where,
                       method);
    MU_TRY_RETURN(mu_config_bool(c, "norm_topk_prob", &m->is_normalised));
    if (m->is_normalised)
        return mu_fail(c->e, MU_EUNSUPPORTED,
                       "%s: norm_topk_prob is true; no published DeepSeek-V2 has it and its "
                       "implementations disagree on what it means",
                       c->where);
    return MU_OK;
}

static int read_router_v3(const struct mu_config *c, struct mu_moe_spec *m)
{
    m->router = MU_ROUTER_SIGMOID_GROUPS;
    m->is_group_score_top2sum = true;
    m->is_normalised = true;
    m->has_bias = true;
    MU_TRY_RETURN(need_word(c, "scoring_func", "sigmoid"));
    MU_TRY_RETURN(need_word(c, "topk_method", "noaux_tc"));
    return mu_config_bool(c, "norm_topk_prob", &m->is_normalised);
}

/* Dense MLPs in the first layers and where moe_layer_freq skips; experts elsewhere. */
static int lay_out(const struct mu_config *c, struct mu_spec *s, const struct mu_layer_spec *moe, int n_dense,
                   int every)
{
    MU_TRY_RETURN(mu_spec_new_layers(s, moe, c->e));
    for (int i = 0; i < s->n_layers; i++) {
        struct mu_layer_spec *l = &s->layers[i];
        bool is_moe = i >= n_dense && i % every == 0;
        l->mlp = is_moe ? MU_MLP_MOE : MU_MLP_GATED;
        if (is_moe) {
            l->ffn = 0;
            l->has_mlp_bias = false;
        } else {
            l->moe = (struct mu_moe_spec){0};
        }
    }
    return MU_OK;
}

static int read_attention_scale(const struct mu_config *c, struct mu_layer_spec *l)
{
    double mscale;
    MU_TRY_RETURN(mu_config_mscale(c, &mscale));
    l->scale = (float)(mscale / sqrt(l->dk));
    return MU_OK;
}

static int read(const struct mu_config *c, struct mu_spec *s, int version)
{
    struct mu_layer_spec l = {0};
    bool attention_bias = false, is_interleaved = true;
    int n_dense = version == 3 ? 3 : 0, every = 1;

    s->context = version == 3 ? 4096 : 2048;
    s->norm.eps = 1e-6f;
    MU_TRY_RETURN(mu_read_llama_shape(c, s, &l, 0));
    l.q_lora = json_object_get(c->o, "q_lora_rank") ? 0 : 1536; /* null means none */
    l.moe = version == 3 ? v3_defaults : v2_defaults;
    MU_TRY_RETURN(read_latent(c, s, &l));
    MU_TRY_RETURN(mu_config_bool(c, "attention_bias", &attention_bias));
    l.has_qkv_bias = l.has_out_bias = attention_bias;
    MU_TRY_RETURN(read_experts(c, &published, &l.moe));
    MU_TRY_RETURN(version == 3 ? read_router_v3(c, &l.moe) : read_router_v2(c, &l.moe));
    MU_TRY_RETURN(mu_config_int(c, published.dense, 0, MU_LAYERS_MAX, &n_dense));
    MU_TRY_RETURN(mu_config_int(c, "moe_layer_freq", 1, MU_LAYERS_MAX, &every));
    MU_TRY_RETURN(mu_config_int(c, "num_nextn_predict_layers", 0, MU_LAYERS_MAX, &s->n_mtp));
    MU_TRY_RETURN(mu_config_bool(c, "rope_interleave", &is_interleaved));
    MU_TRY_RETURN(mu_config_rope(c, s, is_interleaved ? MU_ROPE_INTERLEAVED : MU_ROPE_HALF, l.dk_rope, 10000));
    MU_TRY_RETURN(read_attention_scale(c, &l));
    return lay_out(c, s, &l, n_dense, every);
}

static int read_v2(const struct mu_config *c, struct mu_spec *s)
{
    return read(c, s, 2);
}

static int read_v3(const struct mu_config *c, struct mu_spec *s)
{
    return read(c, s, 3);
}

/* ---- inference_*.json ---- */

bool mu_deepseek_is_inference_config(const json_t *config)
{
    return mu_json_has(config, "n_dense_layers") && mu_json_has(config, "moe_inter_dim");
}

/* YaRN as the reference code has it: factor 40 over 4096 positions, no factor on cosines, q·k scaled by mscale^2. */
static int inference_rope(const struct mu_config *c, struct mu_spec *s, struct mu_layer_spec *l)
{
    double mscale = 1, original = 4096;
    struct mu_rope_spec *r = &s->rope;

    s->position = MU_POS_ROPE;
    *r = (struct mu_rope_spec){.style = MU_ROPE_INTERLEAVED,
                               .dim = l->dk_rope,
                               .theta = 10000,
                               .scaling = MU_SCALE_YARN,
                               .factor = 40,
                               .beta_fast = 32,
                               .beta_slow = 1,
                               .attention_factor = 1,
                               .is_truncated = true};
    MU_TRY_RETURN(mu_config_real(c, "rope_theta", 1.001, 1e12, &r->theta));
    MU_TRY_RETURN(mu_config_real(c, "rope_factor", 1, 1e6, &r->factor));
    MU_TRY_RETURN(mu_config_real(c, "original_seq_len", 1, MU_POSITIONS_MAX, &original));
    MU_TRY_RETURN(mu_config_real(c, "beta_fast", 1e-6, 1e6, &r->beta_fast));
    MU_TRY_RETURN(mu_config_real(c, "beta_slow", 1e-6, 1e6, &r->beta_slow));
    MU_TRY_RETURN(mu_config_real(c, "mscale", 0, 1e3, &mscale));
    r->original_context = (int64_t)original;
    s->context = (int64_t)fmin(original * r->factor, MU_POSITIONS_MAX);
    mscale = r->factor <= 1 ? 1 : 0.1 * mscale * log(r->factor) + 1;
    l->scale = (float)(mscale * mscale / sqrt(l->dk));
    return MU_OK;
}

int mu_deepseek_read_inference(const struct mu_config *c, struct mu_spec *s)
{
    struct mu_layer_spec l = {.block = MU_BLOCK_SEQUENTIAL, .act = MU_ACT_SILU, .moe = v2_defaults};
    const char *score = "softmax", *dtype = "bf16";
    int hidden, vocab, n_dense = 1;

    MU_TRY_RETURN(mu_config_need(c, "dim", 1, MU_HIDDEN_MAX, &hidden));
    MU_TRY_RETURN(mu_config_need(c, "vocab_size", 1, MU_VOCAB_MAX, &vocab));
    MU_TRY_RETURN(mu_config_need(c, inference.layers, 1, MU_LAYERS_MAX, &s->n_layers));
    MU_TRY_RETURN(mu_config_need(c, inference.heads, 1, MU_HEADS_MAX, &l.n_heads));
    MU_TRY_RETURN(mu_config_need(c, "inter_dim", 1, MU_HIDDEN_MAX, &l.ffn));
    s->hidden = hidden;
    s->vocab = vocab;
    s->norm = (struct mu_norm_spec){.kind = MU_NORM_RMS, .eps = 1e-6f};
    MU_TRY_RETURN(read_latent(c, s, &l));
    MU_TRY_RETURN(read_experts(c, &inference, &l.moe));
    MU_TRY_RETURN(mu_config_string(c, "score_func", &score));
    if (strcmp(score, "sigmoid") == 0) {
        l.moe.router = MU_ROUTER_SIGMOID_GROUPS;
        l.moe.is_group_score_top2sum = l.moe.has_bias = hidden == 7168; /* the reference code's own condition */
        l.moe.is_normalised = true;
    } else if (strcmp(score, "softmax") != 0) {
        return mu_fail(c->e, MU_EUNSUPPORTED, "%s: score_func is \"%s\"; known are softmax and sigmoid", c->where,
                       score);
    }
    MU_TRY_RETURN(mu_config_string(c, "dtype", &dtype));
    if (strcmp(dtype, "fp8") == 0)
        s->fp8_block_rows = s->fp8_block_cols = INFERENCE_BLOCK;
    MU_TRY_RETURN(mu_config_int(c, inference.dense, 0, MU_LAYERS_MAX, &n_dense));
    MU_TRY_RETURN(inference_rope(c, s, &l));
    return lay_out(c, s, &l, n_dense, 1);
}

/* ---- names ---- */

static const struct mu_slot_name names[] = {
    {MU_SLOT_EMBED, "model.embed_tokens.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_FINAL, "model.norm.weight", MU_PART_WHOLE},
    {MU_SLOT_HEAD, "lm_head.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_ATTN, "model.layers.{l}.input_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_NORM_MLP, "model.layers.{l}.post_attention_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_Q, "model.layers.{l}.self_attn.q_b_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_Q, "model.layers.{l}.self_attn.q_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_Q_A, "model.layers.{l}.self_attn.q_a_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_Q_A_NORM, "model.layers.{l}.self_attn.q_a_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_KV_A, "model.layers.{l}.self_attn.kv_a_proj_with_mqa.weight", MU_PART_WHOLE},
    {MU_SLOT_KV_A_NORM, "model.layers.{l}.self_attn.kv_a_layernorm.weight", MU_PART_WHOLE},
    {MU_SLOT_KV_UP_K, "model.layers.{l}.self_attn.kv_b_proj.weight", MU_PART_HEADS_KV},
    {MU_SLOT_KV_UP_V, "model.layers.{l}.self_attn.kv_b_proj.weight", MU_PART_HEADS_KV},
    {MU_SLOT_O, "model.layers.{l}.self_attn.o_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_GATE, "model.layers.{l}.mlp.gate_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_UP, "model.layers.{l}.mlp.up_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_DOWN, "model.layers.{l}.mlp.down_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_ROUTER, "model.layers.{l}.mlp.gate.weight", MU_PART_WHOLE},
    {MU_SLOT_ROUTER_BIAS, "model.layers.{l}.mlp.gate.e_score_correction_bias", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_GATE, "model.layers.{l}.mlp.experts.{e}.gate_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_GATE, "model.layers.{l}.mlp.experts.gate_up_proj", MU_PART_STACK_PAIR},
    {MU_SLOT_EXPERT_UP, "model.layers.{l}.mlp.experts.{e}.up_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_UP, "model.layers.{l}.mlp.experts.gate_up_proj", MU_PART_STACK_PAIR},
    {MU_SLOT_EXPERT_DOWN, "model.layers.{l}.mlp.experts.{e}.down_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_EXPERT_DOWN, "model.layers.{l}.mlp.experts.down_proj", MU_PART_STACK},
    {MU_SLOT_SHARED_GATE, "model.layers.{l}.mlp.shared_experts.gate_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_SHARED_UP, "model.layers.{l}.mlp.shared_experts.up_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_SHARED_DOWN, "model.layers.{l}.mlp.shared_experts.down_proj.weight", MU_PART_WHOLE},
    {MU_SLOT_N, NULL, MU_PART_WHOLE},
};

const struct mu_arch mu_arch_deepseek_v2 = {.model_type = "deepseek_v2",
                                            .architectures = {"DeepseekV2ForCausalLM"},
                                            .read = read_v2,
                                            .names = names,
                                            .prefix = "model.",
                                            .ignored = {"rotary_emb.inv_freq"}};

const struct mu_arch mu_arch_deepseek_v3 = {.model_type = "deepseek_v3",
                                            .architectures = {"DeepseekV3ForCausalLM"},
                                            .read = read_v3,
                                            .names = names,
                                            .prefix = "model.",
                                            .ignored = {"rotary_emb.inv_freq"}};
