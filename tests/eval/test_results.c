/* test_results.c - results, samples and table against what the harness reported and saved (make_results.py) */
#include "eval/results.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/py/value.h"
#include "eval/results_int.h"
#include "xt.h"

#define WORKS_MAX 8

static json_t *golden;

/* ---- works by hand, out of the golden file ---- */

struct made {
    struct mu_task task[WORKS_MAX];
    struct mu_filter_pipeline filter[WORKS_MAX][4];
    struct mu_work work[WORKS_MAX], *works[WORKS_MAX];
    struct mu_task *tasks[WORKS_MAX];
    struct mu_group group[WORKS_MAX];
    struct mu_group_metric group_metric[WORKS_MAX][4];
    const char *group_filter[WORKS_MAX][4][4];
    int child[WORKS_MAX][8];
    struct mu_task_set set;
    struct mu_run_audit audit;
};

static const char *text(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static enum mu_output_type type_of(const char *name)
{
    if (strcmp(name, "multiple_choice") == 0)
        return MU_OUTPUT_MULTIPLE_CHOICE;
    return strcmp(name, "generate_until") == 0 ? MU_OUTPUT_GENERATE : MU_OUTPUT_ROLLING;
}

static struct mu_text *shared_text(const json_t *v)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_text *t = mu_text_new((struct mu_str){json_string_value(v), json_string_length(v)}, &err);
    XT_CHECK(t);
    return t;
}

static void make_request(struct mu_ask_request *r, const json_t *from, int doc, int index, enum mu_output_type type)
{
    const json_t *args = json_object_get(from, "args");
    r->doc = doc;
    r->index = index;
    r->ask = type == MU_OUTPUT_MULTIPLE_CHOICE ? MU_ASK_LOGLIKELIHOOD
             : type == MU_OUTPUT_GENERATE      ? MU_ASK_GENERATE
                                               : MU_ASK_ROLLING;
    r->context = shared_text(json_array_get(args, 0));
    if (r->ask == MU_ASK_LOGLIKELIHOOD)
        r->continuation = shared_text(json_array_get(args, 1));
    if (r->ask == MU_ASK_GENERATE)
        r->gen_kwargs = json_incref(json_array_get(args, 1));
    r->resps = json_incref(json_object_get(from, "resps"));
}

static void make_doc(struct mu_work *w, int i, const json_t *from)
{
    const json_t *requests = json_object_get(from, "requests"), *scores = json_object_get(from, "scores");
    struct mu_work_doc *d = &w->doc[i];
    struct mu_err err = MU_ERR_INIT;
    d->id = json_integer_value(json_object_get(from, "id"));
    d->doc = json_incref(json_object_get(from, "doc"));
    d->target = json_incref(json_object_get(from, "target"));
    d->choices = json_incref(json_object_get(d->doc, "options"));
    d->first = w->n_requests;
    d->n = (int)json_array_size(requests);
    for (int k = 0; k < d->n; k++)
        make_request(&w->request[w->n_requests++], json_array_get(requests, (size_t)k), i, k, w->task->output_type);
    XT_OK(MU_NEW_ARRAY(&d->score, json_array_size(scores), "scores", &err));
    for (size_t k = 0; k < json_array_size(scores); k++) {
        d->score[k].metrics = json_incref(json_object_get(json_array_get(scores, k), "metrics"));
        d->score[k].filtered = json_incref(json_object_get(json_array_get(scores, k), "filtered"));
    }
}

static void make_results_of(struct mu_work *w, const json_t *from, const json_t *better)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(MU_NEW_ARRAY(&w->result, json_array_size(from), "results", &err));
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *v = json_array_get(from, i), *se = json_object_get(v, "stderr");
        const json_t *higher = json_object_get(better, text(v, "metric"));
        w->result[w->n_results++] = (struct mu_metric_result){text(v, "metric"),
                                                              text(v, "filter"),
                                                              json_number_value(json_object_get(v, "value")),
                                                              json_is_number(se),
                                                              json_number_value(se),
                                                              json_integer_value(json_object_get(v, "n")),
                                                              json_is_boolean(higher) ? json_is_true(higher) : -1};
    }
}

static void make_work(struct made *m, int i, const json_t *from)
{
    struct mu_task *t = &m->task[i];
    struct mu_work *w = &m->work[i];
    const json_t *docs = json_object_get(from, "docs"), *filters = json_object_get(from, "filters");
    struct mu_err err = MU_ERR_INIT;

    t->name = text(from, "name");
    t->alias = text(from, "alias");
    t->config = json_object_get(from, "config");
    t->version = json_object_get(from, "version");
    t->output_type = type_of(text(from, "output_type"));
    t->filter = m->filter[i];
    for (size_t k = 0; k < json_array_size(filters); k++)
        t->filter[t->n_filters++].name = json_string_value(json_array_get(filters, k));
    w->task = t;
    w->num_fewshot = (int)json_integer_value(json_object_get(from, "num_fewshot"));
    w->n_original = json_integer_value(json_object_get(from, "n_original"));
    w->n_docs = (int)json_array_size(docs);
    XT_OK(MU_NEW_ARRAY(&w->doc, w->n_docs, "documents", &err));
    XT_OK(MU_NEW_ARRAY(&w->request, 64, "requests", &err));
    for (int k = 0; k < w->n_docs; k++)
        make_doc(w, k, json_array_get(docs, (size_t)k));
    make_results_of(w, json_object_get(from, "results"), json_object_get(from, "higher_is_better"));
    m->works[i] = w;
    m->tasks[i] = t;
}

static int index_of(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(text(json_array_get(list, i), "name"), name) == 0)
            return (int)i;
    }
    return -1;
}

static void make_group(struct made *m, int i, const json_t *from)
{
    struct mu_group *g = &m->group[i];
    const json_t *children = json_object_get(from, "children"), *metrics = json_object_get(from, "metrics");
    g->name = text(from, "name");
    g->alias = text(from, "alias");
    g->version = json_object_get(from, "version");
    g->child = m->child[i];
    g->metric = m->group_metric[i];
    for (size_t k = 0; k < json_array_size(children); k++) {
        const char *name = json_string_value(json_array_get(children, k));
        int task = index_of(json_object_get(golden, "works"), name);
        g->child[g->n_children++] = task >= 0 ? task : -1 - index_of(json_object_get(golden, "groups"), name);
    }
    for (size_t k = 0; k < json_array_size(metrics); k++) {
        const json_t *one = json_array_get(metrics, k), *filters = json_array_get(one, 1);
        struct mu_group_metric *gm = &g->metric[g->n_metrics];
        gm->metric = json_string_value(json_array_get(one, 0));
        gm->weight_by_size = true;
        gm->filter = m->group_filter[i][g->n_metrics++];
        for (size_t n = 0; n < json_array_size(filters); n++)
            m->group_filter[i][k][gm->n_filters++] = json_string_value(json_array_get(filters, n));
    }
}

static struct made *make(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m;
    if (!golden)
        XT_OK(mu_json_load(&golden, "tests/eval/results_golden.json", &err));
    XT_OK(MU_NEW(&m, "works", &err));
    const json_t *works = json_object_get(golden, "works"), *groups = json_object_get(golden, "groups");
    for (size_t i = 0; i < json_array_size(works); i++)
        make_work(m, (int)i, json_array_get(works, i));
    for (size_t i = 0; i < json_array_size(groups); i++)
        make_group(m, (int)i, json_array_get(groups, i));
    m->set = (struct mu_task_set){m->tasks, (int)json_array_size(works), m->group, (int)json_array_size(groups), NULL};
    m->audit = (struct mu_run_audit){
        .n_requests = 12, .n_unique = 11, .tokens_naive = 300, .tokens_shared = 200, .n_truncated = 1, .run_ns = 77};
    return m;
}

static void drop(struct made *m)
{
    for (int i = 0; i < m->set.n_tasks; i++) {
        struct mu_work *w = &m->work[i];
        for (int k = 0; k < w->n_requests; k++) {
            mu_text_drop(w->request[k].context);
            mu_text_drop(w->request[k].continuation);
            json_decref(w->request[k].gen_kwargs);
            json_decref(w->request[k].resps);
        }
        for (int k = 0; k < w->n_docs; k++) {
            for (int s = 0; s < w->task->n_filters; s++) {
                json_decref(w->doc[k].score[s].metrics);
                json_decref(w->doc[k].score[s].filtered);
            }
            json_decref(w->doc[k].doc);
            json_decref(w->doc[k].target);
            json_decref(w->doc[k].choices);
            mu_free(w->doc[k].score);
        }
        mu_free(w->doc);
        mu_free(w->request);
        mu_free(w->result);
    }
    mu_free(m);
}

static struct mu_results_facts facts_of(struct made *m)
{
    return (struct mu_results_facts){.set = &m->set,
                                     .works = m->works,
                                     .audit = &m->audit,
                                     .model_name = "some/model:x",
                                     .system_instruction = "Be \"brief\".\nü",
                                     .date = 1700000000.25,
                                     .seconds = 1.5,
                                     .log_samples = true};
}

/* ---- against the harness ---- */

/* The harness knows these of its own process. */
static const char *const own[] = {"config",
                                  "git_hash",
                                  "date",
                                  "pretty_env_info",
                                  "transformers_version",
                                  "lm_eval_version",
                                  "upper_git_hash",
                                  "model_source",
                                  "total_evaluation_time_seconds",
                                  "fewshot_as_multiturn"};

XT_TEST(results_are_the_harnesss_byte_for_byte)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m = make();
    struct mu_results_facts f = facts_of(m);
    struct mu_buf all = MU_BUF_INIT("results", MU_RESULTS_BYTES_MAX);
    json_t *results;

    XT_OK(mu_results_make(&f, &results, &err));
    XT_EQ(json_object_del(results, "audit"), 0);
    XT_EQ(json_object_del(results, "run"), 0);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        XT_CHECKF(json_object_get(results, own[i]), "%s is missing", own[i]);
        json_object_set_new(results, own[i], json_null());
    }
    XT_OK(mu_py_dumps(&all, results, 2, &err));
    XT_STREQ(all.p, text(golden, "saved"));
    mu_buf_fini(&all);
    json_decref(results);
    drop(m);
}

static char *printed(int (*fn)(const void *arg, FILE *f, struct mu_err *e), const void *arg)
{
    struct mu_err err = MU_ERR_INIT;
    char *p = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&p, &n);
    XT_OK(fn(arg, f, &err));
    fclose(f);
    return p;
}

static int samples(const void *work, FILE *f, struct mu_err *e)
{
    return mu_samples_write(work, f, e);
}

static int table(const void *results, FILE *f, struct mu_err *e)
{
    return mu_results_table(results, f, e);
}

XT_TEST(sample_lines_are_the_harnesss_byte_for_byte)
{
    struct made *m = make();
    for (int i = 0; i < m->set.n_tasks; i++) {
        char *lines = printed(samples, m->works[i]);
        XT_STREQ(lines, text(json_object_get(golden, "samples"), m->task[i].name));
        free(lines);
    }
    drop(m);
}

XT_TEST(the_table_is_the_harnesss)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m = make();
    struct mu_results_facts f = facts_of(m);
    json_t *results;
    XT_OK(mu_results_make(&f, &results, &err));
    char *lines = printed(table, results);
    XT_STREQ(lines, text(golden, "table"));
    free(lines);
    json_decref(results);
    drop(m);
}

/* pytablewriter's own output for these cells. */
XT_TEST(a_column_has_one_count_of_decimals)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *results;
    struct mu_str s = MU_STR("{\"results\": {\"a_task\": {\"alias\": \"a_task\", \"sample_len\": 3, \"acc,none\": 0.5,"
                             "\"acc_stderr,none\": 0.25, \"acc_norm,none\": 1.0, \"acc_norm_stderr,none\": \"N/A\"},"
                             "\"b\": {\"alias\": \"B | bee\\nx\", \"perplexity,none\": 12345.678, "
                             "\"perplexity_stderr,none\": 0.1, \"bypass,none\": 999}}, \"versions\": {\"a_task\": 1.0, "
                             "\"b\": 2}, \"n-shot\": {\"a_task\": 0, \"b\": 5}, \"higher_is_better\": {\"a_task\": "
                             "{\"acc\": true, \"acc_norm\": true}, \"b\": {\"perplexity\": false}}}");
    XT_OK(mu_json_parse(&results, s, "here", &err));
    char *lines = printed(table, results);
    XT_STREQ(lines, "|  Tasks  |Version|Filter|n-shot|  Metric  |   |  Value  |   |Stderr|\n"
                    "|---------|------:|------|-----:|----------|---|--------:|---|------|\n"
                    "|a_task   |      1|none  |     0|acc       |↑  |    0.500|±  |  0.25|\n"
                    "|         |       |none  |     0|acc_norm  |↑  |    1.000|±  |   N/A|\n"
                    "|B \\| bee x|      2|none  |     5|bypass    |   |  999.000|   |      |\n"
                    "|         |       |none  |     5|perplexity|↓  |12345.678|±  |  0.10|\n");
    free(lines);
    json_decref(results);
}

XT_TEST(a_value_that_is_no_number_is_null)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m = make();
    struct mu_results_facts f = facts_of(m);
    json_t *results;
    m->work[0].result[0].value = NAN;
    m->work[0].result[0].stderr_value = INFINITY;
    XT_OK(mu_results_make(&f, &results, &err));
    const json_t *first = json_object_get(json_object_get(results, "results"), m->task[0].name);
    XT_CHECK(json_is_null(json_object_get(first, "acc,none")));
    XT_CHECK(json_is_null(json_object_get(first, "acc_stderr,none")));
    char *lines = printed(table, results);
    XT_CHECK(strstr(lines, "|NaN"));
    free(lines);
    json_decref(results);
    drop(m);
}

/* ---- audit ---- */

XT_TEST(the_audit_counts_and_does_not_tell_of_this_process)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m = make();
    struct mu_results_facts f = facts_of(m);
    json_t *one, *two, *extra = json_pack("{s:s}", "backend", "cpu"), *run = json_pack("{s:i}", "threads", 3);

    f.audit_extra = extra;
    m->work[0].request[0].is_truncated = true;
    json_decref(m->work[0].doc[1].target);
    m->work[0].doc[1].target = json_integer(7); /* of two choices */
    XT_OK(mu_results_make(&f, &one, &err));
    const json_t *audit = json_object_get(one, "audit"), *work = json_object_get(audit, "work");
    const json_t *letters = json_object_get(json_object_get(audit, "tasks"), "letters");
    XT_STREQ(text(audit, "backend"), "cpu");
    XT_EQ(json_integer_value(json_object_get(letters, "truncated")), 1);
    XT_EQ(json_integer_value(json_object_get(letters, "labels_out_of_range")), 1);
    XT_EQ(json_integer_value(json_object_get(work, "documents")), 7);
    XT_NEAR(json_number_value(json_object_get(work, "naive_over_shared")), 1.5, 0);

    m->audit.n_from_journal = 12; /* another process, hours later, on another machine */
    m->audit.run_ns = 123456;
    f.date += 3600;
    f.seconds = 99;
    f.run = run;
    XT_OK(mu_results_make(&f, &two, &err));
    static const char *const differ[] = {"run", "date", "total_evaluation_time_seconds"};
    for (size_t i = 0; i < 3; i++) {
        XT_CHECK(!json_equal(json_object_get(one, differ[i]), json_object_get(two, differ[i])));
        json_object_del(one, differ[i]);
        json_object_del(two, differ[i]);
    }
    XT_CHECK(json_equal(one, two));
    json_decref(one);
    json_decref(two);
    json_decref(extra);
    json_decref(run);
    drop(m);
}

/* ---- files ---- */

static int count_files(const char *folder, const char *part)
{
    DIR *d = opendir(folder);
    int n = 0;
    XT_CHECKF(d, "%s is not there", folder);
    for (struct dirent *x; (x = readdir(d));)
        n += x->d_name[0] != '.' && strstr(x->d_name, part) != NULL;
    closedir(d);
    return n;
}

static char *in_tmp(const char *name)
{
    static char path[8][4096];
    static int at;
    at = (at + 1) % 8;
    snprintf(path[at], sizeof path[at], "%s/%s", xt_tmpdir(), name);
    return path[at];
}

static int write_once(struct made *m, const char *out, struct mu_buf *path, struct mu_err *e)
{
    struct mu_results_facts f = facts_of(m);
    json_t *results = NULL;
    int rc = mu_results_make(&f, &results, e);
    if (rc == MU_OK)
        rc = mu_results_write(&f, results, out, path, e);
    json_decref(results);
    return rc;
}

XT_TEST(files_lie_where_the_harness_puts_them)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m = make();
    struct mu_buf path = MU_BUF_INIT("a path", 4096);
    setenv("TZ", "UTC", 1);
    XT_OK(write_once(m, in_tmp("a/b"), &path, &err));
    XT_STREQ(text(golden, "folder"), "some__model__x");
    XT_STREQ(path.p, in_tmp("a/b/some__model__x/results_2023-11-14T22-13-20.250000.json"));
    XT_CHECK(mu_path_exists(path.p));
    XT_CHECK(mu_path_exists(in_tmp("a/b/some__model__x/samples_say_it_2023-11-14T22-13-20.250000.jsonl")));
    XT_EQ(count_files(in_tmp("a/b/some__model__x"), ""), 4);

    mu_buf_clear(&path);
    XT_OK(write_once(m, in_tmp("c/mine.json"), &path, &err));
    XT_STREQ(path.p, in_tmp("c/mine_2023-11-14T22-13-20.250000.json"));
    XT_EQ(count_files(in_tmp("c"), "samples_"), 3);
    mu_buf_fini(&path);
    drop(m);
}

XT_TEST(a_model_named_like_the_folder_above_gets_its_own)
{
    static const char *const names[][2] = {
        {"..", "..__"}, {".", ".__"}, {"", "__"}, {"/a//b/../c", "__a__b__..__c"}, {"x<y>\"z\"|?*[]", "x__y__z__"}};
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("a name", 4096);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mu_buf_clear(&out);
        XT_OK(mu_results_folder_name(&out, names[i][0], &err));
        XT_STREQ(out.p, names[i][1]);
    }
    mu_buf_fini(&out);
}

XT_TEST(files_appear_whole_or_not_at_all)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m = make();
    struct mu_buf path = MU_BUF_INIT("a path", 4096);
    FILE *f = fopen(in_tmp("file"), "w");
    fclose(f);
    XT_FAILS(write_once(m, in_tmp("file/x"), &path, &err), MU_EIO, "a folder is needed there");
    XT_EQ(count_files(xt_tmpdir(), "file"), 1);

    struct mu_doc_score *kept = m->work[2].doc[0].score; /* the last task cannot be written */
    m->work[2].doc[0].score = NULL;
    XT_FAILS(write_once(m, in_tmp("out"), &path, &err), MU_EINTERNAL, "is not scored");
    XT_EQ(count_files(in_tmp("out/some__model__x"), "results_"), 0);
    XT_EQ(count_files(in_tmp("out/some__model__x"), ".tmp"), 0);
    m->work[2].doc[0].score = kept;
    mu_buf_fini(&path);
    drop(m);
}

XT_TEST(a_full_disk_is_said_so)
{
    struct mu_err err = MU_ERR_INIT;
    struct made *m = make();
    FILE *f = fopen("/dev/full", "w");
    if (!f)
        xt_skip("there is no /dev/full here");
    setvbuf(f, NULL, _IONBF, 0);
    XT_FAILS(mu_samples_write(m->works[0], f, &err), MU_ENOSPC, "samples of letters");
    fclose(f);
    drop(m);
}

static int make_and_drop(void *arg, struct mu_err *e)
{
    struct mu_results_facts f = facts_of(arg);
    json_t *results = NULL;
    FILE *null = fopen("/dev/null", "w");
    int rc = mu_results_make(&f, &results, e);
    if (rc == MU_OK)
        rc = mu_samples_write(f.works[1], null, e);
    if (rc == MU_OK)
        rc = mu_results_table(results, null, e);
    json_decref(results);
    fclose(null);
    return rc;
}

XT_TEST(no_memory_is_an_error_and_nothing_leaks)
{
    struct made *m = make();
    xt_each_alloc_fails(make_and_drop, m);
    drop(m);
}

int main(int argc, char **argv)
{
    mu_json_init();
    int rc = xt_main(argc, argv);
    json_decref(golden);
    return rc;
}
