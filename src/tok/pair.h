/* pair.h - splitting context + continuation into ids, as lm-evaluation-harness does
 *
 * Source: lm_eval/api/model.py, _encode_pair and loglikelihood: white space that ends the context moves to the
 * continuation; the whole is encoded, and what lies beyond the length of the context encoded alone is the continuation.
 * An empty context becomes the prefix token (BOS, else EOS); one that spells the BOS is not given another. */
#ifndef MU_TOK_PAIR_H
#define MU_TOK_PAIR_H

#include <muster/tokenizer.h>

#include "base/buf.h"

struct mu_pair {
    struct mu_ids context, continuation;
};

#define MU_PAIR_INIT(max_ids)                                                                                          \
    {                                                                                                                  \
        MU_IDS_INIT(max_ids), MU_IDS_INIT(max_ids)                                                                     \
    }

/* Replaces what out holds. MU_EINVAL when the continuation is empty or comes to no tokens, or when the context is empty
 * and the tokenizer has neither BOS nor EOS. */
int mu_pair_encode(const mu_tokenizer *t, struct mu_str context, struct mu_str continuation, struct mu_pair *out,
                   struct mu_err *e);
void mu_pair_fini(struct mu_pair *p);

#endif
