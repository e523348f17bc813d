/* queue.h - tasks that wait: for others, for a time, for their turn
 *
 * Pure: no clock, thread or file; the time is seconds handed in, and one smaller than the last counts as the last. All
 * room is taken at open. Adding, taking, cancelling and re-prioritising cost O(log tasks + lines with ready tasks).
 *
 * Whose turn it is:
 *  1. The ready tasks of one campaign and one priority stand in a line, in the order they became ready, then were
 * added.
 *  2. A line rises one priority for every age_s seconds that its first task has been ready and none of the line was
 *     started; with a start it falls back to its own. So a line is at the top after 4 age_s at the latest.
 *  3. A task with a deadline moves to the critical line of its campaign when twice its predicted time is left.
 *  4. Of the lines that stand highest, that of the campaign that has had least for its weight goes first, then the one
 * that waits longest: stride scheduling (Waldspurger and Weihl, "Stride Scheduling", MIT/LCS/TM-528, 1995). A stride is
 * the task's predicted device-seconds over the campaign's weight. A campaign that had nothing to do, or that higher
 *     priorities went before, saves up no claim for later.
 * Hence none starves: at the top a line waits for at most the other campaigns' shares, and it gets there.
 *
 * A task's befores must have been added earlier, so dependencies have no cycles. */
#ifndef MU_SCHED_QUEUE_H
#define MU_SCHED_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/priority.h"
#include <muster/err.h>

#define MU_QUEUE_TASKS_MAX     (1 << 20)
#define MU_QUEUE_EDGES_MAX     (1 << 23) /* befores of tasks that have not ended */
#define MU_QUEUE_CAMPAIGNS_MAX 256
#define MU_QUEUE_AGE_S         900.0 /* what a campaign of minutes to hours a task may use */

/* What becomes of a task when one before it does not end well. */
enum mu_queue_after {
    MU_AFTER_SKIP,   /* it ends as skipped */
    MU_AFTER_FAIL,   /* it ends as failed */
    MU_AFTER_ANYWAY, /* it runs all the same */
};

enum mu_queue_state {
    MU_QUEUE_FREE,      /* no such task */
    MU_QUEUE_BLOCKED,   /* by tasks before it */
    MU_QUEUE_WAITING,   /* for a time */
    MU_QUEUE_READY,     /* stands in its line */
    MU_QUEUE_HELD,      /* taken, neither started nor put back yet */
    MU_QUEUE_RUNNING,   /* started */
    MU_QUEUE_DONE,      /* these four have ended */
    MU_QUEUE_FAILED,    /* */
    MU_QUEUE_SKIPPED,   /* */
    MU_QUEUE_CANCELLED, /* */
    MU_QUEUE_STATES
};

struct mu_queue_limits {
    int tasks, edges, campaigns; /* at most so many at a time */
    double age_s;                /* above 0 */
};

struct mu_queue_task {
    int campaign;
    enum mu_priority priority;
    double run_s;      /* predicted, of all its devices together: 0 or more */
    int devices;       /* 1 or more */
    double deadline_s; /* INFINITY: none */
    double ready_s;    /* not before this time */
    const int *before; /* ids; borrowed for the call */
    int n_before;
    enum mu_queue_after if_failed;
    uint64_t tag; /* the caller's own */
};

struct mu_queue;

int mu_queue_open(struct mu_queue **out, const struct mu_queue_limits *l, struct mu_err *e);
void mu_queue_free(struct mu_queue *q); /* NULL is fine */

/* A weight of 2 is due twice the device-seconds of a weight of 1. Ids count from 0. */
int mu_queue_campaign(struct mu_queue *q, double weight, int *id, struct mu_err *e);
int mu_queue_set_weight(struct mu_queue *q, int campaign, double weight, struct mu_err *e);
void mu_queue_pause(struct mu_queue *q, int campaign, bool is_paused); /* nothing of it is taken while paused */

/* MU_ELIMIT: the queue is full. The id is the task's until it is forgotten. */
int mu_queue_add(struct mu_queue *q, const struct mu_queue_task *t, double now_s, int *id, struct mu_err *e);

/* The task whose turn it is, now held; false: none is ready. Its *level is the priority it stands at, aged. */
bool mu_queue_take(struct mu_queue *q, double now_s, int *id, enum mu_priority *level);

/* What a held task becomes. */
void mu_queue_start(struct mu_queue *q, int id, double now_s); /* running; its campaign is charged */
void mu_queue_put_back(struct mu_queue *q, int id);            /* to where it stood */

/* What a running task becomes. Those after it are made ready or end too. */
void mu_queue_end(struct mu_queue *q, int id, bool is_good, double now_s);

/* It was stopped, or failed and is to be tried again, with left_s of its predicted time to go: its campaign is given
 * that back. Not before at_s; -INFINITY: at once, and where it stood in line. */
void mu_queue_again(struct mu_queue *q, int id, double left_s, double at_s, double now_s);

/* Any task that has not ended. Who runs it must be told by the caller. MU_EINVAL: it has ended. */
int mu_queue_cancel(struct mu_queue *q, int id, double now_s, struct mu_err *e);
int mu_queue_set_priority(struct mu_queue *q, int id, enum mu_priority p, double now_s, struct mu_err *e);

/* Tasks that ended without having run, because of others, oldest first; false: no more. Ask after each end and cancel.
 */
bool mu_queue_next_ended(struct mu_queue *q, int *id);

/* Give the room of an ended task back. MU_EINVAL: it has not ended, or a task before it has not. */
int mu_queue_forget(struct mu_queue *q, int id, struct mu_err *e);

/* Campaigns are charged by prediction; the difference to what was used, either way. */
void mu_queue_charge(struct mu_queue *q, int campaign, double device_s);

enum mu_queue_state mu_queue_state(const struct mu_queue *q, int id); /* MU_QUEUE_FREE for a number that is none */
uint64_t mu_queue_tag(const struct mu_queue *q, int id);
int mu_queue_campaign_of(const struct mu_queue *q, int id);
enum mu_priority mu_queue_priority(const struct mu_queue *q, int id);
int mu_queue_tries(const struct mu_queue *q, int id); /* how often it was started */
int mu_queue_count(const struct mu_queue *q, enum mu_queue_state s);
double
mu_queue_next_time(const struct mu_queue *q); /* when something becomes ready or rises by deadline; INFINITY: never */
const char *mu_queue_state_name(enum mu_queue_state s);

/* Heap nodes and lines looked at since open: what tests hold against the bound. */
uint64_t mu_queue_visits(const struct mu_queue *q);

#endif
