/* eval_args.h - the options of one evaluation: as they were given, and as the evaluation takes them */
#ifndef MU_CLI_EVAL_ARGS_H
#define MU_CLI_EVAL_ARGS_H

#include <jansson.h>

#include <muster/eval.h>

#include "cli/model_opts.h"
#include "cli/task_folders.h"

#define MU_EVAL_TASKS_MAX 4096 /* names on the command line */

/* The struct of `muster eval`'s table (cmd_eval.c). */
struct mu_eval_args {
    struct mu_model_args model;
    const char *tasks, *config, *output, *samples, *system_instruction, *apply_chat_template, *fewshot_as_multiturn;
    const char *gen_kwargs, *seed, *work, *bundle, *part, *skip;
    struct mu_opt_list include_path, data_dir;
    int64_t num_fewshot, bootstrap_iters, max_length;
    double limit;
    bool log_samples, predict_only, resume, fresh, unsafe, json;
    json_t *keep; /* texts of --config */
};

/* What an evaluation is opened with; it leads into the arguments and must not be moved. */
struct mu_eval_asked {
    struct mu_eval_opts o; /* callbacks are the user's to set */
    struct mu_task_folders folders;
    struct mu_data_folders data;
    char *task_text; /* owned: cut into tasks */
    const char *tasks[MU_EVAL_TASKS_MAX];
};

/* Release it also after a failure. */
int mu_eval_args_read(struct mu_eval_asked *x, const struct mu_eval_args *a, struct mu_err *e);
void mu_eval_asked_release(struct mu_eval_asked *x);

#endif
