/* sampler.h - from a row of logits to a token
 *
 * Order, as in vLLM: logit bias, repetition, frequency and presence penalties, temperature, min-p, top-k, top-p, draw.
 * All in f64 with sums in a stated order, so that a draw depends on the row, the request's own history and its
 * generator only. One file a concern: penalties.c, truncate.c, draw.c, top.c (alternatives); sampler.c puts them in
 * order. Scratch is the engine's, one row at a time. */
#ifndef MU_ENGINE_SAMPLER_H
#define MU_ENGINE_SAMPLER_H

#include "engine/carve.h"
#include <muster/engine.h>

struct mu_sampler {
    int64_t vocab;
    double *x;           /* [vocab] logits, then weights exp(x - max) */
    int32_t *candidates; /* [vocab] */
    int32_t *count;      /* [vocab] zero between calls */
};

void mu_sampler_carve(struct mu_sampler *s, struct mu_carve *c, int64_t vocab);

/* MU_EINVAL for NaN, values outside the ranges of engine.h, ids outside the vocabulary. */
int mu_sampling_check(const struct mu_sampling *o, int64_t vocab, struct mu_err *e);

/* Token number `draw` of a request: logits [vocab], argmax their first largest; ids[0..n_ids) prompt and output, the
 * output from n_given on. MU_ENUMERIC when penalties leave no finite logit. */
int mu_sample(struct mu_sampler *s, const struct mu_sampling *o, const float *logits, int32_t argmax,
              const int32_t *ids, int n_given, int n_ids, uint64_t draw, int32_t *out, struct mu_err *e);

/* penalties.c: s->x = logits with bias and penalties applied. */
void mu_penalties_apply(struct mu_sampler *s, const struct mu_sampling *o, const float *logits, const int32_t *ids,
                        int n_given, int n_ids);
bool mu_penalties_any(const struct mu_sampling *o);

/* truncate.c: which tokens may be drawn. s->x holds weights with largest 1; fills s->candidates in the order of the
 * draw (increasing id, or falling weight when top-k or top-p cut) and returns how many, at least 1; *sum adds their
 * weights in that order. */
int64_t mu_truncate(struct mu_sampler *s, const struct mu_sampling *o, double *sum);

/* draw.c: counter-based generator Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
 */
void mu_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Number `index` of the stream of `seed`: uniform in [0, 1), 53 bits. */
double mu_uniform(uint64_t seed, uint64_t index);

/* top.c: the n best log-probabilities of a row, best first, lowest id first on ties; n <= MU_TOP_MAX. When the
 * vocabulary is smaller than n the rest has id -1. */
void mu_top_logprobs(const float *logits, int64_t vocab, double lse, int n, struct mu_token_logprob *out);

#endif
