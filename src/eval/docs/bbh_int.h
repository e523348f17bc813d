/* bbh_int.h - numbers written as English words */
#ifndef MU_EVAL_DOCS_BBH_INT_H
#define MU_EVAL_DOCS_BBH_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* The regular expression that finds such a number in a text of small letters; one group, the number. */
extern const char mu_bbh_number_pattern[];

/* As word2number.w2n.word_to_num; false where it raises. */
bool mu_bbh_number(struct mu_str words, int64_t *out);

#endif
