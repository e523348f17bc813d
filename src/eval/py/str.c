/* str.c - str() and repr() of JSON trees read as Python values
 *
 * A text is quoted as CPython's unicode_repr does: single quotes unless it holds one and no double quote, what is not
 * printable escaped. */
#include <inttypes.h>

#include "base/check.h"
#include "eval/py/value.h"
#include "tok/jinja/text.h"
#include "tok/jinja/value.h"

#define DEPTH_MAX 1000 /* of lists in lists; CPython's own recursion ends about there */

static int add_repr(struct mu_buf *out, const json_t *v, int depth, struct mu_err *e);

static int add_char(struct mu_buf *out, struct mu_str whole, uint32_t cp, char quote, struct mu_err *e)
{
    if (cp == '\\' || cp == (uint32_t)quote)
        return mu_buf_printf(out, e, "\\%c", (int)cp);
    if (cp == '\n' || cp == '\r' || cp == '\t')
        return mu_buf_printf(out, e, "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't');
    if (mu_t_is_printable(cp))
        return mu_buf_add(out, whole.p, whole.n, e);
    if (cp < 0x100)
        return mu_buf_printf(out, e, "\\x%02x", cp);
    return cp < 0x10000 ? mu_buf_printf(out, e, "\\u%04x", cp) : mu_buf_printf(out, e, "\\U%08x", cp);
}

static int add_text(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    bool has_single = s.n && memchr(s.p, '\'', s.n), has_double = s.n && memchr(s.p, '"', s.n);
    char quote = has_single && !has_double ? '"' : '\'';
    size_t len;

    MU_TRY_RETURN(mu_buf_putc(out, quote, e));
    for (size_t at = 0; at < s.n; at += len) {
        uint32_t cp = mu_t_at(s, at, &len);
        MU_TRY_RETURN(add_char(out, (struct mu_str){s.p + at, len}, cp, quote, e));
    }
    return mu_buf_putc(out, quote, e);
}

static int add_list(struct mu_buf *out, const json_t *v, int depth, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_putc(out, '[', e));
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i > 0)
            MU_TRY_RETURN(mu_buf_puts(out, ", ", e));
        MU_TRY_RETURN(add_repr(out, json_array_get(v, i), depth, e));
    }
    return mu_buf_putc(out, ']', e);
}

static int add_dict(struct mu_buf *out, const json_t *v, int depth, struct mu_err *e)
{
    json_t *dict = (json_t *)(uintptr_t)v; /* jansson's iterators take no const; nothing is changed */
    bool is_first = true;

    MU_TRY_RETURN(mu_buf_putc(out, '{', e));
    for (void *at = json_object_iter(dict); at; at = json_object_iter_next(dict, at)) {
        if (!is_first)
            MU_TRY_RETURN(mu_buf_puts(out, ", ", e));
        is_first = false;
        MU_TRY_RETURN(add_text(out, (struct mu_str){json_object_iter_key(at), json_object_iter_key_len(at)}, e));
        MU_TRY_RETURN(mu_buf_puts(out, ": ", e));
        MU_TRY_RETURN(add_repr(out, json_object_iter_value(at), depth, e));
    }
    return mu_buf_putc(out, '}', e);
}

static int add_repr(struct mu_buf *out, const json_t *v, int depth, struct mu_err *e)
{
    char number[40];
    if (depth >= DEPTH_MAX)
        return mu_fail(e, MU_ELIMIT, "a value is nested deeper than %d levels", DEPTH_MAX);
    if (!v)
        return mu_buf_puts(out, "None", e);
    switch (json_typeof(v)) {
    case JSON_NULL:
        return mu_buf_puts(out, "None", e);
    case JSON_TRUE:
        return mu_buf_puts(out, "True", e);
    case JSON_FALSE:
        return mu_buf_puts(out, "False", e);
    case JSON_INTEGER:
        return mu_buf_printf(out, e, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        mu_j_float_text(json_real_value(v), number);
        return mu_buf_puts(out, number, e);
    case JSON_STRING:
        return add_text(out, (struct mu_str){json_string_value(v), json_string_length(v)}, e);
    case JSON_ARRAY:
        return add_list(out, v, depth + 1, e);
    default:
        return add_dict(out, v, depth + 1, e);
    }
}

int mu_py_repr(struct mu_buf *out, const json_t *v, struct mu_err *e)
{
    return add_repr(out, v, 0, e);
}

int mu_py_str(struct mu_buf *out, const json_t *v, struct mu_err *e)
{
    if (json_is_string(v))
        return mu_buf_add(out, json_string_value(v), json_string_length(v), e);
    return add_repr(out, v, 0, e);
}
