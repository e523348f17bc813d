/* corpus.h - scores of a whole corpus, computed by src/eval/metric, that appear in the table of aggregations
 *
 * items: array of [reference(s), prediction], a reference a text or an array of texts, as the passthrough metrics
 * bleu, chrf, chrf++ and ter leave them. lm_eval/api/metrics.py: bleu, chrf, chrf++, ter; the scores are sacrebleu's.
 */
#ifndef MU_EVAL_STATS_CORPUS_H
#define MU_EVAL_STATS_CORPUS_H

#include <jansson.h>

#include <muster/err.h>

int mu_bleu_corpus(const json_t *items, double *out, struct mu_err *e);
int mu_chrf_corpus(const json_t *items, double *out, struct mu_err *e);
int mu_chrfpp_corpus(const json_t *items, double *out, struct mu_err *e); /* chrf++ */
int mu_ter_corpus(const json_t *items, double *out, struct mu_err *e);

#endif
