/* eval_args.c - options that are small texts: generation arguments, chosen documents
 *
 * Source: lm_eval/_cli/utils.py (MergeDictAction, handle_cli_value_string), lm_eval/config/evaluate_config.py. Commas
 * inside quotes and brackets do not end a value here. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/eval_int.h"
#include "eval/py/value.h"

#define ARGS_BYTES_MAX ((size_t)64 << 20)

/* ---- k=v,k=v ---- */

/* Bytes up to the next comma outside quotes and brackets. */
static size_t one_length(const char *p)
{
    int depth = 0;
    char quote = 0;
    size_t i = 0;
    for (; p[i] && (p[i] != ',' || depth > 0 || quote); i++) {
        if (quote)
            quote = p[i] == quote ? 0 : quote;
        else if (p[i] == '\'' || p[i] == '"')
            quote = p[i];
        else if (strchr("[{(", p[i]))
            depth++;
        else if (strchr("]})", p[i]))
            depth--;
    }
    return i;
}

static bool is_word(struct mu_str s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

/* true, false, a number, a Python literal, else a text. */
static int value_of(struct mu_str s, json_t **out, struct mu_err *e)
{
    char number[64], *end;
    struct mu_err quiet = MU_ERR_INIT;
    if (is_word(s, "true") || is_word(s, "false")) {
        *out = json_boolean(is_word(s, "true"));
        return MU_OK;
    }
    int rc = mu_py_literal(s, out, &quiet);
    if (rc == MU_ENOMEM)
        return mu_fail(e, rc, "%s", quiet.text);
    if (rc == MU_OK)
        return MU_OK;
    snprintf(number, sizeof number, MU_STR_FMT, MU_STR_ARG(s));
    double v = strtod(number, &end); /* 1e-3, .5 */
    bool is_number = s.n > 0 && s.n < sizeof number && *end == 0 && isfinite(v);
    *out = is_number ? json_real(v) : json_stringn(s.p, s.n);
    return *out ? MU_OK : mu_fail(e, MU_EINVAL, "\"" MU_STR_FMT "\" is not valid UTF-8", MU_STR_ARG(s));
}

static int add_one(json_t *o, struct mu_str item, struct mu_err *e)
{
    const char *eq = memchr(item.p, '=', item.n);
    json_t *v;
    if (!eq || eq == item.p)
        return mu_fail(e, MU_EINVAL, "generation argument \"" MU_STR_FMT "\" is not written as name=value",
                       MU_STR_ARG(item));
    struct mu_str key = mu_py_strip((struct mu_str){item.p, (size_t)(eq - item.p)}, true, true);
    struct mu_str text = mu_py_strip((struct mu_str){eq + 1, item.n - (size_t)(eq + 1 - item.p)}, true, true);
    MU_TRY_RETURN(value_of(text, &v, e));
    if (json_object_setn_new(o, key.p, key.n, v) != 0)
        return mu_fail(e, MU_EINVAL, "generation argument \"" MU_STR_FMT "\" cannot be kept", MU_STR_ARG(item));
    return MU_OK;
}

static int parse_pairs(const char *text, json_t **out, struct mu_err *e)
{
    json_t *o = json_object();
    int rc = o ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "generation arguments");
    while (rc == MU_OK && *text) {
        size_t n = one_length(text);
        if (n > 0)
            rc = add_one(o, (struct mu_str){text, n}, e);
        text += n + (text[n] == ',');
    }
    if (rc == MU_OK)
        *out = o;
    else
        json_decref(o);
    return rc;
}

int mu_eval_parse_gen_kwargs(const char *text, json_t **out, struct mu_err *e)
{
    *out = NULL;
    if (!text || !text[0])
        return MU_OK;
    if (text[0] != '{')
        return parse_pairs(text, out, e);
    return mu_json_parse_strict(out, mu_str(text), "the generation arguments", e);
}

/* ---- {"task": [0, 1]} ---- */

/* The sentence holds what was read, in short. */
static int refuse_sample(const char *task, const json_t *v, const char *what, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a value", ARGS_BYTES_MAX);
    bool is_told = mu_py_dumps(&text, v, -1, NULL) == MU_OK;
    int rc = mu_fail(e, MU_EINVAL, "the chosen samples%s%s hold %.80s: %s", task ? " of " : "", task ? task : "",
                     is_told ? text.p : "something", what);
    mu_buf_fini(&text);
    return rc;
}

static int check_samples(const json_t *o, struct mu_err *e)
{
    const char *task;
    json_t *list, *id;
    size_t i;
    if (!json_is_object(o))
        return refuse_sample(NULL, o, "an object {\"task\": [document numbers]} is needed", e);
    json_object_foreach((json_t *)(uintptr_t)o, task, list)
    {
        if (!json_is_array(list) || json_array_size(list) == 0)
            return refuse_sample(task, list, "a list of one document number or more is needed", e);
        json_array_foreach(list, i, id)
        {
            if (!json_is_integer(id) || json_integer_value(id) < 0)
                return refuse_sample(task, id, "document numbers are whole, from 0 to the task's last", e);
        }
    }
    return MU_OK;
}

int mu_eval_parse_samples(const char *text, json_t **out, struct mu_err *e)
{
    struct mu_buf file = MU_BUF_INIT("the chosen samples", ARGS_BYTES_MAX);
    int rc = MU_OK;

    *out = NULL;
    if (!text || !text[0])
        return MU_OK;
    bool is_file = text[0] != '{' && text[0] != '['; /* a list is told to be none, not looked for */
    if (is_file)
        MU_TRY(mu_file_read_all(&file, text, e));
    MU_TRY(mu_json_parse_strict(out, is_file ? mu_buf_str(&file) : mu_str(text), is_file ? text : "the chosen samples",
                                e));
    rc = check_samples(*out, e);
    if (rc != MU_OK) {
        json_decref(*out);
        *out = NULL;
    }
out:
    mu_buf_fini(&file);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int mu_eval_samples_of(const json_t *samples, const char *task, int64_t **ids, int *n, struct mu_err *e)
{
    const json_t *list = json_object_get(samples, task);
    size_t size = json_array_size(list);
    *ids = NULL;
    *n = 0;
    if (!list)
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(ids, size, "the chosen samples", e));
    for (size_t i = 0; i < size; i++)
        (*ids)[i] = json_integer_value(json_array_get(list, i));
    qsort(*ids, size, sizeof **ids, by_value);
    for (size_t i = 0; i < size; i++) {
        if (*n == 0 || (*ids)[i] != (*ids)[*n - 1])
            (*ids)[(*n)++] = (*ids)[i];
    }
    return MU_OK;
}
