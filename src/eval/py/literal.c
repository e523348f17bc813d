/* literal.c - ast.literal_eval() of what JSON can hold: numbers, texts, True, False, None, lists, tuples, dicts
 *
 * The grammar is CPython's (The Python Language Reference, 2.4 Literals, 6.2 Displays); tuples become arrays. Bytes,
 * sets, complex numbers and keys that are no texts are refused. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "eval/py/value.h"
#include "tok/jinja/text.h"

#define DEPTH_MAX  200 /* CPython's tokenizer: "too many nested parentheses" */
#define TEXT_MAX   ((size_t)64 << 20)
#define NUMBER_MAX 512 /* characters of one number */

struct lit {
    struct mu_str s;
    size_t at;
    int depth;
    struct mu_err *e;
};

static int parse_value(struct lit *l, json_t **out);

static int fail(const struct lit *l, const char *why)
{
    return mu_fail(l->e, MU_EINVAL, "not a Python literal at character %zu of \"%.*s\": %s",
                   mu_t_chars(mu_t_sub(l->s, 0, l->at)), (int)MU_MIN(l->s.n, (size_t)80), l->s.p, why);
}

static int peek(const struct lit *l, size_t ahead)
{
    return l->at + ahead < l->s.n ? (unsigned char)l->s.p[l->at + ahead] : -1;
}

/* Blanks, and inside brackets line ends and comments too. */
static void skip(struct lit *l)
{
    for (int c; (c = peek(l, 0)) >= 0; l->at++) {
        bool is_line_end = c == '\n' || c == '\r';
        if (c == ' ' || c == '\t' || c == '\f' || (is_line_end && l->depth > 0))
            continue;
        if (c == '\\' && peek(l, 1) == '\n') {
            l->at++;
            continue;
        }
        if (c != '#')
            return;
        while (peek(l, 1) >= 0 && peek(l, 1) != '\n')
            l->at++;
    }
}

static int checked(struct lit *l, json_t *v, json_t **out)
{
    *out = v;
    return v ? MU_OK : mu_fail_nomem(l->e, sizeof(json_int_t), "a literal");
}

/* ---- numbers ---- */

static bool is_digit_of(int c, int base)
{
    int value = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : 99;
    return value < base;
}

static bool is_name_char(int c)
{
    return c == '_' || c >= 0x80 || is_digit_of(c, 10) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Digits with single underscores between them, copied without those; false when an underscore stands elsewhere. */
static bool take_digits(struct lit *l, int base, char *text, size_t *n)
{
    bool after_digit = false;
    for (;; l->at++) {
        int c = peek(l, 0);
        if (c == '_' && after_digit && is_digit_of(peek(l, 1), base)) {
            after_digit = false;
            continue;
        }
        if (!is_digit_of(c, base))
            return c != '_';
        if (*n + 8 >= NUMBER_MAX)
            return false;
        text[(*n)++] = (char)c;
        after_digit = true;
    }
}

static int make_int(struct lit *l, const char *text, int base, bool is_negative, json_t **out)
{
    errno = 0;
    unsigned long long size = strtoull(text, NULL, base);
    if (errno == ERANGE || size > (is_negative ? 1ull << 63 : (1ull << 63) - 1))
        return fail(l, "an integer beyond 64 bits");
    return checked(l, json_integer((json_int_t)(is_negative ? 0 - size : size)), out);
}

static int make_real(struct lit *l, const char *text, bool is_negative, json_t **out)
{
    double v = strtod(text, NULL);
    if (!isfinite(v))
        return fail(l, "a number beyond a float");
    return checked(l, json_real(is_negative ? -v : v), out);
}

static int parse_based(struct lit *l, int base, bool is_negative, json_t **out)
{
    char text[NUMBER_MAX];
    size_t n = 0;
    l->at += 2;
    l->at += peek(l, 0) == '_';
    if (!take_digits(l, base, text, &n) || n == 0 || is_name_char(peek(l, 0)))
        return fail(l, "a malformed number");
    text[n] = 0;
    return make_int(l, text, base, is_negative, out);
}

static int parse_number(struct lit *l, bool is_negative, json_t **out)
{
    char text[NUMBER_MAX];
    size_t n = 0;
    bool is_real = false;
    int second = peek(l, 1) | 0x20;

    if (peek(l, 0) == '0' && (second == 'x' || second == 'o' || second == 'b') && peek(l, 1) > 0)
        return parse_based(l, second == 'x' ? 16 : second == 'o' ? 8 : 2, is_negative, out);
    bool is_good = take_digits(l, 10, text, &n);
    size_t n_whole = n;
    if (is_good && peek(l, 0) == '.') {
        is_real = true;
        text[n++] = '.';
        l->at++;
        is_good = peek(l, 0) != '_' && take_digits(l, 10, text, &n) && n > 1;
    }
    if (is_good && (peek(l, 0) | 0x20) == 'e' && peek(l, 0) > 0) {
        is_real = true;
        text[n++] = 'e';
        l->at++;
        if (peek(l, 0) == '+' || peek(l, 0) == '-')
            text[n++] = l->s.p[l->at++];
        is_good = is_digit_of(peek(l, 0), 10) && take_digits(l, 10, text, &n);
    }
    text[n] = 0;
    bool has_leading_zero = !is_real && text[0] == '0' && strspn(text, "0") != n_whole;
    if (!is_good || has_leading_zero || is_name_char(peek(l, 0)))
        return fail(l, "a malformed number");
    return is_real ? make_real(l, text, is_negative, out) : make_int(l, text, 10, is_negative, out);
}

/* ---- texts ---- */

static int add_char(struct lit *l, struct mu_buf *b, uint32_t cp)
{
    char bytes[4];
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return fail(l, "an escape that is no character");
    return mu_buf_add(b, bytes, (size_t)mu_utf8_encode(cp, bytes), l->e);
}

static int parse_hex(struct lit *l, struct mu_buf *b, int digits)
{
    uint32_t cp = 0;
    for (int i = 0; i < digits; i++, l->at++) {
        int c = peek(l, 0);
        if (!is_digit_of(c, 16))
            return fail(l, "an escape with too few digits");
        cp = cp * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return add_char(l, b, cp);
}

/* After a backslash. */
static int parse_escape(struct lit *l, struct mu_buf *b)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    int c = peek(l, 0);
    const char *at = c > 0 ? strchr(from, c) : NULL;

    if (at) {
        l->at++;
        return mu_buf_putc(b, to[at - from], l->e);
    }
    if (c >= '0' && c <= '7') {
        uint32_t cp = 0;
        for (int i = 0; i < 3 && is_digit_of(peek(l, 0), 8); i++)
            cp = cp * 8 + (uint32_t)(l->s.p[l->at++] - '0');
        return add_char(l, b, cp);
    }
    l->at++;
    switch (c) {
    case '\r':
        l->at += peek(l, 0) == '\n';
        return MU_OK;
    case '\n':
        return MU_OK;
    case 'x':
        return parse_hex(l, b, 2);
    case 'u':
        return parse_hex(l, b, 4);
    case 'U':
        return parse_hex(l, b, 8);
    case 'N':
        return fail(l, "a character by its name, which muster does not know: write \\u and its number");
    default: /* an unknown escape stands for itself */
        l->at--;
        return mu_buf_putc(b, '\\', l->e);
    }
}

/* One quoted text, appended; at its quote. */
static int parse_quoted(struct lit *l, struct mu_buf *b, bool is_raw)
{
    int quote = peek(l, 0);
    bool is_long = peek(l, 1) == quote && peek(l, 2) == quote;
    for (l->at += is_long ? 3 : 1;;) {
        int c = peek(l, 0);
        if (c <= 0 || (!is_long && (c == '\n' || c == '\r')))
            return fail(l, "a text without its end");
        if (c == quote && (!is_long || (peek(l, 1) == quote && peek(l, 2) == quote))) {
            l->at += is_long ? 3 : 1;
            return MU_OK;
        }
        l->at++;
        if (c == '\\' && !is_raw) {
            MU_TRY_RETURN(parse_escape(l, b));
        } else if (c == '\\') { /* raw: the character after it cannot end the text */
            MU_TRY_RETURN(mu_buf_putc(b, '\\', l->e));
            if (peek(l, 0) > 0)
                MU_TRY_RETURN(mu_buf_putc(b, l->s.p[l->at++], l->e));
        } else if (c == '\r') { /* source lines end in \n however they were written */
            l->at += peek(l, 0) == '\n';
            MU_TRY_RETURN(mu_buf_putc(b, '\n', l->e));
        } else {
            MU_TRY_RETURN(mu_buf_putc(b, (char)c, l->e));
        }
    }
}

static bool is_text_ahead(const struct lit *l)
{
    int c = peek(l, 0);
    if ((c == 'r' || c == 'R' || c == 'u' || c == 'U') && (peek(l, 1) == '"' || peek(l, 1) == '\''))
        return true;
    return c == '"' || c == '\'';
}

/* Texts side by side are one. */
static int parse_text(struct lit *l, json_t **out)
{
    struct mu_buf b = MU_BUF_INIT("a Python text", TEXT_MAX);
    int rc = MU_OK;
    while (is_text_ahead(l)) {
        bool has_prefix = peek(l, 0) != '"' && peek(l, 0) != '\'';
        bool is_raw = has_prefix && (peek(l, 0) | 0x20) == 'r';
        l->at += has_prefix;
        MU_TRY(parse_quoted(l, &b, is_raw));
        skip(l);
    }
    MU_TRY(checked(l, json_stringn_nocheck(mu_buf_str(&b).p, b.n), out));
out:
    mu_buf_fini(&b);
    return rc;
}

/* ---- displays ---- */

/* Values and commas up to `end` (0: the end of the text), appended to list; *had_comma tells (1) from (1,). */
static int parse_values(struct lit *l, int end, json_t *list, bool *had_comma)
{
    json_t *v = NULL;
    *had_comma = false;
    for (skip(l); peek(l, 0) != end; skip(l)) {
        if (json_array_size(list) > 0 && !*had_comma)
            return fail(l, "a comma or the end of the list is missing");
        MU_TRY_RETURN(parse_value(l, &v));
        if (json_array_append_new(list, v) != 0)
            return mu_fail_nomem(l->e, sizeof v, "a literal");
        skip(l);
        *had_comma = peek(l, 0) == ',';
        l->at += *had_comma;
        if (end < 0 && !*had_comma)
            break;
    }
    return MU_OK;
}

static int parse_list(struct lit *l, int end, json_t **out)
{
    json_t *list = NULL;
    bool had_comma;
    int rc = MU_OK;

    l->at++;
    MU_TRY(checked(l, json_array(), &list));
    MU_TRY(parse_values(l, end, list, &had_comma));
    l->at++;
    *out = list;
    if (end == ')' && json_array_size(list) == 1 && !had_comma)
        *out = json_array_get(list, 0); /* only a parenthesis */
    json_incref(*out);
out:
    json_decref(list);
    return rc;
}

static int parse_member(struct lit *l, json_t *dict)
{
    json_t *key = NULL, *v = NULL;
    int rc = MU_OK;

    if (!is_text_ahead(l)) {
        rc = fail(l, "a key that is no text");
        goto out;
    }
    MU_TRY(parse_text(l, &key));
    skip(l);
    if (peek(l, 0) != ':') {
        rc = fail(l, "a colon is missing");
        goto out;
    }
    l->at++;
    MU_TRY(parse_value(l, &v));
    if (json_object_setn_new_nocheck(dict, json_string_value(key), json_string_length(key), v) != 0)
        rc = mu_fail_nomem(l->e, json_string_length(key), "a literal");
out:
    json_decref(key);
    return rc;
}

static int parse_dict(struct lit *l, json_t **out)
{
    json_t *dict = NULL;
    bool had_comma = true;
    int rc = MU_OK;

    l->at++;
    MU_TRY(checked(l, json_object(), &dict));
    for (skip(l); peek(l, 0) != '}'; skip(l)) {
        if (!had_comma) {
            rc = fail(l, "a comma or the end of the dict is missing");
            goto out;
        }
        MU_TRY(parse_member(l, dict));
        skip(l);
        had_comma = peek(l, 0) == ',';
        l->at += had_comma;
    }
    l->at++;
    *out = json_incref(dict);
out:
    json_decref(dict);
    return rc;
}

/* ---- values ---- */

static int parse_name(struct lit *l, json_t **out)
{
    static const char *const names[] = {"True", "False", "None"};
    size_t n = 0;
    while (is_name_char(peek(l, n)))
        n++;
    for (int i = 0; i < 3; i++) {
        if (!mu_str_eq(mu_t_sub(l->s, l->at, l->at + n), mu_str(names[i])))
            continue;
        l->at += n;
        return checked(l, i == 0 ? json_true() : i == 1 ? json_false() : json_null(), out);
    }
    return fail(l, peek(l, 0) < 0 ? "it ends here" : "no value begins here");
}

static int parse_nested(struct lit *l, int c, json_t **out)
{
    if (l->depth >= DEPTH_MAX)
        return fail(l, "brackets in more than 200 brackets");
    l->depth++;
    int rc = c == '{' ? parse_dict(l, out) : parse_list(l, c == '[' ? ']' : ')', out);
    l->depth--;
    return rc;
}

static int parse_value(struct lit *l, json_t **out)
{
    skip(l);
    int c = peek(l, 0);
    if (c == '[' || c == '(' || c == '{')
        return parse_nested(l, c, out);
    if (is_text_ahead(l))
        return parse_text(l, out);
    bool has_sign = c == '-' || c == '+';
    if (has_sign) {
        l->at++;
        skip(l);
    }
    if (is_digit_of(peek(l, 0), 10) || (peek(l, 0) == '.' && is_digit_of(peek(l, 1), 10)))
        return parse_number(l, c == '-', out);
    return has_sign ? fail(l, "a sign without a number") : parse_name(l, out);
}

/* A value, or values with commas between them: a tuple without its parenthesis. */
static int parse_all(struct lit *l, json_t **out)
{
    json_t *list = NULL;
    bool had_comma;
    int rc = MU_OK;

    MU_TRY(checked(l, json_array(), &list));
    MU_TRY(parse_values(l, -1, list, &had_comma));
    while (peek(l, 0) == '\n' || peek(l, 0) == '\r') {
        l->at++;
        skip(l);
    }
    if (peek(l, 0) >= 0 || json_array_size(list) == 0) {
        rc = fail(l, json_array_size(list) ? "more than one value" : "it is empty");
        goto out;
    }
    *out = json_incref(json_array_size(list) == 1 && !had_comma ? json_array_get(list, 0) : list);
out:
    json_decref(list);
    return rc;
}

int mu_py_literal(struct mu_str text, json_t **out, struct mu_err *e)
{
    struct lit l = {text, 0, 0, e};
    mu_json_init();
    if (text.n == 0 || mu_utf8_valid_prefix(text.p, text.n) != text.n)
        return mu_fail(e, MU_EINVAL, "not a Python literal: %s",
                       text.n ? "the text is not UTF-8" : "the text is empty");
    while (peek(&l, 0) == '\n' || peek(&l, 0) == '\r')
        l.at++;
    return parse_all(&l, out);
}
