/* cmd_tokenize.c - `muster tokenize` and `muster detokenize`: text to ids and back */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/tokenizer.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/lines.h"
#include "cli/print_json.h"

struct tokenize_args {
    const char *tokenizer, *model, *file, *pattern;
    bool ids, json, lines, special, no_parse_special, skip_special, info;
};

static int open_tokenizer(mu_tokenizer **tok, const struct tokenize_args *args, struct mu_err *e)
{
    const char *path = args->tokenizer ? args->tokenizer : args->model;
    struct mu_tokenizer_opts o = MU_TOKENIZER_OPTS_INIT;
    if (!path)
        return mu_fail(e, MU_EUSAGE, "--tokenizer PATH is needed: a checkpoint folder or a tokenizer file");
    o.pattern = args->pattern;
    return mu_tokenizer_open(tok, path, &o, e);
}

static unsigned encode_flags(const struct tokenize_args *args)
{
    return (args->special ? MU_TOK_ADD_SPECIAL : 0u) | (args->no_parse_special ? 0u : MU_TOK_PARSE_SPECIAL);
}

/* ---- one text ---- */

static int print_ids(const struct mu_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        printf("%s%" PRId32, i ? " " : "", ids->v[i]);
    printf("\n");
    return MU_OK;
}

static int token_json(const mu_tokenizer *tok, int32_t id, json_t **out)
{
    size_t n;
    const char *piece = mu_tokenizer_piece(tok, id, &n);
    *out = piece ? json_stringn(piece, n) : json_null(); /* NULL for a piece that is not UTF-8 */
    if (!*out)
        *out = json_null();
    return MU_OK;
}

static int print_json(const mu_tokenizer *tok, const struct mu_ids *ids, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT("the tokens", MU_TEXT_BYTES_MAX);
    json_t *all = json_object(), *id_list = json_array(), *pieces = json_array();
    int rc = MU_OK;

    for (size_t i = 0; i < ids->n; i++) {
        json_t *piece;
        MU_TRY(token_json(tok, ids->v[i], &piece));
        json_array_append_new(id_list, json_integer(ids->v[i]));
        json_array_append_new(pieces, piece);
    }
    json_object_set(all, "ids", id_list);
    json_object_set(all, "pieces", pieces);
    MU_TRY(mu_json_dump(&out, all, false, e));
    printf("%s\n", out.p);
out:
    json_decref(pieces);
    json_decref(id_list);
    json_decref(all);
    mu_buf_fini(&out);
    return rc;
}

static void print_pieces(const mu_tokenizer *tok, const struct mu_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++) {
        size_t n;
        const char *piece = mu_tokenizer_piece(tok, ids->v[i], &n);
        printf("%7" PRId32 "  %.*s%s\n", ids->v[i], piece ? (int)n : 9, piece ? piece : "(no text)",
               mu_tokenizer_is_special(tok, ids->v[i]) ? "  (special)" : "");
    }
    printf("%zu tokens\n", ids->n);
}

static int encode_and_print(const mu_tokenizer *tok, const struct tokenize_args *args, struct mu_str text,
                            struct mu_ids *ids, struct mu_err *e)
{
    ids->n = 0;
    MU_TRY_RETURN(mu_tokenizer_encode(tok, text.p, text.n, encode_flags(args), ids, e));
    if (args->json)
        return print_json(tok, ids, e);
    if (args->ids)
        return print_ids(ids);
    print_pieces(tok, ids);
    return MU_OK;
}

/* ---- many ---- */

static int tokenize_file(const mu_tokenizer *tok, const struct tokenize_args *args, struct mu_ids *ids,
                         struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the text", MU_TEXT_BYTES_MAX);
    int rc = MU_OK;

    MU_TRY(mu_text_read(&text, args->file, e));
    if (!args->lines) {
        MU_TRY(encode_and_print(tok, args, mu_buf_str(&text), ids, e));
        goto out;
    }
    for (const char *p = text.p, *end = text.p + text.n; text.n && p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline ? newline : end) - p);
        MU_TRY(encode_and_print(tok, args, (struct mu_str){p, n}, ids, e));
        p += n + 1;
    }
out:
    mu_buf_fini(&text);
    return rc;
}

static int print_info(const mu_tokenizer *tok, bool as_json, struct mu_err *e)
{
    struct mu_tokenizer_info i;
    mu_tokenizer_info(tok, &i);
    if (!as_json) {
        printf("%s, %s, %" PRId32 " ids; bos %" PRId32 ", eos %" PRId32 ", unk %" PRId32 ", pad %" PRId32
               "; adds%s%s%s; hash %016" PRIx64 "\n",
               i.source, i.model, i.n_vocab, i.bos, i.eos, i.unk, i.pad, i.adds_bos ? " bos" : "",
               i.adds_eos ? " eos" : "", i.adds_bos || i.adds_eos ? "" : " nothing", i.hash);
        return MU_OK;
    }
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, i.hash);
    json_t *v = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:s}", "source", i.source, "model", i.model,
                          "n_vocab", i.n_vocab, "bos", i.bos, "eos", i.eos, "unk", i.unk, "pad", i.pad, "adds_bos",
                          i.adds_bos, "adds_eos", i.adds_eos, "hash", hash);
    return mu_print_json(v, "the report", e);
}

static int tokenize_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct tokenize_args *args = p;
    struct mu_ids ids = MU_IDS_INIT(MU_TEXT_BYTES_MAX);
    mu_tokenizer *tok = NULL;
    int rc = MU_OK;

    if (n_operands == 0 && !args->file && !args->info)
        return mu_fail(e, MU_EUSAGE, "nothing to tokenize: give texts, or --file FILE (- is standard input)");
    MU_TRY(open_tokenizer(&tok, args, e));
    if (args->info)
        MU_TRY(print_info(tok, args->json, e));
    for (int i = 0; i < n_operands; i++)
        MU_TRY(encode_and_print(tok, args, mu_str(operands[i]), &ids, e));
    if (args->file)
        MU_TRY(tokenize_file(tok, args, &ids, e));
out:
    mu_ids_fini(&ids);
    mu_tokenizer_close(tok);
    return rc;
}

/* ---- the way back ---- */

static int parse_ids(const char *text, const char *where, struct mu_ids *ids, struct mu_err *e)
{
    ids->n = 0;
    for (const char *p = text; *p;) {
        char *end;
        p += strspn(p, " \t\r,[]");
        if (!*p)
            break;
        long long v = strtoll(p, &end, 10);
        if (end == p || v < 0 || v > INT32_MAX)
            return mu_fail(e, MU_EINVAL, "%s: \"%.20s\" is no token id", where, p);
        MU_TRY_RETURN(mu_ids_add(ids, (int32_t)v, e));
        p = end;
    }
    return MU_OK;
}

static int decode_and_print(const mu_tokenizer *tok, const struct tokenize_args *args, const char *text,
                            const char *where, struct mu_ids *ids, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT("the text", MU_TEXT_BYTES_MAX), quoted = MU_BUF_INIT("the text", MU_TEXT_BYTES_MAX);
    json_t *v = NULL;
    int rc = MU_OK;

    MU_TRY(parse_ids(text, where, ids, e));
    MU_TRY(mu_tokenizer_decode(tok, ids->v, ids->n, args->skip_special ? MU_TOK_SKIP_SPECIAL : 0, &out, e));
    if (args->json) {
        v = json_pack("{s:s%}", "text", mu_buf_str(&out).p, out.n);
        if (!v)
            rc = mu_fail_nomem(e, out.n, "the text");
        if (rc == MU_OK)
            rc = mu_json_dump(&quoted, v, false, e);
    }
    if (rc == MU_OK) {
        struct mu_str s = mu_buf_str(args->json ? &quoted : &out);
        fwrite(s.p, 1, s.n, stdout);
        fputc('\n', stdout);
    }
out:
    json_decref(v);
    mu_buf_fini(&quoted);
    mu_buf_fini(&out);
    return rc;
}

static int detokenize_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct tokenize_args *args = p;
    struct mu_ids ids = MU_IDS_INIT(MU_TEXT_BYTES_MAX);
    struct mu_lines lines = {0};
    mu_tokenizer *tok = NULL;
    int rc = MU_OK;

    if (n_operands == 0 && !args->file)
        return mu_fail(e, MU_EUSAGE, "nothing to detokenize: give lists of ids, or --file FILE (- is standard input)");
    MU_TRY(open_tokenizer(&tok, args, e));
    for (int i = 0; i < n_operands; i++)
        MU_TRY(decode_and_print(tok, args, operands[i], "the operand", &ids, e));
    if (args->file) {
        bool has_line;
        MU_TRY(mu_lines_open(&lines, args->file, e));
        for (;;) {
            MU_TRY(mu_lines_next(&lines, &has_line, e));
            if (!has_line)
                break;
            MU_TRY(decode_and_print(tok, args, lines.line.p, mu_lines_where(&lines), &ids, e));
        }
    }
out:
    mu_lines_close(&lines);
    mu_ids_fini(&ids);
    mu_tokenizer_close(tok);
    return rc;
}

#define FIELD(name) offsetof(struct tokenize_args, name)

#define COMMON_OPTS                                                                                                    \
    {MU_OPT_TEXT, "tokenizer", 0, FIELD(tokenizer), "PATH", .help = "Tokenizer: a checkpoint folder or a file."},      \
        {MU_OPT_TEXT, "model", 'm', FIELD(model), "PATH", .help = "The same, when --tokenizer is not given."},         \
        {MU_OPT_TEXT,                                                                                                  \
         "pattern",                                                                                                    \
         0,                                                                                                            \
         FIELD(pattern),                                                                                               \
         "NAME",                                                                                                       \
         .help = "Split pattern of tiktoken ranks, such as llama3, qwen2 or gpt2.",                                    \
         .dflt = "found from the files"},                                                                              \
    {                                                                                                                  \
        MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs, a line each."                           \
    }

static const struct mu_opt tokenize_opts[] = {
    COMMON_OPTS,
    {MU_OPT_TEXT, "file", 'f', FIELD(file), "FILE",
     .help = "Tokenize FILE as one text, newlines included; - is standard input."},
    {MU_OPT_FLAG, "lines", 'l', FIELD(lines), .help = "Take each line of the file as a text of its own."},
    {MU_OPT_FLAG, "ids", 0, FIELD(ids), .help = "Print ids only, those of a text on one line."},
    {MU_OPT_FLAG, "special", 's', FIELD(special), .help = "Add what the tokenizer puts around a text (BOS, EOS)."},
    {MU_OPT_FLAG, "no-parse-special", 0, FIELD(no_parse_special),
     .help = "Take special tokens spelled in the text as plain text."},
    {MU_OPT_FLAG, "info", 0, FIELD(info), .help = "Tell what the tokenizer is."},
    {.type = MU_OPT_END},
};

static const struct mu_opt detokenize_opts[] = {
    COMMON_OPTS,
    {MU_OPT_TEXT, "file", 'f', FIELD(file), "FILE", .help = "Detokenize the lines of FILE; - is standard input."},
    {MU_OPT_FLAG, "skip-special", 0, FIELD(skip_special), .help = "Leave special tokens out."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_tokenize = {
    .name = "tokenize",
    .summary = "turn text into token ids",
    .operands = "[TEXT...]",
    .story =
        "Tokenizes texts as the model's publisher does. Reads tokenizer.json, SentencePiece tokenizer.model, tiktoken "
        "ranks, vocab.json with merges.txt, and the vocabulary inside a GGUF file.",
    .examples = "  muster tokenize --tokenizer DIR \"Hello world\"\n"
                "  muster tokenize --tokenizer tokenizer.json --file texts.txt --lines --ids\n",
    .opts = tokenize_opts,
    .args_size = sizeof(struct tokenize_args),
    .run = tokenize_run,
};

const struct mu_cmd mu_cmd_detokenize = {
    .name = "detokenize",
    .summary = "turn token ids into text",
    .operands = "[IDS...]",
    .story = "Turns lists of token ids, separated by blanks or commas, back into text.",
    .examples = "  muster detokenize --tokenizer DIR \"15496 995\"\n"
                "  muster tokenize --tokenizer DIR --ids \"Hello\" | muster detokenize --tokenizer DIR --file -\n",
    .opts = detokenize_opts,
    .args_size = sizeof(struct tokenize_args),
    .run = detokenize_run,
};
