/* score.c - a task's responses through its filters, its documents measured, its measures aggregated
 *
 * Source: lm_eval/evaluator.py (post-processing) and lm_eval/evaluator_utils.py (_compute_task_aggregations). */
#include "eval/score.h"

#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/processor.h"
#include "eval/filter/filter.h"
#include "eval/measure.h"
#include "eval/metric/corpus_work.h"
#include "eval/stats/aggregation.h"

struct scoring {
    struct mu_work *w;
    const struct mu_score_opts *o;
    const struct mu_task_metric *metric;
    int n_metrics;
    json_t *docs;                       /* array over requests: the document of each */
    json_t *origin;                     /* see mu_measure_opts */
    json_t *items[MU_TASK_FILTERS_MAX]; /* of each pipeline: metric name -> array of the documents' items */
};

/* ---- filters ---- */

static int append(json_t *array, json_t *value, struct mu_err *e)
{
    return json_array_append(array, value) == 0 ? MU_OK : mu_fail_nomem(e, sizeof(void *), "responses");
}

/* An array over requests of their responses. */
static int all_responses(const struct mu_work *w, json_t **out, struct mu_err *e)
{
    json_t *all = json_array();
    int rc = MU_OK;

    if (!all)
        return mu_fail_nomem(e, sizeof(void *), "responses");
    for (int i = 0; i < w->n_requests; i++) {
        if (json_array_size(w->request[i].resps) == 0)
            MU_TRY(mu_fail(e, MU_EINVAL, "task %s: request %d of document %lld has no response", w->task->name,
                           w->request[i].index, (long long)w->doc[w->request[i].doc].id));
        MU_TRY(append(all, w->request[i].resps, e));
    }
    *out = json_incref(all);
out:
    json_decref(all);
    return rc;
}

static int all_docs(const struct mu_work *w, json_t **out, struct mu_err *e)
{
    json_t *all = json_array();
    int rc = MU_OK;

    if (!all)
        return mu_fail_nomem(e, sizeof(void *), "documents");
    for (int i = 0; i < w->n_requests; i++)
        MU_TRY(append(all, w->doc[w->request[i].doc].doc, e));
    *out = json_incref(all);
out:
    json_decref(all);
    return rc;
}

static int run_step(const struct mu_filter_step *step, const json_t *resps, const json_t *docs, json_t **out,
                    struct mu_err *e)
{
    return step->function ? step->function->filter(resps, docs, out, e)
                          : step->filter->apply(step->kwargs, resps, docs, out, e);
}

static int run_pipeline(const struct scoring *s, const struct mu_filter_pipeline *p, json_t **out, struct mu_err *e)
{
    json_t *resps = NULL, *next;
    int rc;

    MU_TRY(all_responses(s->w, &resps, e));
    for (int i = 0; i < p->n_steps; i++) {
        MU_TRY(run_step(&p->step[i], resps, s->docs, &next, e));
        json_decref(resps);
        resps = next;
        if ((int)json_array_size(resps) != s->w->n_requests)
            MU_TRY(mu_fail(e, MU_EINTERNAL, "step %d made %zu responses for %d requests", i, json_array_size(resps),
                           s->w->n_requests));
    }
    *out = json_incref(resps);
out:
    json_decref(resps);
    return mu_err_while(e, rc, "running filter %s of task %s", p->name, s->w->task->name);
}

/* ---- documents ---- */

static int slice(const json_t *resps, int first, int n, json_t **out, struct mu_err *e)
{
    *out = json_array();
    for (int i = 0; *out && i < n; i++)
        if (json_array_append(*out, json_array_get(resps, (size_t)(first + i))) != 0) {
            json_decref(*out);
            *out = NULL;
        }
    return *out ? MU_OK : mu_fail_nomem(e, sizeof(void *), "a document's responses");
}

static int collect(json_t *items, json_t *metrics, struct mu_err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach(metrics, key, value)
    {
        json_t *list = json_object_get(items, key);
        if (!list && (json_object_set_new(items, key, json_array()) != 0 || !(list = json_object_get(items, key))))
            return mu_fail_nomem(e, sizeof(void *), "measures");
        MU_TRY_RETURN(append(list, value, e));
    }
    return MU_OK;
}

static int measure_doc(struct scoring *s, struct mu_work_doc *d, int f, const json_t *resps, struct mu_err *e)
{
    struct mu_measure_opts o = {s->o->sandbox, s->o->predict_only, s->origin};
    struct mu_doc_score *score = &d->score[f];

    MU_TRY_RETURN(slice(resps, d->first, d->n, &score->filtered, e));
    int rc = mu_measure_with(s->w, d, score->filtered, &o, &score->metrics, e);
    if (rc != MU_OK)
        return mu_err_while(e, rc, "measuring document %lld of task %s", (long long)d->id, s->w->task->name);
    return collect(s->items[f], score->metrics, e);
}

static int run_filter(struct scoring *s, int f, struct mu_err *e)
{
    json_t *resps = NULL;
    int rc;

    s->items[f] = json_object();
    if (!s->items[f])
        return mu_fail_nomem(e, sizeof(void *), "measures");
    MU_TRY(run_pipeline(s, &s->w->task->filter[f], &resps, e));
    for (int i = 0; i < s->w->n_docs; i++)
        MU_TRY(measure_doc(s, &s->w->doc[i], f, resps, e));
out:
    json_decref(resps);
    return rc;
}

/* What an earlier scoring left goes; every document gets room for each pipeline. */
static int make_room(struct mu_work *w, struct mu_err *e)
{
    int n = w->task->n_filters;

    for (int i = 0; i < w->n_docs; i++) {
        struct mu_work_doc *d = &w->doc[i];
        for (int f = 0; d->score && f < n; f++) {
            json_decref(d->score[f].metrics);
            json_decref(d->score[f].filtered);
        }
        mu_free(d->score);
        d->score = NULL;
        MU_TRY_RETURN(MU_NEW_ARRAY(&d->score, n, "a document's scores", e));
    }
    mu_free(w->result);
    w->result = NULL;
    w->n_results = 0;
    return MU_OK;
}

/* ---- aggregates ---- */

static const struct mu_task_metric *metric_of(const struct scoring *s, const char *name)
{
    const json_t *index = json_object_get(s->origin, name);
    for (int i = 0; i < s->n_metrics; i++)
        if (strcmp(s->metric[i].name, name) == 0)
            return &s->metric[i];
    return index ? &s->metric[json_integer_value(index)] : NULL;
}

/* A name that outlives the scoring: the task's, or the key in the first document that has it. */
static const char *lasting_name(const struct scoring *s, int f, const char *name)
{
    for (int i = 0; i < s->n_metrics; i++)
        if (strcmp(s->metric[i].name, name) == 0)
            return s->metric[i].name;
    for (int i = 0; i < s->w->n_docs; i++) {
        void *at = json_object_iter_at(s->w->doc[i].score[f].metrics, name);
        if (at)
            return json_object_iter_key(at);
    }
    return "";
}

static int standard_error(const struct scoring *s, const struct mu_aggregation *a, const json_t *items,
                          struct mu_metric_result *r, struct mu_err *e)
{
    int64_t iters = a->iters_max > 0 ? MU_MIN(s->o->bootstrap_iters, a->iters_max) : s->o->bootstrap_iters;
    bool done = false;

    if (a->stderr_kind == MU_STDERR_BOOTSTRAP && iters > 1 && json_array_size(items) > 1)
        MU_TRY_RETURN(mu_corpus_stderr(a->name, items, iters, &r->stderr_value, &done, e));
    r->has_stderr = done;
    return done ? MU_OK
                : mu_aggregation_stderr(a, items, s->o->bootstrap_iters, s->o->pool, &r->stderr_value, &r->has_stderr,
                                        e);
}

static int aggregate(const struct scoring *s, int f, const char *name, const json_t *items, struct mu_metric_result *r,
                     struct mu_err *e)
{
    const struct mu_task_metric *m = metric_of(s, name);
    const struct mu_aggregation *a = m ? m->aggregation : mu_aggregation_find("mean");

    *r = (struct mu_metric_result){.metric = lasting_name(s, f, name),
                                   .filter = s->w->task->filter[f].name,
                                   .n = (int64_t)json_array_size(items),
                                   .higher_is_better = m ? m->higher_is_better : -1};
    if (m && m->aggregate_function)
        return m->aggregate_function->aggregate(items, &r->value, e);
    MU_TRY_RETURN(a->compute(items, &r->value, e));
    return standard_error(s, a, items, r, e);
}

static int aggregate_all(struct scoring *s, struct mu_err *e)
{
    struct mu_work *w = s->w;
    const char *name;
    json_t *items;
    size_t n = 0;

    for (int f = 0; f < w->task->n_filters; f++)
        n += json_object_size(s->items[f]);
    MU_TRY_RETURN(MU_NEW_ARRAY(&w->result, n, "a task's scores", e));
    for (int f = 0; f < w->task->n_filters; f++)
        json_object_foreach(s->items[f], name, items)
        {
            int rc = aggregate(s, f, name, items, &w->result[w->n_results], e);
            if (rc != MU_OK)
                return mu_err_while(e, rc, "aggregating %s of task %s", name, w->task->name);
            w->n_results++;
        }
    return MU_OK;
}

int mu_work_score(struct mu_work *w, const struct mu_score_opts *o, struct mu_err *e)
{
    struct scoring s = {.w = w, .o = o};
    int rc;

    if (w->task->unsafe_code && !o->sandbox && !o->predict_only)
        return mu_fail(e, MU_EUSAGE,
                       "task %s runs code that the model wrote; add --confirm-run-unsafe-code to run it in a sandbox",
                       w->task->name);
    if (w->n_docs == 0)
        return mu_fail(e, MU_EINVAL, "task %s has no documents to score", w->task->name);
    s.metric = mu_measure_metrics(w->task, o->predict_only, &s.n_metrics);
    MU_TRY(make_room(w, e));
    s.origin = json_object();
    if (!s.origin)
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "the names of measures"));
    MU_TRY(all_docs(w, &s.docs, e));
    for (int f = 0; f < w->task->n_filters; f++)
        MU_TRY(run_filter(&s, f, e));
    MU_TRY(aggregate_all(&s, e));
out:
    for (int f = 0; f < MU_TASK_FILTERS_MAX; f++)
        json_decref(s.items[f]);
    json_decref(s.origin);
    json_decref(s.docs);
    return rc;
}
