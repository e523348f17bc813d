/* test_filters.c - every filter against the harness (make_metrics.py), and what filters refuse */
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/filter/filter.h"
#include "xt.h"

#define TEXT_MAX ((size_t)1 << 20)

static void same(size_t i, const char *name, const json_t *got, const json_t *want)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf a = MU_BUF_INIT("json", TEXT_MAX), b = a;
    XT_OK(mu_json_dump(&a, got, false, &err));
    XT_OK(mu_json_dump(&b, want, false, &err));
    XT_CHECKF(strcmp(a.p, b.p) == 0, "case %zu, %s: %s\nnot: %s", i, name, a.p, b.p);
    mu_buf_fini(&a);
    mu_buf_fini(&b);
}

XT_TEST(filters_make_what_the_harness_makes)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *c, *out = NULL;
    size_t i;
    XT_OK(mu_json_load(&owner, "tests/eval/metrics_golden.json", &err));
    json_array_foreach(json_object_get(owner, "filter"), i, c)
    {
        const char *name = json_string_value(json_object_get(c, "name"));
        const struct mu_filter *f = mu_filter_find(name);
        XT_CHECKF(f, "%s", name);
        if (f->check)
            XT_OK(f->check(json_object_get(c, "kwargs"), &err));
        XT_OK(f->apply(json_object_get(c, "kwargs"), json_object_get(c, "resps"), json_object_get(c, "docs"), &out,
                       &err));
        same(i, name, out, json_object_get(c, "out"));
        json_decref(out);
    }
    XT_CHECK(i > 15);
    json_decref(owner);
}

static int run(const char *name, const char *kwargs, const char *resps, const char *docs, struct mu_err *e)
{
    json_t *k = NULL, *r = NULL, *d = NULL, *out = NULL;
    int rc;
    MU_TRY(mu_json_parse(&k, mu_str(kwargs), "kwargs", e));
    MU_TRY(mu_json_parse(&r, mu_str(resps), "responses", e));
    MU_TRY(mu_json_parse(&d, mu_str(docs), "documents", e));
    MU_TRY(mu_filter_find(name)->apply(k, r, d, &out, e));
    json_decref(out);
out:
    json_decref(k);
    json_decref(r);
    json_decref(d);
    return rc;
}

XT_TEST(filters_refuse_responses_they_cannot_filter)
{
    struct mu_err err = MU_ERR_INIT;
    XT_FAILS(run("remove_whitespace", "{}", "[[1]]", "[{}]", &err), MU_EINVAL, "not a text");
    XT_FAILS(run("lowercase", "{}", "[[null]]", "[{}]", &err), MU_EINVAL, "not a text");
    XT_FAILS(run("uppercase", "{}", "[7]", "[{}]", &err), MU_EINVAL, "neither a list nor a text");
    XT_FAILS(run("take_first", "{}", "[[]]", "[{}]", &err), MU_EINVAL, "nothing to take");
    XT_FAILS(run("take_first", "{}", "[\"\"]", "[{}]", &err), MU_EINVAL, "nothing to take");
    XT_FAILS(run("take_first_k", "{\"k\": 3}", "[[1, 2]]", "[{}]", &err), MU_EINVAL, "repeats");
    XT_FAILS(run("majority_vote", "{}", "[[[1]]]", "[{}]", &err), MU_EINVAL, "counted");
    XT_FAILS(run("majority_vote", "{}", "[[]]", "[{}]", &err), MU_EINVAL, "no responses");
    XT_FAILS(run("map", "{}", "[[[\"a\"]]]", "[{}]", &err), MU_EINVAL, "take_first");
    XT_FAILS(run("regex_pos", "{}", "[[5]]", "[{}]", &err), MU_EINVAL, "neither a text");
    XT_FAILS(run("regex_pos", "{}", "[[[[1]]]]", "[{}]", &err), MU_EINVAL, "pair");
    XT_FAILS(run("format_span", "{}", "[[5]]", "[{}]", &err), MU_EINVAL, "not a text");
    XT_FAILS(run("multi_choice_regex", "{}", "[[\"a\"]]", "[{}]", &err), MU_EINVAL, "choices");
    XT_FAILS(run("multi_choice_regex", "{}", "[[\"a\"]]", "[{\"choices\": [1]}]", &err), MU_EINVAL, "not a text");
    XT_FAILS(run("multi_choice_regex", "{}", "[[\"a\"]]",
                 "[{\"choices\": [\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
                 "\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]}]",
                 &err),
             MU_EUNSUPPORTED, "27 choices");
    XT_FAILS(run("decontaminate", "{}", "[]", "[]", &err), MU_EUNSUPPORTED, "decontaminate");
    XT_FAILS(run("custom", "{\"filter_fn\": \"utils.f\"}", "[]", "[]", &err), MU_EUNSUPPORTED, "utils.f");
}

/* Where too few matches let the harness stop with an IndexError, the fallback is taken. */
XT_TEST(a_match_that_is_not_there_is_the_fallback)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *k = json_pack("{s:s, s:i}", "regex_pattern", "[0-9]", "group_select", 2), *out = NULL;
    json_t *r = json_pack("[[s, s]]", "1 2", "1 2 3"), *want = json_pack("[[s, s]]", "[invalid]", "3");
    XT_OK(mu_filter_find("regex")->apply(k, r, NULL, &out, &err));
    same(0, "regex", out, want);
    json_decref(k);
    json_decref(r);
    json_decref(out);
    json_decref(want);
}

static int check(const char *name, const char *kwargs, struct mu_err *e)
{
    json_t *k = NULL;
    MU_TRY_RETURN(mu_json_parse(&k, mu_str(kwargs), "kwargs", e));
    int rc = mu_filter_find(name)->check(k, e);
    json_decref(k);
    return rc;
}

XT_TEST(arguments_are_checked_before_a_run)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(check("regex", "{}", &err));
    XT_FAILS(check("regex", "{\"regex_pattern\": \"(\"}", &err), MU_EFORMAT, "regex_pattern");
    XT_FAILS(check("regex", "{\"regex_pattern\": 5}", &err), MU_EFORMAT, "regex_pattern must be a text");
    XT_FAILS(check("regex", "{\"group_select\": \"1\"}", &err), MU_EFORMAT, "group_select");
    XT_FAILS(check("regex", "{\"pattern\": \"a\"}", &err), MU_EFORMAT, "no argument pattern");
    XT_FAILS(check("multi_choice_regex", "{\"regexes_to_ignore\": \",\"}", &err), MU_EFORMAT, "must be a list");
    XT_FAILS(check("multi_choice_regex", "{\"regexes_to_ignore\": [\"[\"]}", &err), MU_EFORMAT, "regexes_to_ignore");
    XT_FAILS(check("multi_choice_regex", "{\"regexes_to_ignore\": [1]}", &err), MU_EFORMAT, "[0] is not a text");
    XT_FAILS(check("take_first_k", "{}", &err), MU_EFORMAT, "needs k");
    XT_FAILS(check("take_first_k", "{\"k\": 0}", &err), MU_EFORMAT, "needs k");
    XT_FAILS(check("map", "{\"mapping_dict\": []}", &err), MU_EFORMAT, "mapping_dict");
    XT_FAILS(check("custom", "{}", &err), MU_EFORMAT, "filter_fn");
    XT_FAILS(check("decontaminate", "{}", &err), MU_EUNSUPPORTED, "decontaminate");
    XT_FAILS(check("regex_pos", "{\"x\": 1}", &err), MU_EFORMAT, "x");
}

XT_TEST(every_filter_is_found_by_its_name)
{
    int n = 0;
    for (; mu_filter_at(n); n++)
        XT_CHECK(mu_filter_find(mu_filter_at(n)->name) == mu_filter_at(n));
    XT_EQ(n, 13);
    XT_CHECK(!mu_filter_find("arg_max"));
    XT_CHECK(!mu_filter_at(-1));
}

static int run_all(void *arg, struct mu_err *e)
{
    const json_t *cases = arg;
    json_t *c, *out = NULL;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        MU_TRY_RETURN(mu_filter_find(json_string_value(json_object_get(c, "name")))
                          ->apply(json_object_get(c, "kwargs"), json_object_get(c, "resps"), json_object_get(c, "docs"),
                                  &out, e));
        json_decref(out);
    }
    return MU_OK;
}

XT_TEST(filters_survive_a_failing_heap)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases, *c;
    size_t i;
    XT_OK(mu_json_load(&owner, "tests/eval/metrics_golden.json", &err));
    cases = json_object_get(owner, "filter");
    json_array_foreach(cases, i, c)
    {
        json_t *one = json_pack("[O]", c);
        xt_each_alloc_fails(run_all, one);
        json_decref(one);
    }
    json_decref(owner);
}

XT_MAIN()
