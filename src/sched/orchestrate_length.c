/* orchestrate_length.c - how long a task will take: as those of its suite that have finished (orchestrate.h) */
#include "base/check.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

void mu_orchestra_learn(struct mu_orchestration *x, int task, double seconds)
{
    struct mu_mean *m = &x->length[mu_orchestra_task(x, task)->suite];
    m->mean += (seconds - m->mean) / ++m->n;
}

/* What was learnt before this start. */
static void learn_again(struct mu_orchestration *x)
{
    const struct mu_state *s = &x->log.state;
    for (int i = 0; i < x->o->campaign->n_tasks; i++) {
        const struct mu_state_task *t = &s->tasks[x->work[i].number];
        if (t->state == MU_TASK_FINISHED && t->last_attempt >= 0)
            mu_orchestra_learn(
                x, i, (double)(s->attempts[t->last_attempt].end_ns - s->attempts[t->last_attempt].start_ns) * 1e-9);
    }
}

int mu_orchestra_open_lengths(struct mu_orchestration *x, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->length, MU_MAX(x->o->campaign->n_suites, 1), "lengths of tasks", e));
    learn_again(x);
    return MU_OK;
}

double mu_orchestra_length(const struct mu_orchestration *x, int task, double unknown)
{
    const struct mu_mean *m = &x->length[mu_orchestra_task(x, task)->suite];
    return m->n > 0 ? m->mean : unknown;
}
