/* rouge.c - ROUGE-1, ROUGE-2 and the summary-level ROUGE-L of one answer against one reference
 *
 * Lin 2004, "ROUGE: a package for automatic evaluation of summaries", sections 2 and 3.2, as Google's rouge_score
 * computes it without a stemmer: words are runs of a-z and 0-9 of the text in small letters, sentences are lines. */
#include "eval/docs/similarity_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/docs_int.h"
#include "eval/metric/ngram.h"
#include "eval/py/case.h"

#define CELLS_MAX ((size_t)64 << 20) /* of the table of common subsequences of two lines */

/* A text as words, and where its lines end. */
struct side {
    struct mu_buf text; /* small letters; words point into it */
    struct mu_units words, line_ends;
};

#define SIDE_INIT                                                                                                      \
    {                                                                                                                  \
        .text = MU_BUF_INIT("an answer in small letters", 3 * MU_DOC_TEXT_MAX)                                         \
    }

static void free_side(struct side *s)
{
    mu_buf_fini(&s->text);
    mu_units_fini(&s->words);
    mu_units_fini(&s->line_ends);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* " . " ends a sentence: the harness puts it on a line of its own. */
static int lower_lines(struct side *s, struct mu_str text, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("an answer", MU_DOC_TEXT_MAX);
    int rc = MU_OK;
    MU_TRY(mu_doc_set(&b, text, e));
    MU_TRY(mu_doc_replace(&b, " . ", ".\n", e));
    rc = mu_py_lower(&s->text, mu_buf_str(&b), e);
out:
    mu_buf_fini(&b);
    return rc;
}

static int cut_words(struct side *s, struct mu_words *w, struct mu_err *e)
{
    struct mu_str t = mu_buf_str(&s->text);
    for (size_t i = 0; i < t.n;) {
        size_t from = i;
        while (i < t.n && is_letter(t.p[i]))
            i++;
        if (i > from)
            MU_TRY_RETURN(mu_units_add(&s->words, mu_words_number(w, (struct mu_str){t.p + from, i - from}), e));
        if (i < t.n && t.p[i] == '\n')
            MU_TRY_RETURN(mu_units_add(&s->line_ends, (uint32_t)s->words.n, e));
        i += i < t.n;
    }
    return mu_units_add(&s->line_ends, (uint32_t)s->words.n, e);
}

static double f_of(double common, size_t answered, size_t referenced)
{
    double precision = common / (double)MU_MAX(answered, 1), recall = common / (double)MU_MAX(referenced, 1);
    return precision + recall > 0 ? 100 * (2 * precision * recall / (precision + recall)) : 0;
}

/* Marks in `in` the words of r that are in one longest common subsequence with c. The table is filled from the front
 * and read from the back, the step up preferred, so that of several longest ones the reference's is taken. */
static int mark_common(const uint32_t *r, size_t n, const uint32_t *c, size_t m, char *in, struct mu_err *e)
{
    uint32_t *t = NULL;
    size_t w = m + 1;
    if (n == 0 || m == 0)
        return MU_OK;
    if (n + 1 > CELLS_MAX / w)
        return mu_fail(e, MU_ELIMIT, "ROUGE: lines of %zu and %zu words are too long to compare", n, m);
    MU_TRY_RETURN(MU_NEW_ARRAY(&t, (n + 1) * w, "ROUGE's common words", e));
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++)
            t[i * w + j] =
                r[i - 1] == c[j - 1] ? t[(i - 1) * w + j - 1] + 1 : MU_MAX(t[(i - 1) * w + j], t[i * w + j - 1]);
    for (size_t i = n, j = m; i > 0 && j > 0;) {
        if (r[i - 1] == c[j - 1]) {
            in[--i] = 1;
            j--;
        } else if (t[i * w + j - 1] > t[(i - 1) * w + j]) {
            j--;
        } else {
            i--;
        }
    }
    mu_free(t);
    return MU_OK;
}

/* How many marked words find a partner in the answer, each word of which pairs once. */
static size_t count_partners(const struct side *reference, const char *in, const struct side *answer, char *used)
{
    size_t hits = 0;
    for (size_t i = 0; i < reference->words.n; i++)
        for (size_t j = 0; in[i] && j < answer->words.n; j++)
            if (!used[j] && answer->words.p[j] == reference->words.p[i]) {
                used[j] = 1;
                hits++;
                break;
            }
    return hits;
}

static int mark_lines(const struct side *reference, const struct side *answer, char *in, struct mu_err *e)
{
    for (size_t a = 0, from = 0; a < reference->line_ends.n; from = reference->line_ends.p[a++])
        for (size_t b = 0, start = 0; b < answer->line_ends.n; start = answer->line_ends.p[b++])
            MU_TRY_RETURN(mark_common(reference->words.p + from, reference->line_ends.p[a] - from,
                                      answer->words.p + start, answer->line_ends.p[b] - start, in + from, e));
    return MU_OK;
}

static int rouge_l(const struct side *reference, const struct side *answer, double *out, struct mu_err *e)
{
    char *in = NULL, *used = NULL;
    int rc = MU_OK;
    *out = 0;
    if (reference->words.n == 0 || answer->words.n == 0)
        return MU_OK;
    MU_TRY(MU_NEW_ARRAY(&in, reference->words.n, "ROUGE's common words", e));
    MU_TRY(MU_NEW_ARRAY(&used, answer->words.n, "ROUGE's common words", e));
    MU_TRY(mark_lines(reference, answer, in, e));
    *out = f_of((double)count_partners(reference, in, answer, used), answer->words.n, reference->words.n);
out:
    mu_free(in);
    mu_free(used);
    return rc;
}

static int rouge_n(const struct side *reference, const struct side *answer, double *out, struct mu_err *e)
{
    struct mu_ngrams grams = {0};
    int64_t matched[2] = {0};
    int rc = MU_OK;
    MU_TRY(mu_ngrams_begin(&grams, reference->words.n, 2, e));
    mu_ngrams_reference(&grams, &reference->words, 2);
    mu_ngrams_match(&grams, &answer->words, 2, matched);
    for (int n = 0; n < 2; n++)
        out[n] = f_of((double)matched[n], (size_t)mu_ngram_count(answer->words.n, n + 1),
                      (size_t)mu_ngram_count(reference->words.n, n + 1));
out:
    mu_ngrams_fini(&grams);
    return rc;
}

int mu_doc_rouge(struct mu_str reference, struct mu_str answer, double out[MU_ROUGES], struct mu_err *e)
{
    struct side r = SIDE_INIT, a = SIDE_INIT;
    struct mu_words words = {0};
    int rc = MU_OK;
    MU_TRY(lower_lines(&r, reference, e));
    MU_TRY(lower_lines(&a, answer, e));
    MU_TRY(mu_words_begin(&words, r.text.n + a.text.n, e));
    MU_TRY(cut_words(&r, &words, e));
    MU_TRY(cut_words(&a, &words, e));
    MU_TRY(rouge_n(&r, &a, out, e));
    rc = rouge_l(&r, &a, &out[MU_ROUGE_L], e);
out:
    free_side(&r);
    free_side(&a);
    mu_words_fini(&words);
    return rc;
}
