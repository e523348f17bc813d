/* session.c - opening a model for a command: device, tokenizer, engine, with the bill and progress shown */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cli/interrupt.h"
#include "cli/model_opts.h"
#include "cli/plan_inputs.h"
#include "cli/session_int.h"
#include "comm/launch.h"
#include "fmt/checkpoint.h"
#include "model/presets.h"
#include "plan/bill.h"
#include "plan/plan.h"
#include "tensor/device.h"
#include "tensor/ops.h"

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
    if (mu_path_is_dir(path) || (mu_path_exists(path) && (ends_with(path, ".safetensors") || ends_with(path, ".gguf") ||
                                                          ends_with(path, ".packed"))))
        return MU_OK;
    if (mu_path_exists(path))
        return mu_fail(e, MU_EFORMAT, "%s is neither a checkpoint folder nor a .safetensors, .gguf or .packed file",
                       path);
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

/* One line the choice, then its reasons. */
static void show_layout(void *arg, const char *layout, const char *reasons)
{
    const struct mu_session *s = arg;
    if (s->quiet)
        return;
    fprintf(stderr, "layout  %s\n", layout);
    for (const char *p = reasons; *p;) {
        int n = (int)strcspn(p, "\n");
        fprintf(stderr, "  %.*s\n", n, p);
        p += n + (p[n] == '\n');
    }
    if (!s->has_machine)
        fprintf(stderr, "  by guessed constants: muster calibrate measures them\n");
}

/* Who names an engine, or "auto", wants to know. */
static void show_choice(void *arg, const char *table)
{
    const struct mu_session *s = arg;
    if (!s->quiet)
        fputs(table, stderr);
}

static int show_progress(void *arg, uint64_t done, uint64_t total)
{
    struct mu_session *s = arg;
    if (!s->quiet)
        mu_progress_update(&s->progress, done, total);
    return mu_interrupted();
}

/* Where a model's own tokenizer is looked for: a file of weights has it in its folder, but a .gguf in itself. */
static int beside_weights(struct mu_buf *out, const char *model, struct mu_err *e)
{
    const char *slash = strrchr(model, '/');
    bool is_beside = ends_with(model, ".safetensors") || ends_with(model, ".packed");
    if (!is_beside || mu_path_is_dir(model))
        return mu_buf_puts(out, model, e);
    return slash ? mu_buf_add(out, model, (size_t)(slash - model) + 1, e) : mu_buf_puts(out, ".", e);
}

int mu_session_open_texts(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    struct mu_err quiet = MU_ERR_INIT;
    bool is_optional = !needs_tok && !args->tokenizer;
    int rc = args->tokenizer ? mu_buf_puts(&path, args->tokenizer, e) : beside_weights(&path, args->model, e);
    if (rc == MU_OK)
        rc = mu_tokenizer_open(&s->tok, path.p, NULL, is_optional ? &quiet : e);
    mu_buf_fini(&path);
    return is_optional && rc == MU_ENOENT ? MU_OK : rc;
}

/* ---- opening ---- */

/* Cores are shared out among the ranks of a node. */
static int threads_of(const struct mu_session *s, const struct mu_model_args *args)
{
    int n = 0, rank = mu_comm_rank(s->world);
    if (args->threads > 0 || mu_comm_size(s->world) == 1)
        return (int)args->threads;
    for (int r = 0; r < mu_comm_size(s->world); r++)
        n += mu_comm_node(s->world, r) == mu_comm_node(s->world, rank);
    return MU_MAX(1, mu_cores_allowed() / n);
}

int mu_session_open_device(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    struct mu_cpu_opts cpu = {.level = args->level, .n_threads = threads_of(s, args)};
    return mu_device_open_cpu(&s->device, &cpu, e);
}

static void show_level(const struct mu_session *s)
{
    int n = mu_pool_threads(s->device->pool);
    if (!s->quiet)
        fprintf(stderr, "cpu     level %s, %d thread%s\n", s->device->ops->level, n, n == 1 ? "" : "s");
}

int mu_session_open_tokenizer(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e)
{
    s->quiet = args->quiet;
    if (!args->endpoint)
        MU_TRY_RETURN(mu_model_path_check(args->model, e));
    else if (!args->model)
        return mu_fail(e, MU_EUSAGE,
                       "--model PATH is needed beside --endpoint: a folder with the model's tokenizer, since "
                       "a server is asked in token ids; it may be without weights");
    return s->keep.is_on ? mu_session_keep_texts(s, args, needs_tok, e) : mu_session_open_texts(s, args, needs_tok, e);
}

struct mu_engine_opts mu_session_engine_opts(const struct mu_model_args *args)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    o.model = args->model;
    o.weights = args->weights;
    o.kv_dtype = args->kv_dtype;
    o.mla = args->mla;
    o.layout = args->layout;
    o.work = args->work;
    o.request_bytes = (size_t)args->request_bytes;
    o.threads = (int)args->threads;
    o.context_max = args->context;
    o.sequences_max = (int)args->batch_size;
    o.rows_max = (int)args->batch_tokens;
    o.memory_bytes_max = (size_t)args->max_memory;
    o.no_prefix_sharing = args->no_prefix_sharing;
    o.endpoint = args->endpoint;
    o.endpoint_model = args->endpoint_model;
    o.endpoint_hash = args->endpoint_hash;
    o.api_key_file = args->api_key_file;
    o.concurrency = (int)args->concurrency;
    o.will_score = args->will_score;
    o.will_generate = args->will_generate;
    o.engine = args->engine;
    o.redundant_experts = (int)args->redundant_experts;
    o.expert_loads = args->expert_loads;
    o.weights_from = args->weights_from;
    return o;
}

/* A lost replica is not the end of the job. */
static void spare_replicas(const struct mu_session *s)
{
    struct mu_engine_info info;
    mu_engine_info(s->eng, &info);
    if (info.replicas > 1)
        mu_launch_spare_others(s->world);
}

/* Before the run rather than after it: a file that cannot be, a model that has no experts. */
static int check_write_loads(struct mu_session *s, struct mu_err *e)
{
    struct mu_outfile f = MU_OUTFILE_INIT;
    struct mu_engine_balance unused;
    if (!s->write_expert_loads)
        return MU_OK;
    MU_TRY_RETURN(mu_engine_expert_balance(s->eng, &unused, e));
    MU_TRY_RETURN(mu_outfile_open(&f, s->write_expert_loads, e));
    mu_outfile_discard(&f);
    return MU_OK;
}

int mu_session_write_expert_loads(struct mu_session *s, struct mu_err *e)
{
    return s->write_expert_loads ? mu_engine_write_expert_loads(s->eng, s->write_expert_loads, e) : MU_OK;
}

static int open_loading(struct mu_session *s, const struct mu_engine_opts *o, struct mu_err *e)
{
    mu_progress_start(&s->progress, "loading", "B");
    s->has_asked = true;
    int rc = mu_engine_open(&s->eng, o, e);
    mu_progress_end(&s->progress);
    return rc;
}

int mu_session_load(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    if (!args->endpoint) {
        MU_TRY_RETURN(mu_machine_kept(&s->machine, args->cluster, &s->has_machine, e));
        MU_TRY_RETURN(mu_session_open_device(s, args, e));
        show_level(s);
    }
    struct mu_engine_opts o = mu_session_engine_opts(args);
    o.machine = s->has_machine ? &s->machine : NULL;
    o.on_layout = show_layout;
    o.world = s->world;
    o.device = s->device;
    o.tokenizer = s->tok;
    o.on_bill = show_bill;
    o.on_choice = args->engine ? show_choice : NULL;
    o.on_progress = show_progress;
    o.arg = s;
    if (s->keep.is_on)
        MU_TRY_RETURN(mu_session_call_ranks(s, args, e));
    MU_TRY_RETURN(open_loading(s, &o, e));
    spare_replicas(s);
    s->write_expert_loads = args->write_expert_loads;
    return check_write_loads(s, e);
}

int mu_session_open_engine(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    if (s->keep.is_on)
        return mu_session_keep_engine(s, args, e);
    int rc = mu_session_load(s, args, e);
    if (rc != MU_OK)
        mu_session_close(s);
    return rc;
}

int mu_session_open(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e)
{
    MU_TRY_RETURN(mu_session_join(s, args, e));
    if (s->is_over)
        return MU_OK;
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

/* The bill is the fullest rank's. */
static void report_ranks(const struct mu_session *s, const struct mu_engine_info *info)
{
    uint64_t least = UINT64_MAX, *peak = mu_calloc((size_t)info->ranks, sizeof *peak);
    int most = 0;
    if (!peak || mu_engine_peaks(s->eng, peak, NULL) != MU_OK) {
        mu_free(peak);
        return;
    }
    for (int r = 0; r < info->ranks; r++) {
        most = peak[r] > peak[most] ? r : most;
        least = peak[r] > 0 ? MU_MIN(least, peak[r]) : least; /* a lost rank tells nothing */
    }
    fprintf(stderr,
            "layout: %s on %d ranks; memory of a rank: %.1f to %.1f MiB at peak (rank %d), %.1f MiB billed; weights: "
            "%.1f MiB read by all\n",
            info->layout, info->ranks, (double)least * 0x1p-20, (double)peak[most] * 0x1p-20, most,
            (double)mu_engine_bill(s->eng)->bytes_peak * 0x1p-20, (double)info->weight_bytes_read * 0x1p-20);
    mu_free(peak);
}

uint64_t mu_session_peak_bytes(const struct mu_session *s)
{
    uint64_t most = mu_process_peak_bytes(), *peak;
    struct mu_engine_info info;
    mu_engine_info(s->eng, &info);
    if (info.ranks < 2)
        return most;
    peak = mu_calloc((size_t)info.ranks, sizeof *peak);
    if (peak && mu_engine_peaks(s->eng, peak, NULL) == MU_OK) {
        for (int r = 0; r < info.ranks; r++)
            most = MU_MAX(most, peak[r]);
    }
    mu_free(peak);
    return most;
}

static void report_experts(const struct mu_session *s)
{
    struct mu_engine_balance b;
    if (mu_engine_expert_balance(s->eng, &b, NULL) != MU_OK || b.worst_layer < 0 || b.ranks < 2)
        return;
    fprintf(stderr, "experts: rows of the fullest of %d ranks over the mean: %.2f, at most %.2f (layer %d)\n", b.ranks,
            b.mean, b.worst, b.worst_layer);
}

/* Of the steps alone: reading prompts and writing answers is not the model's time. */
static void report_time(const struct mu_session *s, const struct mu_engine_info *info)
{
    struct mu_engine_seen seen;
    char text[256];
    mu_engine_seen(s->eng, &seen);
    if (seen.predicted_s <= 0 || seen.measured_s <= 0)
        return;
    struct mu_plan_seen rates = {.tokens_predicted = (double)seen.rows / seen.predicted_s,
                                 .tokens_measured = (double)seen.rows / seen.measured_s};
    fprintf(stderr, "time: %s%s%s\n", mu_plan_seen_text(text, &rates),
            info->replicas > 1 ? " by the first replica" : "",
            seen.is_calibrated ? "" : "; constants are guessed, muster calibrate measures them");
}

void mu_session_report(const struct mu_session *s)
{
    struct mu_engine_info info;
    if (s->quiet || !s->eng || !mu_engine_bill(s->eng)) /* a server's memory is its own affair */
        return;
    mu_engine_info(s->eng, &info);
    if (info.ranks > 1)
        report_ranks(s, &info);
    else
        fprintf(stderr, "memory: %.1f MiB at peak, %.1f MiB billed; weights: %.1f MiB read\n",
                (double)mu_process_peak_bytes() * 0x1p-20, (double)mu_engine_bill(s->eng)->bytes_peak * 0x1p-20,
                (double)info.weight_bytes_read * 0x1p-20);
    report_time(s, &info);
    report_experts(s);
}

void mu_session_drop_engine(struct mu_session *s)
{
    mu_engine_close(s->eng);
    mu_device_close(s->device);
    s->eng = NULL;
    s->device = NULL;
    s->write_expert_loads = NULL;
}

void mu_session_drop(struct mu_session *s)
{
    mu_session_drop_engine(s);
    mu_tokenizer_close(s->tok);
    s->tok = NULL;
}

void mu_session_close(struct mu_session *s)
{
    mu_session_drop(s);
    mu_session_leave_ranks(s);
    mu_comm_close(s->world);
    *s = (struct mu_session){.quiet = s->quiet, .is_over = s->is_over};
}
