/* mbpp.c - MBPP and MBPP+: code cut out of answers, pass@1, and the three problems shown first
 *
 * Source: lm_eval/tasks/mbpp/utils.py. */
#include "eval/docs/docs_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "eval/py/regex.h"

/* The first fenced block of b, whose opening fence may name a language, appended to out. */
static int take_block(const struct mu_pyre *fence, struct mu_str s, bool *found, struct mu_buf *out, struct mu_err *e)
{
    struct mu_pyre_match m;
    MU_TRY_RETURN(mu_pyre_search(fence, s, 0, false, found, &m, e));
    return *found ? mu_buf_add(out, s.p + m.begin[1], m.end[1] - m.begin[1], e) : MU_OK;
}

/* The prompt ended with an opening fence, which is put before the answer again. */
static int extract_code(void *arg, const json_t *doc, struct mu_str response, struct mu_buf *out, struct mu_err *e)
{
    const struct mu_pyre *fence = arg;
    struct mu_buf b = MU_BUF_INIT("an answer with code", MU_DOC_TEXT_MAX);
    bool found;
    int rc = MU_OK;
    (void)doc;
    MU_TRY(mu_buf_puts(&b, "```", e));
    MU_TRY(mu_buf_add(&b, response.p, response.n, e));
    MU_TRY(take_block(fence, mu_buf_str(&b), &found, out, e));
    if (!found) {
        MU_TRY(mu_doc_set(&b, response, e));
        MU_TRY(mu_doc_replace(&b, "```python", "```", e));
        rc = take_block(fence, mu_buf_str(&b), &found, out, e);
    }
out:
    mu_buf_fini(&b);
    return rc;
}

static int build_predictions(const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    struct mu_pyre *fence = NULL;
    MU_TRY_RETURN(
        mu_pyre_compile(&fence, MU_STR("```(?:\\w+)?\\n?(.*?)\\n?```"), MU_PYRE_DOTALL, "MBPP's fenced code", e));
    int rc = mu_doc_filter(resps, docs, extract_code, fence, out, e);
    mu_pyre_free(fence);
    return rc;
}

/* Predictions of one text each become lists of one. */
static int wrap(const json_t *predictions, json_t **out, struct mu_err *e)
{
    int rc = MU_OK;
    json_t *list = json_array();
    if (!list)
        return mu_fail_nomem(e, sizeof(json_t), "candidates");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(predictions); i++) {
        json_t *p = json_array_get(predictions, i);
        rc = mu_doc_push(list, json_is_string(p) ? json_pack("[O]", p) : json_incref(p), e);
    }
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
    return rc;
}

static int pass_at_1(const json_t *references, const json_t *predictions, const json_t *kwargs,
                     struct mu_sandbox *sandbox, json_t **out, struct mu_err *e)
{
    json_t *lists = NULL, *k = json_pack("[i]", 1), *shares = NULL;
    int rc = k ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "k");
    (void)kwargs;
    if (rc == MU_OK)
        rc = wrap(predictions, &lists, e);
    if (rc == MU_OK)
        rc = mu_doc_pass_at_k(references, lists, k, sandbox, &shares, e);
    if (rc == MU_OK) {
        json_t *share = json_object_get(shares, "pass@1");
        *out = share ? json_incref(share) : NULL;
        if (!share)
            rc = mu_fail(e, MU_EINVAL, "pass@1: a problem has no candidate");
    }
    json_decref(lists);
    json_decref(k);
    json_decref(shares);
    return rc;
}

/* Three published problems, not ours to ship. */
static int list_fewshot_samples(json_t **out, struct mu_err *e)
{
    (void)out;
    return mu_fail(
        e, MU_EUNSUPPORTED,
        "MBPP's few-shot samples are problems 2, 3 and 4 of its \"prompt\" split, which muster does not "
        "contain: write them into the task file under fewshot_config.samples, each with is_fewshot: true, or "
        "run with --num_fewshot 0, or export a bundle");
}

/* The same from the data set, where it is at hand. */
static int samples_from(const json_t *docs, json_t **out, struct mu_err *e)
{
    int rc = MU_OK;
    json_t *list = json_array();
    if (!list)
        return mu_fail_nomem(e, sizeof(json_t), "few-shot samples");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(docs); i++) {
        const json_t *doc = json_array_get(docs, i);
        json_int_t id = json_integer_value(json_object_get(doc, "task_id"));
        if (id < 2 || id > 4)
            continue;
        json_t *copy = json_copy((json_t *)doc);
        rc = copy ? mu_doc_put(copy, "is_fewshot", json_true(), e) : mu_fail_nomem(e, sizeof(json_t), "a sample");
        if (rc == MU_OK)
            rc = mu_doc_push(list, copy, e);
        else
            json_decref(copy);
    }
    if (rc == MU_OK && json_array_size(list) != 3)
        rc = mu_fail(e, MU_EINVAL, "MBPP's prompt split holds %zu of the problems 2, 3 and 4", json_array_size(list));
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
    return rc;
}

const struct mu_function mu_docs_mbpp[] = {
    {.folder = "mbpp", .name = "utils.pass_at_1", .kind = MU_FUNCTION_METRIC, .metric = pass_at_1},
    {.folder = "mbpp", .name = "utils.build_predictions", .kind = MU_FUNCTION_FILTER, .filter = build_predictions},
    {.folder = "mbpp",
     .name = "utils.list_fewshot_samples",
     .kind = MU_FUNCTION_SAMPLES,
     .samples = list_fewshot_samples,
     .samples_split = "prompt",
     .samples_from = samples_from},
    {.name = NULL},
};
