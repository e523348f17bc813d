/* state_log.h - a log and its fold, kept together: what cannot be is never written
 *
 * The one way for an orchestrator to change its campaign. An append applies each event to the state inside the log's
 * transaction; when one is refused, or the disk is full, none is kept and the state is folded anew from the log. Who
 * only looks opens it without owning. One thread at a time. */
#ifndef MU_SCHED_STATE_LOG_H
#define MU_SCHED_STATE_LOG_H

#include "sched/event_log.h"
#include "sched/state.h"

struct mu_state_log {
    struct mu_event_log *log; /* owned */
    struct mu_state state;
};

/* owns: waits at most wait_ns for whoever owns it now, MU_EPEER after that. Otherwise it can be looked at only. After a
 * failure there is nothing to close. */
int mu_state_log_open(struct mu_state_log *l, const char *path, const struct mu_event_log_opts *o, bool owns,
                      int64_t wait_ns, struct mu_err *e);
void mu_state_log_close(struct mu_state_log *l); /* closed twice is fine */

/* As mu_event_log_append(), with the state going along. Where even the log cannot be read again after a failure, the
 * state is empty and every further call fails: close it. */
int mu_state_log_append(struct mu_state_log *l, const struct mu_event *ev, int n, struct mu_err *e);

/* What others have appended since: for those who look. */
int mu_state_log_follow(struct mu_state_log *l, struct mu_err *e);

#endif
