/* test_tok_face.c - what a handle answers about itself, options, files beside a tokenizer.json */
#include "check_tok.h"

#include <stdio.h>
#include <sys/stat.h>

#define GOLDEN "tests/golden/tokenizers/"

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    XT_CHECK(f && fputs(text, f) >= 0);
    fclose(f);
}

static const char small[] =
    "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true},{\"id\":4,\"content\":\"</"
    "s>\",\"special\":true}],"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[[\"a\",\"b\"]]}}";

static void encodes_to(const mu_tokenizer *t, const char *text, unsigned flags, const char *want)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *ids;
    XT_OK(mu_json_parse(&ids, mu_str(want), "test", &err));
    check_encode(t, text, mu_str(text), flags, ids);
    json_decref(ids);
}

XT_TEST(questions_are_answered)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_tokenizer_info info;
    mu_tokenizer *t;
    size_t n;
    XT_OK(mu_tokenizer_open(&t, GOLDEN "llama2", NULL, &err));
    mu_tokenizer_info(t, &info);
    XT_STREQ(info.source, "tokenizer.json");
    XT_STREQ(info.model, "BPE");
    XT_EQ(info.bos, 1);
    XT_CHECK(info.adds_bos && !info.adds_eos && info.n_vocab >= 800 && info.hash != 0);
    XT_CHECK(mu_tokenizer_is_special(t, 1) && !mu_tokenizer_is_special(t, 300) && !mu_tokenizer_is_special(t, -1));
    XT_EQ(mu_tokenizer_find(t, "<s>", 3), 1);
    XT_EQ(mu_tokenizer_find(t, "no such token", 13), -1);
    XT_EQ(memcmp(mu_tokenizer_piece(t, 1, &n), "<s>", 3), 0);
    XT_EQ(n, 3);
    XT_CHECK(!mu_tokenizer_piece(t, -1, &n) && !mu_tokenizer_piece(t, 1 << 20, &n));
    mu_tokenizer_close(t);
}

XT_TEST(bytes_of_tokens)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("bytes", 100);
    mu_tokenizer *t;
    XT_OK(mu_tokenizer_open(&t, GOLDEN "llama2", NULL, &err));
    XT_OK(mu_tokenizer_token_bytes(t, mu_tokenizer_find(t, "<0x0A>", 6), &out, &err));
    XT_STREQ(out.p, "\n");
    XT_FAILS(mu_tokenizer_token_bytes(t, -5, &out, &err), MU_EINVAL, "-5");
    mu_buf_fini(&out);
    mu_tokenizer_close(t);
}

XT_TEST(special_tokens_may_stay_text)
{
    struct mu_err err = MU_ERR_INIT;
    const char *dir = xt_tmpdir();
    mu_tokenizer *t;
    write_file(dir, "tokenizer.json", small);
    XT_OK(mu_tokenizer_open(&t, dir, NULL, &err));
    encodes_to(t, "ab<s>a", MU_TOK_PARSE_SPECIAL, "[2, 3, 0]");
    encodes_to(t, "ab<s>a", 0, "[2, 0]"); /* without an unknown token, unknown characters are dropped */
    mu_tokenizer_close(t);
}

XT_TEST(config_beside_is_honoured)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_tokenizer_opts no_bos = MU_TOKENIZER_OPTS_INIT;
    struct mu_tokenizer_info with, without;
    const char *dir = xt_tmpdir();
    mu_tokenizer *t;
    write_file(dir, "tokenizer.json", small);
    write_file(
        dir, "tokenizer_config.json",
        "{\"add_bos_token\":true,\"add_eos_token\":true,\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"</s>\","
        "\"model_max_length\":1000000000000000019884624838656}");
    XT_OK(mu_tokenizer_open(&t, dir, NULL, &err));
    encodes_to(t, "ab", MU_TOK_ADD_SPECIAL, "[3, 2, 4]");
    encodes_to(t, "ab", 0, "[2]");
    mu_tokenizer_info(t, &with);
    XT_CHECK(with.adds_bos && with.adds_eos && with.bos == 3 && with.eos == 4);
    mu_tokenizer_close(t);
    no_bos.add_bos = MU_TOK_NO;
    XT_OK(mu_tokenizer_open(&t, dir, &no_bos, &err));
    encodes_to(t, "ab", MU_TOK_ADD_SPECIAL, "[2, 4]");
    mu_tokenizer_info(t, &without);
    XT_CHECK(with.hash != without.hash);
    mu_tokenizer_close(t);
}

/* White space in the file does not change the hash; a merge does. */
XT_TEST(hash_is_of_the_content)
{
    static const char spaced[] =
        "{ \"model\": {\"type\":\"BPE\", \"vocab\":{\"a\" : 0,\"b\":1,\"ab\":2},\n \"merges\":[\"a b\"]},"
        "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true},"
        "{\"id\":4,\"content\":\"</s>\",\"special\":true}]}";
    static const char other[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]},"
                                "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true},"
                                "{\"id\":4,\"content\":\"</s>\",\"special\":true}]}";
    const char *texts[] = {small, spaced, other};
    struct mu_err err = MU_ERR_INIT;
    struct mu_tokenizer_info info[3];
    const char *dir = xt_tmpdir();
    for (int i = 0; i < 3; i++) {
        mu_tokenizer *t;
        write_file(dir, "tokenizer.json", texts[i]);
        XT_OK(mu_tokenizer_open(&t, dir, NULL, &err));
        mu_tokenizer_info(t, &info[i]);
        mu_tokenizer_close(t);
    }
    XT_CHECK(info[0].hash == info[1].hash);
    XT_CHECK(info[0].hash != info[2].hash);
}

XT_TEST(patterns_have_names)
{
    size_t n = 0;
    while (mu_tokenizer_pattern_name(n))
        n++;
    XT_CHECK(n > 20);
}

XT_MAIN()
