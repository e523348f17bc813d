/* orchestrate_length.c - how long a task will take, as those of its suite that have finished, and its model's load
 * (orchestrate.h) */
#include "base/check.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

#define LOAD_RATE    1e9 /* bytes a second, */
#define LOAD_LEAST_S 2.0 /* and what a start takes: for weighing a load against a wait, until it was measured */

static void add(struct mu_mean *m, double seconds)
{
    m->mean += (seconds - m->mean) / ++m->n;
}

void mu_orchestra_learn(struct mu_orchestration *x, int task, double seconds, double load_s)
{
    add(&x->length[mu_orchestra_task(x, task)->suite], MU_MAX(seconds - load_s, 0));
    if (load_s > 0)
        add(&x->model[mu_orchestra_task(x, task)->model].load, load_s);
}

/* What was learnt before this start. */
static void learn_again(struct mu_orchestration *x)
{
    const struct mu_state *s = &x->log.state;
    for (int i = 0; i < x->o->campaign->n_tasks; i++) {
        const struct mu_state_task *t = &s->tasks[x->work[i].number];
        if (t->state == MU_TASK_FINISHED && t->last_attempt >= 0)
            mu_orchestra_learn(
                x, i, (double)(s->attempts[t->last_attempt].end_ns - s->attempts[t->last_attempt].start_ns) * 1e-9, 0);
    }
}

int mu_orchestra_open_lengths(struct mu_orchestration *x, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->length, MU_MAX(x->o->campaign->n_suites, 1), "lengths of tasks", e));
    learn_again(x);
    return MU_OK;
}

bool mu_orchestra_knows_length(const struct mu_orchestration *x, int task)
{
    return x->length[mu_orchestra_task(x, task)->suite].n > 0;
}

double mu_orchestra_length(const struct mu_orchestration *x, int task, double unknown)
{
    const struct mu_mean *m = &x->length[mu_orchestra_task(x, task)->suite];
    return m->n > 0 ? m->mean : unknown;
}

double mu_orchestra_load_s(const struct mu_orchestration *x, int task)
{
    int model = mu_orchestra_task(x, task)->model;
    const struct mu_mean *m = &x->model[model].load;
    int64_t bytes = x->o->weights ? x->o->weights[model] : 0;
    return m->n > 0 ? m->mean : LOAD_LEAST_S + (double)bytes / LOAD_RATE;
}
