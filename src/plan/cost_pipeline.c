/* cost_pipeline.c - micro-batches through the stages
 *
 * n micro-batches take the sum of the stages once and the slowest stage n - 1 times more. Where the next step follows
 * at once (decoding: a micro-batch's next token starts as its last one is known), a step lasts n times the slowest
 * stage, but never less than one way through all. What the slowest stage waits is the bubble. */
#include "plan/cost_int.h"

#include "base/check.h"

void cost_pipeline(const struct cost_at *at, const struct cost_rows *r, double n, bool is_steady,
                   struct mu_cost_step *to)
{
    struct cost_rows micro = *r;
    struct mu_cost_step slowest = {0};
    double once = 0;

    micro.rows /= n;
    micro.sequences = MU_MAX(micro.sequences / n, MU_MIN(micro.sequences, 1));
    micro.logits /= n;
    double send = at->l->pp > 1 ? cost_send_s(at, micro.rows * cost_row_bytes(at)) : 0;
    for (int i = 0; i < at->l->pp; i++) {
        struct mu_cost_step one = {0};
        cost_stage(at, i, &micro, &one);
        once += one.total + (i ? send : 0);
        if (one.total > slowest.total)
            slowest = one;
    }
    double whole = is_steady ? MU_MAX(once, n * (slowest.total + send)) : once + (n - 1) * (slowest.total + send);
    to->compute += n * slowest.compute;
    to->memory += n * slowest.memory;
    to->launch += n * slowest.launch;
    to->comm += n * (slowest.comm + (at->l->pp > 1 ? send : 0));
    double busy = n * (slowest.total + (at->l->pp > 1 ? send : 0));
    to->bubble += MU_MAX(whole - busy, 0);
    to->total += MU_MAX(whole, busy);
}
