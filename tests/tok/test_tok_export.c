/* test_tok_export.c - the vocabulary of a GGUF file, written as tokenizer.json, gives the same ids and texts */
#include "check_tok.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "fmt/gguf.h"
#include "tok/export_json.h"

#define TEXT_MAX ((size_t)1 << 26)

/* ---- a folder out of a file ---- */

static void write_text(const char *dir, const char *name, struct mu_str text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    XT_CHECK(f);
    XT_EQ(fwrite(text.p, 1, text.n, f), text.n);
    fclose(f);
}

static void export_to(const char *dir, const char *gguf)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf tokenizer = MU_BUF_INIT("tokenizer.json", TEXT_MAX), config = MU_BUF_INIT("config", TEXT_MAX);
    XT_OK(mu_tok_export_gguf(gguf, &tokenizer, &config, &err));
    write_text(dir, "tokenizer.json", mu_buf_str(&tokenizer));
    write_text(dir, "tokenizer_config.json", mu_buf_str(&config));
    mu_buf_fini(&tokenizer);
    mu_buf_fini(&config);
}

static mu_tokenizer *open_tok(const char *path)
{
    mu_tokenizer *t = NULL;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_tokenizer_open(&t, path, NULL, &err));
    return t;
}

/* ---- comparing ---- */

static void same_info(const mu_tokenizer *a, const mu_tokenizer *b)
{
    struct mu_tokenizer_info x, y;
    mu_tokenizer_info(a, &x);
    mu_tokenizer_info(b, &y);
    XT_STREQ(y.source, "tokenizer.json");
    XT_EQ(x.n_vocab, y.n_vocab);
    XT_EQ(x.bos, y.bos);
    XT_EQ(x.eos, y.eos);
    XT_EQ(x.unk, y.unk);
    XT_EQ(x.pad, y.pad);
    XT_EQ(x.adds_bos, y.adds_bos);
    XT_EQ(x.adds_eos, y.adds_eos);
    for (int32_t id = 0; id < x.n_vocab; id++)
        XT_CHECKF(mu_tokenizer_is_special(a, id) == mu_tokenizer_is_special(b, id), "token %d", id);
}

/* Texts of the ids too, where reads_alike. */
static void same_ids(const mu_tokenizer *a, const mu_tokenizer *b, struct mu_str text, bool reads_alike)
{
    static const unsigned flags[] = {0, MU_TOK_ADD_SPECIAL, MU_TOK_ADD_SPECIAL | MU_TOK_PARSE_SPECIAL};
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf x_text = MU_BUF_INIT("decoded", TEXT_MAX), y_text = MU_BUF_INIT("decoded", TEXT_MAX);
    for (int f = 0; f < 3; f++) {
        struct mu_ids x = MU_IDS_INIT(TEXT_MAX), y = MU_IDS_INIT(TEXT_MAX);
        XT_OK(mu_tokenizer_encode(a, text.p, text.n, flags[f], &x, &err));
        XT_OK(mu_tokenizer_encode(b, text.p, text.n, flags[f], &y, &err));
        for (size_t i = 0; i < x.n && i < y.n; i++)
            XT_CHECKF(x.v[i] == y.v[i], "\"%.*s\": token %zu is %d, not %d", (int)(text.n < 80 ? text.n : 80), text.p,
                      i, y.v[i], x.v[i]);
        XT_EQ(x.n, y.n);
        mu_buf_clear(&x_text);
        mu_buf_clear(&y_text);
        XT_OK(mu_tokenizer_decode(a, x.v, x.n, MU_TOK_SKIP_SPECIAL, &x_text, &err));
        XT_OK(mu_tokenizer_decode(b, x.v, x.n, MU_TOK_SKIP_SPECIAL, &y_text, &err));
        XT_CHECK(!reads_alike || mu_str_eq(mu_buf_str(&x_text), mu_buf_str(&y_text)));
        mu_ids_fini(&x);
        mu_ids_fini(&y);
    }
    mu_buf_fini(&x_text);
    mu_buf_fini(&y_text);
}

/* Every text of a llama.cpp input file, and the file as one text. */
static void compare(const char *gguf, const char *texts_path, bool reads_alike)
{
    static const char part[] = "\n__ggml_vocab_test__\n";
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf texts = MU_BUF_INIT("texts", TEXT_MAX);
    export_to(xt_tmpdir(), gguf);
    mu_tokenizer *a = open_tok(gguf), *b = open_tok(xt_tmpdir());
    same_info(a, b);
    XT_OK(mu_file_read_all(&texts, texts_path, &err));
    same_ids(a, b, mu_buf_str(&texts), reads_alike);
    int n = 0;
    for (const char *p = texts.p, *end; p; p = end ? end + sizeof part - 1 : NULL, n++) {
        end = strstr(p, part);
        same_ids(a, b, (struct mu_str){p, end ? (size_t)(end - p) : strlen(p)}, reads_alike);
    }
    XT_CHECKF(n >= 40, "only %d texts", n);
    same_ids(a, b, MU_STR("<s> begin <|endoftext|> and </s>end<unk>"), reads_alike);
    mu_tokenizer_close(a);
    mu_tokenizer_close(b);
    mu_buf_fini(&texts);
}

static void compare_shared(const char *name, bool reads_alike)
{
    char gguf[128], inp[128];
    snprintf(gguf, sizeof gguf, "tokenizers/%s", name);
    snprintf(inp, sizeof inp, "tokenizers/%s.inp", name);
    compare(xt_data(gguf), xt_data(inp), reads_alike);
}

XT_TEST(published_gpt2)
{
    compare_shared("ggml-vocab-gpt-2.gguf", true);
}

XT_TEST(published_falcon)
{
    compare_shared("ggml-vocab-falcon.gguf", true);
}

XT_TEST(published_llama_spm)
{
    compare_shared("ggml-vocab-llama-spm.gguf", true);
}

/* Its user-defined tokens are letters of the byte-level alphabet; tokenizer.json's decoder reads them as bytes. */
XT_TEST(published_deepseek_llm)
{
    compare_shared("ggml-vocab-deepseek-llm.gguf", false);
}

/* ---- small files of our own ---- */

struct vocab_file {
    struct mu_buf keys;
    uint64_t n_keys;
};

static void add(struct mu_buf *b, const void *p, size_t n)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_buf_add(b, p, n, &err));
}

static void add_u32(struct mu_buf *b, uint32_t v)
{
    add(b, &v, 4);
}

static void add_u64(struct mu_buf *b, uint64_t v)
{
    add(b, &v, 8);
}

static void add_text(struct mu_buf *b, const char *s)
{
    add_u64(b, strlen(s));
    add(b, s, strlen(s));
}

static void key(struct vocab_file *f, const char *name, uint32_t type)
{
    char full[128];
    snprintf(full, sizeof full, "tokenizer.%s", name);
    add_text(&f->keys, full);
    add_u32(&f->keys, type);
    f->n_keys++;
}

static void key_text(struct vocab_file *f, const char *name, const char *v)
{
    key(f, name, MU_GGUF_STRING);
    add_text(&f->keys, v);
}

static void key_u32(struct vocab_file *f, const char *name, uint32_t v)
{
    key(f, name, MU_GGUF_U32);
    add_u32(&f->keys, v);
}

static void key_bool(struct vocab_file *f, const char *name, bool v)
{
    key(f, name, MU_GGUF_BOOL);
    add(&f->keys, &(unsigned char){v}, 1);
}

struct token {
    const char *text;
    uint32_t type;
    float score;
};

static void key_tokens(struct vocab_file *f, const struct token *v, uint64_t n)
{
    key(f, "ggml.tokens", MU_GGUF_ARRAY);
    add_u32(&f->keys, MU_GGUF_STRING);
    add_u64(&f->keys, n);
    for (uint64_t i = 0; i < n; i++)
        add_text(&f->keys, v[i].text);
    key(f, "ggml.token_type", MU_GGUF_ARRAY);
    add_u32(&f->keys, MU_GGUF_I32);
    add_u64(&f->keys, n);
    for (uint64_t i = 0; i < n; i++)
        add_u32(&f->keys, v[i].type);
    key(f, "ggml.scores", MU_GGUF_ARRAY);
    add_u32(&f->keys, MU_GGUF_F32);
    add_u64(&f->keys, n);
    for (uint64_t i = 0; i < n; i++)
        add(&f->keys, &v[i].score, 4);
}

static const char *finish(struct vocab_file *f)
{
    static char path[512];
    struct mu_buf all = MU_BUF_INIT("a GGUF file", TEXT_MAX);
    add(&all, "GGUF", 4);
    add_u32(&all, 3);
    add_u64(&all, 0);
    add_u64(&all, f->n_keys);
    add(&all, f->keys.p, f->keys.n);
    write_text(xt_tmpdir(), "vocab.gguf", mu_buf_str(&all));
    mu_buf_fini(&all);
    mu_buf_fini(&f->keys);
    snprintf(path, sizeof path, "%s/vocab.gguf", xt_tmpdir());
    return path;
}

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED };

static const struct token spm[] = {
    {"<unk>", UNKNOWN, 0},
    {"<s>", CONTROL, 0},
    {"</s>", CONTROL, 0},
    {"<mark me>", USER_DEFINED, 0},
    {"ab", NORMAL, -1},
    {"\xE2\x96\x81"
     "ab",
     NORMAL, -2},
    {"bab", NORMAL, -3},
    {"aba", NORMAL, -4},
    {"aa", NORMAL, -5},
    {"aaa", NORMAL, -6},
    {"aaaa", NORMAL, -7},
    {"\xE2\x96\x81", NORMAL, -8},
    {"a", NORMAL, -9},
    {"b", NORMAL, -10},
    {"\"", NORMAL, -11},
    {"\\", NORMAL, -12},
    {"\n", NORMAL, -13},
};

#define N_SPM (sizeof spm / sizeof *spm)

static struct vocab_file small_spm(void)
{
    struct vocab_file f = {.keys = MU_BUF_INIT("keys", TEXT_MAX)};
    key_text(&f, "ggml.model", "llama");
    key_tokens(&f, spm, N_SPM);
    return f;
}

static void compare_small(const char *gguf)
{
    static const char *const texts[] = {"",           " ",          "ab",      "aab ab  aba",
                                        "aaaaaaa",    "a\"b\\a\nb", "zabz zz", "<s>ab</s> ab<mark me>ab<mark me>",
                                        "  aaaaa bab"};
    export_to(xt_tmpdir(), gguf);
    mu_tokenizer *a = open_tok(gguf), *b = open_tok(xt_tmpdir());
    same_info(a, b);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        same_ids(a, b, mu_str(texts[i]), true);
    mu_tokenizer_close(a);
    mu_tokenizer_close(b);
}

XT_TEST(spm_with_user_tokens)
{
    struct vocab_file f = small_spm();
    compare_small(finish(&f));
}

XT_TEST(spm_without_space_in_front_and_with_an_end)
{
    struct vocab_file f = small_spm();
    key_bool(&f, "ggml.add_space_prefix", false);
    key_bool(&f, "ggml.add_bos_token", false);
    key_bool(&f, "ggml.add_eos_token", true);
    key_u32(&f, "ggml.padding_token_id", 2);
    compare_small(finish(&f));
}

XT_TEST(merges_go_by_score_and_longest_left)
{
    struct vocab_file f = small_spm();
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("merges", TEXT_MAX);
    mu_tokenizer *t = open_tok(finish(&f));
    XT_OK(mu_tok_export_merges(t, &out, &err));
    XT_STREQ(out.p, "[\n[\"a\", \"b\"],\n[\"\xE2\x96\x81\", \"ab\"],\n[\"b\", \"ab\"],\n[\"ab\", \"a\"],\n[\"a\", "
                    "\"a\"],\n[\"aa\", \"a\"],\n[\"a\", \"aa\"],\n[\"aaa\", \"a\"],\n[\"aa\", \"aa\"],\n[\"a\", "
                    "\"aaa\"]\n]");
    mu_buf_fini(&out);
    mu_tokenizer_close(t);
}

XT_TEST(chat_template_comes_along)
{
    struct vocab_file f = small_spm();
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf tokenizer = MU_BUF_INIT("tokenizer.json", TEXT_MAX), config = MU_BUF_INIT("config", TEXT_MAX);
    json_t *tree;
    key_text(&f, "chat_template", "{{ bos_token }}\n\"{{ messages }}\"");
    XT_OK(mu_tok_export_gguf(finish(&f), &tokenizer, &config, &err));
    XT_OK(mu_json_parse(&tree, mu_buf_str(&config), "tokenizer_config.json", &err));
    XT_STREQ(json_string_value(json_object_get(tree, "chat_template")), "{{ bos_token }}\n\"{{ messages }}\"");
    XT_STREQ(json_string_value(json_object_get(tree, "eos_token")), "</s>");
    XT_CHECK(json_is_null(json_object_get(tree, "pad_token")));
    XT_CHECK(json_is_true(json_object_get(tree, "add_bos_token")));
    json_decref(tree);
    mu_buf_fini(&tokenizer);
    mu_buf_fini(&config);
}

static void refused(struct vocab_file *f, int code, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf tokenizer = MU_BUF_INIT("tokenizer.json", TEXT_MAX), config = MU_BUF_INIT("config", TEXT_MAX);
    XT_FAILS(mu_tok_export_gguf(finish(f), &tokenizer, &config, &err), code, part);
    mu_buf_fini(&tokenizer);
    mu_buf_fini(&config);
}

XT_TEST(what_cannot_be_written_is_refused)
{
    struct vocab_file f = {.keys = MU_BUF_INIT("keys", TEXT_MAX)};
    key_text(&f, "ggml.model", "bert");
    key_tokens(&f, spm, N_SPM);
    refused(&f, MU_EUNSUPPORTED, "neither byte-level nor SentencePiece BPE");

    struct token twice[] = {{"<unk>", UNKNOWN, 0}, {"a", NORMAL, 0}, {"a", NORMAL, 0}};
    f = (struct vocab_file){.keys = MU_BUF_INIT("keys", TEXT_MAX)};
    key_text(&f, "ggml.model", "llama");
    key_tokens(&f, twice, 3);
    refused(&f, MU_EUNSUPPORTED, "tokens 1 and 2 are spelled alike");

    struct token broken[] = {{"<unk>", UNKNOWN, 0}, {"\xFF", NORMAL, 0}};
    f = (struct vocab_file){.keys = MU_BUF_INIT("keys", TEXT_MAX)};
    key_text(&f, "ggml.model", "llama");
    key_tokens(&f, broken, 2);
    refused(&f, MU_EUNSUPPORTED, "token 1 is no valid UTF-8");
}

static int export_once(void *arg, struct mu_err *e)
{
    struct mu_buf tokenizer = MU_BUF_INIT("tokenizer.json", TEXT_MAX), config = MU_BUF_INIT("config", TEXT_MAX);
    int rc = mu_tok_export_gguf(arg, &tokenizer, &config, e);
    mu_buf_fini(&tokenizer);
    mu_buf_fini(&config);
    return rc;
}

XT_TEST(every_allocation_may_fail)
{
    struct vocab_file f = small_spm();
    char path[512];
    snprintf(path, sizeof path, "%s", finish(&f));
    xt_each_alloc_fails(export_once, path);
}

XT_MAIN()
