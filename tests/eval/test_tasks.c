/* Task files: index, include, selection, groups, defaults, faults. The rules are those of lm-evaluation-harness 0.4.13.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/dataset.h"
#include "eval/docs/used.h"
#include "eval/filter/filter.h"
#include "eval/metric/metric.h"
#include "eval/stats/aggregation.h"
#include "eval/task_int.h"
#include "xt.h"

static struct mu_err err;

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
    FILE *f = fopen(path, "wb");
    XT_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

#define BASE                                                                                                           \
    "dataset_path: json\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: \"Q: {{q}}\"\n"                  \
    "doc_to_choice: [a, b]\ndoc_to_target: gold\n"

/* A folder with a base, two tasks, a nested group and a tag. */
static const char *zoo(void)
{
    const char *dir = xt_tmpdir();
    write_file(dir, "_base_yaml", BASE "tag: [pets, all]\nmetadata:\n  version: 2.0\n");
    write_file(dir, "b/cat.yaml", "include: ../_base_yaml\ntask: cat\ntask_alias: Cat\n");
    write_file(dir, "a/dog.yaml", "\"include\": ../_base_yaml\n\"task\": \"dog\" # a comment\nnum_fewshot: 0\n");
    write_file(dir, "a/eel.yaml", "include:\n  - ../_base_yaml\ntask: eel\ntag: all\n");
    write_file(dir, "g.yaml",
               "group: beasts\ntask:\n  - group: inner\n    task: [dog]\n    num_fewshot: 3\n  - cat\n"
               "  - task: own\n    dataset_path: json\n    test_split: test\n"
               "repeats: 2\n"
               "aggregate_metric_list:\n  metric: acc\n  filter_list: none\nmetadata:\n  version: 1\n");
    write_file(dir, "broken.yaml", "task: [\n");
    return dir;
}

static struct mu_task_index *open_zoo(const char *dir)
{
    struct mu_task_index *ix = NULL;
    XT_OK(mu_task_index_open(&ix, &dir, 1, &err));
    return ix;
}

static struct mu_task_set *choose(struct mu_task_index *ix, const char *name)
{
    struct mu_task_set *s = NULL;
    XT_OK(mu_task_index_select(ix, &name, 1, &s, &err));
    return s;
}

static void names_are(const struct mu_task_set *s, const char *want)
{
    char all[4096] = "";
    for (int i = 0; i < s->n_tasks; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? " " : "", s->task[i]->name);
    XT_STREQ(all, want);
}

/* ---- index and selection ---- */

XT_TEST(index_knows_tasks_groups_and_tags)
{
    struct mu_task_index *ix = open_zoo(zoo());
    static const char *const names[] = {"all", "beasts", "cat", "dog", "eel", "pets"};
    static const int kinds[] = {MU_ENTRY_TAG,  MU_ENTRY_GROUP, MU_ENTRY_TASK,
                                MU_ENTRY_TASK, MU_ENTRY_TASK,  MU_ENTRY_TAG};
    XT_EQ(mu_task_index_count(ix), 6);
    for (int i = 0; i < 6; i++) {
        XT_STREQ(mu_task_index_at(ix, i).name, names[i]);
        XT_EQ(mu_task_index_at(ix, i).kind, kinds[i]);
    }
    XT_STREQ(mu_task_index_at(ix, 2).output_type, "multiple_choice");
    XT_CHECK(strstr(mu_task_index_at(ix, 2).path, "/b/cat.yaml"));
    mu_task_index_close(ix);
}

XT_TEST(scan_takes_names_as_yaml_has_them)
{
    static const struct {
        const char *text, *task;
    } cases[] = {
        {"task: a-b.c/d\n", "a-b.c/d"},
        {"task: 'it''s'\n", "it's"},
        {"task: \"a\\tb\"\n", "a\tb"},
        {"task: two words # not this\n", "two words"},
        {"description: \"x\ntask: no\"\ntask: yes_\n", "yes_"},
        {"description: |\n  task: no\ntask: deep\n", "deep"},
        {"{task: flow}\n", "flow"},
        {"%YAML 1.1\n---\ntask: first\n", "first"},
        {"task:   # behind\n  late\n", "late"},
        {"x: &n name\ntask: *n\n", "name"},
        {"a: &m {task: merged}\n<<: *m\n", "merged"},
        {"task: one\ntask: two\n", "two"},
        {"task : spaced\r\n", "spaced"},
    };
    const char *dir = xt_tmpdir();
    struct mu_scan_cache *c = NULL;
    char path[1024];
    XT_OK(mu_task_scan_open(&c, &err));
    snprintf(path, sizeof path, "%s/x.yaml", dir);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        json_t *scan = NULL;
        write_file(dir, "x.yaml", cases[i].text);
        XT_OK(mu_task_scan(c, path, &scan, &err));
        XT_STREQ(json_string_value(json_object_get(scan, "task")), cases[i].task);
        json_decref(scan);
    }
    mu_task_scan_close(c);
}

XT_TEST(later_folders_win)
{
    const char *dirs[2] = {zoo(), NULL};
    char more[1024];
    struct mu_task_index *ix = NULL;
    snprintf(more, sizeof more, "%s/b", dirs[0]);
    dirs[1] = more;
    write_file(more, "cat2.yaml", BASE "task: dog\ntask_alias: other\n");
    XT_OK(mu_task_index_open(&ix, dirs, 2, &err));
    struct mu_task_set *s = choose(ix, "dog");
    XT_STREQ(s->task[0]->alias, "other");
    mu_task_set_free(s);
    mu_task_index_close(ix);
    dirs[0] = "/nowhere/at/all";
    XT_FAILS(mu_task_index_open(&ix, dirs, 1, &err), MU_ENOENT, "/nowhere/at/all");
}

XT_TEST(names_tags_globs_and_paths)
{
    const char *dir = zoo();
    struct mu_task_index *ix = open_zoo(dir);
    struct mu_task_set *s = choose(ix, "all");
    names_are(s, "cat dog eel");
    XT_EQ(s->n_groups, 0);
    mu_task_set_free(s);
    s = choose(ix, "?[ao][tg]*");
    names_are(s, "cat dog");
    mu_task_set_free(s);
    s = choose(ix, "[be]*");
    names_are(s, "dog cat beasts::own eel");
    mu_task_set_free(s);
    char path[1024];
    snprintf(path, sizeof path, "%s/b/cat.yaml", dir);
    s = choose(ix, path);
    names_are(s, "cat");
    mu_task_set_free(s);
    const char *two[] = {"eel", "pets"};
    XT_OK(mu_task_index_select(ix, two, 2, &s, &err));
    names_are(s, "eel cat dog");
    mu_task_set_free(s);
    const char *bad = "beests";
    XT_FAILS(mu_task_index_select(ix, &bad, 1, &s, &err), MU_ENOENT, "did you mean \"beasts\"");
    bad = "zz*";
    XT_FAILS(mu_task_index_select(ix, &bad, 1, &s, &err), MU_ENOENT, "matches \"zz*\"");
    mu_task_index_close(ix);
}

XT_TEST(groups_nest_and_override)
{
    struct mu_task_index *ix = open_zoo(zoo());
    struct mu_task_set *s = choose(ix, "beasts");
    names_are(s, "dog cat beasts::own");
    XT_EQ(s->n_groups, 2);
    const struct mu_group *g = &s->group[0];
    XT_STREQ(g->name, "beasts");
    XT_STREQ(json_string_value(g->version), "1");
    XT_EQ(g->n_children, 3);
    XT_EQ(g->child[0], -2);
    XT_EQ(g->child[1], 1);
    XT_EQ(g->child[2], 2);
    XT_EQ(g->n_metrics, 1);
    XT_STREQ(g->metric[0].metric, "acc");
    XT_EQ(g->metric[0].n_filters, 1);
    XT_STREQ(g->metric[0].filter[0], "none");
    XT_CHECK(g->metric[0].weight_by_size);
    XT_STREQ(s->group[1].name, "beasts::inner");
    XT_STREQ(json_string_value(s->group[1].version), "N/A");
    XT_EQ(s->group[1].n_metrics, 0);
    XT_EQ(s->task[0]->num_fewshot, 3);
    XT_EQ(s->task[0]->repeats, 2);
    XT_EQ(s->task[1]->num_fewshot, -1);
    XT_EQ(s->task[1]->repeats, 2);
    const char *twice[] = {"dog", "beasts"};
    mu_task_set_free(s);
    XT_FAILS(mu_task_index_select(ix, twice, 2, &s, &err), MU_EUSAGE, "dog is asked for twice");
    mu_task_index_close(ix);
}

XT_TEST(a_group_in_itself_is_refused)
{
    const char *dir = xt_tmpdir(), *name = "a";
    struct mu_task_set *s = NULL;
    write_file(dir, "a.yaml", "group: a\ntask: [b]\n");
    write_file(dir, "b.yaml", "group: b\ntask: [a]\n");
    write_file(dir, "c.yaml", "include: c.yaml\ntask: c\n");
    struct mu_task_index *ix = open_zoo(dir);
    XT_FAILS(mu_task_index_select(ix, &name, 1, &s, &err), MU_EFORMAT, "contains itself");
    mu_task_index_close(ix);
}

static int n_warnings;
static char warning[512];

static void on_log(void *arg, enum mu_log_level level, const char *line)
{
    (void)arg;
    if (level == MU_LOG_WARN) {
        n_warnings++;
        snprintf(warning, sizeof warning, "%s", line);
    }
}

XT_TEST(suites_go_on_without_members_that_are_not_there)
{
    const char *dir = zoo(), *name = "none_left";
    struct mu_task_set *s = NULL;
    write_file(dir, "suites/s.yaml", "suite: animals\ntask: [cat, unicorn, griffin, dog]\n");
    write_file(dir, "suites/t.yaml", "suite: none_left\ntask: [unicorn]\n");
    struct mu_task_index *ix = open_zoo(dir);
    n_warnings = 0;
    mu_log_sink_set(on_log, NULL);
    s = choose(ix, "animals");
    mu_log_sink_set(NULL, NULL);
    names_are(s, "cat dog");
    XT_EQ(n_warnings, 1);
    XT_CHECK(strstr(warning, "unicorn, griffin"));
    XT_EQ(s->n_groups, 1);
    XT_EQ(s->group[0].n_metrics, 0);
    mu_task_set_free(s);
    XT_FAILS(mu_task_index_select(ix, &name, 1, &s, &err), MU_ENOENT, "none of its members (unicorn)");
    mu_task_index_close(ix);
}

/* ---- one task ---- */

static struct mu_task_set *one(const char *text, struct mu_task_index **ix)
{
    const char *dir = xt_tmpdir();
    write_file(dir, "hellaswag/t.yaml", text);
    *ix = open_zoo(dir);
    return choose(*ix, "t");
}

static void config_is(const struct mu_task *t, const char *key, const char *want)
{
    struct mu_buf text = MU_BUF_INIT("a value", 1 << 20);
    const json_t *v = json_object_get(t->config, key);
    XT_CHECKF(v, "no %s", key);
    XT_OK(mu_json_dump(&text, v, false, &err));
    XT_STREQ(text.p, want);
    mu_buf_fini(&text);
}

XT_TEST(defaults_are_the_harness_s)
{
    struct mu_task_index *ix;
    struct mu_task_set *s = one("task: t\ndataset_path: json\nvalidation_split: v\ndoc_to_text: q\n"
                                "fewshot_delimiter: \"##\"\nfewshot_split: dev\n",
                                &ix);
    const struct mu_task *t = s->task[0];
    XT_EQ(t->output_type, MU_OUTPUT_GENERATE);
    config_is(t, "generation_kwargs",
              "{\"temperature\": 0.0, \"do_sample\": false, \"max_gen_toks\": 256, \"until\": [\"##\"]}");
    config_is(t, "fewshot_config",
              "{\"sampler\": \"default\", \"split\": \"dev\", \"process_docs\": null, \"fewshot_indices\": null, "
              "\"samples\": null, \"doc_to_text\": \"q\", \"doc_to_choice\": null, \"doc_to_target\": null, "
              "\"gen_prefix\": null, \"fewshot_delimiter\": \"##\", \"target_delimiter\": \" \"}");
    config_is(t, "unsafe_code", "false");
    config_is(t, "repeats", "1");
    XT_CHECK(!json_object_get(t->config, "test_split"));
    XT_STREQ(json_string_value(t->version), "Yaml");
    XT_STREQ(t->target_delimiter, " ");
    XT_STREQ(t->fewshot.fewshot_delimiter, "##");
    XT_STREQ(t->fewshot.split, "dev");
    XT_EQ(t->n_metrics, 1);
    XT_STREQ(t->metric[0].name, "exact_match");
    XT_STREQ(t->metric[0].aggregation->name, "mean");
    XT_EQ(t->n_filters, 1);
    XT_STREQ(t->filter[0].name, "none");
    XT_STREQ(t->filter[0].step[0].filter->name, "take_first");
    XT_CHECK(t->processor == NULL);
    mu_task_set_free(s);
    mu_task_index_close(ix);
}

XT_TEST(metrics_filters_and_shots_as_written)
{
    struct mu_task_index *ix;
    struct mu_task_set *s =
        one("task: t\ndataset_path: x/y\ntest_split: test\nmetadata: {version: 3}\n"
            "generation_kwargs: {temperature: 1, until: [\"\\n\"]}\n"
            "fewshot_config:\n  sampler: first_n\n  doc_to_text: \"S {{q}}\"\n  samples:\n    - {q: 1}\n"
            "doc_to_text: \"Q {{q}}\"\ndoc_to_target: \"{{a}}\"\n"
            "metric_list:\n  - metric: exact_match\n    ignore_case: true\n  - metric: bleu\n    aggregation: bleu\n"
            "    higher_is_better: true\n"
            "filter_list:\n  - name: strict\n    filter:\n      - function: regex\n        regex_pattern: \"(a)\"\n"
            "      - function: take_first\n",
            &ix);
    const struct mu_task *t = s->task[0];
    XT_EQ(json_integer_value(t->version), 3);
    config_is(t, "generation_kwargs", "{\"temperature\": 1.0, \"until\": [\"\\n\"]}");
    XT_EQ(t->n_metrics, 2);
    XT_CHECK(json_is_true(json_object_get(t->metric[0].kwargs, "ignore_case")));
    XT_EQ(t->metric[0].higher_is_better, 1);
    XT_EQ(t->filter[0].n_steps, 2);
    XT_STREQ(t->filter[0].step[0].filter->name, "regex");
    XT_STREQ(json_string_value(json_object_get(t->filter[0].step[0].kwargs, "regex_pattern")), "(a)");
    XT_EQ(t->fewshot.sampler, MU_SAMPLER_FIRST_N);
    XT_EQ((int)json_array_size(t->fewshot.samples), 1);
    XT_STREQ(t->fewshot.text.text, "S {{q}}");
    XT_CHECK(t->fewshot.target.tmpl == t->target.tmpl && t->target.tmpl);
    XT_EQ(t->text.line, 11);
    mu_task_set_free(s);
    mu_task_index_close(ix);
}

XT_TEST(built_in_functions_stand_for_python)
{
    struct mu_task_index *ix;
    struct mu_task_set *s = one(BASE "task: t\nprocess_docs: !function utils.process_docs\n", &ix);
    const struct mu_task *t = s->task[0];
    XT_CHECK(t->processor && t->processor->docs && t->processor->docs->docs);
    config_is(t, "process_docs", "\"utils.process_docs\"");
    mu_task_set_free(s);
    mu_task_index_close(ix);
}

/* Functions are known by the folder of the file alone: another family's folder of that name has other Python. */
XT_TEST(functions_of_other_folders_are_not_taken)
{
    const char *dir = xt_tmpdir(), *name = "t";
    struct mu_task_set *s = NULL;
    write_file(dir, "tasks/a/hellaswag/t.yaml", BASE "task: t\nprocess_docs: !function utils.process_docs\n");
    write_file(dir, "tasks/hellaswag/more/u.yaml", BASE "task: u\nprocess_docs: !function utils.process_docs\n");
    write_file(dir, "tasks/hellaswag/v.yaml", BASE "task: v\nprocess_docs: !function utils.process_docs\n");
    write_file(dir, "tasks/mine.yaml", BASE "task: w\nprocess_docs: !function muster.hellaswag.process_docs\n");
    write_file(dir, "tasks/bbh/cot/x.yaml",
               BASE "task: x\nfilter_list:\n  - name: n\n    filter:\n"
                    "      - function: !function utils.NumberParseRegexFilter\n        regex_pattern: \"(1)\"\n");
    struct mu_task_index *ix = open_zoo(dir);
    XT_FAILS(mu_task_index_select(ix, &name, 1, &s, &err), MU_EUNSUPPORTED, "is Python");
    name = "u";
    XT_FAILS(mu_task_index_select(ix, &name, 1, &s, &err), MU_EUNSUPPORTED, "is Python");
    mu_task_set_free(choose(ix, "v"));
    mu_task_set_free(choose(ix, "w"));
    s = choose(ix, "x");
    XT_STREQ(s->task[0]->filter[0].step[0].filter->name, "NumberParseRegexFilter");
    mu_task_set_free(s);
    mu_task_index_close(ix);
}

/* ---- faults ---- */

struct told {
    int n, line;
    char text[4096];
};

static void tell(void *arg, int line, const char *field, const char *sentence)
{
    struct told *t = arg;
    XT_CHECK(line >= t->line);
    t->line = line;
    t->n++;
    snprintf(t->text + strlen(t->text), sizeof t->text - strlen(t->text), "%d %s: %s\n", line, field, sentence);
}

static void faults_are(const char *text, const char *want)
{
    struct told t = {0};
    XT_OK(mu_task_text_check("t.yaml", mu_str(text), tell, &t, &err));
    XT_STREQ(t.text, want);
}

XT_TEST(all_faults_are_told_in_the_order_of_lines)
{
    faults_are(BASE "task: t\n", "");
    faults_are("task: t\ndoc_to_txt: x\ndataset_path: [a]\nnum_fewshot: -1\nrepeats: two\nuse_prompt: a:b\n"
               "doc_to_image: img\n",
               "1 test_split: the task names neither a test_split nor a validation_split\n"
               "2 doc_to_txt: there is no field \"doc_to_txt\"; did you mean \"doc_to_text\"?\n"
               "3 dataset_path: this must be a text\n"
               "4 num_fewshot: -1 is not in 0..1000000\n"
               "5 repeats: this must be a whole number\n"
               "6 use_prompt: prompts of promptsource are not read; write the prompt as doc_to_text, doc_to_target and "
               "doc_to_choice\n"
               "7 doc_to_image: muster evaluates text only, it gives a model no images\n");
    faults_are(BASE "task: t\nfewshot_config: {sampler: last_n, sample: []}\n",
               "8 fewshot_config.sampler: there is no sampler \"last_n\"; known are \"default\" and \"first_n\"\n"
               "8 sample: there is no field \"sample\"; did you mean \"sampler\"?\n");
    faults_are("dataset_path: json\ntest_split: t\ntask: t\noutput_type: guess\n",
               "4 output_type: there is no output type \"guess\"; known are loglikelihood, loglikelihood_rolling, "
               "multiple_choice and generate_until\n");
}

XT_TEST(faults_of_metrics_and_filters)
{
    faults_are(BASE "task: t\nmetric_list:\n  - metric: acc_nrm\n  - metric: acc\n    aggregation: meen\n"
                    "  - 7\n",
               "9 metric_list: there is no metric \"acc_nrm\" in muster; did you mean \"acc_norm\"?\n"
               "9 metric_list: metric \"acc_nrm\" needs an aggregation, such as mean\n"
               "11 metric_list: there is no aggregation \"meen\" in muster; did you mean \"mean\"?\n"
               "12 metric_list: an entry is a mapping with `metric`, a name or a !function\n");
    faults_are("dataset_path: json\ntest_split: t\ntask: t\noutput_type: generate_until\ndoc_to_text: a\n"
               "doc_to_target: b\nmetric_list:\n  - metric: f1\n    hf_evaluate: true\n",
               "9 metric_list: metric \"f1\" is taken from Hugging Face's evaluate, which is Python; muster has "
               "exact_match of those\n");
    faults_are(BASE "task: t\nfilter_list:\n  - name: x\n    filter:\n      - function: regx\n  - filter: []\n",
               "11 filter_list: there is no filter \"regx\"; did you mean \"regex\"?\n"
               "12 filter_list: an entry is a mapping with `name`, a text, and `filter`, a list of steps\n");
}

XT_TEST(python_and_templates_are_refused_with_their_line)
{
    struct told t = {0};
    XT_OK(mu_task_text_check("t.yaml", mu_str(BASE "task: t\nprocess_docs: !function utils.mine\ngen_prefix: \"{{\"\n"),
                             tell, &t, &err));
    XT_EQ(t.n, 2);
    XT_CHECK(strstr(t.text, "8 process_docs: \"!function utils.mine\" is Python"));
    XT_CHECK(strstr(t.text, "docs/bundle.md"));
    XT_CHECK(strstr(t.text, "9 gen_prefix: template line 1"));
}

XT_TEST(selecting_stops_at_the_first_fault)
{
    const char *dir = xt_tmpdir(), *name = "t";
    struct mu_task_set *s = NULL;
    write_file(dir, "base_yaml", BASE "num_fewshots: 3\n");
    write_file(dir, "t.yaml", "include: base_yaml\ntask: t\n");
    struct mu_task_index *ix = open_zoo(dir);
    XT_FAILS(mu_task_index_select(ix, &name, 1, &s, &err), MU_EFORMAT,
             "base_yaml, line 7, num_fewshots: there is no field \"num_fewshots\"; did you mean \"num_fewshot\"?");
    mu_task_index_close(ix);
}

XT_TEST(groups_are_checked_too)
{
    const char *dir = zoo();
    struct mu_task_index *ix = open_zoo(dir);
    struct told t = {0};
    char path[1024];
    write_file(dir, "h.yaml", "group: h\ntask: [cat, dogg]\naggregate_metric_list:\n  - metric: acc\n    weight: 1\n");
    snprintf(path, sizeof path, "%s/h.yaml", dir);
    XT_OK(mu_task_file_check(ix, path, tell, &t, &err));
    XT_STREQ(t.text, "2 task: no task, group or tag \"dogg\" is known; did you mean \"dog\"?\n"
                     "4 aggregate_metric_list: there is no field \"weight\"\n");
    XT_FAILS(mu_task_file_check(ix, "/nowhere.yaml", tell, &t, &err), MU_ENOENT, "/nowhere.yaml");
    mu_task_index_close(ix);
}

/* ---- the rest ---- */

XT_TEST(our_own_tasks_load)
{
    const char *dir = "tasks", *names[] = {"muster", "muster_generate"};
    struct mu_task_index *ix = open_zoo(dir);
    struct mu_task_set *s = NULL;
    XT_OK(mu_task_index_select(ix, names, 2, &s, &err));
    static const int n_docs[] = {200, 200, 161, 200, 200, 200};
    names_are(s, "muster_reasoning muster_arithmetic muster_code muster_reasoning_generate muster_arithmetic_generate "
                 "muster_code_generate");
    XT_EQ(s->n_groups, 2);
    for (int i = 0; i < s->n_tasks; i++) {
        json_t *docs = NULL;
        XT_OK(mu_dataset_load(s->task[i], "test", true, NULL, 0, &docs, &err));
        XT_EQ((int)json_array_size(docs), n_docs[i]);
        json_decref(docs);
        XT_OK(mu_dataset_load(s->task[i], "train", true, NULL, 0, &docs, &err));
        XT_EQ((int)json_array_size(docs), 16);
        json_decref(docs);
    }
    mu_task_set_free(s);
    mu_task_index_close(ix);
}

static int all_once(void *arg, struct mu_err *e)
{
    struct mu_task_index *ix = NULL;
    struct mu_task_set *s = NULL;
    const char *dir = arg, *name = "beasts";
    int rc = mu_task_index_open(&ix, &dir, 1, e);
    if (rc == MU_OK)
        rc = mu_task_index_select(ix, &name, 1, &s, e);
    mu_task_set_free(s);
    mu_task_index_close(ix);
    return rc;
}

XT_TEST(every_failed_allocation_is_told)
{
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", zoo());
    char path[1100];
    snprintf(path, sizeof path, "%s/broken.yaml", dir);
    remove(path); /* what cannot be read is passed over, out of memory or not */
    xt_each_alloc_fails(all_once, dir);
}

XT_MAIN()
