/* bleu_intl.c - BLEU of one answer against one reference, words cut as NIST's mteval-v14.pl
 * --international-tokenization
 *
 * Source: sacrebleu's tokenizer "intl" and compute_bleu with smooth_method "exp" (Papineni et al. 2002; method 3 of
 * Chen and Cherry 2014). */
#include "eval/docs/similarity_int.h"

#include <math.h>

#include <utf8proc.h>

#include "base/check.h"
#include "eval/docs/docs_int.h"
#include "eval/metric/ngram.h"
#include "tok/jinja/text.h"

#define ORDER 4

static bool is_mark(uint32_t cp)
{
    int c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

static bool is_symbol(uint32_t cp)
{
    int c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_SM && c <= UTF8PROC_CATEGORY_SO;
}

static int add_spaced(struct mu_buf *out, bool before, struct mu_str s, bool after, struct mu_err *e)
{
    if (before)
        MU_TRY_RETURN(mu_buf_putc(out, ' ', e));
    MU_TRY_RETURN(mu_buf_add(out, s.p, s.n, e));
    return after ? mu_buf_putc(out, ' ', e) : MU_OK;
}

/* Pairs of a mark and what is no number, spaces around the mark; `mark_first` says which comes first. */
static int cut_marks(struct mu_buf *b, bool mark_first, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT(b->what, b->max);
    struct mu_str s = mu_buf_str(b);
    int rc = MU_OK;
    for (size_t i = 0, len, next_len; i < s.n; i += len) {
        uint32_t first = mu_t_at(s, i, &len), second = 0;
        bool has_two = i + len < s.n, is_pair = false;
        if (has_two) {
            second = mu_t_at(s, i + len, &next_len);
            is_pair =
                mark_first ? is_mark(first) && !mu_t_is_numeric(second) : !mu_t_is_numeric(first) && is_mark(second);
        }
        MU_TRY(add_spaced(&out, is_pair && mark_first, mu_t_sub(s, i, i + len), is_pair, e));
        if (is_pair) {
            MU_TRY(add_spaced(&out, false, mu_t_sub(s, i + len, i + len + next_len), !mark_first, e));
            len += next_len;
        }
    }
    mu_buf_fini(b);
    *b = out;
    return MU_OK;
out:
    mu_buf_fini(&out);
    return rc;
}

static int cut_symbols(struct mu_buf *b, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT(b->what, b->max);
    struct mu_str s = mu_buf_str(b);
    int rc = MU_OK;
    for (size_t i = 0, len; i < s.n; i += len) {
        bool is_cut = is_symbol(mu_t_at(s, i, &len));
        MU_TRY(add_spaced(&out, is_cut, mu_t_sub(s, i, i + len), is_cut, e));
    }
    mu_buf_fini(b);
    *b = out;
    return MU_OK;
out:
    mu_buf_fini(&out);
    return rc;
}

static int tokenise(struct mu_buf *b, struct mu_str s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_doc_set(b, mu_t_rstrip(s, (struct mu_str){NULL, 0}), e));
    MU_TRY_RETURN(cut_marks(b, false, e));
    MU_TRY_RETURN(cut_marks(b, true, e));
    return cut_symbols(b, e);
}

static int number_words(struct mu_words *w, struct mu_str s, struct mu_units *u, struct mu_err *e)
{
    struct mu_str word;
    for (size_t at = 0; mu_doc_next_word(s, &at, &word);)
        MU_TRY_RETURN(mu_units_add(u, mu_words_number(w, word), e));
    return MU_OK;
}

static double score(const int64_t *matched, size_t answered, size_t referenced)
{
    double logs = 0, halved = 1, brevity = 1;
    if (matched[0] == 0)
        return 0;
    for (int n = 0; n < ORDER; n++) {
        double total = (double)mu_ngram_count(answered, n + 1), m = (double)matched[n];
        if (total == 0)
            return 0;
        if (m == 0)
            halved *= 2;
        logs += log(m == 0 ? 100 / (halved * total) : 100 * m / total);
    }
    if (answered < referenced)
        brevity = exp(1 - (double)referenced / (double)answered);
    return brevity * exp(logs / ORDER);
}

int mu_doc_bleu(struct mu_str reference, struct mu_str answer, double *out, struct mu_err *e)
{
    struct mu_buf text[2] = {MU_BUF_INIT("a tokenized answer", 4 * MU_DOC_TEXT_MAX),
                             MU_BUF_INIT("a tokenized reference", 4 * MU_DOC_TEXT_MAX)};
    struct mu_words words = {0};
    struct mu_units units[2] = {0};
    struct mu_ngrams grams = {0};
    int64_t matched[ORDER] = {0};
    int rc = MU_OK;
    MU_TRY(tokenise(&text[0], answer, e));
    MU_TRY(tokenise(&text[1], reference, e));
    MU_TRY(mu_words_begin(&words, text[0].n + text[1].n, e));
    for (int i = 0; i < 2; i++)
        MU_TRY(number_words(&words, mu_buf_str(&text[i]), &units[i], e));
    MU_TRY(mu_ngrams_begin(&grams, units[1].n, ORDER, e));
    mu_ngrams_reference(&grams, &units[1], ORDER);
    mu_ngrams_match(&grams, &units[0], ORDER, matched);
    *out = score(matched, units[0].n, units[1].n);
out:
    for (int i = 0; i < 2; i++) {
        mu_buf_fini(&text[i]);
        mu_units_fini(&units[i]);
    }
    mu_words_fini(&words);
    mu_ngrams_fini(&grams);
    return rc;
}
