/* pool_batch.h - the best batch for the memory at hand: sequences at a time, rows a step
 *
 * A step reads the weights once, whatever its rows, so more rows make a row cheaper, with ever less to gain; more
 * sequences take KV pages, more rows take activations. Chosen is the least memory with which the work takes at most
 * MU_BATCH_SLACK longer than with the best batch that fits. The time of one request:
 *
 *     prompt / p * step_s(p) + output / d * step_s(d)    p = min(rows, sequences * prompt), d = min(rows, sequences)
 *
 * Rows are tried by powers of two, sequences one by one, at most a row a step for each. Of both, no fewer than the
 * bill's default where that many fit: a mean does not tell of long prompts, nor of shared beginnings, after which short
 * rests are left. Every sequence counts with the pages of the mean request; one whole context always has room. What was
 * asked for by number is never changed, and where no length is known the bill's own defaults stay.
 *
 * Pure. Nothing here changes a result. */
#ifndef MU_ENGINE_POOL_BATCH_H
#define MU_ENGINE_POOL_BATCH_H

#include "plan/bill.h"
#include <muster/engine.h>

#define MU_BATCH_ROWS_MAX      1024
#define MU_BATCH_SEQUENCES_MAX 1024
#define MU_BATCH_SLACK         0.1
/* Rows whose arithmetic takes as long as reading the weights, where no curve is given. A CPU with 20 GB/s and 200
 * GFLOP/s meets it at 20 rows of f32 and 10 of bf16 weights. */
#define MU_BATCH_KNEE_ROWS 16

struct mu_batch_ask {
    const struct mu_bill_ask *bill;
    struct mu_engine_work work;
    /* Seconds of a step of so many rows, in any unit; a row's share must not grow with rows. NULL: 1 + rows / knee. */
    double (*step_s)(void *arg, int64_t rows);
    void *step_arg;
};

struct mu_batch {
    bool is_chosen;                /* false: limits are the ask's */
    struct mu_bill_limits limits;  /* the ask's, with rows and sequences; pages when more than the default are needed */
    int rows_best, sequences_best; /* the fastest that fits */
    double time, time_best;
    char why[192]; /* a sentence; "" when nothing was chosen */
};

int mu_batch_choose(struct mu_batch *out, const struct mu_batch_ask *ask, struct mu_err *e);

#endif
