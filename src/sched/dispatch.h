/* dispatch.h - queue, fleet and strategy together: which tasks start now
 *
 * Used alike by the simulator and by who runs campaigns. One call is one round:
 *  1. Tasks are looked at in the queue's order, `window` at most. One whose strategy has devices for it starts.
 *  2. The first that has none is promised those that come nearest (mu_refuse): until the round ends others start there
 * only if all work would be done before they are free. So a task that wants many devices is not passed for ever by
 * small ones: EASY backfilling (Lifka, "The ANL/IBM SP Scheduling System", JSSPP 1995), with the devices named.
 *  3. A task that would have to load its model lets those of its own level in the window go first that find theirs, at
 * most `patience` times: delay scheduling (Zaharia and others, EuroSys 2010). For strategies that seek copies.
 *  4. Of tasks that would load their models, those go first whose model is nowhere yet: a device a model, each loads
 *     once. Where copies are busy, and what is to be done there before a task's turn is less than a load, the task
 * waits for it, and free devices stay free: the short tasks of one model do not load it on all devices. Not where more
 *     tasks are ready than MU_DISPATCH_HELD_MAX: so much work is worth a load. For strategies that seek copies, too.
 *  5. A model never has more copies than the fleet's model_most allows: what needs another waits for one of those.
 *  6. If the first that has none is `gap` priorities above running ones, and would wait `preempt_wait_s` or longer, the
 *     caller is handed a proposal of which to stop. */
#ifndef MU_SCHED_DISPATCH_H
#define MU_SCHED_DISPATCH_H

#include "sched/queue.h"
#include "sched/strategy.h"

#define MU_DISPATCH_WINDOW_MAX 128
#define MU_DISPATCH_HELD_MAX   512 /* tasks of a round that do not start, those of known models beside the window */

struct mu_dispatch_options {
    const struct mu_strategy_kind *strategy;
    int window;            /* tasks looked at in a round beside those that start; 1 to MU_DISPATCH_WINDOW_MAX */
    int patience;          /* 0: nobody goes first for the sake of a copy */
    int gap;               /* of priorities, for preemption; 0: none */
    double preempt_wait_s; /* and the shortest wait that is worth it */
};

#define MU_DISPATCH_DEFAULT                                                                                            \
    {                                                                                                                  \
        .strategy = &mu_balanced, .window = 32, .patience = 16, .gap = 2, .preempt_wait_s = 60                         \
    }

/* The caller's side. Each is called within mu_dispatch(). */
struct mu_dispatch_calls {
    void *arg;
    const struct mu_need *(*need)(void *arg, int task); /* lives through the round */

    /* It has started: run is its number in the fleet. The choice explains itself. */
    void (*started)(void *arg, int task, int run, const struct mu_choice *c);

    /* The task can never run here (mu_refusal_is_final): it counts as started, and must be ended by the caller. */
    void (*impossible)(void *arg, int task, const struct mu_refusal *r);

    /* Stop these and the task can start; once a round at most. May be NULL. */
    void (*preempt)(void *arg, int task, const struct mu_preemption *p);
};

struct mu_dispatch_stats {
    int started, looked_at;
    double again_s;  /* when a task that waits for a busy copy is to be looked at again at the latest; INFINITY: none */
    uint64_t visits; /* devices and copies looked at, without refusals: one a round looks at all */
};

struct mu_dispatch;

int mu_dispatch_open(struct mu_dispatch **out, const struct mu_dispatch_options *o, struct mu_queue *q,
                     struct mu_fleet *f, const struct mu_queue_limits *l, struct mu_err *e); /* q and f are borrowed */
void mu_dispatch_free(struct mu_dispatch *d);

int mu_dispatch(struct mu_dispatch *d, const struct mu_dispatch_calls *calls, double now_s,
                struct mu_dispatch_stats *stats, struct mu_err *e);

/* The task that was first in the queue of those for which the last round had no devices; -1: none. */
int mu_dispatch_first(const struct mu_dispatch *d);

#endif
