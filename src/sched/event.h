/* event.h - what happens in a campaign, as data
 *
 * A campaign's state is the fold (state.h) of its events in the order of their numbers. An event says that a thing was
 * done or seen; it is in the log (event_log.h) before anybody acts on it.
 *
 * Tasks, groups, nodes and jobs are numbered from 0 in the order in which they appear, devices likewise, a node's side
 * by side. Attempts of a task count from 1. An action that could be done twice, by an orchestrator that was killed in
 * between, carries a key: events of one key count once. Most kinds have a natural one, made from their own numbers. */
#ifndef MU_SCHED_EVENT_H
#define MU_SCHED_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_EVENT_KEY_MAX  160 /* bytes, the NUL counted */
#define MU_EVENT_TEXT_MAX 1024

/* Which members a kind uses; the others are neither read nor kept. */
enum mu_event_member {
    MU_EVENT_TASK = 1,
    MU_EVENT_ATTEMPT = 2,
    MU_EVENT_GROUP = 4,
    MU_EVENT_NODE = 8,
    MU_EVENT_DEVICE = 16,
    MU_EVENT_JOB = 32,
    MU_EVENT_VALUE = 64,
    MU_EVENT_AMOUNT = 128,
    MU_EVENT_TEXT = 256,
    MU_EVENT_MAYBE_JOB = 512, /* -1: none */
    MU_EVENT_ONCE = 1024,     /* its kind and numbers are its natural key */
    MU_EVENT_EXACT = 2048,    /* the same once more has the same amount and text too */
};

/* X(name, number in the store, words, members). Numbers are never used again for another kind; a kind more, or another
 * meaning, is another version of the store. */
#define MU_EVENT_MAP(X)                                                                                                \
    /* text: the hash of the campaign file */                                                                          \
    X(OPENED, 1, "campaign opened", MU_EVENT_TEXT | MU_EVENT_ONCE | MU_EVENT_EXACT)                                    \
    X(PAUSED, 2, "campaign paused", 0)                                                                                 \
    X(RESUMED, 3, "campaign resumed", 0)                                                                               \
    X(CANCELLED, 4, "campaign cancelled", MU_EVENT_ONCE)                                                               \
    /* value: enum mu_priority; text: its name */                                                                      \
    X(TASK_ADDED, 10, "task added", MU_EVENT_TASK | MU_EVENT_VALUE | MU_EVENT_TEXT | MU_EVENT_ONCE | MU_EVENT_EXACT)   \
    /* attempt: the one to come. Nothing it waits for is left */                                                       \
    X(TASK_READY, 11, "task ready", MU_EVENT_TASK | MU_EVENT_ATTEMPT | MU_EVENT_ONCE)                                  \
    /* amount: ns that the group may be silent before the task is another's */                                         \
    X(TASK_STARTED, 12, "task started",                                                                                \
      MU_EVENT_TASK | MU_EVENT_ATTEMPT | MU_EVENT_GROUP | MU_EVENT_AMOUNT | MU_EVENT_ONCE)                             \
    X(TASK_FINISHED, 13, "task finished", MU_EVENT_TASK | MU_EVENT_ATTEMPT | MU_EVENT_ONCE)                            \
    /* the task waits again; value: enum mu_failure; text: why */                                                      \
    X(ATTEMPT_FAILED, 14, "attempt failed",                                                                            \
      MU_EVENT_TASK | MU_EVENT_ATTEMPT | MU_EVENT_VALUE | MU_EVENT_TEXT | MU_EVENT_ONCE)                               \
    /* for good; value: enum mu_failure; text: why */                                                                  \
    X(TASK_FAILED, 15, "task failed", MU_EVENT_TASK | MU_EVENT_VALUE | MU_EVENT_TEXT | MU_EVENT_ONCE)                  \
    X(TASK_CANCELLED, 16, "task cancelled", MU_EVENT_TASK | MU_EVENT_ONCE)                                             \
    /* text: why */                                                                                                    \
    X(TASK_SKIPPED, 17, "task skipped", MU_EVENT_TASK | MU_EVENT_TEXT | MU_EVENT_ONCE)                                 \
    /* value: enum mu_priority */                                                                                      \
    X(PRIORITY_CHANGED, 18, "priority changed", MU_EVENT_TASK | MU_EVENT_VALUE)                                        \
    /* value: enum mu_shrink; amount: ranks, bits of a weight or batch from now on */                                  \
    X(DEGRADED, 19, "task degraded", MU_EVENT_TASK | MU_EVENT_VALUE | MU_EVENT_AMOUNT)                                 \
    /* one that killed each attempt, from now on left out; amount: its document's number in the task; text: why. Ends  \
     * a search */                                                                                                     \
    X(REQUEST_SKIPPED, 20, "request skipped", MU_EVENT_TASK | MU_EVENT_AMOUNT | MU_EVENT_TEXT | MU_EVENT_ONCE)         \
    /* for a document that kills; attempt: the last; amount: documents; text: why */                                   \
    X(SEARCH_BEGUN, 21, "search begun",                                                                                \
      MU_EVENT_TASK | MU_EVENT_ATTEMPT | MU_EVENT_AMOUNT | MU_EVENT_TEXT | MU_EVENT_ONCE)                              \
    /* a running attempt, of a part of the task, ends with it; value: enum mu_probe; text: of which, and how */        \
    X(PROBE_ENDED, 22, "probe ended",                                                                                  \
      MU_EVENT_TASK | MU_EVENT_ATTEMPT | MU_EVENT_VALUE | MU_EVENT_TEXT | MU_EVENT_ONCE)                               \
    /* with nobody found; attempt: the last; text: why */                                                              \
    X(SEARCH_ENDED, 23, "search ended", MU_EVENT_TASK | MU_EVENT_ATTEMPT | MU_EVENT_TEXT | MU_EVENT_ONCE)              \
    /* amount: as TASK_STARTED's */                                                                                    \
    X(LEASE_TAKEN, 30, "lease taken", MU_EVENT_TASK | MU_EVENT_GROUP | MU_EVENT_AMOUNT)                                \
    X(LEASE_RENEWED, 31, "lease renewed", MU_EVENT_TASK | MU_EVENT_GROUP)                                              \
    /* a running attempt ends with it; value: enum mu_failure of that */                                               \
    X(LEASE_EXPIRED, 32, "lease expired", MU_EVENT_TASK | MU_EVENT_GROUP | MU_EVENT_VALUE)                             \
    X(LEASE_RELEASED, 33, "lease released", MU_EVENT_TASK | MU_EVENT_GROUP)                                            \
    /* node: its first; job: the Slurm job it is in; value: ranks; amount: pid, 0 unknown; text: devices, "0-3,8" or   \
     * "" */                                                                                                           \
    X(GROUP_STARTED, 40, "group started",                                                                              \
      MU_EVENT_GROUP | MU_EVENT_NODE | MU_EVENT_MAYBE_JOB | MU_EVENT_VALUE | MU_EVENT_AMOUNT | MU_EVENT_TEXT |         \
          MU_EVENT_ONCE | MU_EVENT_EXACT)                                                                              \
    /* what it held is anybody's, its attempts have failed; value: enum mu_failure; text: why */                       \
    X(GROUP_LOST, 41, "group lost", MU_EVENT_GROUP | MU_EVENT_VALUE | MU_EVENT_TEXT | MU_EVENT_ONCE)                   \
    /* takes nothing new */                                                                                            \
    X(GROUP_DRAINING, 42, "group draining", MU_EVENT_GROUP | MU_EVENT_ONCE)                                            \
    /* has ended, and held nothing */                                                                                  \
    X(GROUP_DRAINED, 43, "group drained", MU_EVENT_GROUP | MU_EVENT_ONCE)                                              \
    /* amount: the pid it runs as, known once it was started; text: on which host */                                   \
    X(GROUP_PLACED, 44, "group placed",                                                                                \
      MU_EVENT_GROUP | MU_EVENT_AMOUNT | MU_EVENT_TEXT | MU_EVENT_ONCE | MU_EVENT_EXACT)                               \
    /* text: a model; value: workers that may hold it from now on; amount: enum mu_scale_why */                        \
    X(SCALED, 45, "replicas scaled", MU_EVENT_VALUE | MU_EVENT_AMOUNT | MU_EVENT_TEXT)                                 \
    /* amount: devices; text: its name */                                                                              \
    X(NODE_SEEN, 50, "node seen", MU_EVENT_NODE | MU_EVENT_AMOUNT | MU_EVENT_TEXT | MU_EVENT_ONCE | MU_EVENT_EXACT)    \
    X(NODE_QUARANTINED, 51, "node quarantined", MU_EVENT_NODE | MU_EVENT_TEXT)                                         \
    X(NODE_BACK, 52, "node back", MU_EVENT_NODE)                                                                       \
    X(DEVICE_QUARANTINED, 53, "device quarantined", MU_EVENT_DEVICE | MU_EVENT_TEXT)                                   \
    X(DEVICE_BACK, 54, "device back", MU_EVENT_DEVICE)                                                                 \
    /* value: enum mu_budget; amount: ns more */                                                                       \
    X(BUDGET_SPENT, 60, "budget spent", MU_EVENT_VALUE | MU_EVENT_AMOUNT)                                              \
    X(ALERT_SENT, 61, "alert sent", MU_EVENT_TEXT)                                                                     \
    /* text: Slurm's number, "71" or "71_3" */                                                                         \
    X(JOB_SUBMITTED, 70, "job submitted", MU_EVENT_JOB | MU_EVENT_TEXT | MU_EVENT_ONCE | MU_EVENT_EXACT)               \
    /* text: Slurm's word for its state */                                                                             \
    X(JOB_SEEN, 71, "job seen", MU_EVENT_JOB | MU_EVENT_TEXT)                                                          \
    X(JOB_REQUEUED, 72, "job requeued", MU_EVENT_JOB)                                                                  \
    /* amount: ns left */                                                                                              \
    X(WALLTIME_WARNING, 73, "walltime warning", MU_EVENT_JOB | MU_EVENT_AMOUNT)

enum mu_event_kind {
#define MU_EVENT_ENUM(name, number, words, members) MU_EVENT_##name = number,
    MU_EVENT_MAP(MU_EVENT_ENUM)
#undef MU_EVENT_ENUM
        MU_EVENT_KIND_END
};

struct mu_event {
    /* given by the log */
    int64_t seq;     /* 1, 2, ...: the order, whatever the clocks say */
    int64_t fence;   /* the number of the orchestrator that wrote it, see event_log.h */
    int64_t wall_ns; /* since 1970, for people: may jump either way */
    int64_t mono_ns; /* the writer's monotonic clock: to be compared within one fence only */

    int kind; /* enum mu_event_kind */
    int32_t task, attempt, group, node, device, job;
    int32_t value; /* bounded by the fold, which knows what it means */
    int64_t amount;
    const char *text; /* borrowed; NULL is "" */
    const char *key;  /* borrowed; NULL: the natural one, or none. Not beginning with '#' */
};

/* MU_EFORMAT: no kind of this version. MU_EINVAL: a member out of its range, a text too long or not UTF-8. */
int mu_event_check(const struct mu_event *ev, struct mu_err *e);
int mu_event_members(int kind);            /* bits of enum mu_event_member; -1: no such kind */
const char *mu_event_kind_words(int kind); /* "task started"; "?" */

/* The key it goes by: its own, the natural one, or "#<seq>", which no other event has. */
void mu_event_key(const struct mu_event *ev, char key[MU_EVENT_KEY_MAX]);

/* Whether both tell of the same action: kind, all numbers that say which, and what must not differ besides. */
bool mu_event_is_same(const struct mu_event *a, const struct mu_event *b);

#endif
