/* test_tok_bad_input.c - broken tokenizer files and odd texts: each a sentence, none a crash */
#include "check_tok.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "tok/open_memory.h"
#include "tok/regex.h"

#define PART "\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":null,\"post_processor\":null,\"decoder\":null,"

static int open_text(mu_tokenizer **t, const char *text, struct mu_err *e)
{
    return mu_tokenizer_open_memory(t, text, strlen(text), e);
}

XT_TEST(broken_json_is_named)
{
    static const struct {
        const char *text;
        int code;
        const char *part;
    } cases[] = {
        {"{", MU_EFORMAT, "column 1"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", MU_EFORMAT,
         "names the token \"b\""},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}", MU_EFORMAT, "\"ab\""},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}}", MU_EFORMAT, "parted by one space"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[3]}}", MU_EFORMAT, "a string is needed"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", MU_EFORMAT, "both have id 0"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999},\"merges\":[]}}", MU_EFORMAT, "ids lie in"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", MU_EFORMAT, "an id is needed"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]}}", MU_EFORMAT, "an id is needed"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":1},\"merges\":[]}}", MU_EFORMAT, "escape"},
        {"{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}}", MU_EUNSUPPORTED,
         "dropout"},
        {"{\"model\":{\"type\":\"Magic\",\"vocab\":{}}}", MU_EUNSUPPORTED, "Magic"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", MU_EFORMAT, "empty"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",0]]}}", MU_EFORMAT, "unk_id"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"normalizer\":{\"type\":\"Nope\"}}", MU_EUNSUPPORTED,
         "Nope"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":"
         "{\"Regex\":\"(a\"},\"behavior\":\"Isolated\",\"invert\":false}}",
         MU_EFORMAT, "does not compile"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":"
         "{\"Regex\":\"[a\"},\"behavior\":\"Isolated\",\"invert\":false}}",
         MU_EFORMAT, "has no ]"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"post_processor\":{\"type\":\"TemplateProcessing\","
         "\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],\"special_tokens\":{}}}",
         MU_EFORMAT, "lack"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"decoder\":{\"type\":\"Hm\"}}", MU_EUNSUPPORTED,
         "Hm"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"normalizer\":{\"type\":\"Precompiled\","
         "\"precompiled_charsmap\":\"/////w==\"}}",
         MU_EFORMAT, "character map"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"added_tokens\":[{\"id\":0,\"content\":\"b\"}]}",
         MU_EFORMAT, "both have id 0"},
    };
    struct mu_err err = MU_ERR_INIT;
    mu_tokenizer *t = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        XT_FAILS(open_text(&t, cases[i].text, &err), cases[i].code, cases[i].part);
}

XT_TEST(broken_models_are_named)
{
    static const struct {
        const char *p;
        size_t n;
        const char *part;
    } cases[] = {
        {"", 0, "no pieces"},
        {"\x0a\x7f", 2, "past the end"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, "more than 10 bytes"},
        {"\x0a\xff\xff\xff\xff\x7f", 6, "past the end"},
        {"\x0f", 1, "wire type 7"},
        {"\x0a\x03\x0a\x01"
         "a",
         5, "unknown one"},
        {"\x0a\x00", 2, "is empty"},
        {"YQ== 0\nYQ== 1\n", 14, "there before"},
        {"YQ== 0\n!!! 1\n", 13, "base64"},
        {"YQ== 0\nYg== x\n", 14, "no number"},
        {"YQ== 0\n", 7, "not known"},
    };
    struct mu_err err = MU_ERR_INIT;
    mu_tokenizer *t = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = mu_tokenizer_open_memory(&t, cases[i].p, cases[i].n, &err);
        XT_CHECKF(rc == MU_EFORMAT || rc == MU_EUNSUPPORTED, "case %zu gives %s", i, mu_code_name(rc));
        XT_CHECKF(strstr(err.text, cases[i].part), "case %zu: \"%s\" lacks \"%s\"", i, err.text, cases[i].part);
    }
}

XT_TEST(absent_tokenizer_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    mu_tokenizer *t = NULL;
    XT_FAILS(mu_tokenizer_open(&t, "/nowhere/at/all", NULL, &err), MU_ENOENT, "/nowhere/at/all");
    XT_FAILS(mu_tokenizer_open(&t, xt_tmpdir(), NULL, &err), MU_ENOENT, "tokenizer.json");
}

static const char byte_pairs[] = "{" PART "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<unk>\":3,"
                                 "\"\xEF\xBF\xBD\":4},\"merges\":[\"a b\"],\"unk_token\":\"<unk>\"}}";

/* Truncated and stray bytes become U+FFFD, one for each maximal subpart, as Python's errors="replace". */
XT_TEST(invalid_utf8_is_replaced)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids ids = MU_IDS_INIT(100);
    mu_tokenizer *t;
    XT_OK(open_text(&t, byte_pairs, &err));
    XT_OK(mu_tokenizer_encode(t,
                              "ab\xF0\x9F\x98"
                              "a\xFF\xFE",
                              8, 0, &ids, &err));
    XT_EQ(ids.n, 5);
    XT_EQ(ids.v[0], 2);
    XT_EQ(ids.v[1], 4);
    XT_EQ(ids.v[2], 0);
    XT_EQ(ids.v[3], 4);
    XT_EQ(ids.v[4], 4);
    mu_ids_fini(&ids);
    mu_tokenizer_close(t);
}

XT_TEST(limits_are_kept)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids ids = MU_IDS_INIT(2);
    struct mu_buf out = MU_BUF_INIT("text", 100);
    mu_tokenizer *t;
    int32_t bad[] = {-1, 1 << 30}, wide = 77;
    XT_OK(open_text(&t, byte_pairs, &err));
    XT_FAILS(mu_tokenizer_encode(t, "aaa", 3, 0, &ids, &err), MU_ELIMIT, "2 tokens");
    XT_FAILS(mu_tokenizer_encode(t, "a", MU_TOK_TEXT_BYTES_MAX + 1, 0, &ids, &err), MU_ELIMIT, "in parts");
    XT_FAILS(mu_tokenizer_decode(t, &bad[0], 1, 0, &out, &err), MU_EINVAL, "-1");
    XT_FAILS(mu_tokenizer_decode(t, &bad[1], 1, 0, &out, &err), MU_EINVAL, "outside");
    XT_OK(mu_tokenizer_decode(t, &wide, 1, 0, &out, &err)); /* beyond the vocabulary: reads as nothing */
    XT_EQ(out.n, 0);
    mu_ids_fini(&ids);
    mu_buf_fini(&out);
    mu_tokenizer_close(t);
}

XT_TEST(endless_backtracking_ends)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids ids = MU_IDS_INIT(1000);
    mu_tokenizer *t;
    XT_OK(open_text(&t,
                    "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"},\"pre_tokenizer\":{"
                    "\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a|aa|a?a)+[^ac]\"},\"behavior\":\"Isolated\","
                    "\"invert\":false}}",
                    &err));
    XT_FAILS(
        mu_tokenizer_encode(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 65, 0, &ids, &err),
        MU_ELIMIT, "backtracks without end");
    mu_ids_fini(&ids);
    mu_tokenizer_close(t);
}

/* Long words and runs stay near linear: these would take hours if they were quadratic. */
XT_TEST(long_words_are_quick)
{
    enum { N = 400000 };
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids ids = MU_IDS_INIT(N);
    mu_tokenizer *t;
    char *text = malloc(N);
    for (int i = 0; i < N; i++)
        text[i] = i % 2 ? 'b' : 'a';
    XT_OK(open_text(&t, byte_pairs, &err));
    XT_OK(mu_tokenizer_encode(t, text, N, 0, &ids, &err));
    XT_EQ(ids.n, N / 2);
    free(text);
    mu_ids_fini(&ids);
    mu_tokenizer_close(t);
}

/* ---- the nth allocation fails ---- */

static int open_and_use(void *arg, struct mu_err *e)
{
    const char *path = arg;
    struct mu_ids ids = MU_IDS_INIT(1000);
    struct mu_buf out = MU_BUF_INIT("text", 10000);
    mu_tokenizer *t = NULL;
    int rc = mu_tokenizer_open(&t, path, NULL, e);
    if (rc == MU_OK)
        rc = mu_tokenizer_encode(t, "Hello world, 12 <s>\xC3\xA9", 21, MU_TOK_PARSE_SPECIAL, &ids, e);
    if (rc == MU_OK)
        rc = mu_tokenizer_decode(t, ids.v, ids.n, 0, &out, e);
    mu_ids_fini(&ids);
    mu_buf_fini(&out);
    mu_tokenizer_close(t);
    return rc;
}

/* A small file of each kind, from the fuzz corpora. */
static void each_alloc_fails(const char *corpus, const char *as)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("corpus", 1 << 20);
    char path[4096], from[256];
    snprintf(from, sizeof from, "tests/fuzz/corpus/%s", corpus);
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), as);
    XT_OK(mu_file_read_all(&text, from, &err));
    FILE *f = fopen(path, "wb");
    XT_CHECK(f && fwrite(text.p, 1, text.n, f) == text.n);
    fclose(f);
    mu_buf_fini(&text);
    xt_each_alloc_fails(open_and_use, path);
}

XT_TEST(alloc_fails_byte_level)
{
    each_alloc_fails("tokenizer_json/gpt2", "tokenizer.json");
}

XT_TEST(alloc_fails_byte_fallback)
{
    each_alloc_fails("tokenizer_json/llama2", "tokenizer.json");
}

XT_TEST(alloc_fails_unigram)
{
    each_alloc_fails("tokenizer_json/unigram", "tokenizer.json");
}

XT_TEST(alloc_fails_wordpiece)
{
    each_alloc_fails("tokenizer_json/bert", "tokenizer.json");
}

XT_TEST(alloc_fails_sentencepiece)
{
    each_alloc_fails("tokenizer_model/spm_bpe", "tokenizer.model");
    each_alloc_fails("tokenizer_model/spm_unigram_user", "tokenizer.model");
}

XT_MAIN()
