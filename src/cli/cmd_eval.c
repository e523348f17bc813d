/* cmd_eval.c - `muster eval`: a model on tasks, with the harness's numbers, table and files
 *
 * Tasks and requests are read before the weights, so that mistakes in them show within a second. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <muster/eval.h>
#include <muster/model.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/eval_config.h"
#include "cli/interrupt.h"
#include "cli/model_opts.h"
#include "cli/task_folders.h"
#include "plan/bill.h"

#define BYTES_A_TOKEN 4    /* of English text, roughly */
#define OUTPUT_TOKENS 256  /* a task's limit where it names none */
#define TASKS_MAX     4096 /* names on the command line */

struct eval_args {
    struct mu_model_args model;
    const char *tasks, *config, *output, *samples, *system_instruction, *apply_chat_template, *fewshot_as_multiturn;
    const char *gen_kwargs, *seed, *work, *bundle;
    struct mu_opt_list include_path, data_dir;
    int64_t num_fewshot, bootstrap_iters, max_length;
    double limit;
    bool log_samples, predict_only, resume, fresh, unsafe, json;
    json_t *keep; /* texts of --config */
};

struct evaluator {
    const struct eval_args *args;
    struct mu_model_args model;
    struct mu_eval_opts o;
    struct mu_task_folders folders;
    struct mu_data_folders data;
    char *task_text; /* owned: cut into tasks */
    const char *tasks[TASKS_MAX];
    struct mu_session s;
    mu_eval *ev;
    struct mu_eval_plan plan;
    struct mu_eval_progress now;
    struct mu_progress progress;
};

/* ---- options ---- */

static int cut_tasks(struct evaluator *x, const char *text, struct mu_err *e)
{
    x->task_text = mu_strdup(text);
    if (!x->task_text)
        return mu_fail_nomem(e, strlen(text), "an option");
    return mu_task_names_cut(x->task_text, x->tasks, TASKS_MAX, &x->o.n_tasks, e);
}

/* One number for all, or three or four: python, numpy, torch, few-shot. */
static int parse_seed(const char *text, int64_t seed[4], struct mu_err *e)
{
    int n = 0;
    const char *p = text;
    for (; n < 4; n++) {
        char *end;
        errno = 0;
        seed[n] = strtoll(p, &end, 10);
        if (errno == ERANGE)
            return mu_fail(e, MU_EUSAGE, "--seed %s: seeds go from %" PRId64 " to %" PRId64, text, INT64_MIN,
                           INT64_MAX);
        if (end == p)
            return mu_fail(e, MU_EUSAGE,
                           "--seed %s: whole numbers are needed, one for all or four: "
                           "python,numpy,torch,fewshot",
                           text);
        p = end;
        if (*p != ',')
            break;
        p++;
    }
    n++;
    if (*p || n == 2 || n > 4)
        return mu_fail(e, MU_EUSAGE, "--seed %s: one number for all is needed, or four: python,numpy,torch,fewshot",
                       text);
    for (int i = 1; i < 4 && n == 1; i++)
        seed[i] = seed[0];
    if (n == 3)
        seed[3] = 1234;
    return MU_OK;
}

static int parse_multiturn(const struct eval_args *a, bool *out, struct mu_err *e)
{
    const char *v = a->fewshot_as_multiturn;
    *out = true;
    if (!v)
        return MU_OK;
    *out = !v[0] || strcasecmp(v, "true") == 0 || strcmp(v, "1") == 0 || strcasecmp(v, "yes") == 0;
    if (!*out && strcasecmp(v, "false") != 0 && strcmp(v, "0") != 0 && strcasecmp(v, "no") != 0)
        return mu_fail(e, MU_EUSAGE, "--fewshot-as-multiturn=%s: true or false is needed", v);
    if (*out && !a->apply_chat_template)
        return mu_fail(e, MU_EUSAGE,
                       "--fewshot-as-multiturn makes the shots turns of a chat: give "
                       "--apply-chat-template too");
    return MU_OK;
}

static int check_args(const struct eval_args *a, struct mu_err *e)
{
    if (!a->tasks && !a->bundle)
        return mu_fail(e, MU_EUSAGE, "--tasks NAME,NAME is needed; `muster tasks` lists them");
    if (a->resume && a->fresh)
        return mu_fail(e, MU_EUSAGE, "--resume and --fresh exclude each other");
    if (a->fresh && !a->output)
        return mu_fail(e, MU_EUSAGE, "--fresh forgets the journal of an output folder: give --output DIR");
    if ((a->log_samples || a->predict_only) && !a->output)
        return mu_fail(e, MU_EUSAGE, "--%s writes samples: give --output DIR",
                       a->predict_only ? "predict-only" : "log-samples");
    if (a->samples && a->limit > 0)
        return mu_fail(e, MU_EUSAGE, "--samples and --limit exclude each other");
    return MU_OK;
}

/* "", "True": the model's default template; else which one. */
static void choose_template(struct mu_eval_opts *o, const char *v)
{
    if (!v || strcasecmp(v, "false") == 0)
        return;
    o->apply_chat_template = true;
    o->chat_template = v[0] && strcasecmp(v, "true") != 0 ? v : NULL;
}

static int make_opts(struct evaluator *x, struct mu_err *e)
{
    const struct eval_args *a = x->args;
    struct mu_eval_opts *o = &x->o;
    *o = (struct mu_eval_opts)MU_EVAL_OPTS_INIT;
    MU_TRY_RETURN(check_args(a, e));
    MU_TRY_RETURN(parse_multiturn(a, &o->fewshot_as_multiturn, e));
    if (a->seed)
        MU_TRY_RETURN(parse_seed(a->seed, o->seed, e));
    if (a->tasks)
        MU_TRY_RETURN(cut_tasks(x, a->tasks, e));
    o->tasks = x->tasks;
    MU_TRY_RETURN(mu_task_folders_find(&x->folders, &a->include_path, e));
    o->include_path = x->folders.folder;
    o->n_include_path = x->folders.n;
    MU_TRY_RETURN(mu_data_folders_find(&x->data, &a->data_dir, e));
    o->data_dir = x->data.folder;
    o->n_data_dir = x->data.n;
    choose_template(o, a->apply_chat_template);
    o->model = a->model.model;
    o->bundle = a->bundle;
    o->num_fewshot = (int)a->num_fewshot;
    o->limit = a->limit;
    o->samples = a->samples;
    o->system_instruction = a->system_instruction;
    o->gen_kwargs = a->gen_kwargs;
    o->predict_only = a->predict_only;
    o->bootstrap_iters = a->bootstrap_iters;
    o->max_length = a->max_length;
    o->confirm_run_unsafe_code = a->unsafe;
    o->output_path = a->output;
    o->log_samples = a->log_samples;
    o->fresh = a->fresh;
    o->naive_work = strcmp(a->work, "naive") == 0;
    o->backend = a->model.endpoint ? "remote" : "cpu";
    o->mla = a->model.mla;
    return MU_OK;
}

/* ---- while it runs ---- */

static void on_note(void *arg, const char *sentence)
{
    (void)arg;
    fprintf(stderr, "note: %s\n", sentence);
}

static void on_warning(void *arg, const char *sentence)
{
    (void)arg;
    fprintf(stderr, "warning: %s\n", sentence);
}

static void on_plan(void *arg, const struct mu_eval_plan *p)
{
    struct evaluator *x = arg;
    x->plan = *p;
    if (x->s.quiet)
        return;
    if (p->n_journal == p->n_unique) {
        fprintf(stderr, "all %" PRId64 " answers were in the journal%s\n", p->n_unique,
                x->s.eng ? "" : "; the model was not loaded");
        return;
    }
    fprintf(stderr,
            "plan: %" PRId64 " tokens for %" PRId64 " distinct answers; %" PRId64
            " if every request were computed alone (%.2f times)\n",
            p->tokens_shared, p->n_unique, p->tokens_naive,
            p->tokens_shared > 0 ? (double)p->tokens_naive / (double)p->tokens_shared : 1.0);
    if (p->n_journal > 0)
        fprintf(stderr, "in the journal already: %" PRId64 " answers; left to compute: at most %" PRId64 " tokens\n",
                p->n_journal, p->tokens_left);
}

static int on_progress(void *arg, const struct mu_eval_progress *p)
{
    struct evaluator *x = arg;
    x->now = *p;
    if (!x->s.quiet && p->tokens_total > 0)
        mu_progress_update(&x->progress, (uint64_t)p->tokens_done, (uint64_t)p->tokens_total);
    return mu_interrupted();
}

static int open_tasks(struct evaluator *x, struct mu_err *e)
{
    struct mu_eval_plan p;
    x->o.on_note = x->s.quiet ? NULL : on_note;
    x->o.on_warning = on_warning;
    x->o.on_plan = on_plan;
    x->o.on_progress = on_progress;
    x->o.arg = x;
    MU_TRY_RETURN(mu_eval_open(&x->ev, &x->o, x->s.tok, e));
    mu_eval_planned(x->ev, &p);
    if (!x->s.quiet)
        fprintf(stderr, "%" PRId64 " task%s, %" PRId64 " documents, %" PRId64 " requests\n", p.n_tasks,
                p.n_tasks == 1 ? "" : "s", p.n_documents, p.n_requests);
    return MU_OK;
}

/* For the planner, the batch and the cache: how many requests, and about how long; of a small evaluation exactly.
 * Never what the journal left of it, so that a run that goes on chooses what the first one did. Outputs count with the
 * room they have. */
static struct mu_engine_work work_of(const struct evaluator *x)
{
    struct mu_eval_plan p;
    struct mu_eval_size size;
    mu_eval_planned(x->ev, &p);
    mu_eval_measure(x->ev, x->model.context, &size);
    struct mu_engine_work w = {.requests = p.n_requests};
    if (p.n_requests > 0)
        w.prompt = MU_MAX(1, p.text_bytes / p.n_requests / BYTES_A_TOKEN);
    if (p.n_tasks > 0)
        w.output = OUTPUT_TOKENS * p.n_generating / p.n_tasks;
    w.requests = MU_MAX(w.requests, size.n);
    w.longest = size.longest;
    w.tokens = size.tokens;
    return w;
}

static int open_engine(void *arg, mu_engine **eng, struct mu_err *e)
{
    struct evaluator *x = arg;
    struct mu_eval_plan p;
    mu_eval_planned(x->ev, &p);
    x->model.will_score = p.n_generating < p.n_tasks;
    x->model.will_generate = p.n_generating > 0;
    x->model.work = work_of(x);
    MU_TRY_RETURN(mu_session_open_engine(&x->s, &x->model, e));
    *eng = x->s.eng;
    mu_progress_start(&x->progress, "evaluating", "tokens");
    return MU_OK;
}

static int run_tasks(struct evaluator *x, struct mu_err *e)
{
    const struct mu_engine_opts o = mu_session_engine_opts(&x->model);
    int rc = mu_eval_run_lazy(x->ev, &o, open_engine, x, e);
    mu_progress_end(&x->progress);
    if (rc != MU_ECANCELED)
        return rc;
    return mu_fail(
        e, rc, "stopped by a signal with %" PRId64 " of %" PRId64 " requests done; %s", x->now.n_done, x->now.n_total,
        x->args->output ? "the same command goes on from there" : "nothing of them is kept without --output DIR");
}

static int show(struct evaluator *x, struct mu_err *e)
{
    const char *text, *path;
    if (x->args->output) {
        MU_TRY_RETURN(mu_eval_write(x->ev, &path, e));
        if (!x->s.quiet)
            fprintf(stderr, "results: %s\n", path);
    }
    if (!x->args->json)
        return mu_eval_print(x->ev, stdout, e);
    MU_TRY_RETURN(mu_eval_json(x->ev, &text, e));
    return puts(text) >= 0 ? MU_OK : mu_fail(e, MU_EIO, "cannot write to standard output");
}

/* A number of the model's, not of the memory that is free just now: longer texts are cut there, which shows in the
 * results. What is asked for by number is had or refused. */
static int choose_context(struct mu_model_args *m, int64_t max_length, struct mu_err *e)
{
    mu_model_card *card;
    if (m->context == 0)
        m->context = max_length;
    if (m->context != 0 || m->endpoint)
        return MU_OK;
    MU_TRY_RETURN(mu_model_card_open(&card, m->model, e));
    m->context = MU_MIN(mu_model_card_facts(card)->context, MU_BILL_CONTEXT_WANTED);
    mu_model_card_close(card);
    return MU_OK;
}

static int evaluate(struct evaluator *x, struct mu_err *e)
{
    x->model = x->args->model;
    MU_TRY_RETURN(mu_session_join(&x->s, &x->model, e));
    if (x->s.is_over)
        return MU_OK;
    MU_TRY_RETURN(make_opts(x, e));
    x->model.no_prefix_sharing |= x->o.naive_work;
    MU_TRY_RETURN(mu_session_open_tokenizer(&x->s, &x->model, true, e));
    MU_TRY_RETURN(choose_context(&x->model, x->args->max_length, e));
    MU_TRY_RETURN(open_tasks(x, e));
    MU_TRY_RETURN(run_tasks(x, e));
    MU_TRY_RETURN(show(x, e));
    MU_TRY_RETURN(mu_session_write_expert_loads(&x->s, e));
    mu_session_report(&x->s);
    return MU_OK;
}

static int eval_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    struct evaluator *x = NULL;
    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "tasks are named by --tasks NAME,NAME, not as operands");
    MU_TRY_RETURN(MU_NEW(&x, "the evaluation", e));
    x->args = p;
    int rc = evaluate(x, e);
    mu_eval_close(x->ev);
    mu_session_close(&x->s);
    mu_task_folders_release(&x->folders);
    mu_data_folders_release(&x->data);
    mu_free(x->task_text);
    mu_free(x);
    return rc;
}

/* ---- the command ---- */

static void eval_defaults(void *p)
{
    *(struct eval_args *)p =
        (struct eval_args){.model = MU_MODEL_ARGS_INIT, .num_fewshot = -1, .bootstrap_iters = 100000, .work = "shared"};
}

static int eval_prepare(void *p, int argc, char **argv, struct mu_err *e)
{
    struct eval_args *a = p;
    return mu_eval_config_apply(&mu_cmd_eval, p, argc, argv, &a->keep, e);
}

static void eval_release(void *p)
{
    json_decref(((struct eval_args *)p)->keep);
}

#define FIELD(name) offsetof(struct eval_args, name)

static const struct mu_opt eval_opts[] = {
    {MU_OPT_TEXT, "tasks", 0, FIELD(tasks), "NAMES",
     .help = "Tasks, groups, tags, suites, patterns (mmlu_*) or YAML files, separated by commas."},
    MU_OPT_INCLUDE_PATH(FIELD(include_path)),
    MU_OPT_DATA_DIR(FIELD(data_dir)),
    {MU_OPT_INT, "num-fewshot", 'f', FIELD(num_fewshot), "N", .lo = -1, .hi = 10000,
     .help = "Shots before the question; a task that says 0 keeps 0.", .dflt = "each task's own"},
    {MU_OPT_REAL, "limit", 'L', FIELD(limit), "X", .lo = 0, .hi = 1e12,
     .help = "Only this many documents of a task, or this share of them when below 1.", .dflt = "all"},
    {MU_OPT_TEXT, "samples", 0, FIELD(samples), "JSON",
     .help = "Only these documents: {\"task\": [0, 5]}, or a file that holds it."},
    {MU_OPT_TEXT, "output", 'o', FIELD(output), "DIR",
     .help = "Write results here, and keep the journal here that an interrupted run goes on from."},
    {MU_OPT_TEXT, "output-path", 0, FIELD(output), "DIR", .help = "The same as --output."},
    {MU_OPT_FLAG, "log-samples", 0, FIELD(log_samples), .help = "Write every document with its prompt and answer too."},
    {MU_OPT_FLAG, "resume", 0, FIELD(resume), .help = "Use what the journal holds; this is what happens anyway."},
    {MU_OPT_FLAG, "fresh", 0, FIELD(fresh), .help = "Forget what the journal holds and compute everything again."},
    {MU_OPT_TEXT, "apply-chat-template", 0, FIELD(apply_chat_template), "NAME", .value_optional = true,
     .help = "Ask by the model's chat template, or by the one of this name."},
    {MU_OPT_TEXT, "system-instruction", 0, FIELD(system_instruction), "TEXT",
     .help = "Begin every prompt with this, as the system's message where there is a chat template."},
    {MU_OPT_TEXT, "fewshot-as-multiturn", 0, FIELD(fewshot_as_multiturn), "BOOL", .value_optional = true,
     .help = "Give the shots as turns of the chat.", .dflt = "true with a chat template"},
    {MU_OPT_TEXT, "gen-kwargs", 0, FIELD(gen_kwargs), "K=V,K=V",
     .help = "Generation arguments laid over each task's own; JSON too."},
    {MU_OPT_TEXT, "seed", 's', FIELD(seed), "N,N,N,N",
     .help = "Seeds as the harness has them: python, numpy, torch (sampled answers), few-shot; one number for all.",
     .dflt = "0,1234,1234,1234"},
    {MU_OPT_INT, "max-length", 0, FIELD(max_length), "N", .lo = 0, .hi = 1e9,
     .help = "Longest text in tokens; longer ones lose their beginning.", .dflt = "the context"},
    {MU_OPT_INT, "bootstrap-iters", 0, FIELD(bootstrap_iters), "N", .lo = 0, .hi = 1e8,
     .help = "Replicates for standard errors that have no formula; 0: no standard errors at all.", .dflt = "100000"},
    {MU_OPT_TEXT, "work", 0, FIELD(work), "HOW", .choices = "shared|naive",
     .help = "Compute what prompts share once, or every request alone; the numbers are the same.", .dflt = "shared"},
    {MU_OPT_TEXT, "bundle", 0, FIELD(bundle), "FILE",
     .help = "Run requests that the harness built, in place of --tasks."},
    {MU_OPT_FLAG, "predict-only", 'x', FIELD(predict_only), .help = "Write the answers and measure nothing."},
    {MU_OPT_FLAG, "confirm-run-unsafe-code", 0, FIELD(unsafe),
     .help = "Allow tasks whose scoring runs programs the model wrote; they run inside a sandbox."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print the results as JSON instead of a table."},
    {MU_OPT_TEXT, "config", 0, FIELD(config), "FILE",
     .help = "Take options from a YAML file that holds them by these names; the command line comes before it."},
    MU_MODEL_OPTS(FIELD(model)),
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_eval = {
    .name = "eval",
    .summary = "evaluate a model on tasks",
    .operands = "",
    .story =
        "Runs lm-evaluation-harness's task files as they are: the same prompts, the same numbers, the same table and "
        "results files. Tasks are read and requests built before the weights, so that a mistake shows at once.\n\n"
        "With --output every finished request is kept in DIR/journal.sqlite. A run that was stopped, by Ctrl-C, a "
        "time limit or a crash, goes on where it was when the same command is given again; a run that was finished "
        "takes its answers from there and does not load the model. Answers are known by what decides them: weights, "
        "tokens, parameters. Another batch size, "
        "number of threads or output of another task changes nothing.\n\n"
        "Task files are looked for in $MUSTER_TASKS, else ./tasks, else where muster is installed; data sets in "
        "--data-dir, then in the folders of $MUSTER_DATA.\n\n"
        "Options with _ in place of - are read too, as lm-evaluation-harness writes them.",
    .examples = "  muster eval --model DIR --tasks muster\n"
                "  muster eval --model DIR --tasks arc_easy,hellaswag --num-fewshot 5 --output out --log-samples\n"
                "  muster eval --model DIR --tasks gsm8k --apply-chat-template --limit 100 --json\n"
                "  muster eval --model DIR --tasks arc_easy --include-path lm_eval/tasks --data-dir data\n"
                "  muster eval --model DIR --bundle tasks.bundle\n"
                "  muster eval --config run.yaml --limit 10\n"
                "  muster eval --endpoint http://localhost:8000/v1 --model DIR --tasks arc_easy\n",
    .opts = eval_opts,
    .args_size = sizeof(struct eval_args),
    .defaults = eval_defaults,
    .run = eval_run,
    .prepare = eval_prepare,
    .release = eval_release,
};
