/* stream.c - decoding one token at a time
 *
 * Three ways, chosen at open from the decoder's steps:
 *  - bytes: a token is bytes; whole characters go out, the rest waits (byte-level BPE, tiktoken, SentencePiece, GGUF)
 *  - pieces: a token is text, or one byte of a character (Llama-2's decoder sequence)
 *  - window: the last tokens are decoded together, with and without the new one, and the difference goes out
 *
 * Decoders of the first kind decode whole texts through a stream too, so the two cannot differ. */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

_Static_assert(sizeof(struct mu_tok_stream) <= 256, "the engine keeps streams in 256 bytes");

void mu_tok_stream_begin(struct mu_tok_stream *s, const mu_tokenizer *t, unsigned flags)
{
    *s = (struct mu_tok_stream){.t = t, .flags = flags};
}

/* ---- bytes that may be part of a character ---- */

/* The waiting bytes can become no character: U+FFFD, for each maximal subpart or (by_byte) each byte. */
static int give_up(struct mu_tok_stream *s, bool by_byte, struct mu_buf *out, struct mu_err *e)
{
    while (s->n_bytes > 0) {
        size_t bad = by_byte ? 1 : mu_utf8_invalid_run((char *)s->bytes, (size_t)s->n_bytes);
        MU_TRY_RETURN(mu_buf_puts(out, REPLACEMENT, e));
        s->n_bytes -= (int)bad;
        memmove(s->bytes, s->bytes + bad, (size_t)s->n_bytes);
    }
    return MU_OK;
}

/* One byte more: what is complete goes out, what cannot be completed becomes U+FFFD. */
static int add_byte(struct mu_tok_stream *s, unsigned char byte, bool by_byte, struct mu_buf *out, struct mu_err *e)
{
    s->bytes[s->n_bytes++] = byte;
    while (s->n_bytes > 0) {
        const char *p = (const char *)s->bytes;
        uint32_t cp;
        int len = mu_utf8_decode(p, (size_t)s->n_bytes, &cp);
        size_t used = (size_t)len;
        if (len > 0) {
            MU_TRY_RETURN(mu_buf_add(out, p, used, e));
        } else if (mu_utf8_is_incomplete(p, (size_t)s->n_bytes)) {
            return MU_OK;
        } else {
            used = by_byte ? 1 : mu_utf8_invalid_run(p, (size_t)s->n_bytes);
            MU_TRY_RETURN(mu_buf_puts(out, REPLACEMENT, e));
        }
        s->n_bytes -= (int)used;
        memmove(s->bytes, s->bytes + used, (size_t)s->n_bytes);
    }
    return MU_OK;
}

static int add_bytes(struct mu_tok_stream *s, const char *p, size_t n, bool by_byte, struct mu_buf *out,
                     struct mu_err *e)
{
    size_t i = 0;
    for (; i < n && s->n_bytes > 0; i++)
        MU_TRY_RETURN(add_byte(s, (unsigned char)p[i], by_byte, out, e));
    size_t good = mu_utf8_valid_prefix(p + i, n - i);
    MU_TRY_RETURN(mu_buf_add(out, p + i, good, e));
    for (i += good; i < n; i++)
        MU_TRY_RETURN(add_byte(s, (unsigned char)p[i], by_byte, out, e));
    return MU_OK;
}

/* ---- tokens as bytes ---- */

static int add_mapped(struct mu_tok_stream *s, struct mu_str piece, struct mu_buf *out, struct mu_err *e)
{
    uint32_t cp;
    bool is_mapped = true;
    for (size_t at = 0; at < piece.n && is_mapped;) {
        int len = mu_utf8_decode(piece.p + at, piece.n - at, &cp);
        is_mapped = len > 0 && mu_char_byte(cp) >= 0;
        at += (size_t)len;
    }
    if (!is_mapped)
        return add_bytes(s, piece.p, piece.n, false, out, e);
    for (size_t at = 0; at < piece.n;) {
        at += (size_t)mu_utf8_decode(piece.p + at, piece.n - at, &cp);
        MU_TRY_RETURN(add_byte(s, (unsigned char)mu_char_byte(cp), false, out, e));
    }
    return MU_OK;
}

/* A SentencePiece token: U+2581 is a space, and the first one goes. */
static int add_spaced(struct mu_tok_stream *s, struct mu_str piece, struct mu_buf *out, struct mu_err *e)
{
    const struct mu_decoder *d = &s->t->decoder;
    size_t from = 0;
    if (d->raw_strip && !s->has_begun && piece.n >= 3 && memcmp(piece.p, MU_SPACE_MARK, 3) == 0) {
        from = 3;
        s->has_begun = !d->raw_strip_all;
    }
    s->has_begun |= piece.n > from;
    for (size_t at = from; at < piece.n;) {
        const char *mark = memmem(piece.p + at, piece.n - at, MU_SPACE_MARK, 3);
        size_t end = mark ? (size_t)(mark - piece.p) : piece.n;
        MU_TRY_RETURN(add_bytes(s, piece.p + at, end - at, true, out, e));
        if (mark)
            MU_TRY_RETURN(add_bytes(s, " ", 1, true, out, e));
        at = mark ? end + 3 : end;
    }
    return MU_OK;
}

static int add_raw(struct mu_tok_stream *s, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    const struct mu_tokenizer *t = s->t;
    const struct mu_decoder *d = &t->decoder;
    struct mu_str piece = mu_tok_piece(t, id);
    if (d->unk_text.n && id == t->unk)
        piece = d->unk_text;
    enum mu_raw_kind kind = t->raw_kinds ? t->raw_kinds[id] : MU_RAW_TEXT;
    if (kind == MU_RAW_BYTE) {
        s->has_begun = true;
        return add_byte(s, (unsigned char)mu_byte_token(piece), true, out, e);
    }
    if (kind == MU_RAW_LITERAL && !d->raw_spaces)
        return add_bytes(s, piece.p, piece.n, false, out, e);
    if (d->raw_mapped)
        return add_mapped(s, piece, out, e);
    if (d->raw_spaces)
        return add_spaced(s, piece, out, e);
    return add_bytes(s, piece.p, piece.n, false, out, e);
}

/* ---- tokens as pieces ---- */

/* The steps of the decoder over one token; text and spare are the caller's scratch. */
static int piece_text(const struct mu_tok_stream *s, struct mu_str piece, struct mu_buf *text, struct mu_buf *spare,
                      int *byte, struct mu_err *e)
{
    const struct mu_decoder *d = &s->t->decoder;
    MU_TRY_RETURN(mu_buf_add(text, piece.p, piece.n, e));
    *byte = -1;
    for (int i = 0; i < d->n && *byte < 0; i++) {
        const struct mu_dec *step = &d->v[i];
        if (step->kind == MU_DEC_BYTE_FALLBACK)
            *byte = mu_byte_token(mu_buf_str(text));
        if (step->kind != MU_DEC_REPLACE && step->kind != MU_DEC_METASPACE)
            continue;
        struct mu_tok_pattern mark = {step->content, NULL};
        bool drops = step->kind == MU_DEC_METASPACE && !s->has_begun && !step->keep_first;
        mu_buf_clear(spare);
        if (step->kind == MU_DEC_REPLACE)
            MU_TRY_RETURN(mu_tok_replace(&step->pattern, NULL, mu_buf_str(text), step->content, spare, e));
        else
            MU_TRY_RETURN(mu_tok_replace(&mark, NULL, mu_buf_str(text), drops ? MU_STR("") : MU_STR(" "), spare, e));
        struct mu_buf old = *text;
        *text = *spare;
        *spare = old;
    }
    return MU_OK;
}

static const struct mu_dec *last_strip(const struct mu_decoder *d)
{
    return d->n > 0 && d->v[d->n - 1].kind == MU_DEC_STRIP ? &d->v[d->n - 1] : NULL;
}

static int add_piece(struct mu_tok_stream *s, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a token", MU_TOK_PIECE_BYTES_MAX * 8),
                  spare = MU_BUF_INIT("a token", MU_TOK_PIECE_BYTES_MAX * 8);
    const struct mu_dec *strip = last_strip(&s->t->decoder);
    size_t n_before = out->n;
    int byte = -1, rc = MU_OK;

    MU_TRY(piece_text(s, mu_tok_piece(s->t, id), &text, &spare, &byte, e));
    if (byte >= 0) {
        MU_TRY(add_byte(s, (unsigned char)byte, true, out, e));
    } else {
        MU_TRY(give_up(s, true, out, e));
        MU_TRY(mu_tok_add_lossy(out, mu_buf_str(&text).p, text.n, e));
    }
    if (strip && !s->has_begun && out->n - n_before >= strip->content.n &&
        memcmp(out->p + n_before, strip->content.p, strip->content.n) == 0) {
        out->n -= strip->content.n;
        memmove(out->p + n_before, out->p + n_before + strip->content.n, out->n - n_before + 1);
        s->has_begun = true;
    }
    s->has_begun |= !strip || out->n > n_before;
out:
    mu_buf_fini(&text);
    mu_buf_fini(&spare);
    return rc;
}

/* ---- tokens with their neighbours ---- */

static bool ends_open(struct mu_str s)
{
    return s.n >= 3 && memcmp(s.p + s.n - 3, REPLACEMENT, 3) == 0;
}

/* ids[0..n_shown) have been shown, as part of the text of what came before. Give out what the others add. */
static int window_out(struct mu_tok_stream *s, bool is_last, struct mu_buf *out, struct mu_err *e)
{
    struct mu_buf shown = MU_BUF_INIT("decoded text", MU_TOK_PIECE_BYTES_MAX * 64),
                  all = MU_BUF_INIT("decoded text", MU_TOK_PIECE_BYTES_MAX * 64);
    int rc = MU_OK;

    MU_TRY(mu_tok_decode_chain(s->t, s->ids, (size_t)s->n_shown, s->flags, &shown, e));
    MU_TRY(mu_tok_decode_chain(s->t, s->ids, (size_t)s->n_ids, s->flags, &all, e));
    bool must = is_last || s->n_ids == MU_TOK_STREAM_IDS;
    if (!must && (all.n <= shown.n || ends_open(mu_buf_str(&all))))
        goto out;
    if (all.n > shown.n)
        MU_TRY(mu_buf_add(out, all.p + shown.n, all.n - shown.n, e));
    memmove(s->ids, s->ids + s->n_shown, (size_t)(s->n_ids - s->n_shown) * sizeof *s->ids);
    s->n_ids -= s->n_shown;
    s->n_shown = s->n_ids;
    if (s->n_ids == MU_TOK_STREAM_IDS) { /* all new: keep the last as context */
        s->ids[0] = s->ids[s->n_ids - 1];
        s->n_ids = s->n_shown = 1;
    }
out:
    mu_buf_fini(&shown);
    mu_buf_fini(&all);
    return rc;
}

/* ---- the face ---- */

static int check_id(int32_t id, struct mu_err *e)
{
    if (id < 0 || id >= MU_TOK_VOCAB_MAX)
        return mu_fail(e, MU_EINVAL, "token id %d is outside 0..%d", id, MU_TOK_VOCAB_MAX - 1);
    return MU_OK;
}

int mu_tok_stream_add(struct mu_tok_stream *s, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(check_id(id, e));
    if (mu_tok_is_skipped(s->t, id, s->flags))
        return MU_OK;
    if (s->t->decoder.stream == MU_STREAM_BYTES)
        return add_raw(s, id, out, e);
    if (s->t->decoder.stream == MU_STREAM_PIECES)
        return add_piece(s, id, out, e);
    s->ids[s->n_ids++] = id;
    return window_out(s, false, out, e);
}

int mu_tok_stream_end(struct mu_tok_stream *s, struct mu_buf *out, struct mu_err *e)
{
    if (s->t->decoder.stream == MU_STREAM_WINDOW)
        return s->n_ids > s->n_shown ? window_out(s, true, out, e) : MU_OK;
    return give_up(s, s->t->decoder.raw_spaces || s->t->decoder.stream == MU_STREAM_PIECES, out, e);
}

int mu_tokenizer_decode(const mu_tokenizer *t, const int32_t *ids, size_t n, unsigned flags, struct mu_buf *out,
                        struct mu_err *e)
{
    for (size_t i = 0; i < n; i++)
        MU_TRY_RETURN(check_id(ids[i], e));
    if (t->decoder.stream != MU_STREAM_BYTES)
        return mu_tok_decode_chain(t, ids, n, flags, out, e);
    struct mu_tok_stream s;
    mu_tok_stream_begin(&s, t, flags);
    for (size_t i = 0; i < n; i++)
        MU_TRY_RETURN(mu_tok_stream_add(&s, ids[i], out, e));
    return mu_tok_stream_end(&s, out, e);
}

int mu_tokenizer_token_bytes(const mu_tokenizer *t, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    if (!mu_vocab_has(&t->vocab, id))
        return mu_fail(e, MU_EINVAL, "there is no token %d", id);
    struct mu_str piece = mu_tok_piece(t, id);
    const struct mu_decoder *d = &t->decoder;
    enum mu_raw_kind kind = t->raw_kinds ? t->raw_kinds[id] : MU_RAW_TEXT;
    uint32_t cp;
    bool is_mapped = d->raw_mapped && kind == MU_RAW_TEXT;
    for (size_t at = 0; is_mapped && at < piece.n;) {
        int len = mu_utf8_decode(piece.p + at, piece.n - at, &cp);
        is_mapped = len > 0 && mu_char_byte(cp) >= 0;
        at += (size_t)len;
    }
    for (size_t at = 0; is_mapped && at < piece.n;) {
        at += (size_t)mu_utf8_decode(piece.p + at, piece.n - at, &cp);
        MU_TRY_RETURN(mu_buf_putc(out, (char)mu_char_byte(cp), e));
    }
    if (is_mapped)
        return MU_OK;
    if (d->is_raw ? kind == MU_RAW_BYTE : d->stream == MU_STREAM_PIECES && mu_byte_token(piece) >= 0)
        return mu_buf_putc(out, (char)mu_byte_token(piece), e);
    if (d->is_raw && !d->raw_spaces)
        return mu_buf_add(out, piece.p, piece.n, e);
    const struct mu_tok_pattern mark = {MU_STR(MU_SPACE_MARK), NULL};
    return mu_tok_replace(&mark, NULL, piece, MU_STR(" "), out, e);
}
