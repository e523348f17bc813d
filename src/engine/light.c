/* light.c - the engine of one process and one device
 *
 * Requests wait in `pending`, run in the batcher, and rest in `done` until they are polled. The lock guards these
 * lists and the counts beside them; the batcher belongs to the polling thread, which holds the lock while it admits
 * and while it collects, never while it computes.
 *
 * Not here: opening a checkpoint (light_open.c), what a step does (batcher.c). */
#include "engine/light.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/memory_limit.h"
#include "comm/comm.h"
#include "engine/kv/pool_batch.h"

#define ADMIT_SCAN_MAX 256 /* waiting requests that later ones may pass in one step: bounds the search */
#define KV_TOKENS_MAX  ((int64_t)INT32_MAX)

/* A look at the pool walks over its pages: one every so many steps, and when it is clearly fuller than at any before.
 */
#define LOOK_STEPS        16
#define LOOK_SHARE        64   /* of the pool that more pages must be held */
#define COMPACT_PAGES_MAX 1024 /* moved by one call: bounds how long steps wait */

struct light {
    struct mu_engine base;
    struct mu_light_parts parts;
    struct mu_bill bill;
    const struct mu_clock *clock;
    struct mu_job_limits job_limits;
    struct mu_forecast forecast;
    void *tables;
    struct mu_text_scratch text;
    struct mu_batcher batcher;

    pthread_mutex_t lock; /* guards what follows */
    struct mu_job_queue queue;
    struct mu_job_list done;
    struct mu_engine_status status; /* as of the last step */
    struct mu_step_mix mix;         /* likewise */
    struct mu_err lost;             /* the runner's */
};

/* ---- opening ---- */

static int check_range(const char *what, int64_t v, int64_t max, struct mu_err *e)
{
    if (v < 0 || v > max)
        return mu_fail(e, v < 0 ? MU_EINVAL : MU_ELIMIT,
                       "%s is %" PRId64 ": it must lie in 1 to %" PRId64 ", or be 0 to be chosen", what, v, max);
    return MU_OK;
}

static int check_opts(const struct mu_engine_opts *o, int64_t context_model, struct mu_err *e)
{
    MU_TRY_RETURN(check_range("the number of rows a step", o->rows_max, MU_ENGINE_ROWS_MAX, e));
    MU_TRY_RETURN(check_range("the number of sequences", o->sequences_max, MU_ENGINE_SEQUENCES_MAX, e));
    MU_TRY_RETURN(check_range("the KV cache in tokens", o->kv_tokens_max, KV_TOKENS_MAX, e));
    MU_TRY_RETURN(check_range("the prefill chunk", o->prefill_chunk, MU_ENGINE_ROWS_MAX, e));
    MU_TRY_RETURN(check_range("the queue", o->queue_max, MU_ENGINE_QUEUE_MAX, e));
    if (o->context_max < 0 || o->context_max > context_model)
        return mu_fail(e, o->context_max < 0 ? MU_EINVAL : MU_ELIMIT,
                       "a context of %" PRId64 " tokens was asked for and the model allows %" PRId64, o->context_max,
                       context_model);
    if (o->order != MU_ORDER_SUBMITTED && o->order != MU_ORDER_LONGEST)
        return mu_fail(e, MU_EINVAL, "order %d does not exist", (int)o->order);
    return MU_OK;
}

static void batcher_limits(struct mu_batcher_limits *out, const struct mu_bill_limits *l, const struct mu_runner *r,
                           int chunk)
{
    *out = (struct mu_batcher_limits){.rows_max = l->rows,
                                      .logit_rows_max = l->logit_rows,
                                      .sequences_max = (l->sequences + r->n_lanes - 1) / r->n_lanes * r->n_lanes,
                                      .n_lanes = r->n_lanes,
                                      .prefill_chunk = chunk > 0 ? MU_MIN(chunk, l->rows) : l->rows,
                                      .context_max = l->context,
                                      .pages_n = (int32_t)l->pages,
                                      .vocab = r->vocab};
}

struct bill_arg {
    const struct mu_light_parts *parts;
    bool is_follower;
};

static int bill_sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    const struct mu_light_parts *p = ((struct bill_arg *)arg)->parts;
    return p->model_sizes(p->sizes_arg, l, out, e);
}

static size_t bill_tables(void *arg, const struct mu_bill_limits *l)
{
    const struct bill_arg *a = arg;
    const struct mu_runner *r = a->parts->runner;
    size_t of_runner = r->ops->table_bytes ? r->ops->table_bytes(r, l) : 0;
    struct mu_batcher b;
    struct mu_batcher_limits limits;
    struct mu_carve c = {NULL, 0};
    if (a->is_follower)
        return of_runner;
    batcher_limits(&limits, l, r, 0);
    mu_batcher_carve(&b, &c, &limits);
    return c.used + mu_text_scratch_bytes() + sizeof(struct light) + of_runner;
}

/* The process may hold what it holds now and nine tenths of its share of what is left; the tenth is for everybody else.
 */
static size_t own_limit(size_t in_use, int sharers)
{
    size_t left = mu_memory_available(NULL);
    return left ? in_use + MU_BILL_RUNTIME_BYTES + left / 10 * 9 / (size_t)sharers : 0;
}

int mu_light_bill_make(struct mu_bill *out, const struct mu_engine_opts *o, const struct mu_light_parts *parts,
                       int sharers, bool is_follower, struct mu_err *e)
{
    size_t in_use = mu_mem_bytes_used();
    struct bill_arg arg = {parts, is_follower};
    struct mu_bill_ask ask = {
        .limits = {.weights = parts->weights,
                   .kv_dtype = parts->kv_dtype,
                   .context = o->context_max,
                   .rows = o->rows_max,
                   .sequences = o->sequences_max,
                   .pages = mu_kv_pages_for(o->kv_tokens_max)},
        .context_model = parts->runner->context,
        .page_owners = parts->runner->page_owners,
        .bytes_max = o->memory_bytes_max ? o->memory_bytes_max : own_limit(in_use, sharers),
        .bytes_max_from = o->memory_bytes_max ? "the limit given"
                          : sharers > 1       ? "nine tenths of its share of what the machine has left"
                                              : "nine tenths of what the machine has left",
        .bytes_in_use = in_use,
        .bytes_requests = is_follower ? 0 : mu_queue_bytes_max(o),
        .work = {.requests = o->work.requests, .longest = o->work.longest, .tokens = o->work.tokens},
        .model_sizes = bill_sizes,
        .table_bytes = bill_tables,
        .arg = &arg,
    };
    struct mu_batch_ask batch_ask = {.bill = &ask};
    struct mu_batch batch;
    if (mu_comm_size(o->world) == 1) /* ranks agree on the least that any of them has chosen without knowing the work */
        batch_ask.work = o->work;
    MU_TRY_RETURN(check_opts(o, parts->runner->context, e));
    MU_TRY_RETURN(mu_batch_choose(&batch, &batch_ask, e));
    ask.limits = batch.limits;
    MU_TRY_RETURN(mu_bill_make(out, &ask, e));
    if (batch.is_chosen)
        mu_bill_say(out, batch.why);
    return MU_OK;
}

/* Made before the engine itself is allocated, which is in a line of its own. */
static int settle_bill(struct mu_bill *out, const struct mu_engine_opts *o, const struct mu_light_parts *parts,
                       struct mu_err *e)
{
    if (parts->bill) {
        *out = *parts->bill;
        return MU_OK;
    }
    MU_TRY_RETURN(mu_light_bill_make(out, o, parts, 1, false, e));
    if (o->on_bill && o->on_bill(o->arg, out))
        return mu_fail(e, MU_ECANCELED, "stopped when the memory bill was shown");
    return out->fits ? MU_OK : mu_fail(e, MU_ENOMEM, "%s", out->verdict);
}

/* Everything the bill names is taken here. */
static int reserve(struct light *l, const struct mu_engine_opts *o, const struct mu_layout *layout, struct mu_err *e)
{
    const struct mu_bill_limits *b = &l->bill.limits;
    struct mu_runner *r = l->parts.runner;
    struct mu_batcher_limits limits;
    struct mu_carve c = {NULL, 0};

    if (l->parts.checkpoint) /* loading moves the description away */
        MU_TRY_RETURN(mu_forecast_open(&l->forecast, &l->parts.checkpoint->spec, o, layout, l->parts.threads,
                                       b->weights, b->kv_dtype, e));
    MU_TRY_RETURN(r->ops->load(r, b, o->on_progress, o->arg, e));
    batcher_limits(&limits, b, r, o->prefill_chunk);
    mu_batcher_carve(&l->batcher, &c, &limits);
    l->tables = mu_calloc(1, c.used);
    if (!l->tables)
        return mu_fail_nomem(e, c.used, "the engine's tables");
    c = (struct mu_carve){l->tables, 0};
    mu_batcher_carve(&l->batcher, &c, &limits);
    mu_batcher_reset(&l->batcher, r, !o->no_prefix_sharing);
    return mu_text_scratch_open(&l->text, l->parts.detok.ops ? &l->parts.detok : NULL, e);
}

static void settle(struct light *l, const struct mu_engine_opts *o)
{
    const struct mu_bill_limits *b = &l->bill.limits;
    l->clock = o->clock ? o->clock : mu_clock_real();
    l->job_limits = (struct mu_job_limits){.vocab = l->parts.runner->vocab,
                                           .context_max = b->context,
                                           .kv_tokens = mu_bill_sequence_max(b, l->parts.runner->page_owners),
                                           .has_text = l->parts.detok.ops != NULL};
    l->batcher.clock = l->clock;
    l->batcher.text = &l->text;
    l->batcher.eos = l->parts.eos;
    l->batcher.n_eos = l->parts.n_eos;
    l->status.pages = b->pages * l->parts.runner->n_lanes;
    mu_batcher_kv_stats(&l->batcher, &l->status.kv);
    l->status.kv_fullest = l->status.kv;
}

void mu_light_parts_close(struct mu_light_parts *p)
{
    if (p->runner)
        p->runner->ops->close(p->runner);
    if (p->checkpoint)
        mu_checkpoint_fini(p->checkpoint);
    mu_free(p->checkpoint);
    mu_device_close(p->device);
}

int mu_light_open_parts(mu_engine **out, const struct mu_engine_opts *o, const struct mu_light_parts *parts,
                        struct mu_err *e)
{
    struct mu_light_parts moved = *parts;
    struct mu_bill bill;
    struct light *l = NULL;
    int rc;

    MU_TRY(settle_bill(&bill, o, parts, e));
    MU_TRY(MU_NEW(&l, "the engine", e));
    l->base.ops = &mu_engine_light;
    l->bill = bill;
    l->parts = moved;
    l->parts.bill = NULL;
    l->parts.layout = NULL;
    moved = (struct mu_light_parts){.runner = NULL};
    l->text = (struct mu_text_scratch)MU_TEXT_SCRATCH_INIT;
    pthread_mutex_init(&l->lock, NULL);
    mu_job_queue_init(&l->queue, o);
    MU_TRY(reserve(l, o, parts->layout, e));
    settle(l, o);
    *out = &l->base;
    l = NULL;
out:
    if (l)
        mu_light_close(&l->base);
    mu_light_parts_close(&moved);
    return rc;
}

void mu_light_close(mu_engine *eng)
{
    struct light *l = (struct light *)eng;
    mu_job_list_free(&l->queue.pending);
    mu_job_list_free(&l->done);
    mu_job_list_free(&l->batcher.finished);
    for (int i = 0; i < l->batcher.n_running; i++)
        mu_job_free(l->batcher.slots[l->batcher.running[i]].job);
    mu_text_scratch_close(&l->text);
    mu_forecast_close(&l->forecast);
    mu_free(l->tables);
    mu_light_parts_close(&l->parts);
    pthread_mutex_destroy(&l->lock);
    mu_free(l);
}

/* ---- the queue ---- */

static int submit(mu_engine *eng, const struct mu_request *r, uint64_t wanted, uint64_t *id, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    struct mu_job *j = NULL;

    MU_TRY_RETURN(mu_job_new(&j, r, &l->job_limits, e));
    j->submit_ns = mu_now_ns(l->clock);
    pthread_mutex_lock(&l->lock);
    int rc = l->lost.code == MU_OK ? mu_job_queue_add(&l->queue, j, wanted, e)
                                   : mu_fail(e, l->lost.code, "%s", l->lost.text);
    if (rc == MU_OK)
        *id = j->result.id;
    pthread_mutex_unlock(&l->lock);
    if (rc != MU_OK)
        mu_job_free(j);
    return rc;
}

int mu_light_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    return submit(eng, r, 0, id, e);
}

int mu_light_submit_as(mu_engine *eng, const struct mu_request *r, uint64_t id, struct mu_err *e)
{
    return submit(eng, r, id, &id, e);
}

int mu_light_cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    pthread_mutex_lock(&l->lock);
    int rc = mu_job_queue_cancel(&l->queue, id, e);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

/* ---- polling ---- */

static void drop_cancelled(struct light *l)
{
    for (struct mu_job *j = l->queue.pending.head, *next; j && l->queue.n_cancels > 0; j = next) {
        next = j->next;
        if (!atomic_load(&j->is_cancelled))
            continue;
        mu_job_list_remove(&l->queue.pending, j);
        j->result.code =
            mu_fail(&j->result.err, MU_ECANCELED, "request %" PRIu64 " was cancelled before it ran", j->result.id);
        mu_batcher_finish_queued(&l->batcher, j, MU_FINISH_CANCELLED);
    }
    l->queue.n_cancels = 0; /* the rest was running, or done */
}

static void start_waiting(struct light *l)
{
    int n_passed = 0;
    for (struct mu_job *j = l->queue.pending.head, *next; j && n_passed < ADMIT_SCAN_MAX; j = next) {
        next = j->next;
        mu_job_list_remove(&l->queue.pending, j);
        enum mu_admit a = mu_batcher_admit(&l->batcher, j);
        if (a == MU_ADMIT_LATER || a == MU_ADMIT_FULL)
            mu_job_list_insert(&l->queue.pending, next, j);
        if (a == MU_ADMIT_FULL)
            return;
        n_passed += a == MU_ADMIT_LATER;
    }
}

static void update_status(struct light *l)
{
    const struct mu_batcher_counts *c = &l->batcher.counts;
    struct mu_engine_status *s = &l->status;
    l->mix = l->batcher.mix;
    s->n_running = l->batcher.n_running;
    s->steps = c->steps;
    s->rows = c->rows;
    s->logit_rows = c->logit_rows;
    s->tokens_prompt = c->tokens_prompt;
    s->tokens_cached = c->tokens_cached;
    s->tokens_output = c->tokens_output;
    s->step_ns = c->step_ns;
    s->rows_per_s = c->step_ns > 0 ? (double)c->rows * 1e9 / (double)c->step_ns : 0;
    s->requests_done = c->jobs_done;
    s->requests_failed = c->jobs_failed;
    s->pages_used = s->pages_shared = s->pages_cached = s->pages_used_peak = 0;
    for (int lane = 0; lane < l->batcher.limits.n_lanes; lane++) {
        const struct mu_kv_pages *p = &l->batcher.kv[lane].pages;
        s->pages_used += p->n - p->n_free - p->n_cached;
        s->pages_shared += p->n_shared;
        s->pages_cached += p->n_cached;
        s->pages_used_peak += p->n_used_peak;
    }
}

static void look_at_pool(struct light *l)
{
    struct mu_engine_status *s = &l->status;
    mu_batcher_kv_stats(&l->batcher, &s->kv);
    if (s->kv.held > s->kv_fullest.held)
        s->kv_fullest = s->kv;
    s->kv_fullest.held_peak = s->kv.held_peak;
}

static bool is_look_due(const struct light *l)
{
    const struct mu_engine_status *s = &l->status;
    return l->batcher.n_running == 0 || s->steps % LOOK_STEPS == 1 ||
           s->pages_used > s->kv_fullest.held + s->pages / LOOK_SHARE;
}

/* The ranks are gone: whatever is in flight ends with the sentence that says which. Under the lock. */
static void fail_all(struct light *l)
{
    const struct mu_err *why = &l->parts.runner->lost;
    l->lost = *why;
    mu_batcher_fail_all(&l->batcher, why);
    for (struct mu_job *j; (j = l->queue.pending.head) != NULL;) {
        mu_job_list_remove(&l->queue.pending, j);
        j->result.err = *why;
        j->result.code = why->code;
        mu_batcher_finish_queued(&l->batcher, j, MU_FINISH_ERROR);
    }
}

static void collect(struct light *l)
{
    for (struct mu_job *j; (j = l->batcher.finished.head) != NULL;) {
        mu_job_list_remove(&l->batcher.finished, j);
        mu_job_list_append(&l->done, j);
    }
    update_status(l);
    if (is_look_due(l))
        look_at_pool(l);
}

static int run_step(struct light *l, struct mu_err *e)
{
    pthread_mutex_lock(&l->lock);
    drop_cancelled(l);
    if (l->parts.runner->lost.code == MU_OK)
        start_waiting(l);
    if (l->parts.runner->lost.code != MU_OK)
        fail_all(l);
    mu_batcher_watch(&l->batcher, l->queue.pending.head);
    int n_stuck = l->batcher.n_running == 0 && l->batcher.finished.n == 0 ? l->queue.pending.n : 0;
    pthread_mutex_unlock(&l->lock);
    if (n_stuck > 0)
        return mu_fail(e, MU_EINTERNAL, "%d requests wait and none can start", n_stuck);
    mu_batcher_step(&l->batcher);
    pthread_mutex_lock(&l->lock);
    collect(l);
    pthread_mutex_unlock(&l->lock);
    return MU_OK;
}

/* The first request that is done, out of the engine; *is_idle: none is in flight. */
static struct mu_job *take_done(struct light *l, bool *is_idle)
{
    pthread_mutex_lock(&l->lock);
    struct mu_job *j = l->done.head;
    *is_idle = l->queue.n == 0;
    if (j) {
        mu_job_list_remove(&l->done, j);
        mu_job_queue_forget(&l->queue, j);
    }
    pthread_mutex_unlock(&l->lock);
    return j;
}

/* Text is made when the result leaves: until then only what was shown is known, by its length. */
static void add_text(const struct light *l, struct mu_job *j)
{
    char *text = NULL;
    if (j->req.kind != MU_REQUEST_GENERATE || !l->parts.detok.ops)
        return;
    struct mu_err err = MU_ERR_INIT;
    int rc = mu_text_whole(&l->parts.detok, j->ids, j->n_given, j->n_ids, j->text.bytes, &text, &err);
    if (rc != MU_OK && j->result.code == MU_OK) {
        j->result.code = rc;
        j->result.err = err;
        j->result.finish = MU_FINISH_ERROR;
    }
    j->result.text = text;
    j->result.text_bytes = text ? j->text.bytes : 0;
}

int mu_light_poll(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    int64_t start_ns = mu_now_ns(l->clock);
    bool is_idle, is_late = false;

    *out = NULL;
    for (;;) {
        struct mu_job *j = take_done(l, &is_idle);
        if (j) {
            add_text(l, j);
            *out = &j->result;
            return MU_OK;
        }
        if (is_idle)
            return l->lost.code == MU_OK ? MU_OK : mu_fail(e, l->lost.code, "%s", l->lost.text);
        if (is_late)
            return mu_fail(e, MU_ETIMEDOUT, "no request was done within %.3f s", (double)timeout_ns / 1e9);
        MU_TRY_RETURN(run_step(l, e));
        is_late = mu_now_ns(l->clock) - start_ns >= timeout_ns;
    }
}

/* ---- looking in ---- */

void mu_light_status(mu_engine *eng, struct mu_engine_status *out)
{
    struct light *l = (struct light *)eng;
    pthread_mutex_lock(&l->lock);
    *out = l->status;
    out->n_queued = l->queue.pending.n;
    out->n_done = l->done.n;
    pthread_mutex_unlock(&l->lock);
}

void mu_light_counts(mu_engine *eng, int *n_queued, int *n_running)
{
    struct light *l = (struct light *)eng;
    pthread_mutex_lock(&l->lock);
    *n_queued = l->queue.pending.n;
    *n_running = l->status.n_running;
    pthread_mutex_unlock(&l->lock);
}

struct mu_runner *mu_light_runner(mu_engine *eng)
{
    return ((struct light *)eng)->parts.runner;
}

void mu_light_job_limits(const mu_engine *eng, struct mu_job_limits *out)
{
    *out = ((const struct light *)eng)->job_limits;
}

void mu_light_info(const mu_engine *eng, struct mu_engine_info *out)
{
    const struct light *l = (const struct light *)eng;
    const struct mu_bill_limits *b = &l->bill.limits;
    *out = (struct mu_engine_info){.engine = "light",
                                   .layout = "",
                                   .ranks = 1,
                                   .replicas = 1,
                                   .arch = l->parts.arch,
                                   .level = l->parts.level,
                                   .weights = mu_wformat_name(b->weights),
                                   .kv_dtype = mu_kv_type_name(b->kv_dtype),
                                   .vocab = l->parts.runner->vocab,
                                   .context_max = b->context,
                                   .n_params = l->parts.n_params,
                                   .n_params_active = l->parts.n_params_active,
                                   .weight_bytes_read = l->parts.checkpoint ? l->parts.checkpoint->bytes_read : 0,
                                   .weights_hash = l->parts.checkpoint ? l->parts.checkpoint->content_hash : "",
                                   .rows_max = b->rows,
                                   .sequences_max = b->sequences,
                                   .prefill_chunk = l->batcher.limits.prefill_chunk,
                                   .threads = l->parts.threads,
                                   .kv_pages = b->pages * l->parts.runner->n_lanes,
                                   .bos = l->parts.bos,
                                   .n_eos = l->parts.n_eos,
                                   .repetition = l->parts.repetition > 0 ? l->parts.repetition : 1};
    memcpy(out->eos, l->parts.eos, sizeof out->eos);
}

void mu_light_seen(mu_engine *eng, struct mu_engine_seen *out)
{
    struct light *l = (struct light *)eng;
    pthread_mutex_lock(&l->lock);
    struct mu_step_mix mix = l->mix;
    pthread_mutex_unlock(&l->lock);
    mu_forecast_see(&l->forecast, &mix, out);
}

const struct mu_forecast *mu_light_forecast(const mu_engine *eng)
{
    return &((const struct light *)eng)->forecast;
}

const struct mu_bill *mu_light_bill(const mu_engine *eng)
{
    return &((const struct light *)eng)->bill;
}

static void look_again(struct light *l)
{
    pthread_mutex_lock(&l->lock);
    update_status(l);
    look_at_pool(l);
    pthread_mutex_unlock(&l->lock);
}

int mu_light_compact(mu_engine *eng, int pages_max, int *n_moved, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    int rc = mu_batcher_compact(&l->batcher, pages_max, n_moved, e);
    look_again(l);
    return rc;
}

int mu_light_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    int64_t n_pages;
    int n_moved, rc;
    *bytes_freed = 0;
    for (int lane = 0; lane < l->batcher.limits.n_lanes; lane++)
        *bytes_freed += (size_t)mu_kv_drop_cached(&l->batcher.kv[lane]) * l->bill.kv_page_bytes;
    MU_TRY(mu_batcher_compact(&l->batcher, COMPACT_PAGES_MAX, &n_moved, e));
    MU_TRY(mu_batcher_give_back(&l->batcher, &n_pages, e));
out:
    look_again(l);
    return rc;
}
