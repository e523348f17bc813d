/* build.c - a task's documents to a work
 *
 * Source: lm_eval/api/task.py build_all_requests, fewshot_context, doc_iterator; lm_eval/evaluator.py. */
#include "eval/build_int.h"

#include <math.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/dataset.h"
#include "eval/docs/used.h"

#define CHOICES_MAX 100000 /* contexts of one document, where choices are contexts */

/* What one document has besides its row in the work. */
struct prompt_parts {
    json_t *text;
    struct mu_buf prefix, description, system;
    struct mu_qa last;
};

struct build {
    const struct mu_task *t;
    const struct mu_build_opts *o;
    const json_t *columns; /* a document of the split */
    struct mu_builder b;
    struct mu_shots shots;
    struct prompt_parts parts;
    struct mu_buf *contexts; /* n_contexts, kept from document to document */
    int n_contexts;
};

/* ---- what is evaluated ---- */

static int used_fewshot(const struct mu_task *t, const struct mu_build_opts *o)
{
    return t->num_fewshot == 0 || o->num_fewshot < 0 ? MU_MAX(t->num_fewshot, 0) : o->num_fewshot;
}

static int check_doc_ids(const struct mu_build_opts *o, int64_t n_docs, struct mu_err *e)
{
    if (o->limit != 0.0)
        return mu_fail(e, MU_EINVAL, "a limit and chosen documents exclude each other: give one of them");
    if (o->n_doc_ids <= 0)
        return mu_fail(e, MU_EINVAL, "the list of chosen documents is empty");
    for (int i = 0; i < o->n_doc_ids; i++) {
        if (o->doc_ids[i] < 0 || o->doc_ids[i] >= n_docs)
            return mu_fail(e, MU_EINVAL, "document %lld was chosen, but the documents are 0 to %lld",
                           (long long)o->doc_ids[i], (long long)n_docs - 1);
        if (i > 0 && o->doc_ids[i] <= o->doc_ids[i - 1])
            return mu_fail(e, MU_EINVAL, "the chosen documents must increase, but %lld follows %lld",
                           (long long)o->doc_ids[i], (long long)o->doc_ids[i - 1]);
    }
    return MU_OK;
}

/* How many documents from the start; a share is of all of them, rounded up. */
static int count_limited(const struct mu_build_opts *o, int64_t n_original, int64_t n_docs, int64_t *out,
                         struct mu_err *e)
{
    if (!(o->limit >= 0.0))
        return mu_fail(e, MU_EINVAL, "limit %g must be 0 for all documents, a share below 1, or a count", o->limit);
    double n = o->limit < 1.0 ? ceil((double)n_original * o->limit) : floor(o->limit);
    *out = n == 0.0 || n > (double)n_docs ? n_docs : (int64_t)n;
    return MU_OK;
}

static int count_docs(const struct mu_build_opts *o, int64_t n_original, int64_t n_docs, int64_t *out, struct mu_err *e)
{
    if (n_docs == 0)
        return mu_fail(e, MU_EINVAL, "there are no documents to evaluate");
    if (!o->doc_ids)
        return count_limited(o, n_original, n_docs, out, e);
    *out = o->n_doc_ids;
    return check_doc_ids(o, n_docs, e);
}

/* ---- once a task ---- */

/* The harness looks at the first document of the split, evaluated or not. */
static int look_at_first(struct build *x, struct mu_err *e)
{
    const struct mu_task *t = x->t;
    struct mu_work *w = x->b.work;
    json_t *text = NULL, *target = NULL, *choices = NULL;
    int rc = MU_OK;

    if (t->output_type != MU_OUTPUT_ROLLING)
        MU_TRY(mu_field_text(t, &t->text, x->columns, x->columns, &text, e));
    MU_TRY(mu_field_target(t, &t->target, x->columns, x->columns, &target, e));
    if (t->choice.kind != MU_FIELD_NONE)
        MU_TRY(mu_field_choices(&t->choice, x->columns, x->columns, &choices, e));
    w->is_multiple_input = text && mu_py_is_int(text) && json_array_size(choices) > 0;
    w->has_multiple_targets = json_array_size(target) > 0;
out:
    json_decref(text);
    json_decref(target);
    json_decref(choices);
    return rc == MU_OK || !e ? rc : mu_fail(e, rc, "document 0, %s", e->text);
}

/* ---- once a document ---- */

static void drop_parts(struct prompt_parts *p)
{
    json_decref(p->text);
    p->text = NULL;
    mu_qa_fini(&p->last);
}

static int make_system(struct build *x, const json_t *doc, struct mu_err *e)
{
    struct prompt_parts *p = &x->parts;
    struct mu_str instruction = mu_str(x->o->system_instruction ? x->o->system_instruction : "");
    MU_TRY_RETURN(mu_field_plain(&x->t->description, doc, doc, &p->description, e));
    mu_buf_clear(&p->system);
    return mu_join(&p->system, instruction, mu_buf_str(&p->description), x->t->fewshot_delimiter, e);
}

static int render_context(struct build *x, const json_t *question, const char *delimiter, struct mu_buf *out,
                          struct mu_err *e)
{
    struct prompt_parts *p = &x->parts;
    struct mu_prompt prompt = {.system = mu_buf_str(&p->system),
                               .shot = x->shots.qa,
                               .n_shots = x->shots.n,
                               .last = &p->last,
                               .has_prefix = p->prefix.n > 0};
    mu_qa_fini(&p->last);
    mu_buf_clear(out);
    MU_TRY_RETURN(mu_qa_make(&p->last, question, NULL, NULL, mu_buf_str(&p->prefix), delimiter, "", e));
    return mu_prompt_render(&prompt, x->o, out, e);
}

static int need_contexts(struct build *x, size_t n, struct mu_err *e)
{
    if (n > CHOICES_MAX)
        return mu_fail(e, MU_ELIMIT, "doc_to_choice: %zu choices as contexts, but %d is the most", n, CHOICES_MAX);
    if (n <= (size_t)x->n_contexts)
        return MU_OK;
    struct mu_buf *bigger = mu_realloc(x->contexts, n * sizeof *bigger);
    if (!bigger)
        return mu_fail_nomem(e, n * sizeof *bigger, "the contexts of a document");
    x->contexts = bigger;
    while ((size_t)x->n_contexts < n)
        x->contexts[x->n_contexts++] = (struct mu_buf)MU_BUF_INIT("a prompt", MU_PROMPT_BYTES_MAX);
    return MU_OK;
}

/* The contexts of a document: one, or one a choice. */
static int make_contexts(struct build *x, const json_t *doc, const json_t *choices, int *n, struct mu_err *e)
{
    bool is_many = x->b.work->is_multiple_input;
    *n = is_many ? (int)MU_MIN(json_array_size(choices), (size_t)CHOICES_MAX + 1) : 1;
    MU_TRY_RETURN(need_contexts(x, (size_t)*n, e));
    MU_TRY_RETURN(make_system(x, doc, e));
    MU_TRY_RETURN(mu_shots_draw(&x->shots, doc, e));
    if (!is_many)
        return render_context(x, x->parts.text, x->t->target_delimiter, x->contexts, e);
    for (int i = 0; i < *n; i++) {
        const json_t *choice = json_array_get(choices, (size_t)i);
        if (!json_is_string(choice))
            return mu_fail(e, MU_EINVAL, "doc_to_choice: choice %d must be a text", i);
        MU_TRY_RETURN(render_context(x, choice, "", &x->contexts[i], e));
    }
    return MU_OK;
}

/* Adds the document with its target and choices, and leaves doc_to_text's value in parts. */
static int add_doc(struct build *x, int64_t id, json_t *doc, struct mu_err *e)
{
    const struct mu_task *t = x->t;
    json_t *target = NULL, *choices = NULL, *index = NULL;
    int rc = MU_OK;

    if (t->output_type != MU_OUTPUT_ROLLING) {
        MU_TRY(mu_field_text(t, &t->text, x->columns, doc, &x->parts.text, e));
        MU_TRY(mu_field_plain(&t->gen_prefix, x->columns, doc, &x->parts.prefix, e));
    }
    if (t->choice.kind != MU_FIELD_NONE)
        MU_TRY(mu_field_choices(&t->choice, x->columns, doc, &choices, e));
    MU_TRY(mu_field_target(t, &t->target, x->columns, doc, &target, e));
    if (x->b.work->is_multiple_input)
        index = json_incref(x->parts.text);
    return mu_builder_doc(&x->b, id, json_incref(doc), target, choices, index, e);
out:
    json_decref(target);
    json_decref(choices);
    return rc;
}

/* A document that process_results cannot measure is told before anything is computed for it. */
static int check_measurable(const struct build *x, const json_t *doc, struct mu_err *e)
{
    const struct mu_processor *p = x->t->processor;
    if (!p || !p->results || !p->results->check || x->o->predict_only)
        return MU_OK;
    return p->results->check(doc, e);
}

static int build_doc(struct build *x, int64_t id, json_t *doc, struct mu_err *e)
{
    int rc, n = 0;
    if (!json_is_object(doc))
        return mu_fail(e, MU_EINVAL, "it is no object with columns");
    MU_TRY_RETURN(check_measurable(x, doc, e));
    MU_TRY(add_doc(x, id, doc, e));
    const struct mu_work *w = x->b.work;
    if (x->t->output_type != MU_OUTPUT_ROLLING)
        MU_TRY(make_contexts(x, doc, w->doc[w->n_docs - 1].choices, &n, e));
    MU_TRY(mu_builder_requests(&x->b, x->contexts, n, e));
out:
    drop_parts(&x->parts);
    return rc;
}

static int build_docs(struct build *x, const json_t *docs, int64_t n, struct mu_err *e)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t id = x->o->doc_ids ? x->o->doc_ids[i] : i;
        int rc = build_doc(x, id, json_array_get(docs, (size_t)id), e);
        if (rc != MU_OK)
            return e ? mu_fail(e, rc, "document %lld, %s", (long long)id, e->text) : rc;
    }
    return MU_OK;
}

/* ---- all of it ---- */

static void fini(struct build *x)
{
    for (int i = 0; i < x->n_contexts; i++)
        mu_buf_fini(&x->contexts[i]);
    mu_free(x->contexts);
    drop_parts(&x->parts);
    mu_buf_fini(&x->parts.prefix);
    mu_buf_fini(&x->parts.description);
    mu_buf_fini(&x->parts.system);
    mu_shots_fini(&x->shots);
    mu_builder_fini(&x->b);
}

static int build(struct build *x, const json_t *docs, const json_t *fewshot_docs, int64_t n_original, struct mu_err *e)
{
    const struct mu_build_opts *o = x->o;
    int n_shots = used_fewshot(x->t, o);
    int64_t n = 0;
    MU_TRY_RETURN(count_docs(o, n_original, (int64_t)json_array_size(docs), &n, e));
    x->columns = json_array_get(docs, 0);
    if (!json_is_object(x->columns))
        return mu_fail(e, MU_EINVAL, "document 0: it is no object with columns");
    MU_TRY_RETURN(mu_builder_init(&x->b, x->t, o, e));
    x->b.work->num_fewshot = n_shots;
    x->b.work->n_original = n_original;
    MU_TRY_RETURN(look_at_first(x, e));
    /* A rolling task asks about the text alone: shots are counted, never drawn. */
    if (x->t->output_type == MU_OUTPUT_ROLLING)
        n_shots = 0;
    MU_TRY_RETURN(mu_shots_init(&x->shots, x->t, x->columns, fewshot_docs, n_shots, o->fewshot_seed,
                                x->b.work->is_multiple_input, e));
    return build_docs(x, docs, n, e);
}

int mu_work_build_from(const struct mu_task *t, const struct mu_build_opts *o, const json_t *docs,
                       const json_t *fewshot_docs, int64_t n_original, struct mu_work **out, struct mu_err *e)
{
    struct build x = {.t = t, .o = o};
    x.parts.prefix = (struct mu_buf)MU_BUF_INIT("gen_prefix", MU_PROMPT_BYTES_MAX);
    x.parts.description = (struct mu_buf)MU_BUF_INIT("a description", MU_PROMPT_BYTES_MAX);
    x.parts.system = (struct mu_buf)MU_BUF_INIT("a system instruction", MU_PROMPT_BYTES_MAX);
    mu_json_init();
    int rc = build(&x, docs, fewshot_docs, n_original, e);
    if (rc == MU_OK) {
        *out = x.b.work;
        x.b.work = NULL;
    }
    fini(&x);
    return rc == MU_OK || !e ? rc : mu_fail(e, rc, "task %s, %s", t->name, e->text);
}

/* ---- documents from files ---- */

/* A split as the shots see it: through their own process_docs, which most take over from the task. */
static int load_shots_of(const struct mu_task *t, const struct mu_build_opts *o, const char *split, json_t **out,
                         struct mu_err *e)
{
    static const struct mu_processor none = {0};
    const struct mu_processor *p = t->processor ? t->processor : &none;
    bool is_task_s = p->fewshot_docs == p->docs;
    json_t *raw = NULL;
    MU_TRY_RETURN(mu_dataset_load(t, split, is_task_s, o->data_dirs, o->n_data_dirs, &raw, e));
    if (is_task_s || !p->fewshot_docs) {
        *out = raw;
        return MU_OK;
    }
    int rc = p->fewshot_docs->docs(raw, out, e);
    json_decref(raw);
    return rc == MU_OK ? rc : mu_err_while(e, rc, "making the few-shot examples of task %s", t->name);
}

/* Shots that a function picks from a split of the data set. *out NULL: the split is not at hand. */
static int pick_samples(const struct mu_task *t, const struct mu_build_opts *o, json_t **out, struct mu_err *e)
{
    const struct mu_function *f = t->processor->samples;
    struct mu_err why = MU_ERR_INIT;
    json_t *docs = NULL;
    int rc;

    *out = NULL;
    if (!f->samples_split || !f->samples_from)
        return MU_OK;
    rc = mu_dataset_load(t, f->samples_split, false, o->data_dirs, o->n_data_dirs, &docs, &why);
    if (rc == MU_ENOENT)
        return MU_OK; /* the function says what can be done without */
    if (rc != MU_OK)
        return mu_fail(e, rc, "%s", why.text);
    rc = f->samples_from(docs, out, e);
    json_decref(docs);
    return rc;
}

static int load_samples(const struct mu_task *t, const struct mu_build_opts *o, json_t **out, struct mu_err *e)
{
    if (t->fewshot.samples) {
        *out = json_incref(t->fewshot.samples);
        return MU_OK;
    }
    MU_TRY_RETURN(pick_samples(t, o, out, e));
    return *out ? MU_OK : t->processor->samples->samples(out, e);
}

/* Where shots come from: the split named, documents written out, else the first split there is. */
static int load_fewshot(const struct mu_task *t, const struct mu_build_opts *o, const char *evaluated, json_t *docs,
                        json_t **out, struct mu_err *e)
{
    const struct mu_processor *p = t->processor;
    const char *split = t->training_split ? t->training_split : t->validation_split ? t->validation_split : evaluated;
    if (t->fewshot.split && (strcmp(t->fewshot.split, evaluated) != 0 || (p && p->fewshot_docs != p->docs)))
        return load_shots_of(t, o, t->fewshot.split, out, e);
    if (!t->fewshot.split && (t->fewshot.samples || (p && p->samples)))
        return load_samples(t, o, out, e);
    if (!t->fewshot.split && strcmp(split, evaluated) != 0)
        return mu_dataset_load(t, split, true, o->data_dirs, o->n_data_dirs, out, e);
    *out = json_incref(docs);
    return MU_OK;
}

int mu_work_build(const struct mu_task *t, const struct mu_build_opts *o, struct mu_work **out, struct mu_err *e)
{
    const char *split = t->test_split ? t->test_split : t->validation_split;
    json_t *docs = NULL, *fewshot = NULL;
    int rc;

    if (!split)
        return mu_fail(e, MU_EINVAL, "task %s has neither test_split nor validation_split: nothing to evaluate",
                       t->name);
    MU_TRY(mu_dataset_load(t, split, true, o->data_dirs, o->n_data_dirs, &docs, e));
    if (used_fewshot(t, o) > 0 && t->output_type != MU_OUTPUT_ROLLING)
        MU_TRY(load_fewshot(t, o, split, docs, &fewshot, e));
    MU_TRY(mu_work_build_from(t, o, docs, fewshot, (int64_t)json_array_size(docs), out, e));
out:
    json_decref(fewshot);
    json_decref(docs);
    return rc;
}
