/* Requests, targets and hashes of own small tasks against what lm-evaluation-harness builds (make_build.py wrote
 * build/expected.json), and the sentences of documents that cannot become requests. */
#include "expected.h"

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "eval/docs/used.h"
#include "tok/chat.h"
#include "tok/jinja/jinja.h"

/* ---- a task by hand, whose fields a test may change ---- */

struct fixture {
    struct mu_task t;
    json_t *config, *docs, *fewshot;
};

static json_t *load_config(const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_yaml *y = NULL;
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s%s", name, strstr(name, ".yaml") ? "" : ".yaml");
    XT_OK(mu_yaml_load(&y, path, &err));
    json_t *own = json_deep_copy(mu_yaml_root(y));
    mu_yaml_free(y);
    const char *include = json_string_value(json_object_get(own, "include"));
    if (!include)
        return own;
    json_t *base = load_config(include);
    json_object_update(base, own);
    json_decref(own);
    return base;
}

static json_t *load_lines(const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("documents", 1 << 24);
    json_t *docs = json_array(), *doc;
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s", name);
    XT_OK(mu_file_read_all(&text, path, &err));
    for (const char *p = text.p, *end; p < text.p + text.n; p = end + 1) {
        end = strchr(p, '\n');
        XT_OK(mu_json_parse(&doc, (struct mu_str){p, (size_t)(end - p)}, name, &err));
        json_array_append_new(docs, doc);
    }
    mu_buf_fini(&text);
    return docs;
}

static void set_field(struct mu_field *f, const json_t *o, const char *key)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = json_object_get(o, key);
    *f = (struct mu_field){.name = key};
    if (!v || json_is_null(v))
        return;
    f->kind = json_is_string(v) ? MU_FIELD_TEXT : MU_FIELD_VALUE;
    f->value = json_is_string(v) ? NULL : v;
    f->text = json_string_value(v);
    struct mu_jinja_opts jo = MU_JINJA_TASK(key);
    if (f->text)
        XT_OK(mu_jinja_compile(&f->tmpl, mu_str(f->text), &jo, &err));
}

static void free_field(struct mu_field *f)
{
    mu_jinja_free(f->tmpl);
}

static enum mu_output_type output_type(const char *name)
{
    for (int i = 0; i <= MU_OUTPUT_GENERATE; i++) {
        static const char *const names[] = {"loglikelihood", "loglikelihood_rolling", "multiple_choice",
                                            "generate_until"};
        if (strcmp(name, names[i]) == 0)
            return (enum mu_output_type)i;
    }
    return MU_OUTPUT_GENERATE;
}

static void set_metrics(struct mu_task *t, const json_t *config)
{
    const json_t *list = json_object_get(config, "metric_list"), *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        t->metric[t->n_metrics++].name = text_of(item, "metric", "");
    }
}

static void set_gen_kwargs(struct mu_task *t, json_t *config)
{
    json_t *kw = json_object_get(config, "generation_kwargs");
    if (!json_is_object(kw)) {
        kw = json_pack("{s:f, s:b, s:i, s:[s]}", "temperature", 0.0, "do_sample", 0, "max_gen_toks", 256, "until",
                       t->fewshot_delimiter);
        json_object_set_new(config, "generation_kwargs", kw);
    }
    if (json_is_integer(json_object_get(kw, "temperature")))
        json_object_set_new(kw, "temperature",
                            json_real((double)json_integer_value(json_object_get(kw, "temperature"))));
    if (!json_object_get(kw, "until"))
        json_object_set_new(kw, "until", json_pack("[s]", t->fewshot_delimiter));
    t->generation_kwargs = kw;
}

static json_t *split_docs(const json_t *config, const char *split)
{
    const json_t *files = json_object_get(json_object_get(config, "dataset_kwargs"), "data_files");
    const char *file = split ? text_of(files, split, NULL) : NULL;
    return file ? load_lines(file) : NULL;
}

static void open_fixture(struct fixture *x, const char *name)
{
    struct mu_task *t = &x->t;
    *x = (struct fixture){0};
    json_t *c = x->config = load_config(name), *fc = json_object_get(c, "fewshot_config");
    json_t *over = json_object();
    json_object_update(over, c);
    if (fc)
        json_object_update(over, fc);
    json_object_set_new(c, "over", over);
    t->name = name;
    t->output_type = output_type(text_of(c, "output_type", ""));
    t->training_split = text_of(c, "training_split", NULL);
    t->validation_split = text_of(c, "validation_split", NULL);
    t->test_split = text_of(c, "test_split", NULL);
    set_field(&t->text, c, "doc_to_text");
    set_field(&t->target, c, "doc_to_target");
    set_field(&t->choice, c, "doc_to_choice");
    set_field(&t->gen_prefix, c, "gen_prefix");
    set_field(&t->description, c, "description");
    t->target_delimiter = text_of(c, "target_delimiter", " ");
    t->fewshot_delimiter = text_of(c, "fewshot_delimiter", "\n\n");
    set_field(&t->fewshot.text, over, "doc_to_text");
    set_field(&t->fewshot.target, over, "doc_to_target");
    set_field(&t->fewshot.choice, over, "doc_to_choice");
    set_field(&t->fewshot.gen_prefix, over, "gen_prefix");
    t->fewshot.target_delimiter = text_of(over, "target_delimiter", " ");
    t->fewshot.fewshot_delimiter = text_of(over, "fewshot_delimiter", "\n\n");
    t->fewshot.sampler = strcmp(text_of(over, "sampler", ""), "first_n") == 0 ? MU_SAMPLER_FIRST_N : MU_SAMPLER_DEFAULT;
    t->fewshot.split = text_of(over, "split", text_of(c, "fewshot_split", NULL));
    t->fewshot.samples = json_object_get(over, "samples");
    json_t *n = json_object_get(c, "num_fewshot");
    t->num_fewshot = n ? (int)json_integer_value(n) : -1;
    t->repeats = 1;
    set_metrics(t, c);
    if (t->output_type == MU_OUTPUT_GENERATE)
        set_gen_kwargs(t, c);
    x->docs = split_docs(c, t->test_split ? t->test_split : t->validation_split);
    x->fewshot = t->fewshot.samples ? json_incref(t->fewshot.samples)
                                    : split_docs(c, t->fewshot.split ? t->fewshot.split : t->training_split);
}

static void close_fixture(struct fixture *x)
{
    struct mu_field *const fields[] = {&x->t.text,           &x->t.target,         &x->t.choice,
                                       &x->t.gen_prefix,     &x->t.description,    &x->t.fewshot.text,
                                       &x->t.fewshot.target, &x->t.fewshot.choice, &x->t.fewshot.gen_prefix};
    for (size_t i = 0; i < MU_COUNT(fields); i++)
        free_field(fields[i]);
    json_decref(x->docs);
    json_decref(x->fewshot);
    json_decref(x->config);
}

/* ---- against the harness ---- */

static void read_options(struct mu_build_opts *o, const json_t *options, struct mu_chat **chat, int64_t *ids)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    *o = (struct mu_build_opts)MU_BUILD_OPTS_INIT;
    if ((v = json_object_get(options, "num_fewshot")))
        o->num_fewshot = (int)json_integer_value(v);
    if ((v = json_object_get(options, "seed")))
        o->fewshot_seed = json_integer_value(v);
    if ((v = json_object_get(options, "limit")))
        o->limit = json_number_value(v);
    if ((v = json_object_get(options, "multiturn")))
        o->fewshot_as_multiturn = json_is_true(v);
    o->predict_only = json_is_true(json_object_get(options, "predict_only"));
    o->system_instruction = text_of(options, "system", NULL);
    o->gen_kwargs = json_object_get(options, "gen_kwargs");
    for (size_t i = 0; i < json_array_size(json_object_get(options, "samples")); i++) {
        ids[o->n_doc_ids++] = json_integer_value(json_array_get(json_object_get(options, "samples"), i));
        o->doc_ids = ids;
    }
    const char *template = text_of(options, "chat", NULL);
    json_t *special = json_pack("{s:s}", "bos_token", "<s>");
    if (template)
        XT_OK(mu_chat_from_text(chat, mu_str(template), special, "chat", &err));
    json_decref(special);
    o->chat = *chat;
}

static void same_case(const struct mu_task_index *ix, const json_t *want, int number)
{
    struct mu_err err = MU_ERR_INIT;
    const json_t *options = json_object_get(want, "options");
    const char *name = text_of(options, "task", "");
    struct mu_build_opts o;
    struct mu_chat *chat = NULL;
    struct mu_task_set *set = NULL;
    struct mu_work *w = NULL;
    int64_t ids[64];

    read_options(&o, options, &chat, ids);
    XT_OK(mu_task_index_select(ix, &name, 1, &set, &err));
    XT_OK(mu_work_build(set->task[0], &o, &w, &err));
    same_work(want, w, number);
    mu_work_free(w);
    mu_task_set_free(set);
    mu_chat_close(chat);
}

XT_TEST(requests_are_the_harness_s)
{
    const char *folder = FOLDER;
    struct mu_err err = MU_ERR_INIT;
    struct mu_task_index *ix = NULL;
    json_t *cases = NULL;
    XT_OK(mu_json_load(&cases, FOLDER "expected.json", &err));
    XT_CHECK(json_array_size(cases) > 40);
    XT_OK(mu_task_index_open(&ix, &folder, 1, &err));
    for (size_t i = 0; i < json_array_size(cases); i++)
        same_case(ix, json_array_get(cases, i), (int)i);
    mu_task_index_close(ix);
    json_decref(cases);
}

/* ---- what cannot become requests ---- */

/* Changes one field of a fixture: value is JSON text. */
static void change(struct fixture *x, struct mu_field *f, const char *key, const char *value)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = NULL;
    free_field(f);
    XT_OK(mu_json_parse(&v, mu_str(value), "a test", &err));
    json_object_set_new(x->config, key, v);
    set_field(f, x->config, key);
}

static void refuses(struct fixture *x, const struct mu_build_opts *o, int code, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_work *w = NULL;
    XT_FAILS(mu_work_build_from(&x->t, o, x->docs, x->fewshot, (int64_t)json_array_size(x->docs), &w, &err), code,
             part);
    XT_CHECK(!w);
    XT_CHECKF(strncmp(err.text, "task ", 5) == 0, "%s", err.text);
}

XT_TEST(a_template_that_fails_names_task_document_and_field)
{
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct fixture x;
    open_fixture(&x, "mc_plain");
    change(&x, &x.t.text, "doc_to_text", "\"{{ topic }}{% if id == 11 %}{{ nowhere }}{% endif %}\"");
    refuses(&x, &o, MU_EINVAL, "task mc_plain, document 2, doc_to_text: template line 1: ");
    refuses(&x, &o, MU_EINVAL, "'nowhere' is undefined; the columns are ");
    change(&x, &x.t.text, "doc_to_text", "\"{{ topick }}\"");
    refuses(&x, &o, MU_EINVAL, "'topick' is undefined; did you mean the column \"topic\"?");
    change(&x, &x.t.text, "doc_to_text", "\"question\"");
    change(&x, &x.t.choice, "doc_to_choice", "\"{{ choices if id != 12 else topic }}\"");
    refuses(&x, &o, MU_EINVAL, "document 3, doc_to_choice: ");
    change(&x, &x.t.choice, "doc_to_choice", "\"topic\"");
    refuses(&x, &o, MU_EINVAL, "document 0, doc_to_choice: the choices are not a list");
    change(&x, &x.t.choice, "doc_to_choice", "\"choses\"");
    refuses(&x, &o, MU_EINVAL,
            "document 0, doc_to_choice: \"choses\" is neither a column of the documents nor a list; did you mean the "
            "column \"choices\"?");
    change(&x, &x.t.choice, "doc_to_choice", "\"choices\"");
    json_object_set_new(json_array_get(x.docs, 1), "spare", json_null());
    json_object_set_new(json_array_get(x.docs, 0), "spare", json_integer(0));
    change(&x, &x.t.target, "doc_to_target", "\"spare\"");
    refuses(&x, &o, MU_EINVAL, "task mc_plain, document 1, doc_to_target: the right choice is null; it must be");
    change(&x, &x.t.choice, "doc_to_choice", "[\"a\", 2]");
    refuses(&x, &o, MU_EINVAL, "doc_to_choice: choice 1 must be a text");
    change(&x, &x.t.choice, "doc_to_choice", "[]");
    refuses(&x, &o, MU_EINVAL, "doc_to_choice: there are no choices");
    x.t.target_delimiter = "";
    change(&x, &x.t.choice, "doc_to_choice", "[\"a\", \"\"]");
    refuses(&x, &o, MU_EINVAL, "document 0, doc_to_choice: the continuation is empty");
    close_fixture(&x);
}

XT_TEST(text_that_is_none_is_refused)
{
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct fixture x;
    open_fixture(&x, "open_ll");
    change(&x, &x.t.target, "doc_to_target", "\"answers\"");
    refuses(&x, &o, MU_EINVAL, "document 0, doc_to_target: the continuation of a loglikelihood task must be a text");
    change(&x, &x.t.target, "doc_to_target", "\"\"");
    refuses(&x, &o, MU_EINVAL, "doc_to_target: the continuation is empty");
    change(&x, &x.t.text, "doc_to_text", "\"answers\"");
    refuses(&x, &o, MU_EINVAL, "doc_to_text: the question must be a text");
    change(&x, &x.t.text, "doc_to_text", "3");
    refuses(&x, &o, MU_EINVAL, "doc_to_text: the question must be a text");
    close_fixture(&x);
}

XT_TEST(answers_of_examples_are_choices_or_texts)
{
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct fixture x;
    open_fixture(&x, "mc_three_shots");
    change(&x, &x.t.fewshot.target, "doc_to_target", "7");
    refuses(&x, &o, MU_EINVAL, "of train, doc_to_target: the answer is choice 7, but there are 3 choices");
    change(&x, &x.t.fewshot.target, "doc_to_target", "\"weight\"");
    refuses(&x, &o, MU_EINVAL, "doc_to_target: the answer of an example must be a text or the index of a choice");
    close_fixture(&x);
}

XT_TEST(a_pool_too_small_is_refused_with_its_numbers)
{
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct fixture x;
    open_fixture(&x, "mc_same_split");
    o.num_fewshot = 9;
    refuses(&x, &o, MU_EINVAL, "9 few-shot examples are asked for, but test has only 8 documents");
    o.num_fewshot = 8;
    refuses(&x, &o, MU_EINVAL, "8 few-shot examples and one to spare for the document itself are drawn");
    json_array_append(x.fewshot, json_array_get(x.fewshot, 3));
    refuses(&x, &o, MU_EINVAL, "document 3, 8 few-shot examples are asked for, but only 7 documents of test are not");
    close_fixture(&x);
}

/* Rows: make_fewshot.py. */
XT_TEST(copies_of_the_document_that_were_drawn_are_drawn_again)
{
    static const int64_t want[][3] = {{7, 1, 0}, {7, 2, 1}, {6, 5, 4}, {9, 7, 2}, {2, 1, 0}, {0, 5, 7},
                                      {8, 9, 0}, {1, 4, 7}, {4, 5, 0}, {8, 1, 0}, {2, 7, 6}, {0, 1, 7}};
    struct mu_err err = MU_ERR_INIT;
    struct mu_shots s;
    struct fixture x;
    open_fixture(&x, "mc_same_split");
    for (int i = 0; i < 3; i++)
        json_array_append_new(x.fewshot, json_deep_copy(json_array_get(x.fewshot, 3)));
    XT_OK(mu_shots_init(&s, &x.t, json_array_get(x.docs, 0), x.fewshot, 3, 1234, false, &err));
    for (size_t i = 0; i < MU_COUNT(want); i++) {
        XT_OK(mu_shots_draw(&s, json_array_get(x.docs, i % 3 ? 3 : 5), &err));
        XT_CHECKF(memcmp(s.drawn, want[i], sizeof want[i]) == 0, "document %zu: %d %d %d", i, (int)s.drawn[0],
                  (int)s.drawn[1], (int)s.drawn[2]);
    }
    mu_shots_fini(&s);
    close_fixture(&x);
}

static int refuse_eleven(const json_t *doc, struct mu_err *e)
{
    return json_integer_value(json_object_get(doc, "id")) == 11 ? mu_fail(e, MU_EUNSUPPORTED, "odd") : MU_OK;
}

XT_TEST(documents_that_cannot_be_measured_are_refused)
{
    static const struct mu_function results = {.kind = MU_FUNCTION_RESULTS, .check = refuse_eleven};
    static const struct mu_processor used = {.results = &results};
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_work *w = NULL;
    struct fixture x;
    open_fixture(&x, "mc_plain");
    x.t.processor = &used;
    refuses(&x, &o, MU_EUNSUPPORTED, "task mc_plain, document 2, odd");
    o.limit = 2;
    XT_OK(mu_work_build_from(&x.t, &o, x.docs, x.fewshot, (int64_t)json_array_size(x.docs), &w, &err));
    mu_work_free(w);
    o.limit = 0;
    o.predict_only = true; /* nothing is measured */
    XT_OK(mu_work_build_from(&x.t, &o, x.docs, x.fewshot, (int64_t)json_array_size(x.docs), &w, &err));
    mu_work_free(w);
    close_fixture(&x);
}

static int no_samples(json_t **out, struct mu_err *e)
{
    (void)out;
    return mu_fail(e, MU_EUNSUPPORTED, "the samples are not ours to ship");
}

static int last_two(const json_t *docs, json_t **out, struct mu_err *e)
{
    size_t n = json_array_size(docs);
    *out = json_pack("[O, O]", json_array_get(docs, n - 1), json_array_get(docs, n - 2));
    return *out ? MU_OK : mu_fail_nomem(e, 1, "samples");
}

/* As MBPP's: shots are documents of a split that holds nothing else. */
XT_TEST(shots_of_a_function_come_from_its_split_where_it_is_at_hand)
{
    struct mu_function samples = {
        .kind = MU_FUNCTION_SAMPLES, .samples = no_samples, .samples_split = "train", .samples_from = last_two};
    const struct mu_processor used = {.samples = &samples};
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_task_index *ix = NULL;
    struct mu_task_set *set = NULL;
    struct mu_work *w = NULL;
    const char *folder = FOLDER, *name = "mc_three_shots";
    XT_OK(mu_task_index_open(&ix, &folder, 1, &err));
    XT_OK(mu_task_index_select(ix, &name, 1, &set, &err));
    struct mu_task *t = (struct mu_task *)(uintptr_t)set->task[0]; /* changed below */
    t->processor = &used;
    t->fewshot.split = NULL;
    t->fewshot.sampler = MU_SAMPLER_FIRST_N;
    o.num_fewshot = 2;
    o.limit = 1;
    XT_OK(mu_work_build(t, &o, &w, &err));
    json_t *docs = load_lines("quiz_train.jsonl");
    const char *last = text_of(json_array_get(docs, json_array_size(docs) - 1), "question", "?");
    XT_CHECKF(strstr(w->request[0].context->p, last), "\"%s\" is not in \"%s\"", last, w->request[0].context->p);
    mu_work_free(w);
    json_decref(docs);
    samples.samples_split = "nowhere";
    XT_FAILS(mu_work_build(t, &o, &w, &err), MU_EUNSUPPORTED, "not ours to ship");
    t->processor = NULL;
    mu_task_set_free(set);
    mu_task_index_close(ix);
}

XT_TEST(limits_and_chosen_documents_are_checked)
{
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    int64_t ids[] = {1, 1, 8};
    struct fixture x;
    open_fixture(&x, "mc_plain");
    o.limit = -1;
    refuses(&x, &o, MU_EINVAL, "limit -1 must be");
    o.limit = (double)NAN;
    refuses(&x, &o, MU_EINVAL, "must be");
    o.doc_ids = ids;
    o.n_doc_ids = 2;
    o.limit = 0;
    refuses(&x, &o, MU_EINVAL, "must increase, but 1 follows 1");
    o.doc_ids = ids + 1;
    refuses(&x, &o, MU_EINVAL, "document 8 was chosen, but the documents are 0 to 7");
    json_array_clear(x.docs);
    refuses(&x, &o, MU_EINVAL, "there are no documents");
    close_fixture(&x);
}

XT_TEST(generation_arguments_of_wrong_types_are_refused)
{
    static const struct {
        const char *kwargs, *part;
    } bad[] = {{"{\"until\": 3}", "until must be"},
               {"{\"until\": [\"a\", null]}", "until must be"},
               {"{\"max_gen_toks\": -1}", "max_gen_toks must be"},
               {"{\"max_new_tokens\": 1.5}", "max_new_tokens must be"},
               {"{\"temperature\": \"hot\"}", "temperature must be"},
               {"{\"do_sample\": 1}", "do_sample must be"},
               {"{\"top_p\": 2}", "top_p must be"}};
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct fixture x;
    json_t *kwargs = NULL;
    open_fixture(&x, "open_defaults");
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        XT_OK(mu_json_parse(&kwargs, mu_str(bad[i].kwargs), "a test", &err));
        o.gen_kwargs = kwargs;
        refuses(&x, &o, MU_EINVAL, bad[i].part);
        json_decref(kwargs);
    }
    close_fixture(&x);
}

/* ---- memory ---- */

XT_TEST(equal_contexts_are_one_text)
{
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_work *w = NULL;
    struct fixture x;
    open_fixture(&x, "mc_three_shots");
    change(&x, &x.t.text, "doc_to_text", "\"Guess.\"");
    o.num_fewshot = 0;
    XT_OK(mu_work_build_from(&x.t, &o, x.docs, x.fewshot, 8, &w, &err));
    XT_EQ(w->n_requests, 24);
    XT_EQ(w->request[0].context->refs, 24);
    for (int i = 0; i < w->n_requests; i++)
        XT_CHECK(w->request[i].context == w->request[0].context);
    mu_work_free(w);
    close_fixture(&x);
}

static int build_once(void *arg, struct mu_err *e)
{
    const struct fixture *x = arg;
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct mu_work *w = NULL;
    o.limit = 2;
    int rc = mu_work_build_from(&x->t, &o, x->docs, x->fewshot, (int64_t)json_array_size(x->docs), &w, e);
    mu_work_free(w);
    return rc;
}

XT_TEST(every_failed_allocation_is_told)
{
    static const char *const names[] = {"mc_prefix", "pairs", "open_until"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        struct fixture x;
        open_fixture(&x, names[i]);
        xt_each_alloc_fails(build_once, &x);
        close_fixture(&x);
    }
}

XT_TEST(values_are_equal_as_in_python)
{
    static const struct {
        const char *a, *b;
        bool is_equal;
    } rows[] = {{"1", "1.0", true},
                {"1", "true", true},
                {"0", "false", true},
                {"0", "null", false},
                {"\"1\"", "1", false},
                {"{\"a\": 1, \"b\": [1, 2]}", "{\"b\": [1.0, 2], \"a\": true}", true},
                {"{\"a\": 1}", "{\"a\": 1, \"b\": null}", false},
                {"[1, 2]", "[2, 1]", false},
                {"9007199254740993", "9007199254740992.0", false},
                {"9007199254740992", "9007199254740992.0", true},
                {"\"a\\u0000b\"", "\"a\\u0000c\"", false}};
    struct mu_err err = MU_ERR_INIT;
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        json_t *a = NULL, *b = NULL;
        XT_OK(mu_json_parse(&a, mu_str(rows[i].a), "a", &err));
        XT_OK(mu_json_parse(&b, mu_str(rows[i].b), "b", &err));
        XT_CHECKF(mu_py_equal(a, b) == rows[i].is_equal && mu_py_equal(b, a) == rows[i].is_equal, "%s == %s", rows[i].a,
                  rows[i].b);
        json_decref(a);
        json_decref(b);
    }
}

XT_MAIN()
