/* humaneval.c - HumanEval and HumanEval+: completions put behind their prompts, and pass@k of them
 *
 * Source: lm_eval/tasks/humaneval/utils.py. */
#include "eval/docs/docs_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "tok/jinja/text.h"

static int complete(void *arg, const json_t *doc, struct mu_str response, struct mu_buf *out, struct mu_err *e)
{
    const bool *is_chat = arg;
    struct mu_str prompt;
    MU_TRY_RETURN(mu_doc_text(doc, "prompt", &prompt, e));
    size_t fence = *is_chat ? mu_t_find(response, MU_STR("```"), 0) : SIZE_MAX;
    if (fence != SIZE_MAX)
        response.n = fence;
    MU_TRY_RETURN(mu_buf_add(out, prompt.p, prompt.n, e));
    return mu_buf_add(out, response.p, response.n, e);
}

static int build_predictions(const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    bool is_chat = false;
    return mu_doc_filter(resps, docs, complete, &is_chat, out, e);
}

/* What follows the closing fence of a code block is no code. */
static int build_predictions_instruct(const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    bool is_chat = true;
    return mu_doc_filter(resps, docs, complete, &is_chat, out, e);
}

/* k of the metric's entry: a list, or one number. */
static int pass_at_k(const json_t *references, const json_t *predictions, const json_t *kwargs,
                     struct mu_sandbox *sandbox, json_t **out, struct mu_err *e)
{
    json_t *k = json_object_get(kwargs, "k");
    if (!k)
        return mu_fail(e, MU_EINVAL, "pass_at_k has no \"k\": write `k: [1]` beside it in metric_list");
    if (json_is_array(k))
        return mu_doc_pass_at_k(references, predictions, k, sandbox, out, e);
    json_t *list = json_pack("[O]", k);
    if (!list)
        return mu_fail_nomem(e, sizeof(json_t), "k");
    int rc = mu_doc_pass_at_k(references, predictions, list, sandbox, out, e);
    json_decref(list);
    return rc;
}

const struct mu_function mu_docs_humaneval[] = {
    {.folder = "humaneval", .name = "utils.pass_at_k", .kind = MU_FUNCTION_METRIC, .metric = pass_at_k},
    {.folder = "humaneval", .name = "utils.build_predictions", .kind = MU_FUNCTION_FILTER, .filter = build_predictions},
    {.folder = "humaneval",
     .name = "utils.build_predictions_instruct",
     .kind = MU_FUNCTION_FILTER,
     .filter = build_predictions_instruct},
    {.name = NULL},
};
