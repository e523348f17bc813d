/* retry.h - when to ask a server again, and how long to wait
 *
 * Pure: time and chance come in as numbers, so that a test can move the one and seed the other. */
#ifndef MU_ENGINE_REMOTE_RETRY_H
#define MU_ENGINE_REMOTE_RETRY_H

#include <stdint.h>

#include "base/retry.h"

struct mu_retry_policy {
    int attempts_max; /* of one exchange, the first counted */
    struct mu_backoff backoff;
    int64_t told_most_ns; /* the longest Retry-After that is waited for */
    int64_t patience_ns;  /* nothing is attempted again this long after the first attempt began */
};

/* The wait after n_failed attempts (1: the first has failed): the jittered back-off, never less than told_ns
 * (Retry-After; 0: none). -1: give up. */
int64_t mu_retry_wait_ns(const struct mu_retry_policy *p, int n_failed, int64_t told_ns, uint64_t *random);

#endif
