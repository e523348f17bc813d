/* bbh.c - BIG-Bench Hard without shots: the filters that find an answer in free text
 *
 * Source: lm_eval/tasks/bbh/{zeroshot,cot_zeroshot}/utils.py. The regular expressions of a step come from the task's
 * file; where the reference stops with an error (a match whose groups are all empty) there is no match here. */
#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/bbh_int.h"
#include "eval/docs/docs_int.h"
#include "eval/filter/filter.h"
#include "eval/py/case.h"
#include "eval/py/regex.h"
#include "eval/py/truth.h"
#include "tok/jinja/text.h"

#include <utf8proc.h>

#define PATTERNS_MAX 256
#define PATTERN_MAX  65536

/* What a step of any of these classes may say. */
struct args {
    struct mu_pyre *regex; /* regex_pattern, or all keys of regex_pattern_to_value */
    struct mu_pyre *one[PATTERNS_MAX];
    json_t *value[PATTERNS_MAX]; /* borrowed */
    int n;
    struct mu_pyre *ignored[PATTERNS_MAX];
    int n_ignored;
    json_int_t group_select;
    bool ignore_case, ignore_punctuation;
    json_t *fallback; /* owned */
};

static const char where[] = "a filter of BIG-Bench Hard";

static void close_args(struct args *a)
{
    mu_pyre_free(a->regex);
    for (int i = 0; i < a->n; i++)
        mu_pyre_free(a->one[i]);
    for (int i = 0; i < a->n_ignored; i++)
        mu_pyre_free(a->ignored[i]);
    json_decref(a->fallback);
}

static int open_ignored(struct args *a, const json_t *list, struct mu_err *e)
{
    if (!list || json_is_null(list))
        return MU_OK;
    if (!json_is_array(list) || json_array_size(list) > PATTERNS_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: regexes_to_ignore is a list of at most %d patterns", where, PATTERNS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct mu_str pattern;
        MU_TRY_RETURN(mu_doc_item(list, i, &pattern, e));
        MU_TRY_RETURN(mu_pyre_compile(&a->ignored[a->n_ignored], pattern, 0, where, e));
        a->n_ignored++;
    }
    return MU_OK;
}

static int open_common(struct args *a, const json_t *kwargs, struct mu_err *e)
{
    const json_t *select = json_object_get(kwargs, "group_select");
    json_t *fallback = json_object_get(kwargs, "fallback");
    if (select && !json_is_integer(select))
        return mu_fail(e, MU_EFORMAT, "%s: group_select is no whole number", where);
    a->group_select = json_integer_value(select);
    a->ignore_case = mu_py_truth(json_object_get(kwargs, "ignore_case"));
    a->ignore_punctuation = mu_py_truth(json_object_get(kwargs, "ignore_punctuation"));
    a->fallback = fallback ? json_incref(fallback) : json_string("[invalid]");
    if (!a->fallback)
        return mu_fail_nomem(e, sizeof(json_t), where);
    return open_ignored(a, json_object_get(kwargs, "regexes_to_ignore"), e);
}

static int check_names(const json_t *kwargs, const char *const *names, struct mu_err *e)
{
    for (void *at = json_object_iter((json_t *)kwargs); at; at = json_object_iter_next((json_t *)kwargs, at)) {
        const char *const *name = names;
        while (*name && strcmp(*name, json_object_iter_key(at)) != 0)
            name++;
        if (!*name)
            return mu_fail(e, MU_EFORMAT, "%s knows no argument \"%s\"", where, json_object_iter_key(at));
    }
    return MU_OK;
}

/* ---- what the classes share ---- */

static int drop_punctuation(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    size_t len;
    for (size_t i = 0; i < s.n; i += len) {
        int c = utf8proc_category((utf8proc_int32_t)mu_t_at(s, i, &len));
        if (c < UTF8PROC_CATEGORY_PC || c > UTF8PROC_CATEGORY_PO)
            MU_TRY_RETURN(mu_buf_add(out, s.p + i, len, e));
    }
    return MU_OK;
}

static void swap(struct mu_buf *a, struct mu_buf *b)
{
    struct mu_buf keep = *a;
    *a = *b;
    *b = keep;
    mu_buf_clear(b);
}

/* out = s without what is to be ignored. */
static int ignore(const struct args *a, struct mu_str s, struct mu_buf *out, struct mu_err *e)
{
    struct mu_buf next = MU_BUF_INIT("a response", 3 * MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    MU_TRY(mu_doc_set(out, s, e));
    for (int i = 0; i < a->n_ignored; i++) {
        MU_TRY(mu_pyre_sub(a->ignored[i], MU_STR(""), mu_buf_str(out), 0, &next, e));
        swap(out, &next);
    }
    if (a->ignore_case) {
        MU_TRY(mu_py_lower(&next, mu_buf_str(out), e));
        swap(out, &next);
    }
    if (a->ignore_punctuation) {
        MU_TRY(drop_punctuation(&next, mu_buf_str(out), e));
        swap(out, &next);
    }
out:
    mu_buf_fini(&next);
    return rc;
}

static struct mu_str first_group(const json_t *match)
{
    if (json_is_string(match))
        return mu_doc_str(match);
    for (size_t i = 0; i < json_array_size(match); i++)
        if (json_string_length(json_array_get(match, i)))
            return mu_doc_str(json_array_get(match, i));
    return MU_STR("");
}

/* out = the match that group_select asks for, stripped; empty: none. */
static int find_match(const struct args *a, const struct mu_pyre *regex, struct mu_str s, struct mu_buf *out,
                      struct mu_err *e)
{
    json_t *all = NULL;
    MU_TRY_RETURN(mu_pyre_findall(regex, s, &all, e));
    json_int_t n = (json_int_t)json_array_size(all), i = a->group_select < 0 ? n + a->group_select : a->group_select;
    const json_t *match = i >= 0 && i < n ? json_array_get(all, (size_t)i) : NULL;
    int rc = mu_doc_set(out, match ? mu_doc_strip(first_group(match)) : MU_STR(""), e);
    json_decref(all);
    return rc;
}

/* *out = the filtered response, a new reference. */
typedef int (*one_fn)(const struct args *a, struct mu_str response, json_t **out, struct mu_err *e);

static int apply_document(const struct args *a, const json_t *responses, one_fn one, json_t *list, struct mu_err *e)
{
    json_t *mine = json_array();
    int rc = mine ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "filtered responses");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(responses); i++) {
        struct mu_str response;
        json_t *v = NULL;
        rc = mu_doc_item(responses, i, &response, e);
        if (rc == MU_OK)
            rc = one(a, response, &v, e);
        if (rc == MU_OK)
            rc = mu_doc_push(mine, v, e);
    }
    if (rc == MU_OK)
        return mu_doc_push(list, mine, e);
    json_decref(mine);
    return rc;
}

static int apply_all(const struct args *a, const json_t *resps, one_fn one, json_t **out, struct mu_err *e)
{
    json_t *list = json_array();
    int rc = list ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "filtered responses");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(resps); i++)
        rc = apply_document(a, json_array_get(resps, i), one, list, e);
    if (rc == MU_OK)
        *out = list;
    else
        json_decref(list);
    return rc;
}

/* ---- MapRegexFilter: a pattern found stands for a value ---- */

static int open_map(struct args *a, const json_t *kwargs, struct mu_err *e)
{
    json_t *map = json_object_get(kwargs, "regex_pattern_to_value");
    struct mu_buf any = MU_BUF_INIT("patterns joined", PATTERN_MAX);
    int rc = MU_OK;
    if (!json_is_object(map) || json_object_size(map) == 0 || json_object_size(map) > PATTERNS_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: regex_pattern_to_value is a mapping of 1 to %d patterns", where,
                       PATTERNS_MAX);
    for (void *at = json_object_iter(map); at; at = json_object_iter_next(map, at)) {
        struct mu_str pattern = mu_str(json_object_iter_key(at));
        MU_TRY(mu_pyre_compile(&a->one[a->n], pattern, 0, where, e));
        a->value[a->n++] = json_object_iter_value(at);
        MU_TRY(any.n ? mu_buf_putc(&any, '|', e) : MU_OK);
        MU_TRY(mu_buf_add(&any, pattern.p, pattern.n, e));
    }
    MU_TRY(mu_pyre_compile(&a->regex, mu_buf_str(&any), 0, where, e));
    rc = open_common(a, kwargs, e);
out:
    mu_buf_fini(&any);
    return rc;
}

/* The value of the first pattern that the matched text has; NULL: none. */
static int find_value(const struct args *a, struct mu_str found, json_t **value, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a match", 3 * MU_DOC_TEXT_MAX), match = MU_BUF_INIT("a match", MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    *value = NULL;
    MU_TRY(ignore(a, found, &text, e));
    for (int i = 0; !*value && i < a->n; i++) {
        MU_TRY(find_match(a, a->one[i], mu_buf_str(&text), &match, e));
        if (match.n)
            *value = a->value[i];
    }
out:
    mu_buf_fini(&text);
    mu_buf_fini(&match);
    return rc;
}

static int map_one(const struct args *a, struct mu_str response, json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a response", 3 * MU_DOC_TEXT_MAX);
    struct mu_buf match = MU_BUF_INIT("a match", MU_DOC_TEXT_MAX);
    json_t *value = NULL;
    int rc = MU_OK;
    MU_TRY(ignore(a, response, &text, e));
    MU_TRY(find_match(a, a->regex, mu_buf_str(&text), &match, e));
    if (match.n)
        MU_TRY(find_value(a, mu_buf_str(&match), &value, e));
    *out = json_incref(mu_py_truth(value) ? value : a->fallback);
out:
    mu_buf_fini(&text);
    mu_buf_fini(&match);
    return rc;
}

static int apply_map(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    struct args a = {0};
    (void)docs;
    int rc = open_map(&a, kwargs, e);
    if (rc == MU_OK)
        rc = apply_all(&a, resps, map_one, out, e);
    close_args(&a);
    return rc;
}

static int check_map(const json_t *kwargs, struct mu_err *e)
{
    static const char *const names[] = {"regex_pattern_to_value", "group_select",      "fallback", "ignore_case",
                                        "ignore_punctuation",     "regexes_to_ignore", NULL};
    struct args a = {0};
    MU_TRY_RETURN(check_names(kwargs, names, e));
    int rc = open_map(&a, kwargs, e);
    close_args(&a);
    return rc;
}

/* ---- NumberParseRegexFilter: a number in digits, else in words ---- */

static int open_number(struct args *a, const json_t *kwargs, struct mu_err *e)
{
    const json_t *pattern = json_object_get(kwargs, "regex_pattern");
    if (pattern && !json_is_string(pattern))
        return mu_fail(e, MU_EFORMAT, "%s: regex_pattern is no text", where);
    struct mu_str s = pattern ? mu_doc_str(pattern) : MU_STR("#### (\\-?[0-9\\.\\,]+)");
    MU_TRY_RETURN(mu_pyre_compile(&a->regex, s, 0, where, e));
    MU_TRY_RETURN(mu_pyre_compile(&a->one[0], mu_str(mu_bbh_number_pattern), 0, where, e));
    a->n = 1;
    return open_common(a, kwargs, e);
}

static int number_one(const struct args *a, struct mu_str response, json_t **out, struct mu_err *e)
{
    struct mu_buf lower = MU_BUF_INIT("a response", 3 * MU_DOC_TEXT_MAX);
    struct mu_buf match = MU_BUF_INIT("a match", MU_DOC_TEXT_MAX);
    int64_t value;
    int rc = MU_OK;
    MU_TRY(find_match(a, a->regex, response, &match, e));
    if (!match.n) {
        MU_TRY(mu_py_lower(&lower, response, e));
        MU_TRY(find_match(a, a->one[0], mu_buf_str(&lower), &match, e));
        bool is_number = match.n && mu_bbh_number(mu_buf_str(&match), &value);
        mu_buf_clear(&match);
        if (is_number)
            MU_TRY(mu_buf_printf(&match, e, "%lld", (long long)value));
    }
    if (match.n)
        rc = mu_doc_string(out, mu_buf_str(&match), e);
    else
        *out = json_incref(a->fallback);
out:
    mu_buf_fini(&lower);
    mu_buf_fini(&match);
    return rc;
}

static int apply_number(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    struct args a = {0};
    (void)docs;
    int rc = open_number(&a, kwargs, e);
    if (rc == MU_OK)
        rc = apply_all(&a, resps, number_one, out, e);
    close_args(&a);
    return rc;
}

static int check_number(const json_t *kwargs, struct mu_err *e)
{
    static const char *const names[] = {"regex_pattern",      "group_select",      "fallback", "ignore_case",
                                        "ignore_punctuation", "regexes_to_ignore", NULL};
    struct args a = {0};
    MU_TRY_RETURN(check_names(kwargs, names, e));
    int rc = open_number(&a, kwargs, e);
    close_args(&a);
    return rc;
}

/* ---- WordSortFilter: the words of the question in the order in which the answer has them ---- */

/* The words behind "List:", up to the next "List:", as alternatives between word boundaries. */
static int compile_words(struct mu_pyre **out, const json_t *doc, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("words to sort", PATTERN_MAX);
    struct mu_str input, word;
    int rc = MU_OK;
    MU_TRY(mu_doc_text(doc, "input", &input, e));
    size_t from = mu_t_find(input, MU_STR("List:"), 0);
    if (from == SIZE_MAX) {
        rc = mu_fail(e, MU_EINVAL, "a question of word_sorting has no \"List:\"");
        goto out;
    }
    size_t to = mu_t_find(input, MU_STR("List:"), from + 5);
    struct mu_str list = mu_t_sub(input, from + 5, to == SIZE_MAX ? input.n : to);
    for (size_t at = 0; mu_doc_next_word(list, &at, &word);) {
        MU_TRY(mu_buf_puts(&b, b.n ? "|\\b" : "\\b", e));
        MU_TRY(mu_buf_add(&b, word.p, word.n, e));
        MU_TRY(mu_buf_puts(&b, "\\b", e));
    }
    rc = mu_pyre_compile(out, mu_buf_str(&b), 0, "the words of a question of word_sorting", e);
out:
    mu_buf_fini(&b);
    return rc;
}

/* Of a word found more than once the last place counts. */
static int join_words(const json_t *found, struct mu_buf *out, struct mu_err *e)
{
    size_t n = json_array_size(found);
    for (size_t i = 0; i < n; i++) {
        struct mu_str word = mu_doc_str(json_array_get(found, i));
        bool comes_again = false;
        for (size_t k = i + 1; k < n && !comes_again; k++)
            comes_again = mu_str_eq(word, mu_doc_str(json_array_get(found, k)));
        if (comes_again)
            continue;
        MU_TRY_RETURN(out->n ? mu_buf_putc(out, ' ', e) : MU_OK);
        MU_TRY_RETURN(mu_buf_add(out, word.p, word.n, e));
    }
    return MU_OK;
}

static int sort_one(void *arg, const json_t *doc, struct mu_str response, struct mu_buf *out, struct mu_err *e)
{
    struct mu_pyre *regex = NULL;
    json_t *found = NULL;
    (void)arg;
    MU_TRY_RETURN(compile_words(&regex, doc, e));
    int rc = mu_pyre_findall(regex, response, &found, e);
    if (rc == MU_OK)
        rc = join_words(found, out, e);
    json_decref(found);
    mu_pyre_free(regex);
    return rc;
}

static int apply_sort(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    (void)kwargs;
    return mu_doc_filter(resps, docs, sort_one, NULL, out, e);
}

/* ---- MultiChoiceRegexFilter: the filter of that name, the choices read from the question ---- */

static int put_choices(const struct mu_pyre *regex, const json_t *doc, json_t *list, struct mu_err *e)
{
    struct mu_str input;
    json_t *choices = NULL, *small = json_object();
    int rc = small ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "choices");
    if (rc == MU_OK)
        rc = mu_doc_text(doc, "input", &input, e);
    if (rc == MU_OK)
        rc = mu_pyre_findall(regex, input, &choices, e);
    if (rc == MU_OK)
        rc = mu_doc_put(small, "choices", choices, e);
    if (rc == MU_OK)
        return mu_doc_push(list, small, e);
    json_decref(small);
    return rc;
}

static int apply_choice(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    struct mu_pyre *regex = NULL;
    json_t *list = json_array();
    int rc = list ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "choices");
    if (rc == MU_OK)
        rc = mu_pyre_compile(&regex, MU_STR("\\([A-Z]\\)([^\\n^(]*)"), 0, where, e);
    for (size_t i = 0; rc == MU_OK && i < json_array_size(docs); i++)
        rc = put_choices(regex, json_array_get(docs, i), list, e);
    if (rc == MU_OK)
        rc = mu_filter_find("multi_choice_regex")->apply(kwargs, resps, list, out, e);
    mu_pyre_free(regex);
    json_decref(list);
    return rc;
}

static int check_choice(const json_t *kwargs, struct mu_err *e)
{
    return mu_filter_find("multi_choice_regex")->check(kwargs, e);
}

static const struct mu_filter filter_map = {"MapRegexFilter", check_map, apply_map},
                              filter_number = {"NumberParseRegexFilter", check_number, apply_number},
                              filter_sort = {"WordSortFilter", NULL, apply_sort},
                              filter_choice = {"MultiChoiceRegexFilter", check_choice, apply_choice};

#define ROW(n, f)                                                                                                      \
    {                                                                                                                  \
        .folder = "bbh", .name = "utils." n, .kind = MU_FUNCTION_FILTER_CLASS, .filter_class = &f                      \
    }

const struct mu_function mu_docs_bbh[] = {
    ROW("MapRegexFilter", filter_map),
    ROW("NumberParseRegexFilter", filter_number),
    ROW("WordSortFilter", filter_sort),
    ROW("MultiChoiceRegexFilter", filter_choice),
    {.name = NULL},
};
