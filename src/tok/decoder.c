/* decoder.c - ids to text through the steps of a tokenizer.json decoder
 *
 * A step reads a list of token texts and writes the next list; at the end they are put together. Which steps can run
 * token by token, for streams, is decided once by mu_tok_decoder_finish(). */
#include "tok/tok_int.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

#define DECODE_BYTES_MAX ((size_t)4 << 30) /* text of one decode */

/* Token texts on their way: bytes in one buffer, ends in another array. */
struct texts {
    struct mu_buf bytes;
    size_t *ends;
    size_t n, cap;
};

#define TEXTS_INIT                                                                                                     \
    {                                                                                                                  \
        MU_BUF_INIT("decoded text", DECODE_BYTES_MAX), NULL, 0, 0                                                      \
    }

static void texts_fini(struct texts *x)
{
    mu_buf_fini(&x->bytes);
    mu_free(x->ends);
}

/* What was added to x->bytes since the last end is one token text. */
static int texts_end(struct texts *x, struct mu_err *e)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 64;
        size_t *v = mu_realloc(x->ends, cap * sizeof *v);
        if (!v)
            return mu_fail_nomem(e, cap * sizeof *v, "decoded tokens");
        x->ends = v;
        x->cap = cap;
    }
    x->ends[x->n++] = x->bytes.n;
    return MU_OK;
}

static int texts_add(struct texts *x, struct mu_str s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_add(&x->bytes, s.p, s.n, e));
    return texts_end(x, e);
}

static struct mu_str texts_at(const struct texts *x, size_t i)
{
    size_t from = i ? x->ends[i - 1] : 0;
    return (struct mu_str){mu_buf_str(&x->bytes).p + from, x->ends[i] - from};
}

static bool begins(struct mu_str s, struct mu_str with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

/* ---- the steps ---- */

int mu_byte_token(struct mu_str s)
{
    unsigned v = 0;
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        char c = s.p[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                            : 16;
        if (d == 16)
            return -1;
        v = v * 16 + d;
    }
    return (int)v;
}

/* A run of byte tokens: its text when that is UTF-8 as a whole, else U+FFFD for every byte. */
static int bytes_out(struct mu_buf *run, struct texts *out, struct mu_err *e)
{
    if (run->n == 0)
        return MU_OK;
    if (mu_utf8_valid_prefix(run->p, run->n) == run->n) {
        MU_TRY_RETURN(texts_add(out, mu_buf_str(run), e));
    } else {
        for (size_t i = 0; i < run->n; i++)
            MU_TRY_RETURN(texts_add(out, MU_STR("\xEF\xBF\xBD"), e));
    }
    mu_buf_clear(run);
    return MU_OK;
}

static int byte_fallback(const struct texts *in, struct texts *out, struct mu_err *e)
{
    struct mu_buf run = MU_BUF_INIT("decoded bytes", DECODE_BYTES_MAX);
    int rc = MU_OK;
    for (size_t i = 0; i < in->n; i++) {
        int byte = mu_byte_token(texts_at(in, i));
        if (byte >= 0) {
            MU_TRY(mu_buf_putc(&run, (char)byte, e));
            continue;
        }
        MU_TRY(bytes_out(&run, out, e));
        MU_TRY(texts_add(out, texts_at(in, i), e));
    }
    MU_TRY(bytes_out(&run, out, e));
out:
    mu_buf_fini(&run);
    return rc;
}

/* The bytes that a piece in the byte-level alphabet stands for; a piece with another character is its own bytes. */
static int unmap_bytes(struct mu_str s, struct mu_buf *out, struct mu_err *e)
{
    size_t n_before = out->n;
    uint32_t cp;
    for (size_t at = 0; at < s.n;) {
        int len = mu_utf8_decode(s.p + at, s.n - at, &cp);
        int byte = len > 0 ? mu_char_byte(cp) : -1;
        if (byte < 0) {
            out->n = n_before;
            return mu_buf_add(out, s.p, s.n, e);
        }
        MU_TRY_RETURN(mu_buf_putc(out, (char)byte, e));
        at += (size_t)len;
    }
    return MU_OK;
}

static int byte_level(const struct texts *in, struct texts *out, struct mu_err *e)
{
    struct mu_buf all = MU_BUF_INIT("decoded bytes", DECODE_BYTES_MAX);
    int rc = MU_OK;
    for (size_t i = 0; i < in->n; i++)
        MU_TRY(unmap_bytes(texts_at(in, i), &all, e));
    MU_TRY(mu_tok_add_lossy(&out->bytes, mu_buf_str(&all).p, all.n, e));
    MU_TRY(texts_end(out, e));
out:
    mu_buf_fini(&all);
    return rc;
}

static int metaspace(const struct mu_dec *d, struct mu_str s, bool is_first, struct mu_buf *out, struct mu_err *e)
{
    for (size_t at = 0; at < s.n;) {
        if (!begins((struct mu_str){s.p + at, s.n - at}, d->content)) {
            MU_TRY_RETURN(mu_buf_putc(out, s.p[at++], e));
            continue;
        }
        if (!is_first || d->keep_first)
            MU_TRY_RETURN(mu_buf_putc(out, ' ', e));
        at += d->content.n;
    }
    return MU_OK;
}

static int replace_literal(struct mu_buf *text, struct mu_buf *spare, struct mu_str from, struct mu_str to,
                           struct mu_err *e)
{
    const struct mu_tok_pattern p = {from, NULL};
    mu_buf_clear(spare);
    MU_TRY_RETURN(mu_tok_replace(&p, NULL, mu_buf_str(text), to, spare, e));
    struct mu_buf old = *text;
    *text = *spare;
    *spare = old;
    return MU_OK;
}

/* English tidied as WordPiece decoders do: no space before marks and contractions. The published lists differ in one
 * entry: transformers' clean_up_tokenization() lacks " do not". */
static int cleanup(struct mu_buf *text, struct mu_buf *spare, bool with_do_not, struct mu_err *e)
{
    static const char *const pairs[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                           {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < MU_COUNT(pairs); i++)
        if (with_do_not || strcmp(pairs[i][0], " do not") != 0)
            MU_TRY_RETURN(replace_literal(text, spare, mu_str(pairs[i][0]), mu_str(pairs[i][1]), e));
    return MU_OK;
}

/* Work of a token in WordPiece and CTC steps. */
struct token_work {
    struct mu_buf text, spare;
};

static int wordpiece(const struct mu_dec *d, struct mu_str s, bool is_first, struct token_work *w, struct mu_err *e)
{
    mu_buf_clear(&w->text);
    if (!is_first && d->content.n && begins(s, d->content)) {
        s.p += d->content.n;
        s.n -= d->content.n;
    } else if (!is_first && d->content.n) {
        MU_TRY_RETURN(mu_buf_putc(&w->text, ' ', e));
    }
    MU_TRY_RETURN(mu_buf_add(&w->text, s.p, s.n, e));
    return d->cleanup ? cleanup(&w->text, &w->spare, true, e) : MU_OK;
}

static int ctc(const struct mu_dec *d, struct mu_str s, struct token_work *w, struct mu_err *e)
{
    mu_buf_clear(&w->text);
    MU_TRY_RETURN(mu_buf_add(&w->text, s.p, s.n, e));
    MU_TRY_RETURN(replace_literal(&w->text, &w->spare, d->content, MU_STR(""), e));
    if (!d->cleanup)
        return MU_OK;
    MU_TRY_RETURN(cleanup(&w->text, &w->spare, true, e));
    return replace_literal(&w->text, &w->spare, d->delimiter, MU_STR(" "), e);
}

static struct mu_str strip(const struct mu_dec *d, struct mu_str s)
{
    for (int64_t i = 0; i < d->start && s.n > 0 && begins(s, d->content); i++) {
        s.p += d->content.n;
        s.n -= d->content.n;
    }
    for (int64_t i = 0; i < d->stop && s.n >= d->content.n && s.n > 0; i++) {
        if (memcmp(s.p + s.n - d->content.n, d->content.p, d->content.n) != 0)
            break;
        s.n -= d->content.n;
    }
    return s;
}

static int bpe_suffix(const struct mu_dec *d, struct mu_str s, bool is_last, struct mu_buf *out, struct mu_err *e)
{
    const struct mu_tok_pattern p = {d->content, NULL};
    return mu_tok_replace(&p, NULL, s, is_last ? MU_STR("") : MU_STR(" "), out, e);
}

static int token_step(const struct mu_dec *d, const struct texts *in, size_t i, struct texts *out, struct mu_matcher *m,
                      struct token_work *w, struct mu_err *e)
{
    struct mu_str s = texts_at(in, i);
    switch (d->kind) {
    case MU_DEC_METASPACE:
        MU_TRY_RETURN(metaspace(d, s, i == 0, &out->bytes, e));
        return texts_end(out, e);
    case MU_DEC_WORDPIECE:
        MU_TRY_RETURN(wordpiece(d, s, i == 0, w, e));
        return texts_add(out, mu_buf_str(&w->text), e);
    case MU_DEC_CTC:
        if (i > 0 && mu_str_eq(s, texts_at(in, i - 1)))
            return MU_OK;
        MU_TRY_RETURN(ctc(d, s, w, e));
        return w->text.n ? texts_add(out, mu_buf_str(&w->text), e) : MU_OK;
    case MU_DEC_STRIP:
        return texts_add(out, strip(d, s), e);
    case MU_DEC_REPLACE:
        MU_TRY_RETURN(mu_tok_replace(&d->pattern, m, s, d->content, &out->bytes, e));
        return texts_end(out, e);
    case MU_DEC_BPE:
        MU_TRY_RETURN(bpe_suffix(d, s, i + 1 == in->n, &out->bytes, e));
        return texts_end(out, e);
    default:
        return mu_fail(e, MU_EINTERNAL, "decoder step %d is not one of a token", (int)d->kind);
    }
}

static int list_step(const struct mu_dec *d, const struct texts *in, struct texts *out, struct mu_err *e)
{
    struct token_work w = {MU_BUF_INIT("decoded text", DECODE_BYTES_MAX),
                           MU_BUF_INIT("decoded text", DECODE_BYTES_MAX)};
    struct mu_matcher m = MU_MATCHER_INIT;
    int rc = MU_OK;
    if (d->kind == MU_DEC_BYTE_FALLBACK) {
        rc = byte_fallback(in, out, e);
    } else if (d->kind == MU_DEC_BYTE_LEVEL) {
        rc = byte_level(in, out, e);
    } else if (d->kind == MU_DEC_FUSE) {
        rc = texts_add(out, mu_buf_str(&in->bytes), e);
    } else {
        for (size_t i = 0; i < in->n && rc == MU_OK; i++)
            rc = token_step(d, in, i, out, &m, &w, e);
    }
    mu_buf_fini(&w.text);
    mu_buf_fini(&w.spare);
    mu_matcher_fini(&m);
    return rc;
}

/* ---- all of it ---- */

bool mu_tok_is_skipped(const struct mu_tokenizer *t, int32_t id, unsigned flags)
{
    if (!mu_vocab_has(&t->vocab, id))
        return true; /* a model's output may be wider than its vocabulary; such ids read as nothing */
    /* Hugging Face knows special tokens by spelling, and a normalized one is spelled otherwise when decoded: kept. */
    return (flags & MU_TOK_SKIP_SPECIAL) && mu_tokenizer_is_special(t, id) && !mu_vocab_has(&t->shown, id);
}

static int join(const struct mu_tokenizer *t, const struct texts *in, struct mu_buf *out, struct mu_err *e)
{
    for (size_t i = 0; i < in->n; i++) {
        struct mu_str s = texts_at(in, i);
        if (t->decoder.is_none && i > 0)
            MU_TRY_RETURN(mu_buf_putc(out, ' ', e));
        MU_TRY_RETURN(mu_tok_add_lossy(out, s.p, s.n, e));
    }
    return MU_OK;
}

int mu_tok_decode_chain(const struct mu_tokenizer *t, const int32_t *ids, size_t n, unsigned flags, struct mu_buf *out,
                        struct mu_err *e)
{
    struct texts a = TEXTS_INIT, b = TEXTS_INIT;
    struct mu_buf whole = MU_BUF_INIT("decoded text", DECODE_BYTES_MAX),
                  spare = MU_BUF_INIT("decoded text", DECODE_BYTES_MAX);
    int rc = MU_OK;

    for (size_t i = 0; i < n; i++)
        if (!mu_tok_is_skipped(t, ids[i], flags))
            MU_TRY(texts_add(&a, mu_tok_piece(t, ids[i]), e));
    for (int i = 0; i < t->decoder.n; i++) {
        mu_buf_clear(&b.bytes);
        b.n = 0;
        MU_TRY(list_step(&t->decoder.v[i], &a, &b, e));
        struct texts old = a;
        a = b;
        b = old;
    }
    if (!t->decoder.has_cleanup) {
        MU_TRY(join(t, &a, out, e));
        goto out;
    }
    MU_TRY(join(t, &a, &whole, e));
    MU_TRY(cleanup(&whole, &spare, false, e));
    MU_TRY(mu_buf_add(out, mu_buf_str(&whole).p, whole.n, e));
out:
    texts_fini(&a);
    texts_fini(&b);
    mu_buf_fini(&whole);
    mu_buf_fini(&spare);
    return rc;
}

/* ---- streams ---- */

/* Literal replacements, byte tokens, one leading space: text that a token yields on its own. */
static bool goes_by_pieces(const struct mu_decoder *d)
{
    bool fused = false, has_strip = false, has_bytes = false;
    for (int i = 0; i < d->n; i++) {
        const struct mu_dec *s = &d->v[i];
        if (s->kind == MU_DEC_REPLACE && !fused && !s->pattern.regex)
            continue;
        if (s->kind == MU_DEC_METASPACE && !fused)
            continue;
        if (s->kind == MU_DEC_BYTE_FALLBACK && !fused && !has_bytes) {
            has_bytes = true;
            continue;
        }
        if (s->kind == MU_DEC_FUSE && !fused) {
            fused = true;
            continue;
        }
        if (s->kind == MU_DEC_STRIP && fused && !has_strip && s->start == 1 && s->stop == 0) {
            has_strip = true;
            continue;
        }
        return false;
    }
    return d->n > 0;
}

void mu_tok_decoder_finish(struct mu_tokenizer *t)
{
    struct mu_decoder *d = &t->decoder;
    if (d->is_raw || (d->n == 1 && d->v[0].kind == MU_DEC_BYTE_LEVEL))
        d->stream = MU_STREAM_BYTES;
    else
        d->stream = goes_by_pieces(d) ? MU_STREAM_PIECES : MU_STREAM_WINDOW;
    if (d->has_cleanup)
        d->stream = MU_STREAM_WINDOW;
    if (d->is_raw || d->stream != MU_STREAM_BYTES)
        return;
    d->raw_mapped = true;
}
