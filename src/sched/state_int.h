/* state_int.h - what the files of the fold share */
#ifndef MU_SCHED_STATE_INT_H
#define MU_SCHED_STATE_INT_H

#include "sched/state.h"

/* One more element of an array: its index is *n, which the caller raises. Zeroed. */
int mu_state_grow(void *array, int32_t n, int32_t *cap, int32_t most, size_t size, const char *what, struct mu_err *e);
#define MU_STATE_GROW(s, what, most, e)                                                                                \
    mu_state_grow(&(s)->what, (s)->n_##what, &(s)->cap_##what, (most), sizeof *(s)->what, #what, (e))

/* A name kept: *at is where it begins. */
int mu_state_keep_name(struct mu_state *s, const char *name, size_t *at, struct mu_err *e);

/* "event 12 (task started) cannot be: " and why. MU_EINVAL. */
int mu_state_refuse(const struct mu_event *ev, struct mu_err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* value in [0, n). */
int mu_state_check_value(const struct mu_event *ev, int n, const char *what, struct mu_err *e);

typedef int mu_state_fn(struct mu_state *s, const struct mu_event *ev, struct mu_err *e);

/* state_task.c */
mu_state_fn mu_state_task_added, mu_state_task_ready, mu_state_task_started, mu_state_task_finished;
mu_state_fn mu_state_attempt_failed, mu_state_task_failed, mu_state_task_cancelled, mu_state_task_skipped;
mu_state_fn mu_state_priority_changed, mu_state_degraded;

/* state_search.c */
mu_state_fn mu_state_search_begun, mu_state_probe_ended, mu_state_search_ended, mu_state_request_skipped;

/* state_lease.c */
mu_state_fn mu_state_lease_taken, mu_state_lease_renewed, mu_state_lease_expired, mu_state_lease_released;

/* state_group.c */
mu_state_fn mu_state_group_started, mu_state_group_placed;
mu_state_fn mu_state_group_lost, mu_state_group_draining, mu_state_group_drained;

/* state_scale.c */
mu_state_fn mu_state_scaled;

/* state_machine.c */
mu_state_fn mu_state_node_seen, mu_state_node_quarantined, mu_state_node_back;
mu_state_fn mu_state_device_quarantined, mu_state_device_back;
mu_state_fn mu_state_job_submitted, mu_state_job_seen, mu_state_job_requeued, mu_state_walltime_warning;

/* ---- moves that several events make; nothing here fails ---- */

void mu_state_move(struct mu_state *s, int32_t task, enum mu_task_state to);
void mu_state_hold(struct mu_state *s, int32_t task, int32_t group, int64_t span_ns, int64_t seq);
void mu_state_let_go(struct mu_state *s, int32_t task);
void mu_state_end_attempt(struct mu_state *s, int32_t task, enum mu_attempt_state as, int failure,
                          const struct mu_event *ev);

/* ---- checks that several events make ---- */

int mu_state_check_task(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e);
/* Its state is one of those in `states` (bits). */
int mu_state_check_in(const struct mu_state *s, const struct mu_event *ev, unsigned states, struct mu_err *e);
int mu_state_check_not_ended(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e);
/* The event's attempt is the one that the task is at; running: and it runs. */
int mu_state_check_attempt(const struct mu_state *s, const struct mu_event *ev, int32_t at, struct mu_err *e);
int mu_state_check_running(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e);
int mu_state_check_open(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e); /* not cancelled */
int mu_state_check_runs(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e); /* nor paused */
int mu_state_check_group_takes(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e); /* it is up */
int mu_state_check_holder(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e);

#endif
