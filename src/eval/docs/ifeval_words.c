/* ifeval_words.c - IFEval: instructions about keywords, letters, lengths, beginnings and ends
 *
 * Source: lm_eval/tasks/ifeval/instructions.py (Zhou et al. 2023, arXiv:2311.07911). Keywords are regular expressions
 * there and here. Two kinds need data that muster does not carry: sentences and words as NLTK's Punkt model finds them.
 */
#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/docs_int.h"
#include "eval/docs/ifeval_int.h"
#include "eval/py/case.h"
#include "eval/py/regex.h"
#include "tok/jinja/text.h"

#define PATTERN_MAX 65536

int mu_ifeval_text(const json_t *kwargs, const char *key, struct mu_str *out, struct mu_err *e)
{
    *out = mu_doc_str(json_object_get(kwargs, key));
    return out->n ? MU_OK : mu_fail(e, MU_EINVAL, "an instruction of IFEval has no \"%s\"", key);
}

int mu_ifeval_count(const json_t *kwargs, const char *key, int64_t *out, struct mu_err *e)
{
    double v = json_number_value(json_object_get(kwargs, key));
    if (!(v >= 1 && v <= 1e9 && v == (double)(int64_t)v))
        return mu_fail(e, MU_EINVAL, "an instruction of IFEval has no count \"%s\" of at least 1", key);
    *out = (int64_t)v;
    return MU_OK;
}

int mu_ifeval_find_all(struct mu_str pattern, unsigned flags, struct mu_str s, int64_t *n, struct mu_err *e)
{
    struct mu_pyre *r = NULL;
    json_t *all = NULL;
    MU_TRY_RETURN(mu_pyre_compile(&r, pattern, flags, "an instruction of IFEval", e));
    int rc = mu_pyre_findall(r, s, &all, e);
    *n = (int64_t)json_array_size(all);
    json_decref(all);
    mu_pyre_free(r);
    return rc;
}

/* "less than" or "at least" a count. */
static int compare(const json_t *kwargs, const char *relation, const char *count, int64_t n, bool *follows,
                   struct mu_err *e)
{
    struct mu_str how;
    int64_t bound;
    MU_TRY_RETURN(mu_ifeval_count(kwargs, count, &bound, e));
    MU_TRY_RETURN(mu_ifeval_text(kwargs, relation, &how, e));
    bool is_less = mu_str_eq(how, MU_STR("less than"));
    if (!is_less && !mu_str_eq(how, MU_STR("at least")))
        return mu_fail(e, MU_EINVAL, "the relation \"" MU_STR_FMT "\" is neither \"less than\" nor \"at least\"",
                       MU_STR_ARG(how));
    *follows = is_less ? n < bound : n >= bound;
    return MU_OK;
}

/* Whether a pattern, between two borders, is found whatever its case. */
static int has_pattern(struct mu_str pattern, const char *border, struct mu_str s, bool *found, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a keyword", PATTERN_MAX);
    struct mu_pyre *r = NULL;
    struct mu_pyre_match m;
    int rc = MU_OK;
    MU_TRY(mu_buf_puts(&b, border, e));
    MU_TRY(mu_buf_add(&b, pattern.p, pattern.n, e));
    MU_TRY(mu_buf_puts(&b, border, e));
    MU_TRY(mu_pyre_compile(&r, mu_buf_str(&b), MU_PYRE_IGNORECASE, "a keyword of IFEval", e));
    rc = mu_pyre_search(r, s, 0, false, found, &m, e);
out:
    mu_pyre_free(r);
    mu_buf_fini(&b);
    return rc;
}

static int count_found(const json_t *kwargs, const char *key, const char *border, struct mu_str s, size_t *n,
                       size_t *of, struct mu_err *e)
{
    const json_t *words;
    MU_TRY_RETURN(mu_doc_array(kwargs, key, &words, e));
    *n = 0;
    *of = json_array_size(words);
    for (size_t i = 0; i < *of; i++) {
        struct mu_str word;
        bool found;
        MU_TRY_RETURN(mu_doc_item(words, i, &word, e));
        MU_TRY_RETURN(has_pattern(word, border, s, &found, e));
        *n += found;
    }
    return MU_OK;
}

static int check_keywords(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    size_t n, of;
    MU_TRY_RETURN(count_found(kwargs, "keywords", "", s, &n, &of, e));
    *follows = n == of;
    return MU_OK;
}

static int check_forbidden(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    size_t n, of;
    MU_TRY_RETURN(count_found(kwargs, "forbidden_words", "\\b", s, &n, &of, e));
    *follows = n == 0;
    return MU_OK;
}

static int check_frequency(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_str keyword;
    int64_t n;
    MU_TRY_RETURN(mu_ifeval_text(kwargs, "keyword", &keyword, e));
    MU_TRY_RETURN(mu_ifeval_find_all(mu_doc_strip(keyword), MU_PYRE_IGNORECASE, s, &n, e));
    return compare(kwargs, "relation", "frequency", n, follows, e);
}

static int lower(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    mu_buf_clear(out);
    return mu_py_lower(out, s, e);
}

/* A sign that is no letter is counted as itself; the reference counts a random letter instead. */
static int check_letters(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a response", 3 * MU_DOC_TEXT_MAX), one = MU_BUF_INIT("a letter", 64);
    struct mu_str letter;
    int64_t n = 0;
    int rc = MU_OK;
    MU_TRY(mu_ifeval_text(kwargs, "letter", &letter, e));
    if (mu_t_chars(letter) != 1) {
        rc = mu_fail(e, MU_EINVAL, "the letter \"" MU_STR_FMT "\" of an instruction is not one", MU_STR_ARG(letter));
        goto out;
    }
    MU_TRY(lower(&one, letter, e));
    MU_TRY(lower(&text, s, e));
    struct mu_str all = mu_buf_str(&text);
    for (size_t at = mu_t_find(all, mu_buf_str(&one), 0); at != SIZE_MAX; n++)
        at = mu_t_find(all, mu_buf_str(&one), at + one.n);
    rc = compare(kwargs, "let_relation", "let_frequency", n, follows, e);
out:
    mu_buf_fini(&text);
    mu_buf_fini(&one);
    return rc;
}

/* Runs of \w. */
static int check_words(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    int64_t n = 0;
    bool was_word = false;
    for (size_t i = 0, len; i < s.n; i += len) {
        bool is_word = mu_t_is_word(mu_t_at(s, i, &len));
        n += is_word && !was_word;
        was_word = is_word;
    }
    return compare(kwargs, "relation", "num_words", n, follows, e);
}

/* The next paragraph at *at, ended by an empty line: str.split("\n\n"). */
static bool next_paragraph(struct mu_str s, size_t *at, struct mu_str *p)
{
    if (*at > s.n)
        return false;
    size_t to = mu_t_find(s, MU_STR("\n\n"), *at);
    *p = mu_t_sub(s, *at, to == SIZE_MAX ? s.n : to);
    *at = to == SIZE_MAX ? s.n + 1 : to + 2;
    return true;
}

/* The first word of a paragraph, quotes before it gone, ended by a sign, letter by letter in small. */
static int add_first_word(struct mu_buf *out, struct mu_str paragraph, struct mu_err *e)
{
    struct mu_str word;
    size_t at = 0;
    (void)mu_doc_next_word(paragraph, &at, &word);
    word = mu_t_lstrip(mu_t_lstrip(word, MU_STR("'")), MU_STR("\""));
    for (size_t i = 0, len; i < word.n; i += len) {
        (void)mu_t_at(word, i, &len);
        if (memchr(".,?!'\"", word.p[i], 6))
            break;
        MU_TRY_RETURN(mu_py_lower(out, mu_t_sub(word, i, i + len), e));
    }
    return MU_OK;
}

static int check_nth_paragraph(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_buf word = MU_BUF_INIT("a first word", MU_DOC_TEXT_MAX), first = MU_BUF_INIT("a first word", PATTERN_MAX);
    struct mu_str wanted, p, chosen = {NULL, 0};
    int64_t want, nth, filled = 0, i = 0;
    int rc = MU_OK;
    *follows = false;
    MU_TRY(mu_ifeval_count(kwargs, "num_paragraphs", &want, e));
    MU_TRY(mu_ifeval_count(kwargs, "nth_paragraph", &nth, e));
    MU_TRY(mu_ifeval_text(kwargs, "first_word", &wanted, e));
    if (nth > want) {
        rc = mu_fail(e, MU_EINVAL, "an instruction asks for paragraph %lld of %lld", (long long)nth, (long long)want);
        goto out;
    }
    for (size_t at = 0; next_paragraph(s, &at, &p);) {
        filled += mu_doc_strip(p).n > 0;
        if (++i == nth)
            chosen = mu_doc_strip(p);
    }
    if (nth > filled || chosen.n == 0)
        goto out;
    MU_TRY(add_first_word(&word, chosen, e));
    MU_TRY(lower(&first, wanted, e));
    *follows = filled == want && mu_str_eq(mu_buf_str(&word), mu_buf_str(&first));
out:
    mu_buf_fini(&word);
    mu_buf_fini(&first);
    return rc;
}

/* Whether the small letters of s begin or end with those of part. */
static int matches_edge(struct mu_str s, struct mu_str part, bool at_end, bool *follows, struct mu_err *e)
{
    struct mu_buf a = MU_BUF_INIT("a response", 3 * MU_DOC_TEXT_MAX), b = MU_BUF_INIT("a phrase", 3 * MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    MU_TRY(lower(&a, s, e));
    MU_TRY(lower(&b, mu_doc_strip(part), e));
    *follows = (at_end ? mu_t_ends : mu_t_starts)(mu_buf_str(&a), mu_buf_str(&b));
out:
    mu_buf_fini(&a);
    mu_buf_fini(&b);
    return rc;
}

static int check_repeat(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_str prompt;
    MU_TRY_RETURN(mu_ifeval_text(kwargs, "prompt_to_repeat", &prompt, e));
    return matches_edge(mu_doc_strip(s), prompt, false, follows, e);
}

static int check_end(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_str phrase, quote = MU_STR("\"");
    MU_TRY_RETURN(mu_ifeval_text(kwargs, "end_phrase", &phrase, e));
    return matches_edge(mu_t_rstrip(mu_t_lstrip(mu_doc_strip(s), quote), quote), phrase, true, follows, e);
}

static int check_comma(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    (void)kwargs, (void)e;
    *follows = mu_t_find(s, MU_STR(","), 0) == SIZE_MAX;
    return MU_OK;
}

static const char punkt[] =
    "sentences and words as NLTK's Punkt model cuts them, a trained model that muster does not carry";
static const char languages[] = "a language detector (langdetect), trained profiles that muster does not carry";

const struct mu_ifeval_kind mu_ifeval_words[] = {
    {"keywords:existence", check_keywords, NULL},
    {"keywords:frequency", check_frequency, NULL},
    {"keywords:forbidden_words", check_forbidden, NULL},
    {"keywords:letter_frequency", check_letters, NULL},
    {"length_constraints:number_words", check_words, NULL},
    {"length_constraints:nth_paragraph_first_word", check_nth_paragraph, NULL},
    {"combination:repeat_prompt", check_repeat, NULL},
    {"startend:end_checker", check_end, NULL},
    {"punctuation:no_comma", check_comma, NULL},
    {"length_constraints:number_sentences", NULL, punkt},
    {"change_case:capital_word_frequency", NULL, punkt},
    {"language:response_language", NULL, languages},
    {"change_case:english_capital", NULL, languages},
    {"change_case:english_lowercase", NULL, languages},
    {NULL, NULL, NULL},
};
