/* measure.c - what is measured on one document, by the type of its task
 *
 * Source: lm_eval/api/task.py, ConfigurableTask.process_results. Numbers keep Python's kind: acc is a float on multiple
 * choice and an int on loglikelihood tasks, as written to the samples. */
#include "eval/measure.h"

#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/used.h"
#include "eval/metric/metric.h"
#include "eval/py/value.h"
#include "eval/stats/aggregation.h"

const struct mu_task_metric *mu_measure_metrics(const struct mu_task *t, bool predict_only, int *n)
{
    static const char name[] = "bypass";
    static _Thread_local struct mu_task_metric bypass;

    if (!predict_only) {
        *n = t->n_metrics;
        return t->metric;
    }
    bypass = (struct mu_task_metric){
        .name = name, .metric = mu_metric_find(name), .aggregation = mu_aggregation_find(name), .higher_is_better = 1};
    *n = 1;
    return &bypass;
}

bool mu_measure_has(const struct mu_task_metric *metric, int n_metrics, const char *name)
{
    for (int i = 0; i < n_metrics; i++)
        if (strcmp(metric[i].name, name) == 0)
            return true;
    return false;
}

int mu_measure_put(json_t *to, const char *name, json_t *value, struct mu_err *e)
{
    if (!value || json_object_set_new(to, name, value) != 0)
        return mu_fail_nomem(e, strlen(name), "a measure");
    return MU_OK;
}

static int loglikelihood(const json_t *results, const struct mu_task_metric *metric, int n_metrics, json_t *to,
                         struct mu_err *e)
{
    const json_t *pair = json_array_get(results, 0);
    json_t *ll = json_array_get(pair, 0), *greedy = json_array_get(pair, 1);

    if (!json_is_number(ll) || !greedy)
        return mu_fail(e, MU_EINVAL, "the filtered response is no log-likelihood; loglikelihood tasks need take_first");
    if (mu_measure_has(metric, n_metrics, "perplexity"))
        MU_TRY_RETURN(mu_measure_put(to, "perplexity", json_incref(ll), e));
    if (mu_measure_has(metric, n_metrics, "acc"))
        MU_TRY_RETURN(mu_measure_put(to, "acc", json_integer(json_is_true(greedy)), e));
    return MU_OK;
}

/* Each item is the log-likelihood and by what to divide it. */
static int rolling(const struct mu_work_doc *d, const json_t *results, const struct mu_task_metric *metric,
                   int n_metrics, json_t *to, struct mu_err *e)
{
    static const char *const names[] = {"word_perplexity", "byte_perplexity", "bits_per_byte"};
    json_t *ll = json_array_get(results, 0);

    if (!json_is_number(ll) || json_array_size(results) != 1)
        return mu_fail(e, MU_EINVAL, "the filtered response is no log-likelihood; rolling tasks need take_first");
    if (!json_is_string(d->target))
        return mu_fail(e, MU_EINVAL, "doc_to_target gives no text whose words and bytes could be counted");
    struct mu_str text = {json_string_value(d->target), json_string_length(d->target)};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        json_int_t n = i == 0 ? (json_int_t)mu_py_words(text) : (json_int_t)text.n;
        if (mu_measure_has(metric, n_metrics, names[i]))
            MU_TRY_RETURN(mu_measure_put(to, names[i], json_pack("[O, I]", ll, n), e));
    }
    return MU_OK;
}

static int by_type(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                   const struct mu_measure_opts *o, json_t *to, struct mu_err *e)
{
    int n;
    const struct mu_task_metric *metric = mu_measure_metrics(w->task, o->predict_only, &n);

    switch (w->task->output_type) {
    case MU_OUTPUT_LOGLIKELIHOOD:
        return loglikelihood(results, metric, n, to, e);
    case MU_OUTPUT_ROLLING:
        return rolling(d, results, metric, n, to, e);
    case MU_OUTPUT_MULTIPLE_CHOICE:
        return mu_measure_choice(w, d, results, metric, n, to, e);
    default:
        return mu_measure_generate(w, d, results, metric, n, o, to, e);
    }
}

int mu_measure_with(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                    const struct mu_measure_opts *o, json_t **out, struct mu_err *e)
{
    const struct mu_processor *p = w->task->processor;
    json_t *to = NULL;
    int rc;

    if (json_array_size(results) == 0)
        return mu_fail(e, MU_EINVAL, "there is no response to measure");
    if (p && p->results && !o->predict_only) {
        MU_TRY(p->results->results(d->doc, results, &to, e));
        if (!json_is_object(to))
            MU_TRY(mu_fail(e, MU_EINTERNAL, "process_results gave no table of measures"));
    } else {
        to = json_object();
        if (!to)
            return mu_fail_nomem(e, sizeof(void *), "measures");
        MU_TRY(by_type(w, d, results, o, to, e));
    }
    *out = json_incref(to);
out:
    json_decref(to);
    return rc;
}

int mu_measure(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results, struct mu_sandbox *sandbox,
               json_t **out, struct mu_err *e)
{
    struct mu_measure_opts o = {.sandbox = sandbox};
    return mu_measure_with(w, d, results, &o, out, e);
}
