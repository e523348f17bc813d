/* eval_args.c - see eval_args.h */
#include "cli/eval_args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static int cut_tasks(struct mu_eval_asked *x, const char *text, struct mu_err *e)
{
    x->task_text = mu_strdup(text);
    if (!x->task_text)
        return mu_fail_nomem(e, strlen(text), "an option");
    return mu_task_names_cut(x->task_text, x->tasks, MU_EVAL_TASKS_MAX, &x->o.n_tasks, e);
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

static int parse_multiturn(const struct mu_eval_args *a, bool *out, struct mu_err *e)
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

static int check_args(const struct mu_eval_args *a, struct mu_err *e)
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
    if (a->part && !a->output)
        return mu_fail(e, MU_EUSAGE, "--part keeps answers in the journal of an output folder: give --output DIR");
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

int mu_eval_args_read(struct mu_eval_asked *x, const struct mu_eval_args *a, struct mu_err *e)
{
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
    o->part = a->part;
    o->skip = a->skip;
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

void mu_eval_asked_release(struct mu_eval_asked *x)
{
    mu_task_folders_release(&x->folders);
    mu_data_folders_release(&x->data);
    mu_free(x->task_text);
}
