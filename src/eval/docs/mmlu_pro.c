/* mmlu_pro.c - MMLU-Pro: questions with up to ten options, chosen by subject, answered after thinking aloud
 *
 * Source: lm_eval/tasks/mmlu_pro/utils.py. */
#include "eval/docs/docs_int.h"

#include "base/check.h"
#include "base/mem.h"

#define OPTIONS_MAX 10 /* lettered A to J; the reference drops what comes after */

static int add_options(struct mu_buf *b, const json_t *options, struct mu_err *e)
{
    for (size_t i = 0; i < json_array_size(options) && i < OPTIONS_MAX; i++) {
        struct mu_str option;
        MU_TRY_RETURN(mu_doc_item(options, i, &option, e));
        option = mu_doc_strip(option);
        MU_TRY_RETURN(mu_buf_printf(b, e, "%c. ", (int)('A' + i)));
        MU_TRY_RETURN(mu_buf_add(b, option.p, option.n, e));
        MU_TRY_RETURN(mu_buf_putc(b, '\n', e));
    }
    return MU_OK;
}

static int doc_to_text(const json_t *doc, json_t **out, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a question of MMLU-Pro", MU_DOC_TEXT_MAX);
    struct mu_str question;
    const json_t *options;
    int rc = MU_OK;
    MU_TRY(mu_doc_text(doc, "question", &question, e));
    MU_TRY(mu_doc_array(doc, "options", &options, e));
    MU_TRY(mu_buf_puts(&b, "Question:\n", e));
    MU_TRY(mu_buf_add(&b, question.p, question.n, e));
    MU_TRY(mu_buf_puts(&b, "\nOptions:\n", e));
    MU_TRY(add_options(&b, options, e));
    MU_TRY(mu_buf_puts(&b, "Answer: Let's think step by step.", e));
    rc = mu_doc_string(out, mu_buf_str(&b), e);
out:
    mu_buf_fini(&b);
    return rc;
}

/* The prompt ends with what the written-out thoughts begin with. */
static int fewshot_to_target(const json_t *doc, json_t **out, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("thoughts of MMLU-Pro", MU_DOC_TEXT_MAX);
    struct mu_str thoughts;
    int rc = MU_OK;
    MU_TRY(mu_doc_text(doc, "cot_content", &thoughts, e));
    MU_TRY(mu_doc_set(&b, thoughts, e));
    MU_TRY(mu_doc_replace(&b, "A: Let's think step by step. ", "", e));
    rc = mu_doc_string(out, mu_buf_str(&b), e);
out:
    mu_buf_fini(&b);
    return rc;
}

static int keep_subject(const json_t *docs, const char *subject, json_t **out, struct mu_err *e)
{
    json_t *list = json_array();
    int rc = list ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "documents of a subject");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(docs); i++) {
        struct mu_str category;
        json_t *doc = json_array_get(docs, i);
        rc = mu_doc_text(doc, "category", &category, e);
        if (rc == MU_OK && mu_str_eq(category, mu_str(subject)))
            rc = mu_doc_push(list, json_incref(doc), e);
    }
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
    return rc;
}

#define SUBJECTS(X)                                                                                                    \
    X(biology, "biology")                                                                                              \
    X(business, "business")                                                                                            \
    X(chemistry, "chemistry")                                                                                          \
    X(computer_science, "computer science")                                                                            \
    X(economics, "economics")                                                                                          \
    X(engineering, "engineering")                                                                                      \
    X(health, "health")                                                                                                \
    X(history, "history")                                                                                              \
    X(law, "law")                                                                                                      \
    X(math, "math")                                                                                                    \
    X(other, "other")                                                                                                  \
    X(philosophy, "philosophy")                                                                                        \
    X(physics, "physics")                                                                                              \
    X(psychology, "psychology")

#define DEFINE(name, subject)                                                                                          \
    static int process_##name(const json_t *docs, json_t **out, struct mu_err *e)                                      \
    {                                                                                                                  \
        return keep_subject(docs, subject, out, e);                                                                    \
    }
SUBJECTS(DEFINE)

#define FIELD(n, fn)                                                                                                   \
    {                                                                                                                  \
        .folder = "mmlu_pro", .name = "utils." n, .kind = MU_FUNCTION_FIELD, .field = fn                               \
    }
#define ROW(n, subject)                                                                                                \
    {.folder = "mmlu_pro", .name = "utils.process_" #n, .kind = MU_FUNCTION_DOCS, .docs = process_##n},

const struct mu_function mu_docs_mmlu_pro[] = {
    FIELD("doc_to_text", doc_to_text),
    FIELD("fewshot_to_text", doc_to_text),
    FIELD("fewshot_to_target", fewshot_to_target),
    SUBJECTS(ROW){.name = NULL},
};
