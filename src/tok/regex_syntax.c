/* regex_syntax.c - Oniguruma's pattern language written in PCRE2's
 *
 * One pass, left to right. `atom` is where the last thing that a quantifier can follow begins in the output, so that
 * X{1,3}+ (Oniguruma: one or more times X{1,3}) can be put in a group. A character class that PCRE2 has no form for
 * (nested negation, intersection) becomes a group of lookaheads around plain classes.
 *
 * What neither syntax knows is left as it stands: pcre2_compile() says what is wrong with it. */
#include "tok/regex.h"

#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

#define DEPTH_MAX 100 /* nested groups or classes; PCRE2 itself stops at 250 */
#define NO_ATOM   SIZE_MAX

#define SPACE_SET "\\p{White_Space}"
#define WORD_SET  "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define HEX_SET   "0-9A-Fa-f"

struct syntax {
    const char *p;
    size_t n, i;
    struct mu_buf *out;
    const char *where;
    size_t atom;
    size_t groups[DEPTH_MAX];
    int depth;
};

static int class_at(struct syntax *s, struct mu_buf *out, int depth, struct mu_err *e);

static char peek(const struct syntax *s, size_t ahead)
{
    return s->i + ahead < s->n ? s->p[s->i + ahead] : 0;
}

/* ---- properties ---- */

/* Names that PCRE2 spells otherwise; names of three and more letters that are none of these are scripts, which PCRE2
 * would read as script extensions. */
static const char *const property_names[][2] = {
    {"alpha", "Alphabetic"},
    {"alphabetic", "Alphabetic"},
    {"space", "White_Space"},
    {"white_space", "White_Space"},
    {"whitespace", "White_Space"},
    {"upper", "Uppercase"},
    {"uppercase", "Uppercase"},
    {"lower", "Lowercase"},
    {"lowercase", "Lowercase"},
    {"digit", "Nd"},
    {"punct", "P"},
    {"letter", "L"},
    {"mark", "M"},
    {"number", "N"},
    {"punctuation", "P"},
    {"symbol", "S"},
    {"separator", "Z"},
    {"other", "C"},
    {"cntrl", "Cc"},
    {"control", "Cc"},
    {"any", "Any"},
    {"emoji", "Emoji"},
    {"ideographic", "Ideographic"},
    {"ascii", "ASCII"},
    {"math", "Math"},
    {"uppercase_letter", "Lu"},
    {"lowercase_letter", "Ll"},
    {"titlecase_letter", "Lt"},
    {"modifier_letter", "Lm"},
    {"other_letter", "Lo"},
    {"decimal_number", "Nd"},
    {"nonspacing_mark", "Mn"},
    {"extended_pictographic", "Extended_Pictographic"},
    {"emoji_presentation", "Emoji_Presentation"},
    {"hex_digit", "Hex_Digit"},
    {"xdigit", "ASCII_Hex_Digit"},
};

static bool same_name(const char *p, size_t n, const char *name)
{
    if (strlen(name) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i] == ' ' || p[i] == '-' ? '_' : p[i];
        if (c != name[i])
            return false;
    }
    return true;
}

/* \p{Name} with s->i at the backslash. */
static int property(struct syntax *s, struct mu_buf *out, struct mu_err *e)
{
    const char *from = s->p + s->i + 3;
    const char *close = memchr(from, '}', s->n - s->i - 3);
    char letter = peek(s, 1);
    if (!close)
        return mu_fail(e, MU_EFORMAT, "%s: a property in the pattern \"%.*s\" has no }", s->where,
                       (int)MU_MIN(s->n, 200), s->p);
    s->i = (size_t)(close + 1 - s->p);
    if (*from == '^') {
        letter = letter == 'p' ? 'P' : 'p';
        from++;
    }
    size_t n = (size_t)(close - from);
    for (size_t k = 0; k < MU_COUNT(property_names); k++)
        if (same_name(from, n, property_names[k][0]))
            return mu_buf_printf(out, e, "\\%c{%s}", letter, property_names[k][1]);
    bool is_script = n > 2 && !memchr(from, ':', n) && !memchr(from, '=', n);
    return mu_buf_printf(out, e, "\\%c{%s%.*s}", letter, is_script ? "sc:" : "", (int)n, from);
}

/* ---- escapes ---- */

struct shorthand {
    char letter;
    const char *set;
    bool is_negated;
};

static const struct shorthand shorthands[] = {
    {'s', SPACE_SET, false}, {'S', SPACE_SET, true}, {'w', WORD_SET, false}, {'W', WORD_SET, true},
    {'d', "\\p{Nd}", false}, {'D', "\\p{Nd}", true}, {'h', HEX_SET, false},  {'H', HEX_SET, true},
};

static const struct shorthand *shorthand_of(char letter)
{
    for (size_t k = 0; k < MU_COUNT(shorthands); k++)
        if (shorthands[k].letter == letter)
            return &shorthands[k];
    return NULL;
}

/* One character as it stands, all its bytes. */
static int copy_character(struct syntax *s, struct mu_buf *out, struct mu_err *e)
{
    uint32_t cp;
    int len = mu_utf8_decode(s->p + s->i, s->n - s->i, &cp);
    size_t n = len > 0 ? (size_t)len : 1;
    MU_TRY_RETURN(mu_buf_add(out, s->p + s->i, n, e));
    s->i += n;
    return MU_OK;
}

/* An escape that means the same inside and outside a class, s->i at the backslash. */
static int plain_escape(struct syntax *s, struct mu_buf *out, struct mu_err *e)
{
    char c = peek(s, 1);
    if ((c == 'p' || c == 'P') && peek(s, 2) == '{')
        return property(s, out, e);
    if (c == 'v') {
        s->i += 2;
        return mu_buf_puts(out, "\\x0B", e);
    }
    if (c == 'u' && s->n - s->i >= 6) {
        MU_TRY_RETURN(mu_buf_printf(out, e, "\\x{%.4s}", s->p + s->i + 2));
        s->i += 6;
        return MU_OK;
    }
    MU_TRY_RETURN(mu_buf_putc(out, '\\', e));
    s->i++;
    return s->i < s->n ? copy_character(s, out, e) : MU_OK;
}

static int escape(struct syntax *s, struct mu_err *e)
{
    const struct shorthand *h = shorthand_of(peek(s, 1));
    s->atom = s->out->n;
    if (!h)
        return plain_escape(s, s->out, e);
    s->i += 2;
    return mu_buf_printf(s->out, e, "[%s%s]", h->is_negated ? "^" : "", h->set);
}

/* ---- classes ---- */

/* One operand of a class: what fits between [ and ], and single-character patterns that do not. */
struct operand {
    struct mu_buf set, others;
};

static int operand_out(const struct operand *o, struct mu_buf *out, struct mu_err *e)
{
    if (o->others.n == 0)
        return mu_buf_printf(out, e, "[%s]", mu_buf_str(&o->set).p);
    if (o->set.n == 0)
        return mu_buf_printf(out, e, "(?:%s)", o->others.p + 1);
    return mu_buf_printf(out, e, "(?:[%s]%s)", o->set.p, o->others.p);
}

/* A class inside a class: its members join, unless it is negated or an intersection. */
static int nested_class(struct syntax *s, struct operand *o, int depth, struct mu_err *e)
{
    struct mu_buf inner = MU_BUF_INIT("a pattern", MU_REGEX_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(class_at(s, &inner, depth + 1, e));
    if (inner.n >= 2 && inner.p[0] == '[' && inner.p[1] != '^') {
        MU_TRY(mu_buf_add(&o->set, inner.p + 1, inner.n - 2, e));
    } else {
        MU_TRY(mu_buf_printf(&o->others, e, "|%s", mu_buf_str(&inner).p));
    }
out:
    mu_buf_fini(&inner);
    return rc;
}

static int class_member(struct syntax *s, struct operand *o, int depth, struct mu_err *e)
{
    char c = peek(s, 0);
    if (c == '[' && peek(s, 1) == ':') {
        const char *close = memmem(s->p + s->i, s->n - s->i, ":]", 2);
        if (close) {
            size_t n = (size_t)(close + 2 - (s->p + s->i));
            MU_TRY_RETURN(mu_buf_add(&o->set, s->p + s->i, n, e));
            s->i += n;
            return MU_OK;
        }
    }
    if (c == '[')
        return nested_class(s, o, depth, e);
    if (c != '\\')
        return copy_character(s, &o->set, e);
    const struct shorthand *h = shorthand_of(peek(s, 1));
    if (!h)
        return plain_escape(s, &o->set, e);
    s->i += 2;
    if (h->is_negated)
        return mu_buf_printf(&o->others, e, "|[^%s]", h->set);
    return mu_buf_puts(&o->set, h->set, e);
}

/* [...] with s->i at the bracket; out gets a pattern that matches one character. */
static int class_at(struct syntax *s, struct mu_buf *out, int depth, struct mu_err *e)
{
    struct operand o = {MU_BUF_INIT("a pattern", MU_REGEX_BYTES_MAX), MU_BUF_INIT("a pattern", MU_REGEX_BYTES_MAX)};
    struct mu_buf before = MU_BUF_INIT("a pattern", MU_REGEX_BYTES_MAX); /* operands before the last && */
    int rc = MU_OK;
    bool is_first = true;

    if (depth >= DEPTH_MAX) {
        rc = mu_fail(e, MU_ELIMIT, "%s: a pattern nests classes deeper than %d", s->where, DEPTH_MAX);
        goto out;
    }
    s->i++;
    bool is_negated = peek(s, 0) == '^';
    s->i += is_negated;
    for (; s->i < s->n && (is_first || peek(s, 0) != ']'); is_first = false) {
        if (peek(s, 0) == '&' && peek(s, 1) == '&') {
            s->i += 2;
            MU_TRY(mu_buf_puts(&before, "(?=", e));
            MU_TRY(operand_out(&o, &before, e));
            MU_TRY(mu_buf_puts(&before, ")", e));
            mu_buf_clear(&o.set);
            mu_buf_clear(&o.others);
            continue;
        }
        MU_TRY(class_member(s, &o, depth, e));
    }
    if (s->i >= s->n) {
        rc = mu_fail(e, MU_EFORMAT, "%s: a class in the pattern \"%.*s\" has no ]", s->where, (int)MU_MIN(s->n, 200),
                     s->p);
        goto out;
    }
    s->i++;
    if (before.n == 0 && o.others.n == 0) {
        MU_TRY(mu_buf_printf(out, e, "[%s%s]", is_negated ? "^" : "", mu_buf_str(&o.set).p));
        goto out;
    }
    MU_TRY(mu_buf_printf(out, e, "(?:%s%s", is_negated ? "(?!" : "", mu_buf_str(&before).p));
    MU_TRY(operand_out(&o, out, e));
    MU_TRY(mu_buf_puts(out, is_negated ? ")(?s:.))" : ")", e));
out:
    mu_buf_fini(&o.set);
    mu_buf_fini(&o.others);
    mu_buf_fini(&before);
    return rc;
}

/* ---- groups and quantifiers ---- */

/* "(" with what follows it up to the group's content. Option m is PCRE2's s. */
static int group_open(struct syntax *s, struct mu_err *e)
{
    if (s->depth >= DEPTH_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: a pattern nests groups deeper than %d", s->where, DEPTH_MAX);
    size_t at = s->out->n;
    s->groups[s->depth++] = at;
    s->atom = NO_ATOM;
    MU_TRY_RETURN(mu_buf_putc(s->out, '(', e));
    s->i++;
    if (peek(s, 0) != '?')
        return MU_OK;
    MU_TRY_RETURN(mu_buf_putc(s->out, '?', e));
    s->i++;
    size_t k = s->i;
    while (k < s->n && strchr("imx-", s->p[k]) && s->p[k])
        k++;
    bool is_options = k > s->i && k < s->n && (s->p[k] == ':' || s->p[k] == ')');
    for (; is_options && s->i < k; s->i++)
        MU_TRY_RETURN(mu_buf_putc(s->out, s->p[s->i] == 'm' ? 's' : s->p[s->i], e));
    return MU_OK;
}

static int group_close(struct syntax *s, struct mu_err *e)
{
    s->atom = s->depth > 0 ? s->groups[--s->depth] : NO_ATOM;
    s->i++;
    return mu_buf_putc(s->out, ')', e);
}

/* Put "(?:" at the atom and ")" at the end. */
static int wrap_atom(struct syntax *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(s->out, "(?:)", e));
    memmove(s->out->p + s->atom + 3, s->out->p + s->atom, s->out->n - 4 - s->atom);
    memcpy(s->out->p + s->atom, "(?:", 3);
    s->out->p[s->out->n - 1] = ')';
    return MU_OK;
}

/* Length of {n}, {n,}, {n,m} or {,m} at s->i, 0 when the brace is a character. */
static size_t interval_length(const struct syntax *s)
{
    size_t k = 1;
    bool has_digit = false;
    while ((peek(s, k) >= '0' && peek(s, k) <= '9') || peek(s, k) == ',') {
        has_digit |= peek(s, k) != ',';
        k++;
    }
    return has_digit && peek(s, k) == '}' ? k + 1 : 0;
}

static int interval(struct syntax *s, size_t len, struct mu_err *e)
{
    const char *p = s->p + s->i;
    MU_TRY_RETURN(mu_buf_putc(s->out, '{', e));
    if (p[1] == ',')
        MU_TRY_RETURN(mu_buf_putc(s->out, '0', e));
    MU_TRY_RETURN(mu_buf_add(s->out, p + 1, len - 1, e));
    s->i += len;
    if (peek(s, 0) == '+' && s->atom != NO_ATOM) {
        MU_TRY_RETURN(wrap_atom(s, e));
        MU_TRY_RETURN(mu_buf_putc(s->out, '+', e));
        s->i++;
    }
    return MU_OK;
}

static int step(struct syntax *s, struct mu_err *e)
{
    char c = peek(s, 0);
    size_t len;
    switch (c) {
    case '\\':
        return escape(s, e);
    case '[':
        s->atom = s->out->n;
        return class_at(s, s->out, 0, e);
    case '(':
        return group_open(s, e);
    case ')':
        return group_close(s, e);
    case '{':
        len = interval_length(s);
        if (len > 0)
            return interval(s, len, e);
        break;
    case '*':
    case '+':
    case '?':
        return copy_character(s, s->out, e);
    default:
        break;
    }
    s->atom = s->out->n;
    return copy_character(s, s->out, e);
}

int mu_regex_translate(struct mu_buf *out, struct mu_str pattern, const char *where, struct mu_err *e)
{
    struct syntax s = {.p = pattern.p, .n = pattern.n, .out = out, .where = where, .atom = NO_ATOM};
    if (mu_utf8_valid_prefix(pattern.p, pattern.n) != pattern.n)
        return mu_fail(e, MU_EFORMAT, "%s: a pattern is not UTF-8", where);
    if (pattern.n && memchr(pattern.p, 0, pattern.n))
        return mu_fail(e, MU_EUNSUPPORTED, "%s: a pattern holds a NUL; write it as \\x00", where);
    while (s.i < s.n)
        MU_TRY_RETURN(step(&s, e));
    return MU_OK;
}
