/* hellaswag.c - HellaSwag: the question and the endings, cleaned of what WikiHow's pages left in them
 *
 * Source: lm_eval/tasks/hellaswag/utils.py. */
#include "eval/docs/docs_int.h"

#include "base/check.h"
#include "tok/jinja/text.h"

/* Appends s without what stands in brackets on one line: re.sub(r"\[.*?\]", "", s). */
static int add_without_brackets(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '[')
            continue;
        size_t end = i + 1;
        while (end < s.n && s.p[end] != ']' && s.p[end] != '\n')
            end++;
        if (end == s.n || s.p[end] != ']')
            continue;
        MU_TRY_RETURN(mu_buf_add(out, s.p + from, i - from, e));
        from = end + 1;
        i = end;
    }
    return mu_buf_add(out, s.p + from, s.n - from, e);
}

static int clean(struct mu_str s, json_t **out, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a text of HellaSwag", MU_DOC_TEXT_MAX);
    struct mu_buf plain = MU_BUF_INIT("a text of HellaSwag", MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    MU_TRY(mu_doc_set(&b, mu_doc_strip(s), e));
    MU_TRY(mu_doc_replace(&b, " [title]", ". ", e));
    MU_TRY(add_without_brackets(&plain, mu_buf_str(&b), e));
    MU_TRY(mu_doc_replace(&plain, "  ", " ", e));
    rc = mu_doc_string(out, mu_buf_str(&plain), e);
out:
    mu_buf_fini(&b);
    mu_buf_fini(&plain);
    return rc;
}

/* "ACTIVITY: CONTEXT A Context b" */
static int put_query(const json_t *doc, json_t *into, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a context of HellaSwag", MU_DOC_TEXT_MAX);
    struct mu_str activity, a, second;
    json_t *query = NULL;
    int rc = MU_OK;
    MU_TRY(mu_doc_text(doc, "activity_label", &activity, e));
    MU_TRY(mu_doc_text(doc, "ctx_a", &a, e));
    MU_TRY(mu_doc_text(doc, "ctx_b", &second, e));
    MU_TRY(mu_buf_add(&b, activity.p, activity.n, e));
    MU_TRY(mu_buf_puts(&b, ": ", e));
    MU_TRY(mu_buf_add(&b, a.p, a.n, e));
    MU_TRY(mu_buf_putc(&b, ' ', e));
    MU_TRY(mu_doc_capitalize(&b, second, e));
    MU_TRY(clean(mu_buf_str(&b), &query, e));
    rc = mu_doc_put(into, "query", query, e);
out:
    mu_buf_fini(&b);
    return rc;
}

static int put_choices(const json_t *doc, json_t *into, struct mu_err *e)
{
    const json_t *endings;
    MU_TRY_RETURN(mu_doc_array(doc, "endings", &endings, e));
    json_t *choices = json_array();
    MU_TRY_RETURN(mu_doc_put(into, "choices", choices, e));
    for (size_t i = 0; i < json_array_size(endings); i++) {
        struct mu_str ending;
        json_t *choice = NULL;
        MU_TRY_RETURN(mu_doc_item(endings, i, &ending, e));
        MU_TRY_RETURN(clean(ending, &choice, e));
        MU_TRY_RETURN(mu_doc_push(choices, choice, e));
    }
    return MU_OK;
}

/* int(label): a text in the published files, "" in the test split, where the harness fails too. */
static int put_gold(const json_t *doc, json_t *into, struct mu_err *e)
{
    const json_t *label = json_object_get(doc, "label");
    json_int_t gold = json_integer_value(label);
    if (json_is_string(label)) {
        struct mu_str s = mu_doc_strip(mu_doc_str(label));
        if (s.n != 1 || s.p[0] < '0' || s.p[0] > '9')
            return mu_fail(e, MU_EINVAL,
                           "the label \"" MU_STR_FMT "\" is no number of an ending; HellaSwag's test split has none",
                           MU_STR_ARG(s));
        gold = s.p[0] - '0';
    } else if (!json_is_integer(label)) {
        return mu_fail(e, MU_EINVAL, "the document has no \"label\"");
    }
    return mu_doc_put(into, "gold", json_integer(gold), e);
}

static int process_one(const json_t *doc, json_t *into, struct mu_err *e)
{
    MU_TRY_RETURN(put_query(doc, into, e));
    MU_TRY_RETURN(put_choices(doc, into, e));
    return put_gold(doc, into, e);
}

static int process_docs(const json_t *docs, json_t **out, struct mu_err *e)
{
    return mu_doc_map(docs, process_one, out, e);
}

const struct mu_function mu_docs_hellaswag[] = {
    {.folder = "hellaswag", .name = "utils.process_docs", .kind = MU_FUNCTION_DOCS, .docs = process_docs},
    {.name = NULL},
};
