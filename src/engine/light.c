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

#define QUEUE_WANTED         4096
#define REQUEST_BYTES_WANTED ((size_t)64 << 20)
#define ADMIT_SCAN_MAX       256 /* waiting requests that later ones may pass in one step: bounds the search */
#define KV_TOKENS_MAX        ((int64_t)INT32_MAX)

struct light {
    struct mu_engine base;
    struct mu_light_parts parts;
    struct mu_bill bill;
    const struct mu_clock *clock;
    struct mu_job_limits job_limits;
    enum mu_order order;
    int queue_max;
    size_t request_bytes_max;
    void *tables;
    struct mu_text_scratch text;
    struct mu_batcher batcher;

    pthread_mutex_t lock; /* guards what follows */
    struct mu_job_list pending, done;
    struct mu_job *all; /* in flight, the newest first */
    int n_in_flight;
    int n_cancels; /* of waiting requests, not yet seen to */
    size_t request_bytes;
    uint64_t last_id;
    struct mu_engine_status status; /* as of the last step */
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

static void batcher_limits(struct mu_batcher_limits *out, const struct mu_bill_limits *l, int64_t vocab, int chunk)
{
    *out = (struct mu_batcher_limits){.rows_max = l->rows,
                                      .logit_rows_max = l->logit_rows,
                                      .sequences_max = l->sequences,
                                      .prefill_chunk = chunk > 0 ? MU_MIN(chunk, l->rows) : l->rows,
                                      .context_max = l->context,
                                      .pages_n = (int32_t)l->pages,
                                      .vocab = vocab};
}

static int bill_sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    const struct mu_light_parts *p = arg;
    return p->model_sizes(p->sizes_arg, l, out, e);
}

static size_t bill_tables(void *arg, const struct mu_bill_limits *l)
{
    const struct mu_light_parts *p = arg;
    struct mu_batcher b;
    struct mu_batcher_limits limits;
    struct mu_carve c = {NULL, 0};
    batcher_limits(&limits, l, p->runner->vocab, 0);
    mu_batcher_carve(&b, &c, &limits);
    return c.used + mu_text_scratch_bytes() + sizeof(struct light);
}

/* The process may hold what it holds now and nine tenths of what is left; the tenth is for everybody else. */
static size_t own_limit(size_t in_use)
{
    size_t left = mu_memory_available(NULL);
    return left ? in_use + MU_BILL_RUNTIME_BYTES + left / 10 * 9 : 0;
}

static int make_bill(struct light *l, const struct mu_engine_opts *o, struct mu_err *e)
{
    size_t in_use = mu_mem_bytes_used();
    struct mu_bill_ask ask = {
        .limits = {.weights = l->parts.weights,
                   .kv_dtype = l->parts.kv_dtype,
                   .context = o->context_max,
                   .rows = o->rows_max,
                   .sequences = o->sequences_max,
                   .pages = mu_kv_pages_for(o->kv_tokens_max)},
        .context_model = l->parts.runner->context,
        .bytes_max = o->memory_bytes_max ? o->memory_bytes_max : own_limit(in_use),
        .bytes_max_from = o->memory_bytes_max ? "the limit given" : "nine tenths of what the machine has left",
        .bytes_in_use = in_use - sizeof *l, /* the engine itself is in its own line */
        .bytes_requests = l->request_bytes_max,
        .model_sizes = bill_sizes,
        .table_bytes = bill_tables,
        .arg = &l->parts,
    };
    MU_TRY_RETURN(mu_bill_make(&l->bill, &ask, e));
    if (o->on_bill && o->on_bill(o->arg, &l->bill))
        return mu_fail(e, MU_ECANCELED, "stopped when the memory bill was shown");
    if (!l->bill.fits)
        return mu_fail(e, MU_ENOMEM, "%s", l->bill.verdict);
    return MU_OK;
}

/* Everything the bill names is taken here. */
static int reserve(struct light *l, const struct mu_engine_opts *o, struct mu_err *e)
{
    const struct mu_bill_limits *b = &l->bill.limits;
    struct mu_runner *r = l->parts.runner;
    struct mu_batcher_limits limits;
    struct mu_carve c = {NULL, 0};

    MU_TRY_RETURN(r->ops->load(r, b->rows, b->logit_rows, b->context, b->pages, o->on_progress, o->arg, e));
    batcher_limits(&limits, b, r->vocab, o->prefill_chunk);
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
    l->order = o->order;
    l->job_limits = (struct mu_job_limits){.vocab = l->parts.runner->vocab,
                                           .context_max = b->context,
                                           .kv_tokens = b->pages * MU_KV_PAGE,
                                           .has_text = l->parts.detok.ops != NULL};
    l->batcher.clock = l->clock;
    l->batcher.text = &l->text;
    l->batcher.eos = l->parts.eos;
    l->batcher.n_eos = l->parts.n_eos;
    l->status.pages = b->pages;
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
    struct light *l = NULL;
    int rc;

    MU_TRY(check_opts(o, parts->runner->context, e));
    MU_TRY(MU_NEW(&l, "the engine", e));
    l->base.ops = &mu_engine_light;
    l->parts = moved;
    moved = (struct mu_light_parts){.runner = NULL};
    l->text = (struct mu_text_scratch)MU_TEXT_SCRATCH_INIT;
    pthread_mutex_init(&l->lock, NULL);
    l->queue_max = o->queue_max ? o->queue_max : QUEUE_WANTED;
    l->request_bytes_max = o->request_bytes ? o->request_bytes : REQUEST_BYTES_WANTED;
    MU_TRY(make_bill(l, o, e));
    MU_TRY(reserve(l, o, e));
    settle(l, o);
    *out = &l->base;
    l = NULL;
out:
    if (l)
        mu_light_close(&l->base);
    mu_light_parts_close(&moved);
    return rc;
}

static void free_list(struct mu_job_list *list)
{
    for (struct mu_job *j; (j = list->head) != NULL;) {
        mu_job_list_remove(list, j);
        mu_job_free(j);
    }
}

void mu_light_close(mu_engine *eng)
{
    struct light *l = (struct light *)eng;
    free_list(&l->pending);
    free_list(&l->done);
    free_list(&l->batcher.finished);
    for (int i = 0; i < l->batcher.n_running; i++)
        mu_job_free(l->batcher.slots[l->batcher.running[i]].job);
    mu_text_scratch_close(&l->text);
    mu_free(l->tables);
    mu_light_parts_close(&l->parts);
    pthread_mutex_destroy(&l->lock);
    mu_free(l);
}

/* ---- the queue ---- */

/* Whether a goes before b, which came earlier. */
static bool goes_before(const struct light *l, const struct mu_job *a, const struct mu_job *b)
{
    if (l->order == MU_ORDER_SUBMITTED)
        return false;
    if (a->result.n_prompt != b->result.n_prompt)
        return a->result.n_prompt > b->result.n_prompt;
    return memcmp(a->ids, b->ids, (size_t)a->result.n_prompt * sizeof *a->ids) < 0;
}

static void enqueue(struct light *l, struct mu_job *j)
{
    struct mu_job *before = NULL;
    struct mu_job *last = l->pending.tail;
    while (last && goes_before(l, j, last)) {
        before = last;
        last = last->prev;
    }
    mu_job_list_insert(&l->pending, before, j);
    j->all_next = l->all;
    if (l->all)
        l->all->all_prev = j;
    l->all = j;
    l->n_in_flight++;
    l->request_bytes += j->bytes;
}

static int admit_to_queue(struct light *l, struct mu_job *j, struct mu_err *e)
{
    if (l->n_in_flight >= l->queue_max)
        return mu_fail(e, MU_ENOMEM, "the queue is full with %d requests: poll for results first", l->n_in_flight);
    if (l->request_bytes + j->bytes > l->request_bytes_max)
        return mu_fail(e, MU_ENOMEM,
                       "requests in flight would take %zu bytes, %zu are reserved: poll for results first, or reserve "
                       "more",
                       l->request_bytes + j->bytes, l->request_bytes_max);
    j->result.id = ++l->last_id;
    enqueue(l, j);
    return MU_OK;
}

int mu_light_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    struct mu_job *j = NULL;

    MU_TRY_RETURN(mu_job_new(&j, r, &l->job_limits, e));
    j->submit_ns = mu_now_ns(l->clock);
    pthread_mutex_lock(&l->lock);
    int rc = admit_to_queue(l, j, e);
    if (rc == MU_OK)
        *id = j->result.id;
    pthread_mutex_unlock(&l->lock);
    if (rc != MU_OK)
        mu_job_free(j);
    return rc;
}

int mu_light_cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    bool is_found = false;
    pthread_mutex_lock(&l->lock);
    for (struct mu_job *j = l->all; j && !is_found; j = j->all_next) {
        if (j->result.id != id)
            continue;
        is_found = true;
        if (!atomic_exchange(&j->is_cancelled, true))
            l->n_cancels++;
    }
    pthread_mutex_unlock(&l->lock);
    return is_found ? MU_OK : mu_fail(e, MU_ENOENT, "request %" PRIu64 " is not in flight", id);
}

/* ---- polling ---- */

static void drop_cancelled(struct light *l)
{
    for (struct mu_job *j = l->pending.head, *next; j && l->n_cancels > 0; j = next) {
        next = j->next;
        if (!atomic_load(&j->is_cancelled))
            continue;
        mu_job_list_remove(&l->pending, j);
        j->result.code =
            mu_fail(&j->result.err, MU_ECANCELED, "request %" PRIu64 " was cancelled before it ran", j->result.id);
        mu_batcher_finish_queued(&l->batcher, j, MU_FINISH_CANCELLED);
    }
    l->n_cancels = 0; /* the rest was running, or done */
}

static void start_waiting(struct light *l)
{
    int n_passed = 0;
    for (struct mu_job *j = l->pending.head, *next; j && n_passed < ADMIT_SCAN_MAX; j = next) {
        next = j->next;
        mu_job_list_remove(&l->pending, j);
        enum mu_admit a = mu_batcher_admit(&l->batcher, j);
        if (a == MU_ADMIT_LATER || a == MU_ADMIT_FULL)
            mu_job_list_insert(&l->pending, next, j);
        if (a == MU_ADMIT_FULL)
            return;
        n_passed += a == MU_ADMIT_LATER;
    }
}

static void update_status(struct light *l)
{
    const struct mu_batcher_counts *c = &l->batcher.counts;
    const struct mu_kv_pages *p = &l->batcher.kv.pages;
    struct mu_engine_status *s = &l->status;
    s->n_running = l->batcher.n_running;
    s->steps = c->steps;
    s->rows = c->rows;
    s->logit_rows = c->logit_rows;
    s->tokens_prompt = c->tokens_prompt;
    s->tokens_cached = c->tokens_cached;
    s->tokens_output = c->tokens_output;
    s->step_ns = c->step_ns;
    s->rows_per_s = c->step_ns > 0 ? (double)c->rows * 1e9 / (double)c->step_ns : 0;
    s->pages_used = p->n - p->n_free - p->n_cached;
    s->pages_shared = p->n_shared;
    s->pages_cached = p->n_cached;
    s->pages_used_peak = p->n_used_peak;
    s->requests_done = c->jobs_done;
    s->requests_failed = c->jobs_failed;
}

static void collect(struct light *l)
{
    for (struct mu_job *j; (j = l->batcher.finished.head) != NULL;) {
        mu_job_list_remove(&l->batcher.finished, j);
        mu_job_list_append(&l->done, j);
    }
    update_status(l);
}

static int run_step(struct light *l, struct mu_err *e)
{
    pthread_mutex_lock(&l->lock);
    drop_cancelled(l);
    start_waiting(l);
    int n_stuck = l->batcher.n_running == 0 && l->batcher.finished.n == 0 ? l->pending.n : 0;
    pthread_mutex_unlock(&l->lock);
    if (n_stuck > 0)
        return mu_fail(e, MU_EINTERNAL, "%d requests wait and none can start", n_stuck);
    mu_batcher_step(&l->batcher);
    pthread_mutex_lock(&l->lock);
    collect(l);
    pthread_mutex_unlock(&l->lock);
    return MU_OK;
}

static void forget(struct light *l, struct mu_job *j)
{
    *(j->all_prev ? &j->all_prev->all_next : &l->all) = j->all_next;
    if (j->all_next)
        j->all_next->all_prev = j->all_prev;
    l->n_in_flight--;
    l->request_bytes -= j->bytes;
}

/* The first request that is done, out of the engine; *is_idle: none is in flight. */
static struct mu_job *take_done(struct light *l, bool *is_idle)
{
    pthread_mutex_lock(&l->lock);
    struct mu_job *j = l->done.head;
    *is_idle = l->n_in_flight == 0;
    if (j) {
        mu_job_list_remove(&l->done, j);
        forget(l, j);
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
            return MU_OK;
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
    out->n_queued = l->pending.n;
    out->n_done = l->done.n;
    pthread_mutex_unlock(&l->lock);
}

void mu_light_info(const mu_engine *eng, struct mu_engine_info *out)
{
    const struct light *l = (const struct light *)eng;
    const struct mu_bill_limits *b = &l->bill.limits;
    *out = (struct mu_engine_info){.engine = "light",
                                   .arch = l->parts.arch,
                                   .level = l->parts.level,
                                   .weights = mu_wformat_name(b->weights),
                                   .kv_dtype = mu_dtype_name(b->kv_dtype),
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
                                   .kv_pages = b->pages,
                                   .bos = l->parts.bos,
                                   .n_eos = l->parts.n_eos,
                                   .repetition = l->parts.repetition > 0 ? l->parts.repetition : 1};
    memcpy(out->eos, l->parts.eos, sizeof out->eos);
}

const struct mu_bill *mu_light_bill(const mu_engine *eng)
{
    return &((const struct light *)eng)->bill;
}

int mu_light_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    struct light *l = (struct light *)eng;
    (void)e;
    *bytes_freed = (size_t)mu_kv_drop_cached(&l->batcher.kv) * l->bill.kv_page_bytes;
    pthread_mutex_lock(&l->lock);
    update_status(l);
    pthread_mutex_unlock(&l->lock);
    return MU_OK;
}
