/* A bundle that tools/export_bundle.py wrote against what the harness was asked (expected.json), and lines that break
 * the format. */
#include "expected.h"

#include "base/check.h"
#include "base/mem.h"
#include "eval/bundle.h"
#include "eval/docs/used.h"

static const json_t *find_case(const json_t *cases, const char *task)
{
    const json_t *want;
    size_t i;
    json_array_foreach(cases, i, want)
    {
        const json_t *options = json_object_get(want, "options");
        if (json_object_size(options) == 1 && strcmp(text_of(options, "task", ""), task) == 0)
            return want;
    }
    xt_fail(__FILE__, __LINE__, "no case of %s", task);
}

XT_TEST(an_exported_bundle_asks_what_the_harness_asked)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_task_set *set = NULL;
    struct mu_work **works = NULL;
    json_t *cases = NULL;
    XT_OK(mu_json_load(&cases, FOLDER "expected.json", &err));
    XT_OK(mu_bundle_load(FOLDER "own.bundle", &set, &works, &err));
    XT_EQ(set->n_tasks, 6);
    for (int i = 0; i < set->n_tasks; i++) {
        XT_CHECK(works[i]->task == set->task[i]);
        same_work(find_case(cases, set->task[i]->name), works[i], i);
    }
    XT_STREQ(set->task[0]->name, "mc_plain");
    XT_STREQ(set->task[0]->metric[0].name, "acc");
    XT_EQ(json_array_size(works[0]->doc[0].choices), 3);
    XT_CHECK(works[2]->is_multiple_input && json_is_integer(works[2]->doc[0].text));
    XT_CHECK(works[3]->has_multiple_targets);
    XT_EQ(json_integer_value(set->task[3]->version), 2);
    XT_STREQ(json_string_value(json_object_get(set->task[0]->config, "doc_to_text")),
             "Question: {{question.strip()}}\nAnswer:");
    mu_works_free(works, set->n_tasks);
    mu_task_set_free(set);
    json_decref(cases);
}

XT_TEST(groups_keep_members_and_metrics)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_task_set *set = NULL;
    struct mu_work **works = NULL;
    XT_OK(mu_bundle_load(FOLDER "own.bundle", &set, &works, &err));
    XT_EQ(set->n_groups, 2);
    const struct mu_group *all = &set->group[0], *choice = &set->group[1];
    XT_STREQ(all->alias, "all of them");
    XT_EQ(all->n_children, 5);
    XT_EQ(all->child[0], -2);
    XT_EQ(all->n_metrics, 0);
    XT_EQ(choice->child[1], 1);
    XT_STREQ(choice->metric[0].metric, "acc");
    XT_CHECK(!choice->metric[0].weight_by_size && choice->metric[0].n_filters == 0);
    mu_works_free(works, set->n_tasks);
    mu_task_set_free(set);
}

/* ---- lines by hand ---- */

#define HEADER "{\"format\": \"muster-bundle\", \"version\": 1}\n"
#define TASK_(name, folder, file, more)                                                                                \
    "{\"kind\": \"task\", \"name\": \"" name "\", \"folder\": \"" folder                                               \
    "\", \"num_fewshot\": 0, \"n_original\": 9, \"multiple_inputs\": " more                                            \
    ", \"multiple_targets\": false, \"config\": {\"task\": \"" name "\"}, \"task_file\": \"task: " name                \
    "\\ndataset_path: x\\ntest_split: test\\n" file "\"}\n"
#define CHOICE(name) TASK_(name, "own", "output_type: multiple_choice\\ndoc_to_choice: []\\n", "false")
#define DOC(task, more)                                                                                                \
    "{\"kind\": \"doc\", \"task\": \"" task                                                                            \
    "\", \"doc_id\": 3, \"doc\": {\"q\": 1}, \"target\": 0, \"choices\": [\"a\", \"b\"], \"requests\": [" more "]}\n"
#define ASKED "{\"context\": \"c\", \"continuation\": \" a\"}, {\"continuation\": \" b\"}"
#define GROUP(name, children)                                                                                          \
    "{\"kind\": \"group\", \"name\": \"" name "\", \"config\": {}, \"children\": [" children "], \"metrics\": []}\n"

static const char *write_lines(const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/a.bundle", xt_tmpdir());
    FILE *f = fopen(path, "w");
    XT_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    return path;
}

/* The same with the last line that a bundle has. */
static const char *write_bundle(const char *text)
{
    const char *path = write_lines(text);
    int n = 1;
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    FILE *f = fopen(path, "a");
    XT_CHECK(f && fprintf(f, "{\"kind\": \"end\", \"lines\": %d}\n", n) > 0 && fclose(f) == 0);
    return path;
}

static struct mu_work **load(const char *text, struct mu_task_set **set)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_work **works = NULL;
    XT_OK(mu_bundle_load(write_bundle(text), set, &works, &err));
    return works;
}

XT_TEST(a_context_left_out_is_the_one_before)
{
    struct mu_task_set *set = NULL;
    struct mu_work **works = load(HEADER CHOICE("t") DOC("t", ASKED), &set);
    const struct mu_ask_request *r = works[0]->request;
    XT_EQ(works[0]->n_requests, 2);
    XT_EQ(works[0]->doc[0].id, 3);
    XT_CHECK(r[0].context == r[1].context && r[0].context->refs == 2);
    XT_STREQ(r[1].continuation->p, " b");
    XT_EQ(r[1].index, 1);
    mu_works_free(works, 1);
    mu_task_set_free(set);
}

#define SCORED(folder, function)                                                                                       \
    HEADER TASK_(                                                                                                      \
        "t", folder,                                                                                                   \
        "output_type: loglikelihood_rolling\\nprocess_results: !function " function                                    \
        "\\nmetric_list: [{metric: word_perplexity, aggregation: weighted_perplexity}]\\n",                            \
        "false") "{\"kind\": \"doc\", \"task\": \"t\", \"doc_id\": 0, \"doc\": {\"page\": \"x\"}, \"target\": \"x\", " \
                 "\"requests\": [{\"context\": \"x\"}]}\n"

XT_TEST(scoring_in_python_is_built_in_or_the_task_only_predicts)
{
    struct mu_task_set *set = NULL;
    struct mu_work **works = load(SCORED("wikitext", "preprocess_wikitext.process_results"), &set);
    XT_CHECK(set->task[0]->processor && set->task[0]->processor->results);
    XT_STREQ(set->task[0]->metric[0].name, "word_perplexity");
    mu_works_free(works, 1);
    mu_task_set_free(set);

    works = load(SCORED("own", "utils.nobody_knows"), &set);
    XT_STREQ(set->task[0]->metric[0].name, "bypass");
    XT_CHECK(strstr(text_of(set->task[0]->config, "predict_only", ""), "utils.nobody_knows"));
    XT_CHECK(!set->task[0]->processor || !set->task[0]->processor->results);
    mu_works_free(works, 1);
    mu_task_set_free(set);
}

XT_TEST(lines_that_break_the_format_are_named)
{
    static const struct {
        const char *text;
        int code;
        const char *part;
    } bad[] = {
        {"{}\n", MU_EFORMAT, "line 1: the first line must have \"format\""},
        {"{\"format\": \"muster-bundle\", \"version\": 2}\n", MU_EUNSUPPORTED, "format version 2, this muster reads 1"},
        {HEADER, MU_EFORMAT, "has no task"},
        {HEADER "[]\n", MU_EFORMAT, "line 2: a line must be an object"},
        {HEADER "{\"kind\": \"doc\"\n", MU_EFORMAT, "line 2: "},
        {HEADER "{\"kind\": \"model\"}\n", MU_EFORMAT, "there is no kind \"model\""},
        {HEADER DOC("t", ASKED), MU_EFORMAT, "\"task\" must name a task whose line stands above, not t"},
        {HEADER CHOICE("t"), MU_EFORMAT, "task t has no documents"},
        {HEADER CHOICE("t") CHOICE("t"), MU_EFORMAT, "line 3: the name t was there before"},
        {HEADER CHOICE("t") DOC("t", ASKED) DOC("t", ASKED), MU_EFORMAT, "document 3: doc_id must increase"},
        {HEADER CHOICE("t") DOC("t", "{\"continuation\": \"a\"}, {}"), MU_EFORMAT, "needs a \"context\""},
        {HEADER CHOICE("t") DOC("t", "{\"context\": \"c\"}, {}"), MU_EFORMAT, "\"continuation\" must be a text"},
        {HEADER CHOICE("t") DOC("t", "{\"context\": \"c\", \"continuation\": \"\"}, {}"), MU_EFORMAT, "is not empty"},
        {HEADER CHOICE("t") DOC("t", "{\"context\": \"c\", \"continuation\": \"a\"}"), MU_EFORMAT,
         "it has 1 requests and 2 choices"},
        {HEADER CHOICE("t") DOC("t", ""), MU_EFORMAT, "\"requests\" must be a list"},
        {HEADER TASK_("t", "own", "include: /etc/passwd\\n", "false"), MU_EFORMAT, "without include"},
        {HEADER TASK_("t", "own", "output_type: riddle\\n", "false"), MU_EFORMAT, "no output type \"riddle\""},
        {HEADER TASK_("t", "own", "", "0"), MU_EFORMAT, "multiple_inputs"},
        {HEADER TASK_("t", "own", "output_type: multiple_choice\\ndoc_to_choice: []\\n", "true") DOC("t", ASKED),
         MU_EFORMAT, "needs \"text\""},
        {HEADER CHOICE("t") DOC("t", ASKED) GROUP("g", "\"u\""), MU_EFORMAT,
         "group g has a member \"u\" that is no task or group"},
        {HEADER CHOICE("t") DOC("t", ASKED) GROUP("g", "\"g\""), MU_EFORMAT, "must stand below"},
        {HEADER CHOICE("t") DOC("t", ASKED) GROUP("g", "\"h\"") GROUP("h", "\"g\""), MU_EFORMAT, "must stand below"},
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_task_set *set = NULL;
        struct mu_work **works = NULL;
        XT_FAILS(mu_bundle_load(write_bundle(bad[i].text), &set, &works, &err), bad[i].code, bad[i].part);
        XT_CHECK(!set && !works);
    }
}

XT_TEST(a_bundle_that_was_cut_is_refused_wherever_it_was)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_task_set *set = NULL;
    struct mu_work **works = NULL;
    static const char whole[] = HEADER CHOICE("t") DOC("t", ASKED);
    char text[sizeof whole];
    const char *path = write_lines("");
    XT_FAILS(mu_bundle_load(path, &set, &works, &err), MU_EFORMAT, "is empty");
    for (size_t n = 1; n < sizeof whole; n++) {
        snprintf(text, sizeof text, "%.*s", (int)n, whole);
        XT_FAILS(mu_bundle_load(write_lines(text), &set, &works, &err), MU_EFORMAT, "a.bundle");
        XT_CHECK(!set && !works);
    }
    XT_CHECK(strstr(err.text, "breaks off after line 3"));
#define END(n) "{\"kind\": \"end\", \"lines\": " n "}\n"
    path = write_lines(HEADER CHOICE("t") DOC("t", ASKED) END("5"));
    XT_FAILS(mu_bundle_load(path, &set, &works, &err), MU_EFORMAT, "line 4: the bundle had 5 lines");
    path = write_lines(HEADER CHOICE("t") DOC("t", ASKED) END("4") HEADER);
    XT_FAILS(mu_bundle_load(path, &set, &works, &err), MU_EFORMAT, "line 5: the bundle ended");
}

static int load_once(void *arg, struct mu_err *e)
{
    struct mu_task_set *set = NULL;
    struct mu_work **works = NULL;
    int rc = mu_bundle_load(arg, &set, &works, e);
    if (rc == MU_OK) {
        mu_works_free(works, set->n_tasks);
        mu_task_set_free(set);
    }
    return rc;
}

XT_TEST(every_failed_allocation_is_told)
{
    const char *path = write_bundle(HEADER CHOICE("t") DOC("t", ASKED) GROUP("g", "\"t\""));
    xt_each_alloc_fails(load_once, (char *)(uintptr_t)path);
}

XT_MAIN()
