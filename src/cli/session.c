/* session.c - opening a model for a command: device, tokenizer, engine, with the bill and progress shown */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/machine.h"
#include "cli/interrupt.h"
#include "cli/model_opts.h"
#include "model/presets.h"
#include "plan/bill.h"
#include "tensor/device.h"

#define INTERRUPT_POLL_NS 100000000ll /* a tenth of a second: soon for a person, nothing for the engine */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

int mu_model_path_check(const char *path, struct mu_err *e)
{
    if (!path || !path[0])
        return mu_fail(e, MU_EUSAGE, "--model PATH is needed: a checkpoint folder, a .safetensors or a .gguf file");
    if (mu_path_is_dir(path) || (mu_path_exists(path) && (ends_with(path, ".safetensors") || ends_with(path, ".gguf"))))
        return MU_OK;
    if (mu_path_exists(path))
        return mu_fail(e, MU_EFORMAT, "%s is neither a checkpoint folder nor a .safetensors or .gguf file", path);
    if (mu_preset_find(path))
        return mu_fail(e, MU_ENOENT,
                       "%s is a model muster knows, but its weights are not here: give the folder that holds them",
                       path);
    return mu_fail(e, MU_ENOENT, "%s does not exist; --model takes a checkpoint folder, a .safetensors or a .gguf file",
                   path);
}

static int show_bill(void *arg, const struct mu_bill *bill)
{
    const struct mu_session *s = arg;
    if (!s->quiet)
        mu_bill_print(bill, stderr);
    return 0;
}

static int show_progress(void *arg, uint64_t done, uint64_t total)
{
    struct mu_session *s = arg;
    if (!s->quiet)
        mu_progress_update(&s->progress, done, total);
    return mu_interrupted();
}

/* The tokenizer is beside the weights unless named; a file's tokenizer is in its folder or, for GGUF, inside it. */
static int open_tokenizer(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e)
{
    const char *path = args->tokenizer ? args->tokenizer : args->model;
    struct mu_err quiet = MU_ERR_INIT;
    bool is_optional = !needs_tok && !args->tokenizer;
    int rc = mu_tokenizer_open(&s->tok, path, NULL, is_optional ? &quiet : e);
    return is_optional && rc == MU_ENOENT ? MU_OK : rc;
}

int mu_session_open_tokenizer(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e)
{
    *s = (struct mu_session){.quiet = args->quiet};
    MU_TRY_RETURN(mu_model_path_check(args->model, e));
    return open_tokenizer(s, args, needs_tok, e);
}

struct mu_engine_opts mu_session_engine_opts(const struct mu_model_args *args)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    o.model = args->model;
    o.weights = args->weights;
    o.kv_dtype = args->kv_dtype;
    o.mla = args->mla;
    o.threads = (int)args->threads;
    o.context_max = args->context;
    o.sequences_max = (int)args->batch_size;
    o.rows_max = (int)args->batch_tokens;
    o.memory_bytes_max = (size_t)args->max_memory;
    o.no_prefix_sharing = args->no_prefix_sharing;
    return o;
}

int mu_session_open_engine(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    struct mu_cpu_opts cpu = {.level = args->level, .n_threads = (int)args->threads};
    int rc = MU_OK;

    MU_TRY(mu_device_open_cpu(&s->device, &cpu, e));
    struct mu_engine_opts o = mu_session_engine_opts(args);
    o.device = s->device;
    o.tokenizer = s->tok;
    o.on_bill = show_bill;
    o.on_progress = show_progress;
    o.arg = s;
    mu_progress_start(&s->progress, "loading", "B");
    rc = mu_engine_open(&s->eng, &o, e);
    mu_progress_end(&s->progress);
out:
    if (rc != MU_OK)
        mu_session_close(s);
    return rc;
}

int mu_session_open(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e)
{
    MU_TRY_RETURN(mu_session_open_tokenizer(s, args, needs_tok, e));
    return mu_session_open_engine(s, args, e);
}

int mu_session_poll(struct mu_session *s, struct mu_result **out, struct mu_err *e)
{
    struct mu_err late = MU_ERR_INIT;
    while (!mu_interrupted()) {
        int rc = mu_engine_poll(s->eng, out, INTERRUPT_POLL_NS, &late);
        if (rc != MU_ETIMEDOUT) {
            if (rc != MU_OK && e)
                *e = late;
            return rc;
        }
    }
    *out = NULL;
    return mu_fail(e, MU_ECANCELED, "stopped by a signal");
}

void mu_session_report(const struct mu_session *s)
{
    struct mu_engine_info info;
    if (s->quiet || !s->eng)
        return;
    mu_engine_info(s->eng, &info);
    fprintf(stderr, "memory: %.1f MiB at peak, %.1f MiB billed; weights: %.1f MiB read\n",
            (double)mu_process_peak_bytes() * 0x1p-20, (double)mu_engine_bill(s->eng)->bytes_peak * 0x1p-20,
            (double)info.weight_bytes_read * 0x1p-20);
}

void mu_session_close(struct mu_session *s)
{
    mu_engine_close(s->eng);
    mu_tokenizer_close(s->tok);
    mu_device_close(s->device);
    *s = (struct mu_session){.quiet = s->quiet};
}
