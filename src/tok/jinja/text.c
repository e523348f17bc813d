/* text.c - characters by utf8proc's tables, where Python's definitions are said in categories */
#include "tok/jinja/text.h"

#include <utf8proc.h>

#include "base/utf8.h"

bool mu_t_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32);
    return cp == 0x85 || utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_ZS || cp == 0x2028 ||
           cp == 0x2029;
}

bool mu_t_is_printable(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return cp == ' ';
    default:
        return true;
    }
}

bool mu_t_is_alpha(uint32_t cp)
{
    int c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool mu_t_is_decimal(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_ND;
}

bool mu_t_is_digit(uint32_t cp)
{
    bool is_raised = cp == 0xB2 || cp == 0xB3 || cp == 0xB9 || cp == 0x2070 || (cp >= 0x2074 && cp <= 0x2079) ||
                     (cp >= 0x2080 && cp <= 0x2089);
    bool is_ringed = (cp >= 0x2460 && cp <= 0x2468) || (cp >= 0x2474 && cp <= 0x247C) ||
                     (cp >= 0x2488 && cp <= 0x2490) || cp == 0x24EA;
    return mu_t_is_decimal(cp) || is_raised || is_ringed;
}

bool mu_t_is_numeric(uint32_t cp)
{
    int c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool mu_t_is_word(uint32_t cp)
{
    return cp == '_' || mu_t_is_alpha(cp) || mu_t_is_numeric(cp);
}

bool mu_t_is_lower(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_LL;
}

bool mu_t_is_upper(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_LU;
}

uint32_t mu_t_at(struct mu_str s, size_t at, size_t *len)
{
    uint32_t cp = MU_UTF8_REPLACEMENT;
    int n = mu_utf8_decode(s.p + at, s.n - at, &cp);
    *len = n > 0 ? (size_t)n : 1;
    return cp;
}

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t mu_t_before(struct mu_str s, size_t at)
{
    do
        at--;
    while (at > 0 && is_tail(s.p[at]));
    return at;
}

size_t mu_t_chars(struct mu_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += !is_tail(s.p[i]);
    return n;
}

size_t mu_t_byte_of(struct mu_str s, size_t chars)
{
    size_t i = 0;
    for (; i < s.n; i++) {
        if (is_tail(s.p[i]))
            continue;
        if (chars == 0)
            break;
        chars--;
    }
    return i;
}

struct mu_str mu_t_sub(struct mu_str s, size_t from, size_t to)
{
    return (struct mu_str){s.p + from, to - from};
}

size_t mu_t_find(struct mu_str s, struct mu_str part, size_t from)
{
    if (from > s.n || part.n > s.n - from)
        return SIZE_MAX;
    if (part.n == 0)
        return from;
    const char *p = memmem(s.p + from, s.n - from, part.p, part.n);
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

size_t mu_t_rfind(struct mu_str s, struct mu_str part, size_t below)
{
    if (part.n > below)
        return SIZE_MAX;
    for (size_t at = below - part.n + 1; at-- > 0;)
        if (part.n == 0 || memcmp(s.p + at, part.p, part.n) == 0)
            return at;
    return SIZE_MAX;
}

bool mu_t_starts(struct mu_str s, struct mu_str part)
{
    return s.n >= part.n && (part.n == 0 || memcmp(s.p, part.p, part.n) == 0);
}

bool mu_t_ends(struct mu_str s, struct mu_str part)
{
    return s.n >= part.n && (part.n == 0 || memcmp(s.p + s.n - part.n, part.p, part.n) == 0);
}

static bool is_one_of(struct mu_str s, size_t at, size_t len, uint32_t cp, struct mu_str chars)
{
    if (!chars.p)
        return mu_t_is_space(cp);
    return memmem(chars.p, chars.n, s.p + at, len) != NULL;
}

struct mu_str mu_t_lstrip(struct mu_str s, struct mu_str chars)
{
    size_t len;
    while (s.n > 0) {
        uint32_t cp = mu_t_at(s, 0, &len);
        if (!is_one_of(s, 0, len, cp, chars))
            break;
        s = mu_t_sub(s, len, s.n);
    }
    return s;
}

struct mu_str mu_t_rstrip(struct mu_str s, struct mu_str chars)
{
    size_t len;
    while (s.n > 0) {
        size_t at = mu_t_before(s, s.n);
        uint32_t cp = mu_t_at(s, at, &len);
        if (!is_one_of(s, at, s.n - at, cp, chars))
            break;
        s.n = at;
    }
    return s;
}

static bool is_break(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 28 && cp <= 30) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

size_t mu_t_line(struct mu_str s, size_t from, size_t *next)
{
    size_t len;
    for (size_t at = from; at < s.n; at += len) {
        uint32_t cp = mu_t_at(s, at, &len);
        if (!is_break(cp))
            continue;
        *next = at + len;
        if (cp == '\r' && at + 1 < s.n && s.p[at + 1] == '\n')
            *next = at + 2;
        return at - from;
    }
    *next = s.n;
    return s.n - from;
}
