/* case.c - str.lower(), str.capitalize() and the like as CPython 3.11 does them, context and growing letters included
 */
#include "eval/docs/docs_int.h"

#include <utf8proc.h>

#include "base/check.h"
#include "base/utf8.h"
#include "eval/py/case.h"
#include "tok/jinja/text.h"

/* Letters whose title case is more than one character (Unicode's SpecialCasing.txt, in order of code point). */
static const struct {
    uint32_t cp;
    const char *title;
} grown[] = {{0x00DF, "Ss"},
             {0x0149, "\xCA\xBCN"},
             {0x01F0, "J\xCC\x8C"},
             {0x0390, "\xCE\x99\xCC\x88\xCC\x81"},
             {0x03B0, "\xCE\xA5\xCC\x88\xCC\x81"},
             {0x0587, "\xD4\xB5\xD6\x82"},
             {0x1E96, "H\xCC\xB1"},
             {0x1E97, "T\xCC\x88"},
             {0x1E98, "W\xCC\x8A"},
             {0x1E99, "Y\xCC\x8A"},
             {0x1E9A, "A\xCA\xBE"},
             {0x1F50, "\xCE\xA5\xCC\x93"},
             {0x1F52, "\xCE\xA5\xCC\x93\xCC\x80"},
             {0x1F54, "\xCE\xA5\xCC\x93\xCC\x81"},
             {0x1F56, "\xCE\xA5\xCC\x93\xCD\x82"},
             {0x1FB2, "\xE1\xBE\xBA\xCD\x85"},
             {0x1FB4, "\xCE\x86\xCD\x85"},
             {0x1FB6, "\xCE\x91\xCD\x82"},
             {0x1FB7, "\xCE\x91\xCD\x82\xCD\x85"},
             {0x1FC2, "\xE1\xBF\x8A\xCD\x85"},
             {0x1FC4, "\xCE\x89\xCD\x85"},
             {0x1FC6, "\xCE\x97\xCD\x82"},
             {0x1FC7, "\xCE\x97\xCD\x82\xCD\x85"},
             {0x1FD2, "\xCE\x99\xCC\x88\xCC\x80"},
             {0x1FD3, "\xCE\x99\xCC\x88\xCC\x81"},
             {0x1FD6, "\xCE\x99\xCD\x82"},
             {0x1FD7, "\xCE\x99\xCC\x88\xCD\x82"},
             {0x1FE2, "\xCE\xA5\xCC\x88\xCC\x80"},
             {0x1FE3, "\xCE\xA5\xCC\x88\xCC\x81"},
             {0x1FE4, "\xCE\xA1\xCC\x93"},
             {0x1FE6, "\xCE\xA5\xCD\x82"},
             {0x1FE7, "\xCE\xA5\xCC\x88\xCD\x82"},
             {0x1FF2, "\xE1\xBF\xBA\xCD\x85"},
             {0x1FF4, "\xCE\x8F\xCD\x85"},
             {0x1FF6, "\xCE\xA9\xCD\x82"},
             {0x1FF7, "\xCE\xA9\xCD\x82\xCD\x85"},
             {0xFB00, "Ff"},
             {0xFB01, "Fi"},
             {0xFB02, "Fl"},
             {0xFB03, "Ffi"},
             {0xFB04, "Ffl"},
             {0xFB05, "St"},
             {0xFB06, "St"},
             {0xFB13, "\xD5\x84\xD5\xB6"},
             {0xFB14, "\xD5\x84\xD5\xA5"},
             {0xFB15, "\xD5\x84\xD5\xAB"},
             {0xFB16, "\xD5\x8E\xD5\xB6"},
             {0xFB17, "\xD5\x84\xD5\xAD"}};

static int add_cp(struct mu_buf *b, uint32_t cp, struct mu_err *e)
{
    char p[4];
    return mu_buf_add(b, p, (size_t)mu_utf8_encode(cp, p), e);
}

static int add_title(struct mu_buf *b, uint32_t cp, struct mu_err *e)
{
    for (size_t i = 0; i < MU_COUNT(grown); i++)
        if (grown[i].cp == cp)
            return mu_buf_puts(b, grown[i].title, e);
    return add_cp(b, (uint32_t)utf8proc_totitle((utf8proc_int32_t)cp), e);
}

int mu_doc_capitalize(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    struct mu_buf lower = MU_BUF_INIT("a text in small letters", 3 * MU_DOC_TEXT_MAX);
    size_t len, skip;
    int rc = MU_OK;
    if (s.n == 0)
        return MU_OK;
    /* The whole text, since a sigma looks at its neighbours, without what the first letter became. */
    uint32_t first = mu_t_at(s, 0, &len);
    MU_TRY(mu_py_lower(&lower, mu_t_sub(s, 0, len), e));
    skip = lower.n;
    mu_buf_clear(&lower);
    MU_TRY(mu_py_lower(&lower, s, e));
    MU_TRY(add_title(out, first, e));
    rc = mu_buf_add(out, lower.p + skip, lower.n - skip, e);
out:
    mu_buf_fini(&lower);
    return rc;
}

int mu_doc_set(struct mu_buf *b, struct mu_str s, struct mu_err *e)
{
    mu_buf_clear(b);
    return mu_buf_add(b, s.p, s.n, e);
}

int mu_doc_replace(struct mu_buf *b, const char *old, const char *with, struct mu_err *e)
{
    struct mu_str s = mu_buf_str(b), part = mu_str(old);
    size_t from = 0, at = mu_t_find(s, part, 0);
    if (at == SIZE_MAX)
        return MU_OK;

    int rc = MU_OK;
    struct mu_buf out = MU_BUF_INIT(b->what, b->max);
    for (; at != SIZE_MAX; at = mu_t_find(s, part, from)) {
        MU_TRY(mu_buf_add(&out, s.p + from, at - from, e));
        MU_TRY(mu_buf_puts(&out, with, e));
        from = at + part.n;
    }
    MU_TRY(mu_buf_add(&out, s.p + from, s.n - from, e));
    mu_buf_fini(b);
    *b = out;
    return MU_OK;
out:
    mu_buf_fini(&out);
    return rc;
}

struct mu_str mu_doc_strip(struct mu_str s)
{
    struct mu_str white = {NULL, 0};
    return mu_t_rstrip(mu_t_lstrip(s, white), white);
}

bool mu_doc_next_word(struct mu_str s, size_t *at, struct mu_str *word)
{
    size_t len = 0, i = *at;
    while (i < s.n && mu_t_is_space(mu_t_at(s, i, &len)))
        i += len;
    size_t from = i;
    while (i < s.n && !mu_t_is_space(mu_t_at(s, i, &len)))
        i += len;
    *word = mu_t_sub(s, from, i);
    *at = i;
    return i > from;
}
