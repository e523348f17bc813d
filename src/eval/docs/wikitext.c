/* wikitext.c - WikiText: pages put back from their tokenized form, and counted in it
 *
 * The text that is scored is the detokenized one, words and bytes are those of the page as published.
 * Source: lm_eval/tasks/wikitext/preprocess_wikitext.py; the order of the steps matters. */
#include "eval/docs/docs_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "eval/py/value.h"

/* "/' D/", D a digit, becomes "/'[0-9]/": the reference means a pattern there and writes it out. */
static int replace_quoted_digit(struct mu_buf *b, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT(b->what, b->max);
    struct mu_str s = mu_buf_str(b);
    size_t from = 0;
    int rc = MU_OK;
    for (size_t i = 0; i + 5 <= s.n; i++) {
        if (memcmp(s.p + i, "/' ", 3) != 0 || s.p[i + 3] < '0' || s.p[i + 3] > '9' || s.p[i + 4] != '/')
            continue;
        MU_TRY(mu_buf_add(&out, s.p + from, i - from, e));
        MU_TRY(mu_buf_puts(&out, "/'[0-9]/", e));
        from = i + 5;
        i += 4;
    }
    MU_TRY(mu_buf_add(&out, s.p + from, s.n - from, e));
    mu_buf_fini(b);
    *b = out;
    return MU_OK;
out:
    mu_buf_fini(&out);
    return rc;
}

/* White space just inside a pair of signs goes, the nearest closing sign ending the pair. */
static int tighten(struct mu_buf *b, char open, char close, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT(b->what, b->max);
    struct mu_str s = mu_buf_str(b);
    size_t from = 0;
    int rc = MU_OK;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != open)
            continue;
        const char *end = i + 1 < s.n ? memchr(s.p + i + 1, close, s.n - i - 1) : NULL;
        if (!end)
            break;
        size_t at = (size_t)(end - s.p);
        struct mu_str inside = mu_doc_strip((struct mu_str){s.p + i + 1, at - i - 1});
        MU_TRY(mu_buf_add(&out, s.p + from, i + 1 - from, e));
        MU_TRY(mu_buf_add(&out, inside.p, inside.n, e));
        from = i = at;
    }
    MU_TRY(mu_buf_add(&out, s.p + from, s.n - from, e));
    mu_buf_fini(b);
    *b = out;
    return MU_OK;
out:
    mu_buf_fini(&out);
    return rc;
}

static int replace_all(struct mu_buf *b, const char *const (*pairs)[2], size_t n, struct mu_err *e)
{
    for (size_t i = 0; i < n; i++)
        MU_TRY_RETURN(mu_doc_replace(b, pairs[i][0], pairs[i][1], e));
    return MU_OK;
}

static int detokenize(struct mu_buf *b, struct mu_err *e)
{
    static const char *const numbers_and_signs[][2] = {{" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."},
                                                       {" : ", ": "},  {" ; ", "; "},  {" . ", ". "},
                                                       {" ! ", "! "},  {" ? ", "? "},  {" , ", ", "}};
    static const char pairs[][2] = {{'(', ')'}, {'[', ']'}, {'{', '}'}, {'"', '"'}, {'\'', '\''}};
    static const char *const rest[][2] = {
        {"= = = =", "===="}, {"= = =", "==="}, {"= =", "=="},  {" \xC2\xB0 ", "\xC2\xB0"},
        {" \n", "\n"},       {"\n ", "\n"},    {" N ", " 1 "}, {" 's", "'s"}};
    MU_TRY_RETURN(mu_doc_replace(b, "s '", "s'", e));
    MU_TRY_RETURN(replace_quoted_digit(b, e));
    MU_TRY_RETURN(replace_all(b, numbers_and_signs, MU_COUNT(numbers_and_signs), e));
    for (size_t i = 0; i < MU_COUNT(pairs); i++)
        MU_TRY_RETURN(tighten(b, pairs[i][0], pairs[i][1], e));
    return replace_all(b, rest, MU_COUNT(rest), e);
}

static int doc_to_target(const json_t *doc, json_t **out, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a page of WikiText", MU_DOC_TEXT_MAX);
    struct mu_str page;
    int rc = MU_OK;
    MU_TRY(mu_doc_text(doc, "page", &page, e));
    MU_TRY(mu_doc_set(&b, page, e));
    MU_TRY(detokenize(&b, e));
    rc = mu_doc_string(out, mu_buf_str(&b), e);
out:
    mu_buf_fini(&b);
    return rc;
}

static int put_pair(json_t *object, const char *metric, double ll, int64_t n, struct mu_err *e)
{
    json_t *pair = json_array();
    MU_TRY_RETURN(mu_doc_put(object, metric, pair, e));
    MU_TRY_RETURN(mu_doc_push(pair, json_real(ll), e));
    return mu_doc_push(pair, json_integer(n), e);
}

static int process_results(const json_t *doc, const json_t *results, json_t **out, struct mu_err *e)
{
    const json_t *ll = json_array_get(results, 0);
    struct mu_str page;
    int rc = MU_OK;
    if (json_array_size(results) != 1 || !json_is_number(ll))
        return mu_fail(e, MU_EINVAL, "a page of WikiText has one log-likelihood, not %zu results",
                       json_array_size(results));
    MU_TRY_RETURN(mu_doc_text(doc, "page", &page, e));
    json_t *object = json_object();
    if (!object)
        return mu_fail_nomem(e, sizeof(json_t), "the results of a page");
    double value = json_number_value(ll);
    MU_TRY(put_pair(object, "word_perplexity", value, mu_py_words(page), e));
    MU_TRY(put_pair(object, "byte_perplexity", value, (int64_t)page.n, e));
    MU_TRY(put_pair(object, "bits_per_byte", value, (int64_t)page.n, e));
    *out = object;
    return MU_OK;
out:
    json_decref(object);
    return rc;
}

const struct mu_function mu_docs_wikitext[] = {
    {.folder = "wikitext",
     .name = "preprocess_wikitext.wikitext_detokenizer",
     .kind = MU_FUNCTION_FIELD,
     .field = doc_to_target},
    {.folder = "wikitext",
     .name = "preprocess_wikitext.process_results",
     .kind = MU_FUNCTION_RESULTS,
     .results = process_results},
    {.name = NULL},
};
