/* queue_int.h - the queue's inside: slots of tasks, lines as leftist heaps, campaigns */
#ifndef MU_SCHED_QUEUE_INT_H
#define MU_SCHED_QUEUE_INT_H

#include "sched/queue.h"
#include "sched/timers.h"

struct slot {
    /* its place in the line's heap; -1: none */
    int left, right, parent;
    int rank; /* of leftist heaps: steps to the nearest missing child */
    int line; /* while ready: campaign * MU_PRIORITY_N + priority it is lined up for */

    uint8_t state, priority, if_failed;
    bool is_hit;    /* one before it ended badly */
    bool is_listed; /* among those that ended because of others */
    int campaign;
    int pending; /* befores that have not ended */
    int edges;   /* first of those after it; -1: none */
    int next;    /* free list, or the list of ended ones */
    int tries;
    double ready_s, rise_s; /* when it became ready; when its deadline makes it critical */
    double device_s;        /* what its campaign is charged */
    double run_s;
    uint64_t seq; /* order of adding */
    uint64_t tag;
};

struct edge {
    int task, next;
};

struct line {
    int root;        /* the first of the line; -1: empty */
    int at;          /* in the list of lines that have ready tasks */
    double served_s; /* when one of it was last started */
};

struct campaign {
    double weight;
    double pass; /* device-seconds had, over the weight */
    double held; /* the same of held tasks */
    int n_held;
    bool is_paused;
};

struct mu_queue {
    struct mu_queue_limits limits;
    struct slot *slots;
    struct edge *edges;
    struct line *lines; /* of campaigns times priorities */
    int *active;        /* lines that have ready tasks */
    int n_active;
    struct campaign *campaigns;
    int n_campaigns;
    struct mu_timers timers; /* of slots: the end of waiting, or the rise by deadline */
    int free_slots, free_edges;
    int ended_first, ended_last;
    int counts[MU_QUEUE_STATES];
    int n_held;
    double now_s;
    double least_pass; /* campaigns behind it are counted as at it */
    uint64_t seq, visits;
};

/* queue_line.c */
void line_put(struct mu_queue *q, int id);
void line_remove(struct mu_queue *q, int id);
int line_next(struct mu_queue *q, enum mu_priority *level); /* the slot whose turn it is; -1 */

/* queue_after.c */
int after_add(struct mu_queue *q, int id, const int *before, int n, struct mu_err *e);
void after_release(struct mu_queue *q, int id); /* all before it have ended */
void after_end(struct mu_queue *q, int id);     /* it has ended: those after it */

/* queue.c */
void queue_set_state(struct mu_queue *q, int id, enum mu_queue_state s);
void queue_make_ready(struct mu_queue *q, int id); /* ready, or waiting for its time */
bool queue_has_ended(const struct mu_queue *q, int id);

#endif
