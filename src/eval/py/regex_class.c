/* regex_class.c - sets of characters: [...], \d \w \s, and escapes that stand for one character
 *
 * Python's \s is str.isspace(), which PCRE2's is not (U+001C..U+001F), and its \w is letters, numbers and the low line;
 * both are written out, so no version of PCRE2 can differ. */
#include "base/check.h"
#include "base/utf8.h"
#include "eval/py/regex_int.h"
#include "tok/jinja/text.h"

#define SPACE                                                                                                          \
    "\\x09-\\x0d\\x1c-\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACE                                                                                                       \
    "\\x00-\\x08\\x0e-\\x1b\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"        \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define WORD "\\p{L}\\p{N}_"
/* Every other category; of the connectors (Pc) all but the low line. */
#define NO_WORD                                                                                                        \
    "\\p{M}\\p{S}\\p{Z}\\p{C}\\p{Pd}\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Po}\\x{203f}\\x{2040}\\x{2054}\\x{fe33}\\x{fe34}"  \
    "\\x{fe4d}-\\x{fe4f}\\x{ff3f}"

const char *mu_pyre_category(int letter, bool is_in_class)
{
    switch (letter) {
    case 'd':
        return "\\p{Nd}";
    case 'D':
        return "\\P{Nd}";
    case 's':
        return is_in_class ? SPACE : "[" SPACE "]";
    case 'S':
        return is_in_class ? NO_SPACE : "[^" SPACE "]";
    case 'w':
        return is_in_class ? WORD : "[" WORD "]";
    case 'W':
        return is_in_class ? NO_WORD : "[^" WORD "]";
    default:
        return NULL;
    }
}

static int hex_value(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int escape_hex(struct mu_pyre_reader *t, int digits, uint32_t *cp)
{
    *cp = 0;
    for (int i = 0; i < digits; i++, t->at++) {
        int v = hex_value(mu_pyre_peek(t, 0));
        if (v < 0)
            return mu_pyre_fail(t, MU_EFORMAT, "an escape with too few digits");
        *cp = *cp * 16 + (uint32_t)v;
    }
    if (*cp > 0x10ffff || (*cp >= 0xd800 && *cp < 0xe000))
        return mu_pyre_fail(t, MU_EFORMAT, "an escape that is no character");
    return MU_OK;
}

/* Octal digits: up to three. Outside a class only those that begin with 0 come here, and three digits in all. */
static int escape_octal(struct mu_pyre_reader *t, uint32_t *cp)
{
    *cp = 0;
    for (int i = 0; i < 3 && mu_pyre_peek(t, 0) >= '0' && mu_pyre_peek(t, 0) <= '7'; i++, t->at++)
        *cp = *cp * 8 + (uint32_t)(t->s.p[t->at] - '0');
    return *cp > 0377 ? mu_pyre_fail(t, MU_EFORMAT, "an octal escape above \\377") : MU_OK;
}

int mu_pyre_escape_char(struct mu_pyre_reader *t, bool is_in_class, uint32_t *cp)
{
    static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
    int c = mu_pyre_peek(t, 0);
    const char *at = c > 0 ? strchr(from, c) : NULL;

    if (c < 0)
        return mu_pyre_fail(t, MU_EFORMAT, "a backslash at the end");
    if (c >= '0' && c <= '7')
        return escape_octal(t, cp);
    if (c >= 0x80 || !mu_t_is_word((uint32_t)c) || c == '_') { /* itself */
        size_t len;
        *cp = mu_t_at(t->s, t->at, &len);
        t->at += len;
        return MU_OK;
    }
    t->at++;
    if (at)
        *cp = (unsigned char)to[at - from];
    else if (c == 'b' && is_in_class)
        *cp = '\b';
    else if (c == 'x' || c == 'u' || c == 'U')
        return escape_hex(t, c == 'x' ? 2 : c == 'u' ? 4 : 8, cp);
    else if (c == 'N')
        return mu_pyre_fail(t, MU_EUNSUPPORTED, "a character by its name: write \\u and its number");
    else
        return mu_pyre_fail(t, MU_EFORMAT, "a backslash before a letter or digit that means nothing there");
    return MU_OK;
}

/* One member of a class: a character, or a category that is emitted at once (*is_set). */
static int class_member(struct mu_pyre_reader *t, bool *is_set, uint32_t *cp)
{
    size_t len;
    *is_set = false;
    if (mu_pyre_peek(t, 0) != '\\') {
        *cp = mu_t_at(t->s, t->at, &len);
        t->at += len;
        return MU_OK;
    }
    t->at++;
    const char *category = mu_pyre_category(mu_pyre_peek(t, 0), true);
    if (!category)
        return mu_pyre_escape_char(t, true, cp);
    t->at++;
    *is_set = true;
    return mu_pyre_emit(t, category);
}

static int class_range(struct mu_pyre_reader *t, bool is_set, uint32_t low)
{
    bool is_set_too;
    uint32_t high = 0;

    t->at++;
    MU_TRY_RETURN(class_member(t, &is_set_too, &high));
    if (is_set || is_set_too || high < low)
        return mu_pyre_fail(t, MU_EFORMAT, "a range of characters that has no beginning or runs backwards");
    MU_TRY_RETURN(mu_pyre_emit_char(t, low));
    MU_TRY_RETURN(mu_pyre_emit(t, "-"));
    return mu_pyre_emit_char(t, high);
}

int mu_pyre_class(struct mu_pyre_reader *t)
{
    bool is_first = true;
    MU_TRY_RETURN(mu_pyre_emit(t, "["));
    if (mu_pyre_peek(t, 0) == '^') {
        t->at++;
        MU_TRY_RETURN(mu_pyre_emit(t, "^"));
    }
    for (; is_first || mu_pyre_peek(t, 0) != ']'; is_first = false) {
        bool is_set;
        uint32_t cp = 0;
        if (mu_pyre_peek(t, 0) < 0)
            return mu_pyre_fail(t, MU_EFORMAT, "a [ without its ]");
        MU_TRY_RETURN(class_member(t, &is_set, &cp));
        if (mu_pyre_peek(t, 0) == '-' && mu_pyre_peek(t, 1) >= 0 && mu_pyre_peek(t, 1) != ']')
            MU_TRY_RETURN(class_range(t, is_set, cp));
        else if (!is_set)
            MU_TRY_RETURN(mu_pyre_emit_char(t, cp));
    }
    t->at++;
    return mu_pyre_emit(t, "]");
}
