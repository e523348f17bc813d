/* corpus_work.h - what bleu, chrf, chrf++ and ter share: a score of a corpus is a function of the sum of what its
 * documents count
 *
 * Items are [reference, prediction]; a reference is a text or an array of texts, of which as many count as every item
 * has (lm_eval/api/metrics.py, _sacreformat). null among the references of a document is left out. */
#ifndef MU_EVAL_METRIC_CORPUS_WORK_H
#define MU_EVAL_METRIC_CORPUS_WORK_H

#include <jansson.h>

#include "eval/metric/ngram.h"

#define MU_CORPUS_COUNTS_MAX     24
#define MU_CORPUS_REFERENCES_MAX 256               /* of one document */
#define MU_CORPUS_TEXT_MAX       ((size_t)4 << 20) /* bytes of one document's texts, tokenised */

/* One document's texts and the tables that every document uses again. */
struct mu_corpus_work {
    struct mu_str prediction, reference[MU_CORPUS_REFERENCES_MAX];
    size_t n_references;
    struct mu_buf text, spare, all;           /* tokenised: one text, another, all */
    size_t end[MU_CORPUS_REFERENCES_MAX + 1]; /* of each text in all; the prediction is the first */
    struct mu_units units, reference_units[MU_CORPUS_REFERENCES_MAX]; /* of the prediction, of each reference */
    struct mu_units character_units[2];                               /* chrf: of the prediction, of one reference */
    struct mu_words words;
    struct mu_ngrams grams;
};

struct mu_corpus_metric {
    const char *name;
    int n_counts;
    int (*count)(struct mu_corpus_work *w, double *counts, struct mu_err *e); /* of one document; zeroed before */
    double (*score)(const double *counts);
};
extern const struct mu_corpus_metric mu_corpus_bleu, mu_corpus_chrf, mu_corpus_chrfpp, mu_corpus_ter;

int mu_corpus_score(const struct mu_corpus_metric *m, const json_t *items, double *out, struct mu_err *e);

/* The bootstrapped standard error of one of them, as mu_aggregation_stderr() gives it, from counts taken once a
 * document. *done false: `a` is none of them, or documents differ in how many references they have, so that a
 * replicate's counts are not the sum of the documents'. iters >= 2, two items or more. */
int mu_corpus_stderr(const char *aggregation, const json_t *items, int64_t iters, double *out, bool *done,
                     struct mu_err *e);

/* The words of s between white space, as str.split(): the next one from *at; false: no more. */
bool mu_corpus_word(struct mu_str s, size_t *at, struct mu_str *word);

/* All texts through `tokenise`, which leaves the tokens of s, between white space, in w->text; then the numbers of the
 * tokens into w->units and w->reference_units. */
int mu_corpus_words(struct mu_corpus_work *w,
                    int (*tokenise)(struct mu_corpus_work *w, struct mu_str s, struct mu_err *e), struct mu_err *e);

#endif
