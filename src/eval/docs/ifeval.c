/* ifeval.c - IFEval: which instructions of a prompt a response follows, strictly and loosely
 *
 * Source: lm_eval/tasks/ifeval/utils.py. Twenty kinds of instruction are checked here; five (number_sentences,
 * capital_word_frequency, response_language, english_capital, english_lowercase) rest on models that muster does not
 * carry and are refused by name, never guessed. `check` of the row refuses them before anything is generated. */
#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/docs_int.h"
#include "eval/docs/ifeval_int.h"
#include "tok/jinja/text.h"

#define LOOSE 8 /* ways to read a response: its first or last line or both gone, stars gone or not */

static int find_kind(struct mu_str id, const struct mu_ifeval_kind **out, struct mu_err *e)
{
    const struct mu_ifeval_kind *const table[] = {mu_ifeval_words, mu_ifeval_format};
    for (size_t t = 0; t < MU_COUNT(table); t++)
        for (*out = table[t]; (*out)->id; ++*out)
            if (mu_str_eq(id, mu_str((*out)->id)))
                return MU_OK;
    return mu_fail(e, MU_EINVAL, "IFEval has no instruction \"" MU_STR_FMT "\"", MU_STR_ARG(id));
}

static int check_doc(const json_t *doc, struct mu_err *e)
{
    const json_t *ids, *kwargs;
    MU_TRY_RETURN(mu_doc_array(doc, "instruction_id_list", &ids, e));
    MU_TRY_RETURN(mu_doc_array(doc, "kwargs", &kwargs, e));
    if (json_array_size(ids) != json_array_size(kwargs))
        return mu_fail(e, MU_EINVAL, "%zu instructions have %zu kwargs", json_array_size(ids), json_array_size(kwargs));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const struct mu_ifeval_kind *kind;
        struct mu_str id;
        MU_TRY_RETURN(mu_doc_item(ids, i, &id, e));
        MU_TRY_RETURN(find_kind(id, &kind, e));
        if (!kind->check)
            return mu_fail(e, MU_EUNSUPPORTED,
                           "the instruction %s needs %s: choose documents without it (--samples), or score the logged "
                           "responses with lm-evaluation-harness",
                           kind->id, kind->missing);
    }
    return MU_OK;
}

/* One reading: lines from `first` to before `last` of n, stripped unless it is the whole. */
static int add_reading(struct mu_buf *out, struct mu_str s, bool no_first, bool no_last, bool no_stars,
                       struct mu_err *e)
{
    size_t first = mu_t_find(s, MU_STR("\n"), 0), last = mu_t_rfind(s, MU_STR("\n"), s.n);
    struct mu_str part = s;
    if (no_first || no_last) {
        size_t from = no_first ? (first == SIZE_MAX ? s.n : first + 1) : 0;
        size_t to = no_last ? (last == SIZE_MAX ? 0 : last) : s.n;
        part = from < to ? mu_doc_strip(mu_t_sub(s, from, to)) : MU_STR("");
    }
    MU_TRY_RETURN(mu_doc_set(out, part, e));
    return no_stars ? mu_doc_replace(out, "*", "", e) : MU_OK;
}

static int follows_one(const struct mu_ifeval_kind *kind, const json_t *kwargs, struct mu_str s, bool *follows,
                       struct mu_err *e)
{
    *follows = false;
    return mu_doc_strip(s).n ? kind->check(kwargs, s, follows, e) : MU_OK;
}

/* Whether any of the first n readings follows the instruction. */
static int follows_any(const struct mu_ifeval_kind *kind, const json_t *kwargs, const struct mu_buf *reading, int n,
                       bool *follows, struct mu_err *e)
{
    *follows = false;
    for (int i = 0; i < n && !*follows; i++)
        MU_TRY_RETURN(follows_one(kind, kwargs, mu_buf_str(&reading[i]), follows, e));
    return MU_OK;
}

/* "prompt_level_X_acc" and "inst_level_X_acc". */
static int put_level(const json_t *doc, const struct mu_buf *reading, int n, const char *prompt_name,
                     const char *inst_name, json_t *object, struct mu_err *e)
{
    const json_t *ids = json_object_get(doc, "instruction_id_list"), *kwargs = json_object_get(doc, "kwargs");
    json_t *list = json_array();
    bool all = true;
    int rc = list ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "instructions followed");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(ids); i++) {
        const struct mu_ifeval_kind *kind;
        bool follows = false;
        rc = find_kind(mu_doc_str(json_array_get(ids, i)), &kind, e);
        if (rc == MU_OK)
            rc = follows_any(kind, json_array_get(kwargs, i), reading, n, &follows, e);
        if (rc == MU_OK)
            rc = mu_doc_push(list, json_boolean(follows), e);
        all &= follows;
    }
    if (rc == MU_OK)
        rc = mu_doc_put(object, prompt_name, json_boolean(all), e);
    if (rc == MU_OK)
        return mu_doc_put(object, inst_name, list, e);
    json_decref(list);
    return rc;
}

static int process_results(const json_t *doc, const json_t *results, json_t **out, struct mu_err *e)
{
    struct mu_buf reading[LOOSE];
    struct mu_str response;
    json_t *object = json_object();
    int rc = object ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "instructions followed");
    for (int i = 0; i < LOOSE; i++)
        reading[i] = (struct mu_buf)MU_BUF_INIT("a response", MU_DOC_TEXT_MAX);
    MU_TRY(rc);
    MU_TRY(check_doc(doc, e));
    MU_TRY(mu_doc_item(results, 0, &response, e));
    for (int i = 0; i < LOOSE; i++) /* 0 is the response itself, the one strict reading */
        MU_TRY(add_reading(&reading[i], response, i & 1, i & 2, i & 4, e));
    MU_TRY(put_level(doc, reading, 1, "prompt_level_strict_acc", "inst_level_strict_acc", object, e));
    MU_TRY(put_level(doc, reading, LOOSE, "prompt_level_loose_acc", "inst_level_loose_acc", object, e));
    *out = json_incref(object);
out:
    for (int i = 0; i < LOOSE; i++)
        mu_buf_fini(&reading[i]);
    json_decref(object);
    return rc;
}

/* The share of instructions followed, over all documents. */
static int agg_inst_level_acc(const json_t *items, double *out, struct mu_err *e)
{
    int64_t n = 0, followed = 0;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *list = json_array_get(items, i);
        for (size_t k = 0; k < json_array_size(list); k++, n++)
            followed += json_is_true(json_array_get(list, k));
    }
    if (n == 0)
        return mu_fail(e, MU_EINVAL, "no document has an instruction");
    *out = (double)followed / (double)n;
    return MU_OK;
}

const struct mu_function mu_docs_ifeval[] = {
    {.folder = "ifeval",
     .name = "utils.process_results",
     .kind = MU_FUNCTION_RESULTS,
     .results = process_results,
     .check = check_doc},
    {.folder = "ifeval",
     .name = "utils.agg_inst_level_acc",
     .kind = MU_FUNCTION_AGGREGATE,
     .aggregate = agg_inst_level_acc},
    {.name = NULL},
};
