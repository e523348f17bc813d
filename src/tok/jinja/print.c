/* print.c - str() and repr() of every value, and JSON in both directions */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

/* Python's float_repr: the shortest digits that read back the same; exponent form outside 1e-4 .. 1e16. */
void mu_j_float_text(double f, char text[40])
{
    char d[32];
    if (!isfinite(f)) {
        snprintf(text, 40, "%s", isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(d, sizeof d, "%.*e", digits - 1, f);
        if (strtod(d, NULL) == f)
            break;
    }
    snprintf(d, sizeof d, "%.*e", digits - 1, f);
    int exponent = atoi(strchr(d, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        snprintf(text, 40, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 1, f);
        return;
    }
    char *e = strchr(d, 'e');
    snprintf(text, 40, "%.*se%c%02d", (int)(e - d), d, exponent < 0 ? '-' : '+', abs(exponent));
}

/* ---- repr ---- */

static int repr_string(struct mu_jin *J, struct mu_str s)
{
    bool has_single = memchr(s.p ? s.p : "", '\'', s.n) != NULL, has_double = memchr(s.p ? s.p : "", '"', s.n) != NULL;
    char quote = has_single && !has_double ? '"' : '\'';
    size_t len;

    MU_TRY_RETURN(mu_j_addf(J, "%c", quote));
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t cp = mu_t_at(s, i, &len);
        if (cp == '\\' || cp == (uint32_t)quote)
            MU_TRY_RETURN(mu_j_addf(J, "\\%c", (int)cp));
        else if (cp == '\n' || cp == '\r' || cp == '\t')
            MU_TRY_RETURN(mu_j_addf(J, "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't'));
        else if (mu_t_is_printable(cp))
            MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, i, i + len)));
        else
            MU_TRY_RETURN(mu_j_addf(J, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp));
    }
    return mu_j_addf(J, "%c", quote);
}

static int repr_items(struct mu_jin *J, const struct mu_jlist *l, const char *open, const char *close)
{
    MU_TRY_RETURN(mu_j_add(J, mu_str(open)));
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            MU_TRY_RETURN(mu_j_add(J, MU_STR(", ")));
        MU_TRY_RETURN(mu_j_print(J, &l->v[i], true));
    }
    return mu_j_add(J, mu_str(close));
}

static int repr_dict(struct mu_jin *J, const struct mu_jdict *d)
{
    MU_TRY_RETURN(mu_j_add(J, MU_STR("{")));
    for (size_t i = 0; i < d->n; i++) {
        if (i > 0)
            MU_TRY_RETURN(mu_j_add(J, MU_STR(", ")));
        MU_TRY_RETURN(mu_j_print(J, &d->at[i].key, true));
        MU_TRY_RETURN(mu_j_add(J, MU_STR(": ")));
        MU_TRY_RETURN(mu_j_print(J, &d->at[i].value, true));
    }
    return mu_j_add(J, MU_STR("}"));
}

static int repr_range(struct mu_jin *J, const struct mu_jrange *r)
{
    if (r->step == 1)
        return mu_j_addf(J, "range(%" PRId64 ", %" PRId64 ")", r->start, r->stop);
    return mu_j_addf(J, "range(%" PRId64 ", %" PRId64 ", %" PRId64 ")", r->start, r->stop, r->step);
}

static int print_scalar(struct mu_jin *J, const struct mu_jv *v, bool is_repr)
{
    char text[40];
    switch (v->t) {
    case J_NONE:
        return mu_j_add(J, MU_STR("None"));
    case J_BOOL:
        return mu_j_add(J, v->b ? MU_STR("True") : MU_STR("False"));
    case J_INT:
        return mu_j_addf(J, "%" PRId64, v->i);
    case J_FLOAT:
        mu_j_float_text(v->f, text);
        return mu_j_add(J, mu_str(text));
    case J_STR:
        return is_repr ? repr_string(J, v->s) : mu_j_add(J, v->s);
    case J_RANGE:
        return repr_range(J, v->range);
    case J_UNDEFINED:
        if (is_repr)
            return mu_j_add(J, MU_STR("Undefined"));
        return v->undef->is_strict ? mu_j_fail_undefined(J, v) : MU_OK;
    case J_LOOP: {
        struct mu_jv index;
        int64_t n;
        bool is_found;
        MU_TRY_RETURN(mu_j_loop_attr(J, v->loop, MU_STR("index"), &index, &is_found));
        MU_TRY_RETURN(mu_j_loop_length(J, v->loop, &n));
        return mu_j_addf(J, "<LoopContext %" PRId64 "/%" PRId64 ">", index.i, n);
    }
    case J_MACRO:
        if (v->macro->node->kind != N_MACRO)
            return mu_j_add(J, MU_STR("<Macro anonymous>"));
        MU_TRY_RETURN(mu_j_add(J, MU_STR("<Macro ")));
        MU_TRY_RETURN(repr_string(J, v->macro->node->name));
        return mu_j_add(J, MU_STR(">"));
    case J_FUNC:
        return mu_j_addf(J, "<function %s>", v->fn->name);
    default:
        return mu_j_addf(J, "<%s object>", mu_j_type_name(v));
    }
}

int mu_j_print(struct mu_jin *J, const struct mu_jv *v, bool is_repr)
{
    MU_TRY_RETURN(mu_j_enter(J));
    switch (v->t) {
    case J_LIST:
        MU_TRY_RETURN(repr_items(J, v->list, "[", "]"));
        break;
    case J_TUPLE:
        MU_TRY_RETURN(repr_items(J, v->list, "(", v->list->n == 1 ? ",)" : ")"));
        break;
    case J_VIEW:
        MU_TRY_RETURN(mu_j_addf(J, "%s(", v->list->view));
        MU_TRY_RETURN(repr_items(J, v->list, "[", "])"));
        break;
    case J_DICT:
        MU_TRY_RETURN(repr_dict(J, v->dict));
        break;
    case J_NAMESPACE:
        MU_TRY_RETURN(mu_j_add(J, MU_STR("<Namespace ")));
        MU_TRY_RETURN(repr_dict(J, v->dict));
        MU_TRY_RETURN(mu_j_add(J, MU_STR(">")));
        break;
    default:
        MU_TRY_RETURN(print_scalar(J, v, is_repr));
    }
    J->depth--;
    return MU_OK;
}

int mu_j_str(struct mu_jin *J, const struct mu_jv *v, struct mu_str *out)
{
    struct mu_jv text = *v;
    if (v->t != J_STR) {
        size_t mark = mu_j_mark(J);
        MU_TRY_RETURN(mu_j_print(J, v, false));
        MU_TRY_RETURN(mu_j_take(J, mark, &text));
    }
    *out = text.s;
    return MU_OK;
}

/* ---- json.dumps ---- */

static int dump_character(struct mu_jin *J, uint32_t cp, struct mu_str raw, const struct mu_jdumps *how)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = cp && cp < 0x80 ? strchr(plain, (int)cp) : NULL;
    if (at)
        return mu_j_addf(J, "\\%c", letter[at - plain]);
    bool is_html = how->is_html_safe && (cp == '<' || cp == '>' || cp == '&' || cp == '\'');
    if (cp < 0x20 || is_html || (how->ensure_ascii && cp > 0x7E && cp < 0x10000))
        return mu_j_addf(J, "\\u%04x", cp);
    if (how->ensure_ascii && cp > 0x7E)
        return mu_j_addf(J, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10), 0xDC00 + ((cp - 0x10000) & 0x3FF));
    return mu_j_add(J, raw);
}

static int dump_string(struct mu_jin *J, struct mu_str s, const struct mu_jdumps *how)
{
    size_t len;
    MU_TRY_RETURN(mu_j_add(J, MU_STR("\"")));
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t cp = mu_t_at(s, i, &len);
        MU_TRY_RETURN(dump_character(J, cp, mu_t_sub(s, i, i + len), how));
    }
    return mu_j_add(J, MU_STR("\""));
}

static int dump_scalar(struct mu_jin *J, const struct mu_jv *v, const struct mu_jdumps *how)
{
    char text[40];
    switch (v->t) {
    case J_NONE:
        return mu_j_add(J, MU_STR("null"));
    case J_BOOL:
        return mu_j_add(J, v->b ? MU_STR("true") : MU_STR("false"));
    case J_INT:
        return mu_j_addf(J, "%" PRId64, v->i);
    case J_FLOAT:
        mu_j_float_text(v->f, text);
        if (!isfinite(v->f))
            snprintf(text, sizeof text, "%s", isnan(v->f) ? "NaN" : v->f < 0 ? "-Infinity" : "Infinity");
        return mu_j_add(J, mu_str(text));
    case J_STR:
        return dump_string(J, v->s, how);
    default:
        return mu_j_fail(J, MU_EINVAL, "Object of type %s is not JSON serializable", mu_j_type_name(v));
    }
}

/* A key is a string; numbers, booleans and None become one. */
static int dump_key(struct mu_jin *J, const struct mu_jv *key, const struct mu_jdumps *how)
{
    if (key->t == J_STR)
        return dump_string(J, key->s, how);
    if (key->t != J_NONE && key->t != J_BOOL && key->t != J_INT && key->t != J_FLOAT)
        return mu_j_fail(J, MU_EINVAL, "keys must be str, int, float, bool or None, not %s", mu_j_type_name(key));
    MU_TRY_RETURN(mu_j_add(J, MU_STR("\"")));
    MU_TRY_RETURN(dump_scalar(J, key, how));
    return mu_j_add(J, MU_STR("\""));
}

static int dump_break(struct mu_jin *J, const struct mu_jdumps *how, int depth)
{
    if (!how->has_indent)
        return MU_OK;
    MU_TRY_RETURN(mu_j_add(J, MU_STR("\n")));
    for (int i = 0; i < depth; i++)
        MU_TRY_RETURN(mu_j_add(J, how->indent));
    return MU_OK;
}

static int sorted_entries(struct mu_jin *J, const struct mu_jdict *d, size_t **out)
{
    struct mu_jv *items = mu_j_alloc(J, d->n, sizeof *items), *keys = mu_j_alloc(J, d->n, sizeof *keys);
    *out = mu_j_alloc(J, d->n, sizeof **out);
    if (!items || !keys || !*out)
        return J->err.code;
    for (size_t i = 0; i < d->n; i++) {
        items[i] = mu_j_int((int64_t)i);
        keys[i] = d->at[i].key;
    }
    MU_TRY_RETURN(mu_j_sort(J, items, keys, d->n, false));
    for (size_t i = 0; i < d->n; i++)
        (*out)[i] = (size_t)items[i].i;
    return MU_OK;
}

static int dump_value(struct mu_jin *J, const struct mu_jv *v, const struct mu_jdumps *how, int depth);

static int dump_dict(struct mu_jin *J, const struct mu_jdict *d, const struct mu_jdumps *how, int depth)
{
    size_t *sorted = NULL;
    if (d->n == 0)
        return mu_j_add(J, MU_STR("{}"));
    if (how->sort_keys)
        MU_TRY_RETURN(sorted_entries(J, d, &sorted));
    MU_TRY_RETURN(mu_j_add(J, MU_STR("{")));
    for (size_t i = 0; i < d->n; i++) {
        const struct mu_jentry *entry = &d->at[sorted ? sorted[i] : i];
        if (i > 0)
            MU_TRY_RETURN(mu_j_add(J, how->comma));
        MU_TRY_RETURN(dump_break(J, how, depth + 1));
        MU_TRY_RETURN(dump_key(J, &entry->key, how));
        MU_TRY_RETURN(mu_j_add(J, how->colon));
        MU_TRY_RETURN(dump_value(J, &entry->value, how, depth + 1));
    }
    MU_TRY_RETURN(dump_break(J, how, depth));
    return mu_j_add(J, MU_STR("}"));
}

static int dump_list(struct mu_jin *J, const struct mu_jlist *l, const struct mu_jdumps *how, int depth)
{
    if (l->n == 0)
        return mu_j_add(J, MU_STR("[]"));
    MU_TRY_RETURN(mu_j_add(J, MU_STR("[")));
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            MU_TRY_RETURN(mu_j_add(J, how->comma));
        MU_TRY_RETURN(dump_break(J, how, depth + 1));
        MU_TRY_RETURN(dump_value(J, &l->v[i], how, depth + 1));
    }
    MU_TRY_RETURN(dump_break(J, how, depth));
    return mu_j_add(J, MU_STR("]"));
}

static int dump_value(struct mu_jin *J, const struct mu_jv *v, const struct mu_jdumps *how, int depth)
{
    MU_TRY_RETURN(mu_j_enter(J));
    if (v->t == J_DICT)
        MU_TRY_RETURN(dump_dict(J, v->dict, how, depth));
    else if (v->t == J_LIST || v->t == J_TUPLE)
        MU_TRY_RETURN(dump_list(J, v->list, how, depth));
    else
        MU_TRY_RETURN(dump_scalar(J, v, how));
    J->depth--;
    return MU_OK;
}

int mu_j_dumps(struct mu_jin *J, const struct mu_jv *v, const struct mu_jdumps *how)
{
    return dump_value(J, v, how, 0);
}

/* ---- json_t ---- */

static int from_array(struct mu_jin *J, const json_t *json, struct mu_jv *out)
{
    const json_t *item;
    struct mu_jv v;
    size_t i;
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, json_array_size(json), out));
    json_array_foreach(json, i, item)
    {
        MU_TRY_RETURN(mu_j_from_json(J, item, &v));
        MU_TRY_RETURN(mu_j_push(J, out->list, v));
    }
    return MU_OK;
}

static int from_object(struct mu_jin *J, const json_t *json, struct mu_jv *out)
{
    const char *key;
    json_t *item;
    size_t key_n;
    struct mu_jv v;
    MU_TRY_RETURN(mu_j_new_dict(J, out));
    json_object_keylen_foreach((json_t *)(uintptr_t)json, key, key_n, item)
    {
        MU_TRY_RETURN(mu_j_from_json(J, item, &v));
        MU_TRY_RETURN(mu_j_dict_put(J, out->dict, mu_j_string((struct mu_str){key, key_n}), v));
    }
    return MU_OK;
}

int mu_j_from_json(struct mu_jin *J, const json_t *json, struct mu_jv *out)
{
    MU_TRY_RETURN(mu_j_enter(J));
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        MU_TRY_RETURN(from_object(J, json, out));
        break;
    case JSON_ARRAY:
        MU_TRY_RETURN(from_array(J, json, out));
        break;
    case JSON_STRING:
        *out = mu_j_string((struct mu_str){json_string_value(json), json_string_length(json)});
        break;
    case JSON_INTEGER:
        *out = mu_j_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = mu_j_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = mu_j_bool(json_is_true(json));
        break;
    case JSON_NULL:
        *out = mu_j_none();
        break;
    }
    J->depth--;
    return MU_OK;
}

static int json_made(struct mu_jin *J, json_t *json, json_t **out)
{
    if (!json)
        return mu_j_fail(J, MU_ENOMEM, "out of memory for the value");
    *out = json;
    return MU_OK;
}

/* *out is dropped again when an item fails. */
static int to_container(struct mu_jin *J, const struct mu_jv *v, json_t *out)
{
    size_t n = v->t == J_DICT ? v->dict->n : v->list->n;
    for (size_t i = 0; i < n; i++) {
        json_t *item = NULL;
        struct mu_str key = {"", 0};
        if (v->t == J_DICT)
            MU_TRY_RETURN(mu_j_str(J, &v->dict->at[i].key, &key));
        MU_TRY_RETURN(mu_j_to_json(J, v->t == J_DICT ? &v->dict->at[i].value : &v->list->v[i], &item));
        int failed = v->t == J_DICT ? json_object_setn_new(out, key.p, key.n, item) : json_array_append_new(out, item);
        if (failed)
            return mu_j_fail(J, MU_ENOMEM, "out of memory for the value");
    }
    return MU_OK;
}

int mu_j_to_json(struct mu_jin *J, const struct mu_jv *v, json_t **out)
{
    struct mu_jlist *items;
    struct mu_jv list;
    struct mu_str text;

    switch (v->t) {
    case J_NONE:
        return json_made(J, json_null(), out);
    case J_UNDEFINED:
        return v->undef->is_strict ? mu_j_fail_undefined(J, v) : json_made(J, json_null(), out);
    case J_BOOL:
        return json_made(J, json_boolean(v->b), out);
    case J_INT:
        return json_made(J, json_integer(v->i), out);
    case J_FLOAT:
        if (!isfinite(v->f))
            return mu_j_fail(J, MU_EINVAL, "the value is no finite number");
        return json_made(J, json_real(v->f), out);
    case J_STR:
        return json_made(J, json_stringn(v->s.p ? v->s.p : "", v->s.n), out);
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
        break;
    case J_RANGE:
    case J_GEN:
    case J_VIEW:
        MU_TRY_RETURN(mu_j_items(J, v, &items));
        list = (struct mu_jv){.t = J_LIST, .list = items};
        return mu_j_to_json(J, &list, out);
    default:
        MU_TRY_RETURN(mu_j_str(J, v, &text));
        return json_made(J, json_stringn(text.p, text.n), out);
    }
    MU_TRY_RETURN(json_made(J, v->t == J_DICT ? json_object() : json_array(), out));
    MU_TRY_RETURN(mu_j_enter(J));
    int rc = to_container(J, v, *out);
    J->depth--;
    if (rc != MU_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}
