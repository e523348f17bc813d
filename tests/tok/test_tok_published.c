/* test_tok_published.c - published vocabularies against the encodings published with them */
#include "check_tok.h"

#include <stdio.h>

#include "base/file.h"

static mu_tokenizer *open_shared(const char *path)
{
    mu_tokenizer *t = NULL;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_tokenizer_open(&t, xt_data(path), NULL, &err));
    return t;
}

static void check_shared(const char *vocab, const char *stem, int skip, bool roundtrip)
{
    char inp[128], out[128];
    snprintf(inp, sizeof inp, "tokenizers/%s.inp", stem);
    snprintf(out, sizeof out, "tokenizers/%s.out", stem);
    mu_tokenizer *t = open_shared(vocab);
    check_inp_out(t, xt_data(inp), xt_data(out), skip, roundtrip);
    mu_tokenizer_close(t);
}

XT_TEST(gguf_gpt2)
{
    check_shared("tokenizers/ggml-vocab-gpt-2.gguf", "ggml-vocab-gpt-2.gguf", -1, true);
}

XT_TEST(gguf_falcon)
{
    check_shared("tokenizers/ggml-vocab-falcon.gguf", "ggml-vocab-falcon.gguf", -1, true);
}

XT_TEST(gguf_llama_spm)
{
    check_shared("tokenizers/ggml-vocab-llama-spm.gguf", "ggml-vocab-llama-spm.gguf", -1, true);
}

XT_TEST(gguf_deepseek_llm)
{
    check_shared("tokenizers/ggml-vocab-deepseek-llm.gguf", "ggml-vocab-deepseek-llm.gguf", -1, true);
}

XT_TEST(tiktoken_llama3)
{
    check_shared("tokenizers/llama-3/tokenizer.model", "llama-3/ggml-vocab-llama-bpe.gguf", -1, true);
}

XT_TEST(tiktoken_qwen2)
{
    check_shared("tokenizers/qwen2/qwen.tiktoken", "qwen2/ggml-vocab-qwen2.gguf", -1, true);
}

XT_TEST(vocab_merges_gpt2)
{
    check_shared("tokenizers/gpt-2-hf", "ggml-vocab-gpt-2.gguf", -1, true);
}

XT_TEST(mistral_hf)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *expected, *v;
    size_t i;
    mu_tokenizer *t = open_shared("tokenizers/mistral-hf");
    XT_OK(mu_json_load(&expected, xt_data("tokenizers/mistral-hf/expected.json"), &err));
    json_array_foreach(expected, i, v)
    {
        struct mu_str text = json_str(json_object_get(v, "text"));
        check_encode(t, "mistral", text, 0, json_object_get(v, "ids"));
        check_decode(t, "mistral", json_object_get(v, "ids"), 0, text);
        check_stream(t, "mistral", json_object_get(v, "ids"), 0, text);
    }
    json_decref(expected);
    mu_tokenizer_close(t);
}

/* One French text each, with the ids that Hugging Face tokenizers give; some with begin of sequence. */
static void check_encoded(const char *vocab, const char *file, unsigned flags)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    mu_tokenizer *t = open_shared(vocab);
    XT_OK(mu_json_load(&v, xt_data(file), &err));
    json_t *ids = json_object_get(v, "token_ids");
    struct mu_str text = json_str(json_object_get(v, "text"));
    check_encode(t, file, text, flags, ids);
    check_decode(t, file, ids, MU_TOK_SKIP_SPECIAL, text);
    json_decref(v);
    mu_tokenizer_close(t);
}

XT_TEST(expected_gpt2)
{
    check_encoded("tokenizers/gpt-2-hf", "tokenizers/expected/gpt2_encoded_tokens.json", 0);
}

XT_TEST(expected_falcon)
{
    check_encoded("tokenizers/ggml-vocab-falcon.gguf", "tokenizers/expected/falcon_encoded.json", 0);
}

XT_TEST(expected_llama)
{
    check_encoded("tokenizers/ggml-vocab-llama-spm.gguf", "tokenizers/expected/llama_encoded.json", MU_TOK_ADD_SPECIAL);
}

XT_TEST(expected_llama32)
{
    check_encoded("tokenizers/llama-3/tokenizer.model", "tokenizers/expected/llama_3.2_encoded.json",
                  MU_TOK_ADD_SPECIAL);
}

XT_MAIN()
