/* exact_match.c - equal texts, after what the task says is to be ignored
 *
 * Order and meaning of the keyword arguments: exact_match_hf_evaluate in lm_eval/api/metrics.py, which compares numpy
 * arrays: numbers never equal texts, trailing NULs do not count, lists of predictions are compared element by element.
 */
#include "base/check.h"
#include "base/mem.h"
#include "eval/metric/metric_int.h"
#include "eval/py/case.h"
#include "eval/py/regex.h"
#include "eval/py/truth.h"
#include "eval/py/value.h"

#define TEXT_MAX    ((size_t)64 << 20)
#define REGEXES_MAX 64

struct ignore {
    struct mu_pyre *regex[REGEXES_MAX];
    int n_regexes;
    bool letter_case, punctuation, digits;
};

static void ignore_fini(struct ignore *g)
{
    for (int i = 0; i < g->n_regexes; i++)
        mu_pyre_free(g->regex[i]);
}

static int read_regexes(struct ignore *g, const json_t *list, struct mu_err *e)
{
    size_t i;
    json_t *pattern;

    if (!list || json_is_null(list))
        return MU_OK;
    if (!json_is_array(list) || json_array_size(list) > REGEXES_MAX)
        return mu_fail(e, MU_EFORMAT,
                       "metric exact_match: regexes_to_ignore must be a list of at most %d regular expressions",
                       REGEXES_MAX);
    json_array_foreach(list, i, pattern)
    {
        if (!json_is_string(pattern))
            return mu_fail(e, MU_EFORMAT, "metric exact_match: regexes_to_ignore[%zu] is not a text", i);
        struct mu_str s = {json_string_value(pattern), json_string_length(pattern)};
        MU_TRY_RETURN(mu_pyre_compile(&g->regex[i], s, 0, "metric exact_match, regexes_to_ignore", e));
        g->n_regexes++;
    }
    return MU_OK;
}

/* g is to be finished whatever the outcome. */
static int read_kwargs(struct ignore *g, const json_t *kwargs, struct mu_err *e)
{
    static const char *const known[] = {"regexes_to_ignore", "ignore_case", "ignore_punctuation", "ignore_numbers"};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)kwargs, key, value)
    {
        size_t i = 0;
        while (i < MU_COUNT(known) && strcmp(known[i], key) != 0)
            i++;
        if (i == MU_COUNT(known))
            return mu_fail(e, MU_EFORMAT,
                           "metric exact_match knows regexes_to_ignore, ignore_case, ignore_punctuation and "
                           "ignore_numbers, not %s",
                           key);
    }
    g->letter_case = mu_py_truth(json_object_get(kwargs, "ignore_case"));
    g->punctuation = mu_py_truth(json_object_get(kwargs, "ignore_punctuation"));
    g->digits = mu_py_truth(json_object_get(kwargs, "ignore_numbers"));
    return read_regexes(g, json_object_get(kwargs, "regexes_to_ignore"), e);
}

static int check(const json_t *kwargs, struct mu_err *e)
{
    struct ignore g = {0};
    int rc = read_kwargs(&g, kwargs, e);
    ignore_fini(&g);
    return rc;
}

/* ---- texts as they are compared ---- */

static bool is_dropped(const struct ignore *g, char c)
{
    bool is_digit = c >= '0' && c <= '9';
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return (g->digits && is_digit) || (g->punctuation && c > ' ' && c < 0x7F && !is_digit && !is_letter);
}

static void drop(const struct ignore *g, struct mu_buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (!is_dropped(g, b->p[i]))
            b->p[n++] = b->p[i];
    while (n > 0 && b->p[n - 1] == 0)
        n--;
    b->n = n;
}

static int normalise(const struct ignore *g, struct mu_str s, struct mu_buf *out, struct mu_buf *spare,
                     struct mu_err *e)
{
    struct mu_buf swap;
    mu_buf_clear(out);
    MU_TRY_RETURN(mu_buf_add(out, s.p, s.n, e));
    for (int i = 0; i < g->n_regexes; i++) {
        mu_buf_clear(spare);
        MU_TRY_RETURN(mu_pyre_sub(g->regex[i], MU_STR(""), mu_buf_str(out), 0, spare, e));
        swap = *out, *out = *spare, *spare = swap;
    }
    if (g->letter_case) {
        mu_buf_clear(spare);
        MU_TRY_RETURN(mu_py_lower(spare, mu_buf_str(out), e));
        swap = *out, *out = *spare, *spare = swap;
    }
    drop(g, out);
    return MU_OK;
}

/* A text, or what is in an array with texts: normalised. Other values stay as they are. */
static int normalise_value(const struct ignore *g, const json_t *v, bool among_texts, json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a text to compare", TEXT_MAX), spare = text;
    int rc = MU_OK;

    if (!json_is_string(v) && !among_texts) {
        if (g->n_regexes > 0 || g->letter_case || g->punctuation || g->digits)
            return mu_fail(e, MU_EINVAL, "metric exact_match can ignore parts of texts only; a value is not a text");
        *out = json_incref((json_t *)v);
        return MU_OK;
    }
    if (json_is_string(v))
        MU_TRY(normalise(g, (struct mu_str){json_string_value(v), json_string_length(v)}, &text, &spare, e));
    else
        MU_TRY(mu_py_str(&text, v, e));
    *out = json_stringn(mu_buf_str(&text).p, text.n);
    if (!*out)
        rc = mu_fail_nomem(e, text.n, "a text to compare");
out:
    mu_buf_fini(&text);
    mu_buf_fini(&spare);
    return rc;
}

/* A row of values as numpy would hold it: numbers beside texts become texts. */
static int normalise_row(const struct ignore *g, const json_t *row, json_t **out, struct mu_err *e)
{
    json_t *to = json_array(), *v, *done = NULL;
    bool has_text = false;
    size_t i;
    int rc = MU_OK;

    if (!to)
        return mu_fail_nomem(e, sizeof(void *), "texts to compare");
    json_array_foreach(row, i, v) has_text |= json_is_string(v);
    json_array_foreach(row, i, v)
    {
        MU_TRY(normalise_value(g, v, has_text, &done, e));
        if (json_array_append_new(to, done) != 0) {
            rc = mu_fail_nomem(e, sizeof(void *), "texts to compare");
            goto out;
        }
    }
    *out = to;
    to = NULL;
out:
    json_decref(to);
    return rc;
}

/* ---- comparing ---- */

static bool is_equal(const json_t *a, const json_t *b)
{
    bool a_number = json_is_number(a) || json_is_boolean(a), b_number = json_is_number(b) || json_is_boolean(b);
    if (!a_number || !b_number)
        return json_equal(a, b);
    return (json_is_boolean(a) ? json_is_true(a) : json_number_value(a)) ==
           (json_is_boolean(b) ? json_is_true(b) : json_number_value(b));
}

/* Equal pairs of two rows; the shorter one, when it has one element, stands beside every element of the other. */
static int count_equal(const json_t *a, const json_t *b, size_t *equal, size_t *n, struct mu_err *e)
{
    size_t na = json_array_size(a), nb = json_array_size(b);
    if (na != nb && na != 1 && nb != 1)
        return mu_fail(e, MU_EINVAL, "metric exact_match cannot compare %zu predictions with %zu references", na, nb);
    size_t most = na == 0 || nb == 0 ? 0 : MU_MAX(na, nb);
    for (size_t i = 0; i < most; i++)
        *equal += is_equal(json_array_get(a, na == 1 ? 0 : i), json_array_get(b, nb == 1 ? 0 : i));
    *n += most;
    return MU_OK;
}

/* Predictions that are lists (filters without take_first): each list against the row of references. */
static int compare(const struct ignore *g, const json_t *predictions, const json_t *references, size_t *equal,
                   size_t *n, struct mu_err *e)
{
    bool are_lists = json_is_array(json_array_get(predictions, 0));
    json_t *refs = NULL, *row = NULL, *v;
    size_t i;
    int rc;

    MU_TRY(normalise_row(g, references, &refs, e));
    if (!are_lists) {
        MU_TRY(normalise_row(g, predictions, &row, e));
        MU_TRY(count_equal(row, refs, equal, n, e));
        goto out;
    }
    json_array_foreach(predictions, i, v)
    {
        MU_TRY(normalise_row(g, v, &row, e));
        MU_TRY(count_equal(row, refs, equal, n, e));
        json_decref(row);
        row = NULL;
    }
out:
    json_decref(row);
    json_decref(refs);
    return rc;
}

static int compute(const json_t *references, const json_t *predictions, const json_t *kwargs,
                   struct mu_sandbox *sandbox, json_t **out, struct mu_err *e)
{
    struct ignore g = {0};
    size_t equal = 0, n = 0;
    int rc;

    (void)sandbox;
    MU_TRY(read_kwargs(&g, kwargs, e));
    MU_TRY(compare(&g, predictions, references, &equal, &n, e));
    if (n == 0) {
        rc = mu_fail(e, MU_EINVAL, "metric exact_match has nothing to compare");
        goto out;
    }
    *out = json_pack("{s:f}", "exact_match", (double)equal / (double)n);
    if (!*out)
        rc = mu_fail_nomem(e, sizeof(void *), "a measure");
out:
    ignore_fini(&g);
    return rc;
}

const struct mu_metric mu_metric_exact_match = {
    .name = "exact_match",
    .aggregation = "mean",
    .higher_is_better = 1,
    .output_types = MU_METRIC_GENERATE | MU_METRIC_CHOICE,
    .check = check,
    .compute = compute,
};
