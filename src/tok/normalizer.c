/* normalizer.c - the steps that rewrite text before it is cut: each reads all of one buffer and writes the other
 *
 * Rules are Hugging Face tokenizers'. Precompiled charsmaps: charsmap.c; SentencePiece's own: spm_normalizer.c. */
#include "tok/tok_int.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

static int put(struct mu_buf *out, uint32_t cp, struct mu_err *e)
{
    char p[4];
    return mu_buf_add(out, p, (size_t)mu_utf8_encode(cp, p), e);
}

/* Next character of valid text. */
static uint32_t next_char(struct mu_str in, size_t *at)
{
    uint32_t cp = MU_UTF8_REPLACEMENT;
    int len = mu_utf8_decode(in.p + *at, in.n - *at, &cp);
    *at += len > 0 ? (size_t)len : 1;
    return cp;
}

static bool is_ascii(struct mu_str s)
{
    unsigned char all = 0;
    for (size_t i = 0; i < s.n; i++)
        all |= (unsigned char)s.p[i];
    return all < 0x80;
}

/* ---- Unicode normal forms ---- */

static int normal_form(struct mu_str in, utf8proc_option_t options, struct mu_buf *out, struct mu_err *e)
{
    if (is_ascii(in))
        return mu_buf_add(out, in.p, in.n, e);
    utf8proc_uint8_t *p = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)in.p, (utf8proc_ssize_t)in.n, &p, options | UTF8PROC_STABLE);
    if (n < 0)
        return n == UTF8PROC_ERROR_NOMEM
                   ? mu_fail_nomem(e, in.n, "a Unicode normal form")
                   : mu_fail(e, MU_EINVAL, "the text has no Unicode normal form: %s", utf8proc_errmsg(n));
    int rc = mu_buf_add(out, p, (size_t)n, e);
    free(p); /* utf8proc's own heap */
    return rc;
}

/* ---- steps that look at one character at a time ---- */

static int lower(struct mu_buf *out, uint32_t cp, struct mu_err *e)
{
    if (cp < 0x80)
        return mu_buf_putc(out, (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp), e);
    if (cp == 0x130) { /* the one character whose lower case is two */
        MU_TRY_RETURN(put(out, 'i', e));
        return put(out, 0x307, e);
    }
    return put(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp), e);
}

static int lowercase(struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    for (size_t at = 0; at < in.n;)
        MU_TRY_RETURN(lower(out, next_char(in, &at), e));
    return MU_OK;
}

static bool is_mark(uint32_t cp, bool only_nonspacing)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_MN || (!only_nonspacing && (c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME));
}

static int strip_marks(struct mu_str in, bool only_nonspacing, struct mu_buf *out, struct mu_err *e)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t cp = next_char(in, &at);
        if (cp < 0x80 || !is_mark(cp, only_nonspacing))
            MU_TRY_RETURN(put(out, cp, e));
    }
    return MU_OK;
}

static int strip(const struct mu_norm *s, struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    size_t begin = 0, end = in.n;
    for (size_t at = 0; s->left && at < in.n && mu_char_is_space(next_char(in, &at));)
        begin = at;
    while (s->right && end > begin) {
        size_t at = end - 1;
        while (at > begin && ((unsigned char)in.p[at] & 0xC0) == 0x80)
            at--;
        size_t from = at;
        if (!mu_char_is_space(next_char(in, &at)))
            break;
        end = from;
    }
    return mu_buf_add(out, in.p + begin, end - begin, e);
}

/* SentencePiece's nmt rules for controls and odd spaces. */
static int nmt(struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t cp = next_char(in, &at);
        if ((cp >= 1 && cp <= 8) || cp == 0xB || (cp >= 0xE && cp <= 0x1F) || cp == 0x7F || cp == 0x8F || cp == 0x9F)
            continue;
        if (cp == 9 || cp == 0xA || cp == 0xC || cp == 0xD || cp == 0x1680 || (cp >= 0x200B && cp <= 0x200F) ||
            cp == 0x2028 || cp == 0x2029 || cp == 0x2581 || cp == 0xFEFF || cp == 0xFFFD)
            cp = ' ';
        MU_TRY_RETURN(put(out, cp, e));
    }
    return MU_OK;
}

static int byte_level(struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    char p[4];
    for (size_t i = 0; i < in.n; i++)
        MU_TRY_RETURN(mu_buf_add(out, p, (size_t)mu_byte_char((unsigned char)in.p[i], p), e));
    return MU_OK;
}

/* ---- BERT ---- */

static bool is_chinese(uint32_t cp)
{
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) || (cp >= 0x20000 && cp <= 0x2A6DF) ||
           (cp >= 0x2A700 && cp <= 0x2B73F) || (cp >= 0x2B740 && cp <= 0x2B81F) || (cp >= 0x2B920 && cp <= 0x2CEAF) ||
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

static bool is_control(uint32_t cp)
{
    if (cp == '\t' || cp == '\n' || cp == '\r')
        return false;
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CO;
}

static int bert_clean(struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t cp = next_char(in, &at);
        if (cp == 0 || cp == MU_UTF8_REPLACEMENT || is_control(cp))
            continue;
        MU_TRY_RETURN(put(out, mu_char_is_space(cp) ? ' ' : cp, e));
    }
    return MU_OK;
}

static int bert_chinese(struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t cp = next_char(in, &at);
        bool is_cjk = is_chinese(cp);
        if (is_cjk)
            MU_TRY_RETURN(put(out, ' ', e));
        MU_TRY_RETURN(put(out, cp, e));
        if (is_cjk)
            MU_TRY_RETURN(put(out, ' ', e));
    }
    return MU_OK;
}

/* in the text, spare the scratch: after each part the result is swapped back into text. */
static void swap(struct mu_buf *a, struct mu_buf *b)
{
    struct mu_buf t = *a;
    *a = *b;
    *b = t;
    mu_buf_clear(b);
}

static int bert(const struct mu_norm *s, struct mu_buf *text, struct mu_buf *spare, struct mu_err *e)
{
    if (s->clean_text) {
        MU_TRY_RETURN(bert_clean(mu_buf_str(text), spare, e));
        swap(text, spare);
    }
    if (s->chinese_chars) {
        MU_TRY_RETURN(bert_chinese(mu_buf_str(text), spare, e));
        swap(text, spare);
    }
    if (s->strip_accents) {
        MU_TRY_RETURN(normal_form(mu_buf_str(text), UTF8PROC_DECOMPOSE, spare, e));
        swap(text, spare);
        MU_TRY_RETURN(strip_marks(mu_buf_str(text), true, spare, e));
        swap(text, spare);
    }
    if (s->lowercase) {
        MU_TRY_RETURN(lowercase(mu_buf_str(text), spare, e));
        swap(text, spare);
    }
    return MU_OK;
}

/* ---- all steps ---- */

static int affix(const struct mu_norm *s, struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    bool is_first = s->kind == MU_NORM_PREPEND;
    if (in.n && is_first)
        MU_TRY_RETURN(mu_buf_add(out, s->content.p, s->content.n, e));
    MU_TRY_RETURN(mu_buf_add(out, in.p, in.n, e));
    return in.n && !is_first ? mu_buf_add(out, s->content.p, s->content.n, e) : MU_OK;
}

static int one_step(const struct mu_norm *s, struct mu_matcher *m, struct mu_str in, struct mu_buf *out,
                    struct mu_err *e)
{
    switch (s->kind) {
    case MU_NORM_NFC:
        return normal_form(in, UTF8PROC_COMPOSE, out, e);
    case MU_NORM_NFD:
        return normal_form(in, UTF8PROC_DECOMPOSE, out, e);
    case MU_NORM_NFKC:
        return normal_form(in, UTF8PROC_COMPOSE | UTF8PROC_COMPAT, out, e);
    case MU_NORM_NFKD:
        return normal_form(in, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, out, e);
    case MU_NORM_LOWERCASE:
        return lowercase(in, out, e);
    case MU_NORM_STRIP:
        return strip(s, in, out, e);
    case MU_NORM_STRIP_ACCENTS:
        return strip_marks(in, false, out, e);
    case MU_NORM_REPLACE:
        return mu_tok_replace(&s->pattern, m, in, s->content, out, e);
    case MU_NORM_PREPEND:
    case MU_NORM_APPEND:
        return affix(s, in, out, e);
    case MU_NORM_PRECOMPILED:
        return mu_tok_norm_precompiled(s->map, in, out, e);
    case MU_NORM_NMT:
        return nmt(in, out, e);
    case MU_NORM_BYTE_LEVEL:
        return byte_level(in, out, e);
    case MU_NORM_SENTENCEPIECE:
        return mu_tok_norm_sentencepiece(s, in, out, e);
    case MU_NORM_BERT:
        break; /* several steps: bert() */
    }
    return mu_fail(e, MU_EINTERNAL, "normalizer step %d is not a single one", (int)s->kind);
}

/* Whether a step took characters from the front: only these can. */
static bool loses_front(const struct mu_norm *s, struct mu_str in, struct mu_matcher *m)
{
    size_t at = 0, begin = 1, end;
    bool found = false;
    if (in.n == 0)
        return false;
    uint32_t cp = next_char(in, &at);
    switch (s->kind) {
    case MU_NORM_STRIP:
        return s->left && mu_char_is_space(cp);
    case MU_NORM_STRIP_ACCENTS:
        return is_mark(cp, false);
    case MU_NORM_BERT:
        return (s->clean_text && (cp == 0 || cp == MU_UTF8_REPLACEMENT || is_control(cp))) ||
               (s->strip_accents && is_mark(cp, true));
    case MU_NORM_NMT:
        return cp != 0 && cp < 0xA0 && mu_char_is_space(cp) == false && is_control(cp);
    case MU_NORM_REPLACE:
        if (s->content.n > 0)
            return false;
        if (mu_tok_pattern_find(&s->pattern, m, in.p, in.n, 0, &found, &begin, &end, NULL) != MU_OK)
            return false;
        return found && begin == 0 && end > 0;
    default:
        return false;
    }
}

int mu_tok_normalize(const struct mu_tokenizer *t, struct mu_matcher *m, struct mu_buf *text, struct mu_buf *spare,
                     bool *front_lost, struct mu_err *e)
{
    *front_lost = false;
    for (int i = 0; i < t->n_norms; i++) {
        const struct mu_norm *s = &t->norms[i];
        *front_lost |= loses_front(s, mu_buf_str(text), m);
        mu_buf_clear(spare);
        if (s->kind == MU_NORM_BERT) {
            MU_TRY_RETURN(bert(s, text, spare, e));
            continue;
        }
        MU_TRY_RETURN(one_step(s, m, mu_buf_str(text), spare, e));
        swap(text, spare);
    }
    return MU_OK;
}
