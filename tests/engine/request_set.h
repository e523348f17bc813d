/* request_set.h - a mixed set of requests, and results that must be equal to the bit */
#ifndef TESTS_ENGINE_REQUEST_SET_H
#define TESTS_ENGINE_REQUEST_SET_H

#include <muster/engine.h>

#define N_REQUESTS 64
#define IDS_MAX    160

struct request_set {
    struct mu_request r[N_REQUESTS];
    int32_t ids[N_REQUESTS][IDS_MAX];
    int32_t cont[N_REQUESTS][16];
};

/* Groups of four share a context, some of them a long common beginning with other groups. For the fake model. */
void request_set_make(struct request_set *s, uint64_t seed);
void results_check_equal(struct mu_result **a, struct mu_result **b);
void results_free(struct mu_result **r);

#endif
