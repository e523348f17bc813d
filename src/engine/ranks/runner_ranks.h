/* runner_ranks.h - a model that many ranks hold together, as the engine's runner
 *
 * Opened on every rank of a replica. On the driver (rank 0 of the group) it is a runner like any other: a step, a read
 * of logits, a copied page becomes a message to the ranks it concerns (step_message.h), then every rank does its part.
 * On the others mu_ranks_follow() does what the messages say until the driver closes.
 *
 * When a rank is lost the call returns MU_EPEER, `lost` keeps the sentence, and every later call fails with it. */
#ifndef MU_ENGINE_RUNNER_RANKS_H
#define MU_ENGINE_RUNNER_RANKS_H

#include "engine/ranks/rank.h"

/* Moves k's local runner, also on failure. */
int mu_ranks_runner_new(struct mu_runner **out, const struct mu_rank *k, struct mu_err *e);

/* After load, on ranks other than the driver. MU_OK when the driver has ended it; else why it cannot go on. */
int mu_ranks_follow(struct mu_runner *r, struct mu_err *e);

/* Driver: figures of every rank of the replica, out[size of the group]. */
int mu_ranks_figures(struct mu_runner *r, struct mu_rank_figures *out, struct mu_err *e);

#endif
