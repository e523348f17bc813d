/* orchestrate_int.h - what the orchestrator's files share */
#ifndef MU_SCHED_ORCHESTRATE_INT_H
#define MU_SCHED_ORCHESTRATE_INT_H

#include "sched/dispatch.h"
#include "sched/orchestrate.h"
#include "sched/state_log.h"

#define MU_ORCHESTRA_BATCH 64 /* events of one decision, but for those of tasks that wait for one that failed */

/* A task as this orchestrator has it. */
struct mu_work {
    int id;         /* in the queue; -1: it had ended before */
    int32_t number; /* in the log */
    int32_t group;  /* that runs it; -1 */
    int run;        /* in the fleet */
    int64_t worker, started_ns;
    bool is_late;   /* stopped, for it had its time */
    bool is_killed; /* the same, and did not end when it was asked to */
    struct mu_need need;
};

struct mu_orchestration {
    const struct mu_orchestra *o;
    struct mu_state_log log;
    struct mu_queue *queue;
    struct mu_fleet *fleet;
    struct mu_dispatch *dispatch;
    struct mu_policy policy;
    struct mu_work *work; /* [n_tasks], as the campaign lists them */
    int *running;         /* tasks, n_running of them */
    int n_running;
    int *followers; /* [n_tasks] scratch: those that ended because of another */
    uint64_t random;
    int64_t start_ns;
    struct mu_err failed; /* inside a call that cannot return it */
};

static inline double mu_orchestra_now(const struct mu_orchestration *x)
{
    return (double)(mu_now_ns(x->o->clock) - x->start_ns) * 1e-9;
}

static inline const struct mu_campaign_task *mu_orchestra_task(const struct mu_orchestration *x, int task)
{
    return &x->o->campaign->task[task];
}

void mu_orchestra_tell(struct mu_orchestration *x, int kind, int task, const char *why, double seconds, double retry_s);

/* orchestrate_open.c: the log, its campaign and who is left over from before; the queue and the fleet. */
int mu_orchestra_open(struct mu_orchestration *x, struct mu_err *e);
void mu_orchestra_close(struct mu_orchestration *x);

/* orchestrate_task.c: starts a task on its seats, as a new group; stands in the log first. */
int mu_orchestra_start(struct mu_orchestration *x, int task, int run, const struct mu_seats *seats, struct mu_err *e);

/* A worker has ended; the task goes on from there, and those that wait for it. */
int mu_orchestra_ended(struct mu_orchestration *x, int task, const struct mu_worker_end *end, struct mu_err *e);

/* It can never run here, or has nothing to run with: ends as failed. */
int mu_orchestra_fail(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, struct mu_err *e);

#endif
