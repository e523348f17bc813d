/* test_hf_dir.c - the configuration files of a checkpoint folder, and their contradictions */
#include "fmt/hf_dir.h"

#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "fmt_files.h"

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

XT_TEST(generation_config_is_read)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_hf_dir d;
    put_text("config.json", "{\"vocab_size\": 128256, \"eos_token_id\": 7, \"pad_token_id\": -1}");
    put_text("generation_config.json",
             "{\"bos_token_id\": 128000, \"do_sample\": true, \"eos_token_id\": [128001, 128009],"
             "\"temperature\": 0.6, \"top_p\": 0.9, \"top_k\": null, \"max_length\": 4096}");
    put_text("tokenizer_config.json", "{\"model_max_length\": 1000000000000000019884624838656}");
    XT_OK(mu_hf_dir_open(&d, xt_tmpdir(), &err));
    XT_EQ(d.gen.n_eos, 2);
    XT_EQ(d.gen.eos[1], 128009);
    XT_CHECK(mu_generation_is_eos(&d.gen, 128001) && !mu_generation_is_eos(&d.gen, 7));
    XT_EQ(d.gen.bos, 128000);
    XT_EQ(d.gen.pad, -1);
    XT_EQ(d.gen.do_sample, 1);
    XT_CHECK(d.gen.temperature == 0.6 && d.gen.top_p == 0.9 && d.gen.min_p < 0);
    XT_EQ(d.gen.top_k, -1);
    XT_EQ(d.gen.max_length, 4096);
    XT_CHECK(json_is_real(json_object_get(d.tokenizer_config, "model_max_length")));
    mu_hf_dir_close(&d);
    XT_OK(mu_hf_dir_open(&d, in_tmp("config.json"), &err)); /* a file in the folder */
    XT_EQ(d.gen.n_eos, 2);
    mu_hf_dir_close(&d);
}

XT_TEST(without_generation_config_config_stands_in)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_hf_dir d;
    put_text("config.json", "{\"vocab_size\": 100, \"eos_token_id\": 2, \"bos_token_id\": 1, \"top_k\": 40}");
    XT_OK(mu_hf_dir_open(&d, xt_tmpdir(), &err));
    XT_CHECK(!d.generation && !d.tokenizer_config);
    XT_CHECK(d.gen.n_eos == 1 && d.gen.eos[0] == 2 && d.gen.bos == 1 && d.gen.top_k == 40 && d.gen.do_sample == -1);
    mu_hf_dir_close(&d);
}

XT_TEST(contradictions)
{
    static const struct {
        const char *generation;
        int code;
        const char *part;
    } cases[] = {
        {"{\"eos_token_id\": 100}", MU_EFORMAT, "\"eos_token_id\" is 100, the vocabulary of"},
        {"{\"eos_token_id\": [3, 200]}", MU_EFORMAT, "\"eos_token_id\" is 200"},
        {"{\"eos_token_id\": \"</s>\"}", MU_EFORMAT, "\"eos_token_id\" is a string, an integer is needed"},
        {"{\"eos_token_id\": [1.5]}", MU_EFORMAT, "entry 0 of \"eos_token_id\" is not a token id"},
        {"{\"eos_token_id\": -2}", MU_EFORMAT, "\"eos_token_id\" is -2"},
        {"{\"bos_token_id\": 101}", MU_EFORMAT, "\"bos_token_id\" is 101"},
        {"{\"pad_token_id\": 100}", MU_OK, ""},
        {"{\"do_sample\": 1}", MU_EFORMAT, "\"do_sample\" is an integer, true or false is needed"},
        {"{\"do_sample\": true, \"temperature\": 0.0}", MU_EFORMAT, "choose one: greedy, or a temperature"},
        {"{\"do_sample\": false, \"temperature\": 0}", MU_OK, ""},
        {"{\"temperature\": -1}", MU_EFORMAT, "\"temperature\" is -1"},
        {"{\"top_p\": 1.5}", MU_EFORMAT, "\"top_p\" is 1.5, it must lie in 0..1"},
        {"{\"top_k\": -3}", MU_EFORMAT, "\"top_k\" is -3"},
        {"{\"repetition_penalty\": 0}", MU_EFORMAT, "\"repetition_penalty\" is 0"},
        {"{\"min_length\": 9, \"max_length\": 8}", MU_EFORMAT, "\"min_length\" is 9, above \"max_length\", 8"},
        {"{\"min_new_tokens\": 9, \"max_new_tokens\": 8}", MU_EFORMAT, "\"min_new_tokens\" is 9"},
        {"[]", MU_EFORMAT, "generation_config.json is not a JSON object"},
        {"{", MU_EFORMAT, "generation_config.json, column 1"},
    };
    put_text("config.json", "{\"vocab_size\": 100}");
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_hf_dir d;
        xt_note("%s", cases[i].generation);
        put_text("generation_config.json", cases[i].generation);
        if (cases[i].code != MU_OK) {
            XT_FAILS(mu_hf_dir_open(&d, xt_tmpdir(), &err), cases[i].code, cases[i].part);
            continue;
        }
        XT_OK(mu_hf_dir_open(&d, xt_tmpdir(), &err));
        mu_hf_dir_close(&d);
    }
}

XT_TEST(folders_without_a_configuration)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_hf_dir d;
    XT_FAILS(mu_hf_dir_open(&d, xt_tmpdir(), &err), MU_ENOENT, "holds no config.json");
    XT_FAILS(mu_hf_dir_open(&d, "/nonexistent/x", &err), MU_ENOENT, "/nonexistent/ holds no config.json");
    put_text("config.json", "5");
    XT_FAILS(mu_hf_dir_open(&d, xt_tmpdir(), &err), MU_EFORMAT, "config.json is not a JSON object");
}

static int open_and_close(void *path, struct mu_err *e)
{
    struct mu_hf_dir d;
    MU_TRY_RETURN(mu_hf_dir_open(&d, path, e));
    mu_hf_dir_close(&d);
    return MU_OK;
}

XT_TEST(any_allocation_may_fail)
{
    put_text("config.json", "{\"vocab_size\": 100, \"nested\": {\"a\": [1, 2, \"x\"]}}");
    put_text("generation_config.json", "{\"eos_token_id\": [3, 4]}");
    xt_each_alloc_fails(open_and_close, (void *)(uintptr_t)xt_tmpdir());
}

XT_TEST(published_configurations)
{
    static const char *const folders[] = {"ALIA-40b",    "CodeLlama-70b",  "DeepSeek-V2-Lite", "DeepSeek-V3",
                                          "Llama-2-13b", "Llama-3.1-405B", "Mixtral-8x7B",     "Qwen3-8B",
                                          "falcon-180B", "falcon-40b",     "gpt-sw3-40b",      "gpt2"};
    for (size_t i = 0; i < MU_COUNT(folders); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_hf_dir d;
        char path[100];
        snprintf(path, sizeof path, "configs/%s/config.json", folders[i]);
        XT_OK(mu_hf_dir_open(&d, xt_data(path), &err));
        xt_note("%s: eos %lld of %d", folders[i], (long long)d.gen.eos[0], d.gen.n_eos);
        mu_hf_dir_close(&d);
    }
}

XT_MAIN()
