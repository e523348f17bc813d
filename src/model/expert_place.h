/* expert_place.h - which rank gets which experts, from measured loads
 *
 * Every rank has room for the same number of experts. Room beyond one copy of each goes to the experts with the largest
 * load a copy; then copies are placed, heaviest first, each on the least loaded rank with room that has none of that
 * expert yet. Where only ranks that have it are left with room, a copy of another expert moves there to make place: no
 * rank gets two of one expert unless there are more copies of it than ranks. Ties go to the lower expert and the lower
 * rank: one answer for the same loads.
 *
 * The heaviest rank has at most the mean load and one heaviest copy more; with equal loads and even room it has the
 * mean. expert_table.h makes the forward pass's tables of it. Sources: R. L. Graham, Bounds on Multiprocessing Timing
 * Anomalies (1969), for the rule; DeepSeek-V3, section 3.4, for copies of the hottest. */
#ifndef MU_MODEL_EXPERT_PLACE_H
#define MU_MODEL_EXPERT_PLACE_H

#include "model/spec.h"

#define MU_EXPERT_COPIES_MAX (4 * MU_EXPERTS_MAX)

struct mu_expert_place {
    int n_copies;                     /* n_ranks * room */
    int expert[MU_EXPERT_COPIES_MAX]; /* of each copy, in increasing order; a copy's share is its load / copies */
    int rank[MU_EXPERT_COPIES_MAX];
};

/* load[n_experts]: rows or time, not negative. MU_EINVAL when the copies do not fit (fewer places than experts, more
 * than MU_EXPERT_COPIES_MAX) or a load is no number. */
int mu_expert_place(struct mu_expert_place *out, const double *load, int n_experts, int n_ranks, int room,
                    struct mu_err *e);

#endif
