/* test_tok_golden.c - small tokenizers of every kind against what Hugging Face tokenizers and sentencepiece made of
 * them
 *
 * tests/golden/tokenizers/<case>/: tokenizer.json or tokenizer.model, and expected.json. */
#include "check_tok.h"

#include <stdio.h>

#include "base/file.h"

#define EVERY (MU_TOK_ADD_SPECIAL | MU_TOK_PARSE_SPECIAL)

static void open_case(const char *name, mu_tokenizer **t, json_t **expected)
{
    struct mu_err err = MU_ERR_INIT;
    char path[256];
    snprintf(path, sizeof path, "tests/golden/tokenizers/%s/expected.json", name);
    if (!mu_path_exists(path))
        xt_skip("%s is not there", path);
    XT_OK(mu_json_load(expected, path, &err));
    snprintf(path, sizeof path, "tests/golden/tokenizers/%s", name);
    XT_OK(mu_tokenizer_open(t, path, NULL, &err));
}

static void check_json_case(const char *name)
{
    mu_tokenizer *t;
    json_t *expected, *v;
    size_t i;
    open_case(name, &t, &expected);
    json_array_foreach(expected, i, v)
    {
        char what[64];
        snprintf(what, sizeof what, "%s %zu", name, i);
        struct mu_str text = json_str(json_object_get(v, "text"));
        json_t *ids = json_object_get(v, "ids_special");
        check_encode(t, what, text, MU_TOK_PARSE_SPECIAL, json_object_get(v, "ids"));
        check_encode(t, what, text, EVERY, ids);
        check_decode(t, what, ids, 0, json_str(json_object_get(v, "decoded")));
        check_decode(t, what, ids, MU_TOK_SKIP_SPECIAL, json_str(json_object_get(v, "decoded_skip")));
        check_stream(t, what, ids, 0, json_str(json_object_get(v, "decoded")));
        check_stream(t, what, ids, MU_TOK_SKIP_SPECIAL, json_str(json_object_get(v, "decoded_skip")));
    }
    json_decref(expected);
    mu_tokenizer_close(t);
}

#define JSON_CASE(name)                                                                                                \
    XT_TEST(golden_##name)                                                                                             \
    {                                                                                                                  \
        check_json_case(#name);                                                                                        \
    }

JSON_CASE(added_tokens)
JSON_CASE(bert)
JSON_CASE(bert_cased)
JSON_CASE(deepseek)
JSON_CASE(digits)
JSON_CASE(falcon)
JSON_CASE(gpt2)
JSON_CASE(llama2)
JSON_CASE(llama3)
JSON_CASE(normalized)
JSON_CASE(o200k)
JSON_CASE(qwen2)
JSON_CASE(roberta)
JSON_CASE(split_behaviours)
JSON_CASE(unigram)
JSON_CASE(unigram_first)
JSON_CASE(unigram_precompiled)
JSON_CASE(wordlevel)

/* sentencepiece's own files: control tokens in a text are text, begin and end are put around by the caller. */
static void check_spm_case(const char *name)
{
    mu_tokenizer *t;
    json_t *expected, *v;
    size_t i;
    open_case(name, &t, &expected);
    json_array_foreach(expected, i, v)
    {
        char what[64];
        snprintf(what, sizeof what, "%s %zu", name, i);
        json_t *ids = json_object_get(v, "ids");
        check_encode(t, what, json_str(json_object_get(v, "text")), 0, ids);
        check_decode(t, what, ids, 0, json_str(json_object_get(v, "decoded_skip")));
        check_stream(t, what, ids, 0, json_str(json_object_get(v, "decoded_skip")));
    }
    json_decref(expected);
    mu_tokenizer_close(t);
}

XT_TEST(golden_spm_bpe)
{
    check_spm_case("spm_bpe");
}

XT_TEST(golden_spm_unigram)
{
    check_spm_case("spm_unigram");
}

XT_TEST(golden_spm_unigram_unk)
{
    check_spm_case("spm_unigram_unk");
}

XT_MAIN()
