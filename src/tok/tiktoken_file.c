/* tiktoken_file.c - rank files: a line each of base64 token and rank, merged by rank
 *
 * The file has neither split pattern nor special tokens. Both are known for published models by the number of ranks,
 * or the pattern is named by the caller; tokenizer_config.json's added_tokens_decoder brings special tokens too. */
#include "tok/tok_int.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

struct special {
    const char *name;
    int32_t id;
};

/* A published rank file: its number of ranks tells which one it is. */
struct known {
    int32_t n_ranks;
    const char *pattern;
    const struct special *specials;
    int n_specials;
    int32_t n_reserved, reserved_from; /* <|reserved_special_token_N|>, with N counting from 0 */
    int32_t bos, eos;
    bool adds_bos;
};

static const struct special gpt2_specials[] = {{"<|endoftext|>", 50256}};
static const struct special cl100k_specials[] = {{"<|endoftext|>", 100257},
                                                 {"<|fim_prefix|>", 100258},
                                                 {"<|fim_middle|>", 100259},
                                                 {"<|fim_suffix|>", 100260},
                                                 {"<|endofprompt|>", 100276}};
static const struct special o200k_specials[] = {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}};
static const struct special qwen_specials[] = {
    {"<|endoftext|>", 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}};
static const struct special llama3_specials[] = {
    {"<|begin_of_text|>", 128000}, {"<|end_of_text|>", 128001},     {"<|finetune_right_pad_id|>", 128004},
    {"<|step_id|>", 128005},       {"<|start_header_id|>", 128006}, {"<|end_header_id|>", 128007},
    {"<|eom_id|>", 128008},        {"<|eot_id|>", 128009},          {"<|python_tag|>", 128010}};

static const struct known files[] = {
    {50256, "gpt2", gpt2_specials, MU_COUNT(gpt2_specials), 0, 0, -1, 50256, false},
    {100256, "cl100k", cl100k_specials, MU_COUNT(cl100k_specials), 0, 0, -1, 100257, false},
    {199998, "o200k", o200k_specials, MU_COUNT(o200k_specials), 0, 0, -1, 199999, false},
    {151643, "qwen2", qwen_specials, MU_COUNT(qwen_specials), 0, 0, -1, 151643, false},
    {128000, "llama3", llama3_specials, MU_COUNT(llama3_specials), 247, 128002, 128000, 128001, true},
};

/* ---- lines ---- */

static int digit64(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Decode into piece; false when a character is no base64. */
static bool base64(struct mu_str s, char *piece, size_t *n)
{
    uint32_t bits = 0;
    int n_bits = 0;
    *n = 0;
    for (size_t i = 0; i < s.n && s.p[i] != '='; i++) {
        int v = digit64(s.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            piece[(*n)++] = (char)(bits >> n_bits & 0xFF);
        }
    }
    return true;
}

static int add_line(struct mu_tokenizer *t, struct mu_str line, int64_t number, char *piece, const char *where,
                    struct mu_err *e)
{
    const char *space = memchr(line.p, ' ', line.n);
    size_t n_piece, n_text = space ? (size_t)(space - line.p) : 0, i = n_text + 1;
    int64_t rank = 0;
    if (!space || n_text == 0 || i >= line.n)
        return mu_fail(e, MU_EFORMAT, "%s, line %" PRId64 ": a base64 token, a space and a rank are expected", where,
                       number);
    if (n_text > MU_TOK_PIECE_BYTES_MAX)
        return mu_fail(e, MU_EFORMAT, "%s, line %" PRId64 ": the token is longer than %d bytes", where, number,
                       MU_TOK_PIECE_BYTES_MAX);
    if (!base64((struct mu_str){line.p, n_text}, piece, &n_piece) || n_piece == 0)
        return mu_fail(e, MU_EFORMAT, "%s, line %" PRId64 ": \"%.*s\" is no base64", where, number,
                       (int)MU_MIN(n_text, 60), line.p);
    for (; i < line.n && line.p[i] >= '0' && line.p[i] <= '9' && rank < MU_TOK_VOCAB_MAX; i++)
        rank = rank * 10 + (line.p[i] - '0');
    if (i < line.n)
        return mu_fail(e, MU_EFORMAT, "%s, line %" PRId64 ": the rank is no number below %d", where, number,
                       MU_TOK_VOCAB_MAX);
    struct mu_str s = {piece, n_piece};
    if (mu_vocab_find(&t->vocab, s.p, s.n) >= 0)
        return mu_fail(e, MU_EFORMAT, "%s, line %" PRId64 ": the token was there before", where, number);
    return mu_vocab_add(&t->vocab, rank, s, where, e);
}

static int add_lines(struct mu_tokenizer *t, struct mu_str text, const char *where, struct mu_err *e)
{
    char *piece = mu_alloc(MU_TOK_PIECE_BYTES_MAX);
    int64_t number = 0;
    int rc = piece ? MU_OK : mu_fail_nomem(e, MU_TOK_PIECE_BYTES_MAX, "a token");
    for (size_t at = 0; rc == MU_OK && at < text.n;) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t next = end ? (size_t)(end - text.p) + 1 : text.n;
        struct mu_str line = {text.p + at, (end ? next - 1 : next) - at};
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        number++;
        if (line.n > 0)
            rc = add_line(t, line, number, piece, where, e);
        at = next;
    }
    mu_free(piece);
    return rc;
}

/* ---- special tokens ---- */

static int add_special(struct mu_tokenizer *t, struct mu_str name, int64_t id, const char *where, struct mu_err *e)
{
    if (id >= 0 && id < t->vocab.n && mu_vocab_has(&t->vocab, (int32_t)id))
        return MU_OK; /* named by both lists */
    MU_TRY_RETURN(mu_vocab_add_hidden(&t->vocab, id, name, where, e));
    return mu_added_add(t, (struct mu_added){(int32_t)id, name, .is_special = true}, e);
}

/* "added_tokens_decoder": {"151643": {"content": "<|endoftext|>", ...}} of tokenizer_config.json. */
static int specials_from_config(struct mu_tokenizer *t, const char *dir, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 4096);
    json_t *root = NULL, *v;
    const char *key;
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, dir, "tokenizer_config.json", e));
    if (!mu_path_exists(path.p))
        goto out;
    MU_TRY(mu_json_load(&root, path.p, e));
    json_object_foreach(json_object_get(root, "added_tokens_decoder"), key, v)
    {
        const char *name = json_string_value(json_object_get(v, "content"));
        if (name && *name)
            MU_TRY(add_special(t, mu_str(name), strtoll(key, NULL, 10), path.p, e));
    }
out:
    json_decref(root);
    mu_buf_fini(&path);
    return rc;
}

static int known_specials(struct mu_tokenizer *t, const struct known *k, const char *where, struct mu_err *e)
{
    char name[64];
    for (int i = 0; i < k->n_specials; i++)
        MU_TRY_RETURN(add_special(t, mu_str(k->specials[i].name), k->specials[i].id, where, e));
    int32_t id = k->reserved_from;
    for (int32_t i = 0; i < k->n_reserved; i++, id++) {
        while (id < t->vocab.n && mu_vocab_has(&t->vocab, id))
            id++;
        snprintf(name, sizeof name, "<|reserved_special_token_%d|>", i);
        MU_TRY_RETURN(add_special(t, mu_str(name), id, where, e));
    }
    t->bos = k->bos;
    t->eos = k->eos;
    if (k->adds_bos)
        t->before[t->n_before++] = t->bos;
    return MU_OK;
}

/* ---- the file ---- */

static const struct known *known_by_size(int32_t n)
{
    for (size_t i = 0; i < MU_COUNT(files); i++)
        if (files[i].n_ranks == n)
            return &files[i];
    return NULL;
}

static int choose_pattern(struct mu_tokenizer *t, const struct known *k, const char *name, const char *where,
                          struct mu_err *e)
{
    name = name ? name : k ? k->pattern : NULL;
    if (!name)
        return mu_fail(
            e, MU_EUNSUPPORTED,
            "%s: %d ranks are of no published tokenizer, so their split pattern is not known; name it (llama3, "
            "qwen2, gpt2, cl100k, o200k ...)",
            where, t->vocab.n);
    const struct mu_split_set *set = mu_split_set_find(name);
    if (!set)
        return mu_fail(e, MU_EINVAL,
                       "split pattern \"%.60s\" is not known; llama3, qwen2, gpt2, cl100k, o200k and others "
                       "are",
                       name);
    mu_tok_hash(t, set->name, strlen(set->name));
    return mu_tok_add_split(t, set->patterns, set->n, where, e);
}

int mu_tok_load_tiktoken(struct mu_tokenizer *t, struct mu_str text, const char *where, const char *dir,
                         const char *pattern, struct mu_err *e)
{
    struct mu_bpe *b = &t->bpe;
    t->source = "tiktoken";
    t->model = MU_MODEL_BPE;
    MU_TRY_RETURN(add_lines(t, text, where, e));
    int32_t n = t->vocab.n;
    if (n == 0)
        return mu_fail(e, MU_EFORMAT, "%s holds no ranks", where);
    const struct known *k = known_by_size(n);
    MU_TRY_RETURN(choose_pattern(t, k, pattern, where, e));
    b->by_text = b->by_byte = true;
    MU_TRY_RETURN(MU_NEW_ARRAY(&b->ranks, n, "token ranks", e));
    for (int32_t i = 0; i < n; i++)
        b->ranks[i] = (uint32_t)i;
    if (dir)
        MU_TRY_RETURN(specials_from_config(t, dir, e));
    if (k)
        MU_TRY_RETURN(known_specials(t, k, where, e));
    t->decoder.is_raw = true;
    return MU_OK;
}
