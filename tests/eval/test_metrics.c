/* test_metrics.c - bleu, chrf, chrf++, ter, exact_match and letters against sacrebleu, the harness and CPython
 * (make_metrics.py) */
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/metric/corpus_work.h"
#include "eval/metric/metric.h"
#include "eval/py/case.h"
#include "eval/stats/aggregation.h"
#include "eval/stats/corpus.h"
#include "eval/task.h"
#include "xt.h"

static json_t *golden(const char *part, json_t **owner)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_json_load(owner, "tests/eval/metrics_golden.json", &err));
    json_t *cases = json_object_get(*owner, part);
    XT_CHECK(json_array_size(cases) > 0);
    return cases;
}

static void check_corpora(const char *name, int (*score)(const json_t *, double *, struct mu_err *))
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("corpus", &owner), *c;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        double got = -1, want = json_number_value(json_object_get(c, name));
        XT_OK(score(json_object_get(c, "items"), &got, &err));
        XT_CHECKF(fabs(got - want) <= 1e-9, "corpus %zu: %s is %.12g, not %.12g", i, name, got, want);
    }
    json_decref(owner);
}

XT_TEST(bleu_of_corpora_is_sacrebleus)
{
    check_corpora("bleu", mu_bleu_corpus);
}

XT_TEST(chrf_of_corpora_is_sacrebleus)
{
    check_corpora("chrf", mu_chrf_corpus);
}

XT_TEST(chrf_with_words_of_corpora_is_sacrebleus)
{
    check_corpora("chrf++", mu_chrfpp_corpus);
}

XT_TEST(ter_of_corpora_is_sacrebleus)
{
    check_corpora("ter", mu_ter_corpus);
}

XT_TEST(standard_errors_of_corpus_scores_are_the_harnesss)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("bootstrap", &owner), *c;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        const struct mu_aggregation *a = mu_aggregation_find(json_string_value(json_object_get(c, "name")));
        double got = -1;
        bool has = false;
        XT_CHECK(a);
        XT_OK(mu_aggregation_stderr(a, json_object_get(c, "items"), 100000, NULL, &got, &has, &err));
        XT_CHECK(has);
        XT_NEAR(got, json_number_value(json_object_get(c, "stderr")), 1e-9);
        got = -1;
        XT_OK(mu_corpus_stderr(a->name, json_object_get(c, "items"), 100, &got, &has, &err));
        XT_CHECK(has);
        XT_NEAR(got, json_number_value(json_object_get(c, "stderr")), 1e-9);
        XT_OK(mu_corpus_stderr("mean", json_object_get(c, "items"), 100, &got, &has, &err));
        XT_CHECK(!has);
    }
    json_decref(owner);
}

static void refuse_items(const char *text, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *items = NULL;
    double x;
    XT_OK(mu_json_parse(&items, mu_str(text), "items", &err));
    XT_FAILS(mu_bleu_corpus(items, &x, &err), MU_EINVAL, part);
    XT_FAILS(mu_chrf_corpus(items, &x, &err), MU_EINVAL, part);
    XT_FAILS(mu_ter_corpus(items, &x, &err), MU_EINVAL, part);
    json_decref(items);
}

XT_TEST(corpora_that_are_none_are_refused)
{
    refuse_items("[]", "no documents");
    refuse_items("[1]", "item 0");
    refuse_items("[[\"a\"]]", "item 0");
    refuse_items("[[\"a\", \"b\"], [[\"a\"], \"b\"]]", "item 1");
    refuse_items("[[\"a\", 5]]", "prediction of item 0");
    refuse_items("[[\"a\", [\"b\", \"c\"]]]", "prediction of item 0");
    refuse_items("[[[], \"b\"]]", "no reference");
    refuse_items("[[[null], \"b\"]]", "item 0 has no reference");
    refuse_items("[[[\"x\", 7], \"b\"]]", "reference 1 of item 0");
    refuse_items("[[null, \"b\"]]", "item 0");
}

XT_TEST(a_prediction_may_be_a_list_of_one)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *items = json_pack("[[s, [s]]]", "one two three four", "one two three four");
    double x = 0;
    XT_OK(mu_bleu_corpus(items, &x, &err));
    XT_NEAR(x, 100, 1e-9);
    json_decref(items);
}

static int score_once(void *arg, struct mu_err *e)
{
    double x;
    MU_TRY_RETURN(mu_bleu_corpus(arg, &x, e));
    MU_TRY_RETURN(mu_chrf_corpus(arg, &x, e));
    MU_TRY_RETURN(mu_chrfpp_corpus(arg, &x, e));
    return mu_ter_corpus(arg, &x, e);
}

XT_TEST(corpus_scores_survive_a_failing_heap)
{
    json_t *items = json_pack("[[s, s], [s, s]]", "a b c d e", "c d a b e", "x -\n y&lt;", "x y");
    xt_each_alloc_fails(score_once, items);
    json_decref(items);
}

/* ---- exact_match ---- */

static int match(const json_t *c, json_t **out, struct mu_err *e)
{
    return mu_metric_find("exact_match")
        ->compute(json_object_get(c, "references"), json_object_get(c, "predictions"), json_object_get(c, "kwargs"),
                  NULL, out, e);
}

XT_TEST(exact_match_is_the_harnesss)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("exact_match", &owner), *c, *out = NULL;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        XT_OK(match(c, &out, &err));
        json_t *got = json_object_get(out, "exact_match");
        XT_CHECK(json_is_real(got));
        XT_CHECKF(json_real_value(got) == json_number_value(json_object_get(c, "value")), "case %zu: %g", i,
                  json_real_value(got));
        json_decref(out);
    }
    json_decref(owner);
}

XT_TEST(exact_match_refuses_what_it_cannot_ignore)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_metric *m = mu_metric_find("exact_match");
    json_t *kwargs = json_pack("{s:b}", "ignore_cases", 1), *out = NULL;
    XT_FAILS(m->check(kwargs, &err), MU_EFORMAT, "ignore_cases");
    json_decref(kwargs);
    kwargs = json_pack("{s:[s]}", "regexes_to_ignore", "(");
    XT_FAILS(m->check(kwargs, &err), MU_EFORMAT, "regexes_to_ignore");
    json_decref(kwargs);
    kwargs = json_pack("{s:s}", "regexes_to_ignore", ",");
    XT_FAILS(m->check(kwargs, &err), MU_EFORMAT, "must be a list");
    json_decref(kwargs);
    XT_OK(m->check(NULL, &err));
    json_t *c = json_pack("{s:[i], s:[s], s:{s:b}}", "references", 3, "predictions", "3", "kwargs", "ignore_case", 1);
    XT_FAILS(match(c, &out, &err), MU_EINVAL, "not a text");
    json_decref(c);
    c = json_pack("{s:[s,s], s:[s,s,s]}", "references", "a", "b", "predictions", "a", "b", "c");
    XT_FAILS(match(c, &out, &err), MU_EINVAL, "3 predictions with 2");
    json_decref(c);
}

static int match_once(void *arg, struct mu_err *e)
{
    json_t *out = NULL;
    int rc = match(arg, &out, e);
    json_decref(out);
    return rc;
}

XT_TEST(exact_match_survives_a_failing_heap)
{
    json_t *c = json_pack("{s:[s], s:[s], s:{s:b, s:[s]}}", "references", "a,B", "predictions", "A.b", "kwargs",
                          "ignore_case", 1, "regexes_to_ignore", "[,.]");
    xt_each_alloc_fails(match_once, c);
    json_decref(c);
}

/* ---- registry ---- */

XT_TEST(every_metric_is_found_by_its_name_and_has_an_aggregation)
{
    int n = 0;
    for (; mu_metric_at(n); n++) {
        XT_CHECK(mu_metric_find(mu_metric_at(n)->name) == mu_metric_at(n));
        XT_CHECKF(mu_aggregation_find(mu_metric_at(n)->aggregation), "%s", mu_metric_at(n)->aggregation);
    }
    XT_EQ(n, 19);
    XT_CHECK(!mu_metric_find("rouge1"));
    XT_CHECK(!mu_metric_at(-1));
    for (int t = MU_OUTPUT_LOGLIKELIHOOD; t <= MU_OUTPUT_GENERATE; t++)
        for (const char *const *d = mu_metric_defaults(t); *d; d++)
            XT_CHECK(mu_metric_find(*d)->output_types & 1u << t);
}

/* ---- letters ---- */

XT_TEST(letters_change_as_in_python)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("letters", &owner), *c;
    struct mu_buf b = MU_BUF_INIT("letters", 1000);
    size_t i;
    json_array_foreach(cases, i, c)
    {
        struct mu_str s = mu_str(json_string_value(json_array_get(c, 0)));
        mu_buf_clear(&b);
        XT_OK(mu_py_lower(&b, s, &err));
        XT_STREQ(b.p, json_string_value(json_array_get(c, 1)));
        mu_buf_clear(&b);
        XT_OK(mu_py_upper(&b, s, &err));
        XT_STREQ(b.p, json_string_value(json_array_get(c, 2)));
    }
    mu_buf_fini(&b);
    json_decref(owner);
}

XT_MAIN()
