/* steps.c - workers as steps of the Slurm job that this process is in (sched/launcher.h)
 *
 * A worker is an srun of ours, and the step that it stands for. Steps overlap: what each may use is the orchestrator's
 * to decide, and one that hangs on a dying node keeps nothing from its successor. Lines go through srun, to and from
 * rank 0; where srun ends, however it does, the input of rank 0 ends too.
 *
 * A worker is asked to end by SIGUSR1, which srun hands on (SIGTERM would make it kill the step), and by the end of its
 * input, for srun loses signals that come before the step runs. One that is ended at once is killed twice: by srun
 * through the nodes, and through the controller, which goes on where srun or a node hangs. srun does not see a node die
 * before the controller tells it: where a worker is quiet we knock at its nodes ourselves (knock.h). Seen with
 * Slurm 22.05. */
#include "sched/launcher.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "sched/local/children.h"
#include "sched/slurm/allocation.h"
#include "sched/slurm/doomed.h"
#include "sched/slurm/jobs.h"
#include "sched/slurm/step_words.h"

#define KILL_NS  ((int64_t)5000000000) /* from SIGTERM to SIGKILL for srun itself */
#define FRESH_NS ((int64_t)1000000000)
#define REFUSED_NS                                                                                                     \
    ((int64_t)30000000000)             /* of steps, while the controller answers: then the job asks for another turn */
#define QUIET_NS ((int64_t)2000000000) /* two beats of a worker: then we knock at its nodes */
#define KNOCK_NS ((int64_t)100000000)  /* between two looks for their answers */

struct step {
    pid_t pid; /* srun's */
    int64_t number;
    int64_t kill_ns;  /* when srun is killed; 0: not to be */
    int64_t heard_ns; /* its last line; 0: none yet */
    bool is_asked;    /* to end */
    bool is_lost;     /* a node of it does not answer */
    char *nodes;      /* owned: their names between commas */
};

struct steps {
    struct mu_launcher l; /* first */
    struct mu_children children;
    struct mu_slurm_allocation allocation;
    struct step *step; /* [MU_WORKERS_MAX], n of them */
    int n;
    int64_t last;            /* number given */
    int64_t refused_ns;      /* since when no step could be had; 0: the last one could */
    int64_t refused_last_ns; /* when one was refused last */
    struct mu_doomed doomed;
};

static struct steps *steps_of(struct mu_launcher *l)
{
    return (struct steps *)l;
}

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

/* ---- starting ---- */

/* This node; of salloc's shell, which may be on none of the job's, its first. */
static const char *node_here(const struct steps *s)
{
    const char *here = getenv("SLURMD_NODENAME");
    return here ? here : mu_slurm_hosts_next(&s->allocation.here.nodes, NULL);
}

/* srun's words, then the worker's. */
static int run(struct steps *s, const struct mu_step_words *w, const struct mu_worker_order *o, pid_t *pid,
               struct mu_err *e)
{
    const char **argv = NULL;
    int own = 0;
    while (o->argv[own])
        own++;
    MU_TRY_RETURN(MU_NEW_ARRAY(&argv, w->n + own + 1, "the words of a worker", e));
    memcpy(argv, w->argv, sizeof *argv * (size_t)w->n);
    memcpy(argv + w->n, o->argv, sizeof *argv * (size_t)own);
    int rc = mu_children_start(&s->children, argv, o->log, false, pid, e);
    mu_free(argv);
    return rc;
}

static int start(struct mu_launcher *l, const struct mu_worker_order *o, int64_t *worker, struct mu_err *e)
{
    struct steps *s = steps_of(l);
    struct mu_step_words w = MU_STEP_WORDS_INIT;
    struct step *t = &s->step[s->n];
    char name[MU_STEP_NAME_BYTES];
    int rc = MU_OK;
    if (s->n == MU_WORKERS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d workers at a time, no more", MU_WORKERS_MAX);
    *t = (struct step){.number = s->last + 1};
    mu_doomed_name(&s->doomed, t->number, name);
    MU_TRY(mu_step_words_make(&w, o, name, node_here(s), e));
    MU_TRY(run(s, &w, o, &t->pid, e));
    t->nodes = mu_buf_take(&w.nodes);
    *worker = s->last = t->number;
    s->n++;
out:
    mu_step_words_fini(&w);
    return rc;
}

/* ---- nodes that do not answer ---- */

/* The next of the names between commas; false: no more. */
static bool next_node(const char **nodes, char name[256])
{
    size_t n = strcspn(*nodes, ",");
    if (n == 0)
        return false;
    snprintf(name, 256, "%.*s", (int)MU_MIN(n, (size_t)255), *nodes);
    *nodes += n;
    *nodes += strspn(*nodes, ",");
    return true;
}

static void hear(struct steps *s, struct step *t)
{
    char name[256];
    t->heard_ns = now_ns();
    s->refused_ns = 0;
    for (const char *p = t->nodes; next_node(&p, name);)
        mu_slurm_meet(&s->allocation.doors, name, t->heard_ns);
}

/* Its srun would wait for the controller. */
static void give_up(struct steps *s, struct step *t)
{
    t->is_lost = true;
    mu_doomed_add(&s->doomed, t->number);
    mu_children_signal(&s->children, t->pid, SIGKILL, true);
}

static bool is_shut_out(struct steps *s, const struct step *t)
{
    char name[256];
    bool is_shut = false;
    for (const char *p = t->nodes; next_node(&p, name);)
        is_shut |= mu_slurm_knock(&s->allocation.doors, name, now_ns()) == MU_SLURM_SHUT;
    return is_shut;
}

/* Whether it is quiet, and its nodes are being asked. */
static bool listen_to(struct steps *s, struct step *t, int64_t now)
{
    if (t->heard_ns == 0 || t->is_lost || t->kill_ns > 0 || now - t->heard_ns < QUIET_NS)
        return false;
    if (is_shut_out(s, t))
        give_up(s, t);
    return !t->is_lost;
}

static bool has_lost_a_node(struct steps *s, const char *nodes)
{
    char name[256];
    int64_t max_age_ns = 0; /* what was seen before its end says nothing of it */
    for (const char *p = nodes; next_node(&p, name); max_age_ns = FRESH_NS)
        if (mu_slurm_node_is_gone(&s->allocation, name, max_age_ns))
            return true;
    return false;
}

/* ---- stopping ---- */

static struct step *find(struct steps *s, int64_t number)
{
    for (int i = 0; i < s->n; i++)
        if (s->step[i].number == number)
            return &s->step[i];
    return NULL;
}

static void say(struct mu_launcher *l, int64_t worker, const char *line)
{
    const struct step *t = find(steps_of(l), worker);
    if (t)
        mu_children_say(&steps_of(l)->children, t->pid, line);
}

static void end_at_once(struct steps *s, struct step *t)
{
    mu_doomed_add(&s->doomed, t->number);
    if (t->kill_ns > 0 || t->is_lost)
        return;
    if (is_shut_out(s, t)) {
        give_up(s, t);
        return;
    }
    mu_children_signal(&s->children, t->pid, SIGTERM, false);
    t->kill_ns = now_ns() + KILL_NS;
}

static void stop(struct mu_launcher *l, int64_t worker, bool at_once)
{
    struct steps *s = steps_of(l);
    struct step *t = find(s, worker);
    if (!t)
        return;
    if (at_once) {
        end_at_once(s, t);
        return;
    }
    mu_children_signal(&s->children, t->pid, SIGUSR1, false);
    mu_children_hang_up(&s->children, t->pid);
    t->is_asked = true;
}

/* ---- waiting ---- */

/* Sruns whose time is over; steps that are quiet, or are to end. The earliest of what comes next. */
static int64_t press(struct steps *s)
{
    int64_t now = now_ns(), next = INT64_MAX;
    int n;
    for (int i = 0; i < s->n; i++) {
        struct step *t = &s->step[i];
        if (listen_to(s, t, now))
            next = MU_MIN(next, now + KNOCK_NS);
        if (t->kill_ns > 0 && t->kill_ns <= now)
            mu_children_signal(&s->children, t->pid, SIGKILL, true);
        else if (t->kill_ns > 0)
            next = MU_MIN(next, t->kill_ns);
    }
    if (s->doomed.n > 0 && s->doomed.sweep_ns <= now)
        mu_doomed_sweep(&s->doomed, &s->allocation, &n);
    return s->doomed.n > 0 ? MU_MIN(next, s->doomed.sweep_ns) : next;
}

/* srun ends with 0 when the node of all its tasks is lost, and with 1 and a sentence of its own when there was no step
 * to be had. That is never the work's fault: a controller that was just started refuses all for some seconds, and calls
 * it a want of memory. */
static void set_status(struct mu_worker_told *out)
{
    static const char srun[] = "srun: error: ";
    if (out->is_node_down && (out->exit_status == 0 || out->signal == SIGKILL)) {
        out->exit_status = mu_code_exit_status(MU_EPEER);
        out->signal = 0;
    }
    if (out->exit_status == 1 && strncmp(out->line, srun, sizeof srun - 1) == 0) {
        out->exit_status = mu_code_exit_status(MU_EPEER);
        memmove(out->line, out->line + sizeof srun - 1, strlen(out->line) - sizeof srun + 2);
    }
    if (out->signal == 0 && out->exit_status > 128 && out->exit_status <= 128 + SIGRTMAX)
        out->signal = out->exit_status - 128;
}

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Slurm 22.05 may give a job that was queued again while a node died no step with GPUs ever ("Invalid generic
 * resource"). Its next turn has them: so it is warned as before the end of its time, drains, and is queued again.
 * Not so where the controller is away, or does not confirm the allocation: the job may have its next turn by then. */
static void note_refusal(struct steps *s, const struct step *t, struct mu_worker_told *out)
{
    bool is_unconfirmed = begins_with(out->line, "srun: error: Unable to confirm allocation");
    bool is_away = is_unconfirmed || strstr(out->line, "contact slurm controller");
    if (t->heard_ns > 0 || out->exit_status != 1 ||
        (!is_unconfirmed && !begins_with(out->line, "srun: error: Unable to create step")))
        return;
    int64_t now = now_ns();
    bool is_first = s->refused_ns == 0 || now - s->refused_last_ns >= REFUSED_NS; /* since then none was asked for */
    out->is_refused = true;
    if (is_first || is_away)
        s->refused_ns = now;
    s->refused_last_ns = now;
    if (now - s->refused_ns < REFUSED_NS)
        return;
    s->refused_ns = 0;
    (void)mu_slurm_job_warn(&s->allocation, NULL);
}

static void take_end(struct steps *s, struct step *t, struct mu_worker_told *out)
{
    note_refusal(s, t, out);
    if (out->signal > 0) /* srun itself was killed */
        mu_doomed_add(&s->doomed, t->number);
    out->is_node_down = t->is_lost || (!t->is_asked && has_lost_a_node(s, t->nodes));
    set_status(out);
    if (t->is_lost)
        snprintf(out->line, sizeof out->line, "%.200s: a node does not answer", t->nodes);
    mu_free(t->nodes);
    *t = s->step[--s->n];
}

static bool wait_for_news(struct mu_launcher *l, int64_t timeout_ns, struct mu_worker_told *out)
{
    struct steps *s = steps_of(l);
    int64_t next = press(s), left = next == INT64_MAX ? timeout_ns : MU_MAX(next - now_ns(), 0);
    if (!mu_children_wait(&s->children, MU_MIN(timeout_ns, left), out))
        return false;
    for (int i = 0; i < s->n; i++) {
        if (s->step[i].pid != (pid_t)out->worker)
            continue;
        out->worker = s->step[i].number;
        if (out->kind == MU_WORKER_SAID)
            hear(s, &s->step[i]);
        if (out->kind == MU_WORKER_ENDED)
            take_end(s, &s->step[i], out);
        return true;
    }
    return false;
}

static bool is_node_down(struct mu_launcher *l, const char *node)
{
    return mu_slurm_node_is_gone(&steps_of(l)->allocation, node, FRESH_NS);
}

/* ---- opening and closing ---- */

static void free_steps(struct steps *s)
{
    for (int i = 0; i < s->n; i++)
        mu_free(s->step[i].nodes);
    mu_children_close(&s->children);
    mu_slurm_allocation_fini(&s->allocation);
    mu_free(s->step);
    mu_doomed_close(&s->doomed);
    mu_free(s);
}

static void close_steps(struct mu_launcher *l)
{
    struct steps *s = steps_of(l);
    struct mu_worker_told told;
    int64_t until = now_ns() + KILL_NS;
    for (int i = 0; i < s->n; i++) {
        s->step[i].is_asked = true;
        end_at_once(s, &s->step[i]);
    }
    while (s->n > 0 && now_ns() < until)
        (void)wait_for_news(l, KILL_NS, &told);
    mu_children_close(&s->children);
    if (s->doomed.n > 0)
        mu_doomed_sweep_all(&s->doomed, &s->allocation);
    free_steps(s);
}

static const struct mu_launcher_ops steps_ops = {.name = "steps",
                                                 .start = start,
                                                 .say = say,
                                                 .wait = wait_for_news,
                                                 .stop = stop,
                                                 .is_node_down = is_node_down,
                                                 .close = close_steps};

static int open_steps(struct steps *s, struct mu_err *e)
{
    static const char *const launchers[] = {"srun: ", "slurmstepd", NULL};
    s->allocation = (struct mu_slurm_allocation)MU_SLURM_ALLOCATION_INIT;
    MU_TRY_RETURN(mu_slurm_allocation_open(&s->allocation, getenv, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->step, MU_WORKERS_MAX, "workers", e));
    MU_TRY_RETURN(mu_doomed_open(&s->doomed, e));
    MU_TRY_RETURN(mu_children_open(&s->children, e));
    s->children.not_own = launchers;
    s->l.ops = &steps_ops;
    return MU_OK;
}

int mu_launcher_open_steps(struct mu_launcher **out, struct mu_err *e)
{
    struct steps *s = NULL;
    *out = NULL;
    MU_TRY_RETURN(MU_NEW(&s, "a launcher", e));
    int rc = open_steps(s, e);
    if (rc != MU_OK) {
        free_steps(s);
        return rc;
    }
    mu_slurm_allocation_meet(&s->allocation);
    mu_doomed_sweep_all(&s->doomed, &s->allocation);
    *out = &s->l;
    return MU_OK;
}
