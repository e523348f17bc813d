/* pretokenizer.c - the steps that cut normalized text into words
 *
 * A step reads w->spans and writes w->next. Steps that also rewrite (ByteLevel, Metaspace) write all spans into the
 * spare buffer, which then becomes the text. Cutting itself is in split.c. */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/utf8.h"

static size_t char_length(const char *p, size_t n)
{
    uint32_t cp;
    int len = mu_utf8_decode(p, n, &cp);
    return len > 0 ? (size_t)len : 1;
}

static int split_all(const struct mu_pre *p, struct mu_tok_work *w, struct mu_err *e)
{
    for (size_t i = 0; i < w->spans.n; i++) {
        if (w->spans.v[i].id >= 0)
            MU_TRY_RETURN(mu_spans_add(&w->next, w->spans.v[i], e));
        else
            MU_TRY_RETURN(mu_tok_split_span(p, w, w->spans.v[i], e));
    }
    mu_tok_work_flip(w);
    return MU_OK;
}

/* ---- steps that rewrite every span ---- */

typedef int (*rewrite)(const struct mu_pre *p, struct mu_str in, bool is_start, struct mu_buf *out, struct mu_err *e);

static int rewrite_all(const struct mu_pre *p, rewrite fn, struct mu_tok_work *w, struct mu_err *e)
{
    mu_buf_clear(&w->spare);
    for (size_t i = 0; i < w->spans.n; i++) {
        struct mu_span *s = &w->spans.v[i];
        size_t off = w->spare.n;
        if (s->id >= 0)
            continue;
        MU_TRY_RETURN(fn(p, (struct mu_str){w->text.p + s->off, s->n}, s->is_start, &w->spare, e));
        s->off = off;
        s->n = w->spare.n - off;
    }
    struct mu_buf old = w->text;
    w->text = w->spare;
    w->spare = old;
    return MU_OK;
}

static int put_prefix_space(const struct mu_pre *p, struct mu_str in, bool is_start, struct mu_buf *out,
                            struct mu_err *e)
{
    (void)p;
    (void)is_start;
    if (in.n > 0 && in.p[0] != ' ')
        MU_TRY_RETURN(mu_buf_putc(out, ' ', e));
    return mu_buf_add(out, in.p, in.n, e);
}

static int put_byte_chars(const struct mu_pre *p, struct mu_str in, bool is_start, struct mu_buf *out, struct mu_err *e)
{
    (void)p;
    (void)is_start;
    MU_TRY_RETURN(mu_buf_reserve(out, in.n * 2, e));
    for (size_t i = 0; i < in.n; i++)
        out->n += (size_t)mu_byte_char((unsigned char)in.p[i], out->p + out->n);
    out->p[out->n] = 0;
    return MU_OK;
}

static int byte_level(const struct mu_pre *p, struct mu_tok_work *w, struct mu_err *e)
{
    if (p->prefix_space)
        MU_TRY_RETURN(rewrite_all(p, put_prefix_space, w, e));
    if (p->do_split)
        MU_TRY_RETURN(split_all(p, w, e));
    return rewrite_all(p, put_byte_chars, w, e);
}

static int put_marks(const struct mu_pre *p, struct mu_str in, bool is_start, struct mu_buf *out, struct mu_err *e)
{
    bool has_mark = in.n >= p->mark.n && memcmp(in.p, p->mark.p, p->mark.n) == 0;
    bool has_space = in.n > 0 && in.p[0] == ' ';
    bool wants = p->prepend == MU_PREPEND_ALWAYS || (p->prepend == MU_PREPEND_FIRST && is_start);
    if (wants && in.n > 0 && !has_mark && !has_space)
        MU_TRY_RETURN(mu_buf_add(out, p->mark.p, p->mark.n, e));
    for (size_t i = 0, from = 0; i <= in.n; i++) {
        if (i < in.n && in.p[i] != ' ')
            continue;
        MU_TRY_RETURN(mu_buf_add(out, in.p + from, i - from, e));
        if (i < in.n)
            MU_TRY_RETURN(mu_buf_add(out, p->mark.p, p->mark.n, e));
        from = i + 1;
    }
    return MU_OK;
}

static int metaspace(const struct mu_pre *p, struct mu_tok_work *w, struct mu_err *e)
{
    MU_TRY_RETURN(rewrite_all(p, put_marks, w, e));
    return p->do_split ? split_all(p, w, e) : MU_OK;
}

/* ---- runs of characters of a class ---- */

/* Rust's \w+|[^\w\s]+, without the spaces. */
static int kind_of(uint32_t cp)
{
    return mu_char_is_word(cp) ? 1 : mu_char_is_space(cp) ? 0 : 2;
}

static int whitespace_span(struct mu_tok_work *w, struct mu_span s, struct mu_err *e)
{
    size_t from = 0;
    int run = 0;
    for (size_t at = 0, len; at <= s.n; at += len) {
        uint32_t cp = ' ';
        len = at < s.n ? char_length(w->text.p + s.off + at, s.n - at) : 1;
        if (at < s.n)
            mu_utf8_decode(w->text.p + s.off + at, s.n - at, &cp);
        int kind = kind_of(cp);
        if (kind == run && at < s.n)
            continue;
        if (run != 0)
            MU_TRY_RETURN(
                mu_spans_add(&w->next, (struct mu_span){s.off + from, at - from, -1, s.is_start && from == 0}, e));
        run = kind;
        from = at;
    }
    return MU_OK;
}

static int fixed_span(const struct mu_pre *p, struct mu_tok_work *w, struct mu_span s, struct mu_err *e)
{
    size_t from = 0;
    int64_t n_chars = 0;
    for (size_t at = 0; at < s.n;) {
        at += char_length(w->text.p + s.off + at, s.n - at);
        if (++n_chars < p->length && at < s.n)
            continue;
        MU_TRY_RETURN(
            mu_spans_add(&w->next, (struct mu_span){s.off + from, at - from, -1, s.is_start && from == 0}, e));
        from = at;
        n_chars = 0;
    }
    return MU_OK;
}

/* Cut where the script changes. Spaces belong to any script, kana to Han; as in Hugging Face, spaces at the front are
 * lost. */
static int scripts_span(const struct mu_pre *p, struct mu_tok_work *w, struct mu_span s, struct mu_err *e)
{
    const char *last = NULL, *mark = NULL;
    char last_name[32] = "";
    size_t from = s.n, begin, end;
    bool found;
    for (size_t at = 0, len; at < s.n; at += len) {
        const char *c = w->text.p + s.off + at;
        len = char_length(c, s.n - at);
        if (*c == ' ')
            continue;
        MU_TRY_RETURN(mu_regex_find(p->pattern.regex, &w->matcher, c, len, 0, &found, &begin, &end, &mark, e));
        if (!found || !mark)
            continue; /* of no script: it belongs to any, too */
        const char *name = mark;
        if (last && strcmp(last_name, name) != 0) {
            MU_TRY_RETURN(
                mu_spans_add(&w->next, (struct mu_span){s.off + from, at - from, -1, s.is_start && from == 0}, e));
        }
        if (!last || strcmp(last_name, name) != 0)
            from = at;
        strncpy(last_name, name, sizeof last_name - 1);
        last = last_name;
    }
    return mu_spans_add(&w->next, (struct mu_span){s.off + from, s.n - from, -1, s.is_start && from == 0}, e);
}

static int runs_all(const struct mu_pre *p, struct mu_tok_work *w, struct mu_err *e)
{
    for (size_t i = 0; i < w->spans.n; i++) {
        struct mu_span s = w->spans.v[i];
        if (s.id >= 0)
            MU_TRY_RETURN(mu_spans_add(&w->next, s, e));
        else if (p->kind == MU_PRE_WHITESPACE)
            MU_TRY_RETURN(whitespace_span(w, s, e));
        else if (p->kind == MU_PRE_SCRIPTS)
            MU_TRY_RETURN(scripts_span(p, w, s, e));
        else
            MU_TRY_RETURN(fixed_span(p, w, s, e));
    }
    mu_tok_work_flip(w);
    return MU_OK;
}

static int bert(struct mu_tok_work *w, struct mu_err *e)
{
    const struct mu_pre spaces = {.kind = MU_PRE_WHITESPACE_SPLIT, .behaviour = MU_REMOVED};
    const struct mu_pre marks = {.kind = MU_PRE_PUNCTUATION, .behaviour = MU_ISOLATED};
    MU_TRY_RETURN(split_all(&spaces, w, e));
    return split_all(&marks, w, e);
}

static int one_step(const struct mu_pre *p, struct mu_tok_work *w, struct mu_err *e)
{
    switch (p->kind) {
    case MU_PRE_BYTE_LEVEL:
        return byte_level(p, w, e);
    case MU_PRE_METASPACE:
        return metaspace(p, w, e);
    case MU_PRE_BERT:
        return bert(w, e);
    case MU_PRE_WHITESPACE:
    case MU_PRE_SCRIPTS:
    case MU_PRE_FIXED_LENGTH:
        return runs_all(p, w, e);
    case MU_PRE_SPLIT:
    case MU_PRE_WHITESPACE_SPLIT:
    case MU_PRE_PUNCTUATION:
    case MU_PRE_DIGITS:
    case MU_PRE_DELIMITER:
        break;
    }
    return split_all(p, w, e);
}

int mu_tok_pretokenize(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_err *e)
{
    for (int i = 0; i < t->n_pres; i++)
        MU_TRY_RETURN(one_step(&t->pres[i], w, e));
    return MU_OK;
}
