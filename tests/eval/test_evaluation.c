/* test_evaluation.c - muster/eval.h from outside: what is refused before a model is there, texts of options, a whole
 * evaluation with its events */
#include <muster/eval.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/eval_int.h"
#include "xt.h"

#define MODEL "models/muster-llama-tiny"

/* ---- texts of options ---- */

static json_t *parsed(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    XT_OK(mu_eval_parse_gen_kwargs(text, &v, &err));
    return v;
}

/* What lm_eval._cli.utils makes of these, but for the commas in quotes and brackets, which it cannot. */
XT_TEST(generation_arguments_are_read_as_the_harness_reads_them)
{
    static const char *const cases[][2] = {
        {"temperature=0.7,do_sample=True", "{\"temperature\":0.7,\"do_sample\":true}"},
        {"max_gen_toks=8,x=1e-3,y=.5", "{\"max_gen_toks\":8,\"x\":0.001,\"y\":0.5}"},
        {"until=['a,b','c'], z = None", "{\"until\":[\"a,b\",\"c\"],\"z\":null}"},
        {"until=[\"\\n\"],s=plain text,t=false", "{\"until\":[\"\\n\"],\"s\":\"plain text\",\"t\":false}"},
        {"{\"until\": [\"x\"], \"n\": 1}", "{\"until\":[\"x\"],\"n\":1}"},
        {"a=b=c,,a=2", "{\"a\":2}"},
        {"e=", "{\"e\":\"\"}"},
        {",", "{}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_err err = MU_ERR_INIT;
        json_t *v = parsed(cases[i][0]), *want;
        XT_OK(mu_json_parse(&want, mu_str(cases[i][1]), "expected", &err));
        XT_CHECKF(json_equal(v, want), "case %zu: %s", i, cases[i][0]);
        json_decref(v);
        json_decref(want);
    }
    XT_CHECK(!parsed(NULL) && !parsed(""));
}

XT_TEST(bad_generation_arguments_are_named)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    XT_FAILS(mu_eval_parse_gen_kwargs("temperature", &v, &err), MU_EINVAL, "\"temperature\"");
    XT_FAILS(mu_eval_parse_gen_kwargs("=1", &v, &err), MU_EINVAL, "\"=1\"");
    XT_FAILS(mu_eval_parse_gen_kwargs("a=\xff", &v, &err), MU_EINVAL, "UTF-8");
    XT_FAILS(mu_eval_parse_gen_kwargs("{\"a\": 1", &v, &err), MU_EFORMAT, "generation arguments");
}

XT_TEST(chosen_documents_are_sorted_and_single)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    int64_t *ids;
    int n;
    XT_OK(mu_eval_parse_samples("{\"t\": [9, 2, 9, 0], \"u\": [3]}", &v, &err));
    XT_OK(mu_eval_samples_of(v, "t", &ids, &n, &err));
    XT_EQ(n, 3);
    XT_CHECK(ids[0] == 0 && ids[1] == 2 && ids[2] == 9);
    mu_free(ids);
    XT_OK(mu_eval_samples_of(v, "none", &ids, &n, &err));
    XT_CHECK(!ids && n == 0);
    json_decref(v);
    XT_FAILS(mu_eval_parse_samples("{\"t\": [1.5]}", &v, &err), MU_EINVAL, "samples of t hold 1.5: document numbers");
    XT_FAILS(mu_eval_parse_samples("{\"t\": [-1]}", &v, &err), MU_EINVAL, "samples of t hold -1: ");
    XT_FAILS(mu_eval_parse_samples("[0, 5]", &v, &err), MU_EINVAL, "samples hold [0, 5]: an object");
    XT_FAILS(mu_eval_parse_samples("{\"t\": []}", &v, &err), MU_EINVAL, "of t");
    XT_FAILS(mu_eval_parse_samples("{\"t\": [1], \"t\": [2]}", &v, &err), MU_EFORMAT, "t");
    XT_FAILS(mu_eval_parse_samples("nothing.json", &v, &err), MU_ENOENT, "nothing.json");
}

/* ---- a whole evaluation ---- */

static mu_tokenizer *tokenizer(void)
{
    static mu_tokenizer *tok;
    struct mu_err err = MU_ERR_INIT;
    if (!tok)
        XT_OK(mu_tokenizer_open(&tok, MODEL, NULL, &err));
    return tok;
}

static const char *const folders[] = {"tasks"};
static const char *const names[] = {"muster_arithmetic", "muster_code_generate"};

static struct mu_eval_opts options(void)
{
    struct mu_eval_opts o = MU_EVAL_OPTS_INIT;
    o.model = MODEL;
    o.tasks = names;
    o.n_tasks = 2;
    o.include_path = folders;
    o.n_include_path = 1;
    o.limit = 3;
    o.gen_kwargs = "max_gen_toks=8";
    o.backend = "cpu";
    return o;
}

XT_TEST(impossible_options_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_eval_opts o = options();
    mu_eval *ev;
    o.n_tasks = 0;
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "no tasks");
    XT_CHECK(!ev);
    o = options();
    o.bundle = "b";
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "exclude each other");
    o = options();
    o.limit = -1;
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "-1");
    o.limit = NAN;
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "limit");
    o = options();
    o.samples = "{\"muster_arithmetic\": [1]}";
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "limit and samples");
    o = options();
    o.log_samples = true;
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "output path");
    o = options();
    o.model = NULL;
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "model");
    o = options();
    o.apply_chat_template = true;
    o.model = "models/muster-llama-tiny/model.safetensors";
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_ENOENT, "chat template");
}

struct seen {
    int n_plans, n_progress, stop_at;
    struct mu_eval_plan plan;
    struct mu_eval_progress last;
};

static void on_plan(void *arg, const struct mu_eval_plan *p)
{
    struct seen *s = arg;
    s->n_plans++;
    s->plan = *p;
}

static int on_progress(void *arg, const struct mu_eval_progress *p)
{
    struct seen *s = arg;
    s->last = *p;
    return ++s->n_progress == s->stop_at;
}

static mu_engine *engine(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
    mu_engine *eng;
    eo.model = MODEL;
    eo.tokenizer = tokenizer();
    eo.threads = 1;
    XT_OK(mu_engine_open(&eng, &eo, &err));
    return eng;
}

/* Runs, writes, and hands out the results without what tells of the process. */
static json_t *evaluated(struct mu_eval_opts *o, mu_engine *eng, int64_t *n_computed)
{
    struct mu_err err = MU_ERR_INIT;
    const char *text, *path;
    json_t *results;
    mu_eval *ev;
    XT_OK(mu_eval_open(&ev, o, tokenizer(), &err));
    XT_FAILS(mu_eval_json(ev, &text, &err), MU_EINVAL, "has not run");
    XT_OK(mu_eval_run(ev, eng, &err));
    XT_OK(mu_eval_json(ev, &text, &err));
    XT_OK(mu_json_parse(&results, mu_str(text), "the results", &err));
    XT_OK(mu_eval_write(ev, &path, &err));
    XT_CHECK(mu_path_exists(path));
    mu_eval_close(ev);
    *n_computed = json_integer_value(json_object_get(json_object_get(results, "run"), "computed"));
    json_object_del(results, "run");
    json_object_del(results, "date");
    json_object_del(results, "total_evaluation_time_seconds");
    return results;
}

XT_TEST(stopped_resumed_and_read_from_the_journal_the_results_are_equal)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_eval_opts o = options();
    struct seen s = {.stop_at = 2};
    char whole[4096], parts[4096];
    int64_t n_whole, n_again, n_rest;
    mu_engine *eng = engine();
    mu_eval *ev;

    snprintf(whole, sizeof whole, "%s/whole", xt_tmpdir());
    snprintf(parts, sizeof parts, "%s/parts", xt_tmpdir());
    o.arg = &s;
    o.on_plan = on_plan;
    o.on_progress = on_progress;
    o.output_path = parts;
    XT_OK(mu_eval_open(&ev, &o, tokenizer(), &err));
    XT_FAILS(mu_eval_run(ev, eng, &err), MU_ECANCELED, "stopped");
    mu_eval_close(ev);

    s = (struct seen){.stop_at = -1};
    o.output_path = whole;
    json_t *one = evaluated(&o, eng, &n_whole);
    XT_EQ(s.n_plans, 1);
    XT_EQ(s.plan.n_documents, 6);
    XT_EQ(s.plan.n_requests, 15);
    XT_EQ(s.plan.n_journal, 0);
    XT_CHECK(s.plan.tokens_naive > s.plan.tokens_shared && s.plan.tokens_shared > 0);
    XT_EQ(s.last.n_done, 15);
    XT_EQ(n_whole, s.plan.n_unique);

    o.naive_work = true;
    json_t *two = evaluated(&o, eng, &n_again);
    XT_EQ(n_again, 0);
    XT_EQ(s.plan.n_journal, s.plan.n_unique);
    o.output_path = parts;
    json_t *three = evaluated(&o, eng, &n_rest);
    XT_CHECK(n_rest <= n_whole);
    XT_CHECK(json_equal(one, two));
    XT_CHECK(json_equal(one, three));
    json_decref(one);
    json_decref(two);
    json_decref(three);
    mu_engine_close(eng);
}

/* ---- documents left out ---- */

static int64_t number_at(json_t *o, const char *a, const char *b, const char *c)
{
    return json_integer_value(json_object_get(json_object_get(json_object_get(o, a), b), c));
}

static void check_skipped(json_t *results, size_t i, const char *task, int64_t doc_id, int64_t document,
                          const char *why)
{
    json_t *o = json_array_get(json_object_get(json_object_get(results, "audit"), "skipped"), i);
    XT_STREQ(json_string_value(json_object_get(o, "task")), task);
    XT_EQ(json_integer_value(json_object_get(o, "doc_id")), doc_id);
    XT_EQ(json_integer_value(json_object_get(o, "document")), document);
    XT_STREQ(json_string_value(json_object_get(o, "why")), why);
}

/* Numbers 0 to 2 are the first task's, 3 to 5 the second's. */
XT_TEST(skipped_documents_are_told_and_count_as_not_there)
{
    static const char *const skips[] = {"4,1,", "{\"1\": \"it was asked for\", \"4\": \"it was asked for\"}"};
    mu_engine *eng = engine();
    json_t *got[2];
    char folder[4096];
    for (int i = 0; i < 2; i++) {
        struct mu_eval_opts o = options();
        struct seen s = {.stop_at = -1};
        int64_t n;
        o.skip = skips[i];
        o.output_path = folder;
        o.on_plan = on_plan;
        o.arg = &s;
        snprintf(folder, sizeof folder, "%s/skip%d", xt_tmpdir(), i);
        got[i] = evaluated(&o, eng, &n);
        XT_EQ(s.plan.n_documents, 4);
        XT_EQ(s.plan.n_numbered, 6);
        XT_EQ(s.plan.n_requests, 10);
        XT_EQ(number_at(got[i], "n-samples", "muster_arithmetic", "effective"), 2);
        XT_EQ(number_at(got[i], "n-samples", "muster_code_generate", "effective"), 2);
        XT_CHECK(number_at(got[i], "n-samples", "muster_arithmetic", "original") > 2);
        XT_EQ(number_at(got[i], "results", "muster_arithmetic", "sample_len"), 2);
        XT_EQ(json_array_size(json_object_get(json_object_get(got[i], "audit"), "skipped")), 2);
        check_skipped(got[i], 0, "muster_arithmetic", 1, 1, "it was asked for");
        check_skipped(got[i], 1, "muster_code_generate", 1, 4, "it was asked for");
    }
    XT_CHECK(json_equal(got[0], got[1]));
    json_decref(got[0]);
    json_decref(got[1]);
    mu_engine_close(eng);
}

XT_TEST(parts_leave_their_answers_in_the_journal_and_nothing_else)
{
    static const char *const parts[] = {"0", "1-3", "3-5", "2-4"};
    struct mu_err err = MU_ERR_INIT;
    struct mu_eval_opts o = options();
    char whole[4096], cut[4096];
    int64_t n_whole, n_rest;
    mu_engine *eng = engine();
    const char *text;
    mu_eval *ev;
    snprintf(whole, sizeof whole, "%s/at-once", xt_tmpdir());
    snprintf(cut, sizeof cut, "%s/in-parts", xt_tmpdir());
    o.output_path = cut;
    for (size_t i = 0; i < MU_COUNT(parts); i++) {
        o.part = parts[i];
        XT_OK(mu_eval_open(&ev, &o, tokenizer(), &err));
        XT_OK(mu_eval_run(ev, eng, &err));
        XT_FAILS(mu_eval_json(ev, &text, &err), MU_EINVAL, "no results");
        XT_FAILS(mu_eval_write(ev, &text, &err), MU_EINVAL, "no results");
        mu_eval_close(ev);
    }
    o.part = NULL;
    json_t *two = evaluated(&o, eng, &n_rest);
    o.output_path = whole;
    json_t *one = evaluated(&o, eng, &n_whole);
    XT_EQ(n_rest, 0);
    XT_CHECK(n_whole > 0);
    XT_CHECK(!json_object_get(json_object_get(one, "audit"), "skipped"));
    XT_CHECK(json_equal(one, two));
    json_decref(one);
    json_decref(two);
    mu_engine_close(eng);
}

/* All of a part may be skipped: then there is nothing to do. */
XT_TEST(a_part_of_nothing_runs)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_eval_opts o = options();
    char folder[4096];
    mu_engine *eng = engine();
    mu_eval *ev;
    snprintf(folder, sizeof folder, "%s/nothing", xt_tmpdir());
    o.output_path = folder;
    o.part = "2-3";
    o.skip = "2,3";
    XT_OK(mu_eval_open(&ev, &o, tokenizer(), &err));
    XT_OK(mu_eval_run(ev, eng, &err));
    mu_eval_close(ev);
    o.part = NULL;
    o.skip = "0,1,2"; /* the first task has none left to score */
    XT_OK(mu_eval_open(&ev, &o, tokenizer(), &err));
    XT_FAILS(mu_eval_run(ev, eng, &err), MU_EINVAL, "no documents to score");
    mu_eval_close(ev);
    mu_engine_close(eng);
}

XT_TEST(numbers_of_documents_that_are_none_are_refused)
{
    static const char *const skips[] = {"x",
                                        "1;2",
                                        "-1",
                                        "1,,2",
                                        "6",
                                        "99999999999999999999",
                                        "{}x",
                                        "[1]",
                                        "{\"a\": \"\"}",
                                        "{\"1\": 2}",
                                        "{\"01\": \"\"}",
                                        "{\"6\": \"why\"}"};
    static const char *const parts[] = {"", "x", "1-", "-1", "2-1", "0-6", "0-1-2", "1 ", "99999999999999999999"};
    struct mu_err err = MU_ERR_INIT;
    mu_eval *ev;
    for (size_t i = 0; i < MU_COUNT(skips); i++) {
        struct mu_eval_opts o = options();
        o.skip = skips[i];
        XT_CHECKF(mu_eval_open(&ev, &o, tokenizer(), &err) != MU_OK && !ev, "skip %s", skips[i]);
    }
    for (size_t i = 0; i < MU_COUNT(parts); i++) {
        struct mu_eval_opts o = options();
        o.part = parts[i];
        o.output_path = xt_tmpdir();
        XT_CHECKF(mu_eval_open(&ev, &o, tokenizer(), &err) == MU_EINVAL && !ev, "part %s", parts[i]);
    }
    struct mu_eval_opts o = options();
    o.part = "0-1";
    XT_FAILS(mu_eval_open(&ev, &o, tokenizer(), &err), MU_EINVAL, "output path");
}

/* ---- the model opened when it is needed ---- */

static char identity[sizeof((struct mu_eval_model *)0)->identity]; /* of the last evaluation's model */

struct loader {
    const char *model;
    mu_engine *eng;
    int n_opened;
};

static int load(void *arg, mu_engine **eng, struct mu_err *e)
{
    struct loader *l = arg;
    struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
    eo.model = l->model;
    eo.tokenizer = tokenizer();
    eo.threads = 1;
    l->n_opened++;
    MU_TRY_RETURN(mu_engine_open(&l->eng, &eo, e));
    *eng = l->eng;
    return MU_OK;
}

/* What tells of the process is checked and left out. */
static json_t *evaluated_lazily(const struct mu_eval_opts *o, bool is_loaded, int64_t *n_from_journal)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
    struct loader l = {.model = o->model};
    const char *text;
    json_t *results;
    mu_eval *ev;
    eo.model = o->model;
    XT_OK(mu_eval_open(&ev, o, tokenizer(), &err));
    XT_OK(mu_eval_run_lazy(ev, &eo, load, &l, &err));
    mu_engine_close(l.eng);
    XT_OK(mu_eval_json(ev, &text, &err));
    XT_OK(mu_json_parse(&results, mu_str(text), "the results", &err));
    memcpy(identity, ev->model.identity, sizeof identity);
    mu_eval_close(ev);
    json_t *run = json_object_get(results, "run");
    XT_EQ(l.n_opened, is_loaded);
    XT_EQ(json_is_true(json_object_get(run, "model_loaded")), is_loaded);
    XT_EQ(json_integer_value(json_object_get(run, "weight_bytes_read")) > 0, is_loaded);
    bool has_run = is_loaded && json_integer_value(json_object_get(run, "computed")) > 0;
    static const char *const times[] = {"step_seconds_predicted", "step_seconds_measured",
                                        "tokens_per_second_predicted", "tokens_per_second_measured"};
    for (size_t i = 0; i < MU_COUNT(times); i++) {
        const json_t *v = json_object_get(run, times[i]);
        XT_CHECKF(has_run ? json_number_value(v) > 0 : json_is_null(v), "%s", times[i]);
    }
    XT_CHECK(json_is_false(json_object_get(run, "prediction_is_calibrated"))); /* no machine was given */
    *n_from_journal = json_integer_value(json_object_get(run, "from_journal"));
    XT_EQ(json_array_size(json_object_get(run, "slowest")) > 0,
          json_integer_value(json_object_get(run, "computed")) > 0);
    json_object_del(results, "run");
    json_object_del(results, "date");
    json_object_del(results, "total_evaluation_time_seconds");
    return results;
}

static void copy_model(const char *to)
{
    char command[16384];
    snprintf(command, sizeof command, "cp -r %s %s && chmod -R u+w %s", MODEL, to, to);
    XT_EQ(system(command), 0);
}

/* Adds one to the byte of the weights that is n before their end, and sets mtime back to what it was. */
static void forge(const char *model, off_t n)
{
    char path[4096 + 32];
    struct stat st;
    unsigned char byte;
    snprintf(path, sizeof path, "%s/model.safetensors", model);
    int fd = open(path, O_RDWR);
    XT_CHECK(fd >= 0 && fstat(fd, &st) == 0);
    XT_EQ(pread(fd, &byte, 1, st.st_size - n), 1);
    byte++;
    XT_EQ(pwrite(fd, &byte, 1, st.st_size - n), 1);
    XT_EQ(futimens(fd, (struct timespec[]){st.st_atim, st.st_mtim}), 0);
    close(fd);
}

/* Files that have just changed are not relied on. */
static void settle(void)
{
    struct timespec t = {.tv_sec = 2, .tv_nsec = 100000000};
    nanosleep(&t, NULL);
}

XT_TEST(a_finished_evaluation_reads_no_weights_until_they_change)
{
    struct mu_eval_opts o = options();
    char out[4096], model[1024];
    int64_t n_all, n;

    snprintf(out, sizeof out, "%s/lazy", xt_tmpdir());
    snprintf(model, sizeof model, "%s/model", xt_tmpdir());
    copy_model(model);
    o.model = model;
    o.output_path = out;
    json_t *young = evaluated_lazily(&o, true, &n); /* too young to be noted */
    XT_EQ(n, 0);
    settle();
    json_t *one = evaluated_lazily(&o, true, &n_all), *two = evaluated_lazily(&o, false, &n);
    XT_CHECK(n_all > 0 && n == n_all);
    XT_CHECK(json_equal(young, one) && json_equal(one, two));

    o.limit = 4; /* something is missing */
    json_t *more = evaluated_lazily(&o, true, &n);
    XT_EQ(n, n_all);
    o.limit = 3;

    forge(model, 2);
    settle();
    json_t *other = evaluated_lazily(&o, true, &n); /* size and mtime are as before */
    XT_EQ(n, 0);
    XT_CHECK(!json_equal(one, other));
    json_t *again = evaluated_lazily(&o, false, &n);
    XT_CHECK(json_equal(other, again));
    json_t *const all[] = {young, one, two, more, other, again};
    for (size_t i = 0; i < MU_COUNT(all); i++)
        json_decref(all[i]);
}

/* In place of what the journal says of the model of the last evaluation. */
static void overwrite_note(const char *out, const char *value)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j;
    char path[4096 + 32], name[128];
    json_t *v, *old;
    snprintf(path, sizeof path, "%s/journal.sqlite", out);
    snprintf(name, sizeof name, "muster model 1 %s", identity);
    XT_OK(mu_json_parse(&v, mu_str(value), "a note", &err));
    XT_OK(mu_journal_open(&j, path, MU_JOURNAL_RESUME, &err));
    XT_OK(mu_journal_noted(j, name, &old, &err));
    XT_CHECK(old);
    XT_OK(mu_journal_note(j, name, v, &err));
    mu_journal_close(j);
    json_decref(old);
    json_decref(v);
}

XT_TEST(a_note_that_lies_cannot_mix_models)
{
    static const char lie[] = "{\"weights_hash\": \"00\", \"arch\": \"X\", \"weights\": \"f32\", \"kv_dtype\": "
                              "\"f32\", \"context\": 64, \"vocab\": 1024, \"parameters\": 1, "
                              "\"eos\": []}";
    struct mu_eval_opts o = options();
    char out[4096];
    int64_t n_all, n;
    snprintf(out, sizeof out, "%s/lie", xt_tmpdir());
    o.output_path = out;
    json_t *one = evaluated_lazily(&o, true, &n);
    overwrite_note(out, lie);
    json_t *two = evaluated_lazily(&o, true, &n_all); /* nothing is known by that hash: the model is asked */
    overwrite_note(out, "{\"weights_hash\": 7}");
    json_t *three = evaluated_lazily(&o, true, &n);
    json_t *four = evaluated_lazily(&o, false, &n);
    XT_CHECK(n_all > 0 && n == n_all);
    XT_CHECK(json_equal(one, two) && json_equal(one, three) && json_equal(one, four));
    json_decref(one);
    json_decref(two);
    json_decref(three);
    json_decref(four);
}

static const struct mu_engine_info said = {.weights_hash = "12",
                                           .arch = "A",
                                           .weights = "f32",
                                           .kv_dtype = "f32",
                                           .context_max = 8,
                                           .vocab = 9,
                                           .n_params = 11,
                                           .n_eos = 2,
                                           .eos = {3, 4},
                                           .repetition = 1.1};

static int recall(void *arg, struct mu_err *e)
{
    struct mu_eval *ev = arg;
    bool is_known = false;
    int rc = mu_eval_model_recall(ev, &is_known, e);
    json_decref(ev->model.note);
    ev->model.note = NULL;
    ev->model.info = said; /* not texts of the note */
    return rc != MU_OK ? rc : mu_eval_model_remember(ev, e);
}

XT_TEST(no_memory_while_recalling_a_model_is_an_error)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
    struct mu_eval ev = {.model.opts = &eo};
    char path[4096];
    bool is_known = true;
    snprintf(path, sizeof path, "%s/recall.sqlite", xt_tmpdir());
    XT_OK(mu_journal_open(&ev.journal, path, MU_JOURNAL_RESUME, &err));
    eo.model = "nowhere";
    XT_OK(mu_eval_model_recall(&ev, &is_known, &err)); /* the engine will tell */
    XT_CHECK(!is_known && !ev.model.identity[0]);
    XT_OK(mu_eval_model_remember(&ev, &err));
    eo.model = MODEL "/model.safetensors";
    XT_OK(mu_eval_model_recall(&ev, &is_known, &err));
    XT_CHECK(!is_known && ev.model.identity[0]);
    ev.model.info = said;
    XT_OK(mu_eval_model_remember(&ev, &err));
    XT_OK(mu_eval_model_recall(&ev, &is_known, &err));
    const struct mu_engine_info *i = &ev.model.info;
    XT_CHECK(is_known && i->context_max == 8 && i->vocab == 9 && i->n_params == 11);
    XT_CHECK(i->n_eos == 2 && i->eos[0] == 3 && i->eos[1] == 4 && i->repetition == 1.1);
    XT_STREQ(i->weights_hash, "12");
    eo.kv_dtype = "bf16"; /* another engine */
    json_decref(ev.model.note);
    ev.model.note = NULL;
    XT_OK(mu_eval_model_recall(&ev, &is_known, &err));
    XT_CHECK(!is_known);
    eo.kv_dtype = NULL;
    eo.sequences_max = 2;
    json_decref(ev.model.note);
    ev.model.note = NULL;
    XT_OK(mu_eval_model_recall(&ev, &is_known, &err));
    XT_CHECK(!is_known);
    eo.sequences_max = 0;
    xt_each_alloc_fails(recall, &ev);
    mu_journal_close(ev.journal);
}

XT_TEST(one_output_path_has_one_evaluation_at_a_time)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_eval_opts o = options();
    char out[4096];
    mu_eval *one, *two;
    snprintf(out, sizeof out, "%s/out", xt_tmpdir());
    o.output_path = out;
    XT_OK(mu_eval_open(&one, &o, tokenizer(), &err));
    XT_FAILS(mu_eval_open(&two, &o, tokenizer(), &err), MU_EPEER, "in use");
    mu_eval_close(one);
    XT_OK(mu_eval_open(&two, &o, tokenizer(), &err));
    mu_eval_close(two);
}

static int open_and_close(void *arg, struct mu_err *e)
{
    mu_eval *ev = NULL;
    int rc = mu_eval_open(&ev, arg, tokenizer(), e);
    mu_eval_close(ev);
    return rc;
}

XT_TEST(no_memory_while_opening_is_an_error_and_nothing_leaks)
{
    static const char *const one[] = {"tasks/muster_arithmetic.yaml"};
    struct mu_eval_opts o = options();
    o.tasks = one;
    o.n_tasks = 1;
    o.limit = 0;
    o.n_include_path = 0;
    o.samples = "{\"muster_arithmetic\": [1]}";
    tokenizer();
    xt_each_alloc_fails(open_and_close, &o);
}

int main(int argc, char **argv)
{
    mu_json_init();
    int rc = xt_main(argc, argv);
    mu_tokenizer_close(tokenizer());
    return rc;
}
