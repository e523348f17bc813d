/* similarity_int.h - how alike an answer and a reference are, by words: sentence BLEU and ROUGE */
#ifndef MU_EVAL_DOCS_SIMILARITY_INT_H
#define MU_EVAL_DOCS_SIMILARITY_INT_H

#include "base/buf.h"
#include <muster/err.h>

enum { MU_ROUGE_1, MU_ROUGE_2, MU_ROUGE_L, MU_ROUGES };

/* From 0 to 100: BLEU with sacrebleu's tokenizer "intl" and exponential smoothing; ROUGE's F-measures, the last one
 * rougeLsum over lines. */
int mu_doc_bleu(struct mu_str reference, struct mu_str answer, double *out, struct mu_err *e);
int mu_doc_rouge(struct mu_str reference, struct mu_str answer, double out[MU_ROUGES], struct mu_err *e);

#endif
