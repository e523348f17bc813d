/* build_request.c - the requests of a document, and the texts that requests share
 *
 * Source: lm_eval/api/task.py construct_requests. */
#include "eval/build_int.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/docs/used.h"
#include "eval/py/value.h"

#define CONTINUATION_BYTES_MAX ((size_t)16 << 20)

/* ---- equal texts are one ---- */

static size_t find_slot(const struct mu_text_table *tt, struct mu_str s, uint64_t hash)
{
    size_t at = hash & (tt->n_slots - 1);
    for (; tt->slot[at]; at = (at + 1) & (tt->n_slots - 1)) {
        const struct mu_text *t = tt->slot[at];
        if (tt->hash[at] == hash && t->n == s.n && memcmp(t->p, s.p, s.n) == 0)
            break;
    }
    return at;
}

static int grow_table(struct mu_text_table *tt, struct mu_err *e)
{
    struct mu_text_table big = {.n = tt->n, .bytes = tt->bytes, .n_slots = tt->n_slots ? tt->n_slots * 2 : 64};
    MU_TRY_RETURN(MU_NEW_ARRAY(&big.slot, big.n_slots, "the texts of requests", e));
    int rc = MU_NEW_ARRAY(&big.hash, big.n_slots, "the texts of requests", e);
    if (rc != MU_OK) {
        mu_free(big.slot);
        return rc;
    }
    for (size_t i = 0; i < tt->n_slots; i++) {
        if (!tt->slot[i])
            continue;
        size_t at = find_slot(&big, (struct mu_str){tt->slot[i]->p, tt->slot[i]->n}, tt->hash[i]);
        big.slot[at] = tt->slot[i];
        big.hash[at] = tt->hash[i];
    }
    mu_text_table_fini(tt);
    *tt = big;
    return MU_OK;
}

int mu_text_intern(struct mu_text_table *tt, struct mu_str s, struct mu_text **out, struct mu_err *e)
{
    if (!s.p)
        s.p = "";
    if (tt->n * 2 >= tt->n_slots)
        MU_TRY_RETURN(grow_table(tt, e));
    uint64_t hash = mu_hash64(s.p, s.n, 0);
    size_t at = find_slot(tt, s, hash);
    if (tt->slot[at]) {
        *out = mu_text_keep(tt->slot[at]);
        return MU_OK;
    }
    if (s.n > MU_BUILD_TEXT_BYTES_MAX - tt->bytes)
        return mu_fail(e, MU_ELIMIT,
                       "the requests of one task hold more than %zu bytes of text; evaluate it in parts with --samples",
                       MU_BUILD_TEXT_BYTES_MAX);
    struct mu_text *t = mu_text_new(s, e);
    if (!t)
        return MU_ENOMEM;
    tt->slot[at] = t;
    tt->hash[at] = hash;
    tt->n++;
    tt->bytes += s.n;
    *out = t;
    return MU_OK;
}

void mu_text_table_fini(struct mu_text_table *tt)
{
    mu_free(tt->slot);
    mu_free(tt->hash);
    *tt = (struct mu_text_table){0};
}

/* ---- generation arguments ---- */

static int check_until(const json_t *until, struct mu_err *e)
{
    size_t n = json_array_size(until);
    bool is_good = !until || json_is_null(until) || json_is_string(until) || json_is_array(until);
    for (size_t i = 0; is_good && i < n; i++)
        is_good = json_is_string(json_array_get(until, i));
    return is_good ? MU_OK
                   : mu_fail(e, MU_EINVAL, "generation_kwargs: until must be a text or a list of texts to stop at");
}

static int check_max_tokens(const json_t *kwargs, const char *key, struct mu_err *e)
{
    const json_t *v = json_object_get(kwargs, key);
    if (!v || json_is_null(v))
        return MU_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > INT32_MAX)
        return mu_fail(e, MU_EINVAL, "generation_kwargs: %s must be a whole number of tokens from 1 to %d", key,
                       INT32_MAX);
    return MU_OK;
}

static int check_number(const json_t *kwargs, const char *key, double lo, double hi, struct mu_err *e)
{
    const json_t *v = json_object_get(kwargs, key);
    if (!v || json_is_null(v) || (json_is_number(v) && json_number_value(v) >= lo && json_number_value(v) <= hi))
        return MU_OK;
    return mu_fail(e, MU_EINVAL, "generation_kwargs: %s must be a number from %g to %g", key, lo, hi);
}

int mu_gen_kwargs_check(const json_t *kwargs, struct mu_err *e)
{
    static const char *const max_tokens[] = {"max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"};
    const json_t *do_sample = json_object_get(kwargs, "do_sample");
    MU_TRY_RETURN(check_until(json_object_get(kwargs, "until"), e));
    for (size_t i = 0; i < MU_COUNT(max_tokens); i++)
        MU_TRY_RETURN(check_max_tokens(kwargs, max_tokens[i], e));
    MU_TRY_RETURN(check_number(kwargs, "temperature", 0.0, 1e6, e));
    MU_TRY_RETURN(check_number(kwargs, "top_p", 0.0, 1.0, e));
    MU_TRY_RETURN(check_number(kwargs, "top_k", -1.0, 1e9, e));
    if (do_sample && !json_is_null(do_sample) && !json_is_boolean(do_sample))
        return mu_fail(e, MU_EINVAL, "generation_kwargs: do_sample must be true or false");
    return MU_OK;
}

static int merge_gen_kwargs(struct mu_builder *b, struct mu_err *e)
{
    json_t *over = (json_t *)(uintptr_t)b->o->gen_kwargs; /* only reference counts of its members change */
    b->gen_kwargs = b->task->generation_kwargs ? json_deep_copy(b->task->generation_kwargs) : json_object();
    if (!b->gen_kwargs || (over && json_object_update(b->gen_kwargs, over) != 0))
        return mu_fail(e, MU_ENOMEM, "out of memory for generation_kwargs");
    return mu_gen_kwargs_check(b->gen_kwargs, e);
}

/* ---- the work that grows ---- */

static struct mu_str field_source(const struct mu_field *f)
{
    return f->kind == MU_FIELD_TEXT ? mu_str(f->text) : (struct mu_str){"", 0};
}

/* The template ends the question itself; only a begun answer wants the delimiter, and then its source decides. */
static const char *choice_delimiter(const struct mu_task *t, const struct mu_build_opts *o)
{
    struct mu_str prefix = field_source(&t->gen_prefix);
    return !o->chat || (prefix.n && !mu_ends_with_space(prefix)) ? t->target_delimiter : "";
}

static bool asks_mutual_info(const struct mu_task *t, const struct mu_build_opts *o)
{
    for (int i = 0; i < t->n_metrics && !o->predict_only; i++) {
        if (strcmp(t->metric[i].name, "acc_mutual_info") == 0)
            return true;
    }
    return false;
}

int mu_builder_init(struct mu_builder *b, const struct mu_task *t, const struct mu_build_opts *o, struct mu_err *e)
{
    *b = (struct mu_builder){.task = t, .o = o};
    MU_TRY_RETURN(MU_NEW(&b->work, "the documents of a task", e));
    b->work->task = t;
    if (!o)
        return MU_OK;
    b->delimiter = choice_delimiter(t, o);
    b->has_mutual_info = asks_mutual_info(t, o);
    return t->output_type == MU_OUTPUT_GENERATE ? merge_gen_kwargs(b, e) : MU_OK;
}

void mu_builder_fini(struct mu_builder *b)
{
    mu_text_table_fini(&b->texts);
    json_decref(b->gen_kwargs);
    mu_work_free(b->work);
    *b = (struct mu_builder){0};
}

static int grow(void *array, int *cap, int n, size_t size, int max, const char *what, struct mu_err *e)
{
    void **p = array;
    if (n < *cap)
        return MU_OK;
    if (n >= max)
        return mu_fail(e, MU_ELIMIT, "one task may have %d %s; evaluate it in parts with --samples", max, what);
    int64_t want = MU_MIN((int64_t)*cap * 2 + 64, (int64_t)max);
    void *bigger = mu_realloc(*p, (size_t)want * size);
    if (!bigger)
        return mu_fail_nomem(e, (size_t)want * size, what);
    memset((char *)bigger + (size_t)n * size, 0, (size_t)(want - n) * size);
    *p = bigger;
    *cap = (int)want;
    return MU_OK;
}

int mu_builder_doc(struct mu_builder *b, int64_t id, json_t *doc, json_t *target, json_t *choices, json_t *text,
                   struct mu_err *e)
{
    struct mu_work *w = b->work;
    int rc = grow(&w->doc, &b->cap_docs, w->n_docs, sizeof *w->doc, MU_WORK_REQUESTS_MAX, "documents", e);
    if (rc != MU_OK) {
        json_decref(doc);
        json_decref(target);
        json_decref(choices);
        json_decref(text);
        return rc;
    }
    w->doc[w->n_docs++] = (struct mu_work_doc){
        .id = id, .doc = doc, .target = target, .choices = choices, .text = text, .first = w->n_requests};
    return MU_OK;
}

int mu_builder_ask(struct mu_builder *b, enum mu_ask ask, const struct mu_str *context,
                   const struct mu_str *continuation, json_t *gen_kwargs, struct mu_err *e)
{
    struct mu_work *w = b->work;
    struct mu_work_doc *d = &w->doc[w->n_docs - 1];
    MU_TRY_RETURN(
        grow(&w->request, &b->cap_requests, w->n_requests, sizeof *w->request, MU_WORK_REQUESTS_MAX, "requests", e));
    struct mu_ask_request *r = &w->request[w->n_requests];
    *r = (struct mu_ask_request){.ask = ask, .doc = w->n_docs - 1, .index = d->n};
    MU_TRY_RETURN(mu_text_intern(&b->texts, *context, &r->context, e));
    int rc = continuation ? mu_text_intern(&b->texts, *continuation, &r->continuation, e) : MU_OK;
    if (rc != MU_OK) {
        /* The table borrows the text: it must live while the table does. */
        w->n_requests++;
        return rc;
    }
    r->gen_kwargs = json_incref(gen_kwargs);
    w->n_requests++;
    d->n++;
    return MU_OK;
}

/* ---- by output type ---- */

static struct mu_str text_of(const json_t *v)
{
    return (struct mu_str){json_string_value(v), json_string_length(v)};
}

static int only_one(const struct mu_builder *b, int n_contexts, struct mu_err *e)
{
    if (n_contexts == 1)
        return MU_OK;
    return mu_fail(e, MU_EUNSUPPORTED,
                   "doc_to_text: it is an index, so the choices are the contexts; output_type %s cannot have that",
                   mu_output_type_name(b->task->output_type));
}

static int fail_empty(const char *field, struct mu_err *e)
{
    return mu_fail(e, MU_EINVAL, "%s: the continuation is empty, so there is nothing to score", field);
}

static int ask_loglikelihood(struct mu_builder *b, struct mu_str context, const json_t *target, struct mu_err *e)
{
    if (!json_is_string(target))
        return mu_fail(e, MU_EINVAL, "doc_to_target: the continuation of a loglikelihood task must be a text");
    struct mu_str continuation = text_of(target);
    if (continuation.n == 0)
        return fail_empty("doc_to_target", e);
    return mu_builder_ask(b, MU_ASK_LOGLIKELIHOOD, &context, &continuation, NULL, e);
}

static int ask_rolling(struct mu_builder *b, const json_t *target, struct mu_err *e)
{
    if (!json_is_string(target))
        return mu_fail(e, MU_EINVAL, "doc_to_target: the text of a loglikelihood_rolling task must be a text");
    struct mu_str text = text_of(target);
    return mu_builder_ask(b, MU_ASK_ROLLING, &text, NULL, NULL, e);
}

/* delimiter and value, as Python writes both into one string. */
static int ask_delimited(struct mu_builder *b, struct mu_str context, const json_t *value, const char *field,
                         struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a continuation", CONTINUATION_BYTES_MAX);
    int rc;
    MU_TRY(mu_buf_puts(&text, b->delimiter, e));
    MU_TRY(mu_py_str(&text, value, e));
    if (text.n == 0) {
        rc = fail_empty(field, e);
        goto out;
    }
    struct mu_str continuation = mu_buf_str(&text);
    rc = mu_builder_ask(b, MU_ASK_LOGLIKELIHOOD, &context, &continuation, NULL, e);
out:
    mu_buf_fini(&text);
    return rc;
}

static int check_choices(const json_t *choices, struct mu_err *e)
{
    size_t n = json_array_size(choices);
    if (n == 0)
        return mu_fail(e, MU_EINVAL, "doc_to_choice: there are no choices");
    for (size_t i = 0; i < n; i++) {
        if (!json_is_string(json_array_get(choices, i)))
            return mu_fail(e, MU_EINVAL, "doc_to_choice: choice %zu must be a text", i);
    }
    return MU_OK;
}

int mu_gold_check(const json_t *gold, struct mu_err *e)
{
    size_t n = json_is_array(gold) ? json_array_size(gold) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(gold) ? json_array_get(gold, i) : gold;
        if (!mu_py_is_int(one) && !json_is_string(one))
            return mu_fail(e, MU_EINVAL,
                           "doc_to_target: the right choice is %s; it must be the number of a choice from 0, or the "
                           "choice itself",
                           !one || json_is_null(one) ? "null" : "neither a whole number nor a text");
    }
    return MU_OK;
}

/* What measuring needs, told before anything is computed. A task's own process_results may read another column. */
static int check_gold(const struct mu_builder *b, const struct mu_work_doc *d, struct mu_err *e)
{
    const struct mu_processor *p = b->task->processor;
    if (p && p->results && !b->o->predict_only)
        return MU_OK;
    return mu_gold_check(b->work->is_multiple_input ? d->text : d->target, e);
}

static int ask_choices(struct mu_builder *b, const struct mu_buf *contexts, int n_contexts, const struct mu_work_doc *d,
                       struct mu_err *e)
{
    const struct mu_str none = {"", 0};
    const json_t *choices = d->choices;
    MU_TRY_RETURN(check_choices(choices, e));
    MU_TRY_RETURN(check_gold(b, d, e));
    size_t n = json_array_size(choices);
    for (int i = 0; b->work->is_multiple_input && i < n_contexts; i++)
        MU_TRY_RETURN(ask_delimited(b, mu_buf_str(&contexts[i]), d->target, "doc_to_target", e));
    for (size_t i = 0; !b->work->is_multiple_input && i < n; i++)
        MU_TRY_RETURN(ask_delimited(b, mu_buf_str(contexts), json_array_get(choices, i), "doc_to_choice", e));
    for (size_t i = 0; b->has_mutual_info && i < n; i++)
        MU_TRY_RETURN(ask_delimited(b, none, json_array_get(choices, i), "doc_to_choice", e));
    return MU_OK;
}

int mu_builder_requests(struct mu_builder *b, const struct mu_buf *contexts, int n_contexts, struct mu_err *e)
{
    const struct mu_work_doc *d = &b->work->doc[b->work->n_docs - 1];
    if (b->task->output_type == MU_OUTPUT_ROLLING)
        return ask_rolling(b, d->target, e);
    if (b->task->output_type == MU_OUTPUT_MULTIPLE_CHOICE)
        return ask_choices(b, contexts, n_contexts, d, e);
    MU_TRY_RETURN(only_one(b, n_contexts, e));
    struct mu_str context = mu_buf_str(contexts);
    if (b->task->output_type == MU_OUTPUT_LOGLIKELIHOOD)
        return ask_loglikelihood(b, context, d->target, e);
    return mu_builder_ask(b, MU_ASK_GENERATE, &context, NULL, b->gen_kwargs, e);
}
