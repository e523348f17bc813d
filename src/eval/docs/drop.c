/* drop.c - DROP: the answers of several annotators, exact match and F1 over bags of words
 *
 * Source: lm_eval/tasks/drop/utils.py, itself AllenNLP's drop_em_and_f1. A document has one prediction, so that the
 * best alignment of its bag with the spans of an answer is its best single pair; the reference solves an assignment
 * there. */
#include "eval/docs/docs_int.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/py/case.h"
#include "eval/py/value.h"
#include "tok/jinja/text.h"

#define WORDS_MAX 1000000

/* A normalised span and its different words. */
struct bag {
    struct mu_buf text;
    struct mu_str *word; /* into text */
    size_t n;
};

#define BAG_INIT                                                                                                       \
    {                                                                                                                  \
        .text = MU_BUF_INIT("an answer of DROP", MU_DOC_TEXT_MAX)                                                      \
    }

static void free_bag(struct bag *b)
{
    mu_buf_fini(&b->text);
    mu_free(b->word);
}

/* ---- answers of a document ---- */

static int put_date(json_t *list, const json_t *date, struct mu_err *e)
{
    static const char *const part[] = {"day", "month", "year"};
    struct mu_buf b = MU_BUF_INIT("a date of DROP", MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    for (size_t i = 0; i < MU_COUNT(part); i++) {
        struct mu_str s;
        MU_TRY(mu_doc_text(date, part[i], &s, e));
        if (i)
            MU_TRY(mu_buf_putc(&b, ' ', e));
        MU_TRY(mu_buf_add(&b, s.p, s.n, e));
    }
    rc = mu_doc_push_text(list, mu_doc_strip(mu_buf_str(&b)), e);
out:
    mu_buf_fini(&b);
    return rc;
}

/* A number, else spans, else a date: a list of texts. */
static int parse_answer(const json_t *number, const json_t *spans, const json_t *date, json_t *list, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a number of DROP", MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    if (number && !(json_is_string(number) && json_string_length(number) == 0)) {
        MU_TRY(mu_py_str(&b, number, e));
        rc = mu_doc_push_text(list, mu_buf_str(&b), e);
        goto out;
    }
    for (size_t i = 0; i < json_array_size(spans); i++) {
        struct mu_str span;
        MU_TRY(mu_doc_item(spans, i, &span, e));
        MU_TRY(mu_doc_push_text(list, span, e));
    }
    if (json_array_size(spans) == 0)
        rc = put_date(list, date, e);
out:
    mu_buf_fini(&b);
    return rc;
}

/* Appends the answer unless it is there already. */
static int push_answer(json_t *answers, const json_t *number, const json_t *spans, const json_t *date, struct mu_err *e)
{
    json_t *list = json_array();
    int rc = list ? parse_answer(number, spans, date, list, e) : mu_fail_nomem(e, sizeof(json_t), "an answer");
    bool is_known = false;
    for (size_t i = 0; rc == MU_OK && i < json_array_size(answers); i++)
        is_known |= json_equal(json_array_get(answers, i), list) != 0;
    if (rc == MU_OK && !is_known)
        return mu_doc_push(answers, list, e);
    json_decref(list);
    return rc;
}

static int put_answers(const json_t *doc, json_t *answers, struct mu_err *e)
{
    const json_t *own, *others, *numbers;
    MU_TRY_RETURN(mu_doc_object(doc, "answer", &own, e));
    MU_TRY_RETURN(mu_doc_object(doc, "validated_answers", &others, e));
    MU_TRY_RETURN(mu_doc_array(others, "number", &numbers, e));
    MU_TRY_RETURN(push_answer(answers, json_object_get(own, "number"), json_object_get(own, "spans"),
                              json_object_get(own, "date"), e));
    const json_t *spans = json_object_get(others, "spans"), *dates = json_object_get(others, "date");
    for (size_t i = 0; i < json_array_size(numbers); i++)
        MU_TRY_RETURN(
            push_answer(answers, json_array_get(numbers, i), json_array_get(spans, i), json_array_get(dates, i), e));
    return MU_OK;
}

static int process_one(const json_t *doc, json_t *into, struct mu_err *e)
{
    struct mu_str id;
    json_t *answers = json_array();
    int rc = mu_doc_text(doc, "query_id", &id, e);
    if (rc == MU_OK)
        rc = mu_doc_put_text(into, "id", id, e);
    if (rc == MU_OK)
        return mu_doc_put(into, "answers", answers, e) == MU_OK ? put_answers(doc, answers, e) : MU_ENOMEM;
    json_decref(answers);
    return rc;
}

static int process_docs(const json_t *docs, json_t **out, struct mu_err *e)
{
    return mu_doc_map(docs, process_one, out, e);
}

/* ---- normalisation ---- */

static bool is_number(struct mu_str s)
{
    double v;
    return mu_doc_float(s, &v);
}

/* Without ASCII punctuation, numbers aside. */
static int add_plain(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    if (is_number(s))
        return mu_buf_add(out, s.p, s.n, e);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_sign = c > ' ' && c < 0x7F && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!is_sign)
            MU_TRY_RETURN(mu_buf_putc(out, s.p[i], e));
    }
    return MU_OK;
}

/* str(float(s)) of what is a number. */
static int add_number(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    double v;
    if (!mu_doc_float(s, &v))
        return mu_buf_add(out, s.p, s.n, e);
    if (isnan(v))
        return mu_buf_puts(out, "nan", e);
    if (isinf(v))
        return mu_buf_puts(out, v < 0 ? "-inf" : "inf", e);
    json_t *real = json_real(v);
    if (!real)
        return mu_fail_nomem(e, sizeof(json_t), "a number");
    int rc = mu_py_str(out, real, e);
    json_decref(real);
    return rc;
}

/* Words that are no articles, separated by single spaces; what stands between words stays. */
static int add_without_articles(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    size_t len;
    for (size_t i = 0, to; i < s.n; i = to) {
        for (to = i; to < s.n && mu_t_is_word(mu_t_at(s, to, &len)); to += len)
            ;
        struct mu_str word = mu_t_sub(s, i, to);
        bool is_article =
            mu_str_eq(word, MU_STR("a")) || mu_str_eq(word, MU_STR("an")) || mu_str_eq(word, MU_STR("the"));
        MU_TRY_RETURN(is_article ? mu_buf_putc(out, ' ', e) : mu_buf_add(out, word.p, word.n, e));
        if (to == i) { /* no word here: one character between them */
            (void)mu_t_at(s, to, &len);
            MU_TRY_RETURN(mu_buf_add(out, s.p + to, len, e));
            to += len;
        }
    }
    return MU_OK;
}

/* One token of an answer, its words appended to out behind a space where something is there already. */
static int add_token(struct mu_buf *out, struct mu_str token, struct mu_err *e)
{
    struct mu_buf lower = MU_BUF_INIT("a token of DROP", MU_DOC_TEXT_MAX);
    struct mu_buf plain = MU_BUF_INIT("a token of DROP", MU_DOC_TEXT_MAX);
    struct mu_str word;
    int rc = MU_OK;
    MU_TRY(mu_py_lower(&lower, token, e));
    MU_TRY(add_plain(&plain, mu_buf_str(&lower), e));
    mu_buf_clear(&lower);
    MU_TRY(add_number(&lower, mu_buf_str(&plain), e));
    mu_buf_clear(&plain);
    MU_TRY(add_without_articles(&plain, mu_buf_str(&lower), e));
    for (size_t at = 0; mu_doc_next_word(mu_buf_str(&plain), &at, &word);) {
        if (out->n)
            MU_TRY(mu_buf_putc(out, ' ', e));
        MU_TRY(mu_buf_add(out, word.p, word.n, e));
    }
out:
    mu_buf_fini(&lower);
    mu_buf_fini(&plain);
    return rc;
}

static int normalise(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    for (size_t from = 0, to; from <= s.n; from = to + 1) {
        for (to = from; to < s.n && s.p[to] != ' ' && s.p[to] != '-';)
            to++;
        MU_TRY_RETURN(add_token(out, mu_t_sub(s, from, to), e));
    }
    return MU_OK;
}

static int by_bytes(const void *a, const void *b)
{
    const struct mu_str *x = a, *y = b;
    int c = memcmp(x->p, y->p, MU_MIN(x->n, y->n));
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int fill_bag(struct bag *b, struct mu_str s, struct mu_err *e)
{
    struct mu_str word;
    size_t count = 0;
    MU_TRY_RETURN(normalise(&b->text, s, e));
    for (size_t at = 0; mu_doc_next_word(mu_buf_str(&b->text), &at, &word);)
        count++;
    if (count > WORDS_MAX)
        return mu_fail(e, MU_ELIMIT, "an answer of DROP has %zu words, more than %d", count, WORDS_MAX);
    MU_TRY_RETURN(MU_NEW_ARRAY(&b->word, count, "words of an answer", e));
    for (size_t at = 0; mu_doc_next_word(mu_buf_str(&b->text), &at, &word);)
        b->word[b->n++] = word;
    if (b->n)
        qsort(b->word, b->n, sizeof *b->word, by_bytes);
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++)
        if (kept == 0 || !mu_str_eq(b->word[kept - 1], b->word[i]))
            b->word[kept++] = b->word[i];
    b->n = kept;
    return MU_OK;
}

/* ---- measures ---- */

/* Words in both; *has_number: one of gold is a number, *shares_number: a number in both. */
static size_t count_common(const struct bag *gold, const struct bag *predicted, bool *has_number, bool *shares_number)
{
    size_t common = 0;
    *has_number = *shares_number = false;
    for (size_t i = 0; i < gold->n; i++) {
        bool number = is_number(gold->word[i]);
        bool is_shared = predicted->n && bsearch(&gold->word[i], predicted->word, predicted->n, sizeof *predicted->word,
                                                 by_bytes) != NULL;
        common += is_shared;
        *has_number |= number;
        *shares_number |= number && is_shared;
    }
    return common;
}

static double f1_of(const struct bag *gold, const struct bag *predicted)
{
    bool has_number, shares_number;
    size_t common = count_common(gold, predicted, &has_number, &shares_number);
    if (has_number && !shares_number)
        return 0;
    double precision = predicted->n ? (double)common / (double)predicted->n : 1.0;
    double recall = gold->n ? (double)common / (double)gold->n : 1.0;
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

/* One answer, a list of spans, against the prediction: the best pair's F1 counts once, the other spans count zero. */
static int measure(const struct bag *predicted, const json_t *answer, double *em, double *f1, struct mu_err *e)
{
    size_t n = json_array_size(answer);
    double best = 0;
    bool are_equal = n == 1;
    for (size_t i = 0; i < n; i++) {
        struct bag gold = BAG_INIT;
        struct mu_str span;
        int rc = mu_doc_item(answer, i, &span, e);
        if (rc == MU_OK)
            rc = fill_bag(&gold, span, e);
        if (rc == MU_OK) {
            best = fmax(best, f1_of(&gold, predicted));
            are_equal &= mu_str_eq(mu_buf_str(&gold.text), mu_buf_str(&predicted->text));
        }
        free_bag(&gold);
        MU_TRY_RETURN(rc);
    }
    *em = are_equal;
    *f1 = rint(best / (double)MU_MAX(n, 1) * 100) / 100; /* as numpy rounds */
    return MU_OK;
}

static int put_best(const json_t *answers, const struct bag *predicted, json_t *object, struct mu_err *e)
{
    double best_em = 0, best_f1 = 0;
    for (size_t i = 0; i < json_array_size(answers); i++) {
        const json_t *answer = json_array_get(answers, i);
        double em, f1;
        MU_TRY_RETURN(measure(predicted, answer, &em, &f1, e));
        if (mu_doc_strip(mu_doc_str(json_array_get(answer, 0))).n == 0)
            continue;
        best_em = fmax(best_em, em);
        best_f1 = fmax(best_f1, f1);
    }
    MU_TRY_RETURN(mu_doc_put(object, "em", json_real(best_em), e));
    return mu_doc_put(object, "f1", json_real(best_f1), e);
}

static int process_results(const json_t *doc, const json_t *results, json_t **out, struct mu_err *e)
{
    struct bag predicted = BAG_INIT;
    struct mu_str response;
    const json_t *answers;
    json_t *object = NULL;
    int rc = MU_OK;
    if (json_array_size(results) != 1)
        return mu_fail(e, MU_EINVAL, "a document of DROP has one response, not %zu", json_array_size(results));
    MU_TRY(mu_doc_array(doc, "answers", &answers, e));
    MU_TRY(mu_doc_item(results, 0, &response, e));
    MU_TRY(fill_bag(&predicted, response, e));
    object = json_object();
    if (!object)
        rc = mu_fail_nomem(e, sizeof(json_t), "em and f1");
    else
        rc = put_best(answers, &predicted, object, e);
    if (rc == MU_OK) {
        *out = object;
        object = NULL;
    }
out:
    json_decref(object);
    free_bag(&predicted);
    return rc;
}

const struct mu_function mu_docs_drop[] = {
    {.folder = "drop", .name = "utils.process_docs", .kind = MU_FUNCTION_DOCS, .docs = process_docs},
    {.folder = "drop", .name = "utils.process_results", .kind = MU_FUNCTION_RESULTS, .results = process_results},
    {.name = NULL},
};
