/* check_tok.c - see check_tok.h */
#include "check_tok.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

#define TEXT_MAX ((size_t)1 << 26)

static void show(const char *name, struct mu_str text, const int32_t *got, size_t n, const json_t *want)
{
    char line[1600];
    size_t at = 0, n_want = json_array_size(want);
    for (size_t i = 0; i < n && i < 60 && at < 700; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%d ", got[i]);
    at += (size_t)snprintf(line + at, sizeof line - at, "| ");
    for (size_t i = 0; i < n_want && i < 60 && at < 1500; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%lld ",
                               (long long)json_integer_value(json_array_get(want, i)));
    xt_fail(__FILE__, __LINE__, "%s: \"%.*s\": %zu ids, %zu expected: %s", name, (int)(text.n < 120 ? text.n : 120),
            text.p, n, n_want, line);
}

void check_encode(const mu_tokenizer *t, const char *name, struct mu_str text, unsigned flags, const json_t *want)
{
    struct mu_ids ids = MU_IDS_INIT(TEXT_MAX);
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_tokenizer_encode(t, text.p, text.n, flags, &ids, &err));
    bool same = ids.n == json_array_size(want);
    for (size_t i = 0; same && i < ids.n; i++)
        same = ids.v[i] == json_integer_value(json_array_get(want, i));
    if (!same)
        show(name, text, ids.v, ids.n, want);
    mu_ids_fini(&ids);
}

static int32_t *ids_of(const json_t *ids)
{
    size_t n = json_array_size(ids);
    int32_t *v = malloc(sizeof *v * (n ? n : 1));
    for (size_t i = 0; i < n; i++)
        v[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    return v;
}

static void same_text(const char *name, const char *how, struct mu_str got, struct mu_str want)
{
    XT_CHECKF(mu_str_eq(got, want), "%s: %s gives \"%.*s\", not \"%.*s\"", name, how, (int)(got.n < 300 ? got.n : 300),
              got.p, (int)(want.n < 300 ? want.n : 300), want.p);
}

void check_decode(const mu_tokenizer *t, const char *name, const json_t *ids, unsigned flags, struct mu_str want)
{
    struct mu_buf out = MU_BUF_INIT("decoded", TEXT_MAX);
    struct mu_err err = MU_ERR_INIT;
    int32_t *v = ids_of(ids);
    XT_OK(mu_tokenizer_decode(t, v, json_array_size(ids), flags, &out, &err));
    same_text(name, "decode", mu_buf_str(&out), want);
    mu_buf_fini(&out);
    free(v);
}

void check_stream(const mu_tokenizer *t, const char *name, const json_t *ids, unsigned flags, struct mu_str want)
{
    struct mu_buf out = MU_BUF_INIT("decoded", TEXT_MAX);
    struct mu_err err = MU_ERR_INIT;
    struct mu_tok_stream s;
    mu_tok_stream_begin(&s, t, flags);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        size_t before = out.n;
        XT_OK(mu_tok_stream_add(&s, (int32_t)json_integer_value(json_array_get(ids, i)), &out, &err));
        XT_CHECKF(out.n == before || (out.p[before] & 0xC0) != 0x80, "%s: the stream splits a character", name);
    }
    XT_OK(mu_tok_stream_end(&s, &out, &err));
    same_text(name, "stream", mu_buf_str(&out), want);
    mu_buf_fini(&out);
}

/* One line of ids to a JSON array, for check_encode(). */
static json_t *ids_of_line(struct mu_str line)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < line.n;) {
        char *end;
        while (i < line.n && line.p[i] == ' ')
            i++;
        if (i >= line.n)
            break;
        json_array_append_new(ids, json_integer(strtol(line.p + i, &end, 10)));
        i = (size_t)(end - line.p);
    }
    return ids;
}

void check_inp_out(const mu_tokenizer *t, const char *inp, const char *out, int skip, bool roundtrip)
{
    static const char part[] = "\n__ggml_vocab_test__\n";
    struct mu_buf texts = MU_BUF_INIT("texts", TEXT_MAX), lines = MU_BUF_INIT("ids", TEXT_MAX);
    struct mu_err err = MU_ERR_INIT;
    char name[64];
    int n = 0;
    XT_OK(mu_file_read_all(&texts, inp, &err));
    XT_OK(mu_file_read_all(&lines, out, &err));
    const char *text = texts.p, *line = lines.p;
    while (text && line && *line) {
        const char *text_end = strstr(text, part), *line_end = strchr(line, '\n');
        if (!text_end && n > 0 && texts.p + texts.n == text)
            break;
        struct mu_str s = {text, text_end ? (size_t)(text_end - text) : (size_t)(texts.p + texts.n - text)};
        json_t *ids = ids_of_line((struct mu_str){line, (size_t)(line_end - line)});
        snprintf(name, sizeof name, "text %d", n);
        if (n != skip)
            check_encode(t, name, s, 0, ids);
        if (roundtrip) {
            check_decode(t, name, ids, 0, s);
            check_stream(t, name, ids, 0, s);
        }
        json_decref(ids);
        n++;
        text = text_end ? text_end + sizeof part - 1 : NULL;
        line = line_end + 1;
    }
    XT_CHECKF(n >= 40, "only %d texts", n);
    xt_note("%d texts", n);
    mu_buf_fini(&texts);
    mu_buf_fini(&lines);
}
