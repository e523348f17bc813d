/* runner_ranks_int.h - shared by the two sides of a replica: runner_ranks.c drives, follow.c follows */
#ifndef MU_ENGINE_RUNNER_RANKS_INT_H
#define MU_ENGINE_RUNNER_RANKS_INT_H

#include "engine/carve.h"
#include "engine/ranks/runner_ranks.h"

/* A message to the ranks of a lane and the sends it is in. */
struct mu_lane_mail {
    char *message;           /* [mu_step_bytes_max()] */
    struct mu_comm_op **ops; /* [n_stages * tp] */
    int n_ops;
    int32_t *sent; /* [seqs_max, pages_max] of the page table, as the lane has it */
};

struct mu_ranks_runner {
    struct mu_runner base;
    struct mu_rank rank;
    struct mu_step_limits limits; /* of a lane */
    uint64_t number;              /* of the last message written or read */
    void *tables;

    /* The driver's. */
    struct mu_lane_mail *lanes; /* [n_lanes] */
    float *logits;              /* [logit_rows_max][vocab]; NULL when the local runner has them all */
    const int32_t *lengths;     /* the batcher's */
    int n_rows;                 /* of the last step, and where each lane's begin */
    int *lane_begin;            /* [n_lanes + 1] */
    int32_t *lane_idx;          /* [logit_rows_max] */

    /* A follower's. */
    char *message;
    int32_t *table, *own_lengths; /* [seqs_max, pages_max], [seqs_max] */
    int32_t *argmax;              /* [logit_rows_max] */
    double *lse;
};

#endif
