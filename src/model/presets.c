/* presets.c - published models: a table of facts
 *
 * A row's network is written as its config.json, made from the numbers by one macro a family, and read by the same
 * reader as a file: there is no second way to describe a model. Numbers are those of the publishers' configs; ALIA's
 * and CodeLlama's are put together from their model cards and training configs, at the context of pre-training. */
#include "model/presets.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"

#define TEXT(x)      #x
#define KEY(name, x) "\"" name "\":" TEXT(x) ","

#define LLAMA_SHAPE(hidden, ffn, layers, heads, kv, vocab_n, positions, theta, eps)                                    \
    KEY("hidden_size", hidden)                                                                                         \
    KEY("intermediate_size", ffn)                                                                                      \
    KEY("num_hidden_layers", layers)                                                                                   \
    KEY("num_attention_heads", heads)                                                                                  \
    KEY("num_key_value_heads", kv)                                                                                     \
    KEY("vocab_size", vocab_n)                                                                                         \
    KEY("max_position_embeddings", positions)                                                                          \
    KEY("rope_theta", theta)                                                                                           \
    KEY("rms_norm_eps", eps)                                                                                           \
    "\"hidden_act\":\"silu\","

#define CLASS(name, dtype) "{\"architectures\":[\"" name "\"],\"torch_dtype\":\"" dtype "\","
#define END                "\"tie_word_embeddings\":false}"
#define END_TIED           "\"tie_word_embeddings\":true}"

#define LLAMA3_ROPE                                                                                                    \
    "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"      \
    "\"original_max_position_embeddings\":8192},"

#define QWEN3 "\"head_dim\":128,\"attention_bias\":false,\"use_sliding_window\":false,\"sliding_window\":null,"

#define FALCON(hidden, heads, layers)                                                                                  \
    CLASS("FalconForCausalLM", "bfloat16")                                                                             \
    KEY("hidden_size", hidden)                                                                                         \
    KEY("num_attention_heads", heads)                                                                                  \
    KEY("num_hidden_layers", layers)                                                                                   \
    "\"num_kv_heads\":8,\"new_decoder_architecture\":true,\"parallel_attn\":true,\"alibi\":false,\"bias\":false,"      \
    "\"layer_norm_epsilon\":1e-5,\"vocab_size\":65024," END_TIED

#define GPT2(dtype, act, embd, heads, layers, positions, vocab_n)                                                      \
    CLASS("GPT2LMHeadModel", dtype)                                                                                    \
    KEY("n_embd", embd)                                                                                                \
    KEY("n_head", heads)                                                                                               \
    KEY("n_layer", layers)                                                                                             \
    KEY("n_positions", positions)                                                                                      \
    KEY("vocab_size", vocab_n)                                                                                         \
    "\"activation_function\":\"" act "\",\"layer_norm_epsilon\":1e-5," END_TIED

#define DEEPSEEK_YARN(mscale_both)                                                                                     \
    "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":40,\"beta_fast\":32,\"beta_slow\":1,"                              \
    "\"original_max_position_embeddings\":4096,\"mscale\":" TEXT(mscale_both) ",\"mscale_all_dim\":" TEXT(             \
        mscale_both) "},"

#define LATENT(q_lora)                                                                                                 \
    KEY("q_lora_rank", q_lora)                                                                                         \
    "\"kv_lora_rank\":512,\"qk_nope_head_dim\":128,\"qk_rope_head_dim\":64,\"v_head_dim\":128,"                        \
    "\"attention_bias\":false,"

#define EXPERTS(n, chosen, ffn, shared, dense, groups, top_groups, scaling)                                            \
    KEY("n_routed_experts", n)                                                                                         \
    KEY("num_experts_per_tok", chosen)                                                                                 \
    KEY("moe_intermediate_size", ffn)                                                                                  \
    KEY("n_shared_experts", shared)                                                                                    \
    KEY("first_k_dense_replace", dense)                                                                                \
    KEY("n_group", groups)                                                                                             \
    KEY("topk_group", top_groups)                                                                                      \
    KEY("routed_scaling_factor", scaling)                                                                              \
    "\"moe_layer_freq\":1,"

#define V2_ROUTER(method) "\"scoring_func\":\"softmax\",\"topk_method\":\"" method "\",\"norm_topk_prob\":false,"
#define V3_ROUTER         "\"scoring_func\":\"sigmoid\",\"topk_method\":\"noaux_tc\",\"norm_topk_prob\":true,"
#define V3_EXTRA                                                                                                       \
    "\"num_nextn_predict_layers\":1,\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[128,128]" \
    "},"

#define LLAMA_2 "Llama 2 Community License"
#define NO_EVO2 "its convolutional blocks (StripedHyena 2) are not built yet"

static const struct mu_preset presets[] = {
    {"Llama-2-7b", "meta-llama/Llama-2-7b-hf", LLAMA_2, "llama", "f16", 6738415616, 4096,
     CLASS("LlamaForCausalLM", "float16") LLAMA_SHAPE(4096, 11008, 32, 32, 32, 32000, 4096, 10000.0, 1e-5) END, NULL},
    {"Llama-2-13b", "meta-llama/Llama-2-13b-hf", LLAMA_2, "llama", "f16", 13015864320, 4096,
     CLASS("LlamaForCausalLM", "float16") LLAMA_SHAPE(5120, 13824, 40, 40, 40, 32000, 4096, 10000.0, 1e-5) END, NULL},
    {"Llama-2-70b", "meta-llama/Llama-2-70b-hf", LLAMA_2, "llama", "f16", 68976648192, 4096,
     CLASS("LlamaForCausalLM", "float16") LLAMA_SHAPE(8192, 28672, 80, 64, 8, 32000, 4096, 10000.0, 1e-5) END, NULL},
    {"CodeLlama-70b", "codellama/CodeLlama-70b-hf", LLAMA_2, "llama", "bf16", 68976910336, 16384,
     CLASS("LlamaForCausalLM", "bfloat16") LLAMA_SHAPE(8192, 28672, 80, 64, 8, 32016, 16384, 1000000, 1e-5) END, NULL},
    {"Llama-3-8B", "meta-llama/Meta-Llama-3-8B", "Meta Llama 3 Community License", "llama", "bf16", 8030261248, 8192,
     CLASS("LlamaForCausalLM", "bfloat16") LLAMA_SHAPE(4096, 14336, 32, 32, 8, 128256, 8192, 500000.0, 1e-5) END, NULL},
    {"Llama-3.1-405B", "meta-llama/Llama-3.1-405B", "Llama 3.1 Community License", "llama", "bf16", 405853388800,
     131072,
     CLASS("LlamaForCausalLM", "bfloat16") LLAMA_SHAPE(16384, 53248, 126, 128, 8, 128256, 131072, 500000.0, 1e-5)
         LLAMA3_ROPE END,
     NULL},
    {"ALIA-40b", "BSC-LT/ALIA-40b", "Apache-2.0", "llama", "bf16", 40433885184, 4096,
     CLASS("LlamaForCausalLM", "bfloat16") LLAMA_SHAPE(8192, 24576, 48, 64, 8, 256000, 4096, 10000.0, 1e-5) END, NULL},
    {"Qwen3-8B", "Qwen/Qwen3-8B", "Apache-2.0", "qwen3", "bf16", 8190735360, 40960,
     CLASS("Qwen3ForCausalLM", "bfloat16") LLAMA_SHAPE(4096, 12288, 36, 32, 8, 151936, 40960, 1000000, 1e-6) QWEN3 END,
     NULL},
    {"Qwen3-32B", "Qwen/Qwen3-32B", "Apache-2.0", "qwen3", "bf16", 32762123264, 40960,
     CLASS("Qwen3ForCausalLM", "bfloat16") LLAMA_SHAPE(5120, 25600, 64, 64, 8, 151936, 40960, 1000000, 1e-6) QWEN3 END,
     NULL},
    {"gpt2", "openai-community/gpt2", "MIT", "gpt2", "f32", 124439808, 1024,
     GPT2("float32", "gelu_new", 768, 12, 12, 1024, 50257), NULL},
    {"gpt-sw3-40b", "AI-Sweden-Models/gpt-sw3-40b", "AI Sweden's LLM AI Model License", "gpt2", "f32", 39200899072,
     2048, GPT2("float32", "gelu", 8192, 64, 48, 2048, 64000), NULL},
    {"falcon-40b", "tiiuae/falcon-40b", "Apache-2.0", "falcon", "bf16", 41303293952, 2048, FALCON(8192, 128, 60), NULL},
    {"falcon-180B", "tiiuae/falcon-180B", "Falcon-180B TII License", "falcon", "bf16", 178557088768, 2048,
     FALCON(14848, 232, 80), NULL},
    {"Mixtral-8x7B", "mistralai/Mixtral-8x7B-v0.1", "Apache-2.0", "mixtral", "bf16", 46702792704, 32768,
     CLASS("MixtralForCausalLM", "bfloat16") LLAMA_SHAPE(4096, 14336, 32, 32, 8, 32000, 32768, 1000000.0, 1e-5)
         KEY("num_local_experts", 8) KEY("num_experts_per_tok", 2) "\"sliding_window\":null," END,
     NULL},
    {"DeepSeek-V2-Lite", "deepseek-ai/DeepSeek-V2-Lite", "DeepSeek Model License", "deepseek_v2", "bf16", 15706484224,
     163840,
     CLASS("DeepseekV2ForCausalLM", "bfloat16") LLAMA_SHAPE(2048, 10944, 27, 16, 16, 102400, 163840, 10000, 1e-6)
         LATENT(null) EXPERTS(64, 6, 1408, 2, 1, 1, 1, 1.0) V2_ROUTER("greedy") DEEPSEEK_YARN(0.707) END,
     NULL},
    {"DeepSeek-V2", "deepseek-ai/DeepSeek-V2", "DeepSeek Model License", "deepseek_v2", "bf16", 235741434880, 163840,
     CLASS("DeepseekV2ForCausalLM", "bfloat16") LLAMA_SHAPE(5120, 12288, 60, 128, 128, 102400, 163840, 10000, 1e-6)
         LATENT(1536) EXPERTS(160, 6, 1536, 2, 1, 8, 3, 16.0) V2_ROUTER("group_limited_greedy") DEEPSEEK_YARN(1.0) END,
     NULL},
    {"DeepSeek-V3", "deepseek-ai/DeepSeek-V3", "DeepSeek Model License", "deepseek_v3", "bf16", 671026404352, 163840,
     CLASS("DeepseekV3ForCausalLM", "bfloat16") LLAMA_SHAPE(7168, 18432, 61, 128, 128, 129280, 163840, 10000, 1e-6)
         LATENT(1536) EXPERTS(256, 8, 2048, 1, 3, 8, 4, 2.5) V3_ROUTER V3_EXTRA DEEPSEEK_YARN(1.0) END,
     NULL},
    {"evo2-1b", "arcinstitute/evo2_1b_base", "Apache-2.0", "evo2", "bf16", 0, 8192, NULL, NO_EVO2},
    {"evo2-7b", "arcinstitute/evo2_7b_base", "Apache-2.0", "evo2", "bf16", 0, 32768, NULL, NO_EVO2},
    {"evo2-40b", "arcinstitute/evo2_40b", "Apache-2.0", "evo2", "bf16", 0, 1048576, NULL, NO_EVO2},
};

int mu_preset_count(void)
{
    return (int)MU_COUNT(presets);
}

const struct mu_preset *mu_preset_at(int i)
{
    return &presets[i];
}

const struct mu_preset *mu_preset_find(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(presets); i++)
        if (strcasecmp(name, presets[i].name) == 0 || strcasecmp(name, presets[i].hub) == 0)
            return &presets[i];
    return NULL;
}

int mu_preset_spec(struct mu_spec *out, const struct mu_preset *p, struct mu_err *e)
{
    json_t *config = NULL;

    *out = (struct mu_spec)MU_SPEC_INIT;
    if (!p->config)
        return mu_fail(e, MU_EUNSUPPORTED, "%s cannot be run: %s", p->name, p->obstacle);
    MU_TRY_RETURN(mu_json_parse(&config, mu_str(p->config), p->name, e));
    int rc = mu_spec_from_config(out, config, p->name, e);
    json_decref(config);
    return rc;
}
