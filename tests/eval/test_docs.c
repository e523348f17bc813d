/* Task functions in C against the Python ones: docs_golden.json holds what make_docs.py got from the harness for own
 * documents. Then what has no counterpart there: pass@k in the sandbox, what is refused, failing allocations. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/docs/processor.h"
#include "eval/filter/filter.h"
#include "eval/sandbox.h"
#include "xt.h"

#define TOLERANCE 1e-12 /* relative: exp, log and the order of sums differ from numpy's in the last bits */

static const char *const kinds[] = {"docs",   "field",     "samples", "results",
                                    "metric", "aggregate", "filter",  "filter_class"};

static enum mu_function_kind kind_of(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(kinds); i++)
        if (strcmp(name, kinds[i]) == 0)
            return (enum mu_function_kind)i;
    XT_CHECKF(false, "no kind %s", name);
    return MU_FUNCTION_DOCS;
}

static const struct mu_function *find(const char *folder, const char *name, enum mu_function_kind kind)
{
    const struct mu_function *f = mu_function_find(folder, name, kind);
    XT_CHECKF(f != NULL, "%s has no %s", folder, name);
    return f;
}

/* Equal kinds, texts and order of keys; numbers within the tolerance. */
static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return json_typeof(a) == json_typeof(b) ? fabs(x - y) <= TOLERANCE * fmax(1, fabs(y)) : x == y;
    }
    if (json_is_array(a) && json_is_array(b)) {
        bool same = json_array_size(a) == json_array_size(b);
        for (size_t i = 0; same && i < json_array_size(a); i++)
            same = is_same(json_array_get(a, i), json_array_get(b, i));
        return same;
    }
    if (json_is_object(a) && json_is_object(b)) {
        void *x = json_object_iter((json_t *)a), *y = json_object_iter((json_t *)b);
        while (x && y && strcmp(json_object_iter_key(x), json_object_iter_key(y)) == 0 &&
               is_same(json_object_iter_value(x), json_object_iter_value(y))) {
            x = json_object_iter_next((json_t *)a, x);
            y = json_object_iter_next((json_t *)b, y);
        }
        return !x && !y;
    }
    return json_equal(a, b);
}

/* The function called with what the case gives; *out may stay NULL on failure. */
static int call(const struct mu_function *f, const json_t *c, const json_t *given, json_t **out, struct mu_err *e)
{
    double number = 0;
    int rc;
    switch (f->kind) {
    case MU_FUNCTION_DOCS:
        return f->docs(json_object_get(c, "docs"), out, e);
    case MU_FUNCTION_FIELD:
        return f->field(json_object_get(c, "doc"), out, e);
    case MU_FUNCTION_RESULTS:
        return f->results(json_object_get(c, "doc"), given, out, e);
    case MU_FUNCTION_FILTER:
        return f->filter(json_object_get(c, "resps"), json_object_get(c, "docs"), out, e);
    case MU_FUNCTION_FILTER_CLASS:
        return f->filter_class->apply(json_object_get(c, "kwargs"), json_object_get(c, "resps"),
                                      json_object_get(c, "docs"), out, e);
    case MU_FUNCTION_AGGREGATE:
        rc = f->aggregate(json_object_get(c, "items"), &number, e);
        *out = rc == MU_OK ? json_real(number) : NULL;
        return rc;
    default:
        return mu_fail(e, MU_EINTERNAL, "the test cannot call this kind");
    }
}

static char *text_of(const json_t *v)
{
    struct mu_buf b = MU_BUF_INIT("text", 1 << 20);
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_json_dump(&b, v, false, &err));
    return mu_buf_take(&b);
}

static int check_one(const struct mu_function *f, const json_t *c, const json_t *given, const json_t *want)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *out = NULL;
    int rc = call(f, c, given, &out, &err);
    bool same = rc == MU_OK && is_same(out, want);
    if (!same) {
        char *got = out ? text_of(out) : NULL, *wanted = text_of(want), *from = given ? text_of(given) : NULL;
        xt_note("%s/%s of %.300s: %.900s, not %.900s", f->folder, f->name, from ? from : "(all)", got ? got : err.text,
                wanted);
        mu_free(got);
        mu_free(wanted);
        mu_free(from);
    }
    json_decref(out);
    return same ? 0 : 1;
}

static int check_case(const json_t *golden, const json_t *c)
{
    const struct mu_function *f =
        find(json_string_value(json_object_get(c, "folder")), json_string_value(json_object_get(c, "name")),
             kind_of(json_string_value(json_object_get(c, "kind"))));
    const json_t *each = json_object_get(c, "each"), *want = json_object_get(c, "want");
    int wrong = 0;
    if (json_is_string(each))
        each = json_object_get(golden, json_string_value(each));
    if (!each)
        return check_one(f, c, NULL, want);
    for (size_t i = 0; i < json_array_size(each); i++)
        wrong += check_one(f, c, json_array_get(each, i), json_array_get(want, i));
    return wrong;
}

static json_t *load_golden(void)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *golden;
    XT_OK(mu_json_load(&golden, "tests/eval/docs_golden.json", &err));
    return golden;
}

static void check_folder(const char *folder, int at_least)
{
    json_t *golden = load_golden(), *cases = json_object_get(golden, "cases");
    int wrong = 0, n = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        if (strcmp(json_string_value(json_object_get(c, "folder")), folder) != 0)
            continue;
        wrong += check_case(golden, c);
        n++;
    }
    json_decref(golden);
    XT_CHECKF(n >= at_least, "%d cases of %s, not %d", n, folder, at_least);
    XT_EQ(wrong, 0);
}

XT_TEST(hellaswag_is_as_the_reference)
{
    check_folder("hellaswag", 1);
}

XT_TEST(winogrande_is_as_the_reference)
{
    check_folder("winogrande", 9);
}

XT_TEST(wikitext_is_as_the_reference)
{
    check_folder("wikitext", 18);
}

XT_TEST(truthfulqa_is_as_the_reference)
{
    check_folder("truthfulqa", 6);
}

XT_TEST(mmlu_pro_is_as_the_reference)
{
    check_folder("mmlu_pro", 13);
}

XT_TEST(drop_is_as_the_reference)
{
    check_folder("drop", 9);
}

XT_TEST(humaneval_and_mbpp_are_as_the_reference)
{
    check_folder("humaneval", 2);
    check_folder("mbpp", 1);
}

XT_TEST(bbh_is_as_the_reference)
{
    check_folder("bbh", 7);
}

XT_TEST(ifeval_is_as_the_reference)
{
    check_folder("ifeval", 30);
}

/* Every `!function` of the harness's files for these data sets. */
XT_TEST(every_function_of_the_task_files_is_found)
{
    static const struct {
        const char *folder, *name;
        enum mu_function_kind kind;
    } row[] = {
        {"hellaswag", "utils.process_docs", MU_FUNCTION_DOCS},
        {"winogrande", "preprocess_winogrande.doc_to_text", MU_FUNCTION_FIELD},
        {"winogrande", "preprocess_winogrande.doc_to_target", MU_FUNCTION_FIELD},
        {"winogrande", "preprocess_winogrande.doc_to_choice", MU_FUNCTION_FIELD},
        {"wikitext", "preprocess_wikitext.wikitext_detokenizer", MU_FUNCTION_FIELD},
        {"wikitext", "preprocess_wikitext.process_results", MU_FUNCTION_RESULTS},
        {"truthfulqa", "utils.process_docs_gen", MU_FUNCTION_DOCS},
        {"truthfulqa", "utils.process_results_gen", MU_FUNCTION_RESULTS},
        {"truthfulqa", "utils.process_results_mc2", MU_FUNCTION_RESULTS},
        {"mmlu_pro", "utils.doc_to_text", MU_FUNCTION_FIELD},
        {"mmlu_pro", "utils.fewshot_to_text", MU_FUNCTION_FIELD},
        {"mmlu_pro", "utils.fewshot_to_target", MU_FUNCTION_FIELD},
        {"mmlu_pro", "utils.process_biology", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_business", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_chemistry", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_computer_science", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_economics", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_engineering", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_health", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_history", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_law", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_math", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_other", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_philosophy", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_physics", MU_FUNCTION_DOCS},
        {"mmlu_pro", "utils.process_psychology", MU_FUNCTION_DOCS},
        {"drop", "utils.process_docs", MU_FUNCTION_DOCS},
        {"drop", "utils.process_results", MU_FUNCTION_RESULTS},
        {"humaneval", "utils.build_predictions", MU_FUNCTION_FILTER},
        {"humaneval", "utils.build_predictions_instruct", MU_FUNCTION_FILTER},
        {"humaneval", "utils.pass_at_k", MU_FUNCTION_METRIC},
        {"mbpp", "utils.build_predictions", MU_FUNCTION_FILTER},
        {"mbpp", "utils.pass_at_1", MU_FUNCTION_METRIC},
        {"mbpp", "utils.list_fewshot_samples", MU_FUNCTION_SAMPLES},
        {"ifeval", "utils.process_results", MU_FUNCTION_RESULTS},
        {"ifeval", "utils.agg_inst_level_acc", MU_FUNCTION_AGGREGATE},
        {"bbh", "utils.MapRegexFilter", MU_FUNCTION_FILTER_CLASS},
        {"bbh", "utils.NumberParseRegexFilter", MU_FUNCTION_FILTER_CLASS},
        {"bbh", "utils.WordSortFilter", MU_FUNCTION_FILTER_CLASS},
        {"bbh", "utils.MultiChoiceRegexFilter", MU_FUNCTION_FILTER_CLASS},
    };
    for (size_t i = 0; i < MU_COUNT(row); i++)
        (void)find(row[i].folder, row[i].name, row[i].kind);
}

XT_TEST(names_are_looked_up_by_folder)
{
    XT_CHECK(!mu_function_find("drop", "utils.pass_at_k", MU_FUNCTION_METRIC));
    XT_CHECK(!mu_function_find(NULL, "utils.process_docs", MU_FUNCTION_DOCS));
    XT_CHECK(!mu_function_find("hellaswag", "utils.process_docs", MU_FUNCTION_FIELD));
    const struct mu_function *f = mu_function_find(NULL, "muster.hellaswag.process_docs", MU_FUNCTION_DOCS);
    XT_CHECK(f && strcmp(f->folder, "hellaswag") == 0);
    f = mu_function_find("anywhere", "muster.winogrande.doc_to_choice", MU_FUNCTION_FIELD);
    XT_CHECK(f && strcmp(f->folder, "winogrande") == 0);
    XT_CHECK(!mu_function_find(NULL, "muster.hella.process_docs", MU_FUNCTION_DOCS));
    XT_CHECK(!mu_function_find(NULL, "muster.hellaswag", MU_FUNCTION_DOCS));
}

static json_t *parse(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    XT_OK(mu_json_parse(&v, mu_str(text), "a test", &err));
    return v;
}

static void refuse_field(const char *folder, const char *name, const char *doc, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *d = parse(doc), *out = NULL;
    int rc = find(folder, name, MU_FUNCTION_FIELD)->field(d, &out, &err);
    json_decref(d);
    json_decref(out);
    XT_FAILS(rc, MU_EINVAL, part);
}

static void refuse_results(const char *folder, const char *name, const char *doc, const char *given, int code,
                           const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *d = parse(doc), *g = parse(given), *out = NULL;
    int rc = find(folder, name, MU_FUNCTION_RESULTS)->results(d, g, &out, &err);
    json_decref(d);
    json_decref(g);
    json_decref(out);
    XT_FAILS(rc, code, part);
}

XT_TEST(documents_of_another_shape_are_refused)
{
    refuse_field("winogrande", "preprocess_winogrande.doc_to_text", "{\"answer\": \"3\"}", "neither 1 nor 2");
    refuse_field("winogrande", "preprocess_winogrande.doc_to_target", "{\"sentence\": \"none\"}", "no gap");
    refuse_field("winogrande", "preprocess_winogrande.doc_to_choice", "{\"sentence\": \"a _ b\"}", "option1");
    refuse_field("mmlu_pro", "utils.doc_to_text", "{\"question\": 3}", "question");
    refuse_field("wikitext", "preprocess_wikitext.wikitext_detokenizer", "[]", "page");
    refuse_results("wikitext", "preprocess_wikitext.process_results", "{\"page\": \"x\"}", "[]", MU_EINVAL, "one log");
    refuse_results("truthfulqa", "utils.process_results_mc2", "{\"mc2_targets\": {\"labels\": [1]}}", "[]", MU_EINVAL,
                   "1 labels");
    refuse_results("drop", "utils.process_results", "{\"answers\": [[\"x\"]]}", "[\"a\", \"b\"]", MU_EINVAL, "not 2");
    refuse_results("ifeval", "utils.process_results", "{\"instruction_id_list\": [\"odd:one\"], \"kwargs\": [{}]}",
                   "[\"x\"]", MU_EINVAL, "odd:one");
    refuse_results("ifeval", "utils.process_results",
                   "{\"instruction_id_list\": [\"keywords:frequency\"], \"kwargs\": [{\"keyword\": \"x\"}]}", "[\"x\"]",
                   MU_EINVAL, "frequency");

    struct mu_err err = MU_ERR_INIT;
    json_t *docs = parse("[{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [], \"label\": "
                         "\"\"}]"),
           *out = NULL;
    int rc = find("hellaswag", "utils.process_docs", MU_FUNCTION_DOCS)->docs(docs, &out, &err);
    json_decref(docs);
    XT_FAILS(rc, MU_EINVAL, "while processing document 0");
}

XT_TEST(what_rests_on_models_of_others_is_refused_by_name)
{
    static const char *const ids[] = {"length_constraints:number_sentences", "change_case:capital_word_frequency",
                                      "language:response_language", "change_case:english_capital",
                                      "change_case:english_lowercase"};
    const struct mu_function *f = find("ifeval", "utils.process_results", MU_FUNCTION_RESULTS);
    for (size_t i = 0; i < MU_COUNT(ids); i++) {
        struct mu_err err = MU_ERR_INIT;
        char doc[256];
        (void)snprintf(doc, sizeof doc, "{\"instruction_id_list\": [\"%s\"], \"kwargs\": [{}]}", ids[i]);
        refuse_results("ifeval", "utils.process_results", doc, "[\"TEXT\"]", MU_EUNSUPPORTED, ids[i]);
        json_t *d = parse(doc);
        int rc = f->check(d, &err);
        json_decref(d);
        XT_FAILS(rc, MU_EUNSUPPORTED, "--samples");
    }
}

XT_TEST(mbpp_shots_come_from_its_own_prompt_split)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_function *f = find("mbpp", "utils.list_fewshot_samples", MU_FUNCTION_SAMPLES);
    json_t *out = NULL;
    XT_FAILS(f->samples(&out, &err), MU_EUNSUPPORTED, "fewshot_config.samples");
    XT_STREQ(f->samples_split, "prompt");
    json_t *docs = parse("[{\"task_id\": 1}, {\"task_id\": 2, \"text\": \"t\"}, {\"task_id\": 3}, {\"task_id\": 4}, "
                         "{\"task_id\": 5}]"),
           *want = parse("[{\"task_id\": 2, \"text\": \"t\", \"is_fewshot\": true}, {\"task_id\": 3, \"is_fewshot\": "
                         "true}, {\"task_id\": 4, \"is_fewshot\": true}]"),
           *few = parse("[{\"task_id\": 2}]"), *none = NULL;
    int rc = f->samples_from(docs, &out, &err), bad = f->samples_from(few, &none, &err);
    bool same = is_same(out, want);
    json_decref(docs);
    json_decref(want);
    json_decref(few);
    json_decref(out);
    XT_EQ(rc, MU_OK);
    XT_CHECK(same);
    XT_FAILS(bad, MU_EINVAL, "holds 1");
}

static struct mu_sandbox *open_sandbox(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_sandbox *s = NULL;
    int rc = mu_sandbox_open(&s, &(struct mu_sandbox_opts){.timeout_ns = (int64_t)20000000000}, &err);
    if (rc == MU_ENOENT || rc == MU_EUNSUPPORTED)
        xt_skip("%s", err.text);
    XT_CHECKF(rc == MU_OK, "%s", err.text);
    return s;
}

static void measure(const char *folder, const char *name, const char *tests, const char *candidates, const char *kwargs,
                    const char *want)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_sandbox *s = open_sandbox();
    json_t *t = parse(tests), *c = parse(candidates), *k = parse(kwargs), *w = parse(want), *out = NULL;
    int rc = find(folder, name, MU_FUNCTION_METRIC)->metric(t, c, k, s, &out, &err);
    bool same = rc == MU_OK && is_same(out, w);
    char *got = out ? text_of(out) : NULL;
    if (!same)
        xt_note("%s: %s", name, got ? got : err.text);
    mu_free(got);
    mu_sandbox_close(s);
    json_decref(t);
    json_decref(c);
    json_decref(k);
    json_decref(w);
    json_decref(out);
    XT_CHECK(same);
}

/* What passes and what does not is what code_eval says of the same programs: leaving early, however politely, fails. */
XT_TEST(pass_at_k_counts_programs_that_run_to_their_end)
{
    measure(
        "humaneval", "utils.pass_at_k", "[\"assert twice(4) == 8\"]",
        "[[\"def twice(x): return 2 * x\", \"def twice(x): return x\", \"def twice(x):\\n  import os; os._exit(0)\","
        "\"import sys; sys.exit(0)\", \"def twice(x): return x + x\\nprint('noise' * 100)\"]]",
        "{\"k\": [1, 2, 5, 6]}", "{\"pass@1\": 0.4, \"pass@2\": 0.7, \"pass@5\": 1.0}");
    measure("humaneval", "utils.pass_at_k", "[\"assert True\", \"assert f() == '\\\\u00e9\\\"\\\\\\\\'\"]",
            "[[\"\"], [\"def f(): return 'é\\\"\\\\\\\\'\"]]", "{\"k\": 1}", "{\"pass@1\": 1.0}");
    measure("humaneval", "utils.pass_at_k", "[\"pass\"]",
            "[[\"import os; os.getcwd()\", \"exit()\", \"input()\", \"if __name__ == '__main__': 1 / 0\"]]",
            "{\"k\": [1]}", "{\"pass@1\": 0.25}");
    measure("mbpp", "utils.pass_at_1", "[\"assert f(1) == 2\\nassert f(2) == 3\"]",
            "[\"def f(x):\\r\\n  return x + 1\"]", "{}", "1.0");
    measure("mbpp", "utils.pass_at_1", "[\"assert f(1) == 2\"]", "[[\"def f(x): return x\"]]", "{}", "0.0");
}

XT_TEST(programs_run_only_when_allowed)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *t = parse("[\"pass\"]"), *c = parse("[[\"pass\"]]"), *k = parse("{\"k\": [1]}"), *out = NULL;
    int rc = find("humaneval", "utils.pass_at_k", MU_FUNCTION_METRIC)->metric(t, c, k, NULL, &out, &err);
    json_decref(t);
    json_decref(c);
    json_decref(k);
    XT_FAILS(rc, MU_EUSAGE, "--confirm-run-unsafe-code");
}

static int call_again(void *arg, struct mu_err *e)
{
    const json_t *const *two = arg; /* the golden file, a case */
    const json_t *c = two[1], *each = json_object_get(c, "each");
    json_t *out = NULL;
    if (json_is_string(each))
        each = json_object_get(two[0], json_string_value(each));
    int rc = call(find(json_string_value(json_object_get(c, "folder")), json_string_value(json_object_get(c, "name")),
                       kind_of(json_string_value(json_object_get(c, "kind")))),
                  c, json_array_get(each, json_array_size(each) > 2 ? 2 : 0), &out, e);
    json_decref(out);
    return rc;
}

/* jansson's allocations are tried twice (base/json.c), so that a call may well succeed with its nth one failing, and
 * xt_each_alloc_fails() would end there: here every one has its turn. */
static void check_allocations(const json_t **two)
{
    struct mu_err err = MU_ERR_INIT;
    uint64_t allocs = mu_mem_allocs();
    XT_OK(call_again(two, &err));
    allocs = mu_mem_allocs() - allocs;
    size_t before = mu_mem_bytes_used();
    for (uint64_t n = 1; n <= allocs; n++) {
        mu_mem_fail_at(n);
        int rc = call_again(two, &err);
        mu_mem_fail_at(0);
        XT_CHECKF(rc == MU_OK || rc == MU_ENOMEM, "allocation %d failing gives %s", (int)n, err.text);
        XT_EQ(mu_mem_bytes_used(), before);
    }
}

XT_TEST(every_failing_allocation_is_told)
{
    json_t *golden = load_golden(), *cases = json_object_get(golden, "cases");
    const char *last = "";
    int of_this = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *two[] = {golden, json_array_get(cases, i)};
        const char *name = json_string_value(json_object_get(two[1], "name"));
        of_this = strcmp(name, last) == 0 ? of_this + 1 : 0;
        last = name;
        /* The first case of a function; of IFEval's one function every second instruction. */
        if (of_this == 0 ||
            (strcmp(json_string_value(json_object_get(two[1], "folder")), "ifeval") == 0 && of_this % 2))
            check_allocations(two);
    }
    json_decref(golden);
}

XT_MAIN()
