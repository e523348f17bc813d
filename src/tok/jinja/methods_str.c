/* methods_str.c - the methods of str */
#include <utf8proc.h>

#include "base/utf8.h"
#include "tok/jinja/case.h"
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

#define METHOD(name) static int name(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)

/* Python's [start:end] in characters to bytes, for find, count, startswith and the like. */
static int bounds(struct mu_jin *J, struct mu_str s, const struct mu_jv *start, const struct mu_jv *end, size_t *from,
                  size_t *to)
{
    int64_t n = (int64_t)mu_t_chars(s), a = 0, b = n;
    if (start->t != J_MISSING && start->t != J_NONE)
        MU_TRY_RETURN(mu_j_want_int(J, start, "start", &a));
    if (end->t != J_MISSING && end->t != J_NONE)
        MU_TRY_RETURN(mu_j_want_int(J, end, "end", &b));
    a = a < 0 ? MU_MAX(a + n, 0) : a;
    b = b < 0 ? MU_MAX(b + n, 0) : MU_MIN(b, n);
    *from = a > n ? SIZE_MAX : mu_t_byte_of(s, (size_t)a); /* past the end nothing is found, not even "" */
    *to = mu_t_byte_of(s, (size_t)b);
    return mu_j_work(J, s.n / 32);
}

/* Steps for looking for a part at every place, or for every character in a set: the product of their lengths. */
static int scan_work(struct mu_jin *J, struct mu_str s, struct mu_str part)
{
    return mu_j_work(J, (s.n / 64 + 1) * (part.n / 64 + 1));
}

/* ---- stripping and cutting ---- */

static int strip(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, bool left, bool right,
                 struct mu_jv *out)
{
    struct mu_str s = self->s, chars = {0};
    if (c->arg[0].t != J_MISSING && c->arg[0].t != J_NONE) {
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "strip arg", &chars));
        chars.p = chars.p ? chars.p : "";
    }
    MU_TRY_RETURN(scan_work(J, s, chars));
    s = left ? mu_t_lstrip(s, chars) : s;
    *out = mu_j_string(right ? mu_t_rstrip(s, chars) : s);
    return MU_OK;
}

METHOD(str_strip)
{
    return strip(J, self, c, true, true, out);
}

METHOD(str_lstrip)
{
    return strip(J, self, c, true, false, out);
}

METHOD(str_rstrip)
{
    return strip(J, self, c, false, true, out);
}

METHOD(str_removeprefix)
{
    struct mu_str part;
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "removeprefix() argument", &part));
    *out = mu_j_string(mu_t_starts(self->s, part) ? mu_t_sub(self->s, part.n, self->s.n) : self->s);
    return MU_OK;
}

METHOD(str_removesuffix)
{
    struct mu_str part;
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "removesuffix() argument", &part));
    *out = mu_j_string(mu_t_ends(self->s, part) ? mu_t_sub(self->s, 0, self->s.n - part.n) : self->s);
    return MU_OK;
}

static int push_str(struct mu_jin *J, struct mu_jv *list, struct mu_str s)
{
    return mu_j_push(J, list->list, mu_j_string(s));
}

static int split_space(struct mu_jin *J, struct mu_str s, int64_t max, struct mu_jv *out)
{
    const struct mu_str space = {0};
    size_t len, end;
    for (s = mu_t_lstrip(s, space); s.n > 0; s = mu_t_lstrip(mu_t_sub(s, end, s.n), space)) {
        if (max-- == 0)
            return push_str(J, out, s);
        for (end = 0; end < s.n && !mu_t_is_space(mu_t_at(s, end, &len)); end += len)
            ;
        MU_TRY_RETURN(push_str(J, out, mu_t_sub(s, 0, end)));
    }
    return MU_OK;
}

static int split_by(struct mu_jin *J, struct mu_str s, struct mu_str sep, int64_t max, struct mu_jv *out)
{
    size_t from = 0;
    for (size_t at; max-- != 0 && (at = mu_t_find(s, sep, from)) != SIZE_MAX; from = at + sep.n)
        MU_TRY_RETURN(push_str(J, out, mu_t_sub(s, from, at)));
    return push_str(J, out, mu_t_sub(s, from, s.n));
}

static void reverse(struct mu_jlist *l)
{
    for (size_t i = 0; i < l->n / 2; i++) {
        struct mu_jv v = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
}

static int rsplit_space(struct mu_jin *J, struct mu_str s, int64_t max, struct mu_jv *out)
{
    const struct mu_str space = {0};
    size_t len, from;
    for (s = mu_t_rstrip(s, space); s.n > 0; s = mu_t_rstrip(mu_t_sub(s, 0, from), space)) {
        if (max-- == 0)
            return push_str(J, out, s);
        for (from = s.n; from > 0 && !mu_t_is_space(mu_t_at(s, mu_t_before(s, from), &len));)
            from = mu_t_before(s, from);
        MU_TRY_RETURN(push_str(J, out, mu_t_sub(s, from, s.n)));
    }
    return MU_OK;
}

static int rsplit_by(struct mu_jin *J, struct mu_str s, struct mu_str sep, int64_t max, struct mu_jv *out)
{
    size_t to = s.n;
    for (size_t at; max-- != 0 && (at = mu_t_rfind(s, sep, to)) != SIZE_MAX; to = at)
        MU_TRY_RETURN(push_str(J, out, mu_t_sub(s, at + sep.n, to)));
    return push_str(J, out, mu_t_sub(s, 0, to));
}

static int split(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, bool from_right, struct mu_jv *out)
{
    struct mu_str sep = {0};
    int64_t max = -1;
    bool by_space = c->arg[0].t == J_MISSING || c->arg[0].t == J_NONE;

    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[1], "maxsplit", &max));
    if (!by_space)
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "the separator", &sep));
    if (!by_space && sep.n == 0)
        return mu_j_fail(J, MU_EINVAL, "empty separator");
    MU_TRY_RETURN(scan_work(J, self->s, sep));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, out));
    if (!from_right)
        return by_space ? split_space(J, self->s, max, out) : split_by(J, self->s, sep, max, out);
    MU_TRY_RETURN(by_space ? rsplit_space(J, self->s, max, out) : rsplit_by(J, self->s, sep, max, out));
    reverse(out->list);
    return MU_OK;
}

METHOD(str_split)
{
    return split(J, self, c, false, out);
}

METHOD(str_rsplit)
{
    return split(J, self, c, true, out);
}

METHOD(str_splitlines)
{
    bool keep = false;
    size_t next;
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[0], &keep));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, out));
    for (size_t at = 0; at < self->s.n; at = next) {
        size_t n = mu_t_line(self->s, at, &next);
        MU_TRY_RETURN(push_str(J, out, mu_t_sub(self->s, at, keep ? next : at + n)));
    }
    return mu_j_work(J, self->s.n / 16);
}

static int partition(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, bool from_right, struct mu_jv *out)
{
    struct mu_str s = self->s, sep;
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "the separator", &sep));
    if (sep.n == 0)
        return mu_j_fail(J, MU_EINVAL, "empty separator");
    MU_TRY_RETURN(scan_work(J, s, sep));
    size_t at = from_right ? mu_t_rfind(s, sep, s.n) : mu_t_find(s, sep, 0);
    struct mu_str none = MU_STR(""), a = s, b = none, d = none;
    if (at != SIZE_MAX) {
        a = mu_t_sub(s, 0, at);
        b = sep;
        d = mu_t_sub(s, at + sep.n, s.n);
    } else if (from_right) {
        a = none;
        d = s;
    }
    MU_TRY_RETURN(mu_j_new_list(J, J_TUPLE, 3, out));
    MU_TRY_RETURN(push_str(J, out, a));
    MU_TRY_RETURN(push_str(J, out, b));
    return push_str(J, out, d);
}

METHOD(str_partition)
{
    return partition(J, self, c, false, out);
}

METHOD(str_rpartition)
{
    return partition(J, self, c, true, out);
}

/* ---- finding ---- */

static int fits(struct mu_jin *J, struct mu_str s, const struct mu_jv *part, bool at_end, bool *out)
{
    struct mu_str text;
    if (part->t != J_TUPLE) {
        MU_TRY_RETURN(mu_j_want_str(J, part, at_end ? "endswith first arg" : "startswith first arg", &text));
        *out = at_end ? mu_t_ends(s, text) : mu_t_starts(s, text);
        return MU_OK;
    }
    *out = false;
    for (size_t i = 0; i < part->list->n && !*out; i++) {
        MU_TRY_RETURN(mu_j_want_str(J, &part->list->v[i], "an item of the tuple", &text));
        *out = at_end ? mu_t_ends(s, text) : mu_t_starts(s, text);
    }
    return MU_OK;
}

static int starts_or_ends(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, bool at_end,
                          struct mu_jv *out)
{
    size_t from, to;
    bool is_fit = false;
    MU_TRY_RETURN(bounds(J, self->s, &c->arg[1], &c->arg[2], &from, &to));
    if (from <= to)
        MU_TRY_RETURN(fits(J, mu_t_sub(self->s, from, to), &c->arg[0], at_end, &is_fit));
    *out = mu_j_bool(is_fit);
    return MU_OK;
}

METHOD(str_startswith)
{
    return starts_or_ends(J, self, c, false, out);
}

METHOD(str_endswith)
{
    return starts_or_ends(J, self, c, true, out);
}

/* Character position of the part, or -1. */
static int find(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, bool from_right, int64_t *out)
{
    struct mu_str part;
    size_t from, to, at = SIZE_MAX;
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "what is looked for", &part));
    MU_TRY_RETURN(bounds(J, self->s, &c->arg[1], &c->arg[2], &from, &to));
    MU_TRY_RETURN(scan_work(J, self->s, part));
    if (from <= to) {
        struct mu_str s = mu_t_sub(self->s, from, to);
        at = from_right ? mu_t_rfind(s, part, s.n) : mu_t_find(s, part, 0);
    }
    *out = at == SIZE_MAX ? -1 : (int64_t)mu_t_chars(mu_t_sub(self->s, 0, from + at));
    return MU_OK;
}

METHOD(str_find)
{
    int64_t at;
    MU_TRY_RETURN(find(J, self, c, false, &at));
    *out = mu_j_int(at);
    return MU_OK;
}

METHOD(str_rfind)
{
    int64_t at;
    MU_TRY_RETURN(find(J, self, c, true, &at));
    *out = mu_j_int(at);
    return MU_OK;
}

METHOD(str_index)
{
    MU_TRY_RETURN(str_find(J, self, c, out));
    return out->i < 0 ? mu_j_fail(J, MU_EINVAL, "substring not found") : MU_OK;
}

METHOD(str_rindex)
{
    MU_TRY_RETURN(str_rfind(J, self, c, out));
    return out->i < 0 ? mu_j_fail(J, MU_EINVAL, "substring not found") : MU_OK;
}

METHOD(str_count)
{
    struct mu_str part;
    size_t from, to, n = 0;
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "what is counted", &part));
    MU_TRY_RETURN(bounds(J, self->s, &c->arg[1], &c->arg[2], &from, &to));
    if (from <= to) {
        struct mu_str s = mu_t_sub(self->s, from, to);
        if (part.n == 0)
            n = mu_t_chars(s) + 1;
        else
            for (size_t at = 0; (at = mu_t_find(s, part, at)) != SIZE_MAX; at += part.n)
                n++;
    }
    *out = mu_j_int((int64_t)n);
    return MU_OK;
}

/* ---- building ---- */

int mu_j_replace(struct mu_jin *J, struct mu_str s, struct mu_str old, struct mu_str with, int64_t count,
                 struct mu_jv *out)
{
    size_t mark = mu_j_mark(J), from = 0, len;
    while (count != 0) {
        size_t at = mu_t_find(s, old, from);
        if (at == SIZE_MAX)
            break;
        count -= count > 0;
        MU_TRY_RETURN(mu_j_work(J, 1));
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, from, at)));
        MU_TRY_RETURN(mu_j_add(J, with));
        from = at + old.n;
        if (old.n > 0)
            continue;
        if (from == s.n) { /* an empty string is also found at the end, once */
            return mu_j_take(J, mark, out);
        }
        mu_t_at(s, from, &len);
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, from, from + len)));
        from += len;
    }
    MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, from, s.n)));
    return mu_j_take(J, mark, out);
}

METHOD(str_replace)
{
    struct mu_str old, with;
    int64_t count = -1;
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[0], "replace() argument 1", &old));
    MU_TRY_RETURN(mu_j_want_str(J, &c->arg[1], "replace() argument 2", &with));
    if (c->arg[2].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[2], "count", &count));
    return mu_j_replace(J, self->s, old, with, count, out);
}

METHOD(str_join)
{
    struct mu_jlist *items;
    MU_TRY_RETURN(mu_j_items(J, &c->arg[0], &items));
    size_t mark = mu_j_mark(J);
    for (size_t i = 0; i < items->n; i++) {
        if (items->v[i].t != J_STR)
            return mu_j_fail(J, MU_EINVAL, "sequence item %zu: expected str instance, %s found", i,
                             mu_j_type_name(&items->v[i]));
        if (i > 0)
            MU_TRY_RETURN(mu_j_add(J, self->s));
        MU_TRY_RETURN(mu_j_add(J, items->v[i].s));
    }
    return mu_j_take(J, mark, out);
}

int mu_j_pad(struct mu_jin *J, struct mu_str s, int64_t left, int64_t right, struct mu_str fill, struct mu_jv *out)
{
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(mu_j_work(J, (size_t)(left + right)));
    for (int64_t i = 0; i < left; i++)
        MU_TRY_RETURN(mu_j_add(J, fill));
    MU_TRY_RETURN(mu_j_add(J, s));
    for (int64_t i = 0; i < right; i++)
        MU_TRY_RETURN(mu_j_add(J, fill));
    return mu_j_take(J, mark, out);
}

static int pad(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, char align, struct mu_jv *out)
{
    struct mu_str fill = MU_STR(" ");
    int64_t width, missing, left;
    MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "width", &width));
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[1], "the fill character", &fill));
    if (mu_t_chars(fill) != 1)
        return mu_j_fail(J, MU_EINVAL, "The fill character must be exactly one character long");
    missing = MU_MAX(width - (int64_t)mu_t_chars(self->s), 0);
    left = align == '<' ? 0 : align == '>' ? missing : missing / 2 + (missing & width & 1);
    return mu_j_pad(J, self->s, left, missing - left, fill, out);
}

METHOD(str_ljust)
{
    return pad(J, self, c, '<', out);
}

METHOD(str_rjust)
{
    return pad(J, self, c, '>', out);
}

METHOD(str_center)
{
    return pad(J, self, c, '^', out);
}

METHOD(str_zfill)
{
    int64_t width;
    MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "width", &width));
    size_t mark = mu_j_mark(J), sign = self->s.n > 0 && (self->s.p[0] == '-' || self->s.p[0] == '+');
    MU_TRY_RETURN(mu_j_add(J, mu_t_sub(self->s, 0, sign)));
    MU_TRY_RETURN(mu_j_work(J, (size_t)MU_MAX(width, 0)));
    for (int64_t i = (int64_t)mu_t_chars(self->s); i < width; i++)
        MU_TRY_RETURN(mu_j_add(J, MU_STR("0")));
    MU_TRY_RETURN(mu_j_add(J, mu_t_sub(self->s, sign, self->s.n)));
    return mu_j_take(J, mark, out);
}

METHOD(str_expandtabs)
{
    int64_t size = 8, column = 0;
    size_t mark = mu_j_mark(J), len;
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "tabsize", &size));
    for (size_t i = 0; i < self->s.n; i += len) {
        uint32_t cp = mu_t_at(self->s, i, &len);
        int64_t blanks = cp == '\t' && size > 0 ? size - column % size : 0;
        column = cp == '\n' || cp == '\r' ? 0 : column + (cp == '\t' ? blanks : 1);
        MU_TRY_RETURN(mu_j_work(J, (size_t)blanks));
        for (int64_t k = 0; k < blanks; k++)
            MU_TRY_RETURN(mu_j_add(J, MU_STR(" ")));
        if (cp != '\t')
            MU_TRY_RETURN(mu_j_add(J, mu_t_sub(self->s, i, i + len)));
    }
    return mu_j_take(J, mark, out);
}

METHOD(str_format)
{
    return mu_j_format(J, self->s, c, out);
}

METHOD(str_format_map)
{
    struct mu_jcall named = {0};
    const struct mu_jv *map = &c->arg[0];
    if (map->t != J_DICT)
        return mu_j_fail(J, MU_EINVAL, "format_map() needs a mapping, not %s", mu_j_type_name(map));
    named.kw = mu_j_alloc(J, map->dict->n, sizeof *named.kw);
    MU_J_NEED(J, named.kw);
    for (size_t i = 0; i < map->dict->n; i++)
        if (map->dict->at[i].key.t == J_STR)
            named.kw[named.n_kw++] = (struct mu_jkw){map->dict->at[i].key.s, map->dict->at[i].value};
    return mu_j_format(J, self->s, &named, out);
}

/* ---- letters ---- */

METHOD(str_upper)
{
    (void)c;
    return mu_j_recase(J, self->s, MU_J_UPPER, out);
}

METHOD(str_lower)
{
    (void)c;
    return mu_j_recase(J, self->s, MU_J_LOWER, out);
}

METHOD(str_title)
{
    (void)c;
    return mu_j_recase(J, self->s, MU_J_TITLE, out);
}

METHOD(str_capitalize)
{
    (void)c;
    return mu_j_recase(J, self->s, MU_J_CAPITALIZE, out);
}

METHOD(str_swapcase)
{
    (void)c;
    return mu_j_recase(J, self->s, MU_J_SWAP, out);
}

static bool is_alnum(uint32_t cp)
{
    return mu_t_is_alpha(cp) || mu_t_is_numeric(cp);
}

static bool is_ascii(uint32_t cp)
{
    return cp < 0x80;
}

/* Whether the string is not empty (or may be) and all of its characters are of a kind. */
static int all(struct mu_jin *J, const struct mu_jv *self, bool (*is)(uint32_t), bool of_empty, struct mu_jv *out)
{
    bool is_all = self->s.n > 0 || of_empty;
    size_t len;
    for (size_t i = 0; i < self->s.n && is_all; i += len)
        is_all = is(mu_t_at(self->s, i, &len));
    *out = mu_j_bool(is_all);
    return mu_j_work(J, self->s.n / 16);
}

#define ALL(method, is, of_empty)                                                                                      \
    METHOD(method)                                                                                                     \
    {                                                                                                                  \
        (void)c;                                                                                                       \
        return all(J, self, is, of_empty, out);                                                                        \
    }
ALL(str_isalnum, is_alnum, false)
ALL(str_isalpha, mu_t_is_alpha, false)
ALL(str_isascii, is_ascii, true)
ALL(str_isdecimal, mu_t_is_decimal, false)
ALL(str_isdigit, mu_t_is_digit, false)
ALL(str_isnumeric, mu_t_is_numeric, false)
ALL(str_isprintable, mu_t_is_printable, true)
ALL(str_isspace, mu_t_is_space, false)

METHOD(str_isidentifier)
{
    struct mu_jv is_word;
    size_t len;
    (void)c;
    MU_TRY_RETURN(all(J, self, mu_t_is_word, false, &is_word));
    *out = mu_j_bool(is_word.b && !mu_t_is_numeric(mu_t_at(self->s, 0, &len)));
    return MU_OK;
}

METHOD(str_islower)
{
    (void)c;
    *out = mu_j_bool(mu_j_is_cased(self->s, mu_t_is_lower, mu_t_is_upper));
    return mu_j_work(J, self->s.n / 16);
}

METHOD(str_isupper)
{
    (void)c;
    *out = mu_j_bool(mu_j_is_cased(self->s, mu_t_is_upper, mu_t_is_lower));
    return mu_j_work(J, self->s.n / 16);
}

METHOD(str_istitle)
{
    bool is_title = true, has_cased = false, was_cased = false;
    size_t len;
    (void)c;
    for (size_t i = 0; i < self->s.n && is_title; i += len) {
        uint32_t cp = mu_t_at(self->s, i, &len);
        bool is_up = mu_t_is_upper(cp), is_low = mu_t_is_lower(cp);
        is_title = !(is_up && was_cased) && !(is_low && !was_cased);
        was_cased = is_up || is_low;
        has_cased |= was_cased;
    }
    *out = mu_j_bool(is_title && has_cased);
    return mu_j_work(J, self->s.n / 16);
}

METHOD(str_refused)
{
    (void)self;
    (void)c;
    (void)out;
    return mu_j_fail(J, MU_EUNSUPPORTED, "the str methods encode, translate and maketrans are not supported");
}

const struct mu_jfn mu_j_str_methods[] = {
    {"strip", "chars?", str_strip, 0},
    {"lstrip", "chars?", str_lstrip, 0},
    {"rstrip", "chars?", str_rstrip, 0},
    {"split", "sep? maxsplit?", str_split, 0},
    {"rsplit", "sep? maxsplit?", str_rsplit, 0},
    {"splitlines", "keepends?", str_splitlines, 0},
    {"partition", "sep", str_partition, 0},
    {"rpartition", "sep", str_rpartition, 0},
    {"startswith", "prefix start? end?", str_startswith, 0},
    {"endswith", "suffix start? end?", str_endswith, 0},
    {"find", "sub start? end?", str_find, 0},
    {"rfind", "sub start? end?", str_rfind, 0},
    {"index", "sub start? end?", str_index, 0},
    {"rindex", "sub start? end?", str_rindex, 0},
    {"count", "sub start? end?", str_count, 0},
    {"replace", "old new count?", str_replace, 0},
    {"join", "iterable", str_join, 0},
    {"format", "*", str_format, 0},
    {"format_map", "mapping", str_format_map, 0},
    {"removeprefix", "prefix", str_removeprefix, 0},
    {"removesuffix", "suffix", str_removesuffix, 0},
    {"upper", "", str_upper, 0},
    {"lower", "", str_lower, 0},
    {"casefold", "", str_lower, 0},
    {"title", "", str_title, 0},
    {"capitalize", "", str_capitalize, 0},
    {"swapcase", "", str_swapcase, 0},
    {"ljust", "width fillchar?", str_ljust, 0},
    {"rjust", "width fillchar?", str_rjust, 0},
    {"center", "width fillchar?", str_center, 0},
    {"zfill", "width", str_zfill, 0},
    {"expandtabs", "tabsize?", str_expandtabs, 0},
    {"isalnum", "", str_isalnum, 0},
    {"isalpha", "", str_isalpha, 0},
    {"isascii", "", str_isascii, 0},
    {"isdecimal", "", str_isdecimal, 0},
    {"isdigit", "", str_isdigit, 0},
    {"isidentifier", "", str_isidentifier, 0},
    {"islower", "", str_islower, 0},
    {"isnumeric", "", str_isnumeric, 0},
    {"isprintable", "", str_isprintable, 0},
    {"isspace", "", str_isspace, 0},
    {"istitle", "", str_istitle, 0},
    {"isupper", "", str_isupper, 0},
    {"encode", "*", str_refused, 0},
    {"translate", "*", str_refused, 0},
    {"maketrans", "*", str_refused, 0},
    {NULL, NULL, NULL, 0},
};
