/* cmd_run.c - `muster run`: a campaign on this machine, from its file to its results */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/harmless.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/campaign_status.h"
#include "cli/campaign_machine.h"
#include "cli/campaign_plan_page.h"
#include "cli/campaign_predict.h"
#include "cli/campaign_world.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/print_json.h"
#include "sched/orchestrate.h"
#include "sched/state_log.h"

#define PATH_BYTES 4096
#define OLD_MAX    999  /* events set aside */
#define READERS_MS 2000 /* for those who look at the log to be done */

struct run_args {
    bool plan, again, json, quiet;
    const char *output, *launcher, *share;
    int64_t devices, lead;
};

/* ---- running ---- */

/* What a running campaign calls back with. */
struct running {
    const struct run_args *args;
    struct mu_campaign_machine machine;
};

static double left_s(void *arg)
{
    return mu_campaign_machine_left(&((struct running *)arg)->machine);
}

static bool is_stopped(void *arg)
{
    (void)arg;
    return mu_interrupted();
}

static void told(void *arg, const struct mu_news *n)
{
    const struct run_args *a = ((const struct running *)arg)->args;
    const struct mu_counts *c = &n->now;
    char rest[64] = "", why[MU_ERR_TEXT_MAX];
    if (a->quiet)
        return;
    if (c->left_s >= 0 && c->left > 0)
        snprintf(rest, sizeof rest, ", %.0f s left", c->left_s);
    fprintf(stderr, "[%d of %d%s] %s%s%s", c->tasks - c->left, c->tasks, rest, n->task ? n->task : "",
            n->task ? ": " : "", mu_event_kind_words(n->kind));
    if (n->kind == MU_EVENT_TASK_FINISHED)
        fprintf(stderr, " in %.1f s", n->seconds);
    if (n->why)
        fprintf(stderr, ": %s", mu_harmless(why, sizeof why, n->why));
    if (n->kind == MU_EVENT_ATTEMPT_FAILED)
        fprintf(stderr, "; tried again in %.0f s", n->retry_s);
    fprintf(stderr, "\n");
}

/* Who reads the log has files of it open, which would stay behind and be taken for those of the new one. */
static int wait_for_readers(const char *path, struct mu_err *e)
{
    struct mu_buf wal = MU_BUF_INIT("a path", PATH_BYTES);
    int rc = MU_OK;
    MU_TRY(mu_buf_printf(&wal, e, "%s-wal", path));
    for (int i = 0; mu_path_exists(wal.p) && i < READERS_MS; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (mu_path_exists(wal.p))
        rc = mu_fail(e, MU_EPEER, "%s is being read: end `muster top` and what else looks at it, then try --again",
                     path);
out:
    mu_buf_fini(&wal);
    return rc;
}

/* The name of what is set aside now: the next number. */
static int name_old(struct mu_buf *old, const char *path, struct mu_err *e)
{
    int n = 1;
    do {
        mu_buf_clear(old);
        MU_TRY_RETURN(mu_buf_printf(old, e, "%s.%d", path, n));
    } while (mu_path_exists(old->p) && n++ < OLD_MAX);
    if (n > OLD_MAX)
        return mu_fail(e, MU_ELIMIT, "%s was set aside %d times: remove some of what is there", path, OLD_MAX);
    return MU_OK;
}

/* The events under another name: what the campaign is now begins anew, out of its journals. */
static int set_aside(const char *output, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES), old = path;
    struct mu_state_log log = {0};
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, output, MU_ORCHESTRA_STORE, e));
    if (!mu_path_exists(path.p))
        goto out;
    MU_TRY(mu_state_log_open(&log, path.p, NULL, true, MU_OWNER_AWAY_NS, e)); /* nobody else is at work on it */
    mu_state_log_close(&log);
    MU_TRY(wait_for_readers(path.p, e));
    MU_TRY(name_old(&old, path.p, e));
    if (rename(path.p, old.p) != 0)
        rc = mu_fail_errno(e, errno, "rename", path.p);
out:
    mu_buf_fini(&path);
    mu_buf_fini(&old);
    return rc;
}

static int self(char path[PATH_BYTES], struct mu_err *e)
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_BYTES - 1);
    if (n <= 0)
        return mu_fail(e, MU_EIO, "/proc/self/exe cannot be read: workers run this program");
    path[n] = 0;
    return MU_OK;
}

static int run_here(const struct mu_campaign *c, const struct run_args *a, struct mu_counts *counts, struct mu_err *e)
{
    struct running r = {.args = a};
    struct mu_campaign_machine *m = &r.machine;
    struct mu_launcher *l = NULL;
    char program[PATH_BYTES];
    int rc = MU_OK;
    MU_TRY(self(program, e));
    MU_TRY(mu_path_make_folders(c->output, e));
    MU_TRY(mu_campaign_machine_look(m, c, a->launcher, a->devices, a->lead, e));
    MU_TRY(m->is_job ? mu_launcher_open_steps(&l, e) : mu_launcher_open_local(&l, e));
    const struct mu_orchestra o = {.campaign = c,
                                   .output = c->output,
                                   .program = program,
                                   .launcher = l,
                                   .job = m->job[0] ? m->job : NULL,
                                   .turn = m->here.restarts,
                                   .clock = mu_clock_real(),
                                   .nodes = m->node,
                                   .devices = m->device,
                                   .n_devices = m->n_devices,
                                   .share = c->share,
                                   .weights = m->weights,
                                   .cores = m->cores,
                                   .is_stopped = is_stopped,
                                   .told = told,
                                   .left_s = left_s,
                                   .arg = &r};
    rc = mu_orchestrate(&o, counts, e);
    l->ops->close(l);
out:
    mu_campaign_machine_release(m);
    return rc;
}

static int finish(const struct mu_campaign *c, const struct run_args *a, const struct mu_counts *counts,
                  struct mu_err *e)
{
    int bad =
        counts->by_state[MU_TASK_FAILED] + counts->by_state[MU_TASK_SKIPPED] + counts->by_state[MU_TASK_CANCELLED];
    MU_TRY_RETURN(mu_campaign_print_status(c->output, a->json, e));
    return bad == 0 ? MU_OK : mu_fail(e, MU_EPEER, "%d of %d tasks did not finish", bad, counts->tasks);
}

static int run_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    const struct run_args *a = args;
    struct mu_campaign *c = NULL;
    struct mu_counts counts;
    int rc = MU_OK;
    if (n_operands != 1)
        return mu_fail(e, MU_EUSAGE, "run takes one campaign file, %d were given", n_operands);
    MU_TRY_RETURN(mu_campaign_open_here(&c, operands[0], e));
    if (a->output)
        c->output = a->output;
    if (a->share)
        c->share = a->share;
    if (!mu_campaign_has_begun(c->output))
        MU_TRY(mu_campaign_check_times(c, a->devices, e));
    if (a->plan)
        MU_TRY(mu_campaign_show_plan(c, a->launcher, a->devices, a->json, e));
    if (a->plan)
        goto out;
    if (a->again)
        MU_TRY(set_aside(c->output, e));
    MU_TRY(run_here(c, a, &counts, e));
    MU_TRY(finish(c, a, &counts, e));
out:
    mu_campaign_free(c);
    return rc;
}

#define FIELD(name) offsetof(struct run_args, name)

static const struct mu_opt run_opts[] = {
    {MU_OPT_FLAG, "plan", 0, FIELD(plan), .help = "Check the campaign, show its tasks in order, and run nothing."},
    {MU_OPT_TEXT, "output", 'o', FIELD(output), "DIR", .help = "Where results and the campaign's events go.",
     .dflt = "the file's own"},
    {MU_OPT_TEXT, "launcher", 0, FIELD(launcher), "NAME", .choices = "auto|local|steps",
     .help = "Where tasks run: on this machine, or as steps of the Slurm job that this is called in.",
     .dflt = "auto: steps in a job of several nodes"},
    {MU_OPT_INT, "devices", 0, FIELD(devices), "N", .lo = 0, .hi = MU_FLEET_NODE_MAX,
     .help = "Devices of a node, that tasks are put on: equal parts of its cores and memory.", .dflt = "1"},
    {MU_OPT_TEXT, "share", 0, FIELD(share), "DIR",
     .help = "Share the devices with other campaigns that name the same folder, by their weights.",
     .dflt = "the file's own, else no sharing"},
    {MU_OPT_INT, "lead", 0, FIELD(lead), "SECONDS", .lo = 0, .hi = 1000000,
     .help = "In a Slurm job: from its warning to its end. What would not be done by then does not begin.",
     .dflt = "0"},
    {MU_OPT_FLAG, "again", 0, FIELD(again),
     .help =
         "Try again what failed or was skipped: forget how tasks ended. Those that finished take their answers from "
         "their journals."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print the plan, or how it ended, as JSON."},
    {MU_OPT_FLAG, "quiet", 'q', FIELD(quiet), .help = "Do not tell what starts and ends."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_run = {
    .name = "run",
    .summary = "run a campaign on this machine",
    .operands = "CAMPAIGN",
    .story =
        "Reads a campaign file (docs/campaigns.md): models by suites, with priorities, order, time-outs and retries. "
        "All of it is checked before anything starts, and all that is wrong is listed with its line.\n\n"
        "Each task runs as `muster eval` would, results and journal in OUTPUT/MODEL/SUITE, in a worker that keeps its "
        "model for the next task of it. With --devices N, N tasks run side by side. What happens stands in "
        "OUTPUT/campaign.sqlite before it is acted on: a campaign that was stopped or killed at any moment goes on "
        "where it was when the same command is given again, with the same bytes as if nothing had happened. Two that "
        "run at once on one output are told apart: the second one is refused.\n\n"
        "A task that fails is tried again as the file says, after growing waits; what waits for it is skipped when it "
        "fails for good. A task that has ended is not looked at again, unless --again asks for it.\n\n"
        "The exit status is 0 when every task has finished.",
    .examples = "  muster run --plan campaign.yaml\n"
                "  muster run campaign.yaml\n"
                "  muster status build/campaign\n",
    .opts = run_opts,
    .args_size = sizeof(struct run_args),
    .run = run_run,
};
