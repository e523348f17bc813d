/* runner.h - what the engine asks of a model
 *
 * The real member (runner_model.c) wraps model/model.h on a device; the fake (fake_runner.h) computes logits from the
 * token history it finds through the page table, so that a wrong page or position shows; runner_ranks.h shares the
 * work out to many ranks, each with one of the former as its part. Calls come from one thread and may block for as long
 * as a step takes. None is NULL but where said.
 *
 * Lanes. Sequences are dealt out to n_lanes caches of KV pages: with S sequences, sequence s belongs to lane
 * s / (S / n_lanes), and pages are numbered inside their lane. All but runner_ranks have one lane. */
#ifndef MU_ENGINE_RUNNER_H
#define MU_ENGINE_RUNNER_H

#include "plan/bill.h"

struct mu_runner;

/* Rows of each expert of each layer since the load, of all ranks together (model.h); n 0: there are none. Borrowed. */
struct mu_runner_experts {
    const struct mu_spec *spec;
    const struct mu_shard *shard; /* of one rank; NULL: the whole */
    int64_t *rows, n;
};

struct mu_runner_ops {
    const char *name;

    /* Host memory beside the model's own, for the bill. NULL: none. */
    size_t (*table_bytes)(const struct mu_runner *r, const struct mu_bill_limits *l);

    /* Reserve everything: weights, activations, scratch and the KV pages. Called once. */
    int (*load)(struct mu_runner *r, const struct mu_bill_limits *l, mu_progress_fn progress, void *arg,
                struct mu_err *e);

    /* Rows of one lane are neighbours, lanes in increasing order. `at`: where the rows lie among those of a step that
     * is run in several parts, 0 for the first; row i of this call is row at + i to logits(). */
    int (*step)(struct mu_runner *r, const int32_t *ids, const struct mu_rows *rows, int at, struct mu_err *e);

    /* What passes between the stages of a pipeline, host memory: *row_bytes a row, the first row of a step. Given to a
     * later stage before its step, taken from an earlier one after. NULL: the runner is no part of anything. */
    void *(*hidden)(struct mu_runner *r, size_t *row_bytes);

    /* Logits of hidden rows idx[0..n) of the last step: *logits [n, vocab] f32 readable by the host until the next
     * call; argmax[i] (lowest id on ties) and lse[i] = log sum exp. A row with NaN or +inf has argmax -1;
     * never fails with MU_ENUMERIC. */
    int (*logits)(struct mu_runner *r, const int32_t *idx, int n, const float **logits, int32_t *argmax, double *lse,
                  struct mu_err *e);

    int (*copy_page)(struct mu_runner *r, int lane, int32_t dst, int32_t src, struct mu_err *e);

    /* Pages from n on hold nothing: their memory may go back to the system until they are written again. NULL: it
     * cannot. */
    int (*keep_pages)(struct mu_runner *r, int lane, int32_t n, struct mu_err *e);

    /* Some rotary scalings depend on the length a request declares (model/rope_table.h): lengths[seq] are the tokens
     * sequence seq will ever feed, borrowed until close. Only sequences whose lengths have one class share pages. */
    void (*set_lengths)(struct mu_runner *r, const int32_t *lengths);
    int64_t (*prefix_class)(const struct mu_runner *r, int64_t length);

    /* What the runner has seen of its experts. NULL: it does not count. */
    int (*experts)(struct mu_runner *r, struct mu_runner_experts *out, struct mu_err *e);

    void (*close)(struct mu_runner *r);
};

struct mu_runner {
    const struct mu_runner_ops *ops;
    int64_t vocab;
    int64_t context; /* the longest the model allows */
    int n_lanes;
    int page_owners; /* ranks that share a lane's pages out (model/shard.h): page p is rank p % page_owners's; 0: one */
    struct mu_err lost; /* code MU_OK, or the failure after which no call will succeed: a rank is gone */
};

#endif
