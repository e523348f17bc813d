/* allocation.c - see allocation.h */
#include "sched/slurm/allocation.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "sched/slurm/jobs.h"
#include "sched/slurm/topology.h"
#include "sched/slurm/words.h"

int mu_slurm_allocation_open(struct mu_slurm_allocation *a, char *(*get)(const char *name), struct mu_err *e)
{
    MU_TRY_RETURN(mu_slurm_here_read(&a->here, get, e));
    if (a->here.job == 0)
        return mu_fail(e, MU_EINVAL, "this process is in no Slurm job: workers as job steps need one (sbatch, salloc)");
    if (a->here.nodes.n == 0)
        return mu_fail(e, MU_EINVAL, "job %" PRId64 " names no nodes: SLURM_JOB_NODELIST is not set", a->here.job);
    return MU_OK;
}

void mu_slurm_allocation_fini(struct mu_slurm_allocation *a)
{
    mu_slurm_here_fini(&a->here);
    mu_slurm_hosts_fini(&a->gone);
    mu_slurm_doors_close(&a->doors);
}

static int ask(struct mu_slurm_allocation *a, struct mu_command_end *end, const char *const *argv, struct mu_err *e)
{
    if (mu_now_ns(mu_clock_real()) < a->alone_until_ns)
        return mu_fail(e, MU_EPEER, "Slurm's controller did not answer a moment ago, so it is not asked by %s now",
                       argv[0]);
    int rc = mu_slurm_command_within(end, argv, MU_SLURM_ANSWER_NS, e);
    if (rc == MU_EPEER)
        a->alone_until_ns = mu_now_ns(mu_clock_real()) + MU_SLURM_ALONE_NS;
    return rc;
}

static const char *job_text(const struct mu_slurm_allocation *a, char text[24])
{
    snprintf(text, 24, "%" PRId64, a->here.job);
    return text;
}

/* ---- nodes ---- */

static bool has(const struct mu_slurm_hosts *hosts, const char *name)
{
    for (const char *p = NULL; (p = mu_slurm_hosts_next(hosts, p)) != NULL;)
        if (strcmp(p, name) == 0)
            return true;
    return false;
}

/* "DOWN", "IDLE*", of newer releases "IDLE+NOT_RESPONDING". One that is drained goes on with what it has. */
static bool is_down(const struct mu_slurm_cluster *c, const char *name)
{
    for (int i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i].name, name) == 0)
            return strstr(c->nodes[i].state, "DOWN") || strstr(c->nodes[i].state, "NOT_RESP") ||
                   strchr(c->nodes[i].state, '*');
    return false;
}

int mu_slurm_nodes_gone(struct mu_slurm_hosts *gone, const struct mu_slurm_hosts *nodes, struct mu_str kept,
                        struct mu_str state, struct mu_err *e)
{
    struct mu_slurm_hosts ours = MU_SLURM_HOSTS_INIT;
    struct mu_slurm_cluster c = MU_SLURM_CLUSTER_INIT;
    int rc = MU_OK;
    kept = mu_slurm_trim(kept);
    if (kept.n > 0)
        MU_TRY(mu_slurm_hosts_expand(&ours, kept, e));
    MU_TRY(mu_slurm_nodes_parse(&c, state, e));
    mu_buf_clear(&gone->text);
    gone->n = 0;
    for (const char *p = NULL; (p = mu_slurm_hosts_next(nodes, p)) != NULL;) {
        if (has(&ours, p) && !is_down(&c, p))
            continue;
        MU_TRY(mu_buf_add(&gone->text, p, strlen(p) + 1, e));
        gone->n++;
    }
out:
    mu_slurm_hosts_fini(&ours);
    mu_slurm_cluster_fini(&c);
    return rc;
}

/* Names between commas, as many as a command's word can hold: of more nodes than that the state is not looked at. */
static int write_list(struct mu_buf *out, const struct mu_slurm_hosts *nodes, struct mu_err *e)
{
    for (const char *p = NULL; (p = mu_slurm_hosts_next(nodes, p)) != NULL;) {
        if (out->n + strlen(p) + 1 > out->max)
            break;
        MU_TRY_RETURN(mu_buf_printf(out, e, "%s%s", out->n > 0 ? "," : "", p));
    }
    return MU_OK;
}

static int show_nodes(struct mu_slurm_allocation *a, struct mu_command_end *end, struct mu_err *e)
{
    struct mu_buf list = MU_BUF_INIT("a list of nodes", 100000);
    int rc = MU_OK;
    MU_TRY(write_list(&list, &a->here.nodes, e));
    const char *scontrol[] = {"scontrol", "--oneliner", "show", "node", list.p, NULL};
    MU_TRY(ask(a, end, scontrol, e));
out:
    mu_buf_fini(&list);
    return rc;
}

static int look(struct mu_slurm_allocation *a, struct mu_err *e)
{
    struct mu_command_end kept = MU_COMMAND_END_INIT, state = MU_COMMAND_END_INIT;
    char job[24];
    int rc = MU_OK;
    const char *squeue[] = {"squeue", "--noheader", "--jobs", job_text(a, job), "--format=%N", NULL};
    MU_TRY(ask(a, &kept, squeue, e));
    MU_TRY(show_nodes(a, &state, e));
    MU_TRY(mu_slurm_nodes_gone(&a->gone, &a->here.nodes, mu_buf_str(&kept.out), mu_buf_str(&state.out), e));
out:
    mu_command_end_fini(&kept);
    mu_command_end_fini(&state);
    return rc;
}

bool mu_slurm_node_is_gone(struct mu_slurm_allocation *a, const char *node, int64_t max_age_ns)
{
    int64_t now = mu_now_ns(mu_clock_real());
    if (mu_slurm_knock(&a->doors, node, now) == MU_SLURM_SHUT)
        return true;
    if (a->looked_ns == 0 || now - a->looked_ns >= max_age_ns) {
        (void)look(a, NULL);
        a->looked_ns = mu_now_ns(mu_clock_real());
    }
    return has(&a->gone, node);
}

void mu_slurm_allocation_meet(struct mu_slurm_allocation *a)
{
    struct mu_command_end state = MU_COMMAND_END_INIT;
    if (show_nodes(a, &state, NULL) == MU_OK && mu_slurm_doors_open(&a->doors, mu_buf_str(&state.out), NULL) != MU_OK)
        mu_slurm_doors_close(&a->doors);
    mu_command_end_fini(&state);
}

/* ---- steps ---- */

int mu_slurm_steps_list(struct mu_slurm_allocation *a, struct mu_command_end *end, struct mu_err *e)
{
    char job[24];
    const char *argv[] = {
        "squeue", "--noheader", "--steps", "--jobs", job_text(a, job), "--Format=StepID:40,StepName:256", NULL};
    return ask(a, end, argv, e);
}

bool mu_slurm_step_next(struct mu_str *rest, struct mu_str *id, struct mu_str *name)
{
    for (struct mu_str line; mu_slurm_next_line(rest, &line);) {
        *id = mu_slurm_next_word(&line, " ");
        *name = mu_slurm_next_word(&line, " ");
        if (name->n > 0)
            return true;
    }
    return false;
}

int mu_slurm_steps_end(struct mu_slurm_allocation *a, const char *const *argv, struct mu_err *e)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    int rc = ask(a, &end, argv, e);
    mu_command_end_fini(&end);
    return rc == MU_ENOENT || rc == MU_EINVAL ? MU_OK : rc; /* of those that had ended it complains */
}

int mu_slurm_job_warn(struct mu_slurm_allocation *a, struct mu_err *e)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    char job[24];
    const char *argv[] = {"scancel", "--signal=USR1", "--batch", job_text(a, job), NULL};
    int rc = ask(a, &end, argv, e);
    mu_command_end_fini(&end);
    return rc;
}
