/* state_lease.c - leases of tasks in the fold: who holds which, and what becomes of it */
#include "base/check.h"
#include "sched/state_int.h"

#define HELD (1u << MU_TASK_LEASED | 1u << MU_TASK_RUNNING)

int mu_state_lease_taken(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_runs(s, ev, e));
    MU_TRY_RETURN(mu_state_check_in(s, ev, 1u << MU_TASK_READY, e));
    MU_TRY_RETURN(mu_state_check_group_takes(s, ev, e));
    mu_state_hold(s, ev->task, ev->group, ev->amount, ev->seq);
    mu_state_move(s, ev->task, MU_TASK_LEASED);
    return MU_OK;
}

int mu_state_lease_renewed(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_in(s, ev, HELD, e));
    MU_TRY_RETURN(mu_state_check_holder(s, ev, e));
    s->tasks[ev->task].lease_seq = ev->seq;
    return MU_OK;
}

int mu_state_lease_expired(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_in(s, ev, HELD, e));
    MU_TRY_RETURN(mu_state_check_holder(s, ev, e));
    MU_TRY_RETURN(mu_state_check_value(ev, MU_FAILURES, "class of failure", e));
    bool is_running = s->tasks[ev->task].state == MU_TASK_RUNNING;
    if (is_running)
        mu_state_end_attempt(s, ev->task, MU_ATTEMPT_FAILED, ev->value, ev);
    mu_state_let_go(s, ev->task);
    mu_state_move(s, ev->task, is_running ? MU_TASK_WAITING : MU_TASK_READY);
    return MU_OK;
}

int mu_state_lease_released(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_in(s, ev, 1u << MU_TASK_LEASED, e));
    MU_TRY_RETURN(mu_state_check_holder(s, ev, e));
    mu_state_let_go(s, ev->task);
    mu_state_move(s, ev->task, MU_TASK_READY);
    return MU_OK;
}
