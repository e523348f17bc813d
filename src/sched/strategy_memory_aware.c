/* strategy_memory_aware.c - the copy that is there, then the tightest fit, so that large holes stay for large models
 *
 * Best fit: Knuth, The Art of Computer Programming, volume 1, 2.5. */
#include "sched/strategy.h"
#include "sched/strategy_int.h"

static double cost(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit, double now_s,
                   double terms[MU_TERMS])
{
    (void)now_s, (void)terms;
    return 2.0 * (int)fit + share_unused(f, n, device, fit);
}

const struct mu_strategy_kind mu_memory_aware = {
    .name = "memory-aware",
    .summary = "a copy that is there, else free memory, else dropping idle copies; of these the tightest fit",
    .cost = cost,
    .seeks_copies = true,
    .why = "share of its memory left over, 2 more where a copy must be loaded, 4 where others must go for it",
};
