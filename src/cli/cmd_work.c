/* cmd_work.c - `muster work`: tasks from standard input, one after another, with the model kept between them
 *
 * Started by an orchestrator (sched/worker_line.h says what the two tell each other). A task is what `muster eval
 * --config FILE` does, with the same bytes as its results, samples and journal. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/evaluator.h"
#include "cli/interrupt.h"
#include "cli/visible_gpus.h"
#include "cli/worker_link.h"
#include "comm/mpi/mpi.h"

struct work_args {
    struct mu_model_args model; /* ranks, layout and quiet of it */
    const char *gpus;
};

struct worker {
    const struct work_args *args;
    struct mu_session s;
    struct mu_worker_link *link;
};

/* ---- one task ---- */

static void on_progress(void *arg, int64_t done, int64_t total)
{
    mu_worker_link_progress(arg, done, total);
}

static void on_begun(void *arg, int64_t done, int64_t documents)
{
    mu_worker_link_begun(arg, done, documents);
}

/* The layout that the worker was started with is for tasks that name none. */
static int evaluate(struct worker *w, struct mu_eval_args *a, struct mu_err *e)
{
    struct mu_evaluate_opts o = {.on_progress = on_progress, .on_begun = on_begun, .arg = w->link};
    if (!a->model.layout && !a->model.endpoint)
        a->model.layout = w->args->model.layout;
    a->model.quiet |= w->args->model.quiet;
    o.results = a->model.quiet ? NULL : stderr;
    MU_TRY_RETURN(mu_session_check_ranks(&w->s, &a->model, e));
    return mu_evaluate(&w->s, a, &o, e);
}

static int run_file(struct worker *w, const char *config, struct mu_err *e)
{
    const struct mu_cmd *eval = &mu_cmd_eval;
    char option[] = "--config";
    char *argv[] = {option, (char *)(uintptr_t)config, NULL};
    struct mu_eval_args *a = NULL;
    MU_TRY_RETURN(MU_NEW(&a, "the options of a task", e));
    eval->defaults(a);
    int rc = eval->prepare(a, 2, argv, e);
    if (rc == MU_OK)
        rc = evaluate(w, a, e);
    eval->release(a);
    mu_free(a);
    return rc;
}

/* MU_OK unless no more can come of this worker. */
static int run_task(struct worker *w, const struct mu_worker_line *task, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    w->s.keep.load_s = 0;
    int rc = run_file(w, task->config, &why);
    bool is_over = rc != MU_OK && (mu_interrupted() || mu_session_is_broken(&w->s));
    if (rc != MU_OK)
        fprintf(stderr, "muster work: task %" PRId64 ": %s\n", task->task, why.text);
    mu_worker_link_ended(w->link, mu_code_exit_status(rc), w->s.keep.load_s, rc == MU_OK ? "" : why.text);
    return is_over ? mu_fail(e, rc, "%s", mu_interrupted() ? "" : "no further task can be run by this worker") : MU_OK;
}

/* ---- all ---- */

static int run_tasks(struct worker *w, struct mu_err *e)
{
    struct mu_worker_line task;
    while (mu_worker_link_next(w->link, &task)) {
        int rc = run_task(w, &task, e);
        mu_worker_line_fini(&task);
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

/* Before anything looks for GPUs. One that only starts ranks leaves the choice to them. */
static int keep_gpus(const struct work_args *a, struct mu_err *e)
{
    int rank = 0, size;
    if (!a->gpus || (!mu_mpi_is_launched(&rank, &size) && mu_gpus_at(mu_str(a->gpus), 1).n > 0))
        return MU_OK;
    return mu_gpus_keep(a->gpus, rank, a->model.quiet ? NULL : stderr, e);
}

static int work_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    struct worker *w = NULL;
    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "tasks come by standard input, not as operands");
    MU_TRY_RETURN(keep_gpus(p, e));
    MU_TRY_RETURN(MU_NEW(&w, "a worker", e));
    w->args = p;
    int rc = mu_session_join_kept(&w->s, &w->args->model, e);
    if (rc == MU_OK && !w->s.is_over)
        rc = mu_worker_link_open(&w->link, e);
    if (rc == MU_OK && !w->s.is_over)
        rc = run_tasks(w, e);
    mu_session_close(&w->s);
    mu_worker_link_close(w->link);
    mu_free(w);
    return rc;
}

static void work_defaults(void *p)
{
    *(struct work_args *)p = (struct work_args){.model = MU_MODEL_ARGS_INIT};
}

#define FIELD(name) (offsetof(struct work_args, model) + offsetof(struct mu_model_args, name))

static const struct mu_opt work_opts[] = {
    {MU_OPT_INT, "ranks", 0, FIELD(ranks), "N", .lo = 0, .hi = MU_COMM_RANKS_MAX,
     .help = "Hold models on this many processes together; start them here, or join those of mpirun or srun.",
     .dflt = "as many as were started"},
    {MU_OPT_TEXT, "layout", 0, FIELD(layout), "LAYOUT",
     .help = "How tasks that name no layout spread a model over ranks, such as tp=4,pp=2; it names their number too.",
     .dflt = "auto: the planner's choice"},
    {MU_OPT_TEXT, "gpus", 0, offsetof(struct work_args, gpus), "LIST",
     .help = "For each rank, which of the GPUs that the batch system shows on its node is its own, from 0: 0,1,0.",
     .dflt = "all of them"},
    {MU_OPT_FLAG, "quiet", 'q', FIELD(quiet), .help = "Do not print memory bills, progress and results."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_work = {
    .name = "work",
    .summary = "run the tasks of a campaign, keeping the model between them",
    .operands = "",
    .story =
        "Started by `muster run` and `muster submit`, not by hand. Takes tasks from standard input, a line of JSON "
        "each: "
        "{\"task\": 17, \"config\": FILE}, and runs each as `muster eval --config FILE` would: results, samples and "
        "journal are the same bytes. One at a time.\n\n"
        "On standard output, every second: {\"alive\": 17, \"done\": 120, \"total\": 400, \"per_s\": 3.5}, the task "
        "at hand (-1: none) and its requests; {\"begun\": 17, \"done\": 40, \"documents\": 100} when the model is open "
        "and computing begins; and at each end {\"ended\": 17, \"status\": 0, \"why\": \"\"}, with the exit status of "
        "`muster eval` and its last sentence, and \"load_s\" where the model had to be opened. All else goes to "
        "standard "
        "error.\n\n"
        "The model stays open while tasks have the same model options and the files are as they were. Its cache is for "
        "any request of the context; where memory does not hold that it is for the task at hand, and the model is "
        "opened again for one that needs more. All tasks run on the ranks that the worker was started with, each with "
        "the GPU "
        "that --gpus gives it.\n\n"
        "A task that fails is told, and the next one may come. The worker ends when its input does, also within a "
        "task: whoever started it is gone. So it does by SIGTERM, SIGINT and SIGUSR1, after the running step. What was "
        "finished is in the task's journal.",
    .examples = "  (echo '{\"task\": 1, \"config\": \"out/task.json\"}'; sleep 3600) | muster work\n"
                "  mpirun -n 4 muster work --layout tp=4\n",
    .opts = work_opts,
    .args_size = sizeof(struct work_args),
    .defaults = work_defaults,
    .run = work_run,
};
