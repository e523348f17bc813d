/* generation.h - how a checkpoint's publisher wants text generated: generation_config.json, typed
 *
 * Fields a file does not give stay "not given": negative for numbers, so that a caller's own default can stand in. */
#ifndef MU_FMT_GENERATION_H
#define MU_FMT_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

#define MU_EOS_MAX 64 /* ids that end a text; published models list up to 5 */

struct mu_generation {
    int64_t eos[MU_EOS_MAX];
    int n_eos;
    int64_t bos, pad;                                                /* -1: none */
    int do_sample;                                                   /* 0, 1, or -1: not given */
    double temperature, top_p, min_p, typical_p, repetition_penalty; /* negative: not given */
    int64_t top_k;                                                   /* -1: not given; 0: no limit */
    int64_t max_length, max_new_tokens, min_length, min_new_tokens;  /* -1: not given */
};

/* From generation_config.json's tree (NULL: there is none) and config.json's (NULL likewise), which gives what the
 * first lacks: token ids always, sampling only when there is no generation config, as older checkpoints have it.
 * where_generation and where_config name them in sentences. MU_EFORMAT for a wrong type, a value outside its range, an
 * end-of-text id outside the vocabulary, or values that contradict each other. */
int mu_generation_parse(struct mu_generation *out, const json_t *generation, const json_t *config,
                        const char *where_generation, const char *where_config, struct mu_err *e);

bool mu_generation_is_eos(const struct mu_generation *g, int64_t id);

#endif
