/* format.c - "%d" % values and "{}".format(values): Python's two ways to fill text in */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "tok/jinja/case.h"
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

#define FORMAT_WIDTH_MAX  100000 /* of one field */
#define FORMAT_DIGITS_MAX 400    /* precision of one number */

/* How one value is to look: [[fill]align][sign][#][0][width][,_][.precision][type] */
struct spec {
    struct mu_str fill;
    char align; /* 0: by type */
    char sign;
    bool alternate, zero;
    char group;
    int64_t width, precision; /* precision -1: none */
    char type;
};

static int digits(struct mu_jin *J, struct mu_str s, size_t *at, int64_t max, int64_t *out)
{
    *out = 0;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at) {
        *out = *out * 10 + (s.p[*at] - '0');
        if (*out > max)
            return mu_j_fail(J, MU_ELIMIT, "a format of more than %lld characters", (long long)max);
    }
    return MU_OK;
}

/* Pad text (with n_sign bytes of sign and prefix in front) to the width. */
static int add_padded(struct mu_jin *J, const struct spec *f, struct mu_str text, size_t n_sign, char align)
{
    int64_t missing = MU_MAX(f->width - (int64_t)mu_t_chars(text), 0);
    int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
    MU_TRY_RETURN(mu_j_work(J, (size_t)missing));
    if (align == '=')
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(text, 0, n_sign)));
    for (int64_t i = 0; i < left; i++)
        MU_TRY_RETURN(mu_j_add(J, f->fill));
    MU_TRY_RETURN(mu_j_add(J, align == '=' ? mu_t_sub(text, n_sign, text.n) : text));
    for (int64_t i = left; i < missing; i++)
        MU_TRY_RETURN(mu_j_add(J, f->fill));
    return MU_OK;
}

/* The digits of a number with separators between groups of three before the point. */
static void group(char *text, size_t cap, char by)
{
    size_t whole = strspn(text, "0123456789"), n = strlen(text);
    for (size_t at = whole; at > 3; at -= 3) {
        if (n + 1 >= cap)
            return;
        memmove(text + at - 2, text + at - 3, n - (at - 3) + 1);
        text[at - 3] = by;
        n++;
    }
}

#define NUMBER_TEXT 1200 /* a double in %f: 309 digits, groups, 400 of precision */

static int add_number(struct mu_jin *J, const struct spec *f, bool is_negative, const char *prefix, const char *body)
{
    size_t mark = mu_j_mark(J);
    struct mu_jv text;
    const char *sign = is_negative ? "-" : f->sign == '+' ? "+" : f->sign == ' ' ? " " : "";
    struct spec padded = *f;
    MU_TRY_RETURN(mu_j_add(J, mu_str(sign)));
    MU_TRY_RETURN(mu_j_add(J, mu_str(prefix)));
    MU_TRY_RETURN(mu_j_add(J, mu_str(body)));
    MU_TRY_RETURN(mu_j_take(J, mark, &text));
    char align = f->align ? f->align : f->zero ? '=' : '>';
    if (f->zero && !f->align)
        padded.fill = MU_STR("0");
    return add_padded(J, &padded, text.s, strlen(sign) + strlen(prefix), align);
}

static int add_int(struct mu_jin *J, const struct spec *f, int64_t v)
{
    char body[NUMBER_TEXT], bits[65];
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    const char *prefix = "";

    if (f->type == 'c') {
        char utf8[4];
        if (v < 0 || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
            return mu_j_fail(J, MU_EINVAL, "%lld is no character", (long long)v);
        size_t len = (size_t)mu_utf8_encode((uint32_t)v, utf8);
        return add_padded(J, f, (struct mu_str){utf8, len}, 0, f->align ? f->align : '<');
    }
    if (f->type == 'b') {
        size_t n = 0;
        for (int bit = u ? 63 - __builtin_clzll(u) : 0; bit >= 0; bit--)
            bits[n++] = (char)('0' + (u >> bit & 1));
        bits[n] = 0;
        snprintf(body, sizeof body, "%s", bits);
    } else {
        snprintf(body, sizeof body,
                 f->type == 'x'   ? "%" PRIx64
                 : f->type == 'X' ? "%" PRIX64
                 : f->type == 'o' ? "%" PRIo64
                                  : "%" PRIu64,
                 u);
    }
    if (f->alternate)
        prefix = f->type == 'x' ? "0x" : f->type == 'X' ? "0X" : f->type == 'o' ? "0o" : f->type == 'b' ? "0b" : "";
    if (f->group)
        group(body, sizeof body, f->group);
    return add_number(J, f, v < 0, prefix, body);
}

static int add_float(struct mu_jin *J, const struct spec *f, double v)
{
    char body[NUMBER_TEXT], fmt[16], short_text[40];
    int64_t precision = f->precision >= 0 ? f->precision : 6;
    char type = f->type == '%' ? 'f' : f->type;
    double shown = f->type == '%' ? v * 100 : v;

    if (precision > FORMAT_DIGITS_MAX)
        return mu_j_fail(J, MU_ELIMIT, "a precision of %lld digits, at most %d are supported", (long long)precision,
                         FORMAT_DIGITS_MAX);
    if (!isfinite(v)) {
        snprintf(body, sizeof body, "%s%s", isnan(v) ? "nan" : "inf", f->type == '%' ? "%" : "");
        for (char *p = body; *p && f->type && isupper((unsigned char)f->type); p++)
            *p = (char)toupper((unsigned char)*p);
    } else if (type == 0 && f->precision < 0) {
        mu_j_float_text(fabs(shown), short_text);
        snprintf(body, sizeof body, "%s", short_text);
    } else {
        bool is_repr = type == 0; /* as g, but always with a point */
        snprintf(fmt, sizeof fmt, "%%%s.*%c", f->alternate ? "#" : "", is_repr || type == 'n' ? 'g' : type);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(body, sizeof body - 2, fmt, (int)precision, fabs(shown));
#pragma GCC diagnostic pop
        if (is_repr && !strpbrk(body, ".e"))
            strcat(body, ".0");
        if (f->type == '%')
            strcat(body, "%");
    }
    if (f->group)
        group(body, sizeof body, f->group);
    return add_number(J, f, signbit(v) && !isnan(v), "", body);
}

static int add_text(struct mu_jin *J, const struct spec *f, struct mu_str s)
{
    if (f->precision >= 0)
        s = mu_t_sub(s, 0, mu_t_byte_of(s, (size_t)f->precision));
    return add_padded(J, f, s, 0, f->align ? f->align : '<');
}

/* ---- format(value, spec) ---- */

static int parse_spec(struct mu_jin *J, struct mu_str s, struct spec *f)
{
    size_t at = 0, len = 0;
    *f = (struct spec){.fill = MU_STR(" "), .precision = -1};
    if (s.n > 0)
        mu_t_at(s, 0, &len);
    if (s.n > len && len > 0 && s.p[len] && strchr("<>^=", s.p[len])) {
        f->fill = mu_t_sub(s, 0, len);
        f->align = s.p[len];
        at = len + 1;
    } else if (s.n > 0 && s.p[0] && strchr("<>^=", s.p[0])) {
        f->align = s.p[at++];
    }
    if (at < s.n && (s.p[at] == '+' || s.p[at] == '-' || s.p[at] == ' '))
        f->sign = s.p[at++];
    if (at < s.n && s.p[at] == '#')
        f->alternate = s.p[at++];
    if (at < s.n && s.p[at] == '0') {
        f->zero = true;
        at++;
    }
    MU_TRY_RETURN(digits(J, s, &at, FORMAT_WIDTH_MAX, &f->width));
    if (at < s.n && (s.p[at] == ',' || s.p[at] == '_'))
        f->group = s.p[at++];
    if (at < s.n && s.p[at] == '.') {
        size_t from = ++at;
        MU_TRY_RETURN(digits(J, s, &at, FORMAT_WIDTH_MAX, &f->precision));
        if (at == from)
            return mu_j_fail(J, MU_EINVAL, "Format specifier missing precision");
    }
    if (at < s.n)
        f->type = s.p[at++];
    if (at < s.n)
        return mu_j_fail(J, MU_EINVAL, "Invalid format specifier '%.*s'", MU_STR_ARG(s));
    return MU_OK;
}

static int fail_type(struct mu_jin *J, const struct spec *f, const struct mu_jv *v)
{
    return mu_j_fail(J, MU_EINVAL, "Unknown format code '%c' for object of type '%s'", f->type, mu_j_type_name(v));
}

static int format_value(struct mu_jin *J, const struct mu_jv *v, struct mu_str text)
{
    struct spec f;
    double d;
    int64_t i;

    if (text.n == 0)
        return mu_j_print(J, v, false);
    MU_TRY_RETURN(parse_spec(J, text, &f));
    if (v->t == J_STR) {
        if (f.type && f.type != 's')
            return fail_type(J, &f, v);
        if (f.align == '=' || f.sign || f.group)
            return mu_j_fail(J, MU_EINVAL, "this format is not allowed for a string: '%.*s'", MU_STR_ARG(text));
        if (f.zero && !f.align) {
            f.fill = MU_STR("0");
            f.align = '<';
        }
        return add_text(J, &f, v->s);
    }
    if (mu_j_as_int(v, &i) && (f.type == 0 || strchr("bcdoxXn", f.type))) {
        if (f.precision >= 0)
            return mu_j_fail(J, MU_EINVAL, "Precision not allowed in integer format specifier");
        return add_int(J, &f, i);
    }
    if (mu_j_as_float(v, &d)) {
        if (f.type && !strchr("eEfFgGn%", f.type))
            return fail_type(J, &f, v);
        return add_float(J, &f, d);
    }
    return mu_j_fail(J, MU_EINVAL, "unsupported format string passed to %s.__format__", mu_j_type_name(v));
}

/* ---- "{}".format ---- */

struct filler {
    struct mu_jcall *c;
    int64_t next; /* automatic numbering; -1 once a number was written out */
};

static const struct mu_jv *find_keyword(const struct mu_jcall *c, struct mu_str name)
{
    for (size_t i = 0; i < c->n_kw; i++)
        if (mu_str_eq(c->kw[i].name, name))
            return &c->kw[i].value;
    return NULL;
}

/* name, 0, or nothing, then .attribute and [item] */
static int field_value(struct mu_jin *J, struct filler *f, struct mu_str field, struct mu_jv *out)
{
    size_t at = 0, n = 0;
    int64_t index;

    while (n < field.n && field.p[n] != '.' && field.p[n] != '[')
        n++;
    struct mu_str name = mu_t_sub(field, 0, n);
    MU_TRY_RETURN(digits(J, name, &at, INT32_MAX, &index));
    if (at == n) {
        if (n > 0 ? f->next > 0 : f->next < 0)
            return mu_j_fail(J, MU_EINVAL, "cannot mix automatic field numbering and manual field specification");
        index = n > 0 ? index : f->next++;
        f->next = n > 0 ? -1 : f->next;
        if (index >= (int64_t)f->c->n_pos)
            return mu_j_fail(J, MU_EINVAL, "Replacement index %lld out of range for positional args tuple",
                             (long long)index);
        *out = f->c->pos[index];
    } else {
        const struct mu_jv *v = find_keyword(f->c, name);
        if (!v)
            return mu_j_fail(J, MU_EINVAL, "format() misses the argument '%.*s'", MU_STR_ARG(name));
        *out = *v;
    }
    for (at = n; at < field.n;) {
        char kind = field.p[at++];
        size_t from = at, end = at;
        while (end < field.n && (kind == '[' ? field.p[end] != ']' : field.p[end] != '.' && field.p[end] != '['))
            end++;
        struct mu_str part = mu_t_sub(field, from, end);
        if (part.n == 0 || (kind == '[' && end == field.n))
            return mu_j_fail(J, MU_EINVAL, "Empty attribute in format string");
        at = end + (kind == '[');
        size_t d = 0;
        MU_TRY_RETURN(digits(J, part, &d, INT32_MAX, &index));
        struct mu_jv key = d == part.n ? mu_j_int(index) : mu_j_string(part);
        struct mu_jv owner = *out;
        MU_TRY_RETURN(kind == '[' ? mu_j_item(J, &owner, &key, out) : mu_j_attr(J, &owner, part, out));
    }
    return MU_OK;
}

static int expand(struct mu_jin *J, struct filler *f, struct mu_str s, int depth);

/* field!r:spec without its braces; the spec may hold fields itself */
static int add_field(struct mu_jin *J, struct filler *f, struct mu_str text, int depth)
{
    size_t n = 0, mark;
    struct mu_jv v, spec = mu_j_string(MU_STR(""));
    char conversion = 0;
    int64_t in_brackets = 0;

    while (n < text.n && ((text.p[n] != '!' && text.p[n] != ':') || in_brackets)) {
        in_brackets += text.p[n] == '[' ? 1 : text.p[n] == ']' && in_brackets ? -1 : 0;
        n++;
    }
    MU_TRY_RETURN(field_value(J, f, mu_t_sub(text, 0, n), &v));
    if (n + 1 < text.n && text.p[n] == '!') {
        conversion = text.p[n + 1];
        n += 2;
        if (n < text.n && text.p[n] != ':')
            return mu_j_fail(J, MU_EINVAL, "expected ':' after conversion specifier");
    }
    if (n < text.n && text.p[n] == ':') {
        mark = mu_j_mark(J);
        MU_TRY_RETURN(expand(J, f, mu_t_sub(text, n + 1, text.n), depth + 1));
        MU_TRY_RETURN(mu_j_take(J, mark, &spec));
    }
    if (conversion) {
        if (conversion != 'r' && conversion != 's' && conversion != 'a')
            return mu_j_fail(J, MU_EINVAL, "Unknown conversion specifier %c", conversion);
        mark = mu_j_mark(J);
        MU_TRY_RETURN(mu_j_print(J, &v, conversion != 's'));
        MU_TRY_RETURN(mu_j_take(J, mark, &v));
    }
    return format_value(J, &v, spec.s);
}

static int expand(struct mu_jin *J, struct filler *f, struct mu_str s, int depth)
{
    if (depth > 1 && memchr(s.p, '{', s.n))
        return mu_j_fail(J, MU_EINVAL, "Max string recursion exceeded");
    for (size_t at = 0; at < s.n;) {
        size_t end = at;
        while (end < s.n && s.p[end] != '{' && s.p[end] != '}')
            end++;
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, at, end)));
        if (end == s.n)
            break;
        if (end + 1 < s.n && s.p[end + 1] == s.p[end] && depth == 0) {
            MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, end, end + 1)));
            at = end + 2;
            continue;
        }
        if (s.p[end] == '}')
            return mu_j_fail(J, MU_EINVAL, "Single '}' encountered in format string");
        size_t close = end + 1;
        for (int open = 1; close < s.n; close++) {
            open += s.p[close] == '{' ? 1 : s.p[close] == '}' ? -1 : 0;
            if (open == 0)
                break;
        }
        if (close == s.n)
            return mu_j_fail(J, MU_EINVAL, "expected '}' before end of string");
        MU_TRY_RETURN(mu_j_work(J, 1 + (close - end) / 16));
        MU_TRY_RETURN(add_field(J, f, mu_t_sub(s, end + 1, close), depth));
        at = close + 1;
    }
    return MU_OK;
}

int mu_j_format(struct mu_jin *J, struct mu_str format, struct mu_jcall *c, struct mu_jv *out)
{
    struct filler f = {.c = c};
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(expand(J, &f, format, 0));
    return mu_j_take(J, mark, out);
}

/* ---- "%d" % values ---- */

struct percent {
    struct mu_str s;
    size_t at;
    const struct mu_jv *values;
    size_t used;
};

static int next_value(struct mu_jin *J, struct percent *p, struct mu_jv *out)
{
    bool is_tuple = p->values->t == J_TUPLE;
    if (p->used >= (is_tuple ? p->values->list->n : 1))
        return mu_j_fail(J, MU_EINVAL, "not enough arguments for format string");
    *out = is_tuple ? p->values->list->v[p->used] : *p->values;
    p->used++;
    return MU_OK;
}

/* A number, or * for the next value */
static int percent_number(struct mu_jin *J, struct percent *p, int64_t *out)
{
    struct mu_jv v;
    if (p->at >= p->s.n || p->s.p[p->at] != '*')
        return digits(J, p->s, &p->at, FORMAT_WIDTH_MAX, out);
    p->at++;
    MU_TRY_RETURN(next_value(J, p, &v));
    MU_TRY_RETURN(mu_j_want_int(J, &v, "a width given by *", out));
    if (*out > FORMAT_WIDTH_MAX || *out < -FORMAT_WIDTH_MAX)
        return mu_j_fail(J, MU_ELIMIT, "a format of more than %d characters", FORMAT_WIDTH_MAX);
    return MU_OK;
}

static int percent_key(struct mu_jin *J, struct percent *p, struct mu_jv *out, bool *has_key)
{
    struct mu_jv key;
    *has_key = p->at < p->s.n && p->s.p[p->at] == '(';
    if (!*has_key)
        return MU_OK;
    size_t end = mu_t_find(p->s, MU_STR(")"), p->at);
    if (end == SIZE_MAX)
        return mu_j_fail(J, MU_EINVAL, "incomplete format key");
    if (p->values->t != J_DICT)
        return mu_j_fail(J, MU_EINVAL, "format requires a mapping");
    key = mu_j_string(mu_t_sub(p->s, p->at + 1, end));
    p->at = end + 1;
    bool is_found;
    MU_TRY_RETURN(mu_j_dict_get(J, p->values->dict, &key, out, &is_found));
    return is_found ? MU_OK : mu_j_fail(J, MU_EINVAL, "the mapping has no '%.*s'", MU_STR_ARG(key.s));
}

static int percent_flags(struct mu_jin *J, struct percent *p, struct spec *f)
{
    for (; p->at < p->s.n && p->s.p[p->at] && strchr("#0- +", p->s.p[p->at]); p->at++) {
        char c = p->s.p[p->at];
        f->alternate |= c == '#';
        f->zero |= c == '0';
        f->align = c == '-' ? '<' : f->align;
        f->sign = c == '+' || (c == ' ' && f->sign != '+') ? c : f->sign;
    }
    MU_TRY_RETURN(percent_number(J, p, &f->width));
    if (f->width < 0) {
        f->align = '<';
        f->width = -f->width;
    }
    if (p->at < p->s.n && p->s.p[p->at] == '.') {
        p->at++;
        MU_TRY_RETURN(percent_number(J, p, &f->precision));
        f->precision = MU_MAX(f->precision, 0);
    }
    while (p->at < p->s.n && p->s.p[p->at] && strchr("hlL", p->s.p[p->at]))
        p->at++;
    return MU_OK;
}

static int percent_int(struct mu_jin *J, const struct spec *f, const struct mu_jv *v)
{
    int64_t i;
    if (v->t == J_FLOAT && f->type == 'd') {
        if (!(fabs(v->f) < 0x1p63))
            return mu_j_fail(J, MU_EINVAL, "%g cannot be shown as an integer", v->f);
        return add_int(J, f, (int64_t)v->f);
    }
    if (v->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, v);
    if (!mu_j_as_int(v, &i))
        return mu_j_fail(J, MU_EINVAL, "%%%c format: %s is required, not %s", f->type,
                         f->type == 'd' ? "a real number" : "an integer", mu_j_type_name(v));
    if (f->precision < 0)
        return add_int(J, f, i);
    /* precision is the least number of digits */
    struct spec digits_of = *f, field = *f;
    struct mu_jv text;
    digits_of.width = f->precision + (i < 0 || f->sign);
    digits_of.zero = true;
    digits_of.align = 0;
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(add_int(J, &digits_of, i));
    MU_TRY_RETURN(mu_j_take(J, mark, &text));
    field.fill = f->zero && !f->align ? MU_STR("0") : MU_STR(" ");
    return add_padded(J, &field, text.s, i < 0 || f->sign, f->align ? f->align : f->zero ? '=' : '>');
}

static int percent_value(struct mu_jin *J, struct spec *f, const struct mu_jv *v)
{
    struct mu_jv text;
    double d;
    size_t mark = mu_j_mark(J);

    switch (f->type) {
    case 's':
    case 'r':
    case 'a':
        MU_TRY_RETURN(mu_j_print(J, v, f->type != 's'));
        MU_TRY_RETURN(mu_j_take(J, mark, &text));
        f->align = f->align ? f->align : '>';
        return add_text(J, f, text.s);
    case 'c':
        f->align = f->align ? f->align : '>';
        f->precision = -1;
        if (v->t == J_STR && mu_t_chars(v->s) == 1)
            return add_text(J, f, v->s);
        return v->t == J_INT ? add_int(J, f, v->i) : mu_j_fail(J, MU_EINVAL, "%%c requires int or char");
    case 'd':
    case 'i':
    case 'u':
        f->type = 'd';
        f->alternate = false;
        return percent_int(J, f, v);
    case 'x':
    case 'X':
    case 'o':
        return percent_int(J, f, v);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        if (v->t == J_UNDEFINED)
            return mu_j_fail_undefined(J, v);
        if (!mu_j_as_float(v, &d))
            return mu_j_fail(J, MU_EINVAL, "must be real number, not %s", mu_j_type_name(v));
        return add_float(J, f, d);
    default:
        return mu_j_fail(J, MU_EINVAL, "unsupported format character '%c' (0x%x)", isprint(f->type) ? f->type : '?',
                         (unsigned char)f->type);
    }
}

static int percent_field(struct mu_jin *J, struct percent *p)
{
    struct spec f = {.fill = MU_STR(" "), .precision = -1};
    struct mu_jv v;
    bool has_key;

    MU_TRY_RETURN(percent_key(J, p, &v, &has_key));
    MU_TRY_RETURN(percent_flags(J, p, &f));
    if (p->at >= p->s.n)
        return mu_j_fail(J, MU_EINVAL, "incomplete format");
    f.type = p->s.p[p->at++];
    if (f.type == '%')
        return mu_j_add(J, MU_STR("%"));
    if (!has_key)
        MU_TRY_RETURN(next_value(J, p, &v));
    return percent_value(J, &f, &v);
}

int mu_j_percent(struct mu_jin *J, struct mu_str format, const struct mu_jv *values, struct mu_jv *out)
{
    struct percent p = {.s = format, .values = values};
    size_t mark = mu_j_mark(J);

    while (p.at < p.s.n) {
        size_t sign = mu_t_find(p.s, MU_STR("%"), p.at), end = sign == SIZE_MAX ? p.s.n : sign;
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(p.s, p.at, end)));
        p.at = sign == SIZE_MAX ? end : sign + 1;
        if (sign != SIZE_MAX)
            MU_TRY_RETURN(percent_field(J, &p));
    }
    bool is_left =
        values->t == J_TUPLE ? p.used < values->list->n : p.used == 0 && values->t != J_DICT && values->t != J_LIST;
    if (is_left)
        return mu_j_fail(J, MU_EINVAL, "not all arguments converted during string formatting");
    return mu_j_take(J, mark, out);
}
