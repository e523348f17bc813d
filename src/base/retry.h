/* retry.h - how long to wait before the same is tried again
 *
 * Pure: chance comes in as a state, so that a test can seed it. */
#ifndef MU_BASE_RETRY_H
#define MU_BASE_RETRY_H

#include <stdint.h>

/* Doubles from the first wait to the longest. */
struct mu_backoff {
    int64_t first_ns, most_ns;
};

/* The wait after n_failed failures in a row: 0 for none, first_ns for one. */
int64_t mu_backoff_ns(const struct mu_backoff *b, int n_failed);

/* The same, of which a random half is left out, so that many who wait do not come back together. */
int64_t mu_backoff_jittered_ns(const struct mu_backoff *b, int n_failed, uint64_t *random);

#endif
