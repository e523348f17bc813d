/* script.c - see script.h */
#include "sched/slurm/script.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "sched/slurm/duration.h"

#define NAME_MAX_BYTES 64
#define AGAIN          50 /* starts of one that was killed, after the first */

/* Letters that no shell and no #SBATCH line gives a meaning. */
static bool is_shell_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_./:=+,@%-", c));
}

int mu_slurm_quote(struct mu_buf *out, const char *text, struct mu_err *e)
{
    const char *p = text;
    while (is_shell_plain(*p))
        p++;
    if (p > text && !*p)
        return mu_buf_puts(out, text, e);
    MU_TRY_RETURN(mu_buf_putc(out, '\'', e));
    for (p = text; *p; p++)
        MU_TRY_RETURN(*p == '\'' ? mu_buf_puts(out, "'\\''", e) : mu_buf_putc(out, *p, e));
    return mu_buf_putc(out, '\'', e);
}

/* ---- #SBATCH ---- */

static int option(struct mu_buf *out, const char *name, const char *value, struct mu_err *e)
{
    return value ? mu_buf_printf(out, e, "#SBATCH --%s=%s\n", name, value) : MU_OK;
}

static int flag(struct mu_buf *out, const char *name, bool is_wanted, struct mu_err *e)
{
    return is_wanted ? mu_buf_printf(out, e, "#SBATCH --%s\n", name) : MU_OK;
}

/* What is no letter, digit, dot, minus or underscore becomes an underscore. */
static int write_name(struct mu_buf *out, const char *name, struct mu_err *e)
{
    char plain[NAME_MAX_BYTES + 1] = "";
    size_t n = 0;
    for (; name[n] && n < NAME_MAX_BYTES; n++)
        plain[n] = is_shell_plain(name[n]) && !strchr("/:=+,@%", name[n]) ? name[n] : '_';
    return option(out, "job-name", n > 0 ? plain : "muster", e);
}

/* sbatch reads quotes as the shell does, and %% as a percent sign; a backslash would switch its patterns off, and a
 * line has no way to hold a line's end. */
static int write_folder(struct mu_buf *out, const char *folder, struct mu_err *e)
{
    struct mu_buf doubled = MU_BUF_INIT("a folder's name", 2 * MU_SITE_TEXT_MAX);
    int rc = MU_OK;
    for (const char *p = folder; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == '\\') {
            rc = mu_fail(e, MU_EINVAL,
                         "the folder \"%.200s\" has a control character or a backslash in its name, which Slurm "
                         "cannot take",
                         folder);
            goto out;
        }
        MU_TRY(mu_buf_puts(&doubled, *p == '%' ? "%%" : (char[]){*p, 0}, e));
    }
    MU_TRY(mu_slurm_quote(out, doubled.n > 0 ? doubled.p : ".", e));
out:
    mu_buf_fini(&doubled);
    return rc;
}

static int write_log(struct mu_buf *out, const char *folder, bool is_array, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "#SBATCH --output=", e));
    MU_TRY_RETURN(write_folder(out, folder, e));
    return mu_buf_puts(out, is_array ? "/%x-%A_%a.log\n" : "/%x-%j.log\n", e);
}

/* "h100&nvlink": all that are asked. */
static int write_constraint(struct mu_buf *out, const struct mu_slurm_part *p, struct mu_err *e)
{
    const char *const asked[] = {p->partition->constraint, p->is_linked ? p->partition->constraint_linked : NULL,
                                 p->constraint};
    const char *before = "#SBATCH --constraint=";
    for (size_t i = 0; i < MU_COUNT(asked); i++) {
        if (!asked[i])
            continue;
        MU_TRY_RETURN(mu_buf_printf(out, e, "%s%s", before, asked[i]));
        before = "&";
    }
    return *before == '&' ? mu_buf_putc(out, '\n', e) : MU_OK;
}

static int write_memory(struct mu_buf *out, const struct mu_slurm_part *p, struct mu_err *e)
{
    if (!p->partition->asks_memory)
        return MU_OK;
    if (p->is_whole)
        return option(out, "mem", "0", e);
    return p->memory_mib > 0 ? mu_buf_printf(out, e, "#SBATCH --mem=%" PRId64 "M\n", p->memory_mib) : MU_OK;
}

static int write_resources(struct mu_buf *out, const struct mu_slurm_script *s, const struct mu_slurm_part *p,
                           struct mu_err *e)
{
    const struct mu_site_partition *t = p->partition;
    char time[32];
    MU_TRY_RETURN(option(out, "account", t->account ? t->account : s->site->account, e));
    MU_TRY_RETURN(option(out, "qos", t->qos ? t->qos : s->site->qos, e));
    MU_TRY_RETURN(option(out, "partition", t->name, e));
    MU_TRY_RETURN(mu_buf_printf(out, e,
                                "#SBATCH --nodes=%d\n#SBATCH --ntasks=%d\n#SBATCH --ntasks-per-node=%d\n"
                                "#SBATCH --cpus-per-task=%d\n",
                                p->nodes, p->tasks, p->tasks_per_node, p->cpus_per_task));
    if (t->gres)
        MU_TRY_RETURN(mu_buf_printf(out, e, "#SBATCH --gres=%s:%d\n", t->gres,
                                    p->gres_per_node > 0 ? p->gres_per_node : p->tasks_per_node));
    MU_TRY_RETURN(write_memory(out, p, e));
    MU_TRY_RETURN(write_constraint(out, p, e));
    MU_TRY_RETURN(flag(out, "exclusive", p->is_whole, e));
    return option(out, "time", mu_slurm_duration_text(time, s->time_s), e);
}

/* "0-5%2" */
static int write_array(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    if (!s->commands)
        return MU_OK;
    MU_TRY_RETURN(mu_buf_printf(out, e, "#SBATCH --array=0-%d", s->n_commands - 1));
    if (s->at_once > 0)
        MU_TRY_RETURN(mu_buf_printf(out, e, "%%%d", s->at_once));
    return mu_buf_putc(out, '\n', e);
}

static int write_head(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "#!/bin/bash\n# ", e));
    for (const char *p = s->title; *p; p++)
        MU_TRY_RETURN(mu_buf_putc(out, (unsigned char)*p < ' ' ? '?' : *p, e));
    MU_TRY_RETURN(mu_buf_putc(out, '\n', e));
    MU_TRY_RETURN(write_name(out, s->name, e));
    MU_TRY_RETURN(write_log(out, s->folder, s->commands != NULL, e));
    MU_TRY_RETURN(option(out, "open-mode", "append", e));
    MU_TRY_RETURN(mu_buf_printf(out, e, "#SBATCH --signal=B:USR1@%" PRId64 "\n", s->site->signal_lead_s));
    MU_TRY_RETURN(flag(out, "no-kill", true, e));
    MU_TRY_RETURN(flag(out, s->site->restarts > 0 ? "requeue" : "no-requeue", true, e));
    MU_TRY_RETURN(option(out, "dependency", s->dependency, e));
    MU_TRY_RETURN(option(out, "kill-on-invalid-dep", s->dependency ? "yes" : NULL, e));
    MU_TRY_RETURN(write_array(out, s, e));
    for (int i = 0; i < s->n_parts; i++) {
        if (i > 0)
            MU_TRY_RETURN(mu_buf_puts(out, "#SBATCH hetjob\n", e));
        MU_TRY_RETURN(write_resources(out, s, &s->part[i], e));
    }
    return mu_buf_putc(out, '\n', e);
}

/* ---- the body ---- */

static int write_words(struct mu_buf *out, const char *const *words, const char *between, struct mu_err *e)
{
    for (int i = 0; words[i]; i++) {
        if (i == MU_SLURM_ARGS_MAX)
            return mu_fail(e, MU_ELIMIT, "a command of more than %d words", MU_SLURM_ARGS_MAX);
        if (i > 0)
            MU_TRY_RETURN(mu_buf_puts(out, between, e));
        MU_TRY_RETURN(mu_slurm_quote(out, words[i], e));
    }
    return MU_OK;
}

static int write_prolog(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    const struct mu_site *site = s->site;
    bool is_uneven = false;
    for (int i = 0; i < site->modules.n; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, "module load ", e));
        MU_TRY_RETURN(mu_slurm_quote(out, site->modules.line[i], e));
        MU_TRY_RETURN(mu_buf_putc(out, '\n', e));
    }
    for (int i = 0; i < site->prolog.n; i++)
        MU_TRY_RETURN(mu_buf_printf(out, e, "%s\n", site->prolog.line[i]));
    for (int i = 0; i < s->n_parts; i++)
        is_uneven |= s->part[i].tasks != s->part[i].nodes * s->part[i].tasks_per_node;
    if (s->part[0].is_direct && site->launch == MU_SITE_SRUN) {
        MU_TRY_RETURN(mu_buf_puts(out, "export SLURM_MPI_TYPE=", e));
        MU_TRY_RETURN(mu_slurm_quote(out, site->mpi, e));
        MU_TRY_RETURN(mu_buf_puts(out, " # of the steps that it starts\n", e));
    }
    if (is_uneven && site->launch == MU_SITE_SRUN)
        return mu_buf_puts(out, "export SLURM_PMIX_DIRECT_CONN=false # Open MPI 4.1 with uneven tasks a node\n", e);
    return MU_OK;
}

/* srun takes cpus-per-task from its own command line only (since 22.05). */
static int write_srun(struct mu_buf *out, const struct mu_slurm_script *s, int part, struct mu_err *e)
{
    const struct mu_slurm_part *p = &s->part[part];
    MU_TRY_RETURN(mu_buf_puts(out, "srun", e));
    if (s->n_parts > 1)
        MU_TRY_RETURN(mu_buf_printf(out, e, " --het-group=%d", part));
    MU_TRY_RETURN(mu_buf_puts(out, " --mpi=", e));
    MU_TRY_RETURN(mu_slurm_quote(out, s->site->mpi, e));
    return mu_buf_printf(out, e,
                         " --no-kill --kill-on-bad-exit=0 --nodes=%d --ntasks=%d --ntasks-per-node=%d"
                         " --cpus-per-task=%d%s",
                         p->nodes, p->tasks, p->tasks_per_node, p->cpus_per_task,
                         p->partition->gres && !p->partition->machine.is_host ? " --gpu-bind=none" : "");
}

/* mpirun goes without --enable-recovery: with it its status is 0 whatever its ranks end with (Open MPI 4.1). */
static int write_launcher(struct mu_buf *out, const struct mu_slurm_script *s, int part, struct mu_err *e)
{
    if (s->site->launch == MU_SITE_SRUN)
        MU_TRY_RETURN(write_srun(out, s, part, e));
    else
        MU_TRY_RETURN(mu_buf_printf(out, e, "mpirun -np %d --bind-to none", s->part[part].tasks));
    for (int i = 0; i < s->site->launch_options.n; i++) {
        MU_TRY_RETURN(mu_buf_putc(out, ' ', e));
        MU_TRY_RETURN(mu_slurm_quote(out, s->site->launch_options.line[i], e));
    }
    return mu_buf_puts(out, " \\\n    ", e);
}

static int write_launch(struct mu_buf *out, const struct mu_slurm_script *s, int part, struct mu_err *e)
{
    const struct mu_slurm_part *p = &s->part[part];
    MU_TRY_RETURN(write_launcher(out, s, part, e));
    if (s->commands)
        MU_TRY_RETURN(mu_buf_puts(out, "\"$@\"", e));
    else
        MU_TRY_RETURN(write_words(out, p->argv, " ", e));
    return mu_buf_puts(out, " &\nsteps+=($!)\n", e);
}

static int write_choice(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "case $SLURM_ARRAY_TASK_ID in\n", e));
    for (int i = 0; i < s->n_commands; i++) {
        MU_TRY_RETURN(mu_buf_printf(out, e, "%d) set -- ", i));
        MU_TRY_RETURN(write_words(out, s->commands[i], " ", e));
        MU_TRY_RETURN(mu_buf_puts(out, " ;;\n", e));
    }
    return mu_buf_puts(out, "esac\n", e);
}

/* bash tells a finished child's status again when asked again, so the last wait is right whatever signals came. */
static const char waiting[] = "\nstatus=0\n"
                              "for step in \"${steps[@]}\"; do\n"
                              "    while kill -0 \"$step\" 2>/dev/null; do wait \"$step\"; done\n"
                              "    wait \"$step\"\n"
                              "    got=$?\n"
                              "    [ $status -ne 0 ] || status=$got\n"
                              "done\n";

static int write_steps(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    for (int i = 0; i < s->n_parts; i++)
        MU_TRY_RETURN(write_launch(out, s, i, e));
    return mu_buf_puts(out, waiting, e);
}

/* A job of --no-kill whose first node failed is kept by Slurm (22.05), without its script, until its time is over. */
static int write_guard(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    static const char guard[] =
        "# Slurm keeps a job whose first node has failed, without this script: a step on the second queues it again.\n"
        "guard='while sleep 5; do\n"
        "    nodes=$(squeue --noheader --jobs=\"$SLURM_JOB_ID\" --format=%N) && [ -n \"$nodes\" ] || continue\n"
        "    scontrol show hostnames \"$nodes\" | grep -qxF \"$0\" || scontrol requeue \"$SLURM_JOB_ID\"\n"
        "done'\n"
        "while :; do\n"
        "    srun --quiet --overlap --nodes=1 --ntasks=1 --relative=1 --mem=0 --gres=none --mpi=none --cpu-bind=none "
        "\\\n"
        "        --input=none --output=none --error=none bash -c \"$guard\" \"$SLURMD_NODENAME\" 2>/dev/null\n"
        "    sleep 5\n"
        "done &\n\n";
    return s->site->restarts > 0 && s->part[0].nodes > 1 ? mu_buf_puts(out, guard, e) : MU_OK;
}

/* One process that keeps its state on disk: killed by a signal (128 and more) it goes on where it was. */
static int write_direct(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    MU_TRY_RETURN(write_guard(out, s, e));
    MU_TRY_RETURN(
        mu_buf_printf(out, e, "# Killed, it is started again and goes on.\nfor _ in {0..%d}; do\n    ", AGAIN));
    MU_TRY_RETURN(write_words(out, s->part[0].argv, " ", e));
    return mu_buf_puts(out,
                       " &\n    steps=($!)\n"
                       "    [ -z \"$warned\" ] || drain\n"
                       "    while kill -0 \"${steps[0]}\" 2>/dev/null; do wait \"${steps[0]}\"; done\n"
                       "    wait \"${steps[0]}\"\n"
                       "    status=$?\n"
                       "    [ $status -gt 128 ] && [ -z \"$warned\" ] || break\n"
                       "    sleep 1\n"
                       "done\n",
                       e);
}

/* Warned and killed before it had drained, one that keeps its state goes on too. */
static int write_requeue(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    int drained = mu_code_exit_status(MU_SLURM_DRAINED);
    MU_TRY_RETURN(mu_buf_printf(out, e,
                                "# %d: muster was warned and drained. The same job is queued again and goes on.\n"
                                "if [ -n \"$warned\" ] && ",
                                drained));
    MU_TRY_RETURN(s->part[0].is_direct
                      ? mu_buf_printf(out, e, "{ [ $status -eq %d ] || [ $status -gt 128 ]; }", drained)
                      : mu_buf_printf(out, e, "[ $status -eq %d ]", drained));
    return mu_buf_printf(out, e,
                         " && [ \"${SLURM_RESTART_COUNT:-0}\" -lt %" PRId64 " ]; then\n"
                         "    scontrol requeue \"$SLURM_JOB_ID\" && sleep 60 # which Slurm ends\n"
                         "fi\n",
                         s->site->restarts);
}

static int write_body(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out,
                              "steps=() warned=\n"
                              "drain() { warned=1; kill -USR1 \"${steps[@]}\" 2>/dev/null; }\n"
                              "trap drain USR1 # Slurm's warning, which may come at any time\n\n",
                              e));
    size_t head = out->n;
    MU_TRY_RETURN(write_prolog(out, s, e));
    if (out->n > head)
        MU_TRY_RETURN(mu_buf_putc(out, '\n', e));
    if (s->commands)
        MU_TRY_RETURN(write_choice(out, s, e));
    MU_TRY_RETURN(s->part[0].is_direct ? write_direct(out, s, e) : write_steps(out, s, e));
    if (s->site->restarts > 0)
        MU_TRY_RETURN(write_requeue(out, s, e));
    return mu_buf_puts(out, "exit $status\n", e);
}

/* ---- all of it ---- */

static int check_part(const struct mu_slurm_script *s, const struct mu_slurm_part *p, struct mu_err *e)
{
    if (p->nodes < 1 || p->tasks_per_node < 1 || p->cpus_per_task < 1 || p->tasks < p->nodes ||
        p->tasks > p->nodes * p->tasks_per_node)
        return mu_fail(e, MU_EINVAL, "%d tasks on %d nodes, at most %d a node with %d cpus each, cannot be asked for",
                       p->tasks, p->nodes, p->tasks_per_node, p->cpus_per_task);
    if (p->constraint && !mu_site_is_plain(p->constraint))
        return mu_fail(e, MU_EINVAL, "\"%.100s\" is no constraint such as nvlink", p->constraint);
    if (p->is_direct && (s->n_parts > 1 || s->commands))
        return mu_fail(e, MU_EINVAL, "a job that starts its own steps is one part, and no array");
    if (!p->argv != (s->commands != NULL))
        return mu_fail(e, MU_EINVAL, "a job has one command a part, or an array one an index");
    return MU_OK;
}

static int check(const struct mu_slurm_script *s, struct mu_err *e)
{
    if (s->n_parts < 1 || s->n_parts > MU_SLURM_PARTS_MAX)
        return mu_fail(e, MU_ELIMIT, "a job of %d parts; from 1 to %d are possible", s->n_parts, MU_SLURM_PARTS_MAX);
    if (s->commands && (s->n_parts > 1 || s->n_commands < 1 || s->n_commands > MU_SLURM_ARRAY_MAX))
        return mu_fail(e, MU_ELIMIT, "an array of %d jobs of %d parts; from 1 to %d jobs of one are possible",
                       s->n_commands, s->n_parts, MU_SLURM_ARRAY_MAX);
    if (s->dependency && !mu_site_is_plain(s->dependency))
        return mu_fail(e, MU_EINVAL, "\"%.100s\" is no dependency such as afterok:12", s->dependency);
    for (int i = 0; i < s->n_parts; i++)
        MU_TRY_RETURN(check_part(s, &s->part[i], e));
    return MU_OK;
}

int mu_slurm_script_write(struct mu_buf *out, const struct mu_slurm_script *s, struct mu_err *e)
{
    MU_TRY_RETURN(check(s, e));
    MU_TRY_RETURN(write_head(out, s, e));
    return write_body(out, s, e);
}
