/* cmd_bench.c - `muster bench`: prefill and decode rates, beside what this machine can do
 *
 * Prompts are random ids, all different, so that no prefix is shared. A prefill case times prompts that ask for one
 * token; a decode case times the steps between the moment all sequences have their first token and the first end.
 * Whole steps are counted. Shares: of the measured f32 multiply-add rate (2 operations a parameter used and token) and
 * of the measured read bandwidth (weights once a step, the KV cache of every sequence). Beside them, where a
 * calibration is there, what the planner's model of time predicts. The best of --repeat runs is shown. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cli/cmd.h"
#include "cli/model_opts.h"
#include "cli/print_json.h"
#include "engine/kv/pool_json.h"
#include "plan/bill.h"
#include "tensor/device.h"
#include "tensor/ops.h"

#define SIZES_MAX     32
#define REQUEST_BYTES 16384 /* of one in flight, beside its tokens */
#define TOKEN_BYTES   32
#define RATE_MOVED    0.1 /* of the calibrated bandwidth: beyond it predictions are off by as much */

struct bench_args {
    struct mu_model_args model;
    const char *prefill, *decode, *batch;
    int64_t tokens, repeat;
    bool json, csv;
};

struct bench {
    struct mu_session s;
    struct mu_engine_info info;
    double bandwidth, flop_rate, int8_rate; /* measured */
    double weight_bytes, kv_bytes_token;
    uint64_t rng;
    int64_t tokens, repeat;
    int64_t prefill[SIZES_MAX], decode[SIZES_MAX], batch[SIZES_MAX];
    int n_prefill, n_decode, n_batch;
    json_t *rows;
};

/* One measured case. */
struct row {
    const char *work; /* "prefill", "decode" */
    int batch, context;
    double tokens_per_s;
    double seconds, predicted; /* of all prompts, of one decoding step; predicted 0: not known */
    double share_flop, share_bandwidth;
};

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
    return *s;
}

static int parse_sizes(const char *text, int64_t hi, int64_t *out, int *n, const char *option, struct mu_err *e)
{
    *n = 0;
    for (const char *p = text; *p;) {
        char *end;
        long long v = strtoll(p, &end, 10);
        if (end == p || (*end && *end != ',') || v < 0 || v > hi || *n == SIZES_MAX)
            return mu_fail(e, MU_EUSAGE, "--%s %s: up to %d numbers in 0..%" PRId64 " separated by commas are needed",
                           option, text, SIZES_MAX, hi);
        out[(*n)++] = v;
        p = *end ? end + 1 : end;
    }
    return MU_OK;
}

/* ---- one run ---- */

/* A sequence gets one token a step: whoever gets a second one begins the next step. */
struct decode_clock {
    int n_waiting; /* sequences without their first token */
    int64_t start_ns, end_ns;
    int64_t n_tokens; /* of the steps between start and end */
    int64_t n_steps;
    bool is_last_step, has_ended;
};

struct decoder {
    struct decode_clock *clock;
    int64_t step; /* of its last token */
};

static void begin_steps(struct decode_clock *c)
{
    c->start_ns = c->end_ns = mu_now_ns(mu_clock_real());
    c->n_steps = 1; /* under way, without a token yet */
}

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct decoder *d = arg;
    struct decode_clock *c = d->clock;
    if (c->n_waiting > 0) {
        if (ev->index == 0 && ev->id >= 0 && --c->n_waiting == 0)
            begin_steps(c);
        return 0;
    }
    c->is_last_step |= ev->is_last;
    if (ev->id < 0 || c->has_ended)
        return 0;
    if (d->step == c->n_steps) {
        c->has_ended = c->is_last_step;
        c->n_steps += !c->has_ended;
    }
    if (c->has_ended)
        return 0;
    d->step = c->n_steps;
    c->n_tokens++;
    c->end_ns = mu_now_ns(mu_clock_real());
    return 0;
}

/* `batch` prompts of `context` random ids that each generate `n_out` tokens; *ns is the whole, *c the decode part. */
static int run_once(struct bench *b, int batch, int context, int n_out, int64_t *ns, struct decode_clock *c,
                    struct mu_err *e)
{
    struct mu_request *requests = NULL;
    struct mu_result **results = NULL;
    struct decoder *decoders = NULL;
    int32_t *ids = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&decoders, batch, "the requests", e));
    MU_TRY(MU_NEW_ARRAY(&requests, batch, "the requests", e));
    MU_TRY(MU_NEW_ARRAY(&results, batch, "the results", e));
    MU_TRY(MU_NEW_ARRAY(&ids, (int64_t)batch * context, "the prompts", e));
    *c = (struct decode_clock){.n_waiting = batch};
    for (int i = 0; i < batch * context; i++)
        ids[i] = (int32_t)(next_random(&b->rng) % (uint64_t)b->info.vocab);
    for (int i = 0; i < batch; i++) {
        requests[i] = (struct mu_request)MU_REQUEST_INIT;
        requests[i].kind = MU_REQUEST_GENERATE;
        requests[i].ids = ids + (int64_t)i * context;
        requests[i].n_ids = context;
        requests[i].max_tokens = n_out;
        requests[i].ignore_eos = true;
        requests[i].on_token = on_token;
        requests[i].on_token_arg = &decoders[i];
        decoders[i].clock = c;
    }
    int64_t start = mu_now_ns(mu_clock_real());
    MU_TRY(mu_engine_run(b->s.eng, requests, batch, results, e));
    *ns = mu_now_ns(mu_clock_real()) - start;
    for (int i = 0; i < batch; i++) {
        if (rc == MU_OK && results[i]->code != MU_OK)
            rc = mu_fail(e, results[i]->code, "%s", results[i]->err.text);
        mu_result_free(results[i]);
    }
out:
    mu_free(ids);
    mu_free(results);
    mu_free(requests);
    mu_free(decoders);
    return rc;
}

/* ---- reporting ---- */

/* Of the measured rate: below 0, it took longer than predicted. */
static double error_of(const struct row *r)
{
    return r->predicted > 0 ? r->predicted / r->seconds - 1 : 0;
}

static int add_row(struct bench *b, const struct row *r, struct mu_err *e)
{
    json_t *row = json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:f}", "work", r->work, "batch", r->batch, "context",
                            r->context, "tokens_per_s", r->tokens_per_s, "share_of_arithmetic", r->share_flop,
                            "share_of_bandwidth", r->share_bandwidth, "seconds", r->seconds);
    if (row && r->predicted > 0) {
        json_object_set_new(row, "predicted_seconds", json_real(r->predicted));
        json_object_set_new(row, "error", json_real(error_of(r)));
    }
    if (!row || json_array_append_new(b->rows, row) != 0)
        return mu_fail_nomem(e, sizeof *r, "the report");
    return MU_OK;
}

static void print_row(const struct bench_args *args, const struct row *r)
{
    char predicted[32] = "", error[32] = "";
    if (r->predicted > 0) {
        snprintf(predicted, sizeof predicted, "%.1f", r->tokens_per_s * r->seconds / r->predicted);
        snprintf(error, sizeof error, "%+.1f%%", 100 * error_of(r));
    }
    if (args->csv)
        printf("%s,%d,%d,%.2f,%.4f,%.4f,%s,%s\n", r->work, r->batch, r->context, r->tokens_per_s, r->share_flop,
               r->share_bandwidth, predicted, error);
    else if (!args->json)
        printf("%-8s %6d %8d %12.1f %11.1f%% %11.1f%% %12s %8s\n", r->work, r->batch, r->context, r->tokens_per_s,
               100 * r->share_flop, 100 * r->share_bandwidth, predicted, error);
    fflush(stdout);
}

/* Weights in int8 and int4 meet activations in int8. */
static bool has_int_weights(const struct bench *b)
{
    return strncmp(b->info.weights, "int", 3) == 0;
}

static double rate_of(const struct bench *b)
{
    return has_int_weights(b) ? b->int8_rate : b->flop_rate;
}

static void fill_shares(const struct bench *b, struct row *r, double steps_per_s)
{
    double kv = b->kv_bytes_token * r->context * r->batch;
    double flop = 2.0 * (double)b->info.n_params_active / MU_MAX(b->info.ranks, 1);
    r->share_flop = flop * r->tokens_per_s / rate_of(b);
    r->share_bandwidth = steps_per_s * (b->weight_bytes + kv) / b->bandwidth;
}

/* A prompt goes through in steps of rows_max rows at most. */
static double predict_prefill(const struct bench *b, int context)
{
    double seconds = 0;
    for (int at = 0, n; at < context; at += n) {
        n = MU_MIN(context - at, b->info.prefill_chunk);
        seconds += mu_engine_predict(b->s.eng, 1, n, at, at + n == context);
    }
    return seconds;
}

static int bench_prefill(struct bench *b, const struct bench_args *args, int batch, int context, struct mu_err *e)
{
    struct row r = {.work = "prefill", .batch = batch, .context = context};
    struct decode_clock c;
    int64_t ns;

    for (int64_t i = 0; i < b->repeat; i++) {
        MU_TRY_RETURN(run_once(b, batch, context, 1, &ns, &c, e));
        r.tokens_per_s = MU_MAX(r.tokens_per_s, 1e9 * batch * context / (double)MU_MAX(ns, 1));
    }
    r.seconds = batch * context / r.tokens_per_s;
    if (b->s.has_machine)
        r.predicted = batch * predict_prefill(b, context);
    fill_shares(b, &r, r.tokens_per_s / b->info.rows_max);
    print_row(args, &r);
    return add_row(b, &r, e);
}

static int bench_decode(struct bench *b, const struct bench_args *args, int batch, int context, struct mu_err *e)
{
    struct row r = {.work = "decode", .batch = batch, .context = context};
    struct decode_clock c;
    int64_t ns;

    for (int64_t i = 0; i < b->repeat; i++) {
        MU_TRY_RETURN(run_once(b, batch, MU_MAX(context, 1), (int)b->tokens, &ns, &c, e));
        if (c.end_ns > c.start_ns)
            r.tokens_per_s = MU_MAX(r.tokens_per_s, 1e9 * (double)c.n_tokens / (double)(c.end_ns - c.start_ns));
    }
    r.seconds = r.tokens_per_s > 0 ? batch / r.tokens_per_s : 0;
    if (b->s.has_machine)
        r.predicted = mu_engine_predict(b->s.eng, batch, 1, context + b->tokens / 2, batch);
    fill_shares(b, &r, r.tokens_per_s / batch);
    print_row(args, &r);
    return add_row(b, &r, e);
}

static double bill_bytes(const struct mu_session *s, const char *line)
{
    const struct mu_bill *bill = mu_engine_bill(s->eng);
    for (int i = 0; i < bill->n_lines; i++) {
        if (strcmp(bill->lines[i].name, line) == 0)
            return (double)bill->lines[i].bytes;
    }
    return 0;
}

/* What this rank's threads reach while the others measure too. Before the model is loaded, so that the measurement's
 * memory does not add to the model's. */
static int measure_machine(struct bench *b, const struct bench_args *args, struct mu_err *e)
{
    struct mu_pool *pool = NULL;
    int rc = MU_OK;

    MU_TRY(mu_pool_open(&pool, &(struct mu_pool_opts){.n_threads = (int)args->model.threads}, e));
    MU_TRY(mu_measure_read_bandwidth(pool, &b->bandwidth, e));
    MU_TRY(mu_measure_fma_rate(pool, &b->flop_rate, e));
    MU_TRY(mu_measure_int8_rate(pool, &b->int8_rate, e));
out:
    mu_pool_close(pool);
    return rc;
}

/* Bytes a second of one of these ranks when the machine was calibrated; 0: it was not, or it is not this host alone. */
static double calibrated_rate(const struct bench *b)
{
    struct mu_machine m = b->s.machine;
    if (!b->s.has_machine || !m.is_host || m.nodes > 1)
        return 0;
    mu_machine_share(&m, 1, MU_MAX(b->info.ranks, 1), b->info.threads);
    return m.device.memory_rate;
}

static void warn_of_rate(const struct bench *b, const struct bench_args *args)
{
    double then = calibrated_rate(b);
    if (args->model.quiet || then <= 0 || fabs(b->bandwidth / then - 1) <= RATE_MOVED)
        return;
    fprintf(stderr,
            "bench: calibrated at %.1f GB/s, %.1f GB/s now: what reads memory is predicted as it was then; "
            "run muster calibrate anew\n",
            then * 1e-9, b->bandwidth * 1e-9);
}

static void print_head(const struct bench *b, const struct bench_args *args)
{
    if (args->csv)
        printf("work,batch,context,tokens_per_s,share_of_arithmetic,share_of_bandwidth,predicted,error\n");
    else if (!args->json)
        printf("%s, %.2f G parameters (%.2f active), weights %s, %s, %d threads; %s: %.1f GB/s, %.0f %s\n"
               "%-8s %6s %8s %12s %12s %12s %12s %8s\n",
               b->info.arch, (double)b->info.n_params * 1e-9, (double)b->info.n_params_active * 1e-9, b->info.weights,
               b->info.level, b->info.threads, b->info.ranks > 1 ? "a rank" : "this machine", b->bandwidth * 1e-9,
               rate_of(b) * 1e-9, has_int_weights(b) ? "GOP/s of int8" : "GFLOP/s", "work", "batch", "context",
               "tokens/s", "arithmetic", "bandwidth", b->s.has_machine ? "predicted" : "",
               b->s.has_machine ? "error" : "");
}

/* Of the rank that holds most. */
static json_t *memory_json(const struct bench *b)
{
    return json_pack("{s:f, s:f}", "predicted_bytes", (double)mu_engine_bill(b->s.eng)->bytes_peak, "measured_bytes",
                     (double)mu_session_peak_bytes(&b->s));
}

static int print_json(const struct bench *b, struct mu_err *e)
{
    struct mu_engine_status st;
    mu_engine_status(b->s.eng, &st);
    json_t *all = json_pack("{s:s, s:s, s:s, s:i, s:I, s:f, s:f, s:f, s:O, s:o, s:o}", "arch", b->info.arch, "weights",
                            b->info.weights, "level", b->info.level, "threads", b->info.threads, "n_params",
                            (json_int_t)b->info.n_params, "read_bytes_per_s", b->bandwidth, "fma_flop_per_s",
                            b->flop_rate, "int8_op_per_s", b->int8_rate, "rows", b->rows, "kv_cache",
                            mu_kv_stats_json(&st.kv_fullest), "memory", memory_json(b));

    if (!all)
        return mu_fail_nomem(e, 0, "the report");
    if (calibrated_rate(b) > 0)
        json_object_set_new(all, "calibrated_bytes_per_s", json_real(calibrated_rate(b)));
    return mu_print_json(all, "the report", e);
}

/* Contexts that do not fit the model are left out and said. */
static bool fits(const struct bench *b, int64_t tokens, const struct bench_args *args)
{
    if (tokens <= b->info.context_max)
        return true;
    if (!args->model.quiet)
        fprintf(stderr, "bench: %" PRId64 " tokens are left out, the context holds %" PRId64 "\n", tokens,
                b->info.context_max);
    return false;
}

static int parse_args(struct bench *b, const struct bench_args *args, struct mu_err *e)
{
    MU_TRY_RETURN(parse_sizes(args->prefill, 1 << 20, b->prefill, &b->n_prefill, "prefill", e));
    MU_TRY_RETURN(parse_sizes(args->decode, 1 << 20, b->decode, &b->n_decode, "decode", e));
    return parse_sizes(args->batch, MU_ENGINE_SEQUENCES_MAX, b->batch, &b->n_batch, "batch", e);
}

/* All requests of the largest case: ids, and what is told of each token. */
static uint64_t request_bytes(const struct bench *b)
{
    int64_t longest = 0, most = 1;
    for (int i = 0; i < b->n_prefill; i++)
        longest = MU_MAX(longest, b->prefill[i]);
    for (int i = 0; i < b->n_decode; i++)
        longest = MU_MAX(longest, b->decode[i]);
    for (int i = 0; i < b->n_batch; i++)
        most = MU_MAX(most, b->batch[i]);
    return (uint64_t)(most * (REQUEST_BYTES + TOKEN_BYTES * (longest + b->tokens)));
}

static int run_all(struct bench *b, const struct bench_args *args, struct mu_err *e)
{
    print_head(b, args);
    warn_of_rate(b, args);
    for (int i = 0; i < b->n_prefill; i++) {
        if (b->prefill[i] > 0 && fits(b, b->prefill[i] + 1, args))
            MU_TRY_RETURN(bench_prefill(b, args, 1, (int)b->prefill[i], e));
    }
    for (int i = 0; i < b->n_decode; i++) {
        for (int j = 0; j < b->n_batch; j++) {
            int64_t batch = b->batch[j];
            if (batch > 0 && batch <= b->info.sequences_max && fits(b, b->decode[i] + b->tokens, args))
                MU_TRY_RETURN(bench_decode(b, args, (int)batch, (int)b->decode[i], e));
        }
    }
    return args->json ? print_json(b, e) : MU_OK;
}

static int bench_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    struct bench_args *args = p;
    struct bench b = {.rng = 88172645463325252u, .tokens = args->tokens, .repeat = args->repeat};
    int rc = MU_OK;

    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "bench takes no operands, %d were given", n_operands);
    args->model.no_prefix_sharing = true;
    if (args->model.endpoint)
        return mu_fail(e, MU_EUSAGE, "bench measures this machine: leave --endpoint out");
    MU_TRY(mu_model_path_check(args->model.model, e));
    MU_TRY(parse_args(&b, args, e));
    args->model.request_bytes = request_bytes(&b);
    MU_TRY(measure_machine(&b, args, e));
    mu_process_peak_reset();
    MU_TRY(mu_session_open(&b.s, &args->model, false, e));
    if (b.s.is_over)
        goto out;
    mu_engine_info(b.s.eng, &b.info);
    b.weight_bytes = bill_bytes(&b.s, "weights");
    b.kv_bytes_token = bill_bytes(&b.s, "KV cache") / ((double)b.info.kv_pages * MU_KV_PAGE);
    b.rows = json_array();
    MU_TRY(run_all(&b, args, e));
    MU_TRY(mu_session_write_expert_loads(&b.s, e));
    mu_session_report(&b.s);
out:
    json_decref(b.rows);
    mu_session_close(&b.s);
    return rc;
}

static void bench_defaults(void *p)
{
    *(struct bench_args *)p = (struct bench_args){.model = MU_MODEL_ARGS_INIT,
                                                  .prefill = "32,128,512,2048,4096",
                                                  .decode = "0,512,2048,8192",
                                                  .batch = "1,8,32,64",
                                                  .tokens = 32,
                                                  .repeat = 3};
}

#define FIELD(name) offsetof(struct bench_args, name)

static const struct mu_opt bench_opts[] = {
    MU_MODEL_OPTS(FIELD(model)),
    {MU_OPT_TEXT, "prefill", 0, FIELD(prefill), "N,N,...", .help = "Prompt lengths; 0: none.",
     .dflt = "32,128,512,2048,4096"},
    {MU_OPT_TEXT, "decode", 0, FIELD(decode), "N,N,...", .help = "Contexts at which decoding starts.",
     .dflt = "0,512,2048,8192"},
    {MU_OPT_TEXT, "batch", 0, FIELD(batch), "N,N,...", .help = "Sequences decoded together; 0: none.",
     .dflt = "1,8,32,64"},
    {MU_OPT_INT, "tokens", 'n', FIELD(tokens), "N", .lo = 2, .hi = 65536, .help = "Tokens each sequence decodes.",
     .dflt = "32"},
    {MU_OPT_INT, "repeat", 'r', FIELD(repeat), "N", .lo = 1, .hi = 1000, .help = "Runs of a case; the best is shown.",
     .dflt = "3"},
    {MU_OPT_FLAG, "csv", 0, FIELD(csv), .help = "Print CSV."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_bench = {
    .name = "bench",
    .summary = "measure prefill and decode rates",
    .operands = "",
    .story =
        "Measures tokens a second by prompt length, context and batch, beside the share of the multiply-add rate (f32; "
        "int8 where the weights are int8 or int4) and of the read bandwidth that this machine reaches in a bare loop "
        "in the same run. Where muster calibrate "
        "has kept its numbers, or --cluster names a file, the predicted tokens a second and how far they are off "
        "stand beside.\n\n"
        "On a machine shared with others figures move by tens of percent: compare runs of one sitting only.",
    .examples = "  muster bench --model DIR --prefill 512 --decode 512 --batch 1,16\n"
                "  muster bench --model DIR --weights int8 --csv > int8.csv\n",
    .opts = bench_opts,
    .args_size = sizeof(struct bench_args),
    .defaults = bench_defaults,
    .run = bench_run,
};
