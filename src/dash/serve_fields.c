/* serve_fields.c - the typed members of a request's body */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "dash/serve_ask.h"

int mu_api_fail(struct mu_api_error *x, int status, const char *param, const char *code, const char *fmt, ...)
{
    char text[MU_ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    x->status = status;
    x->param = param;
    x->code = code;
    x->retry_s = 0;
    return mu_fail(&x->err, MU_EINVAL, "%s", text);
}

/* Values a text holds at most: commas and opening brackets outside of strings. A tree takes a hundred times the bytes
 * of "0,0,0", so this is asked before there is one. */
static size_t count_nodes(struct mu_str s)
{
    size_t n = 1;
    bool in_string = false;
    for (size_t i = 0; i < s.n; i++) {
        if (in_string && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            in_string = !in_string;
        else if (!in_string)
            n += s.p[i] == ',' || s.p[i] == '[' || s.p[i] == '{' || s.p[i] == ':';
    }
    return n;
}

int mu_body_parse(json_t **out, struct mu_str body, struct mu_api_error *x)
{
    struct mu_err err = MU_ERR_INIT;
    *out = NULL;
    if (count_nodes(body) > MU_SERVE_JSON_NODES_MAX)
        return mu_api_fail(x, 413, NULL, "body_too_large", "the body holds more than %d values",
                           MU_SERVE_JSON_NODES_MAX);
    int rc = mu_json_parse(out, body, "the body", &err);
    if (rc == MU_ENOMEM)
        return mu_api_fail(x, 503, NULL, "overloaded", "%s", err.text);
    if (rc != MU_OK)
        return mu_api_fail(x, 400, NULL, "invalid_json", "%s", err.text);
    if (json_is_object(*out))
        return MU_OK;
    json_decref(*out);
    *out = NULL;
    return mu_api_fail(x, 400, NULL, "invalid_json", "the body must be a JSON object");
}

static const json_t *member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

int mu_field_real(const json_t *o, const char *key, double lo, double hi, double *out, struct mu_api_error *x)
{
    const json_t *v = member(o, key);
    if (!v)
        return MU_OK;
    if (!json_is_number(v))
        return mu_api_fail(x, 400, key, "invalid_type", "%s must be a number", key);
    double d = json_number_value(v);
    if (!(d >= lo && d <= hi))
        return mu_api_fail(x, 400, key, "invalid_value", "%s is %g: it must lie in %g to %g", key, d, lo, hi);
    *out = d;
    return MU_OK;
}

int mu_field_int(const json_t *o, const char *key, int64_t lo, int64_t hi, int64_t *out, struct mu_api_error *x)
{
    const json_t *v = member(o, key);
    if (!v)
        return MU_OK;
    double d = json_number_value(v);
    bool is_whole = json_is_integer(v) || (json_is_real(v) && rint(d) == d && fabs(d) < 0x1p53);
    if (!is_whole)
        return mu_api_fail(x, 400, key, "invalid_type", "%s must be an integer", key);
    int64_t i = json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)d;
    if (i < lo || i > hi)
        return mu_api_fail(x, 400, key, "invalid_value", "%s is %" PRId64 ": it must lie in %" PRId64 " to %" PRId64,
                           key, i, lo, hi);
    *out = i;
    return MU_OK;
}

int mu_field_bool(const json_t *o, const char *key, bool *out, struct mu_api_error *x)
{
    const json_t *v = member(o, key);
    if (v && !json_is_boolean(v))
        return mu_api_fail(x, 400, key, "invalid_type", "%s must be true or false", key);
    if (v)
        *out = json_is_true(v);
    return MU_OK;
}

int mu_field_string(const json_t *o, const char *key, const char **out, size_t *n, struct mu_api_error *x)
{
    const json_t *v = member(o, key);
    if (v && !json_is_string(v))
        return mu_api_fail(x, 400, key, "invalid_type", "%s must be a string", key);
    if (v) {
        *out = json_string_value(v);
        *n = json_string_length(v);
    }
    return MU_OK;
}
