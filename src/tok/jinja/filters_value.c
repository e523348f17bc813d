/* filters_value.c - filters of single values: defaults, numbers, JSON */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

#define FILTER(name) static int name(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)

FILTER(filter_default)
{
    bool by_truth = false, is_true = true;
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[1], &by_truth));
    if (by_truth && self->t != J_UNDEFINED)
        MU_TRY_RETURN(mu_j_truth(J, self, &is_true));
    *out = *self;
    if (self->t == J_UNDEFINED || !is_true)
        *out = c->arg[0].t == J_MISSING ? mu_j_string(MU_STR("")) : c->arg[0];
    return MU_OK;
}

FILTER(filter_attr)
{
    struct mu_str name;
    MU_TRY_RETURN(mu_j_str(J, &c->arg[0], &name));
    if (self->t == J_DICT && !mu_j_find(mu_j_dict_methods, name))
        return mu_j_undefined_member(J, *self, c->arg[0], out); /* attributes only, no items */
    return mu_j_attr(J, self, name, out);
}

/* ---- numbers ---- */

FILTER(filter_abs)
{
    struct mu_jv zero = mu_j_int(0);
    double f;
    (void)c;
    if (self->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, self);
    if (!mu_j_as_float(self, &f))
        return mu_j_fail(J, MU_EINVAL, "bad operand type for abs(): '%s'", mu_j_type_name(self));
    if (self->t == J_FLOAT) {
        *out = mu_j_float(fabs(f));
        return MU_OK;
    }
    return mu_j_binary(J, f < 0 ? '-' : '+', &zero, self, out);
}

/* Without blanks around and single underscores between digits; false when it cannot be a number. */
static bool clean_number(struct mu_str s, char *text, size_t cap)
{
    size_t n = 0;
    s = mu_t_rstrip(mu_t_lstrip(s, (struct mu_str){0}), (struct mu_str){0});
    if (s.n == 0 || s.n >= cap)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == 0)
            return false;
        if (s.p[i] != '_')
            text[n++] = s.p[i];
        else if (i == 0 || i + 1 == s.n || !isalnum((unsigned char)s.p[i - 1]) || !isalnum((unsigned char)s.p[i + 1]))
            return false;
    }
    text[n] = 0;
    return true;
}

#define NUMBER_MAX 512 /* characters of a number in text */

/* int(text, base): 1 is a number, 0 is none, -1 does not fit. */
static int parse_int(struct mu_str s, int64_t base, int64_t *out)
{
    char text[NUMBER_MAX], *end;
    if (!clean_number(s, text, sizeof text))
        return 0;
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (!isalnum((unsigned char)digits[0]))
        return 0;
    char prefix = digits[0] == '0' ? (char)tolower((unsigned char)digits[1]) : 0;
    int prefix_base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
    bool has_prefix = prefix_base != 0 && (base == prefix_base || base == 0) && isxdigit((unsigned char)digits[2]);
    if (base == 0)
        base = prefix_base ? prefix_base : 10;
    if (prefix == 'x' && !has_prefix)
        return 0; /* strtoll would take the prefix */
    char *from = text;
    if (has_prefix) {
        from = text + (digits - text) + 1; /* "-0xff" to "-ff" in place of the prefix's letter */
        *from = text[0] == '-' ? '-' : '+';
    }
    errno = 0;
    *out = strtoll(from, &end, (int)base);
    if (*end)
        return 0;
    return errno == ERANGE ? -1 : 1;
}

static bool parse_float(struct mu_str s, double *out)
{
    char text[NUMBER_MAX], *end;
    if (!clean_number(s, text, sizeof text) || strpbrk(text, "xXpP("))
        return false;
    *out = strtod(text, &end);
    return *end == 0;
}

static int int_of_float(struct mu_jin *J, double f, struct mu_jv *out)
{
    if (fabs(f) >= 0x1p63)
        return mu_j_fail(J, MU_EINVAL, "the integer of %g does not fit in 64 bits", f);
    *out = mu_j_int((int64_t)f);
    return MU_OK;
}

FILTER(filter_int)
{
    int64_t base = 10, i = 0;
    double f;
    int parsed = 0;

    if (self->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, self);
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[1], "base", &base));
    *out = c->arg[0].t == J_MISSING ? mu_j_int(0) : c->arg[0];
    if (self->t == J_STR && (base == 0 || (base >= 2 && base <= 36)))
        parsed = parse_int(self->s, base, &i);
    else if (mu_j_as_int(self, &i))
        parsed = 1;
    if (parsed < 0)
        return mu_j_fail(J, MU_EINVAL, "the integer %.*s does not fit in 64 bits", MU_STR_ARG(self->s));
    if (parsed > 0) {
        *out = mu_j_int(i);
        return MU_OK;
    }
    bool is_number = self->t == J_STR ? parse_float(self->s, &f) : mu_j_as_float(self, &f);
    if (is_number && isinf(f) && self->t == J_FLOAT)
        return mu_j_fail(J, MU_EINVAL, "cannot convert float infinity to integer");
    return is_number && isfinite(f) ? int_of_float(J, f, out) : MU_OK;
}

FILTER(filter_float)
{
    double f;
    if (self->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, self);
    *out = c->arg[0].t == J_MISSING ? mu_j_float(0) : c->arg[0];
    if (self->t == J_STR ? parse_float(self->s, &f) : mu_j_as_float(self, &f))
        *out = mu_j_float(f);
    return MU_OK;
}

/* Python's round(int, -n): to the nearest multiple of 10^n, ties to even. */
static int round_int(struct mu_jin *J, int64_t v, int64_t places, struct mu_jv *out)
{
    int64_t unit = 1;
    for (; places < 0 && unit < (int64_t)1e18; places++)
        unit *= 10;
    if (places < 0) {
        *out = mu_j_int(0);
        return MU_OK;
    }
    int64_t down = v / unit * unit, rest = v % unit;
    if (rest < 0) {
        rest += unit;
        if (__builtin_sub_overflow(down, unit, &down))
            return mu_j_fail(J, MU_EINVAL, "the rounded value does not fit in 64 bits");
    }
    bool is_up = rest > unit - rest || (rest == unit - rest && down / unit % 2 != 0);
    if (is_up && __builtin_add_overflow(down, unit, &down))
        return mu_j_fail(J, MU_EINVAL, "the rounded value does not fit in 64 bits");
    *out = mu_j_int(down);
    return MU_OK;
}

#define ROUND_PLACES_MAX 330 /* beyond, no float changes or none stays */

/* Correctly rounded, ties to even of the exact binary value: by way of decimal text. */
static double round_float(double f, int64_t places)
{
    char text[800];
    if (!isfinite(f) || places > ROUND_PLACES_MAX)
        return f;
    if (places < -ROUND_PLACES_MAX)
        return copysign(0, f);
    if (places < 0) {
        double unit = pow(10, (double)-places);
        return rint(f / unit) * unit;
    }
    snprintf(text, sizeof text, "%.*f", (int)places, f);
    return strtod(text, NULL);
}

FILTER(filter_round)
{
    struct mu_str method = MU_STR("common");
    int64_t places = 0, i;
    double f = 0;

    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "precision", &places));
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[1], "method", &method));
    bool is_ceil = mu_str_eq(method, MU_STR("ceil")), is_floor = mu_str_eq(method, MU_STR("floor"));
    if (!is_ceil && !is_floor && !mu_str_eq(method, MU_STR("common")))
        return mu_j_fail(J, MU_EINVAL, "method must be common, ceil or floor");
    if (self->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, self);
    if (!mu_j_as_float(self, &f))
        return mu_j_fail(J, MU_EINVAL, "type %s doesn't define __round__ method", mu_j_type_name(self));
    if (!is_ceil && !is_floor && mu_j_as_int(self, &i))
        return round_int(J, i, places, out);
    double unit = pow(10, (double)places);
    *out = mu_j_float(is_ceil ? ceil(f * unit) / unit : is_floor ? floor(f * unit) / unit : round_float(f, places));
    return MU_OK;
}

FILTER(filter_filesizeformat)
{
    static const char *const decimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    static const char *const binary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
    bool is_binary = false;
    double f;
    char text[64];

    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[0], &is_binary));
    if (self->t == J_STR ? !parse_float(self->s, &f) : !mu_j_as_float(self, &f))
        return mu_j_fail(J, MU_EINVAL, "filesizeformat needs a number");
    double base = is_binary ? 1024 : 1000, unit = base;
    if (f == 1)
        snprintf(text, sizeof text, "1 Byte");
    else if (f < base)
        snprintf(text, sizeof text, "%lld Bytes", (long long)MU_MAX(f, -9e18));
    for (size_t i = 0; f >= base && i < MU_COUNT(binary); i++) {
        unit *= base;
        snprintf(text, sizeof text, "%.1f %s", MU_MIN(base * f / unit, 1e30), is_binary ? binary[i] : decimal[i]);
        if (f < unit)
            break;
    }
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(mu_j_add(J, mu_str(text)));
    return mu_j_take(J, mark, out);
}

/* ---- JSON ---- */

/* indent: a number of blanks or the text of one level */
static int json_indent(struct mu_jin *J, const struct mu_jv *indent, struct mu_jdumps *how)
{
    int64_t n;
    if (indent->t == J_MISSING || indent->t == J_NONE)
        return MU_OK;
    how->has_indent = true;
    how->comma = MU_STR(",");
    if (indent->t == J_STR) {
        how->indent = indent->s;
        return MU_OK;
    }
    MU_TRY_RETURN(mu_j_want_int(J, indent, "indent", &n));
    if (n > 1000)
        return mu_j_fail(J, MU_ELIMIT, "an indent of %lld blanks, at most 1000 are allowed", (long long)n);
    char *blanks = mu_j_alloc(J, (size_t)MU_MAX(n, 0) + 1, 1);
    MU_J_NEED(J, blanks);
    memset(blanks, ' ', (size_t)MU_MAX(n, 0));
    how->indent = (struct mu_str){blanks, (size_t)MU_MAX(n, 0)};
    return MU_OK;
}

static int json_separators(struct mu_jin *J, const struct mu_jv *separators, struct mu_jdumps *how)
{
    struct mu_jlist *two;
    if (separators->t == J_MISSING || separators->t == J_NONE)
        return MU_OK;
    MU_TRY_RETURN(mu_j_items(J, separators, &two));
    if (two->n != 2)
        return mu_j_fail(J, MU_EINVAL, "separators are two strings, not %zu", two->n);
    MU_TRY_RETURN(mu_j_want_str(J, &two->v[0], "a separator", &how->comma));
    return mu_j_want_str(J, &two->v[1], "a separator", &how->colon);
}

static int dumped(struct mu_jin *J, const struct mu_jv *v, const struct mu_jdumps *how, struct mu_jv *out)
{
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(mu_j_dumps(J, v, how));
    return mu_j_take(J, mark, out);
}

/* Jinja2's own: safe inside HTML, keys sorted. */
FILTER(filter_tojson_html)
{
    struct mu_jdumps how = {.comma = MU_STR(", "), .colon = MU_STR(": ")};
    how.ensure_ascii = how.is_html_safe = how.sort_keys = true;
    MU_TRY_RETURN(json_indent(J, &c->arg[0], &how));
    return dumped(J, self, &how, out);
}

/* What transformers puts in its place: json.dumps. */
FILTER(filter_tojson)
{
    struct mu_jdumps how = {.comma = MU_STR(", "), .colon = MU_STR(": ")};
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[0], &how.ensure_ascii));
    MU_TRY_RETURN(json_indent(J, &c->arg[1], &how));
    MU_TRY_RETURN(json_separators(J, &c->arg[2], &how));
    if (c->arg[3].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[3], &how.sort_keys));
    return dumped(J, self, &how, out);
}

#define PPRINT_LINE_MAX 80 /* pprint breaks longer ones, by rules of its own */

static int sort_dicts(struct mu_jin *J, const struct mu_jv *v, struct mu_jv *out)
{
    struct mu_jv item;
    *out = *v;
    MU_TRY_RETURN(mu_j_enter(J));
    if (v->t == J_LIST || v->t == J_TUPLE) {
        MU_TRY_RETURN(mu_j_new_list(J, v->t, 0, out));
        for (size_t i = 0; i < v->list->n; i++) {
            MU_TRY_RETURN(sort_dicts(J, &v->list->v[i], &item));
            MU_TRY_RETURN(mu_j_push(J, out->list, item));
        }
    } else if (v->t == J_DICT) {
        size_t n = v->dict->n;
        struct mu_jv *keys = mu_j_alloc(J, n, sizeof *keys), *values = mu_j_alloc(J, n, sizeof *values);
        if (!keys || !values)
            return J->err.code;
        for (size_t i = 0; i < n; i++) {
            keys[i] = v->dict->at[i].key;
            MU_TRY_RETURN(sort_dicts(J, &v->dict->at[i].value, &values[i]));
        }
        MU_TRY_RETURN(mu_j_sort(J, values, keys, n, false));
        MU_TRY_RETURN(mu_j_new_dict(J, out));
        for (size_t i = 0; i < n; i++)
            MU_TRY_RETURN(mu_j_dict_put(J, out->dict, keys[i], values[i]));
    }
    J->depth--;
    return MU_OK;
}

FILTER(filter_pprint)
{
    struct mu_jv sorted;
    size_t mark = mu_j_mark(J);
    (void)c;
    MU_TRY_RETURN(sort_dicts(J, self, &sorted));
    MU_TRY_RETURN(mu_j_print(J, &sorted, true));
    MU_TRY_RETURN(mu_j_take(J, mark, out));
    if (mu_t_chars(out->s) > PPRINT_LINE_MAX)
        return mu_j_fail(J, MU_EUNSUPPORTED, "pprint of more than %d characters is not supported", PPRINT_LINE_MAX);
    return MU_OK;
}

FILTER(filter_random)
{
    (void)self;
    (void)c;
    (void)out;
    return mu_j_fail(J, MU_EUNSUPPORTED, "the filter random is not supported: a prompt must be the same every time");
}

const struct mu_jfn mu_j_filters_value[] = {
    {"default", "default_value? boolean?", filter_default, 0},
    {"d", "default_value? boolean?", filter_default, 0},
    {"attr", "name", filter_attr, 0},
    {"abs", "", filter_abs, 0},
    {"int", "default? base?", filter_int, 0},
    {"float", "default?", filter_float, 0},
    {"round", "precision? method?", filter_round, 0},
    {"filesizeformat", "binary?", filter_filesizeformat, 0},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", filter_tojson, MU_J_CHAT},
    {"tojson", "indent?", filter_tojson_html, 0},
    {"pprint", "", filter_pprint, 0},
    {"random", "", filter_random, 0},
    {NULL, NULL, NULL, 0},
};
