/* strategy_memory_aware.c - the copy that is there, then the tightest fit, so that large holes stay for large models
 *
 * Best fit: Knuth, The Art of Computer Programming, volume 1, 2.5. */
#include "sched/strategy.h"
#include "sched/strategy_int.h"

static double cost(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit, double now_s,
                   double terms[MU_TERMS])
{
    const struct mu_fleet_device *d = &f->devices[device];
    int64_t taken = fit == MU_FIT_COPY ? n->work : need_bytes(n);
    double left = (double)(d->free + d->idle - taken) / (double)(d->memory > 0 ? d->memory : 1);
    (void)now_s, (void)terms;
    return 2.0 * (int)fit + left;
}

const struct mu_strategy_kind mu_memory_aware = {
    .name = "memory-aware",
    .summary = "a copy that is there, else free memory, else dropping idle copies; of these the tightest fit",
    .cost = cost,
    .seeks_copies = true,
    .why = "share of its memory left over, 2 more where a copy must be loaded, 4 where others must go for it",
};
