/* request_set.h - a mixed set of requests, and results that must be equal to the bit */
#ifndef TESTS_ENGINE_REQUEST_SET_H
#define TESTS_ENGINE_REQUEST_SET_H

#include "comm/fake/fake.h"
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
void request_set_run_one(const struct request_set *s, int64_t short_max, struct mu_result **results); /* on one rank */
void results_check_equal(struct mu_result **a, struct mu_result **b);
void results_free(struct mu_result **r);

/* What comes of a run that loses a rank on the way. */
struct ending {
    int n_done, n_failed;
    int code;                   /* of the poll that ended it */
    char text[MU_ERR_TEXT_MAX]; /* of a request that failed */
};

bool ending_take(struct ending *end, int code, struct mu_result **r); /* what a poll gave, freed; false at the end */
/* Every rank but the lost one ended well, or with a sentence that names it, as failed requests' do. */
void ending_check_ranks(const struct ending *end, int n, const int *rc, const struct mu_err *errs,
                        const struct mu_fake_order *lost);

#endif
