/* json.c - jansson on our heap, with sentences */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* jansson's lexer reports a failed allocation as odd syntax, so we remember it ourselves. Worse, it loses the character
 * it had no room for and may then run past the token or stop the program (an assertion in jansson 2.14's
 * lex_scan_string): one more try keeps it whole until the parse ends and the failure is reported. */
static _Thread_local bool ran_out;

static void *alloc_noted(size_t bytes)
{
    void *p = mu_alloc(bytes);
    ran_out |= !p;
    return p ? p : mu_alloc(bytes);
}

static void use_our_heap(void)
{
    json_set_alloc_funcs(alloc_noted, mu_free);
}

/* A parse that ran out of memory may also end well and have lost a character of a key. */
static int take_tree(json_t **out, json_t *v, const json_error_t *je, struct mu_str text, const char *where,
                     struct mu_err *e)
{
    if (ran_out) {
        json_decref(v);
        return mu_fail_nomem(e, text.n, where);
    }
    if (!v && text.n && !memchr(text.p, '\n', text.n))
        return mu_fail(e, MU_EFORMAT, "%s, column %d: %s", where, je->column, je->text);
    if (!v)
        return mu_fail(e, MU_EFORMAT, "%s, line %d, column %d: %s", where, je->line, je->column, je->text);
    *out = v;
    return MU_OK;
}

void mu_json_init(void)
{
    pthread_once(&once, use_our_heap);
}

int mu_json_parse(json_t **out, struct mu_str text, const char *where, struct mu_err *e)
{
    json_error_t je;
    size_t flags = JSON_ALLOW_NUL | JSON_DECODE_ANY;

    mu_json_init();
    ran_out = false;
    json_t *v = json_loadb(text.p ? text.p : "", text.n, flags, &je);
    if (!v && json_error_code(&je) == json_error_numeric_overflow)
        v = json_loadb(text.p, text.n, flags | JSON_DECODE_INT_AS_REAL, &je);
    return take_tree(out, v, &je, text, where, e);
}

int mu_json_parse_strict(json_t **out, struct mu_str text, const char *where, struct mu_err *e)
{
    json_error_t je;
    size_t flags = JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;

    pthread_once(&once, use_our_heap);
    ran_out = false;
    json_t *v = json_loadb(text.p ? text.p : "", text.n, flags, &je);
    return take_tree(out, v, &je, text, where, e);
}

int mu_json_load(json_t **out, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("JSON", MU_JSON_BYTES_MAX);
    int rc = MU_OK;

    MU_TRY(mu_file_read_all(&text, path, e));
    MU_TRY(mu_json_parse(out, mu_buf_str(&text), path, e));
out:
    mu_buf_fini(&text);
    return rc;
}

/* ---- writing ---- */

/* One character that JSON must escape. */
static int dump_escaped(struct mu_buf *out, unsigned char c, struct mu_err *e)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    if (at)
        return mu_buf_printf(out, e, "\\%c", letter[at - plain]);
    return mu_buf_printf(out, e, "\\u%04x", c);
}

static int dump_string(struct mu_buf *out, const char *s, size_t n, struct mu_err *e)
{
    size_t from = 0;
    MU_TRY_RETURN(mu_buf_putc(out, '"', e));
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        MU_TRY_RETURN(mu_buf_add(out, s + from, i - from, e));
        MU_TRY_RETURN(dump_escaped(out, c, e));
        from = i + 1;
    }
    MU_TRY_RETURN(mu_buf_add(out, s + from, n - from, e));
    return mu_buf_putc(out, '"', e);
}

int mu_json_dump_string(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    return dump_string(out, s.p, s.n, e);
}

/* The shortest of %.15g .. %.17g that reads back the same, always recognisable as a real. */
static int dump_real(struct mu_buf *out, double v, struct mu_err *e)
{
    char text[40];
    if (!isfinite(v))
        return mu_buf_puts(out, "null", e);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    MU_TRY_RETURN(mu_buf_puts(out, text, e));
    return strpbrk(text, ".eE") ? MU_OK : mu_buf_puts(out, ".0", e);
}

static int dump_break(struct mu_buf *out, bool indent, int depth, struct mu_err *e)
{
    return indent ? mu_buf_printf(out, e, "\n%*s", depth * 2, "") : MU_OK;
}

static int dump_value(struct mu_buf *out, const json_t *v, bool indent, int depth, struct mu_err *e)
{
    const char *key;
    size_t i, key_n;
    json_t *child;
    bool is_first = true;

    switch (json_typeof(v)) {
    case JSON_OBJECT:
        MU_TRY_RETURN(mu_buf_putc(out, '{', e));
        json_object_keylen_foreach((json_t *)(uintptr_t)v, key, key_n, child)
        {
            if (!is_first)
                MU_TRY_RETURN(mu_buf_puts(out, indent ? "," : ", ", e));
            is_first = false;
            MU_TRY_RETURN(dump_break(out, indent, depth + 1, e));
            MU_TRY_RETURN(dump_string(out, key, key_n, e));
            MU_TRY_RETURN(mu_buf_puts(out, ": ", e));
            MU_TRY_RETURN(dump_value(out, child, indent, depth + 1, e));
        }
        if (!is_first)
            MU_TRY_RETURN(dump_break(out, indent, depth, e));
        return mu_buf_putc(out, '}', e);
    case JSON_ARRAY:
        MU_TRY_RETURN(mu_buf_putc(out, '[', e));
        json_array_foreach(v, i, child)
        {
            if (i > 0)
                MU_TRY_RETURN(mu_buf_puts(out, indent ? "," : ", ", e));
            MU_TRY_RETURN(dump_break(out, indent, depth + 1, e));
            MU_TRY_RETURN(dump_value(out, child, indent, depth + 1, e));
        }
        if (json_array_size(v) > 0)
            MU_TRY_RETURN(dump_break(out, indent, depth, e));
        return mu_buf_putc(out, ']', e);
    case JSON_STRING:
        return dump_string(out, json_string_value(v), json_string_length(v), e);
    case JSON_INTEGER:
        return mu_buf_printf(out, e, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return dump_real(out, json_real_value(v), e);
    case JSON_TRUE:
        return mu_buf_puts(out, "true", e);
    case JSON_FALSE:
        return mu_buf_puts(out, "false", e);
    case JSON_NULL:
    default:
        return mu_buf_puts(out, "null", e);
    }
}

int mu_json_dump(struct mu_buf *out, const json_t *v, bool indent, struct mu_err *e)
{
    return dump_value(out, v, indent, 0, e);
}

/* ---- getters ---- */

static const char *type_name(const json_t *v)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a real",    [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null"};
    return names[json_typeof(v)];
}

static int fail_type(const json_t *v, const char *key, const char *want, const char *where, struct mu_err *e)
{
    if (!v)
        return mu_fail(e, MU_EFORMAT, "%s: \"%s\" is missing, %s is needed", where, key, want);
    return mu_fail(e, MU_EFORMAT, "%s: \"%s\" is %s, %s is needed", where, key, type_name(v), want);
}

bool mu_json_has(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return v && !json_is_null(v);
}

int mu_json_int(const json_t *obj, const char *key, int64_t lo, int64_t hi, int64_t *out, const char *where,
                struct mu_err *e)
{
    const json_t *v = json_object_get(obj, key);
    int64_t n;
    if (json_is_integer(v)) {
        n = json_integer_value(v);
    } else if (json_is_real(v) && rint(json_real_value(v)) == json_real_value(v)) {
        double d = json_real_value(v);
        n = d >= 0x1p63 ? INT64_MAX : d < -0x1p63 ? INT64_MIN : (int64_t)d;
    } else {
        return fail_type(v, key, "an integer", where, e);
    }
    if (n < lo || n > hi)
        return mu_fail(e, MU_EFORMAT, "%s: \"%s\" is %" PRId64 ", it must lie in %" PRId64 "..%" PRId64, where, key, n,
                       lo, hi);
    *out = n;
    return MU_OK;
}

int mu_json_real(const json_t *obj, const char *key, double lo, double hi, double *out, const char *where,
                 struct mu_err *e)
{
    const json_t *v = json_object_get(obj, key);
    if (!json_is_number(v))
        return fail_type(v, key, "a number", where, e);
    double d = json_number_value(v);
    if (!(d >= lo && d <= hi))
        return mu_fail(e, MU_EFORMAT, "%s: \"%s\" is %g, it must lie in %g..%g", where, key, d, lo, hi);
    *out = d;
    return MU_OK;
}

int mu_json_bool(const json_t *obj, const char *key, bool *out, const char *where, struct mu_err *e)
{
    const json_t *v = json_object_get(obj, key);
    if (!json_is_boolean(v))
        return fail_type(v, key, "true or false", where, e);
    *out = json_is_true(v);
    return MU_OK;
}

int mu_json_string(const json_t *obj, const char *key, const char **out, const char *where, struct mu_err *e)
{
    const json_t *v = json_object_get(obj, key);
    if (!json_is_string(v))
        return fail_type(v, key, "a string", where, e);
    *out = json_string_value(v);
    return MU_OK;
}

int mu_json_object(const json_t *obj, const char *key, json_t **out, const char *where, struct mu_err *e)
{
    json_t *v = json_object_get(obj, key);
    if (!json_is_object(v))
        return fail_type(v, key, "an object", where, e);
    *out = v;
    return MU_OK;
}

int mu_json_array(const json_t *obj, const char *key, json_t **out, const char *where, struct mu_err *e)
{
    json_t *v = json_object_get(obj, key);
    if (!json_is_array(v))
        return fail_type(v, key, "an array", where, e);
    *out = v;
    return MU_OK;
}
