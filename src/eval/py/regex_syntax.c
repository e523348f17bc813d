/* regex_syntax.c - from Python's syntax of patterns to PCRE2's
 *
 * A pattern is read item by item by the rules of Lib/re/_parser.py (CPython 3.11) and written anew, so nothing that
 * PCRE2 alone knows gets through. Verbose patterns lose their blanks and comments here, named groups their names. */
#include "base/check.h"
#include "base/utf8.h"
#include "eval/py/regex_int.h"
#include "tok/jinja/text.h"

#define REPEAT_MAX 65535 /* PCRE2's */

#define WORD "[\\p{L}\\p{N}_]"

enum item { ITEM_NONE, ITEM_ATOM, ITEM_ANCHOR, ITEM_REPEAT };

static int parse_items(struct mu_pyre_reader *t, bool is_verbose);

int mu_pyre_fail(const struct mu_pyre_reader *t, int code, const char *why)
{
    return mu_fail(t->e, code, "%s: the pattern \"%.*s\" has %s (before its byte %zu)", t->where,
                   (int)MU_MIN(t->s.n, (size_t)200), t->s.p, why, t->at);
}

int mu_pyre_peek(const struct mu_pyre_reader *t, size_t ahead)
{
    return t->at + ahead < t->s.n ? (unsigned char)t->s.p[t->at + ahead] : -1;
}

int mu_pyre_emit(struct mu_pyre_reader *t, const char *text)
{
    return mu_buf_puts(&t->x->out, text, t->e);
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

int mu_pyre_emit_char(struct mu_pyre_reader *t, uint32_t cp)
{
    if (is_digit((int)cp) || (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z'))
        return mu_buf_putc(&t->x->out, (char)cp, t->e);
    return mu_buf_printf(&t->x->out, t->e, "\\x{%x}", cp);
}

static bool take(struct mu_pyre_reader *t, const char *text)
{
    size_t n = strlen(text);
    if (t->s.n - t->at < n || memcmp(t->s.p + t->at, text, n) != 0)
        return false;
    t->at += n;
    return true;
}

/* ---- names and numbers of groups ---- */

int mu_pyre_group_of(const struct mu_pyre_syntax *x, struct mu_str pattern, struct mu_str name)
{
    for (int i = 0; i < x->n_names; i++)
        if (mu_str_eq(mu_t_sub(pattern, x->names[i].at, x->names[i].at + x->names[i].n), name))
            return x->names[i].group;
    return -1;
}

/* A name up to the character `end`, which is taken too. */
static int take_name(struct mu_pyre_reader *t, char end, struct mu_str *name)
{
    size_t from = t->at, len;
    while (t->at < t->s.n && t->s.p[t->at] != end) {
        if (!mu_t_is_word(mu_t_at(t->s, t->at, &len)))
            return mu_pyre_fail(t, MU_EFORMAT, "a group name that is no identifier");
        t->at += len;
    }
    if (t->at == t->s.n || t->at == from)
        return mu_pyre_fail(t, MU_EFORMAT, "a group name that is empty or does not end");
    *name = mu_t_sub(t->s, from, t->at);
    t->at++;
    return MU_OK;
}

static int add_group(struct mu_pyre_reader *t, int *group)
{
    if (t->x->groups + 1 >= MU_PYRE_GROUPS_MAX)
        return mu_pyre_fail(t, MU_ELIMIT, "more than 99 groups");
    *group = ++t->x->groups;
    t->is_open[*group] = true;
    return MU_OK;
}

static int add_named_group(struct mu_pyre_reader *t, int *group)
{
    struct mu_str name;
    MU_TRY_RETURN(take_name(t, '>', &name));
    if (is_digit(name.p[0]))
        return mu_pyre_fail(t, MU_EFORMAT, "a group name that is no identifier");
    if (mu_pyre_group_of(t->x, t->s, name) >= 0)
        return mu_pyre_fail(t, MU_EFORMAT, "two groups of one name");
    MU_TRY_RETURN(add_group(t, group));
    t->x->names[t->x->n_names++] = (struct mu_pyre_name){(size_t)(name.p - t->s.p), name.n, *group};
    return MU_OK;
}

static int emit_backreference(struct mu_pyre_reader *t, int group)
{
    if (group < 1 || group > t->x->groups)
        return mu_pyre_fail(t, MU_EFORMAT, "a reference to a group that does not come before it");
    if (t->is_open[group])
        return mu_pyre_fail(t, MU_EFORMAT, "a reference to a group from inside of it");
    return mu_buf_printf(&t->x->out, t->e, "\\g{%d}", group);
}

/* ---- groups ---- */

static int parse_body(struct mu_pyre_reader *t, bool is_verbose)
{
    if (t->depth >= MU_PYRE_DEPTH_MAX)
        return mu_pyre_fail(t, MU_ELIMIT, "groups in more than 200 groups");
    t->depth++;
    MU_TRY_RETURN(parse_items(t, is_verbose));
    t->depth--;
    if (mu_pyre_peek(t, 0) != ')')
        return mu_pyre_fail(t, MU_EFORMAT, "a ( without its )");
    t->at++;
    return mu_pyre_emit(t, ")");
}

static int parse_capture(struct mu_pyre_reader *t, bool has_name, bool is_verbose)
{
    int group = 0;
    MU_TRY_RETURN(has_name ? add_named_group(t, &group) : add_group(t, &group));
    MU_TRY_RETURN(mu_pyre_emit(t, "("));
    MU_TRY_RETURN(parse_body(t, is_verbose));
    t->is_open[group] = false;
    return MU_OK;
}

/* (?(1)yes|no), (?(name)yes|no) */
static int parse_condition(struct mu_pyre_reader *t, bool is_verbose)
{
    struct mu_str name;
    int group = 0;
    MU_TRY_RETURN(take_name(t, ')', &name));
    if (is_digit(name.p[0])) {
        for (size_t i = 0; i < name.n && group < MU_PYRE_GROUPS_MAX; i++)
            group = is_digit(name.p[i]) ? group * 10 + (name.p[i] - '0') : MU_PYRE_GROUPS_MAX;
    } else {
        group = mu_pyre_group_of(t->x, t->s, name);
    }
    if (group < 1 || group >= MU_PYRE_GROUPS_MAX)
        return mu_pyre_fail(t, MU_EFORMAT, "a condition on a group that does not exist");
    t->latest_condition = MU_MAX(t->latest_condition, group);
    MU_TRY_RETURN(mu_buf_printf(&t->x->out, t->e, "(?(%d)", group));
    return parse_body(t, is_verbose);
}

/* Letters of (?aiLmsux); -1 for another, with the sentence. VERBOSE is ours, not PCRE2's. */
static int flag_of(struct mu_pyre_reader *t, int c, unsigned *flag)
{
    static const char letters[] = "imsxu";
    static const unsigned flags[] = {MU_PYRE_IGNORECASE, MU_PYRE_MULTILINE, MU_PYRE_DOTALL, MU_PYRE_VERBOSE, 0};
    const char *at = c > 0 ? strchr(letters, c) : NULL;
    if (!at && (c == 'a' || c == 'L'))
        return mu_pyre_fail(t, MU_EUNSUPPORTED, "the flag a or L: muster reads patterns as Unicode only");
    if (!at)
        return mu_pyre_fail(t, MU_EFORMAT, "an unknown letter after (?");
    *flag = flags[at - letters];
    return MU_OK;
}

/* (?i-s:...) with t->at at the first letter */
static int parse_scoped_flags(struct mu_pyre_reader *t, bool is_verbose)
{
    bool is_off = false;
    unsigned flag = 0;
    MU_TRY_RETURN(mu_pyre_emit(t, "(?"));
    for (int c; (c = mu_pyre_peek(t, 0)) != ':'; t->at++) {
        if (c == ')')
            return mu_pyre_fail(t, MU_EFORMAT, "flags for all of it that do not stand at its beginning");
        if (c == '-' && !is_off) {
            is_off = true;
            MU_TRY_RETURN(mu_pyre_emit(t, "-"));
            continue;
        }
        MU_TRY_RETURN(flag_of(t, c, &flag));
        if (flag == MU_PYRE_VERBOSE)
            is_verbose = !is_off;
        else if (flag)
            MU_TRY_RETURN(mu_buf_putc(&t->x->out, (char)c, t->e));
    }
    t->at++;
    MU_TRY_RETURN(mu_pyre_emit(t, ":"));
    return parse_body(t, is_verbose);
}

/* With t->at behind "(?P". */
static int parse_p(struct mu_pyre_reader *t, bool is_verbose)
{
    struct mu_str name;
    if (take(t, "<"))
        return parse_capture(t, true, is_verbose);
    if (!take(t, "="))
        return mu_pyre_fail(t, MU_EFORMAT, "an unknown extension after (?P");
    MU_TRY_RETURN(take_name(t, ')', &name));
    return emit_backreference(t, mu_pyre_group_of(t->x, t->s, name));
}

static int skip_comment(struct mu_pyre_reader *t)
{
    while (mu_pyre_peek(t, 0) >= 0 && mu_pyre_peek(t, 0) != ')')
        t->at++;
    if (mu_pyre_peek(t, 0) < 0)
        return mu_pyre_fail(t, MU_EFORMAT, "a comment without its )");
    t->at++;
    return MU_OK;
}

/* With t->at behind "(". */
static int parse_group(struct mu_pyre_reader *t, bool is_verbose, enum item *last)
{
    static const char *const plain[] = {"?:", "?=", "?!", "?<=", "?<!", "?>"};
    if (take(t, "?#"))
        return skip_comment(t);
    *last = ITEM_ATOM;
    for (size_t i = 0; i < MU_COUNT(plain); i++) {
        if (!take(t, plain[i]))
            continue;
        MU_TRY_RETURN(mu_pyre_emit(t, "("));
        MU_TRY_RETURN(mu_pyre_emit(t, plain[i]));
        t->x->is_atomic |= plain[i][1] == '>';
        return parse_body(t, is_verbose);
    }
    if (take(t, "?P"))
        return parse_p(t, is_verbose);
    if (take(t, "?("))
        return parse_condition(t, is_verbose);
    if (take(t, "?"))
        return parse_scoped_flags(t, is_verbose);
    return parse_capture(t, false, is_verbose);
}

/* ---- escapes ---- */

/* \1..\99 is a group, three octal digits a character. */
static int parse_number_escape(struct mu_pyre_reader *t)
{
    int a = mu_pyre_peek(t, 0), b = mu_pyre_peek(t, 1), c = mu_pyre_peek(t, 2);
    uint32_t cp = 0;
    if (a == '0' || (a <= '7' && b >= '0' && b <= '7' && c >= '0' && c <= '7')) {
        MU_TRY_RETURN(mu_pyre_escape_char(t, false, &cp));
        return mu_pyre_emit_char(t, cp);
    }
    t->at += is_digit(b) ? 2 : 1;
    return emit_backreference(t, is_digit(b) ? (a - '0') * 10 + b - '0' : a - '0');
}

/* With t->at behind the backslash. */
static int parse_escape(struct mu_pyre_reader *t, enum item *last)
{
    int c = mu_pyre_peek(t, 0);
    const char *category = mu_pyre_category(c, false);
    uint32_t cp = 0;

    *last = ITEM_ATOM;
    if (c >= '0' && c <= '9')
        return parse_number_escape(t);
    if (category) {
        t->at++;
        return mu_pyre_emit(t, category);
    }
    if (c == 'A' || c == 'Z' || c == 'b' || c == 'B') {
        *last = ITEM_ANCHOR;
        t->at++;
        /* CPython's \B never matches in an empty text. */
        return mu_pyre_emit(t, c == 'A'   ? "\\A"
                               : c == 'Z' ? "\\z"
                               : c == 'b' ? "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))"
                                          : "(?:(?<=" WORD ")(?=" WORD ")|(?!\\A\\z)(?<!" WORD ")(?!" WORD "))");
    }
    MU_TRY_RETURN(mu_pyre_escape_char(t, false, &cp));
    return mu_pyre_emit_char(t, cp);
}

/* ---- repeats ---- */

static bool take_count(struct mu_pyre_reader *t, int64_t *v)
{
    size_t from = t->at;
    for (*v = 0; is_digit(mu_pyre_peek(t, 0)); t->at++)
        *v = MU_MIN(*v * 10 + (t->s.p[t->at] - '0'), (int64_t)REPEAT_MAX + 1);
    return t->at > from;
}

/* {m}, {m,}, {,n}, {m,n}, {,}; anything else after a brace is only a brace (*is_repeat false). */
static int parse_braces(struct mu_pyre_reader *t, bool *is_repeat)
{
    size_t from = t->at;
    int64_t low = 0, high = 0;

    t->at++;
    bool has_low = take_count(t, &low), has_comma = take(t, ","), has_high = has_comma && take_count(t, &high);
    *is_repeat = (has_low || has_comma) && take(t, "}");
    if (!*is_repeat) {
        t->at = from;
        return MU_OK;
    }
    if (low > REPEAT_MAX || high > REPEAT_MAX)
        return mu_pyre_fail(t, MU_EUNSUPPORTED, "a repeat of more than 65535 times");
    if (has_high && high < low)
        return mu_pyre_fail(t, MU_EFORMAT, "a repeat whose least is above its most");
    if (!has_comma)
        return mu_buf_printf(&t->x->out, t->e, "{%d}", (int)low);
    if (!has_high)
        return mu_buf_printf(&t->x->out, t->e, "{%d,}", (int)low);
    return mu_buf_printf(&t->x->out, t->e, "{%d,%d}", (int)low, (int)high);
}

static int parse_repeat(struct mu_pyre_reader *t, enum item *last)
{
    char c = t->s.p[t->at], text[2] = {c, 0};
    if (c == '{') {
        bool is_repeat;
        MU_TRY_RETURN(parse_braces(t, &is_repeat));
        if (!is_repeat) {
            t->at++;
            *last = ITEM_ATOM;
            return mu_pyre_emit_char(t, '{');
        }
    } else {
        t->at++;
        MU_TRY_RETURN(mu_pyre_emit(t, text));
    }
    if (*last == ITEM_NONE || *last == ITEM_ANCHOR)
        return mu_pyre_fail(t, MU_EFORMAT, "a repeat of nothing");
    if (*last == ITEM_REPEAT)
        return mu_pyre_fail(t, MU_EFORMAT, "a repeat of a repeat");
    *last = ITEM_REPEAT;
    if (take(t, "?"))
        return mu_pyre_emit(t, "?");
    if (!take(t, "+"))
        return MU_OK;
    t->x->is_atomic = true;
    return mu_pyre_emit(t, "+");
}

/* ---- items ---- */

static int parse_item(struct mu_pyre_reader *t, bool is_verbose, enum item *last)
{
    char c = t->s.p[t->at];
    size_t len;
    if (strchr("*+?{", c) && c)
        return parse_repeat(t, last);
    uint32_t cp = mu_t_at(t->s, t->at, &len);
    t->at += len;
    *last = c == '(' ? *last : c == '^' || c == '$' ? ITEM_ANCHOR : ITEM_ATOM;
    switch (c) {
    case '(':
        return parse_group(t, is_verbose, last);
    case '[':
        return mu_pyre_class(t);
    case '\\':
        return parse_escape(t, last);
    case '.':
        return mu_pyre_emit(t, ".");
    case '^':
        return mu_pyre_emit(t, "^");
    case '$':
        return mu_pyre_emit(t, "$");
    default:
        return mu_pyre_emit_char(t, cp);
    }
}

/* In a verbose pattern: one blank, or a comment up to the end of its line. */
static bool skip_blank(struct mu_pyre_reader *t)
{
    char c = t->s.p[t->at];
    if (c == '#') {
        while (mu_pyre_peek(t, 0) >= 0 && mu_pyre_peek(t, 0) != '\n')
            t->at++;
        return true;
    }
    bool is_blank = c && strchr(" \t\n\r\v\f", c);
    t->at += is_blank;
    return is_blank;
}

/* Up to a closing parenthesis or the end. */
static int parse_items(struct mu_pyre_reader *t, bool is_verbose)
{
    enum item last = ITEM_NONE;
    while (t->at < t->s.n && t->s.p[t->at] != ')') {
        if (is_verbose && skip_blank(t))
            continue;
        if (!take(t, "|")) {
            MU_TRY_RETURN(parse_item(t, is_verbose, &last));
            continue;
        }
        last = ITEM_NONE;
        MU_TRY_RETURN(mu_pyre_emit(t, "|"));
    }
    return MU_OK;
}

/* (?ims) at the beginning are flags for all of the pattern. */
static int parse_global_flags(struct mu_pyre_reader *t)
{
    for (;;) {
        size_t from = t->at;
        unsigned flag = 0, flags = 0;
        if (!take(t, "(?") || mu_pyre_peek(t, 0) < 'a' || mu_pyre_peek(t, 0) > 'z') {
            t->at = from;
            return MU_OK;
        }
        for (int c; (c = mu_pyre_peek(t, 0)) != ')'; t->at++) {
            if (c == ':' || c == '-') { /* flags of a group */
                t->at = from;
                return MU_OK;
            }
            MU_TRY_RETURN(flag_of(t, c, &flag));
            flags |= flag;
        }
        t->at++;
        t->x->flags |= flags;
    }
}

int mu_pyre_translate(struct mu_pyre_syntax *x, struct mu_str pattern, unsigned flags, const char *where,
                      struct mu_err *e)
{
    struct mu_pyre_reader t = {.x = x, .s = pattern, .where = where, .e = e};
    if (pattern.n > MU_PYRE_BYTES_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: a pattern of %zu bytes is longer than %d", where, pattern.n,
                       MU_PYRE_BYTES_MAX);
    if (pattern.n && mu_utf8_valid_prefix(pattern.p, pattern.n) != pattern.n)
        return mu_fail(e, MU_EFORMAT, "%s: a pattern is not UTF-8", where);
    x->flags = flags;
    MU_TRY_RETURN(parse_global_flags(&t));
    MU_TRY_RETURN(parse_items(&t, (x->flags & MU_PYRE_VERBOSE) != 0));
    if (t.at < pattern.n)
        return mu_pyre_fail(&t, MU_EFORMAT, "a ) without its (");
    if (t.latest_condition > x->groups)
        return mu_pyre_fail(&t, MU_EFORMAT, "a condition on a group that does not exist");
    return MU_OK;
}
