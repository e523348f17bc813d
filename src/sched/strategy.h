/* strategy.h - which devices a task gets, and why
 *
 * A strategy is one pure function: what a device would cost the task, lower is better. Everything else is common: which
 * devices can take it (healthy, below their limit of tasks, room after dropping idle copies, not promised to a task
 * that waits), groups for tasks of several devices (one node where one has enough; the node whose worst device is
 * cheapest), refusals. Of equal costs the lowest numbers are taken, so that a choice is a function of the view alone.
 *
 *   round-robin    the devices behind the last one used, in a ring
 *   least-loaded   the least predicted seconds until the device's tasks have ended
 *   memory-aware   a copy that is there, else free memory, else dropping idle copies; of these the tightest fit
 *   balanced       the least sum, in seconds, of the terms below with the weights stated there
 *
 * Refusals say what is missing, the devices that come nearest, and from when on those would do. */
#ifndef MU_SCHED_STRATEGY_H
#define MU_SCHED_STRATEGY_H

#include "sched/fleet.h"

/* The terms of `balanced`, X(name, weight, words); each is in seconds. */
#define MU_TERM_MAP(X)                                                                                                 \
    X(RUN, 1.0, "running, at this device's speed and shared with what runs there")                                     \
    X(LOAD, 1.0, "loading the model")                                                                                  \
    X(OTHERS, 1.0, "that tasks there lose to it")                                                                      \
    X(EVICT, 0.5, "loading again what is dropped, as if one in two were needed again")                                 \
    X(FIT, 0.1, "the run, times the share of memory left unused")                                                      \
    X(LATE, 4.0, "behind its deadline")

enum mu_term {
#define MU_TERM_ENUM(name, weight, words) MU_TERM_##name,
    MU_TERM_MAP(MU_TERM_ENUM)
#undef MU_TERM_ENUM
        MU_TERMS
};

/* What a device can do for a task. */
enum mu_fit {
    MU_FIT_COPY,     /* a copy of its model is there */
    MU_FIT_FREE,     /* room for one is free */
    MU_FIT_EVICT,    /* idle copies must go first */
    MU_FIT_RESERVED, /* from here on nothing now: it would not be done before the device is promised */
    MU_FIT_MEMORY,   /* running tasks and their models have the memory */
    MU_FIT_TASKS,    /* it has as many tasks as it may */
    MU_FIT_DOWN,     /* failed or quarantined */
    MU_FIT_SMALL,    /* too small, even empty */
    MU_FITS
};

struct mu_strategy_kind {
    const char *name;
    const char *summary;
    double (*cost)(const struct mu_fleet *f, const struct mu_need *n, int device, enum mu_fit fit, double now_s,
                   double terms[MU_TERMS]); /* terms: what it is the sum of, weighted; may stay 0 */
    bool seeks_copies;                      /* looks for copies on sets of devices, and rather waits its turn for one */
    const char *why;                        /* "it comes next in the ring" */
};

extern const struct mu_strategy_kind mu_round_robin, mu_least_loaded, mu_memory_aware, mu_balanced;

/* Of a list ended by NULL. */
extern const struct mu_strategy_kind *const mu_strategies[];
int mu_strategy_kind_find(const struct mu_strategy_kind **out, const char *name, struct mu_err *e);

/* ---- choosing ---- */

struct mu_choice {
    struct mu_seats seats;
    const struct mu_strategy_kind *by;
    enum mu_fit fit; /* of the device that costs most */
    int worst;       /* that device */
    double cost, terms[MU_TERMS];
    double ends_s;    /* predicted */
    double late_s;    /* behind the deadline; 0: in time */
    int groups;       /* looked at that would do: devices for a task of one, nodes and copies for others */
    double next_cost; /* of the best one not taken, INFINITY: none */
    int next;         /* its first device */
    int visits;       /* devices looked at: what tests hold against the bound */
};

/* False: no devices now. */
bool mu_choose(struct mu_choice *out, const struct mu_strategy_kind *k, const struct mu_fleet *f,
               const struct mu_need *n, double now_s);

/* Among the copies of the task's model only. */
bool mu_choose_copy(struct mu_choice *out, const struct mu_strategy_kind *k, const struct mu_fleet *f,
                    const struct mu_need *n, double now_s);

/* What the device can do; *copy is the copy of the task's model that it holds alone, or -1. */
enum mu_fit mu_fit_of(const struct mu_fleet *f, const struct mu_need *n, int device, double now_s, int *copy);

/* ---- waiting for a copy ---- */

/* Of the copies of a task's model, on as many devices as it wants, those that cannot be had now because of who runs
 * there. */
struct mu_copies_busy {
    int copies, busy; /* all there are; those of which a device has all the tasks it may */
    double wait_s; /* until the first of the busy ones can be had, loads under way not counted: they go side by side */
    double run_s;  /* what a task takes of which nothing is known: as long as those that run */
};

/* Rests are as predicted. Who is overdue goes on for as long again as it is overdue, and one of which nothing is known
 * for as long as it has run (so a wait for it ends before it has cost twice what it could save). O(copies). */
void mu_copies_busy(struct mu_copies_busy *out, const struct mu_fleet *f, const struct mu_need *n, double now_s);

/* ---- refusing ---- */

enum mu_refusal_why {
    MU_REFUSED_BUSY,     /* running tasks have what it needs */
    MU_REFUSED_RESERVED, /* what is free is promised to a task before it */
    MU_REFUSED_DOWN,     /* too many devices are failed or quarantined */
    MU_REFUSED_MEMORY,   /* too few devices are large enough: never */
    MU_REFUSED_DEVICES,  /* there are not so many (on one node): never */
};

struct mu_refusal {
    enum mu_refusal_why why;
    int wanted, fitting;   /* devices wanted; that would do now, of the nearest */
    int counts[MU_FITS];   /* devices by what they can do */
    struct mu_seats near;  /* the devices that come nearest */
    double free_s;         /* from when on they would do, by prediction; INFINITY: never as things are */
    int lacking;           /* the device of them that is last; of MEMORY the largest that is too small; -1: none */
    int64_t missing_bytes; /* there; 0: not memory */
    int most;              /* of DEVICES and MEMORY: the most that could be had */
};

static inline bool mu_refusal_is_final(const struct mu_refusal *r)
{
    return r->why == MU_REFUSED_MEMORY || r->why == MU_REFUSED_DEVICES;
}

void mu_refuse(struct mu_refusal *out, const struct mu_fleet *f, const struct mu_need *n, double now_s);

/* ---- moving what runs ---- */

#define MU_PREEMPT_MAX 64

struct mu_preemption {
    int n, run[MU_PREEMPT_MAX]; /* tasks to stop, each after its running batch */
    struct mu_seats seats;      /* for the waiting task then, copy not yet known */
    double drains_s;            /* until the last of them has stopped, if each finishes its batch */
    double loses_s;             /* at most, if each is stopped at once: its running batch */
};

/* Tasks whose priority is at least `gap` below the task's, and that may be stopped, to stop for it: on as few devices
 * as it needs, those that lose least. False: that would not be enough. */
bool mu_preempt(struct mu_preemption *out, const struct mu_fleet *f, const struct mu_need *n, int gap, double now_s);

#define MU_MIGRATE_LEAST_S     60.0 /* a move must gain so much, */
#define MU_MIGRATE_LEAST_SHARE 0.25 /* and so much of the time left */

struct mu_migration {
    int run, from;
    struct mu_seats seats;
    double stays_s, moves_s; /* predicted time left if it stays, and if it moves: batch, loading and rest */
};

/* The task of one device that gains most by going to a device that runs nothing; false: none gains enough. */
bool mu_migrate(struct mu_migration *out, const struct mu_fleet *f, double now_s);

/* ---- in words ---- */

#define MU_STRATEGY_TEXT_MAX 640

const char *mu_choice_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_choice *c, const struct mu_fleet *f,
                           const struct mu_need *n, double now_s);
const char *mu_refusal_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_refusal *r, const struct mu_need *n,
                            double now_s);
const char *mu_preemption_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_preemption *p,
                               const struct mu_fleet *f);
const char *mu_migration_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_migration *m);

#endif
