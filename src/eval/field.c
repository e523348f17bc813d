/* field.c - the value a doc_to_* field has for a document
 *
 * Source: lm_eval/api/task.py doc_to_text, doc_to_target, doc_to_choice, doc_to_prefix, resolve_field. */
#include "eval/build_int.h"

#include "base/check.h"
#include "base/json.h"
#include "base/nearest.h"
#include "eval/py/value.h"
#include "eval/task_int.h"
#include "tok/jinja/jinja.h"

#define COLUMNS_TOLD_MAX 40

bool mu_py_is_int(const json_t *v)
{
    return json_is_integer(v) || json_is_boolean(v);
}

json_t *mu_py_item(const json_t *array, const json_t *i)
{
    if (!mu_py_is_int(i))
        return NULL;
    int64_t at = json_is_integer(i) ? json_integer_value(i) : json_is_true(i), n = (int64_t)json_array_size(array);
    if (at < 0)
        at += n;
    return at >= 0 && at < n ? json_array_get(array, (size_t)at) : NULL;
}

static int fail_nomem(const struct mu_field *f, struct mu_err *e)
{
    return mu_fail(e, MU_ENOMEM, "out of memory for the value of %s", f->name);
}

/* Sentences of templates and processors get the field's name in front. */
static int name_field(const struct mu_field *f, int rc, struct mu_err *e)
{
    return rc == MU_OK || !e ? rc : mu_fail(e, rc, "%s: %s", f->name, e->text);
}

/* The way out when a name is no column: the column that looks like it, else all of them. */
static void tell_columns(const json_t *doc, const char *name, char *out, size_t size)
{
    const char *names[COLUMNS_TOLD_MAX + 1], *key;
    json_t *v;
    size_t n = 0, used;
    json_object_foreach((json_t *)(uintptr_t)doc, key, v)
    {
        if (n < COLUMNS_TOLD_MAX)
            names[n++] = key;
    }
    names[n] = NULL;
    const char *nearest = mu_name_nearest(names, name);
    if (nearest) {
        snprintf(out, size, "; did you mean the column \"%s\"?", nearest);
        return;
    }
    snprintf(out, size, n ? "; the columns are " : "; there are no columns");
    for (size_t i = 0; i < n && (used = strlen(out)) + 1 < size; i++)
        snprintf(out + used, size - used, "%s%s", i ? ", " : "", names[i]);
}

/* Where a name is undefined, the names that there are help. */
static int name_template(const struct mu_field *f, const json_t *doc, int rc, struct mu_err *e)
{
    static const char undefined[] = "' is undefined";
    char columns[400] = "", name[MU_NAME_FAR + 1];

    if (rc == MU_OK || !e)
        return rc;
    const char *end = e->text + strlen(e->text) - MU_MIN(strlen(e->text), strlen(undefined));
    const char *quote = strstr(e->text, ": '");
    if (quote && strcmp(end, undefined) == 0 && end >= quote + 3) {
        snprintf(name, sizeof name, "%.*s", (int)(end - quote - 3), quote + 3);
        tell_columns(doc, name, columns, sizeof columns);
    }
    mu_template_unname(e, f->name);
    return mu_fail(e, rc, "%s: %.600s%s", f->name, e->text, columns);
}

static int new_text(const struct mu_field *f, struct mu_str s, json_t **out, struct mu_err *e)
{
    *out = json_stringn(s.p, s.n);
    return *out ? MU_OK : fail_nomem(f, e);
}

static int render(const struct mu_field *f, const json_t *doc, struct mu_buf *out, struct mu_err *e)
{
    if (!f->tmpl)
        return mu_fail(e, MU_EINVAL, "%s: \"%s\" is neither a column of the documents nor a template", f->name,
                       f->text);
    return name_template(f, doc, mu_jinja_render(f->tmpl, doc, NULL, out, e), e);
}

/* *column: the document's value when the field is a column's name, borrowed; else NULL. */
static int find_column(const struct mu_field *f, const json_t *columns, const json_t *doc, json_t **column,
                       struct mu_err *e)
{
    *column = NULL;
    if (f->kind != MU_FIELD_TEXT || !json_object_get(columns, f->text))
        return MU_OK;
    *column = json_object_get(doc, f->text);
    return *column ? MU_OK : mu_fail(e, MU_EINVAL, "%s: the document has no column \"%s\"", f->name, f->text);
}

static int literal(const struct mu_field *f, struct mu_str s, json_t **out, struct mu_err *e)
{
    return name_field(f, mu_py_literal(s, out, e), e);
}

/* Where a task has choices, digits are an index. Only a target may be a list: what reads "[...]" but is none stays
 * text. */
static int read_rendered(const struct mu_task *t, const struct mu_field *f, struct mu_str s, bool may_be_list,
                         json_t **out, struct mu_err *e)
{
    if (t->choice.kind != MU_FIELD_NONE && mu_py_isdigit(s))
        return literal(f, s, out, e);
    if (may_be_list && s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']') {
        int rc = mu_py_literal(s, out, e);
        if (rc != MU_EINVAL)
            return name_field(f, rc, e);
    }
    return new_text(f, s, out, e);
}

static int from_template(const struct mu_task *t, const struct mu_field *f, const json_t *doc, bool may_be_list,
                         json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a rendered field", MU_PROMPT_BYTES_MAX);
    int rc;
    MU_TRY(render(f, doc, &text, e));
    MU_TRY(read_rendered(t, f, mu_buf_str(&text), may_be_list, out, e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int from_column_or_function(const struct mu_field *f, const json_t *columns, const json_t *doc, json_t **out,
                                   struct mu_err *e)
{
    json_t *column;
    *out = NULL;
    if (f->kind == MU_FIELD_FUNCTION)
        return name_field(f, f->function(doc, out, e), e);
    MU_TRY_RETURN(find_column(f, columns, doc, &column, e));
    *out = json_incref(column);
    return MU_OK;
}

static const char *kind_name(const struct mu_field *f)
{
    return f->kind == MU_FIELD_NONE ? "nothing" : "a value that is no text";
}

int mu_field_text(const struct mu_task *t, const struct mu_field *f, const json_t *columns, const json_t *doc,
                  json_t **out, struct mu_err *e)
{
    if (f->kind == MU_FIELD_VALUE && mu_py_is_int(f->value)) {
        *out = json_incref(f->value);
        return MU_OK;
    }
    if (f->kind == MU_FIELD_NONE || f->kind == MU_FIELD_VALUE)
        return mu_fail(e, MU_EINVAL, "%s: the task gives %s; it must be a column, a template or a function", f->name,
                       kind_name(f));
    MU_TRY_RETURN(from_column_or_function(f, columns, doc, out, e));
    return *out ? MU_OK : from_template(t, f, doc, false, out, e);
}

int mu_field_target(const struct mu_task *t, const struct mu_field *f, const json_t *columns, const json_t *doc,
                    json_t **out, struct mu_err *e)
{
    if (f->kind == MU_FIELD_VALUE && (mu_py_is_int(f->value) || json_is_array(f->value))) {
        *out = json_incref(f->value);
        return MU_OK;
    }
    if (f->kind == MU_FIELD_NONE || f->kind == MU_FIELD_VALUE)
        return mu_fail(e, MU_EINVAL, "%s: the task gives %s; it must be a column, a template, a list or a function",
                       f->name, kind_name(f));
    MU_TRY_RETURN(from_column_or_function(f, columns, doc, out, e));
    return *out ? MU_OK : from_template(t, f, doc, true, out, e);
}

static int dict_values(const struct mu_field *f, json_t **out, struct mu_err *e)
{
    const char *key;
    json_t *value;
    *out = json_array();
    if (!*out)
        return fail_nomem(f, e);
    json_object_foreach(f->value, key, value)
    {
        if (json_array_append(*out, value) != 0) {
            json_decref(*out);
            *out = NULL;
            return fail_nomem(f, e);
        }
    }
    return MU_OK;
}

/* A text without a template that is no list either was meant to be a column. */
static int fail_no_list(const struct mu_field *f, const json_t *columns, struct mu_err *e)
{
    char hint[400];
    tell_columns(columns, f->text, hint, sizeof hint);
    return mu_fail(e, MU_EINVAL, "%s: \"%.80s\" is neither a column of the documents nor a list%s", f->name, f->text,
                   hint);
}

static int choices_from_template(const struct mu_field *f, const json_t *columns, const json_t *doc, json_t **out,
                                 struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("rendered choices", MU_PROMPT_BYTES_MAX);
    int rc;
    MU_TRY(render(f, doc, &text, e));
    rc = literal(f, mu_buf_str(&text), out, e);
    if (rc == MU_EINVAL && !strpbrk(f->text, "{[("))
        rc = fail_no_list(f, columns, e);
out:
    mu_buf_fini(&text);
    return rc;
}

int mu_field_choices(const struct mu_field *f, const json_t *columns, const json_t *doc, json_t **out, struct mu_err *e)
{
    if (f->kind == MU_FIELD_NONE)
        return mu_fail(e, MU_EINVAL, "%s: the task gives nothing; it must be a list, a column or a template", f->name);
    if (json_is_object(f->value) && f->kind == MU_FIELD_VALUE)
        return dict_values(f, out, e);
    if (f->kind == MU_FIELD_VALUE) {
        *out = json_incref(f->value);
    } else {
        MU_TRY_RETURN(from_column_or_function(f, columns, doc, out, e));
        if (!*out)
            MU_TRY_RETURN(choices_from_template(f, columns, doc, out, e));
    }
    if (json_is_array(*out))
        return MU_OK;
    json_decref(*out);
    *out = NULL;
    return mu_fail(e, MU_EINVAL, "%s: the choices are not a list", f->name);
}

int mu_field_plain(const struct mu_field *f, const json_t *columns, const json_t *doc, struct mu_buf *out,
                   struct mu_err *e)
{
    json_t *column = NULL;
    mu_buf_clear(out);
    if (f->kind == MU_FIELD_NONE)
        return MU_OK;
    if (f->kind != MU_FIELD_TEXT)
        return mu_fail(e, MU_EUNSUPPORTED, "%s: it must be a text: a column or a template", f->name);
    MU_TRY_RETURN(find_column(f, columns, doc, &column, e));
    if (!column)
        return render(f, doc, out, e);
    if (json_is_null(column))
        return MU_OK;
    if (!json_is_string(column))
        return mu_fail(e, MU_EINVAL, "%s: the column \"%s\" does not hold a text", f->name, f->text);
    return mu_buf_add(out, json_string_value(column), json_string_length(column), e);
}
