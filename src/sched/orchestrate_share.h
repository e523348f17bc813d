/* orchestrate_share.h - devices that several campaigns share (share.h), in an orchestration
 *
 * What is another campaign's is lent for the fleet: the dispatcher does not see it. What is to be given back is lent
 * too while its last tasks run. */
#ifndef MU_SCHED_ORCHESTRATE_SHARE_H
#define MU_SCHED_ORCHESTRATE_SHARE_H

#include <jansson.h>

#include "sched/fleet.h"
#include "sched/share.h"

struct mu_orchestration;

/* All zero where nothing is shared. */
struct mu_orchestra_share {
    struct mu_share *store; /* NULL: all devices are this campaign's own */
    bool *is_closing;       /* [n_devices] its own, and given back when nothing runs there */
    bool *is_peopled;       /* [n_devices] a worker is there; as of the last look */
    uint8_t *use;           /* [n_devices] of a look */
    int n_closing;
    int64_t looked_ns;  /* 0: never */
    int64_t pressed_ns; /* since when others wait for what this one has too much; 0: they do not */
    bool is_lost;       /* the store could not be asked at the last look */
    int64_t sated_with; /* waiting and running tasks for which the dispatcher left devices alone; -1: it did not */
};

/* With the log open and the queue filled; takes what is due at once. */
int mu_orchestra_share_open(struct mu_orchestration *x, struct mu_err *e);
void mu_orchestra_share_close(struct mu_orchestration *x); /* its workers have ended; closed is fine */

/* Right after a round of the dispatcher; looks once a second, and where there is something to give back. *has_more:
 * there are devices that the dispatcher has not seen; may be NULL. */
int mu_orchestra_share_look(struct mu_orchestration *x, bool *has_more, struct mu_err *e);

/* Whether a worker may be started there now: a lease that is over is renewed first, and may turn out to be lost. */
int mu_orchestra_share_allows(struct mu_orchestration *x, const struct mu_seats *seats, bool *may, struct mu_err *e);

/* For now.json: {"devices": 4, "mine": 2, "others": [{"campaign": "b", "devices": 2}], "is_lost": false}; NULL: nothing
 * is shared. */
json_t *mu_orchestra_share_json(const struct mu_orchestration *x);

#endif
