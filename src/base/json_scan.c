/* json_scan.c - see json_scan.h; grammar of RFC 8259 */
#include "base/json_scan.h"

#include "base/check.h"
#include "base/utf8.h"

void mu_scan_begin(struct mu_json_scan *t, struct mu_str text, const char *path, const char *what)
{
    *t = (struct mu_json_scan){
        .text = text,
        .path = path,
        .what = what,
        .unescaped = {MU_BUF_INIT("a string", MU_SCAN_STRING_BYTES_MAX),
                      MU_BUF_INIT("a string", MU_SCAN_STRING_BYTES_MAX)},
    };
}

void mu_scan_fini(struct mu_json_scan *t)
{
    mu_buf_fini(&t->unescaped[0]);
    mu_buf_fini(&t->unescaped[1]);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void skip_space(struct mu_json_scan *t)
{
    while (t->at < t->text.n && is_space(t->text.p[t->at]))
        t->at++;
}

int mu_scan_fail(const struct mu_json_scan *t, const char *want, struct mu_err *e)
{
    if (t->at >= t->text.n)
        return mu_fail(e, MU_EFORMAT, "%s: the %s ends at byte %zu, where %s is needed", t->path, t->what, t->at, want);
    return mu_fail(e, MU_EFORMAT, "%s: byte %zu of the %s is 0x%02x, %s is needed", t->path, t->at, t->what,
                   (unsigned char)t->text.p[t->at], want);
}

bool mu_scan_accept(struct mu_json_scan *t, char c)
{
    skip_space(t);
    if (t->at >= t->text.n || t->text.p[t->at] != c)
        return false;
    t->at++;
    return true;
}

int mu_scan_expect(struct mu_json_scan *t, char c, struct mu_err *e)
{
    const char want[] = {'\'', c, '\'', 0};
    return mu_scan_accept(t, c) ? MU_OK : mu_scan_fail(t, want, e);
}

int mu_scan_end(struct mu_json_scan *t, struct mu_err *e)
{
    skip_space(t);
    return t->at == t->text.n ? MU_OK : mu_scan_fail(t, "its end", e);
}

/* ---- strings ---- */

static bool hex4(const char *p, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d == 16)
            return false;
        *out = *out << 4 | d;
    }
    return true;
}

/* \uXXXX, or two of them for one character; *p is after the u. */
static bool unicode_escape(const char **p, const char *end, uint32_t *cp)
{
    uint32_t low;
    if (end - *p < 4 || !hex4(*p, cp))
        return false;
    *p += 4;
    if (*cp < 0xD800 || *cp > 0xDFFF)
        return true;
    if (*cp > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u' || !hex4(*p + 2, &low) || low < 0xDC00 ||
        low > 0xDFFF)
        return false;
    *p += 6;
    *cp = 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* The characters of *s, whose escapes are resolved into a buffer of ours. */
static int unescape(struct mu_json_scan *t, struct mu_str *s, struct mu_err *e)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    struct mu_buf *out = &t->unescaped[t->turn ^= 1];
    const char *p = s->p, *end = s->p + s->n;
    char utf8[4];
    uint32_t cp;
    mu_buf_clear(out);
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        MU_TRY_RETURN(mu_buf_add(out, p, (size_t)((slash ? slash : end) - p), e));
        if (!slash)
            break;
        char c = slash + 1 < end ? slash[1] : 0;
        const char *at = c ? strchr(letters, c) : NULL;
        p = slash + 2;
        if (at) {
            MU_TRY_RETURN(mu_buf_putc(out, meant[at - letters], e));
        } else if (c == 'u' && unicode_escape(&p, end, &cp)) {
            MU_TRY_RETURN(mu_buf_add(out, utf8, (size_t)mu_utf8_encode(cp, utf8), e));
        } else {
            t->at = (size_t)(slash - t->text.p);
            return mu_scan_fail(t, "a valid escape", e);
        }
    }
    *s = mu_buf_str(out);
    return MU_OK;
}

int mu_scan_string(struct mu_json_scan *t, struct mu_str *out, struct mu_err *e)
{
    bool has_escape = false;
    unsigned char all = 0;
    skip_space(t);
    if (t->at >= t->text.n || t->text.p[t->at] != '"')
        return mu_scan_fail(t, "a string", e);
    size_t from = ++t->at;
    for (;; t->at++) {
        unsigned char c = t->at < t->text.n ? (unsigned char)t->text.p[t->at] : 0;
        if (c == '"')
            break;
        if (c < 0x20)
            return mu_scan_fail(t, "the end of a string", e);
        all |= c;
        if (c == '\\' && t->at + 1 < t->text.n) {
            has_escape = true;
            t->at++;
        }
    }
    *out = (struct mu_str){t->text.p + from, t->at - from};
    t->at++;
    if (all >= 0x80 && mu_utf8_valid_prefix(out->p, out->n) != out->n)
        return mu_fail(e, MU_EFORMAT, "%s: the string at byte %zu of the %s is not UTF-8", t->path, from, t->what);
    return has_escape ? unescape(t, out, e) : MU_OK;
}

/* ---- numbers, and values of no interest ---- */

bool mu_scan_number(struct mu_json_scan *t, uint64_t *out)
{
    skip_space(t);
    size_t from = t->at;
    bool is_whole = true;
    *out = 0;
    for (; t->at < t->text.n && t->text.p[t->at] >= '0' && t->text.p[t->at] <= '9'; t->at++)
        is_whole &= !__builtin_mul_overflow(*out, 10, out) &&
                    !__builtin_add_overflow(*out, (uint64_t)(t->text.p[t->at] - '0'), out);
    size_t n = t->at - from;
    char after = t->at < t->text.n ? t->text.p[t->at] : 0;
    is_whole &= n > 0 && !(n > 1 && t->text.p[from] == '0') && after != '.' && after != 'e' && after != 'E';
    if (!is_whole)
        t->at = from;
    return is_whole;
}

/* To the quote that ends the string, whose first quote is at hand; to the end of the text when there is none. */
static void skip_to_quote(struct mu_json_scan *t)
{
    const char *p = t->text.p;
    size_t at = t->at + 1, n = t->text.n;
    while (at < n && p[at] != '"')
        at += p[at] == '\\' ? 2 : 1;
    t->at = MU_MIN(at, n);
}

int mu_scan_value(struct mu_json_scan *t, struct mu_str *out, struct mu_err *e)
{
    size_t depth = 0;
    skip_space(t);
    size_t from = t->at;
    for (; t->at < t->text.n; t->at++) {
        char c = t->text.p[t->at];
        bool closes = c == '}' || c == ']';
        if (depth == 0 && (closes || c == ',' || is_space(c)))
            break;
        if (c == '"')
            skip_to_quote(t);
        depth += c == '{' || c == '[';
        depth -= closes;
        if (depth == 0 && (closes || c == '"')) {
            t->at++;
            break;
        }
    }
    if (t->at == from || t->at > t->text.n || depth > 0) {
        t->at = MU_MIN(t->at, t->text.n);
        return mu_scan_fail(t, "a value", e);
    }
    *out = (struct mu_str){t->text.p + from, t->at - from};
    return MU_OK;
}
