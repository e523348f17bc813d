/* acc_all.c - the share of questions all of whose answers were judged right (MultiRC)
 *
 * Items are [predicted, document]; a document has idx.paragraph, idx.question and label. The score knows a question by
 * paragraph and question, its standard error by the question alone: the harness's ways, both kept. */
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/stats/stats_int.h"

static int question_key(const json_t *doc, bool with_paragraph, size_t i, struct mu_buf *key, struct mu_err *e)
{
    const json_t *idx = json_object_get(doc, "idx");
    const json_t *paragraph = json_object_get(idx, "paragraph"), *question = json_object_get(idx, "question");
    if (!question || !paragraph || !json_object_get(doc, "label"))
        return mu_fail(e, MU_EINVAL, "acc_all: the document of item %zu lacks idx.paragraph, idx.question or label", i);
    mu_buf_clear(key);
    if (with_paragraph)
        MU_TRY_RETURN(mu_json_dump(key, paragraph, false, e));
    MU_TRY_RETURN(mu_buf_putc(key, ' ', e));
    return mu_json_dump(key, question, false, e);
}

/* Questions in the order they came, each with whether all its answers are right. */
static int judge(const json_t *items, bool with_paragraph, json_t *questions, struct mu_err *e)
{
    struct mu_buf key = MU_BUF_INIT("a question", 4096);
    const json_t *predicted, *doc;
    double p = 0, label = 0;
    int rc = MU_OK;

    MU_TRY(mu_items_check(items, "acc_all", e));
    for (size_t i = 0; i < json_array_size(items); i++) {
        MU_TRY(mu_items_pair(items, i, "acc_all", &predicted, &doc, e));
        MU_TRY(question_key(doc, with_paragraph, i, &key, e));
        MU_TRY(mu_items_number(predicted, i, "acc_all", &p, e));
        MU_TRY(mu_items_number(json_object_get(doc, "label"), i, "acc_all", &label, e));
        const json_t *before = json_object_get(questions, key.p);
        bool is_right = p == (label == 1) && (!before || json_is_true(before));
        if (json_object_set_new(questions, key.p, json_boolean(is_right)) != 0) {
            rc = mu_fail_nomem(e, key.n, "a question");
            goto out;
        }
    }
out:
    mu_buf_fini(&key);
    return rc;
}

/* One double a question, 1 or 0. */
static int scores(const json_t *items, bool with_paragraph, double **out, int64_t *n, struct mu_err *e)
{
    json_t *questions = NULL, *v;
    const char *key;
    int rc = MU_OK;

    mu_json_init();
    questions = json_object();
    if (!questions) {
        rc = mu_fail_nomem(e, sizeof v, "questions");
        goto out;
    }
    MU_TRY(judge(items, with_paragraph, questions, e));
    MU_TRY(MU_NEW_ARRAY(out, json_object_size(questions), "questions", e));
    *n = 0;
    json_object_foreach(questions, key, v)(*out)[(*n)++] = json_is_true(v);
out:
    json_decref(questions);
    return rc;
}

int mu_agg_acc_all(const json_t *items, double *out, struct mu_err *e)
{
    double *v = NULL, sum = 0;
    int64_t n = 0;
    MU_TRY_RETURN(scores(items, true, &v, &n, e));
    for (int64_t i = 0; i < n; i++)
        sum += v[i];
    *out = sum / (double)n;
    mu_free(v);
    return MU_OK;
}

int mu_acc_all_stderr(const json_t *items, double *out, bool *has, struct mu_err *e)
{
    double *v = NULL;
    int64_t n = 0;
    MU_TRY_RETURN(scores(items, false, &v, &n, e));
    *has = n > 1;
    if (*has)
        *out = mu_mean_stderr(v, n);
    mu_free(v);
    return MU_OK;
}
