/* step_words.c - see step_words.h */
#include "sched/slurm/step_words.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

static void add(struct mu_step_words *w, const char *word)
{
    w->argv[w->n++] = word;
}

static int check(const struct mu_worker_order *o, struct mu_err *e)
{
    int sum = 0, least = 1;
    if (o->ranks < 1 || o->ranks < o->n_nodes)
        return mu_fail(e, MU_EINVAL, "%d ranks on %d nodes: each node needs one at least", o->ranks, o->n_nodes);
    for (int i = 0; o->share && i < o->n_nodes; i++) {
        sum += o->share[i];
        least = MU_MIN(least, o->share[i]);
    }
    if (o->share && o->n_nodes > 0 && (sum != o->ranks || least < 1))
        return mu_fail(e, MU_EINVAL, "%d ranks, but the shares of %d nodes come to %d, the least of them to %d",
                       o->ranks, o->n_nodes, sum, least);
    return MU_OK;
}

static bool is_uneven(const struct mu_worker_order *o)
{
    for (int i = 1; o->share && i < o->n_nodes; i++) {
        if (o->share[i] != o->share[0])
            return true;
    }
    return false;
}

static int list_node(struct mu_step_words *w, const char *name, int times, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(&w->nodes, e, "%s%s", w->nodes.n > 0 ? "," : "", name));
    for (int i = 0; i < times; i++)
        MU_TRY_RETURN(mu_buf_printf(&w->list, e, "%s%s", w->list.p[w->list.n - 1] == '=' ? "" : ",", name));
    return MU_OK;
}

/* Uneven shares: srun takes a node for each rank, in their order. */
static int list_nodes(struct mu_step_words *w, const struct mu_worker_order *o, const char *here, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(&w->list, "--nodelist=", e));
    if (o->n_nodes == 0)
        return list_node(w, here, 1, e);
    for (int i = 0; i < o->n_nodes; i++)
        MU_TRY_RETURN(list_node(w, o->node[i], is_uneven(o) ? o->share[i] : 1, e));
    return MU_OK;
}

static void add_layout(struct mu_step_words *w, const struct mu_worker_order *o)
{
    int nodes = MU_MAX(o->n_nodes, 1);
    snprintf(w->n_nodes, sizeof w->n_nodes, "--nodes=%d", nodes);
    snprintf(w->tasks, sizeof w->tasks, "--ntasks=%d", o->ranks);
    snprintf(w->per_node, sizeof w->per_node, "--ntasks-per-node=%d", (o->ranks + nodes - 1) / nodes);
    snprintf(w->cpus, sizeof w->cpus, "--cpus-per-task=%d", MU_MAX(o->cpus, 1));
    add(w, w->n_nodes);
    add(w, w->tasks);
    add(w, is_uneven(o) ? "--distribution=arbitrary" : w->per_node);
    add(w, w->cpus);
    if (is_uneven(o)) /* Open MPI 4.1 needs it then, as in script.c */
        add(w, "--export=ALL,SLURM_PMIX_DIRECT_CONN=false");
}

int mu_step_words_make(struct mu_step_words *w, const struct mu_worker_order *o, const char *name, const char *here,
                       struct mu_err *e)
{
    static const char *const fixed[] = {"srun",    "--quiet",   "--overlap",  "--no-kill",   "--kill-on-bad-exit=0",
                                        "--mem=0", "--input=0", "--output=0", "--error=all", "--cpu-bind=none"};
    MU_TRY_RETURN(check(o, e));
    for (size_t i = 0; i < MU_COUNT(fixed); i++)
        add(w, fixed[i]);
    snprintf(w->name, sizeof w->name, "--job-name=%s", name);
    add(w, w->name);
    MU_TRY_RETURN(list_nodes(w, o, here, e));
    add(w, w->list.p);
    add_layout(w, o);
    if (o->ranks == 1) /* one rank needs no PMI */
        add(w, "--mpi=none");
    else if (!getenv("SLURM_MPI_TYPE"))
        add(w, "--mpi=pmix");
    add(w, "--");
    return MU_OK;
}

void mu_step_words_fini(struct mu_step_words *w)
{
    mu_buf_fini(&w->list);
    mu_buf_fini(&w->nodes);
}
