/* state_counts.c - the state in numbers, for people and their programs */
#include <string.h>

#include "base/check.h"
#include "sched/state.h"

/* Finishes a second over the window that the last ones lie in, up to now. */
static double rate_of(const struct mu_state *s, int64_t now_ns)
{
    int64_t n = MU_MIN(s->n_finished, MU_STATE_RATE_WINDOW);
    if (n < MU_STATE_RATE_LEAST)
        return 0;
    int64_t passed_ns = now_ns - s->finished_ns[(s->n_finished - n) % MU_STATE_RATE_WINDOW];
    return passed_ns > 0 ? (double)(n - 1) / ((double)passed_ns / 1e9) : 0;
}

static void add_tasks(const struct mu_state *s, struct mu_counts *c)
{
    for (int p = 0; p < MU_PRIORITY_N; p++)
        for (int t = 0; t < MU_TASK_STATES; t++) {
            c->by_priority[p][t] = s->by_priority[p][t];
            c->by_state[t] += s->by_priority[p][t];
            c->left += mu_task_state_is_end(t) ? 0 : s->by_priority[p][t];
        }
}

void mu_state_counts(const struct mu_state *s, int64_t idle_ns, struct mu_counts *out)
{
    int64_t now_ns = s->active_ns + MU_MAX(0, idle_ns);
    *out = (struct mu_counts){.seq = s->seq,
                              .campaign = s->campaign,
                              .tasks = s->n_tasks,
                              .attempts = s->n_attempts,
                              .nodes = s->n_nodes,
                              .nodes_out = s->nodes_out,
                              .devices = s->n_devices,
                              .devices_out = s->devices_out,
                              .alerts = s->n_alerts,
                              .degraded = s->n_degraded,
                              .skipped_requests = s->n_skipped_requests,
                              .scaled = s->n_scaled,
                              .active_ns = now_ns,
                              .finished_per_s = rate_of(s, now_ns)};
    add_tasks(s, out);
    memcpy(out->failures, s->failures, sizeof out->failures);
    memcpy(out->groups, s->by_group_state, sizeof out->groups);
    memcpy(out->spent_ns, s->spent_ns, sizeof out->spent_ns);
    out->left_s = out->left == 0 ? 0 : out->finished_per_s > 0 ? (double)out->left / out->finished_per_s : -1;
}
