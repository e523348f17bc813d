/* spec.c - configs to specs: parameter counts, presets against their config files, contradictions refused */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/presets.h"
#include "xt.h"

static int from_text(struct mu_spec *s, const char *text, struct mu_err *e)
{
    json_t *config = NULL;
    int rc = MU_OK;
    MU_TRY(mu_json_parse(&config, mu_str(text), "config.json", e));
    MU_TRY(mu_spec_from_config(s, config, "config.json", e));
out:
    json_decref(config);
    return rc;
}

static void from_file(struct mu_spec *s, const char *path)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *config = NULL;
    XT_OK(mu_json_load(&config, path, &err));
    XT_OK(mu_spec_from_config(s, config, path, &err));
    json_decref(config);
}

XT_TEST(parameter_counts_are_the_published_ones)
{
    FILE *f = fopen(xt_data("configs/parameter_counts.tsv"), "r");
    char name[128], path[256];
    long long want;
    int n = 0;

    XT_CHECK(f);
    XT_CHECK(fscanf(f, "%*[^\n]\n") == 0);
    while (fscanf(f, "%127s %lld", name, &want) == 2) {
        struct mu_spec s;
        snprintf(path, sizeof path, "configs/%s/config.json", name);
        from_file(&s, xt_data(path));
        XT_CHECKF(s.n_params == want, "%s: %lld parameters, not %lld", name, (long long)s.n_params, want);
        XT_CHECK(s.n_params_active <= s.n_params);
        mu_spec_fini(&s);
        n++;
    }
    fclose(f);
    XT_EQ(n, 16);
}

XT_TEST(presets_say_of_themselves_what_their_network_is)
{
    struct mu_err err = MU_ERR_INIT;
    for (int i = 0; i < mu_preset_count(); i++) {
        const struct mu_preset *p = mu_preset_at(i);
        struct mu_spec s;
        if (!p->config) {
            XT_FAILS(mu_preset_spec(&s, p, &err), MU_EUNSUPPORTED, p->obstacle);
            continue;
        }
        XT_OK(mu_preset_spec(&s, p, &err));
        XT_STREQ(s.family, p->family);
        XT_STREQ(s.default_dtype, p->dtype);
        XT_CHECKF(s.n_params == p->n_params, "%s: counted %lld", p->name, (long long)s.n_params);
        XT_EQ(s.context, p->context);
        mu_spec_fini(&s);
    }
}

XT_TEST(presets_equal_their_config_files)
{
    struct mu_err err = MU_ERR_INIT;
    for (int i = 0; i < mu_preset_count(); i++) {
        const struct mu_preset *p = mu_preset_at(i);
        bool is_v2 = strcmp(p->name, "DeepSeek-V2") == 0;
        struct mu_spec a, b;
        char path[256];
        if (!p->config)
            continue;
        snprintf(path, sizeof path, "configs/%s/%s", p->name, is_v2 ? "inference_config_236B.json" : "config.json");
        from_file(&b, xt_data(path));
        XT_OK(mu_preset_spec(&a, p, &err));
        XT_CHECKF(mu_spec_same_network(&a, &b), "%s differs from %s", p->name, path);
        mu_spec_fini(&a);
        mu_spec_fini(&b);
    }
}

XT_TEST(presets_are_found_by_either_name)
{
    XT_CHECK(mu_preset_find("llama-2-7B") == mu_preset_find("meta-llama/Llama-2-7b-hf"));
    XT_CHECK(mu_preset_find("evo2-7b"));
    XT_CHECK(!mu_preset_find("no such model"));
}

/* The reference code's config and the published one describe one network, but for the layers it does not name. */
XT_TEST(deepseek_inference_configs_agree)
{
    static const char *const files[] = {"configs/DeepSeek-V3/inference_config_671B.json",
                                        "configs/DeepSeek-V3/inference_config_v3.1.json"};
    struct mu_spec a, b;

    for (size_t i = 0; i < MU_COUNT(files); i++) {
        from_file(&a, xt_data("configs/DeepSeek-V3/config.json"));
        from_file(&b, xt_data(files[i]));
        XT_EQ(a.n_mtp, 1);
        b.n_mtp = 1;
        XT_CHECK(mu_spec_same_network(&a, &b));
        mu_spec_fini(&a);
        mu_spec_fini(&b);
    }
    from_file(&a, xt_data("configs/DeepSeek-V2-Lite/config.json"));
    from_file(&b, xt_data("configs/DeepSeek-V2-Lite/inference_config_16B.json"));
    XT_CHECK(mu_spec_same_network(&a, &b));
    mu_spec_fini(&a);
    mu_spec_fini(&b);
}

/* ---- contradictions ---- */

#define LLAMA                                                                                                          \
    "\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,"    \
    "\"num_attention_heads\":4,\"vocab_size\":32"
#define MIXTRAL                                                                                                        \
    "\"model_type\":\"mixtral\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,"                  \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":32"
#define DEEPSEEK                                                                                                       \
    "\"model_type\":\"deepseek_v3\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,"              \
    "\"num_attention_heads\":4,\"vocab_size\":32,\"n_routed_experts\":16,\"num_experts_per_tok\":4,"                   \
    "\"moe_intermediate_size\":8,\"first_k_dense_replace\":1"
#define FALCON                                                                                                         \
    "\"model_type\":\"falcon\",\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":9"
#define GPT2 "\"model_type\":\"gpt2\",\"n_embd\":64,\"n_layer\":2,\"n_head\":4,\"vocab_size\":9"

XT_TEST(contradictions_are_sentences)
{
    static const struct {
        const char *text;
        int code;
        const char *part;
    } rows[] = {
        {"[]", MU_EFORMAT, "no JSON object"},
        {"{}", MU_EUNSUPPORTED, "architecture \"\""},
        {"{\"architectures\":[\"BertModel\"]}", MU_EUNSUPPORTED, "\"BertModel\""},
        {"{\"architectures\":[\"BertModel\"],\"model_type\":\"llama\"}", MU_EUNSUPPORTED, "\"BertModel\""},
        {"{\"architectures\":[]}", MU_EFORMAT, "architectures holds no name"},
        {"{\"model_type\":\"llama\",\"hidden_size\":64}", MU_EFORMAT, "vocab_size"},
        {"{" LLAMA ",\"num_hidden_layers\":0}", MU_EFORMAT, "num_hidden_layers"},
        {"{" LLAMA ",\"num_hidden_layers\":2000}", MU_EFORMAT, "2000"},
        {"{" LLAMA ",\"hidden_size\":99999999999}", MU_EFORMAT, "hidden_size"},
        {"{" LLAMA ",\"hidden_size\":\"64\"}", MU_EFORMAT, "hidden_size"},
        {"{" LLAMA ",\"num_attention_heads\":5}", MU_EFORMAT, "5 num_attention_heads do not divide"},
        {"{" LLAMA ",\"num_key_value_heads\":3}", MU_EFORMAT, "3 key-value heads"},
        {"{" LLAMA ",\"num_key_value_heads\":8}", MU_EFORMAT, "8 key-value heads"},
        {"{" LLAMA ",\"head_dim\":15}", MU_EFORMAT, "15 dimensions"},
        {"{" LLAMA ",\"hidden_act\":\"mish\"}", MU_EUNSUPPORTED, "hidden_act is \"mish\""},
        {"{" LLAMA ",\"rms_norm_eps\":-1}", MU_EFORMAT, "rms_norm_eps"},
        {"{" LLAMA ",\"rope_theta\":0}", MU_EFORMAT, "rope_theta"},
        {"{" LLAMA ",\"partial_rotary_factor\":0.5}", MU_EUNSUPPORTED, "partial_rotary_factor is 0.5"},
        {"{" LLAMA ",\"rope_scaling\":{\"type\":\"spiral\"}}", MU_EUNSUPPORTED, "\"spiral\""},
        {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", MU_EFORMAT, "factor"},
        {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", MU_EFORMAT, "factor"},
        {"{" LLAMA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":0.5}}", MU_EFORMAT, "factor of 1 or more"},
        {"{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
         "\"high_freq_factor\":4}}",
         MU_EFORMAT, "high_freq_factor is 4"},
        {"{" LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[1]}}", MU_EFORMAT,
         "short_factor holds 1 factors"},
        {"{" LLAMA ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}}", MU_EUNSUPPORTED,
         "differs by layer type"},
        {"{" LLAMA ",\"torch_dtype\":\"int4\"}", MU_EUNSUPPORTED, "torch_dtype is \"int4\""},
        {"{" LLAMA ",\"quantization_config\":{\"quant_method\":\"gptq\"}}", MU_EUNSUPPORTED, "\"gptq\""},
        {"{" LLAMA ",\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[0,1]}}", MU_EFORMAT,
         "weight_block_size"},
        {"{" LLAMA ",\"model_type\":\"llama\",\"tie_word_embeddings\":3}", MU_EFORMAT, "tie_word_embeddings"},
        {"{" MIXTRAL ",\"num_experts_per_tok\":9}", MU_EFORMAT, "chooses 9 experts"},
        {"{" MIXTRAL ",\"num_local_experts\":5000}", MU_EFORMAT, "num_local_experts"},
        {"{" DEEPSEEK ",\"n_group\":3}", MU_EFORMAT, "16 experts do not divide into 3 groups"},
        {"{" DEEPSEEK ",\"n_group\":2,\"topk_group\":3}", MU_EFORMAT, "3 of 2"},
        {"{" DEEPSEEK ",\"n_group\":16,\"topk_group\":8}", MU_EFORMAT, "no two best"},
        {"{" DEEPSEEK ",\"n_group\":8,\"topk_group\":1,\"first_k_dense_replace\":0}", MU_EFORMAT,
         "layer 0 chooses 4 experts a token out of 2"},
        {"{" DEEPSEEK ",\"scoring_func\":\"softmax\"}", MU_EUNSUPPORTED, "scoring_func is \"softmax\""},
        {"{" DEEPSEEK ",\"topk_method\":\"greedy\"}", MU_EUNSUPPORTED, "topk_method"},
        {"{" DEEPSEEK ",\"qk_rope_head_dim\":7}", MU_EFORMAT, "7 dimensions"},
        {"{" FALCON ",\"new_decoder_architecture\":true,\"parallel_attn\":false}", MU_EFORMAT, "parallel_attn false"},
        {"{" FALCON ",\"num_ln_in_parallel_attn\":2}", MU_EFORMAT, "num_ln_in_parallel_attn is 2"},
        {"{" FALCON ",\"num_attention_heads\":7}", MU_EFORMAT, "7 does not divide"},
        {"{" GPT2 ",\"add_cross_attention\":true}", MU_EUNSUPPORTED, "add_cross_attention"},
        {"{" GPT2 ",\"n_head\":7}", MU_EFORMAT, "n_head 7"},
    };
    struct mu_err err = MU_ERR_INIT;
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        struct mu_spec s;
        int rc = from_text(&s, rows[i].text, &err);
        XT_CHECKF(rc == rows[i].code, "%s: gave %s: %s", rows[i].text, mu_code_name(rc), rc ? err.text : "");
        XT_CHECKF(strstr(err.text, rows[i].part), "%s: the sentence \"%s\" lacks \"%s\"", rows[i].text, err.text,
                  rows[i].part);
    }
}

XT_TEST(qwen_windows_start_where_the_config_says)
{
#define QWEN                                                                                                           \
    "\"model_type\":\"qwen2\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":3,"                    \
    "\"num_attention_heads\":4,\"num_key_value_heads\":4,\"vocab_size\":32,\"sliding_window\":7"
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;

    XT_OK(from_text(&s, "{" QWEN ",\"max_window_layers\":1}", &err));
    XT_EQ(s.layers[2].window, 0);
    mu_spec_fini(&s);
    XT_OK(from_text(&s, "{" QWEN ",\"max_window_layers\":1,\"use_sliding_window\":true}", &err));
    XT_EQ(s.layers[0].window, 0);
    XT_EQ(s.layers[1].window, 7);
    mu_spec_fini(&s);
    XT_OK(from_text(&s,
                    "{" QWEN ",\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\",\"full_attention\","
                    "\"sliding_attention\"]}",
                    &err));
    XT_EQ(s.layers[0].window, 7);
    XT_EQ(s.layers[1].window, 0);
    mu_spec_fini(&s);
    XT_FAILS(from_text(&s, "{" QWEN ",\"layer_types\":[\"full_attention\"]}", &err), MU_EFORMAT, "has 1 entries");
    XT_FAILS(
        from_text(&s, "{" QWEN ",\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\"]}", &err),
        MU_EFORMAT, "use_sliding_window is");
    XT_FAILS(from_text(&s, "{" QWEN ",\"layer_types\":[\"x\",\"x\",\"x\"]}", &err), MU_EUNSUPPORTED, "\"x\"");
}

XT_TEST(mistral_has_a_window_unless_told_otherwise)
{
#define MISTRAL                                                                                                        \
    "\"model_type\":\"mistral\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":1,"                  \
    "\"num_attention_heads\":8,\"vocab_size\":32"
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    XT_OK(from_text(&s, "{" MISTRAL "}", &err));
    XT_EQ(s.layers[0].window, 4096);
    XT_EQ(s.layers[0].n_kv_heads, 8);
    mu_spec_fini(&s);
    XT_OK(from_text(&s, "{" MISTRAL ",\"sliding_window\":null}", &err));
    XT_EQ(s.layers[0].window, 0);
    mu_spec_fini(&s);
}

static int read_deepseek(void *arg, struct mu_err *e)
{
    struct mu_spec s = MU_SPEC_INIT;
    (void)arg;
    int rc = from_text(&s, "{" DEEPSEEK ",\"n_group\":4,\"topk_group\":2}", e);
    mu_spec_fini(&s);
    return rc;
}

XT_TEST(every_failed_allocation_is_survived)
{
    xt_each_alloc_fails(read_deepseek, NULL);
}

XT_MAIN()
