/* bundle_doc.c - a document's line: what was asked about it, with final texts */
#include "eval/bundle_int.h"

#include "base/check.h"
#include "base/json.h"
#include "eval/docs/used.h"

/* What the document stands in. */
struct at {
    struct mu_bundle *b;
    const struct mu_task *t;
    struct mu_builder *builder;
    int64_t id;
};

static int fault(const struct at *a, int code, const char *sentence)
{
    return mu_fail(a->b->e, code, "task %s, document %lld: %s", a->t->name, (long long)a->id, sentence);
}

static bool has_text(const json_t *request, const char *key, struct mu_str *out)
{
    const json_t *v = json_object_get(request, key);
    *out = (struct mu_str){json_string_value(v), json_string_length(v)};
    return json_is_string(v);
}

/* A context that is left out is the one before. */
static int ask(const struct at *a, const json_t *request, struct mu_str *context)
{
    static const enum mu_ask asks[] = {[MU_OUTPUT_LOGLIKELIHOOD] = MU_ASK_LOGLIKELIHOOD,
                                       [MU_OUTPUT_ROLLING] = MU_ASK_ROLLING,
                                       [MU_OUTPUT_MULTIPLE_CHOICE] = MU_ASK_LOGLIKELIHOOD,
                                       [MU_OUTPUT_GENERATE] = MU_ASK_GENERATE};
    json_t *kwargs = json_object_get(request, "gen_kwargs");
    struct mu_str continuation;
    enum mu_ask kind = asks[a->t->output_type];
    bool has_continuation = has_text(request, "continuation", &continuation);

    if (json_object_get(request, "context") && !has_text(request, "context", context))
        return fault(a, MU_EFORMAT, "\"context\" of a request must be a text");
    if (!context->p)
        return fault(a, MU_EFORMAT, "the first request needs a \"context\"");
    if ((kind == MU_ASK_LOGLIKELIHOOD) != has_continuation || (has_continuation && continuation.n == 0))
        return fault(a, MU_EFORMAT,
                     "\"continuation\" must be a text that is not empty, on loglikelihood requests and no others");
    if ((kind == MU_ASK_GENERATE) != json_is_object(kwargs))
        return fault(a, MU_EFORMAT, "\"gen_kwargs\" must be an object, on generation requests and no others");
    if (kwargs && mu_gen_kwargs_check(kwargs, a->b->e) != MU_OK)
        return fault(a, MU_EINVAL, a->b->e->text);
    return mu_builder_ask(a->builder, kind, context, has_continuation ? &continuation : NULL, kwargs, a->b->e);
}

static bool is_measured_by_rule(const struct mu_task *t)
{
    return strcmp(t->metric[0].name, "bypass") != 0 && !(t->processor && t->processor->results);
}

static bool asks_twice(const struct mu_task *t)
{
    for (int i = 0; i < t->n_metrics; i++) {
        if (strcmp(t->metric[i].name, "acc_mutual_info") == 0)
            return true;
    }
    return false;
}

/* Measures read as many responses as these; Python that scores itself knows its own number. */
static int check_count(const struct at *a, const json_t *choices, size_t n)
{
    size_t want = 1, n_choices = json_array_size(choices);
    if (n == 0 || n > MU_BUNDLE_REQUESTS_MAX)
        return fault(a, MU_EFORMAT, "\"requests\" must be a list of 1 to 100000 requests");
    if (!is_measured_by_rule(a->t))
        return MU_OK;
    if (a->t->output_type == MU_OUTPUT_MULTIPLE_CHOICE)
        want = asks_twice(a->t) ? 2 * n_choices : n_choices;
    return n == want ? MU_OK
                     : mu_fail(a->b->e, MU_EFORMAT, "task %s, document %lld: it has %zu requests and %zu choices",
                               a->t->name, (long long)a->id, n, n_choices);
}

static int check_choices(const struct at *a, const json_t *choices)
{
    size_t n = json_array_size(choices);
    if (choices && !json_is_array(choices))
        return fault(a, MU_EFORMAT, "\"choices\" must be a list");
    for (size_t i = 0; a->t->output_type == MU_OUTPUT_MULTIPLE_CHOICE && i < n; i++) {
        if (!json_is_string(json_array_get(choices, i)))
            return fault(a, MU_EFORMAT, "\"choices\" must be a list of texts");
    }
    return MU_OK;
}

static int find_task(struct at *a, const json_t *line)
{
    struct mu_bundle *b = a->b;
    const char *name = mu_bundle_text(line, "task");
    const json_t *at = name ? json_object_get(b->task_at, name) : NULL;
    if (!at)
        return mu_fail(b->e, MU_EFORMAT, "\"task\" must name a task whose line stands above%s%s", name ? ", not " : "",
                       name ? name : "");
    int i = (int)json_integer_value(at);
    a->t = b->set->task[i];
    a->builder = &b->builder[i];
    MU_TRY_RETURN(mu_json_int(line, "doc_id", 0, INT32_MAX, &a->id, "a document", b->e));
    const struct mu_work *w = a->builder->work;
    if (w->n_docs && w->doc[w->n_docs - 1].id >= a->id)
        return fault(a, MU_EFORMAT, "doc_id must increase within a task");
    if (a->id >= w->n_original)
        return fault(a, MU_EFORMAT, "doc_id is not below the task's n_original");
    return MU_OK;
}

static int add(const struct at *a, const json_t *line)
{
    json_t *doc = json_object_get(line, "doc"), *target = json_object_get(line, "target");
    json_t *choices = json_object_get(line, "choices"), *text = json_object_get(line, "text");
    const json_t *requests = json_object_get(line, "requests");
    struct mu_err why = MU_ERR_INIT;
    if (!json_is_object(doc) || !target)
        return fault(a, MU_EFORMAT, "it needs \"doc\", an object, and \"target\"");
    if (a->builder->work->is_multiple_input && !text)
        return fault(a, MU_EFORMAT, "it needs \"text\", the index of the right context: the task has multiple inputs");
    MU_TRY_RETURN(check_choices(a, choices));
    MU_TRY_RETURN(check_count(a, choices, json_array_size(requests)));
    if (a->t->output_type == MU_OUTPUT_MULTIPLE_CHOICE && !(a->t->processor && a->t->processor->results) &&
        mu_gold_check(a->builder->work->is_multiple_input ? text : target, &why) != MU_OK)
        return fault(a, MU_EFORMAT, why.text);
    return mu_builder_doc(a->builder, a->id, json_incref(doc), json_incref(target), json_incref(choices),
                          json_incref(text), a->b->e);
}

int mu_bundle_doc(struct mu_bundle *b, const json_t *line)
{
    struct at a = {.b = b};
    struct mu_str context = {NULL, 0};
    MU_TRY_RETURN(find_task(&a, line));
    MU_TRY_RETURN(add(&a, line));
    const json_t *requests = json_object_get(line, "requests");
    for (size_t i = 0; i < json_array_size(requests); i++)
        MU_TRY_RETURN(ask(&a, json_array_get(requests, i), &context));
    return MU_OK;
}
