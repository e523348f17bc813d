/* state.h - the state of a campaign: the fold of its events
 *
 * Pure: events in, state out; no file, no clock. Every event is checked against the state before anything changes; one
 * that cannot be is MU_EINVAL with a sentence that names the event, the thing and its state, and leaves the state as it
 * was. So two finishes of one task, or a start by a group that is lost, are found out whoever wrote them.
 *
 *                        +--------------- lease released, expired, group lost ----------------+
 *                        v                                                                    |
 *     waiting --ready--> ready --lease taken--> leased --started--> running --finished--> finished
 *      ^  |                |                      started           |
 *      |  |                +----------------------------------------^
 *      |  |                                                         |
 *      |  |                  attempt failed, lease expired, group lost
 *      +--|---------------------------------------------------------+
 *         +--> failed (also from ready)     skipped (the same)     cancelled (from all but the four ends)
 *
 * While a document of a task that kills is searched for, its attempts are of parts of it and end as "probe ended".
 *
 * A paused campaign starts and leases nothing more; a cancelled one besides adds nothing and makes nothing ready. What
 * runs goes on to its end in both.
 *
 * Memory: about 120 bytes a task and 64 an attempt, grown by doubling within the maxima below. One thread at a time;
 * members are for reading. */
#ifndef MU_SCHED_STATE_H
#define MU_SCHED_STATE_H

#include "base/buf.h"
#include "sched/event.h"
#include "sched/failure.h"
#include "sched/priority.h"

#define MU_STATE_TASKS_MAX         (1 << 20)
#define MU_STATE_ATTEMPTS_MAX      (1 << 22)
#define MU_STATE_TASK_TRIES_MAX    1000
#define MU_STATE_GROUPS_MAX        MU_STATE_ATTEMPTS_MAX
#define MU_STATE_GROUP_RANKS_MAX   (1 << 16)
#define MU_STATE_GROUP_DEVICES_MAX (1 << 24) /* of all groups there ever were */
#define MU_STATE_NODES_MAX         (1 << 14)
#define MU_STATE_NODE_DEVICES_MAX  64
#define MU_STATE_JOBS_MAX          (1 << 16)
#define MU_STATE_SEARCHES_MAX      (1 << 20)
#define MU_STATE_SKIPS_MAX         (1 << 20)
#define MU_STATE_MODELS_MAX        4096                /* whose replicas were ever scaled */
#define MU_STATE_NAMES_MAX         ((size_t)256 << 20) /* bytes of all names */
#define MU_STATE_RATE_WINDOW       256                 /* the last finishes that rates are taken from */
#define MU_STATE_RATE_LEAST        8                   /* with fewer there is no rate */

enum mu_task_state {
    MU_TASK_WAITING, /* for other tasks, for a time, for a decision */
    MU_TASK_READY,
    MU_TASK_LEASED, /* a group has it and has not begun */
    MU_TASK_RUNNING,
    MU_TASK_FINISHED, /* the four ends */
    MU_TASK_FAILED,
    MU_TASK_CANCELLED,
    MU_TASK_SKIPPED,
    MU_TASK_STATES
};

enum mu_attempt_state { MU_ATTEMPT_RUNNING, MU_ATTEMPT_FINISHED, MU_ATTEMPT_FAILED, MU_ATTEMPT_CANCELLED };
enum mu_group_state { MU_GROUP_UP, MU_GROUP_DRAINING, MU_GROUP_DRAINED, MU_GROUP_LOST, MU_GROUP_STATES };
enum mu_campaign_state { MU_CAMPAIGN_NONE, MU_CAMPAIGN_OPEN, MU_CAMPAIGN_PAUSED, MU_CAMPAIGN_CANCELLED };
enum mu_budget { MU_BUDGET_DEVICE_TIME, MU_BUDGET_WALL_TIME, MU_BUDGETS };

/* "none" is -1 for every index below. */
struct mu_state_task {
    uint8_t state;        /* enum mu_task_state */
    uint8_t priority;     /* enum mu_priority */
    uint8_t failure;      /* enum mu_failure of the last attempt that failed, or of the end */
    bool is_int8;         /* degraded to it */
    bool is_rated;        /* its priority was changed since it was added */
    int32_t ranks, batch; /* degraded to; 0: as planned */
    int32_t skipped;      /* requests */
    int32_t last_skip;    /* index; those before it by its own */
    int32_t search;       /* the one under way */
    bool is_searched_in_vain;
    int32_t forgiven; /* attempts up to the last request that was skipped: it is blamed for them */
    int32_t attempts;
    int32_t last_attempt;             /* index */
    int32_t group;                    /* that holds its lease */
    int32_t held_before, held_after;  /* other tasks of that group */
    int64_t lease_span_ns, lease_seq; /* seq: of the event that took or last renewed it */
    size_t name;                      /* where it begins in names */
};

struct mu_state_skip {
    int64_t document; /* its number in the task */
    int32_t before;   /* index of the task's one before */
    size_t why;       /* in names */
};

struct mu_state_attempt {
    int32_t task, number, group;
    int32_t before; /* index of the task's one before */
    uint8_t state;  /* enum mu_attempt_state */
    uint8_t failure;
    int64_t start_seq;
    int64_t start_ns, end_ns;           /* active time, see below; end_ns -1: runs */
    int64_t start_wall_ns, end_wall_ns; /* for people */
};

struct mu_state_group {
    uint8_t state, failure; /* enum mu_group_state, enum mu_failure */
    int32_t node, job, ranks;
    int32_t held_first, n_held;   /* tasks */
    int32_t device_at, n_devices; /* in group_devices */
    int64_t pid;
    size_t host; /* in names; 0: not placed yet */
    int64_t start_seq, start_wall_ns;
};

struct mu_state_node {
    bool is_quarantined;
    int32_t device_first, n_devices;
    size_t name;
};

struct mu_state_device {
    bool is_quarantined;
    int32_t node;
    int32_t n_groups; /* that are up or draining on it */
};

struct mu_state_job {
    int64_t id;    /* Slurm's */
    uint8_t state; /* enum mu_job_state */
    bool is_warned;
    int32_t requeues;
    int64_t left_ns, warned_wall_ns;
};

/* A model whose number of workers has changed by rules (scale.h). */
struct mu_state_model {
    size_t name;
    int32_t replicas, changes; /* workers that may hold it; how often that has changed */
    uint8_t why;               /* enum mu_scale_why, of the last change */
};

struct mu_state {
    int64_t seq, fence;
    int64_t wall_ns, opened_wall_ns; /* of the last and the first event */
    int64_t mono_ns;
    int64_t active_ns; /* how long orchestrators have been at work: their monotonic clocks, added up */
    uint8_t campaign;  /* enum mu_campaign_state */
    size_t hash;       /* in names */

    int32_t n_tasks, n_attempts, n_groups, n_nodes, n_devices, n_jobs, n_models, n_group_devices, n_searches, n_skips;
    struct mu_state_task *tasks;
    struct mu_state_attempt *attempts;
    struct mu_state_group *groups;
    struct mu_state_node *nodes;
    struct mu_state_device *devices;
    struct mu_state_job *jobs;
    struct mu_state_model *models;
    int32_t *group_devices;
    struct mu_search *searches;
    struct mu_state_skip *skips;
    int32_t cap_tasks, cap_attempts, cap_groups, cap_nodes, cap_devices, cap_jobs, cap_models, cap_group_devices;
    int32_t cap_searches, cap_skips;
    struct mu_buf names; /* each with its NUL */

    int32_t by_priority[MU_PRIORITY_N][MU_TASK_STATES];
    int32_t by_group_state[MU_GROUP_STATES];
    int64_t failures[MU_FAILURES]; /* attempts that ended so */
    int64_t spent_ns[MU_BUDGETS];
    int64_t n_alerts, n_degraded, n_skipped_requests, n_scaled;
    int32_t nodes_out, devices_out;            /* in quarantine */
    int64_t finished_ns[MU_STATE_RATE_WINDOW]; /* active time, a ring */
    int64_t n_finished;
};

void mu_state_init(struct mu_state *s);
void mu_state_fini(struct mu_state *s);

/* One event more. MU_EINVAL: it cannot be; MU_ENOMEM, MU_ELIMIT: no room. In all these the state stays as it was. */
int mu_state_apply(struct mu_state *s, const struct mu_event *ev, struct mu_err *e);

const char *mu_task_state_name(int state); /* "waiting"; "?" */
const char *mu_group_state_name(int state);
const char *mu_campaign_state_name(int state);
bool mu_task_state_is_end(int state);
const char *mu_state_name(const struct mu_state *s, size_t name);

/* Of a model by its name; NULL: its replicas were never scaled. */
const struct mu_state_model *mu_state_find_model(const struct mu_state *s, const char *name);

/* A device that work may be put on: neither it nor its node is in quarantine. */
bool mu_state_device_is_good(const struct mu_state *s, int32_t device);

/* ---- what `muster status` tells ---- */

struct mu_counts {
    int64_t seq;
    int campaign;
    int32_t tasks, left; /* left: not at an end */
    int32_t by_state[MU_TASK_STATES];
    int32_t by_priority[MU_PRIORITY_N][MU_TASK_STATES];
    int32_t attempts;
    int64_t failures[MU_FAILURES];
    int32_t groups[MU_GROUP_STATES];
    int32_t nodes, nodes_out, devices, devices_out;
    int64_t spent_ns[MU_BUDGETS];
    int64_t alerts, degraded, skipped_requests, scaled;
    int64_t active_ns;
    double finished_per_s; /* of active time, over the last finishes; 0: not known yet */
    double left_s;         /* at this rate; -1: not known yet */
};

/* idle_ns: active time since the last event, by the caller's clock; 0 where it does not know. */
void mu_state_counts(const struct mu_state *s, int64_t idle_ns, struct mu_counts *out);

#endif
