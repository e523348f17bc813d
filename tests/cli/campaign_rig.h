/* campaign_rig.h - a campaign's folder as an orchestrator would leave or be writing it, for tests of what looks at one
 */
#ifndef CAMPAIGN_RIG_H
#define CAMPAIGN_RIG_H

#include "sched/state_log.h"

struct rig {
    char folder[600];
    struct mu_state_log log; /* owned while it is open */
};

/* Opens the log of a new campaign on node n1 with 4 devices, and n tasks "a/0000", "a/0001", ...: priorities in turn.
 */
void rig_open(struct rig *r, const char *folder, int n_tasks);
void rig_close(struct rig *r);

void rig_start(struct rig *r, int task);  /* in a group of its own, on device task % 4 */
void rig_finish(struct rig *r, int task); /* one that runs */
void rig_fail(struct rig *r, int task, enum mu_failure f, const char *why, bool for_good);
void rig_add(struct rig *r, struct mu_event ev);

void rig_now(const struct rig *r, const char *json); /* now.json */
void rig_remove_now(const struct rig *r);

#endif
