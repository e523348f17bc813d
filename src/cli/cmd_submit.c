/* cmd_submit.c - `muster submit`: an evaluation as a job of Slurm
 *
 * The report goes to standard error; to standard output goes what another program may want: the script (--dry-run), the
 * job's number, or JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/nearest.h"
#include "cli/cmd.h"
#include "cli/plan_inputs.h"
#include "cli/submit.h"
#include "model/model.h"
#include "sched/slurm/fit.h"

#define ARGS_MAX (16 + MU_OPT_LIST_MAX)

/* One evaluation on its way to a job. */
struct submission {
    const struct mu_submit_args *args;
    struct mu_submit_job job;
    struct mu_spec spec;
    struct mu_layout layout;
    struct mu_slurm_wish wish;
    struct mu_slurm_fit fit;
    struct mu_buf model, words; /* words: texts of argv that are made here */
    const char *argv[ARGS_MAX + 1];
    int n_argv;
    int n_names;    /* in --tasks */
    char name[256]; /* the model's */
};

/* ---- options ---- */

static int check_args(const struct mu_submit_args *a, struct mu_err *e)
{
    if (!a->model)
        return mu_fail(e, MU_EUSAGE, "--model PATH is needed: a folder that the nodes see, or a model known by name");
    if (!a->tasks)
        return mu_fail(e, MU_EUSAGE, "--tasks NAME,NAME is needed; `muster tasks` lists them");
    return MU_OK;
}

/* A path is as it is, a known model lies in the site's folder of models. */
static int find_model(struct submission *x, struct mu_err *e)
{
    const struct mu_submit_args *a = x->args;
    MU_TRY_RETURN(mu_plan_spec_open(&x->spec, a->model, e));
    if (mu_path_exists(a->model))
        return mu_buf_puts(&x->model, a->model, e);
    if (x->job.site->models)
        return mu_path_join(&x->model, x->job.site->models, a->model, e);
    if (!a->dry_run)
        return mu_fail(e, MU_ENOENT, "%s is a model muster knows, but the profile of %s names no folder of models",
                       a->model, x->job.site->name);
    return mu_buf_puts(&x->model, a->model, e);
}

static int find_folder(struct submission *x, struct mu_err *e)
{
    const struct mu_submit_args *a = x->args;
    if (a->output)
        return mu_buf_puts(&x->job.folder, a->output, e);
    if (!x->job.site->store)
        return mu_fail(e, MU_EUSAGE, "--output DIR is needed: the profile of %s names no folders.store",
                       x->job.site->name);
    return mu_path_join(&x->job.folder, x->job.site->store, a->name ? a->name : x->name, e);
}

/* What the planner is asked. */
static int make_work(struct submission *x, struct mu_plan_ask *ask, struct mu_err *e)
{
    const struct mu_submit_args *a = x->args;
    const struct mu_spec *s = &x->spec;
    struct mu_workload *w = &ask->work;
    *ask = (struct mu_plan_ask){.spec = s};
    MU_TRY_RETURN(mu_plan_weights(&w->weights, a->model, s, a->weights, e));
    w->output = a->output_tokens;
    w->prompt = a->prompt > 0 ? a->prompt : MU_MAX(MU_MIN(MU_SUBMIT_PROMPT, s->context / 2), 1);
    w->scored = w->output > 0 ? 0 : MU_MIN(MU_SUBMIT_SCORED, w->prompt);
    w->requests = a->requests > 0 ? a->requests : (int64_t)x->n_names * MU_SUBMIT_REQUESTS;
    return MU_OK;
}

static int make_wish(struct submission *x, struct mu_plan_ask *ask, struct mu_err *e)
{
    const struct mu_submit_args *a = x->args;
    struct mu_slurm_wish *w = &x->wish;
    *w = (struct mu_slurm_wish){.partition = a->partition,
                                .nodes = (int)a->nodes,
                                .devices = (int)a->devices,
                                .is_work_known = a->requests > 0};
    MU_TRY_RETURN(mu_submit_time_wished(a, &w->time_s, e));
    if (!a->layout || strcmp(a->layout, "auto") == 0)
        return MU_OK;
    MU_TRY_RETURN(mu_layout_parse(&x->layout, a->layout, (int)a->devices, e));
    ask->layout = &x->layout;
    w->devices = mu_layout_ranks(&x->layout);
    return MU_OK;
}

/* ---- the command of a rank ---- */

struct known {
    const char *names[256 + 1];
    int n;
};

static void note_name(void *arg, const struct mu_opt *o)
{
    struct known *k = arg;
    if (k->n < 256)
        k->names[k->n++] = o->name;
}

/* An option of muster eval that is not ours to choose. */
static int check_eval_option(const char *text, struct mu_err *e)
{
    static const char *const ours[] = {"model",  "tasks", "output",  "output-path",
                                       "layout", "ranks", "threads", "weights"};
    struct known k = {.n = 0};
    char name[MU_NAME_FAR + 1] = "";
    size_t n = MU_MIN(strcspn(text, "="), MU_NAME_FAR);
    for (size_t i = 0; i < n; i++)
        name[i] = text[i] == '_' ? '-' : text[i];
    for (size_t i = 0; i < MU_COUNT(ours); i++) {
        if (strcmp(name, ours[i]) == 0)
            return mu_fail(e, MU_EUSAGE, "--eval %.100s: this option is submit's own, or the planner's choice", text);
    }
    mu_opt_each(mu_cmd_eval.opts, note_name, &k);
    for (int i = 0; i < k.n; i++) {
        if (strcmp(k.names[i], name) == 0)
            return MU_OK;
    }
    const char *near = mu_name_nearest(k.names, name);
    return mu_fail(e, MU_EUSAGE, "--eval %.100s: muster eval has no such option%s%s", text,
                   near ? "; did you mean " : "", near ? near : "");
}

static void add_word(struct submission *x, const char *word)
{
    x->argv[x->n_argv++] = word;
    x->argv[x->n_argv] = NULL;
}

/* "--name=value" for each --eval; the texts lie in x->words, which must not move: it is reserved as a whole. */
static int add_eval_options(struct submission *x, struct mu_err *e)
{
    const struct mu_opt_list *l = &x->args->eval;
    size_t bytes = 0;
    for (int i = 0; i < l->n; i++) {
        MU_TRY_RETURN(check_eval_option(l->item[i], e));
        bytes += strlen(l->item[i]) + 3;
    }
    MU_TRY_RETURN(mu_buf_reserve(&x->words, bytes, e));
    for (int i = 0; i < l->n; i++) {
        size_t at = x->words.n;
        MU_TRY_RETURN(mu_buf_printf(&x->words, e, "--%s", l->item[i]));
        MU_TRY_RETURN(mu_buf_putc(&x->words, 0, e));
        add_word(x, x->words.p + at);
    }
    return MU_OK;
}

static int make_command(struct submission *x, char layout[64], char threads[16], struct mu_err *e)
{
    const struct mu_submit_args *a = x->args;
    struct mu_buf text = MU_BUF_INIT("a layout", 63);
    int rc = mu_layout_print(&x->fit.plan->choice.layout, &text, e);
    if (rc == MU_OK)
        snprintf(layout, 64, "%s", text.p);
    mu_buf_fini(&text);
    MU_TRY_RETURN(rc);
    snprintf(threads, 16, "%d", x->fit.part.cpus_per_task);
    const char *const words[] = {x->job.site->muster, "eval", "--model",   x->model.p, "--tasks",  a->tasks,
                                 "--layout",          layout, "--threads", threads,    "--output", x->job.folder.p};
    for (size_t i = 0; i < MU_COUNT(words); i++)
        add_word(x, words[i]);
    if (a->weights) {
        add_word(x, "--weights");
        add_word(x, a->weights);
    }
    return add_eval_options(x, e);
}

static int make_script(struct submission *x, struct mu_err *e)
{
    char layout[64], threads[16], title[256];
    MU_TRY_RETURN(make_command(x, layout, threads, e));
    snprintf(title, sizeof title, "muster submit: %.100s on %.60s, %s", x->name, x->job.site->name, layout);
    x->fit.part.argv = x->argv;
    return mu_submit_make_script(&x->job, title, x->name, &x->fit.part, x->fit.time_s, e);
}

/* ---- the report ---- */

static struct mu_submit_time time_of(const struct submission *x)
{
    return (struct mu_submit_time){x->fit.predicted_s, x->fit.time_s, x->fit.runs, x->fit.devices_held};
}

static void print_work(const struct submission *x, FILE *f)
{
    const struct mu_workload *w = &x->fit.ask.work;
    if (x->args->requests > 0)
        fprintf(f, "work      %" PRId64 " requests\n", w->requests);
    else
        fprintf(f,
                "work      assumed, since tasks are not read here: %d requests for each of %d name%s in --tasks; "
                "--requests "
                "says it\n",
                MU_SUBMIT_REQUESTS, x->n_names, x->n_names == 1 ? "" : "s");
}

static void print_job(const struct submission *x, FILE *f)
{
    const struct mu_slurm_part *p = &x->fit.part;
    const struct mu_site_partition *t = p->partition;
    const struct mu_submit_time time = time_of(x);
    fprintf(f, "\njob       %d node%s of partition %s on %s, %d rank%s a node with %d cpus each", p->nodes,
            p->nodes == 1 ? "" : "s", t->name, x->job.site->name, p->tasks_per_node, p->tasks_per_node == 1 ? "" : "s",
            p->cpus_per_task);
    if (t->gres)
        fprintf(f, ", %s:%d", t->gres, p->tasks_per_node);
    fprintf(f, p->is_whole ? ", whole nodes\n" : "\n");
    print_work(x, f);
    mu_submit_print_time(&x->job, &time, f);
}

static void print_report(const void *arg, FILE *f)
{
    const struct submission *x = arg;
    mu_plan_print(x->fit.plan, &x->fit.ask, x->name, false, f);
    print_job(x, f);
}

static json_t *job_json(const struct submission *x)
{
    const struct mu_slurm_part *p = &x->fit.part;
    const struct mu_submit_time time = time_of(x);
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:s?, s:b, s:I, s:f, s:I, s:I, s:b, s:f, s:f}", "site",
                     x->job.site->name, "partition", p->partition->name, "nodes", p->nodes, "ranks", p->tasks,
                     "ranks_per_node", p->tasks_per_node, "cpus_per_rank", p->cpus_per_task, "memory_mib_per_node",
                     (json_int_t)p->memory_mib, "gres", p->partition->gres, "whole_nodes", (int)p->is_whole, "requests",
                     (json_int_t)x->fit.ask.work.requests, "predicted_s", x->fit.predicted_s, "time_s",
                     (json_int_t)x->fit.time_s, "runs", (json_int_t)x->fit.runs, "work_assumed",
                     (int)(x->args->requests == 0), "gpu_hours_predicted", mu_submit_hours(&time, x->fit.predicted_s),
                     "gpu_hours_most", mu_submit_hours(&time, (double)x->fit.time_s));
}

static json_t *make_json(const void *arg)
{
    const struct submission *x = arg;
    return json_pack("{s:o?, s:o?}", "plan", mu_plan_json(x->fit.plan, &x->fit.ask, x->name, false), "job",
                     job_json(x));
}

/* ---- the command ---- */

static int prepare(struct submission *x, struct mu_err *e)
{
    const struct mu_submit_args *a = x->args;
    struct mu_plan_ask ask;
    MU_TRY_RETURN(check_args(a, e));
    struct mu_str name = mu_path_name(a->model);
    snprintf(x->name, sizeof x->name, "%.*s", (int)name.n, name.p);
    MU_TRY_RETURN(mu_submit_job_open(&x->job, a, NULL, e));
    MU_TRY_RETURN(find_model(x, e));
    MU_TRY_RETURN(find_folder(x, e));
    x->n_names = mu_submit_count_names(a->tasks);
    MU_TRY_RETURN(make_work(x, &ask, e));
    MU_TRY_RETURN(make_wish(x, &ask, e));
    MU_TRY_RETURN(mu_slurm_fit(&x->fit, x->job.site, &ask, &x->wish, e));
    x->job.partition = x->fit.partition;
    return make_script(x, e);
}

static int submit_evaluation(const struct mu_submit_args *a, struct mu_err *e)
{
    struct submission x = {.args = a,
                           .spec = MU_SPEC_INIT,
                           .model = MU_BUF_INIT("a path", MU_SUBMIT_PATH_MAX),
                           .words = MU_BUF_INIT("options", 1 << 20)};
    const struct mu_submit_face face = {.report = print_report, .json = make_json, .arg = &x};
    int rc = prepare(&x, e);
    if (rc == MU_OK)
        rc = mu_submit_act(&x.job, &face, e);
    mu_slurm_fit_fini(&x.fit);
    mu_buf_fini(&x.words);
    mu_buf_fini(&x.model);
    mu_spec_fini(&x.spec);
    mu_submit_job_fini(&x.job);
    return rc;
}

static int submit_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    if (n_operands > 1)
        return mu_fail(e, MU_EUSAGE, "submit takes one campaign file, %d were given", n_operands);
    return n_operands == 1 ? mu_submit_campaign(args, operands[0], e) : submit_evaluation(args, e);
}

#define FIELD(name) offsetof(struct mu_submit_args, name)

static const struct mu_opt submit_opts[] = {
    {MU_OPT_TEXT, "model", 'm', FIELD(model), "PATH",
     .help = "The model: a checkpoint that the nodes see, or one known by name in the site's folder of models."},
    {MU_OPT_TEXT, "tasks", 0, FIELD(tasks), "NAMES", .help = "What to evaluate, as muster eval takes it."},
    {MU_OPT_TEXT, "site", 0, FIELD(site), "FILE", .help = "The site profile (docs/slurm.md).",
     .dflt = "the campaign's own, else $MUSTER_SITE"},
    {MU_OPT_TEXT, "output", 'o', FIELD(output), "DIR",
     .help = "Results, journal, log and script; nodes must see it. The same folder again goes on from its journal.",
     .dflt = "the campaign's own; of a model, a folder of its name in the site's store"},
    {MU_OPT_LIST, "eval", 'e', FIELD(eval), "NAME=VALUE",
     .help = "An option of muster eval, without its dashes; may be given many times."},
    {MU_OPT_FLAG, "dry-run", 'n', FIELD(dry_run), .help = "Show the plan and print the script; submit nothing."},
    {MU_OPT_FLAG, "wait", 0, FIELD(wait), .help = "Follow the job to its end and end with its status."},
    {MU_OPT_TEXT, "partition", 'p', FIELD(partition), "NAME", .help = "Only this partition of the profile.",
     .dflt = "the first on which the model fits"},
    {MU_OPT_INT, "nodes", 0, FIELD(nodes), "N", .lo = 0, .hi = MU_NODES_MAX, .help = "So many nodes.",
     .dflt = "as few as the model needs"},
    {MU_OPT_INT, "devices", 'd', FIELD(devices), "N", .lo = 0, .hi = MU_COMM_RANKS_MAX,
     .help = "So many GPUs (or ranks on CPUs) in all.",
     .dflt = "as few as the model needs, or the time where --requests says how much work there is"},
    {MU_OPT_TEXT, "time", 't', FIELD(time), "TIME", .help = "Walltime: 90m, 12h, 1-12:00:00.",
     .dflt = "predicted, with the profile's margin"},
    {MU_OPT_INT, "requests", 'r', FIELD(requests), "N", .lo = 0, .hi = 1e12,
     .help = "Requests in all, for the prediction.", .dflt = "20000 for each name in --tasks"},
    {MU_OPT_INT, "prompt", 0, FIELD(prompt), "N", .lo = 0, .hi = 1e6, .help = "Tokens of a prompt, for the prediction.",
     .dflt = "512"},
    {MU_OPT_INT, "output-tokens", 0, FIELD(output_tokens), "N", .lo = 0, .hi = 1e6,
     .help = "Tokens generated for a request, for the prediction.", .dflt = "0: scoring"},
    {MU_OPT_TEXT, "weights", 'w', FIELD(weights), "FORMAT", .choices = "f32|bf16|f16|int8|int4",
     .help = "Hold the weights in this format.", .dflt = "the checkpoint's own"},
    {MU_OPT_TEXT, "layout", 'l', FIELD(layout), "LAYOUT", .help = "How ranks share the model, such as tp=4,pp=2.",
     .dflt = "auto: the planner's"},
    {MU_OPT_TEXT, "dependency", 0, FIELD(dependency), "WHAT",
     .help = "Start after other jobs: afterok:12, afterany:12:13."},
    {MU_OPT_TEXT, "name", 0, FIELD(name), "NAME", .help = "The job's name.", .dflt = "the model's, or the campaign's"},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print plan, job and script as JSON."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_submit = {
    .name = "submit",
    .summary = "run an evaluation, or a campaign, as a job of Slurm",
    .operands = "[CAMPAIGN]",
    .story =
        "Plans how the model is laid out over the site's nodes, asks Slurm for what that needs (GPUs, nodes, memory, "
        "time), and submits a small script that runs muster eval there. Plan, memory of a rank, predicted walltime and "
        "GPU hours are shown first; with --dry-run nothing else happens and the script goes to standard output.\n\n"
        "What differs between sites (names of GPUs, partitions, constraints, modules, how ranks are started) stands in "
        "a "
        "site profile, a YAML file; examples/sites has some, docs/slurm.md tells every key.\n\n"
        "Slurm warns the job before its time is over; muster then finishes what it computes, keeps it in the journal "
        "and "
        "ends with status 13, and the script has the same job queued again, as often as the profile allows.\n\n"
        "With a campaign file the job is `muster run` on the first of its nodes, which starts workers as steps on all "
        "of "
        "them; --model, --tasks and what goes with them stand in the file then. Warned, it lets its workers finish "
        "their "
        "step and ends with 13 like a single evaluation.\n\n"
        "With --wait the status is the job's: that of muster eval or muster run, or 12 at the end of its time, 13 when "
        "it was "
        "cancelled, 7 when it took too much memory, 14 when a node failed.",
    .examples = "  muster submit --model Llama-2-70b --tasks reasoning --site examples/sites/h100.yaml --dry-run\n"
                "  muster submit --model /models/ALIA-40b --tasks arc_easy,gsm8k --site site.yaml --output out --wait\n"
                "  muster submit --model DIR --tasks gsm8k --site site.yaml --eval limit=100 --eval log-samples\n"
                "  muster submit campaign.yaml --site site.yaml --nodes 2 --wait\n",
    .opts = submit_opts,
    .args_size = sizeof(struct mu_submit_args),
    .run = submit_run,
};
