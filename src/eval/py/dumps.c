/* dumps.c - json.dumps(v, indent=indent, ensure_ascii=False) as Lib/json/encoder.py prints it
 *
 * Control characters below U+0020 are escaped, nothing else but the quote and the backslash; U+007F and all above stay.
 * Empty lists and dicts are [] and {} with and without an indent. */
#include "base/check.h"
#include "eval/py/value.h"
#include "tok/jinja/value.h"

#define DEPTH_MAX 1000 /* CPython's encoder gives up about there */

static int add_value(struct mu_buf *out, const json_t *v, int indent, int depth, struct mu_err *e);

static int add_text(struct mu_buf *out, const char *p, size_t n, struct mu_err *e)
{
    static const char named[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    size_t kept = 0;

    MU_TRY_RETURN(mu_buf_putc(out, '"', e));
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        MU_TRY_RETURN(mu_buf_add(out, p + kept, i - kept, e));
        kept = i + 1;
        const char *at = c ? strchr(named, c) : NULL;
        if (at)
            MU_TRY_RETURN(mu_buf_printf(out, e, "\\%c", letters[at - named]));
        else
            MU_TRY_RETURN(mu_buf_printf(out, e, "\\u%04x", c));
    }
    if (n > kept)
        MU_TRY_RETURN(mu_buf_add(out, p + kept, n - kept, e));
    return mu_buf_putc(out, '"', e);
}

/* What stands before a member: a comma after the first, then a new line and the indent, or one space. */
static int add_gap(struct mu_buf *out, bool is_first, int indent, int depth, struct mu_err *e)
{
    if (!is_first)
        MU_TRY_RETURN(mu_buf_putc(out, ',', e));
    if (indent < 0)
        return is_first ? MU_OK : mu_buf_putc(out, ' ', e);
    return mu_buf_printf(out, e, "\n%*s", indent * depth, "");
}

static int add_end(struct mu_buf *out, char bracket, int indent, int depth, struct mu_err *e)
{
    if (indent >= 0)
        MU_TRY_RETURN(mu_buf_printf(out, e, "\n%*s", indent * depth, ""));
    return mu_buf_putc(out, bracket, e);
}

static int add_list(struct mu_buf *out, const json_t *v, int indent, int depth, struct mu_err *e)
{
    if (json_array_size(v) == 0)
        return mu_buf_puts(out, "[]", e);
    MU_TRY_RETURN(mu_buf_putc(out, '[', e));
    for (size_t i = 0; i < json_array_size(v); i++) {
        MU_TRY_RETURN(add_gap(out, i == 0, indent, depth + 1, e));
        MU_TRY_RETURN(add_value(out, json_array_get(v, i), indent, depth + 1, e));
    }
    return add_end(out, ']', indent, depth, e);
}

static int add_dict(struct mu_buf *out, const json_t *v, int indent, int depth, struct mu_err *e)
{
    json_t *dict = (json_t *)(uintptr_t)v; /* jansson's iterators take no const; nothing is changed */
    bool is_first = true;

    if (json_object_size(v) == 0)
        return mu_buf_puts(out, "{}", e);
    MU_TRY_RETURN(mu_buf_putc(out, '{', e));
    for (void *at = json_object_iter(dict); at; at = json_object_iter_next(dict, at)) {
        MU_TRY_RETURN(add_gap(out, is_first, indent, depth + 1, e));
        is_first = false;
        MU_TRY_RETURN(add_text(out, json_object_iter_key(at), json_object_iter_key_len(at), e));
        MU_TRY_RETURN(mu_buf_puts(out, ": ", e));
        MU_TRY_RETURN(add_value(out, json_object_iter_value(at), indent, depth + 1, e));
    }
    return add_end(out, '}', indent, depth, e);
}

static int add_value(struct mu_buf *out, const json_t *v, int indent, int depth, struct mu_err *e)
{
    char number[40];
    if (depth >= DEPTH_MAX)
        return mu_fail(e, MU_ELIMIT, "a value is nested deeper than %d levels", DEPTH_MAX);
    if (!v)
        return mu_buf_puts(out, "null", e);
    switch (json_typeof(v)) {
    case JSON_NULL:
        return mu_buf_puts(out, "null", e);
    case JSON_TRUE:
        return mu_buf_puts(out, "true", e);
    case JSON_FALSE:
        return mu_buf_puts(out, "false", e);
    case JSON_INTEGER:
        return mu_buf_printf(out, e, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        mu_j_float_text(json_real_value(v), number);
        return mu_buf_puts(out, number, e);
    case JSON_STRING:
        return add_text(out, json_string_value(v), json_string_length(v), e);
    case JSON_ARRAY:
        return add_list(out, v, indent, depth, e);
    default:
        return add_dict(out, v, indent, depth, e);
    }
}

int mu_py_dumps(struct mu_buf *out, const json_t *v, int indent, struct mu_err *e)
{
    return add_value(out, v, indent, 0, e);
}
