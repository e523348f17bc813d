/* lex.c - a template's text to tokens, with Jinja2's white-space rules
 *
 * Outside tags all is data; a tag begins with {{, {% or {#. A sign beside the delimiter decides about the blanks next
 * to it: "-" drops all of them, "+" keeps them where trim_blocks or lstrip_blocks would drop some. The rules follow the
 * regular expressions of Jinja2's lexer one by one. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tok/jinja/ast.h"
#include "tok/jinja/text.h"

#define BRACKETS_MAX 200 /* open at a time inside one tag */

struct lexer {
    struct mu_jinja *t;
    struct mu_str s;
    size_t pos;
    size_t line_pos; /* up to here line breaks are counted */
    int line;
    struct mu_jtoken *tokens;
    size_t n, cap;
    char brackets[BRACKETS_MAX]; /* closers that are due */
    int n_brackets;
    struct mu_err *e;
};

int mu_j_syntax(const struct mu_jinja *t, int line, struct mu_err *e, int code, const char *fmt, ...)
{
    char text[MU_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mu_fail(e, code, "template %s, line %d: %s", t->name, line, text);
}

static int line_at(struct lexer *x, size_t pos)
{
    for (; x->line_pos < pos; x->line_pos++)
        x->line += x->s.p[x->line_pos] == '\n';
    return x->line;
}

#define LEX_FAIL(x, pos, ...) mu_j_syntax((x)->t, line_at((x), (pos)), (x)->e, MU_EFORMAT, __VA_ARGS__)

static int emit(struct lexer *x, size_t at, struct mu_jtoken token)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 256;
        struct mu_jtoken *p = mu_realloc(x->tokens, cap * sizeof *p);
        if (!p)
            return mu_fail_nomem(x->e, cap * sizeof *p, "tokens of a template");
        x->tokens = p;
        x->cap = cap;
    }
    token.line = line_at(x, at);
    x->tokens[x->n++] = token;
    return MU_OK;
}

static bool at_text(const struct lexer *x, size_t pos, const char *text)
{
    size_t n = strlen(text);
    return n <= x->s.n - pos && memcmp(x->s.p + pos, text, n) == 0;
}

static size_t skip_space(const struct lexer *x, size_t pos)
{
    size_t len;
    while (pos < x->s.n && mu_t_is_space(mu_t_at(x->s, pos, &len)))
        pos += len;
    return pos;
}

/* The end of a tag at pos, white-space control included, or 0: "-%}" and the blanks after it, "+%}", "%}" and with
 * trim_blocks one line break. Variables know no "+" and are never trimmed. */
static size_t tag_end(const struct lexer *x, size_t pos, const char *end, bool is_variable)
{
    size_t n = strlen(end);
    if (pos >= x->s.n)
        return 0;
    if (x->s.p[pos] == '-' && at_text(x, pos + 1, end))
        return skip_space(x, pos + 1 + n);
    if (!is_variable && x->s.p[pos] == '+' && at_text(x, pos + 1, end))
        return pos + 1 + n;
    if (!at_text(x, pos, end))
        return 0;
    pos += n;
    return pos + (!is_variable && x->t->o.trim_blocks && pos < x->s.n && x->s.p[pos] == '\n');
}

/* Data before a tag, cut by the tag's sign or by lstrip_blocks. */
static int emit_data(struct lexer *x, size_t from, size_t to, char sign, bool may_lstrip)
{
    struct mu_str text = mu_t_sub(x->s, from, to);
    if (sign == '-') {
        text = mu_t_rstrip(text, (struct mu_str){0});
    } else if (sign != '+' && x->t->o.lstrip_blocks && may_lstrip) {
        size_t nl = mu_t_rfind(text, MU_STR("\n"), text.n);
        size_t start = nl == SIZE_MAX ? 0 : nl + 1;
        bool is_line_start = start > 0 || from == 0 || x->s.p[from - 1] == '\n';
        if (is_line_start && mu_t_lstrip(mu_t_sub(text, start, text.n), (struct mu_str){0}).n == 0)
            text.n = start;
    }
    if (text.n == 0)
        return MU_OK;
    return emit(x, from, (struct mu_jtoken){.t = T_DATA, .s = text});
}

/* ---- inside tags ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* digits of the base with single underscores between: \d(_?\d)*; from an underscore too where `lead` */
static size_t digits(const struct lexer *x, size_t pos, int base, bool lead)
{
    const char *set = base == 16 ? "0123456789abcdefABCDEF" : base == 8 ? "01234567" : base == 2 ? "01" : "0123456789";
    size_t at = pos;
    while (at < x->s.n) {
        size_t d = at + (x->s.p[at] == '_' && (at > pos || lead));
        if (d >= x->s.n || x->s.p[d] == 0 || !strchr(set, x->s.p[d]))
            break;
        at = d + 1;
    }
    return at;
}

/* The end of a float at pos, or pos. */
static size_t float_end(const struct lexer *x, size_t pos)
{
    if (pos > 0 && x->s.p[pos - 1] == '.')
        return pos;
    size_t whole = digits(x, pos, 10, false), at = whole, frac = whole;
    if (at == pos)
        return pos;
    if (at + 1 < x->s.n && x->s.p[at] == '.' && is_digit(x->s.p[at + 1]))
        frac = at = digits(x, at + 1, 10, false);
    if (at < x->s.n && (x->s.p[at] == 'e' || x->s.p[at] == 'E')) {
        size_t e = at + 1;
        e += e < x->s.n && (x->s.p[e] == '+' || x->s.p[e] == '-');
        size_t end = digits(x, e, 10, false);
        if (end > e)
            return end;
    }
    return frac > whole ? frac : pos;
}

#define NUMBER_MAX 400 /* digits of a literal; more than any float has */

static int lex_number(struct lexer *x)
{
    char text[NUMBER_MAX + 1];
    size_t from = x->pos, end = float_end(x, from), n = 0;
    struct mu_jtoken token = {.t = T_FLOAT};
    int base = 10;

    if (end == from) {
        char kind = from + 1 < x->s.n && x->s.p[from] == '0' ? (char)(x->s.p[from + 1] | 0x20) : 0;
        base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
        token.t = T_INT;
        end = base == 10 ? from : digits(x, from + 2, base, true);
        if (base != 10 && end == from + 2)
            base = 10;
        if (base == 10 && x->s.p[from] == '0') /* 0(_?0)* */
            for (end = from + 1; end < x->s.n && (x->s.p[end] == '0' || at_text(x, end, "_0"));)
                end += x->s.p[end] == '0' ? 1 : 2;
        else if (base == 10)
            end = digits(x, from, 10, false);
    }
    for (size_t i = from + (base == 10 ? 0 : 2); i < end; i++) {
        if (n == NUMBER_MAX)
            return LEX_FAIL(x, from, "a number of %zu characters, at most %d are supported", end - from, NUMBER_MAX);
        if (x->s.p[i] != '_')
            text[n++] = x->s.p[i];
    }
    text[n] = 0;
    x->pos = end;
    if (token.t == T_FLOAT) {
        token.f = strtod(text, NULL);
        return emit(x, from, token);
    }
    errno = 0;
    token.i = strtoll(text, NULL, base);
    if (errno == ERANGE)
        return LEX_FAIL(x, from, "the integer %s does not fit in 64 bits", text);
    return emit(x, from, token);
}

static int hex_of(const struct lexer *x, size_t pos, int n, uint32_t *cp)
{
    *cp = 0;
    for (int i = 0; i < n; i++) {
        if (pos + (size_t)i >= x->s.n)
            return -1;
        char c = x->s.p[pos + (size_t)i];
        int d = is_digit(c) ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        *cp = *cp << 4 | (uint32_t)d;
    }
    return 0;
}

/* One escape at pos (after the backslash) into out; Python's rules, unknown ones are kept as they are. */
static int unescape(struct lexer *x, size_t *pos, char *out, size_t *n)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    char c = x->s.p[*pos];
    const char *plain = c ? strchr(from, c) : NULL;
    uint32_t cp = 0;

    if (c == '\n') {
        *pos += 1;
        return MU_OK;
    }
    if (plain) {
        out[(*n)++] = to[plain - from];
        *pos += 1;
        return MU_OK;
    }
    if (c >= '0' && c <= '7') {
        int i = 0;
        for (; i < 3 && *pos < x->s.n && x->s.p[*pos] >= '0' && x->s.p[*pos] <= '7'; i++)
            cp = cp * 8 + (uint32_t)(x->s.p[(*pos)++] - '0');
        *n += (size_t)mu_utf8_encode(cp, out + *n);
        return MU_OK;
    }
    int digits_n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits_n > 0) {
        if (hex_of(x, *pos + 1, digits_n, &cp) != 0)
            return LEX_FAIL(x, *pos, "truncated \\%c escape in a string", c);
        if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
            return LEX_FAIL(x, *pos, "\\%c%x in a string is no Unicode character", c, cp);
        *n += (size_t)mu_utf8_encode(cp, out + *n);
        *pos += 1 + (size_t)digits_n;
        return MU_OK;
    }
    if (c == 'N')
        return LEX_FAIL(x, *pos, "\\N{name} in a string is not supported; write the character");
    out[(*n)++] = '\\';
    return MU_OK;
}

static int lex_string(struct lexer *x)
{
    size_t from = x->pos, end = from + 1, n = 0;
    char quote = x->s.p[from];

    while (end < x->s.n && x->s.p[end] != quote)
        end += x->s.p[end] == '\\' ? 2 : 1;
    if (end >= x->s.n)
        return LEX_FAIL(x, from, "unexpected char '%c' at %zu: the string has no end", quote, from);
    char *text = mu_arena_alloc_aligned(&x->t->arena, 2 * (end - from), 1, x->e); /* an octal may grow by a byte */
    if (!text)
        return x->e->code;
    for (size_t pos = from + 1; pos < end;) {
        if (x->s.p[pos] != '\\') {
            text[n++] = x->s.p[pos++];
            continue;
        }
        pos++;
        MU_TRY_RETURN(unescape(x, &pos, text, &n));
    }
    x->pos = end + 1;
    return emit(x, from, (struct mu_jtoken){.t = T_STRING, .s = {text, n}});
}

static int lex_name(struct lexer *x)
{
    size_t from = x->pos, len;
    while (x->pos < x->s.n && mu_t_is_word(mu_t_at(x->s, x->pos, &len)))
        x->pos += len;
    return emit(x, from, (struct mu_jtoken){.t = T_NAME, .s = mu_t_sub(x->s, from, x->pos)});
}

static int lex_operator(struct lexer *x)
{
    static const char *const two[] = {"//", "**", "==", "!=", "<=", ">="};
    size_t from = x->pos;
    char c = x->s.p[from];
    int op = 0;

    for (size_t i = 0; i < MU_COUNT(two) && op == 0; i++)
        if (at_text(x, from, two[i]))
            op = OP2(two[i][0], two[i][1]);
    if (op == 0 && c != 0 && strchr("+-/*%~[](){}><=.:|,;", c))
        op = c;
    if (op == 0) {
        size_t len;
        mu_t_at(x->s, from, &len);
        return LEX_FAIL(x, from, "unexpected char '%.*s' at %zu", (int)len, x->s.p + from, from);
    }
    if (c == '(' || c == '[' || c == '{') {
        if (x->n_brackets == BRACKETS_MAX)
            return LEX_FAIL(x, from, "more than %d open brackets", BRACKETS_MAX);
        x->brackets[x->n_brackets++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
        if (x->n_brackets == 0)
            return LEX_FAIL(x, from, "unexpected '%c'", c);
        char want = x->brackets[--x->n_brackets];
        if (want != c)
            return LEX_FAIL(x, from, "unexpected '%c', expected '%c'", c, want);
    }
    x->pos += op > 255 ? 2 : 1;
    return emit(x, from, (struct mu_jtoken){.t = T_OP, .op = op});
}

/* From after "{{" or "{%" to the end of the tag. */
static int lex_tag(struct lexer *x, bool is_variable)
{
    size_t len;
    x->n_brackets = 0;
    while (x->pos < x->s.n) {
        size_t end = x->n_brackets ? 0 : tag_end(x, x->pos, is_variable ? "}}" : "%}", is_variable);
        if (end > 0) {
            size_t at = x->pos;
            x->pos = end;
            return emit(x, at, (struct mu_jtoken){.t = is_variable ? T_VAR_END : T_BLOCK_END});
        }
        char c = x->s.p[x->pos];
        uint32_t cp = mu_t_at(x->s, x->pos, &len);
        if (mu_t_is_space(cp))
            x->pos += len;
        else if (is_digit(c))
            MU_TRY_RETURN(lex_number(x));
        else if (c == '\'' || c == '"')
            MU_TRY_RETURN(lex_string(x));
        else if (mu_t_is_word(cp))
            MU_TRY_RETURN(lex_name(x));
        else
            MU_TRY_RETURN(lex_operator(x));
    }
    return MU_OK; /* the parser says what is missing */
}

/* ---- outside tags ---- */

static int lex_comment(struct lexer *x, size_t at)
{
    for (size_t pos = x->pos; pos < x->s.n; pos++) {
        size_t end = tag_end(x, pos, "#}", false);
        if (end > 0) {
            x->pos = end;
            return MU_OK;
        }
    }
    if (x->pos == x->s.n)
        return MU_OK; /* nothing follows: Jinja2 lets it pass */
    return LEX_FAIL(x, at, "Missing end of comment tag");
}

/* `{%- raw %}` at pos: where its text begins, or 0. */
static size_t raw_begin(const struct lexer *x, size_t pos)
{
    pos = skip_space(x, pos);
    if (!at_text(x, pos, "raw"))
        return 0;
    pos = skip_space(x, pos + 3);
    if (at_text(x, pos, "-%}"))
        return skip_space(x, pos + 3);
    return at_text(x, pos, "%}") ? pos + 2 : 0;
}

static char sign_at(const struct lexer *x, size_t pos)
{
    return pos < x->s.n && (x->s.p[pos] == '-' || x->s.p[pos] == '+') ? x->s.p[pos] : 0;
}

static int lex_raw(struct lexer *x, size_t at)
{
    size_t from = x->pos;
    for (size_t pos = mu_t_find(x->s, MU_STR("{%"), from); pos != SIZE_MAX;
         pos = mu_t_find(x->s, MU_STR("{%"), pos + 1)) {
        char sign = sign_at(x, pos + 2);
        size_t word = skip_space(x, pos + 2 + (sign != 0));
        if (!at_text(x, word, "endraw"))
            continue;
        size_t end = tag_end(x, skip_space(x, word + 6), "%}", false);
        if (end == 0)
            continue;
        x->pos = end;
        return emit_data(x, from, pos, sign, true);
    }
    if (from == x->s.n)
        return MU_OK; /* nothing follows: Jinja2 lets it pass */
    return LEX_FAIL(x, at, "Missing end of raw directive");
}

/* The next "{{", "{%" or "{#" from pos on. */
static size_t next_tag(const struct lexer *x, size_t pos)
{
    for (;; pos++) {
        const char *p = pos < x->s.n ? memchr(x->s.p + pos, '{', x->s.n - pos) : NULL;
        if (!p || (size_t)(p - x->s.p) + 1 >= x->s.n)
            return SIZE_MAX;
        pos = (size_t)(p - x->s.p);
        if (p[1] == '{' || p[1] == '%' || p[1] == '#')
            return pos;
    }
}

static int lex_all(struct lexer *x)
{
    while (x->pos < x->s.n) {
        size_t from = x->pos, at = next_tag(x, from);
        if (at == SIZE_MAX) {
            x->pos = x->s.n;
            return emit(x, from, (struct mu_jtoken){.t = T_DATA, .s = mu_t_sub(x->s, from, x->s.n)});
        }
        char kind = x->s.p[at + 1], sign = sign_at(x, at + 2);
        MU_TRY_RETURN(emit_data(x, from, at, sign, kind != '{'));
        x->pos = at + 2 + (sign != 0);
        size_t raw = kind == '%' ? raw_begin(x, x->pos) : 0;
        if (raw > 0) {
            x->pos = raw;
            MU_TRY_RETURN(lex_raw(x, at));
        } else if (kind == '#') {
            MU_TRY_RETURN(lex_comment(x, at));
        } else {
            MU_TRY_RETURN(emit(x, at, (struct mu_jtoken){.t = kind == '{' ? T_VAR_BEGIN : T_BLOCK_BEGIN}));
            MU_TRY_RETURN(lex_tag(x, kind == '{'));
        }
    }
    return MU_OK;
}

/* \r\n and \r become \n; the last line break goes unless it is to be kept. In the arena. */
static int normalize(struct mu_jinja *t, struct mu_str source, struct mu_str *out, struct mu_err *e)
{
    char *p = mu_arena_alloc_aligned(&t->arena, source.n + 1, 1, e);
    size_t n = 0;
    if (!p)
        return e->code;
    for (size_t i = 0; i < source.n; i++) {
        if (source.p[i] != '\r')
            p[n++] = source.p[i];
        else if (i + 1 >= source.n || source.p[i + 1] != '\n')
            p[n++] = '\n';
    }
    if (!t->o.keep_trailing_newline && n > 0 && p[n - 1] == '\n')
        n--;
    *out = (struct mu_str){p, n};
    return MU_OK;
}

int mu_j_lex(struct mu_jinja *t, struct mu_str source, struct mu_jtoken **out, struct mu_err *e)
{
    struct lexer x = {.t = t, .line = 1, .e = e};
    int rc;

    size_t valid = mu_utf8_valid_prefix(source.p, source.n);
    if (valid < source.n)
        return mu_fail(e, MU_EFORMAT, "template %s: byte %zu (0x%02x) is no UTF-8", t->name, valid,
                       (unsigned char)source.p[valid]);
    MU_TRY(normalize(t, source, &x.s, e));
    MU_TRY(lex_all(&x));
    MU_TRY(emit(&x, x.s.n, (struct mu_jtoken){.t = T_EOF}));
    *out = x.tokens;
    x.tokens = NULL;
out:
    mu_free(x.tokens);
    return rc;
}
