/* rope_table.h - frequencies, cosines and sines of a rotary embedding, as transformers computes them in f32
 *
 * Dynamic and longrope scaling choose frequencies by the length of the sequence. transformers takes the length of
 * whatever one call happens to hold, so its numbers depend on chunking. Here the frequencies of a request depend on the
 * length the request declares when it is admitted, and on nothing else: all of its tokens, prompt and output, are
 * rotated by the frequencies that transformers uses for one pass over that many tokens. For a scored text (length: its
 * tokens that are fed) this is transformers' own number. Up to the original context all lengths share one set.
 * Sequences may share cached keys only when mu_rope_class() of their lengths agrees. */
#ifndef MU_MODEL_ROPE_TABLE_H
#define MU_MODEL_ROPE_TABLE_H

#include "model/spec.h"

/* Whether frequencies depend on the declared length at all. */
bool mu_rope_is_by_length(const struct mu_rope_spec *r);

/* 0 up to the original context; beyond it 1 for longrope and the length itself for dynamic scaling. */
int64_t mu_rope_class(const struct mu_rope_spec *r, int64_t length);

/* inv_freq[dim / 2] for a request of that length (ignored unless by length). */
void mu_rope_frequencies(const struct mu_rope_spec *r, int64_t length, float *inv_freq);

/* row[dim]: dim / 2 cosines, then as many sines, times attention_factor. */
void mu_rope_row(const struct mu_rope_spec *r, const float *inv_freq, int64_t position, float *row);

#endif
