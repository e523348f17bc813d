/* measure_generate.c - a generated text, filtered, against what the document wants
 *
 * Source: lm_eval/api/task.py, process_results for generate_until, with its corners: the wanted value takes the kind of
 * the response, several wanted values are met by any one, and once exact_match has run over several the metrics after
 * it see the list of repeated responses. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/build_int.h"
#include "eval/docs/processor.h"
#include "eval/measure.h"
#include "eval/metric/metric.h"
#include "eval/py/truth.h"
#include "eval/py/value.h"
#include "tok/jinja/text.h"

#define TEXT_MAX ((size_t)64 << 20)

/* ---- what the document wants ---- */

static int to_text(const json_t *v, json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a target as text", TEXT_MAX);
    int rc;

    MU_TRY(mu_py_str(&text, v, e));
    *out = json_stringn(mu_buf_str(&text).p, text.n);
    if (!*out)
        rc = mu_fail_nomem(e, text.n, "a target as text");
out:
    mu_buf_fini(&text);
    return rc;
}

/* int(v) or float(v) of a text, a number or a truth value. */
static int to_number(const json_t *v, bool is_int, json_t **out, struct mu_err *e)
{
    struct mu_str s = {json_string_value(v), json_string_length(v)};
    double x = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
    char *end = NULL;

    if (json_is_string(v)) {
        s = mu_py_strip(s, true, true);
        errno = 0;
        long long whole = is_int ? strtoll(s.p, &end, 10) : 0;
        if (!is_int)
            x = strtod(s.p, &end);
        if (s.n == 0 || end != s.p + s.n || errno || !isfinite(x))
            return mu_fail(e, MU_EINVAL, "the response is a number, and the target \"" MU_STR_FMT "\" is none",
                           MU_STR_ARG(s));
        if (is_int) {
            *out = json_integer(whole);
            return *out ? MU_OK : mu_fail_nomem(e, sizeof(void *), "a target as number");
        }
    } else if (!json_is_number(v) && !json_is_boolean(v)) {
        return mu_fail(e, MU_EINVAL, "the response is a number, and the target is none");
    }
    if (is_int && !(fabs(x) < 9e18))
        return mu_fail(e, MU_EINVAL, "the target %g is too large for a whole number", x);
    *out = is_int ? json_integer((json_int_t)x) : json_real(x);
    return *out ? MU_OK : mu_fail_nomem(e, sizeof(void *), "a target as number");
}

static bool is_same_kind(const json_t *a, const json_t *b)
{
    return json_typeof(a) == json_typeof(b) || (json_is_boolean(a) && json_is_boolean(b));
}

static int cast(const json_t *gold, const json_t *result, json_t **out, struct mu_err *e)
{
    if (is_same_kind(gold, result)) {
        *out = json_incref((json_t *)gold);
        return MU_OK;
    }
    if (json_is_string(result))
        return to_text(gold, out, e);
    if (json_is_number(result))
        return to_number(gold, json_is_integer(result), out, e);
    if (json_is_boolean(result)) {
        *out = json_boolean(mu_py_truth(gold));
        return MU_OK;
    }
    return mu_fail(e, MU_EINVAL,
                   "the filters made neither a text, a number nor a list of the response; a filter map may lack a "
                   "default_value");
}

/* list(v): the characters of a text. What is no list stands alone. */
static int to_list(const json_t *v, json_t **out, struct mu_err *e)
{
    struct mu_str s = {json_string_value(v), json_string_length(v)};
    size_t len;

    *out = json_is_array(v) ? json_incref((json_t *)v) : json_array();
    for (size_t i = 0; *out && s.p && i < s.n; i += len) {
        mu_t_at(s, i, &len);
        if (json_array_append_new(*out, json_stringn(s.p + i, len)) != 0)
            goto nomem;
    }
    if (!*out || (!json_is_array(v) && !json_is_string(v) && json_array_append(*out, (json_t *)v) != 0))
        goto nomem;
    return MU_OK;
nomem:
    json_decref(*out);
    *out = NULL;
    return mu_fail_nomem(e, s.n, "targets");
}

static int gold_of(const struct mu_work *w, const struct mu_work_doc *d, const json_t *result, bool may_cast,
                   json_t **out, struct mu_err *e)
{
    if (!d->target)
        return mu_fail(e, MU_EINVAL, "doc_to_target gives nothing to compare the response with");
    if (w->task->choice.kind != MU_FIELD_NONE) {
        *out = json_incref(mu_py_item(d->choices, d->target));
        return *out ? MU_OK : mu_fail(e, MU_EINVAL, "doc_to_target is no index of doc_to_choice's choices");
    }
    if (w->has_multiple_targets)
        return to_list(d->target, out, e);
    if (may_cast && !json_is_array(result))
        return cast(d->target, result, out, e);
    *out = json_incref(d->target);
    return MU_OK;
}

/* ---- metrics ---- */

/* references and predictions are taken. */
static int call(const struct mu_task_metric *m, json_t *references, json_t *predictions, struct mu_sandbox *sandbox,
                json_t **out, struct mu_err *e)
{
    int rc;
    *out = NULL;
    if (!references || !predictions)
        rc = mu_fail_nomem(e, sizeof(void *), "what a metric compares");
    else if (m->function)
        rc = m->function->metric(references, predictions, m->kwargs, sandbox, out, e);
    else if (m->metric && m->metric->compute)
        rc = m->metric->compute(references, predictions, m->kwargs, sandbox, out, e);
    else
        rc = mu_fail(e, MU_EUNSUPPORTED, "metric %s cannot be computed on generated texts", m->name);
    json_decref(references);
    json_decref(predictions);
    return rc;
}

/* The metric's own number among those it gave; takes value. */
static int own_number(const struct mu_task_metric *m, json_t *value, json_t **out, struct mu_err *e)
{
    *out = value;
    if (!json_is_object(value))
        return MU_OK;
    *out = json_incref(json_object_get(value, m->name));
    json_decref(value);
    return *out ? MU_OK : mu_fail(e, MU_EINVAL, "metric %s gives no number of that name", m->name);
}

static json_t *repeat(json_t *v, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < n; i++)
        if (json_array_append(a, v) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

/* Any of several wanted values will do. *result becomes the repeated one. */
static int match_any(const struct mu_task_metric *m, json_t *gold, json_t **result, struct mu_sandbox *sandbox,
                     bool *met, struct mu_err *e)
{
    json_t *value = NULL, *number = NULL, *many = repeat(*result, json_array_size(gold));
    if (!many)
        return mu_fail_nomem(e, sizeof(void *), "what a metric compares");
    json_decref(*result);
    *result = many;
    MU_TRY_RETURN(call(m, json_incref(gold), json_incref(many), sandbox, &value, e));
    MU_TRY_RETURN(own_number(m, value, &number, e));
    *met = json_number_value(number) > 0 || json_is_true(number);
    json_decref(number);
    return MU_OK;
}

static int match_each(const struct mu_task_metric *m, json_t *gold, json_t *result, struct mu_sandbox *sandbox,
                      bool *met, struct mu_err *e)
{
    json_t *one, *value, *number;
    size_t i;

    json_array_foreach(gold, i, one)
    {
        MU_TRY_RETURN(call(m, json_pack("[O]", one), json_pack("[O]", result), sandbox, &value, e));
        MU_TRY_RETURN(own_number(m, value, &number, e));
        *met |= mu_py_truth(number);
        json_decref(number);
    }
    return MU_OK;
}

static int several(const struct mu_task_metric *m, json_t *gold, json_t **result, struct mu_sandbox *sandbox,
                   json_t *to, struct mu_err *e)
{
    bool met = false;
    MU_TRY_RETURN(strcmp(m->name, "exact_match") == 0 ? match_any(m, gold, result, sandbox, &met, e)
                                                      : match_each(m, gold, *result, sandbox, &met, e));
    return mu_measure_put(to, m->name, json_real(met), e);
}

/* A metric may give several named numbers; what they are aggregated by is the metric's own unless the task says so. */
static int spread(int index, const json_t *value, json_t *to, json_t *origin, struct mu_err *e)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)value, key, v)
    {
        MU_TRY_RETURN(mu_measure_put(to, key, json_incref(v), e));
        if (origin && !json_object_get(origin, key))
            MU_TRY_RETURN(mu_measure_put(origin, key, json_integer(index), e));
    }
    return MU_OK;
}

static int single(const struct mu_task_metric *m, int index, json_t *gold, json_t *result, json_t *to,
                  const struct mu_measure_opts *o, struct mu_err *e)
{
    json_t *value;
    MU_TRY_RETURN(call(m, json_pack("[O]", gold), json_pack("[O]", result), o->sandbox, &value, e));
    if (!json_is_object(value))
        return mu_measure_put(to, m->name, value, e);
    int rc = spread(index, value, to, o->origin, e);
    json_decref(value);
    return rc;
}

int mu_measure_generate(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                        const struct mu_task_metric *metric, int n_metrics, const struct mu_measure_opts *o, json_t *to,
                        struct mu_err *e)
{
    json_t *gold = NULL, *result = json_incref(json_array_get(results, 0));
    bool may_cast = !mu_measure_has(metric, n_metrics, "bypass");
    int rc;

    MU_TRY(gold_of(w, d, result, may_cast, &gold, e));
    if (w->has_multiple_targets && !json_is_array(gold)) {
        json_t *alone = json_pack("[o]", gold);
        gold = NULL;
        if (!alone)
            MU_TRY(mu_fail_nomem(e, sizeof(void *), "targets"));
        gold = alone;
    }
    for (int i = 0; i < n_metrics; i++)
        MU_TRY(w->has_multiple_targets ? several(&metric[i], gold, &result, o->sandbox, to, e)
                                       : single(&metric[i], i, gold, result, to, o, e));
out:
    json_decref(gold);
    json_decref(result);
    return rc;
}
