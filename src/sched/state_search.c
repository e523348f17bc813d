/* state_search.c - the search for a document that kills, and those that are left out for it, in the fold */
#include <inttypes.h>

#include "base/check.h"
#include "sched/state_int.h"

static int refuse(const struct mu_state *s, const struct mu_event *ev, const char *why, struct mu_err *e)
{
    return mu_state_refuse(ev, e, "task %d (%s) %s", ev->task, mu_state_name(s, s->tasks[ev->task].name), why);
}

int mu_state_search_begun(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_not_ended(s, ev, e));
    struct mu_state_task *t = &s->tasks[ev->task];
    MU_TRY_RETURN(mu_state_check_attempt(s, ev, t->attempts, e));
    if (t->search >= 0)
        return refuse(s, ev, "is being searched already", e);
    if (ev->amount < 1 || ev->amount > INT32_MAX)
        return mu_state_refuse(ev, e, "%" PRId64 " documents cannot be searched: from 1 to %d", ev->amount, INT32_MAX);
    MU_TRY_RETURN(MU_STATE_GROW(s, searches, MU_STATE_SEARCHES_MAX, e));
    mu_search_begin(&s->searches[s->n_searches], (int32_t)ev->amount);
    t->search = s->n_searches++;
    return MU_OK;
}

int mu_state_probe_ended(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_running(s, ev, e));
    MU_TRY_RETURN(mu_state_check_value(ev, MU_PROBES, "end of a probe", e));
    const struct mu_state_task *t = &s->tasks[ev->task];
    bool has_died = mu_probe_has_died((enum mu_probe)ev->value), is_idle = ev->value == MU_PROBE_IDLE;
    if (t->search < 0)
        return refuse(s, ev, "is not being searched", e);
    mu_search_told(&s->searches[t->search], (enum mu_probe)ev->value);
    mu_state_end_attempt(s, ev->task,
                         has_died  ? MU_ATTEMPT_FAILED
                         : is_idle ? MU_ATTEMPT_CANCELLED
                                   : MU_ATTEMPT_FINISHED,
                         has_died ? MU_FAILURE_POISON : MU_FAILURE_NONE, ev);
    mu_state_let_go(s, ev->task);
    mu_state_move(s, ev->task, MU_TASK_WAITING);
    return MU_OK;
}

int mu_state_search_ended(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(mu_state_check_not_ended(s, ev, e));
    struct mu_state_task *t = &s->tasks[ev->task];
    MU_TRY_RETURN(mu_state_check_attempt(s, ev, t->attempts, e));
    if (t->search < 0)
        return refuse(s, ev, "is not being searched", e);
    t->search = -1;
    t->is_searched_in_vain = true;
    return MU_OK;
}

int mu_state_request_skipped(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    size_t why;
    MU_TRY_RETURN(mu_state_check_not_ended(s, ev, e));
    struct mu_state_task *t = &s->tasks[ev->task];
    MU_TRY_RETURN(MU_STATE_GROW(s, skips, MU_STATE_SKIPS_MAX, e));
    MU_TRY_RETURN(mu_state_keep_name(s, ev->text, &why, e));
    s->skips[s->n_skips] = (struct mu_state_skip){.document = ev->amount, .before = t->last_skip, .why = why};
    t->last_skip = s->n_skips++;
    t->search = -1;
    t->forgiven = t->attempts;
    t->skipped++;
    s->n_skipped_requests++;
    return MU_OK;
}
