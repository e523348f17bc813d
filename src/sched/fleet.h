/* fleet.h - the one view that placing goes by: devices, the model copies on them, the tasks that run
 *
 * Plain data, pure: no device is touched, time is a number. Strategies read it; who starts and ends tasks keeps it true
 * by the calls below. All room is taken at open.
 *
 * Tasks on one device share it evenly: a task goes at the speed of its slowest device over the tasks there. What it has
 * done is counted in seconds of a device of speed 1 that it has alone. Loading counts as work of that kind.
 *
 * A copy of a model is what a task loads on its set of devices. It stays when the task has ended, and is idle then: the
 * next task of that model on that set needs no load. Idle copies make room when memory is short, the one unused for
 * longest first. So a device's memory is: free, copies in use, idle copies, and the work of running tasks. */
#ifndef MU_SCHED_FLEET_H
#define MU_SCHED_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/priority.h"
#include <muster/err.h>

#define MU_FLEET_DEVICES_MAX 4096
#define MU_FLEET_NODE_MAX    64 /* devices of one node */
#define MU_FLEET_MODELS_MAX  4096
#define MU_DEVICE_TASKS_MAX  16 /* at a time on one device */
#define MU_DEVICE_COPIES_MAX 16 /* models on one device */
#define MU_TASK_DEVICES_MAX  64 /* of one task */

/* What a task asks for. */
struct mu_need {
    int devices;
    int model;           /* number of a model in one format and layout; -1: nothing that could be used again */
    int64_t weights;     /* bytes on each device, which the next task of the model finds there */
    int64_t work;        /* bytes on each device while it runs */
    double run_s;        /* predicted, alone on devices of speed 1, without loading */
    bool is_guess;       /* run_s stands for something: nothing is known of it */
    double load_s;       /* where the model is not there yet */
    double batch_s;      /* of a running batch: the most that stopping it loses */
    double deadline_s;   /* INFINITY: none */
    int priority;        /* enum mu_priority */
    bool is_preemptible; /* may be stopped for another */
    bool may_span;       /* more than one node will do */
};

struct mu_fleet_device {
    /* Kept; what every look needs comes first */
    int64_t free; /* bytes */
    int64_t idle; /* bytes of idle copies */
    int n_tasks, n_copies;
    bool is_healthy; /* false: failed or quarantined */
    bool is_lent;    /* another campaign's for now, or on its way there: nothing new starts */
    /* As given at open */
    int tasks_max;
    int64_t memory;
    double speed; /* 1: what predictions are made for */
    int node;     /* devices of one node are neighbours */
    /* Kept */
    double reserved_s; /* promised to a waiting task from then on; INFINITY: not */
    int tasks[MU_DEVICE_TASKS_MAX];
    double ends_s[MU_DEVICE_TASKS_MAX]; /* predicted, of the same */
    int copies[MU_DEVICE_COPIES_MAX];
    int models[MU_DEVICE_COPIES_MAX]; /* of the same, if it has no other device; else -1 */
};

struct mu_copy {
    int model, n, users;
    int n_closed;                    /* of its devices, how many are not open */
    int loader;                      /* the task that loads it, or did and still runs; -1: none */
    int64_t weights;                 /* on each device */
    double used_s;                   /* when its last task ended */
    int next, previous;              /* of the model's open ones, or free; -1 */
    int all_next, all_previous;      /* of all of the model's; -1 */
    int device[MU_TASK_DEVICES_MAX]; /* rising */
};

struct mu_running {
    struct mu_need need;
    uint64_t tag;
    int copy, n;   /* -1: no copy */
    int next;      /* free list */
    double work_s; /* predicted: run, and loading if it was needed */
    double load_s; /* of it */
    double done_s, at_s, rate;
    bool is_touched;
    int device[MU_TASK_DEVICES_MAX];
};

struct mu_fleet {
    int n_devices, n_nodes, n_models, n_healthy;
    struct mu_fleet_device *devices;
    int *node_first; /* of n_nodes + 1 */
    uint64_t *open;  /* bit per device: healthy, and below its limit of tasks */
    int n_open;
    int64_t *room;       /* tree of most: leaf room[n_leaves + d] is free + idle of an open device, -1 of others */
    int n_leaves;        /* a power of two */
    int least_memory_of; /* the device with the least memory, and the node with most devices: */
    int largest_node;
    struct mu_copy *copies; /* n_devices * MU_DEVICE_COPIES_MAX */
    int *model_copies;      /* first of each model's copies whose devices are all open; -1 */
    int *model_all;         /* first of all its copies; -1 */
    int *model_most;        /* copies that it may have; INT_MAX: no limit. The caller's to set */
    int free_copies;
    struct mu_running *running;
    int n_running, running_max, free_running;
    int *touched; /* tasks whose rate has changed since they were asked for */
    int n_touched;
    double closes_s;  /* when all devices are taken away: what would not be done by then does not start; INFINITY */
    int cursor;       /* device after which round-robin goes on */
    uint64_t loads;   /* copies loaded since open, */
    uint64_t reuses;  /* tasks that found theirs, */
    uint64_t evicted; /* copies that made room */
};

/* Where a task goes. */
struct mu_seats {
    int n, nodes;
    int copy;                        /* used again; -1: a new one is loaded */
    int device[MU_TASK_DEVICES_MAX]; /* rising */
};

/* `devices` says node, tasks_max, memory and speed of each; the rest is filled in: all healthy and empty. */
int mu_fleet_open(struct mu_fleet **out, const struct mu_fleet_device *devices, int n, int n_models, struct mu_err *e);
void mu_fleet_free(struct mu_fleet *f); /* NULL is fine */

/* Idle copies make room where they must. MU_EINVAL: the seats do not hold it; nothing has changed. */
int mu_fleet_start(struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s, uint64_t tag, double now_s,
                   int *run, struct mu_err *e);
void mu_fleet_end(struct mu_fleet *f, int run, double now_s); /* however it ended; its copy stays */

/* The task has loaded its copy, sooner than was predicted. */
void mu_fleet_loaded(struct mu_fleet *f, int run);

/* What is known of it now: how much work is left, which replaces the prediction. */
void mu_fleet_progress(struct mu_fleet *f, int run, double left_s, double now_s);

/* An idle copy on exactly these devices is gone; nothing where there is none. */
void mu_fleet_forget(struct mu_fleet *f, int model, const int *device, int n);

/* A device that is not healthy has lost its copies. End the tasks there first: MU_EINVAL. */
int mu_fleet_set_healthy(struct mu_fleet *f, int device, bool is_healthy, double now_s, struct mu_err *e);

/* A device that is lent starts nothing new; what runs there goes on. Idle copies are dropped: call it again when the
 * last task there has ended. */
void mu_fleet_set_lent(struct mu_fleet *f, int device, bool is_lent);

static inline bool mu_fleet_is_there(const struct mu_fleet_device *d)
{
    return d->is_healthy && !d->is_lent;
}

/* Work seconds until the copy is loaded; a task that joins before waits for as long. */
double mu_fleet_copy_rest(const struct mu_fleet *f, int copy, double now_s);

double mu_fleet_done(const struct mu_fleet *f, int run, double now_s);    /* work seconds */
double mu_fleet_load(const struct mu_fleet *f, int device, double now_s); /* seconds until its tasks have ended */
bool mu_fleet_next_touched(struct mu_fleet *f, int *run);

/* The next open device from `from` on, below `end`; end: none. With at least so many bytes free or idle: O(log
 * devices). */
int mu_fleet_next_open(const struct mu_fleet *f, int from, int end);
int mu_fleet_next_room(const struct mu_fleet *f, int from, int end, int64_t bytes);

/* Whether the books add up: for tests. */
int mu_fleet_check(const struct mu_fleet *f, struct mu_err *e);

#endif
