/* orchestrate_alert.h - which of what happens in a campaign people are told (alert.h) */
#ifndef MU_SCHED_ORCHESTRATE_ALERT_H
#define MU_SCHED_ORCHESTRATE_ALERT_H

#include "sched/alert.h"

struct mu_orchestration;
struct mu_news;

/* All zero before it begins. */
struct mu_orchestra_alerts {
    struct mu_alerts *alerts; /* NULL: nobody wants any */
    char host[256];           /* where this process is */
    uint8_t *said;            /* [n_tasks] of deadlines: 1 near, 2 missed */
    uint8_t said_spent[MU_BUDGETS];
    int64_t looked_ns;
    int64_t warned_ns[MU_ALERT_TARGETS_MAX]; /* when a failed send was last told here; 0: never */
};

/* With the log just opened, before anything is appended: what it holds tells a start from one after another. */
int mu_orchestra_alert_begin(struct mu_orchestration *x, struct mu_err *e);

/* task: as the campaign lists them; -1. */
void mu_orchestra_alert_news(struct mu_orchestration *x, const struct mu_news *n, int task);

/* Once a round, and does something once a second: budgets; deadlines; sends that ended go into the log, and those that
 * failed to who started us, once a target and minute. */
int mu_orchestra_alert_look(struct mu_orchestration *x, const double spent_s[MU_BUDGETS], struct mu_err *e);

/* How it ended, with rc and its sentence; waits for what is to be sent and notes that in the log, which is still open
 * and renewed meanwhile. At most the time-out; when it is stopped in that time, not at all; when it was stopped before,
 * a few seconds. */
void mu_orchestra_alert_end(struct mu_orchestration *x, int rc, const struct mu_err *why);

#endif
