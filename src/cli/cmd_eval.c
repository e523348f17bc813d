/* cmd_eval.c - `muster eval`: a model on tasks, with the harness's numbers, table and files
 *
 * Tasks and requests are read before the weights, so that mistakes in them show within a second. */
#include <stdio.h>

#include "base/check.h"
#include "cli/cmd.h"
#include "cli/eval_config.h"
#include "cli/evaluator.h"

static int eval_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct mu_eval_args *a = p;
    const struct mu_evaluate_opts o = {.results = stdout};
    struct mu_session s;
    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "tasks are named by --tasks NAME,NAME, not as operands");
    int rc = mu_session_join(&s, &a->model, e);
    if (rc == MU_OK && !s.is_over)
        rc = mu_evaluate(&s, a, &o, e);
    mu_session_close(&s);
    return rc;
}

static void eval_defaults(void *p)
{
    *(struct mu_eval_args *)p = (struct mu_eval_args){
        .model = MU_MODEL_ARGS_INIT, .num_fewshot = -1, .bootstrap_iters = 100000, .work = "shared"};
}

static int eval_prepare(void *p, int argc, char **argv, struct mu_err *e)
{
    struct mu_eval_args *a = p;
    return mu_eval_config_apply(&mu_cmd_eval, p, argc, argv, &a->keep, e);
}

static void eval_release(void *p)
{
    json_decref(((struct mu_eval_args *)p)->keep);
}

#define FIELD(name) offsetof(struct mu_eval_args, name)

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
    {MU_OPT_TEXT, "skip", 0, FIELD(skip), "LIST",
     .help =
         "Leave these documents out, counted from 0 over all tasks: 17,40, or JSON {\"17\": \"why\"}. The results say "
         "so; the scores are those of the rest."},
    {MU_OPT_TEXT, "part", 0, FIELD(part), "FIRST-LAST",
     .help = "Compute only the answers of these documents, counted as for --skip, into the journal; no results."},
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
    .args_size = sizeof(struct mu_eval_args),
    .defaults = eval_defaults,
    .run = eval_run,
    .prepare = eval_prepare,
    .release = eval_release,
};
