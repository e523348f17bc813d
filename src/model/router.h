/* router.h - which experts a token goes to, and with what weight; plain host code
 *
 * f32 throughout, sums in increasing expert index, ties to the lower index. */
#ifndef MU_MODEL_ROUTER_H
#define MU_MODEL_ROUTER_H

#include "model/spec.h"

/* logits[n_experts] of one token -> top_k distinct experts in increasing index and their weights. bias: the correction
 * bias or NULL. probability and choice are scratch of n_experts. MU_ENUMERIC when a logit is NaN or infinite. */
int mu_route(const struct mu_moe_spec *m, const float *logits, const float *bias, float *probability, float *choice,
             int32_t *experts, float *weights, struct mu_err *e);

#endif
