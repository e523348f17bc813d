/* winogrande.c - Winogrande by partial evaluation: two contexts, one for each name put into the gap, and one
 * continuation
 *
 * Source: lm_eval/tasks/winogrande/preprocess_winogrande.py (Trinh and Le 2018, arXiv:1806.02847). */
#include "eval/docs/docs_int.h"

#include "base/check.h"
#include "tok/jinja/text.h"

/* The sentence before and after its gap "_". */
static int split(const json_t *doc, struct mu_str *before, struct mu_str *after, struct mu_err *e)
{
    struct mu_str s;
    MU_TRY_RETURN(mu_doc_text(doc, "sentence", &s, e));
    size_t at = mu_t_find(s, MU_STR("_"), 0);
    if (at == SIZE_MAX)
        return mu_fail(e, MU_EINVAL, "the sentence \"%.80s\" has no gap \"_\"", s.p);
    *before = mu_t_sub(s, 0, at);
    *after = mu_t_sub(s, at + 1, s.n);
    return MU_OK;
}

/* The index of the right context. */
static int doc_to_text(const json_t *doc, json_t **out, struct mu_err *e)
{
    struct mu_str answer;
    MU_TRY_RETURN(mu_doc_text(doc, "answer", &answer, e));
    if (answer.n != 1 || (answer.p[0] != '1' && answer.p[0] != '2'))
        return mu_fail(e, MU_EINVAL, "the answer \"" MU_STR_FMT "\" is neither 1 nor 2", MU_STR_ARG(answer));
    *out = json_integer(answer.p[0] - '1');
    return *out ? MU_OK : mu_fail(e, MU_ENOMEM, "out of memory for an answer");
}

static int doc_to_target(const json_t *doc, json_t **out, struct mu_err *e)
{
    struct mu_str before, after;
    MU_TRY_RETURN(split(doc, &before, &after, e));
    return mu_doc_string(out, mu_doc_strip(after), e);
}

static int push_context(json_t *list, const json_t *doc, const char *key, struct mu_str before, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a context of Winogrande", MU_DOC_TEXT_MAX);
    struct mu_str option;
    int rc = MU_OK;
    MU_TRY(mu_doc_text(doc, key, &option, e));
    MU_TRY(mu_buf_add(&b, before.p, before.n, e));
    MU_TRY(mu_buf_add(&b, option.p, option.n, e));
    rc = mu_doc_push_text(list, mu_buf_str(&b), e);
out:
    mu_buf_fini(&b);
    return rc;
}

static int doc_to_choice(const json_t *doc, json_t **out, struct mu_err *e)
{
    struct mu_str before, after;
    MU_TRY_RETURN(split(doc, &before, &after, e));
    json_t *list = json_array();
    int rc = list ? push_context(list, doc, "option1", before, e) : mu_fail(e, MU_ENOMEM, "out of memory for choices");
    if (rc == MU_OK)
        rc = push_context(list, doc, "option2", before, e);
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
    return rc;
}

#define ROW(fn)                                                                                                        \
    {                                                                                                                  \
        .folder = "winogrande", .name = "preprocess_winogrande." #fn, .kind = MU_FUNCTION_FIELD, .field = fn           \
    }

const struct mu_function mu_docs_winogrande[] = {
    ROW(doc_to_text),
    ROW(doc_to_target),
    ROW(doc_to_choice),
    {.name = NULL},
};
