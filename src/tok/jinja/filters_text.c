/* filters_text.c - filters that make text of text */
#include "tok/jinja/case.h"
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

#define FILTER(name) static int name(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)

static int case_of(struct mu_jin *J, const struct mu_jv *self, enum mu_jcase how, struct mu_jv *out)
{
    struct mu_str s;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    return mu_j_recase(J, s, how, out);
}

FILTER(filter_upper)
{
    (void)c;
    return case_of(J, self, MU_J_UPPER, out);
}

FILTER(filter_lower)
{
    (void)c;
    return case_of(J, self, MU_J_LOWER, out);
}

FILTER(filter_capitalize)
{
    (void)c;
    return case_of(J, self, MU_J_CAPITALIZE, out);
}

/* First letter large, the others small. */
static int add_word(struct mu_jin *J, struct mu_str s)
{
    struct mu_jv first, rest;
    size_t len = 0;
    if (s.n > 0)
        mu_t_at(s, 0, &len);
    MU_TRY_RETURN(mu_j_recase(J, mu_t_sub(s, 0, len), MU_J_UPPER, &first));
    MU_TRY_RETURN(mu_j_recase(J, mu_t_sub(s, len, s.n), MU_J_LOWER, &rest));
    MU_TRY_RETURN(mu_j_add(J, first.s));
    return mu_j_add(J, rest.s);
}

/* Unlike str.title(): words begin after blanks, hyphens and opening brackets only. */
FILTER(filter_title)
{
    struct mu_str s;
    size_t len;
    (void)c;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    size_t mark = mu_j_mark(J), from = 0;
    for (size_t i = 0; i <= s.n; i += len) {
        uint32_t cp = i < s.n ? mu_t_at(s, i, &len) : ' ';
        len = i < s.n ? len : 1;
        if (!mu_t_is_space(cp) && !(cp < 0x80 && strchr("-({[<", (int)cp)))
            continue;
        MU_TRY_RETURN(add_word(J, mu_t_sub(s, from, i)));
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, i, MU_MIN(i + len, s.n))));
        from = i + len;
    }
    return mu_j_take(J, mark, out);
}

FILTER(filter_trim)
{
    struct mu_str s, chars = {0};
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    if (c->arg[0].t != J_MISSING && c->arg[0].t != J_NONE) {
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "strip arg", &chars));
        chars.p = chars.p ? chars.p : "";
    }
    MU_TRY_RETURN(mu_j_work(J, (s.n / 64 + 1) * (chars.n / 64 + 1)));
    *out = mu_j_string(mu_t_rstrip(mu_t_lstrip(s, chars), chars));
    return MU_OK;
}

FILTER(filter_replace)
{
    struct mu_str s, old, with;
    int64_t count = -1;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    MU_TRY_RETURN(mu_j_str(J, &c->arg[0], &old));
    MU_TRY_RETURN(mu_j_str(J, &c->arg[1], &with));
    if (c->arg[2].t != J_MISSING && c->arg[2].t != J_NONE)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[2], "count", &count));
    return mu_j_replace(J, s, old, with, count, out);
}

static int escape(struct mu_jin *J, struct mu_str s, struct mu_jv *out)
{
    static const char from[] = "&<>'\"";
    static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    size_t mark = mu_j_mark(J), at = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *p = s.p[i] ? strchr(from, s.p[i]) : NULL;
        if (!p)
            continue;
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, at, i)));
        MU_TRY_RETURN(mu_j_add(J, mu_str(to[p - from])));
        at = i + 1;
    }
    MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, at, s.n)));
    return mu_j_take(J, mark, out);
}

FILTER(filter_escape)
{
    struct mu_str s;
    (void)c;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    return escape(J, s, out);
}

FILTER(filter_string)
{
    struct mu_str s;
    (void)c;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    *out = mu_j_string(s);
    return MU_OK;
}

/* ' a="1" b="2"' of a mapping; none and undefined are left out. */
FILTER(filter_xmlattr)
{
    struct mu_str key, value;
    struct mu_jv text;
    bool is_first = true;
    bool with_blank = true;
    if (self->t != J_DICT)
        return mu_j_fail(J, MU_EINVAL, "xmlattr needs a mapping, not %s", mu_j_type_name(self));
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[0], &with_blank));
    size_t mark = mu_j_mark(J);
    for (size_t i = 0; i < self->dict->n; i++) {
        const struct mu_jentry *entry = &self->dict->at[i];
        if (entry->value.t == J_NONE || entry->value.t == J_UNDEFINED)
            continue;
        MU_TRY_RETURN(mu_j_str(J, &entry->key, &key));
        MU_TRY_RETURN(mu_j_str(J, &entry->value, &value));
        for (size_t k = 0; k < key.n; k++)
            if (strchr(" \t\n\r\f\v/>=", key.p[k]) || key.p[k] == 0)
                return mu_j_fail(J, MU_EINVAL, "Invalid character in attribute name: '%.*s'", MU_STR_ARG(key));
        if (!is_first || with_blank)
            MU_TRY_RETURN(mu_j_add(J, MU_STR(" ")));
        is_first = false;
        MU_TRY_RETURN(escape(J, key, &text));
        MU_TRY_RETURN(mu_j_add(J, text.s));
        MU_TRY_RETURN(mu_j_add(J, MU_STR("=\"")));
        MU_TRY_RETURN(escape(J, value, &text));
        MU_TRY_RETURN(mu_j_add(J, text.s));
        MU_TRY_RETURN(mu_j_add(J, MU_STR("\"")));
    }
    return mu_j_take(J, mark, out);
}

/* ---- layout ---- */

FILTER(filter_center)
{
    struct mu_str s;
    int64_t width = 80;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "width", &width));
    int64_t missing = MU_MAX(width - (int64_t)mu_t_chars(s), 0), left = missing / 2 + (missing & width & 1);
    return mu_j_pad(J, s, left, missing - left, MU_STR(" "), out);
}

static int indention(struct mu_jin *J, const struct mu_jv *width, struct mu_str *out)
{
    struct mu_jv blanks;
    int64_t n = 4;
    if (width->t == J_STR) {
        *out = width->s;
        return MU_OK;
    }
    if (width->t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, width, "width", &n));
    MU_TRY_RETURN(mu_j_pad(J, MU_STR(""), MU_MAX(n, 0), 0, MU_STR(" "), &blanks));
    *out = blanks.s;
    return MU_OK;
}

FILTER(filter_indent)
{
    struct mu_str s, by, line;
    bool first = false, blank = false;
    size_t next = 0;

    MU_TRY_RETURN(mu_j_want_str(J, self, "what indent works on", &s));
    MU_TRY_RETURN(indention(J, &c->arg[0], &by));
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[1], &first));
    if (c->arg[2].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[2], &blank));
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(mu_j_add(J, s)); /* a line break at the end makes splitlines see an empty last line */
    MU_TRY_RETURN(mu_j_add(J, MU_STR("\n")));
    MU_TRY_RETURN(mu_j_take(J, mark, out));
    s = out->s;
    for (size_t at = 0; at < s.n; at = next) {
        line = mu_t_sub(s, at, at + mu_t_line(s, at, &next));
        if (at > 0)
            MU_TRY_RETURN(mu_j_add(J, MU_STR("\n")));
        if (at > 0 ? blank || line.n > 0 : first)
            MU_TRY_RETURN(mu_j_add(J, by));
        MU_TRY_RETURN(mu_j_add(J, line));
    }
    return mu_j_take(J, mark, out);
}

#define TRUNCATE_LEEWAY 5 /* Jinja2's policy truncate.leeway */

FILTER(filter_truncate)
{
    struct mu_str s, end = MU_STR("...");
    int64_t length = 255, leeway = TRUNCATE_LEEWAY;
    bool kill = false;

    MU_TRY_RETURN(mu_j_want_str(J, self, "what truncate works on", &s));
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "length", &length));
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[1], &kill));
    if (c->arg[2].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[2], "end", &end));
    if (c->arg[3].t != J_MISSING && c->arg[3].t != J_NONE)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[3], "leeway", &leeway));
    int64_t end_n = (int64_t)mu_t_chars(end), n = (int64_t)mu_t_chars(s);
    if (length < end_n || leeway < 0)
        return mu_j_fail(J, MU_EINVAL, "truncate: length %lld and leeway %lld, at least %lld and 0 are needed",
                         (long long)length, (long long)leeway, (long long)end_n);
    if (n - leeway <= length) {
        *out = *self;
        return MU_OK;
    }
    s = mu_t_sub(s, 0, mu_t_byte_of(s, (size_t)(length - end_n)));
    size_t blank = kill ? SIZE_MAX : mu_t_rfind(s, MU_STR(" "), s.n);
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(mu_j_add(J, blank == SIZE_MAX ? s : mu_t_sub(s, 0, blank)));
    MU_TRY_RETURN(mu_j_add(J, end));
    return mu_j_take(J, mark, out);
}

FILTER(filter_wordcount)
{
    struct mu_str s;
    int64_t n = 0;
    bool was_word = false;
    size_t len;
    (void)c;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    for (size_t i = 0; i < s.n; i += len) {
        bool is_word = mu_t_is_word(mu_t_at(s, i, &len));
        n += is_word && !was_word;
        was_word = is_word;
    }
    *out = mu_j_int(n);
    return mu_j_work(J, s.n / 16);
}

static int add_quoted(struct mu_jin *J, const struct mu_jv *v, bool is_query)
{
    struct mu_str s;
    MU_TRY_RETURN(mu_j_str(J, v, &s));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool is_safe = (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') ||
                       (ch && strchr("_.-~", ch)) || (ch == '/' && !is_query);
        if (is_safe)
            MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, i, i + 1)));
        else if (ch == ' ' && is_query)
            MU_TRY_RETURN(mu_j_add(J, MU_STR("+")));
        else
            MU_TRY_RETURN(mu_j_addf(J, "%%%02X", ch));
    }
    return MU_OK;
}

static int add_query(struct mu_jin *J, const struct mu_jv *key, const struct mu_jv *value, bool is_first)
{
    if (!is_first)
        MU_TRY_RETURN(mu_j_add(J, MU_STR("&")));
    MU_TRY_RETURN(add_quoted(J, key, true));
    MU_TRY_RETURN(mu_j_add(J, MU_STR("=")));
    return add_quoted(J, value, true);
}

FILTER(filter_urlencode)
{
    struct mu_jlist *pairs, *pair;
    size_t mark = mu_j_mark(J);
    (void)c;
    if (self->t == J_STR || !mu_j_iterable(self)) {
        MU_TRY_RETURN(add_quoted(J, self, false));
    } else if (self->t == J_DICT) {
        for (size_t i = 0; i < self->dict->n; i++)
            MU_TRY_RETURN(add_query(J, &self->dict->at[i].key, &self->dict->at[i].value, i == 0));
    } else {
        MU_TRY_RETURN(mu_j_items(J, self, &pairs));
        for (size_t i = 0; i < pairs->n; i++) {
            MU_TRY_RETURN(mu_j_items(J, &pairs->v[i], &pair));
            if (pair->n != 2)
                return mu_j_fail(J, MU_EINVAL, "urlencode: item %zu is no pair", i);
            MU_TRY_RETURN(add_query(J, &pair->v[0], &pair->v[1], i == 0));
        }
    }
    return mu_j_take(J, mark, out);
}

/* ---- wordwrap ---- */

struct wrap {
    struct mu_str by;
    int64_t width;
    bool break_long, at_hyphens;
    bool is_first;
};

/* The next piece of a line that stays together: blanks, or a word, which may end after a hyphen between letters. */
static size_t piece(struct mu_str s, bool at_hyphens)
{
    size_t len, i = 0;
    bool is_space = mu_t_is_space(mu_t_at(s, 0, &len));
    for (; i < s.n; i += len) {
        uint32_t cp = mu_t_at(s, i, &len);
        if (mu_t_is_space(cp) != is_space)
            break;
        bool may_break = at_hyphens && cp == '-' && i > 1 && i + 2 < s.n;
        if (may_break && mu_t_is_alpha((uint32_t)(unsigned char)s.p[i - 1]) &&
            mu_t_is_alpha((uint32_t)(unsigned char)s.p[i - 2]) && mu_t_is_alpha((uint32_t)(unsigned char)s.p[i + 1]) &&
            mu_t_is_alpha((uint32_t)(unsigned char)s.p[i + 2]))
            return i + 1;
    }
    return i;
}

static int wrap_emit(struct mu_jin *J, struct wrap *w, struct mu_str line)
{
    line = mu_t_rstrip(line, (struct mu_str){0});
    if (!w->is_first)
        MU_TRY_RETURN(mu_j_add(J, w->by));
    w->is_first = false;
    return mu_j_add(J, line);
}

/* textwrap.wrap of one line: fill up to the width with whole pieces, cut a piece that is longer than a line. */
static int wrap_line(struct mu_jin *J, struct wrap *w, struct mu_str s)
{
    size_t from = 0, at = 0;
    int64_t used = 0;
    while (at < s.n) {
        size_t n = piece(mu_t_sub(s, at, s.n), w->at_hyphens);
        int64_t chars = (int64_t)mu_t_chars(mu_t_sub(s, at, at + n));
        bool is_blank = mu_t_rstrip(mu_t_sub(s, at, at + n), (struct mu_str){0}).n == 0;
        MU_TRY_RETURN(mu_j_work(J, 1 + n / 16));
        if (used == 0 && is_blank && !w->is_first && from > 0) {
            from = at = at + n; /* a continued line does not begin with blanks */
            continue;
        }
        if (used + chars <= w->width) {
            used += chars;
            at += n;
            continue;
        }
        if (chars > w->width && w->break_long) {
            size_t room = mu_t_byte_of(mu_t_sub(s, at, at + n), (size_t)MU_MAX(w->width - used, used ? 0 : 1));
            at += room;
        } else if (used == 0) {
            at += n;
        }
        MU_TRY_RETURN(wrap_emit(J, w, mu_t_sub(s, from, at)));
        from = at;
        used = 0;
    }
    if (mu_t_rstrip(mu_t_sub(s, from, s.n), (struct mu_str){0}).n > 0)
        return wrap_emit(J, w, mu_t_sub(s, from, s.n));
    return MU_OK;
}

FILTER(filter_wordwrap)
{
    struct wrap w = {.by = MU_STR("\n"), .width = 79, .break_long = true, .at_hyphens = true};
    struct mu_str s;
    size_t next;

    MU_TRY_RETURN(mu_j_want_str(J, self, "what wordwrap works on", &s));
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "width", &w.width));
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[1], &w.break_long));
    if (c->arg[2].t != J_MISSING && c->arg[2].t != J_NONE)
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[2], "wrapstring", &w.by));
    if (c->arg[3].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[3], &w.at_hyphens));
    if (w.width <= 0)
        return mu_j_fail(J, MU_EINVAL, "invalid width %lld (must be > 0)", (long long)w.width);
    size_t mark = mu_j_mark(J);
    for (size_t at = 0; at < s.n; at = next) {
        struct mu_str line = mu_t_sub(s, at, at + mu_t_line(s, at, &next));
        if (at > 0)
            MU_TRY_RETURN(mu_j_add(J, w.by));
        w.is_first = true;
        MU_TRY_RETURN(wrap_line(J, &w, line));
    }
    return mu_j_take(J, mark, out);
}

/* ---- HTML ---- */

static int add_unescaped(struct mu_jin *J, struct mu_str s)
{
    static const struct {
        const char *entity, *text;
    } table[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&#34;", "\""}};
    for (size_t i = 0; i < s.n;) {
        size_t n = 1;
        struct mu_str text = mu_t_sub(s, i, i + 1);
        for (size_t k = 0; s.p[i] == '&' && k < MU_COUNT(table); k++)
            if (mu_t_starts(mu_t_sub(s, i, s.n), mu_str(table[k].entity))) {
                text = mu_str(table[k].text);
                n = strlen(table[k].entity);
            }
        MU_TRY_RETURN(mu_j_add(J, text));
        i += n;
    }
    return MU_OK;
}

/* Without <!-- comments --> and <tags>; runs of blanks become one. */
FILTER(filter_striptags)
{
    struct mu_str s;
    struct mu_jv plain;
    size_t mark = mu_j_mark(J), end, next;
    (void)c;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    for (size_t i = 0; i < s.n; i = next) {
        bool is_comment = mu_t_starts(mu_t_sub(s, i, s.n), MU_STR("<!--"));
        end = s.p[i] == '<' ? mu_t_find(s, is_comment ? MU_STR("-->") : MU_STR(">"), i) : SIZE_MAX;
        next = end == SIZE_MAX ? i + 1 : end + (is_comment ? 3 : 1);
        if (end == SIZE_MAX)
            MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, i, i + 1)));
        MU_TRY_RETURN(mu_j_work(J, 1 + (s.p[i] == '<' ? (s.n - i) / 64 : 0)));
    }
    MU_TRY_RETURN(mu_j_take(J, mark, &plain));
    s = mu_t_lstrip(mu_t_rstrip(plain.s, (struct mu_str){0}), (struct mu_str){0});
    for (size_t i = 0, len; i < s.n; i += len) {
        bool is_space = mu_t_is_space(mu_t_at(s, i, &len));
        bool was_space = i > 0 && mu_t_is_space(mu_t_at(s, mu_t_before(s, i), &end));
        mu_t_at(s, i, &len);
        if (is_space && was_space)
            continue;
        MU_TRY_RETURN(mu_j_add(J, is_space ? MU_STR(" ") : mu_t_sub(s, i, i + len)));
    }
    MU_TRY_RETURN(mu_j_take(J, mark, &plain));
    MU_TRY_RETURN(add_unescaped(J, plain.s));
    return mu_j_take(J, mark, out);
}

FILTER(filter_regex_replace)
{
    struct mu_str s, pattern, replacement;
    int64_t count = 0;
    MU_TRY_RETURN(mu_j_want_str(J, self, "what regex_replace works on", &s));
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "the pattern", &pattern));
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[1], "the replacement", &replacement));
    if (c->arg[2].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[2], "count", &count));
    return mu_j_regex_sub(J, pattern, replacement, s, count, out);
}

FILTER(filter_format)
{
    struct mu_str s;
    struct mu_jv values;
    if (c->n_pos > 0 && c->n_kw > 0)
        return mu_j_fail(J, MU_EINVAL, "can't handle positional and keyword arguments at the same time");
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    if (c->n_kw > 0) {
        MU_TRY_RETURN(mu_j_new_dict(J, &values));
        for (size_t i = 0; i < c->n_kw; i++)
            MU_TRY_RETURN(mu_j_dict_put(J, values.dict, mu_j_string(c->kw[i].name), c->kw[i].value));
    } else {
        MU_TRY_RETURN(mu_j_new_list(J, J_TUPLE, 0, &values));
        for (size_t i = 0; i < c->n_pos; i++)
            MU_TRY_RETURN(mu_j_push(J, values.list, c->pos[i]));
    }
    return mu_j_percent(J, s, &values, out);
}

FILTER(filter_urlize)
{
    (void)self;
    (void)c;
    (void)out;
    return mu_j_fail(J, MU_EUNSUPPORTED, "the filter urlize is not supported");
}

const struct mu_jfn mu_j_filters_text[] = {
    {"upper", "", filter_upper, 0},
    {"lower", "", filter_lower, 0},
    {"capitalize", "", filter_capitalize, 0},
    {"title", "", filter_title, 0},
    {"trim", "chars?", filter_trim, 0},
    {"replace", "old new count?", filter_replace, 0},
    {"e", "", filter_escape, 0},
    {"escape", "", filter_escape, 0},
    {"forceescape", "", filter_escape, 0},
    {"safe", "", filter_string, 0},
    {"string", "", filter_string, 0},
    {"center", "width?", filter_center, 0},
    {"indent", "width? first? blank?", filter_indent, 0},
    {"truncate", "length? killwords? end? leeway?", filter_truncate, 0},
    {"wordcount", "", filter_wordcount, 0},
    {"wordwrap", "width? break_long_words? wrapstring? break_on_hyphens?", filter_wordwrap, 0},
    {"urlencode", "", filter_urlencode, 0},
    {"urlize", "*", filter_urlize, 0},
    {"striptags", "", filter_striptags, 0},
    {"xmlattr", "autospace?", filter_xmlattr, 0},
    {"format", "*", filter_format, 0},
    {"regex_replace", "pattern repl count?", filter_regex_replace, MU_J_TASK},
    {NULL, NULL, NULL, 0},
};
