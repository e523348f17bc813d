/* spec.h - one description of every architecture, as data
 *
 * A reader per architecture (llama.c, gpt2.c, falcon.c, mixtral.c, deepseek.c, ...) turns config.json into a struct
 * mu_spec and names the tensors that fill its slots; forward.c runs any spec. Plain data: no pointers into files,
 * no device. Sources are named in each reader. */
#ifndef MU_MODEL_SPEC_H
#define MU_MODEL_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "tensor/ops.h"
#include <muster/err.h>

#define MU_LAYERS_MAX   1024
#define MU_EXPERTS_MAX  1024
#define MU_ROPE_DIM_MAX 1024 /* of one head; the largest published head is 256 */

enum mu_norm_kind { MU_NORM_RMS, MU_NORM_LAYER };
enum mu_position_kind { MU_POS_ROPE, MU_POS_LEARNED, MU_POS_ALIBI, MU_POS_NONE };
enum mu_block_kind {
    MU_BLOCK_SEQUENTIAL,    /* x += attn(norm1(x)); x += mlp(norm2(x)) */
    MU_BLOCK_PARALLEL,      /* x += attn(norm1(x)) + mlp(norm1(x)): Falcon 7B */
    MU_BLOCK_PARALLEL_NORMS /* x += attn(norm1(x)) + mlp(norm2(x)): Falcon 40B, 180B */
};
enum mu_attn_kind { MU_ATTN_GROUPED, MU_ATTN_LATENT };
enum mu_mlp_kind { MU_MLP_GATED, MU_MLP_PLAIN, MU_MLP_MOE };
enum mu_rope_scaling {
    MU_SCALE_NONE,
    MU_SCALE_LINEAR,
    MU_SCALE_DYNAMIC, /* frequencies depend on the length of the request: see rope_table.h */
    MU_SCALE_LLAMA3,
    MU_SCALE_YARN,
    MU_SCALE_LONGROPE /* likewise */
};
enum mu_router_kind {
    MU_ROUTER_SOFTMAX_TOPK,  /* softmax over all, then top-k (Mixtral renormalises, DeepSeek-V2 may not) */
    MU_ROUTER_SIGMOID_GROUPS /* DeepSeek-V3: sigmoid + bias for the choice, sigmoid alone for the weight */
};

struct mu_norm_spec {
    enum mu_norm_kind kind;
    float eps;
    bool is_zero_centred; /* weight is stored minus one */
    bool has_bias;
};

struct mu_rope_spec {
    enum mu_rope_style style;
    int dim; /* rotated elements of a head, even */
    double theta;
    enum mu_rope_scaling scaling;
    double factor, low_freq_factor, high_freq_factor, beta_fast, beta_slow;
    double attention_factor;  /* cosines and sines are multiplied by it; 1 unless YaRN or longrope */
    bool is_truncated;        /* YaRN: the ramp starts and ends at whole dimensions */
    int64_t original_context; /* positions before scaling; of dynamic and longrope, where they start to differ */
    float short_factor[MU_ROPE_DIM_MAX / 2], long_factor[MU_ROPE_DIM_MAX / 2]; /* longrope, [dim / 2] */
};

struct mu_moe_spec {
    int n_experts, top_k, ffn, n_shared; /* the shared experts run as one MLP of n_shared * ffn */
    enum mu_router_kind router;
    int n_groups, top_groups;    /* 1, 1: no groups */
    bool is_group_score_top2sum; /* V3: sum of the two best of a group; V2: the best */
    bool is_normalised;          /* chosen weights divided by their sum */
    double scaling;              /* routed_scaling_factor */
    bool has_bias;               /* e_score_correction_bias */
};

struct mu_layer_spec {
    enum mu_attn_kind attn;
    int n_heads, n_kv_heads, dk, dv;
    int q_lora, kv_lora, dk_nope, dk_rope;        /* latent attention; q_lora 0: plain query projection */
    bool has_qkv_bias, has_out_bias, has_qk_norm; /* latent: qkv_bias is on the two down projections */
    float scale;                                  /* of q·k */
    int window;                                   /* 0: full */
    enum mu_block_kind block;
    enum mu_mlp_kind mlp;
    enum mu_act act;
    int ffn; /* of a dense MLP; 0 with experts */
    bool has_mlp_bias;
    struct mu_moe_spec moe;
};

struct mu_spec {
    char arch[48];                  /* "LlamaForCausalLM" */
    char family[24];                /* "llama" */
    int64_t vocab, hidden, context; /* context: longest sequence the config allows */
    int n_layers;
    struct mu_layer_spec *layers; /* [n_layers], owned */
    struct mu_norm_spec norm;     /* of blocks and the final one */
    float latent_norm_eps;        /* of the norms inside latent attention: 1e-6 whatever the config says */
    enum mu_position_kind position;
    struct mu_rope_spec rope;
    bool is_tied;
    int n_mtp;                          /* multi-token-prediction layers in the checkpoint, skipped knowingly */
    int fp8_block_rows, fp8_block_cols; /* weights come as F8 with block scales; 0: no */
    char default_dtype[8];              /* torch_dtype of the config: "bf16" */
    int64_t n_params;                   /* total, MTP layers and router correction biases out */
    int64_t n_params_active;            /* used for one token */
};

#define MU_SPEC_INIT                                                                                                   \
    {                                                                                                                  \
        .layers = NULL                                                                                                 \
    }

/* From a config.json tree. `where` names it in errors. Contradictions (heads that do not divide, unknown activation,
 * rope type, architecture) are MU_EFORMAT / MU_EUNSUPPORTED with key and value. */
int mu_spec_from_config(struct mu_spec *out, const json_t *config, const char *where, struct mu_err *e);

/* The same from the metadata of a GGUF file, and from its rope_freqs tensor when it has one (a few hundred bytes). */
struct mu_weights;
int mu_spec_from_gguf(struct mu_spec *out, struct mu_weights *w, const char *where, struct mu_err *e);

void mu_spec_fini(struct mu_spec *s); /* *s is MU_SPEC_INIT after */

/* Whether two specs agree in every field but arch and family. */
bool mu_spec_same_network(const struct mu_spec *a, const struct mu_spec *b);

#endif
