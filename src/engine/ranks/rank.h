/* rank.h - one rank's part of a replica that steps together
 *
 * A replica is n_stages x n_lanes x tp ranks: rank (stage * n_lanes + lane) * tp + t of its group. Rank 0 drives: it
 * has the batcher (runner_ranks.h); all others follow what it tells them.
 *
 * A step is cut into micro-batches, rows split evenly and kept in order, so that the stages of a pipeline overlap: each
 * stage takes a micro-batch's hidden rows from the stage before, computes, and hands them on without waiting. */
#ifndef MU_ENGINE_RANK_H
#define MU_ENGINE_RANK_H

#include "comm/comm.h"
#include "engine/runner.h"
#include "engine/ranks/step_message.h"

#define MU_REPLICA_RANKS_MAX 512

/* Tags inside a replica's group. */
enum mu_rank_tag { MU_TAG_STEP = 1, MU_TAG_HIDDEN, MU_TAG_LOGITS, MU_TAG_FIGURES };

struct mu_rank {
    struct mu_runner *local; /* owned */
    struct mu_comm *replica; /* borrowed */
    int stage, n_stages, lane, n_lanes, t, tp;
    bool agrees; /* numbers may overflow on some ranks alone: all must hear of it */

    char *hidden; /* of the local runner, once loaded */
    size_t row_bytes;
    struct mu_comm_op *sends[MU_MICRO_MAX]; /* of the last step's rows to the next stage */
    int n_sends;
};

static inline int mu_rank_of(const struct mu_rank *k, int stage, int lane, int t)
{
    return (stage * k->n_lanes + lane) * k->tp + t;
}

static inline bool mu_rank_is_driver(const struct mu_rank *k)
{
    return mu_comm_rank(k->replica) == 0;
}

/* A failure that peers do not share ends the world, so that nobody waits for this rank. Returns rc. */
int mu_rank_fatal(struct mu_rank *k, int rc, const struct mu_err *e);

int mu_rank_load(struct mu_rank *k, const struct mu_bill_limits *l, mu_progress_fn progress, void *arg,
                 struct mu_err *e);

/* How many micro-batches a step of n rows is worth, the most of any lane. */
int mu_rank_micro(const struct mu_rank *k, int n);

void mu_rank_close(struct mu_rank *k); /* the local runner */

/* This rank's part of a step over the rows of its lane. MU_ENUMERIC: on every rank of the replica alike. Other failures
 * are the end. e is not NULL. */
int mu_rank_step(struct mu_rank *k, const int32_t *ids, const struct mu_rows *rows, int n_micro, struct mu_err *e);

/* A follower's part of the logits of its lane's rows idx[0..n): the first rank of the last stage sends them to the
 * driver. argmax, lse: scratch of n. */
int mu_rank_send_logits(struct mu_rank *k, const int32_t *idx, int n, int32_t *argmax, double *lse, struct mu_err *e);

/* What a row is beside its logits. */
struct mu_row_summary {
    double lse;
    int32_t argmax, unused;
};

/* Memory of a rank, told at the end. */
struct mu_rank_figures {
    uint64_t bytes_peak;
};
struct mu_rank_figures mu_rank_own_figures(void);

/* Collective over the replica: the driver's counts become those of all ranks, the others begin anew. */
int mu_rank_gather_experts(struct mu_rank *k, struct mu_runner_experts *out, struct mu_err *e);

/* Until a message waits: *is_there false after wait_ns. A dead world is MU_EPEER, whatever it died of. */
int mu_rank_await(struct mu_comm *c, int from, int tag, int64_t wait_ns, bool *is_there, int *sender, size_t *bytes,
                  struct mu_err *e);

#endif
