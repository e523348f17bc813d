/* chrf.c - chrF2 and chrF2++ of a corpus as sacrebleu gives them: character n-grams up to 6, white space dropped; with
 * ++ n-grams of words up to 2 as well, a mark of punctuation at a word's end, else at its beginning, cut off
 *
 * Popovic 2015 and 2017. Of several references the one with the best score of the document counts. Precision and
 * recall are averaged over the orders that both sides have. */
#include "base/check.h"
#include "eval/metric/corpus_work.h"
#include "tok/jinja/text.h"

#define ORDER      6
#define WORD_ORDER 2   /* of chrF++ */
#define BETA2      4.0 /* beta squared */

/* counts: n-grams of the prediction, of the reference, of both, an order after the other; words after characters */
enum { PREDICTED, REFERENCED, MATCHED, PER_ORDER };

_Static_assert((ORDER + WORD_ORDER) * PER_ORDER <= MU_CORPUS_COUNTS_MAX, "room for the counts");

static int characters(struct mu_str s, struct mu_units *u, struct mu_err *e)
{
    size_t len;
    u->n = 0;
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t cp = mu_t_at(s, i, &len);
        if (!mu_t_is_space(cp))
            MU_TRY_RETURN(mu_units_add(u, cp, e));
    }
    return MU_OK;
}

/* ---- words ---- */

static bool is_punctuation(char c)
{
    return strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL && c != '\0';
}

/* Where a word of two characters or more is cut in two; 0: nowhere. */
static size_t cut_at(struct mu_str word)
{
    size_t len;
    mu_t_at(word, 0, &len);
    if (len == word.n)
        return 0;
    return is_punctuation(word.p[word.n - 1]) ? word.n - 1 : is_punctuation(word.p[0]) ? 1 : 0;
}

static int split_words(struct mu_corpus_work *w, struct mu_str s, struct mu_err *e)
{
    struct mu_str word;
    mu_buf_clear(&w->text);
    for (size_t at = 0; mu_corpus_word(s, &at, &word);) {
        size_t cut = cut_at(word);
        MU_TRY_RETURN(mu_buf_add(&w->text, word.p, cut, e));
        MU_TRY_RETURN(mu_buf_putc(&w->text, ' ', e));
        MU_TRY_RETURN(mu_buf_add(&w->text, word.p + cut, word.n - cut, e));
        MU_TRY_RETURN(mu_buf_putc(&w->text, ' ', e));
    }
    return MU_OK;
}

/* ---- scores ---- */

static double score_orders(const double *counts, int n_orders)
{
    double precision = 0, recall = 0;
    int orders = 0;

    for (int n = 0; n < n_orders; n++, counts += PER_ORDER) {
        if (counts[PREDICTED] == 0 || counts[REFERENCED] == 0)
            continue;
        precision += counts[MATCHED] / counts[PREDICTED];
        recall += counts[MATCHED] / counts[REFERENCED];
        orders++;
    }
    if (precision + recall == 0)
        return 0;
    precision /= orders;
    recall /= orders;
    return 100 * ((1 + BETA2) * precision * recall / (BETA2 * precision + recall));
}

static int compare(struct mu_ngrams *grams, const struct mu_units *prediction, const struct mu_units *reference,
                   int n_orders, double *counts, struct mu_err *e)
{
    int64_t matched[ORDER] = {0};

    MU_TRY_RETURN(mu_ngrams_begin(grams, reference->n, n_orders, e));
    mu_ngrams_reference(grams, reference, n_orders);
    mu_ngrams_match(grams, prediction, n_orders, matched);
    for (int n = 0; n < n_orders; n++, counts += PER_ORDER) {
        counts[REFERENCED] = (double)mu_ngram_count(reference->n, n + 1);
        counts[PREDICTED] = counts[REFERENCED] > 0 ? (double)mu_ngram_count(prediction->n, n + 1) : 0;
        counts[MATCHED] = (double)matched[n];
    }
    return MU_OK;
}

static int count_orders(struct mu_corpus_work *w, int word_order, double *counts, struct mu_err *e)
{
    struct mu_units *prediction = &w->character_units[0], *reference = &w->character_units[1];
    size_t n_counts = (size_t)(ORDER + word_order) * PER_ORDER;
    double best = -1;

    MU_TRY_RETURN(characters(w->prediction, prediction, e));
    if (word_order > 0)
        MU_TRY_RETURN(mu_corpus_words(w, split_words, e));
    for (size_t i = 0; i < w->n_references; i++) {
        double one[(ORDER + WORD_ORDER) * PER_ORDER];
        MU_TRY_RETURN(characters(w->reference[i], reference, e));
        MU_TRY_RETURN(compare(&w->grams, prediction, reference, ORDER, one, e));
        if (word_order > 0)
            MU_TRY_RETURN(
                compare(&w->grams, &w->units, &w->reference_units[i], word_order, one + ORDER * PER_ORDER, e));
        double value = score_orders(one, ORDER + word_order);
        if (value > best) {
            best = value;
            memcpy(counts, one, n_counts * sizeof *one);
        }
    }
    return MU_OK;
}

/* ---- the two ---- */

static int count(struct mu_corpus_work *w, double *counts, struct mu_err *e)
{
    return count_orders(w, 0, counts, e);
}

static double score(const double *counts)
{
    return score_orders(counts, ORDER);
}

static int count_with_words(struct mu_corpus_work *w, double *counts, struct mu_err *e)
{
    return count_orders(w, WORD_ORDER, counts, e);
}

static double score_with_words(const double *counts)
{
    return score_orders(counts, ORDER + WORD_ORDER);
}

const struct mu_corpus_metric mu_corpus_chrf = {"chrf", ORDER *PER_ORDER, count, score};
const struct mu_corpus_metric mu_corpus_chrfpp = {"chrf++", (ORDER + WORD_ORDER) * PER_ORDER, count_with_words,
                                                  score_with_words};
