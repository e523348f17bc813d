/* test_score.c - measures of a document, scores of a task and of a group against the harness (make_metrics.py) */
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/docs/used.h"
#include "eval/filter/filter.h"
#include "eval/metric/metric.h"
#include "eval/score.h"
#include "eval/stats/aggregation.h"
#include "xt.h"

#define TEXT_MAX ((size_t)1 << 20)

static json_t *golden(json_t **owner, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_json_load(owner, "tests/eval/metrics_golden.json", &err));
    json_t *cases = json_object_get(*owner, part);
    XT_CHECK(cases);
    return cases;
}

static enum mu_output_type type_named(const char *name)
{
    if (strcmp(name, "loglikelihood") == 0)
        return MU_OUTPUT_LOGLIKELIHOOD;
    if (strcmp(name, "loglikelihood_rolling") == 0)
        return MU_OUTPUT_ROLLING;
    return strcmp(name, "multiple_choice") == 0 ? MU_OUTPUT_MULTIPLE_CHOICE : MU_OUTPUT_GENERATE;
}

/* ---- tasks by hand ---- */

static void free_task(struct mu_task *t)
{
    mu_free(t->filter);
    mu_free(t);
}

static void add_metric(struct mu_task *t, const char *name, const char *aggregation, json_t *kwargs)
{
    struct mu_task_metric *m = &t->metric[t->n_metrics++];
    m->name = name;
    m->metric = mu_metric_find(name);
    m->aggregation = mu_aggregation_find(aggregation ? aggregation : m->metric ? m->metric->aggregation : "mean");
    m->kwargs = kwargs;
    m->higher_is_better = 1;
    XT_CHECKF(m->aggregation, "%s", name);
}

/* Metrics of the case; with the pipeline "none" of take_first unless the case has pipelines. */
static struct mu_task *task_of(const json_t *c)
{
    struct mu_err err = MU_ERR_INIT;
    const json_t *pipelines = json_object_get(c, "pipelines"), *metrics = json_object_get(c, "metrics");
    struct mu_task *t = NULL;
    json_t *v, *step;
    size_t i, k;

    XT_OK(MU_NEW(&t, "a task", &err));
    t->name = "stub";
    t->output_type = type_named(json_string_value(json_object_get(c, "kind")));
    json_array_foreach(metrics ? metrics : json_object_get(c, "names"), i, v)
        add_metric(t, json_string_value(v),
                   json_string_value(json_object_get(json_object_get(c, "aggregations"), json_string_value(v))),
                   json_object_get(json_object_get(c, "kwargs"), json_string_value(v)));
    t->n_filters = pipelines ? (int)json_array_size(pipelines) : 1;
    XT_OK(MU_NEW_ARRAY(&t->filter, t->n_filters, "pipelines", &err));
    t->filter[0] =
        (struct mu_filter_pipeline){.name = "none", .step = {{mu_filter_find("take_first"), NULL, NULL}}, .n_steps = 1};
    json_array_foreach(pipelines, i, v)
    {
        t->filter[i] = (struct mu_filter_pipeline){.name = json_string_value(json_array_get(v, 0))};
        json_array_foreach(json_array_get(v, 1), k, step) t->filter[i].step[t->filter[i].n_steps++] =
            (struct mu_filter_step){mu_filter_find(json_string_value(json_array_get(step, 0))), NULL,
                                    json_array_get(step, 1)};
    }
    return t;
}

/* ---- one document ---- */

static void same(size_t i, const json_t *got, const json_t *want);

static void same_number(size_t i, const json_t *got, const json_t *want)
{
    XT_CHECKF(json_typeof(got) == json_typeof(want), "case %zu: an int where a float belongs, or the reverse", i);
    XT_CHECKF(fabs(json_number_value(got) - json_number_value(want)) <= 1e-12, "case %zu: %.17g, not %.17g", i,
              json_number_value(got), json_number_value(want));
}

static void same_members(size_t i, const json_t *got, const json_t *want)
{
    void *a = json_object_iter((json_t *)got), *b = json_object_iter((json_t *)want);
    for (; a && b; a = json_object_iter_next((json_t *)got, a), b = json_object_iter_next((json_t *)want, b)) {
        XT_STREQ(json_object_iter_key(a), json_object_iter_key(b)); /* the order is the harness's too */
        same(i, json_object_iter_value(a), json_object_iter_value(b));
    }
    XT_CHECKF(!a && !b, "case %zu: %zu members, not %zu", i, json_object_size(got), json_object_size(want));
}

static void same(size_t i, const json_t *got, const json_t *want)
{
    if (json_is_number(want)) {
        same_number(i, got, want);
        return;
    }
    if (json_is_object(want)) {
        same_members(i, got, want);
        return;
    }
    if (!json_is_array(want)) {
        XT_CHECKF(json_equal(got, want), "case %zu: another value", i);
        return;
    }
    XT_CHECKF(json_array_size(got) == json_array_size(want), "case %zu: %zu elements", i, json_array_size(got));
    for (size_t k = 0; k < json_array_size(want); k++)
        same(i, json_array_get(got, k), json_array_get(want, k));
}

static json_t *given(const json_t *c, const char *key)
{
    json_t *v = json_object_get(c, key);
    return json_is_null(v) ? NULL : v;
}

XT_TEST(a_document_measures_what_the_harness_measures)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden(&owner, "measure"), *c, *out = NULL;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        struct mu_task *t = task_of(c);
        struct mu_work w = {
            .task = t, .has_multiple_targets = given(c, "multiple"), .is_multiple_input = given(c, "text")};
        struct mu_work_doc d = {.target = given(c, "target"), .choices = given(c, "choices"), .text = given(c, "text")};
        t->choice.kind = d.choices ? MU_FIELD_VALUE : MU_FIELD_NONE;
        int rc = mu_measure(&w, &d, json_object_get(c, "results"), NULL, &out, &err);
        XT_CHECKF(rc == MU_OK, "case %zu: %s", i, err.text);
        same(i, out, json_object_get(c, "out"));
        json_decref(out);
        free_task(t);
    }
    XT_CHECK(i > 30);
    json_decref(owner);
}

static void refuse(const char *text, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *c = NULL, *out = NULL;
    XT_OK(mu_json_parse(&c, mu_str(text), "a case", &err));
    struct mu_task *t = task_of(c);
    struct mu_work w = {.task = t};
    struct mu_work_doc d = {.target = given(c, "target"), .choices = given(c, "choices")};
    t->choice.kind = d.choices ? MU_FIELD_VALUE : MU_FIELD_NONE;
    XT_FAILS(mu_measure(&w, &d, json_object_get(c, "results"), NULL, &out, &err), MU_EINVAL, part);
    free_task(t);
    json_decref(c);
}

XT_TEST(responses_that_cannot_be_measured_are_refused)
{
    refuse("{\"kind\": \"loglikelihood\", \"names\": [\"acc\"], \"results\": [\"a\"]}", "take_first");
    refuse("{\"kind\": \"loglikelihood\", \"names\": [\"acc\"], \"results\": []}", "no response");
    refuse("{\"kind\": \"loglikelihood_rolling\", \"names\": [\"acc\"], \"results\": [\"a\"]}", "take_first");
    refuse("{\"kind\": \"loglikelihood_rolling\", \"names\": [\"acc\"], \"results\": [-1.5], \"target\": 5}",
           "no text");
    refuse("{\"kind\": \"multiple_choice\", \"names\": [\"acc\"], \"results\": [[-1.5, true]], \"target\": 0}",
           "0 choices");
    refuse("{\"kind\": \"multiple_choice\", \"names\": [\"acc\"], \"results\": [[-1.5, true]], \"target\": 0, "
           "\"choices\": [\"a\", \"b\"]}",
           "1 responses for 2");
    refuse("{\"kind\": \"multiple_choice\", \"names\": [\"acc\"], \"results\": [5, 6], \"target\": 0, "
           "\"choices\": [\"a\", \"b\"]}",
           "choice 0");
    refuse(
        "{\"kind\": \"multiple_choice\", \"names\": [\"acc_mutual_info\"], \"results\": [[-1.5, true]], \"target\": 0, "
        "\"choices\": [\"a\"]}",
        "twice as many");
    refuse("{\"kind\": \"multiple_choice\", \"names\": [\"acc\"], \"results\": [[-1.5, true]], \"target\": 0.5, "
           "\"choices\": [\"a\"]}",
           "right choice");
    refuse("{\"kind\": \"multiple_choice\", \"names\": [\"acc\"], \"results\": [[-1.5, true]], \"target\": 0, "
           "\"choices\": [7]}",
           "choice 0 is not a text");
    refuse("{\"kind\": \"generate_until\", \"names\": [\"exact_match\"], \"results\": [null], \"target\": \"a\"}",
           "default_value");
    refuse("{\"kind\": \"generate_until\", \"names\": [\"exact_match\"], \"results\": [5], \"target\": \"a\"}",
           "is none");
    refuse("{\"kind\": \"generate_until\", \"names\": [\"exact_match\"], \"results\": [\"a\"], \"target\": \"a\", "
           "\"choices\": [\"a\"]}",
           "no index");
    refuse("{\"kind\": \"generate_until\", \"names\": [\"exact_match\"], \"results\": [\"a\"]}", "nothing to compare");
}

/* ---- a task ---- */

static void free_work(struct mu_work *w)
{
    struct mu_task *t = (struct mu_task *)w->task;
    mu_work_free(w);
    free_task(t);
}

static struct mu_work *work_of(const json_t *c)
{
    struct mu_err err = MU_ERR_INIT;
    const json_t *docs = json_object_get(c, "docs"), *resps = json_object_get(c, "resps");
    struct mu_work *w = NULL;
    json_t *v;
    size_t i, k, n = 0;

    XT_OK(MU_NEW(&w, "a work", &err));
    w->task = task_of(c);
    json_array_foreach(resps, i, v) n += json_array_size(v);
    XT_OK(MU_NEW_ARRAY(&w->doc, json_array_size(docs), "documents", &err));
    XT_OK(MU_NEW_ARRAY(&w->request, n, "requests", &err));
    json_array_foreach(docs, i, v)
    {
        struct mu_work_doc *d = &w->doc[w->n_docs++];
        *d = (struct mu_work_doc){.id = (int64_t)i, .doc = json_incref(v), .first = w->n_requests};
        d->target = json_incref(json_object_get(v, "target"));
        d->choices = json_incref(json_object_get(v, "choices"));
        json_t *one;
        json_array_foreach(json_array_get(resps, i), k, one) w->request[w->n_requests++] =
            (struct mu_ask_request){.doc = (int)i, .index = (int)k, .resps = json_incref(one)};
        d->n = w->n_requests - d->first;
    }
    return w;
}

/* out: [["acc,none", 0.5], ["acc_stderr,none", 0.1 or "N/A"], ...] */
static void check_result(size_t i, const struct mu_metric_result *r, const json_t *value, const json_t *error)
{
    char name[128];
    snprintf(name, sizeof name, "%s,%s", r->metric, r->filter);
    XT_STREQ(name, json_string_value(json_array_get(value, 0)));
    double want = json_number_value(json_array_get(value, 1)), want_error = json_number_value(json_array_get(error, 1));
    XT_CHECKF(fabs(r->value - want) <= 1e-9, "case %zu, %s: %.17g, not %.17g", i, name, r->value, want);
    XT_CHECKF(r->has_stderr == json_is_number(json_array_get(error, 1)), "case %zu, %s: N/A or not", i, name);
    XT_CHECKF(!r->has_stderr || fabs(r->stderr_value - want_error) <= 1e-9, "case %zu, %s: +- %.17g, not %.17g", i,
              name, r->stderr_value, want_error);
}

XT_TEST(a_task_scores_what_the_harness_scores)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden(&owner, "score"), *c;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        struct mu_work *w = work_of(c);
        struct mu_score_opts o = {.bootstrap_iters = json_integer_value(json_object_get(c, "iters"))};
        const json_t *out = json_object_get(c, "out");
        for (int again = 0; again < 2; again++) {
            XT_OK(mu_work_score(w, &o, &err));
            XT_EQ(2 * w->n_results, json_array_size(out));
            for (int k = 0; k < w->n_results; k++)
                check_result(i, &w->result[k], json_array_get(out, (size_t)(2 * k)),
                             json_array_get(out, (size_t)(2 * k + 1)));
            XT_EQ(w->result[w->n_results - 1].n, json_integer_value(json_object_get(c, "n")));
        }
        XT_EQ(json_array_size(w->doc[0].score[0].filtered), w->doc[0].n);
        free_work(w);
    }
    json_decref(owner);
}

static json_t *small_case(json_t **owner)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(
        mu_json_parse(owner,
                      MU_STR("{\"kind\": \"generate_until\", \"names\": [\"exact_match\"], \"docs\": [{\"target\": 4}, "
                             "{\"target\": 5}], \"resps\": [[[\"4\"]], [[\"6\"]]]}"),
                      "a case", &err));
    return *owner;
}

XT_TEST(predictions_alone_are_bypassed)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *c = NULL;
    struct mu_work *w = work_of(small_case(&c));
    struct mu_score_opts o = {.bootstrap_iters = 100, .predict_only = true};
    ((struct mu_task *)w->task)->unsafe_code = true; /* nothing is run */
    XT_OK(mu_work_score(w, &o, &err));
    XT_EQ(w->n_results, 1);
    XT_STREQ(w->result[0].metric, "bypass");
    XT_CHECK(w->result[0].value == 999 && !w->result[0].has_stderr);
    XT_CHECK(json_is_null(json_object_get(w->doc[1].score[0].metrics, "bypass")));
    free_work(w);
    json_decref(c);
}

XT_TEST(unsafe_code_without_a_sandbox_and_missing_responses_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *c = NULL;
    struct mu_work *w = work_of(small_case(&c));
    struct mu_score_opts o = {.bootstrap_iters = 100};
    ((struct mu_task *)w->task)->unsafe_code = true;
    XT_FAILS(mu_work_score(w, &o, &err), MU_EUSAGE,
             "task stub runs code that the model wrote; add --confirm-run-unsafe");
    ((struct mu_task *)w->task)->unsafe_code = false;
    json_array_clear(w->request[1].resps);
    XT_FAILS(mu_work_score(w, &o, &err), MU_EINVAL, "request 0 of document 1 has no response");
    free_work(w);
    json_decref(c);
}

/* ---- functions in place of Python ---- */

static int two_rates(const json_t *references, const json_t *predictions, const json_t *kwargs,
                     struct mu_sandbox *sandbox, json_t **out, struct mu_err *e)
{
    (void)predictions, (void)kwargs, (void)sandbox;
    bool is_four = json_integer_value(json_array_get(references, 0)) == 4 ||
                   !strcmp("4", json_string_value(json_array_get(references, 0)));
    *out = json_pack("{s:i, s:f}", "rate@1", is_four ? 3 : 1, "rate@2", 0.5);
    return *out ? MU_OK : mu_fail_nomem(e, 1, "rates");
}

static int of_results(const json_t *doc, const json_t *results, json_t **out, struct mu_err *e)
{
    *out = json_pack("{s:O, s:i}", "seen", json_array_get(results, 0), "target",
                     json_integer_value(json_object_get(doc, "target")));
    return *out ? MU_OK : mu_fail_nomem(e, 1, "results");
}

static int count_items(const json_t *items, double *out, struct mu_err *e)
{
    (void)e;
    *out = 10 * (double)json_array_size(items);
    return MU_OK;
}

static int shout(const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)docs;
    *out = json_array();
    for (size_t i = 0; i < json_array_size(resps); i++)
        json_array_append_new(*out, json_string("loud"));
    return *out ? MU_OK : mu_fail_nomem(e, 1, "filtered");
}

XT_TEST(named_numbers_of_a_metric_are_aggregated_as_the_metric)
{
    struct mu_err err = MU_ERR_INIT;
    static const struct mu_function rates = {.name = "utils.rates", .kind = MU_FUNCTION_METRIC, .metric = two_rates};
    json_t *c = NULL;
    struct mu_work *w = work_of(small_case(&c));
    struct mu_task *t = (struct mu_task *)w->task;
    struct mu_score_opts o = {.bootstrap_iters = 100};
    t->metric[0] = (struct mu_task_metric){
        .name = "rates", .function = &rates, .aggregation = mu_aggregation_find("median"), .higher_is_better = 0};
    XT_OK(mu_work_score(w, &o, &err));
    XT_EQ(w->n_results, 2);
    XT_STREQ(w->result[0].metric, "rate@1");
    XT_CHECK(w->result[0].value == 3 && w->result[0].higher_is_better == 0); /* the mean is 2 */
    XT_STREQ(w->result[1].metric, "rate@2");
    free_work(w);
    json_decref(c);
}

XT_TEST(process_results_custom_filters_and_aggregations_are_called)
{
    struct mu_err err = MU_ERR_INIT;
    static const struct mu_function results = {.name = "utils.process",
                                               .kind = MU_FUNCTION_RESULTS,
                                               .results = of_results},
                                    filter = {.name = "utils.shout", .kind = MU_FUNCTION_FILTER, .filter = shout},
                                    aggregate = {
                                        .name = "utils.count", .kind = MU_FUNCTION_AGGREGATE, .aggregate = count_items};
    static const struct mu_processor used = {.results = &results};
    json_t *c = NULL;
    struct mu_work *w = work_of(small_case(&c));
    struct mu_task *t = (struct mu_task *)w->task;
    struct mu_score_opts o = {.bootstrap_iters = 100};
    t->processor = &used;
    t->filter[0].step[0] = (struct mu_filter_step){mu_filter_find("custom"), &filter, NULL};
    t->metric[0] = (struct mu_task_metric){.name = "seen",
                                           .aggregation = mu_aggregation_find("mean"),
                                           .aggregate_function = &aggregate,
                                           .higher_is_better = 1};
    XT_OK(mu_work_score(w, &o, &err));
    XT_EQ(w->n_results, 2);
    XT_CHECK(w->result[0].value == 20 && !w->result[0].has_stderr);
    XT_STREQ(json_string_value(json_object_get(w->doc[0].score[0].metrics, "seen")), "loud");
    XT_STREQ(w->result[1].metric, "target"); /* not in metric_list: mean */
    XT_CHECK(w->result[1].value == 4.5 && w->result[1].has_stderr && w->result[1].higher_is_better == -1);
    free_work(w);
    json_decref(c);
}

/* IFEval's metrics: one truth a document, and a list of truths, one an instruction. */
XT_TEST(truths_and_lists_of_truths_are_aggregated)
{
    static const char text[] =
        "{\"kind\": \"generate_until\", \"names\": [], \"docs\": ["
        "{\"key\": 1, \"prompt\": \"p\", \"instruction_id_list\": [\"punctuation:no_comma\", \"startend:quotation\"], "
        "\"kwargs\": [{}, {}], \"target\": 0}, "
        "{\"key\": 2, \"prompt\": \"q\", \"instruction_id_list\": [\"punctuation:no_comma\"], \"kwargs\": [{}], "
        "\"target\": 0}], \"resps\": [[[\"plain words\"]], [[\"none here\"]]]}";
    static const char *const names[] = {"prompt_level_strict_acc", "inst_level_strict_acc", "prompt_level_loose_acc",
                                        "inst_level_loose_acc"};
    const struct mu_function *all = mu_function_find("ifeval", "utils.agg_inst_level_acc", MU_FUNCTION_AGGREGATE);
    const struct mu_processor used = {.results =
                                          mu_function_find("ifeval", "utils.process_results", MU_FUNCTION_RESULTS)};
    struct mu_err err = MU_ERR_INIT;
    struct mu_score_opts o = {.bootstrap_iters = 100};
    json_t *c = NULL;
    XT_CHECK(all && used.results);
    XT_OK(mu_json_parse(&c, mu_str(text), "a case", &err));
    struct mu_work *w = work_of(c);
    struct mu_task *t = (struct mu_task *)w->task;
    t->processor = &used;
    for (size_t i = 0; i < MU_COUNT(names); i++)
        t->metric[t->n_metrics++] = (struct mu_task_metric){.name = names[i],
                                                            .aggregation = mu_aggregation_find("mean"),
                                                            .aggregate_function = i % 2 ? all : NULL,
                                                            .higher_is_better = 1};
    XT_OK(mu_work_score(w, &o, &err));
    XT_EQ(w->n_results, 4);
    for (int i = 0; i < 4; i++) {
        const struct mu_metric_result *r = &w->result[i];
        XT_STREQ(r->metric, names[i]);
        XT_CHECKF(fabs(r->value - (i % 2 ? 2.0 / 3 : 0.5)) < 1e-12, "%s is %g", names[i], r->value);
        XT_CHECK(r->has_stderr == (i % 2 == 0) && (i % 2 || fabs(r->stderr_value - 0.5) < 1e-12));
    }
    XT_CHECK(json_is_false(json_object_get(w->doc[0].score[0].metrics, names[0])));
    XT_CHECK(json_is_array(json_object_get(w->doc[0].score[0].metrics, names[1])));
    free_work(w);
    json_decref(c);
}

/* Scores and forgets, so that nothing of it stays on the heap. */
static int score_once(void *arg, struct mu_err *e)
{
    struct mu_score_opts o = {.bootstrap_iters = 20};
    struct mu_work *w = arg;
    int rc = mu_work_score(w, &o, e);

    for (int i = 0; i < w->n_docs; i++) {
        for (int f = 0; w->doc[i].score && f < w->task->n_filters; f++) {
            json_decref(w->doc[i].score[f].metrics);
            json_decref(w->doc[i].score[f].filtered);
        }
        mu_free(w->doc[i].score);
        w->doc[i].score = NULL;
    }
    mu_free(w->result);
    w->result = NULL;
    w->n_results = 0;
    return rc;
}

XT_TEST(scoring_survives_a_failing_heap)
{
    json_t *owner = NULL, *cases = golden(&owner, "score"), *c;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        if (json_array_size(json_object_get(c, "docs")) > 4)
            continue;
        struct mu_work *w = work_of(c);
        xt_each_alloc_fails(score_once, w);
        free_work(w);
    }
    json_decref(owner);
}

/* ---- groups ---- */

#define LEAVES 3

static void fill_leaf(struct mu_work *w, const json_t *leaf, struct mu_metric_result *r)
{
    const char *key;
    json_t *v;
    w->result = r;
    json_object_foreach((json_t *)leaf, key, v)
    {
        static char names[64][32];
        static int used;
        const char *comma = strchr(key, ',');
        char error[64];
        if (!comma || strstr(key, "_stderr"))
            continue;
        char *metric = names[used++ % 64];
        snprintf(metric, sizeof names[0], "%.*s", (int)(comma - key), key);
        snprintf(error, sizeof error, "%s_stderr,%s", metric, comma + 1);
        const json_t *se = json_object_get(leaf, error);
        r[w->n_results++] = (struct mu_metric_result){.metric = metric,
                                                      .filter = comma + 1,
                                                      .value = json_number_value(v),
                                                      .has_stderr = json_is_number(se),
                                                      .stderr_value = json_number_value(se),
                                                      .n = json_integer_value(json_object_get(leaf, "sample_len"))};
    }
}

static void check_group(const json_t *c, const struct mu_group_result *r, int n)
{
    const json_t *out = json_object_get(c, "out");
    size_t want = json_object_size(json_object_get(out, "sample_count"));
    char key[64];

    XT_EQ(n, want);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%s,%s", r[i].metric, r[i].filter);
        XT_NEAR(r[i].value, json_number_value(json_object_get(out, key)), 1e-12);
        XT_EQ(r[i].n, json_integer_value(json_object_get(out, "sample_len")));
        XT_EQ(r[i].n_counted, json_integer_value(json_object_get(json_object_get(out, "sample_count"), key)));
        snprintf(key, sizeof key, "%s_stderr,%s", r[i].metric, r[i].filter);
        const json_t *se = json_object_get(out, key);
        XT_EQ(r[i].has_stderr, json_is_number(se));
        if (r[i].has_stderr)
            XT_NEAR(r[i].stderr_value, json_number_value(se), 1e-12);
    }
}

XT_TEST(a_group_scores_what_the_harness_scores)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *part = golden(&owner, "group"), *c;
    struct mu_metric_result results[LEAVES][4];
    struct mu_work leaf[LEAVES] = {0};
    struct mu_work *works[LEAVES] = {&leaf[0], &leaf[1], &leaf[2]};
    int top[] = {0, -2}, below[] = {1, 2}; /* g: task 0 and group 1; h: tasks 1 and 2 */
    size_t i, k;

    for (k = 0; k < LEAVES; k++)
        fill_leaf(&leaf[k], json_array_get(json_object_get(part, "leaves"), k), results[k]);
    json_array_foreach(json_object_get(part, "cases"), i, c)
    {
        const json_t *list = json_object_get(c, "filter");
        const char *filters[4];
        for (k = 0; k < json_array_size(list); k++)
            filters[k] = json_string_value(json_array_get(list, k));
        struct mu_group_metric m = {json_string_value(json_object_get(c, "metric")), filters,
                                    (int)json_array_size(list), json_is_true(json_object_get(c, "weight_by_size"))};
        struct mu_group group[] = {{.name = "g", .child = top, .n_children = 2, .metric = &m, .n_metrics = 1},
                                   {.name = "h", .child = below, .n_children = 2}};
        struct mu_task_set set = {.group = group, .n_groups = 2, .n_tasks = LEAVES};
        struct mu_group_result *out = NULL;
        int n = 0;
        XT_OK(mu_group_score(&set, 0, works, &out, &n, &err));
        check_group(c, out, n);
        mu_free(out);
        XT_OK(mu_group_score(&set, 1, works, &out, &n, &err)); /* aggregates nothing */
        XT_EQ(n, 0);
    }
    XT_EQ(i, 6);
    json_decref(owner);
}

XT_TEST(a_group_inside_itself_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    int child[] = {-1};
    struct mu_group_metric m = {"acc", NULL, 0, true};
    struct mu_group group = {.name = "loop", .child = child, .n_children = 1, .metric = &m, .n_metrics = 1};
    struct mu_task_set set = {.group = &group, .n_groups = 1};
    struct mu_group_result *out = NULL;
    int n;
    XT_FAILS(mu_group_score(&set, 0, NULL, &out, &n, &err), MU_ELIMIT, "group loop");
}

XT_MAIN()
