/* regex_sub.c - re.sub, with the replacement syntax of Lib/re/_parser.py (parse_template) */
#include "base/check.h"
#include "base/utf8.h"
#include "eval/py/regex_int.h"
#include "tok/jinja/text.h"

#define REPLACEMENT_MAX 65536
#define PARTS_MAX       1000

/* A replacement taken apart: literal text up to `until`, then a group. */
struct part {
    size_t until;
    int group;
};

struct template
{
    struct mu_buf literal;
    struct part parts[PARTS_MAX];
    int n;
};

struct reading {
    const struct mu_pyre *r;
    struct mu_str s;
    size_t at;
    struct template *out;
    struct mu_err *e;
};

static int fail(const struct reading *t, const char *why)
{
    return mu_fail(t->e, MU_EFORMAT, "%s: the replacement \"%.*s\" of the pattern \"%.100s\" has %s", t->r->where,
                   (int)MU_MIN(t->s.n, (size_t)100), t->s.p, t->r->pattern, why);
}

static int peek(const struct reading *t, size_t ahead)
{
    return t->at + ahead < t->s.n ? (unsigned char)t->s.p[t->at + ahead] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int add_group(struct reading *t, int group)
{
    if (group < 0 || group > t->r->syntax.groups)
        return fail(t, "a reference to a group that the pattern lacks");
    if (t->out->n == PARTS_MAX)
        return fail(t, "more than 1000 references");
    t->out->parts[t->out->n++] = (struct part){t->out->literal.n, group};
    return MU_OK;
}

static int add_octal(struct reading *t)
{
    char bytes[4];
    uint32_t cp = 0;
    for (int i = 0; i < 3 && peek(t, 0) >= '0' && peek(t, 0) <= '7'; i++, t->at++)
        cp = cp * 8 + (uint32_t)(t->s.p[t->at] - '0');
    if (cp > 0377)
        return fail(t, "an octal escape above \\377");
    return mu_buf_add(&t->out->literal, bytes, (size_t)mu_utf8_encode(cp, bytes), t->e);
}

/* \g<name>, \g<12>; t->at behind the g */
static int read_named(struct reading *t)
{
    size_t from = t->at + 1;
    int group = 0;
    if (peek(t, 0) != '<')
        return fail(t, "a \\g without a <name>");
    while (peek(t, 0) >= 0 && peek(t, 0) != '>')
        t->at++;
    if (peek(t, 0) < 0 || t->at == from)
        return fail(t, "a \\g without a <name>");
    struct mu_str name = mu_t_sub(t->s, from, t->at++);
    if (is_digit(name.p[0])) {
        for (size_t i = 0; i < name.n && group < MU_PYRE_GROUPS_MAX; i++)
            group = is_digit(name.p[i]) ? group * 10 + (name.p[i] - '0') : MU_PYRE_GROUPS_MAX;
    } else {
        group = mu_pyre_group_of(&t->r->syntax, (struct mu_str){t->r->pattern, t->r->pattern_n}, name);
    }
    return add_group(t, group);
}

/* With t->at behind the backslash. */
static int read_escape(struct reading *t)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    int a = peek(t, 0), b = peek(t, 1), c = peek(t, 2);
    const char *at = a > 0 ? strchr(from, a) : NULL;

    if (a < 0)
        return fail(t, "a backslash at its end");
    if (a == 'g') {
        t->at++;
        return read_named(t);
    }
    if (a == '0') /* \0 and at most two more digits */
        return add_octal(t);
    if (is_digit(a)) {
        if (a <= '7' && b >= '0' && b <= '7' && c >= '0' && c <= '7')
            return add_octal(t);
        t->at += is_digit(b) ? 2 : 1;
        return add_group(t, is_digit(b) ? (a - '0') * 10 + b - '0' : a - '0');
    }
    if (!at && ((a >= 'a' && a <= 'z') || (a >= 'A' && a <= 'Z')))
        return fail(t, "a backslash before a letter that means nothing there");
    if (!at) /* kept with its backslash */
        return mu_buf_putc(&t->out->literal, '\\', t->e);
    t->at++;
    return mu_buf_putc(&t->out->literal, to[at - from], t->e);
}

static int read_template(struct reading *t)
{
    while (t->at < t->s.n) {
        char c = t->s.p[t->at++];
        MU_TRY_RETURN(c == '\\' ? read_escape(t) : mu_buf_putc(&t->out->literal, c, t->e));
    }
    return MU_OK;
}

static int add_replacement(const struct template *with, struct mu_str text, const struct mu_pyre_match *m,
                           struct mu_buf *out, struct mu_err *e)
{
    struct mu_str literal = mu_buf_str(&with->literal);
    size_t from = 0;
    for (int i = 0; i < with->n; i++) {
        const struct part *part = &with->parts[i];
        MU_TRY_RETURN(mu_buf_add(out, literal.p + from, part->until - from, e));
        from = part->until;
        if (m->begin[part->group] != SIZE_MAX)
            MU_TRY_RETURN(
                mu_buf_add(out, text.p + m->begin[part->group], m->end[part->group] - m->begin[part->group], e));
    }
    return mu_buf_add(out, literal.p + from, literal.n - from, e);
}

int mu_pyre_sub(const struct mu_pyre *r, struct mu_str replacement, struct mu_str text, int64_t count,
                struct mu_buf *out, struct mu_err *e)
{
    struct template with = {.literal = MU_BUF_INIT("a replacement", REPLACEMENT_MAX)};
    struct reading t = {r, replacement, 0, &with, e};
    struct mu_pyre_walk w = {.data = NULL};
    struct mu_pyre_match m;
    size_t from = 0;
    int rc = MU_OK;

    text.p = text.p ? text.p : "";
    MU_TRY(read_template(&t));
    MU_TRY(mu_pyre_walk_begin(&w, r, text, e));
    for (int64_t i = 0; count <= 0 || i < count; i++) {
        bool found;
        MU_TRY(mu_pyre_walk_next(&w, &found, &m, e));
        if (!found)
            break;
        MU_TRY(mu_buf_add(out, text.p + from, m.begin[0] - from, e));
        MU_TRY(add_replacement(&with, text, &m, out, e));
        from = m.end[0];
    }
    MU_TRY(mu_buf_add(out, text.p + from, text.n - from, e));
out:
    mu_pyre_walk_end(&w);
    mu_buf_fini(&with.literal);
    return rc;
}
