/* agree.h - what all ranks must come to the same way while an engine opens */
#ifndef MU_ENGINE_AGREE_H
#define MU_ENGINE_AGREE_H

#include "comm/comm.h"
#include "engine/light.h"

/* Every rank of c tells what it came to. MU_OK when that is MU_OK on all; else every rank returns the first failing
 * rank's code and sentence. c NULL: rc as it is. */
int mu_agree(struct mu_comm *c, int rc, struct mu_err *e);

/* Each rank makes the bill of its part; limits become the smallest of all ranks, so that no rank has to hold more than
 * fits, nor more cache than the work fills, which rank 0 alone knows. *own is this rank's bill under these limits;
 * *fullest the one with the highest peak, the same on every rank. MU_ENOMEM on all ranks when one does not fit. */
int mu_agree_bill(struct mu_comm *c, const struct mu_engine_opts *o, const struct mu_light_parts *parts,
                  bool is_follower, struct mu_bill *own, struct mu_bill *fullest, struct mu_err *e);

#endif
