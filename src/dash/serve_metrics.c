/* serve_metrics.c - GET /metrics in Prometheus's text format */
#include "dash/serve_metrics.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve_int.h"

#define METRICS_BYTES_MAX ((size_t)4 << 20) /* 64 models make 700 KB */

/* vLLM's bounds, so that its dashboards fit. */
static const double first_token_bounds[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                            1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
static const double whole_bounds[] = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                      30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};

void mu_serve_metrics_init(struct mu_serve_metrics *m)
{
    *m = (struct mu_serve_metrics){.first_token = {.bounds = first_token_bounds, .n = MU_COUNT(first_token_bounds)},
                                   .whole = {.bounds = whole_bounds, .n = MU_COUNT(whole_bounds)}};
}

void mu_histogram_add(struct mu_histogram *h, double seconds)
{
    int i = 0;
    while (i < h->n && seconds > h->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += seconds;
}

/* ---- text ---- */

/* A model as of one moment. */
struct row {
    struct mu_buf label; /* model_name="..." */
    struct mu_serve_metrics m;
    struct mu_engine_status st; /* zeros while it is not open */
    struct mu_resident_info info;
    double usage;
    int n_queued, n_opening;
};

struct page {
    struct mu_buf out;
    struct mu_err err;
    int rc;
    struct row *rows;
    int n;
    const char *own; /* label of what is the server's: the model's, if there is one only */
};

/* Escapes a label's value as Prometheus wants it: backslash, quote, newline. */
static int make_label(struct mu_buf *out, const char *model, struct mu_err *e)
{
    *out = (struct mu_buf)MU_BUF_INIT("a label", 4 * MU_RESIDENT_NAME_MAX);
    MU_TRY_RETURN(mu_buf_puts(out, "model_name=\"", e));
    for (const char *c = model; *c; c++) {
        if (*c == '\n')
            MU_TRY_RETURN(mu_buf_puts(out, "\\n", e));
        else
            MU_TRY_RETURN(mu_buf_printf(out, e, *c == '\\' || *c == '"' ? "\\%c" : "%c", *c));
    }
    return mu_buf_putc(out, '"', e);
}

static void put_head(struct page *p, const char *name, const char *type, const char *help)
{
    if (p->rc == MU_OK)
        p->rc = mu_buf_printf(&p->out, &p->err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct page *p, const char *name, const char *label, const char *more, double v)
{
    if (p->rc == MU_OK)
        p->rc = mu_buf_printf(&p->out, &p->err, "%s{%s%s} %.17g\n", name, label, more, v);
}

/* One line a model: value is an expression of r, its row. */
#define PUT(page, name, type, help, value)                                                                             \
    do {                                                                                                               \
        put_head(page, name, type, help);                                                                              \
        for (const struct row *r = (page)->rows; r < (page)->rows + (page)->n; r++)                                    \
            put_value(page, name, r->label.p, "", (double)(value));                                                    \
    } while (0)

static void put(struct page *p, const char *name, const char *type, const char *help, double v)
{
    put_head(p, name, type, help);
    put_value(p, name, p->own, "", v);
}

static void put_buckets(struct page *p, const char *name, const char *label, const struct mu_histogram *h)
{
    uint64_t n = 0;
    for (int i = 0; i <= h->n && p->rc == MU_OK; i++) {
        n += h->counts[i];
        if (i < h->n)
            p->rc =
                mu_buf_printf(&p->out, &p->err, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, label, h->bounds[i], n);
        else
            p->rc = mu_buf_printf(&p->out, &p->err,
                                  "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n%s_sum{%s} %.17g\n"
                                  "%s_count{%s} %" PRIu64 "\n",
                                  name, label, n, name, label, h->sum, name, label, n);
    }
}

static void put_histograms(struct page *p)
{
    const char *first = "vllm:time_to_first_token_seconds", *whole = "vllm:e2e_request_latency_seconds";
    put_head(p, first, "histogram", "From acceptance to the first token.");
    for (int i = 0; i < p->n; i++)
        put_buckets(p, first, p->rows[i].label.p, &p->rows[i].m.first_token);
    put_head(p, whole, "histogram", "From acceptance to the answer.");
    for (int i = 0; i < p->n; i++)
        put_buckets(p, whole, p->rows[i].label.p, &p->rows[i].m.whole);
}

static void put_outcomes(struct page *p)
{
    static const char *const labels[MU_OUTCOME_N] = {",finished_reason=\"stop\"", ",finished_reason=\"length\"",
                                                     ",finished_reason=\"abort\"", ",finished_reason=\"error\""};
    put_head(p, "vllm:request_success_total", "counter", "Requests that ended, by the reason.");
    for (int i = 0; i < p->n * MU_OUTCOME_N; i++) {
        const struct row *r = &p->rows[i / MU_OUTCOME_N];
        put_value(p, "vllm:request_success_total", r->label.p, labels[i % MU_OUTCOME_N],
                  (double)r->m.outcomes[i % MU_OUTCOME_N]);
    }
}

static void put_known(struct page *p)
{
    PUT(p, "vllm:num_requests_running", "gauge", "Requests being computed.", r->st.n_running);
    PUT(p, "vllm:num_requests_waiting", "gauge", "Requests waiting to be computed.", r->n_queued);
    PUT(p, "vllm:kv_cache_usage_perc", "gauge", "Share of the KV cache that running requests hold; 1 is all.",
        r->usage);
    PUT(p, "vllm:gpu_cache_usage_perc", "gauge", "The same under its older name.", r->usage);
    PUT(p, "vllm:prompt_tokens_total", "counter", "Prompt tokens of requests that ended.", r->m.prompt_tokens);
    PUT(p, "vllm:generation_tokens_total", "counter", "Tokens generated.", r->m.generation_tokens);
    put_outcomes(p);
    put_histograms(p);
}

static void put_pool(struct page *p)
{
    PUT(p, "muster_kv_pages", "gauge", "Pages of the KV cache.", r->st.pages);
    PUT(p, "muster_kv_pages_used", "gauge", "Pages held by running requests.", r->st.pages_used);
    PUT(p, "muster_kv_pages_cached", "gauge", "Pages held by finished requests only.", r->st.pages_cached);
    PUT(p, "muster_kv_pages_shared", "gauge", "Pages held by several running requests.", r->st.kv.shared);
    PUT(p, "muster_kv_pages_reserved", "gauge", "Pages promised to running requests.", r->st.kv.reserved);
    PUT(p, "muster_kv_pages_used_peak", "gauge", "The most pages that running requests held.", r->st.kv.held_peak);
    PUT(p, "muster_kv_pages_given_back", "gauge", "Free pages whose memory the system has.", r->st.kv.given_back);
    PUT(p, "muster_kv_empty_ratio", "gauge", "Share of the held pages' room without a token.",
        mu_kv_stats_empty(&r->st.kv));
    PUT(p, "muster_kv_scatter_ratio", "gauge", "Share of free pages before the last used one.",
        mu_kv_stats_scatter(&r->st.kv));
    PUT(p, "muster_kv_broken_ratio", "gauge", "Share of the free pages outside their longest run.",
        mu_kv_stats_broken(&r->st.kv));
    PUT(p, "muster_kv_sharing_gain", "gauge", "Pages that running requests use for one they hold.",
        mu_kv_stats_gain(&r->st.kv));
}

static void put_models(struct page *p)
{
    PUT(p, "muster_http_requests_gone_total", "counter", "Requests whose client left.", r->m.calls_gone);
    PUT(p, "muster_prompt_tokens_cached_total", "counter", "Prompt tokens found in shared pages.", r->m.cached_tokens);
    PUT(p, "muster_steps_total", "counter", "Steps of the engine.", r->st.steps);
    PUT(p, "muster_rows_total", "counter", "Rows (tokens) computed.", r->st.rows);
    PUT(p, "muster_step_seconds_total", "counter", "Time spent in steps.", (double)r->st.step_ns * 1e-9);
    put_pool(p);
    PUT(p, "muster_model_open", "gauge", "1 while the model is open.", r->info.state == MU_RESIDENT_READY);
    PUT(p, "muster_model_users", "gauge", "Requests that hold the model.", r->info.users);
    PUT(p, "muster_model_requests_opening", "gauge", "Requests that wait until the model is open.", r->n_opening);
    PUT(p, "muster_model_memory_bytes", "gauge", "Memory the model takes while it is open.", r->info.bytes);
    PUT(p, "muster_model_opens_total", "counter", "Times the model was opened.", r->info.opens);
    PUT(p, "muster_model_evictions_total", "counter", "Times the model was closed for others.", r->info.evictions);
    PUT(p, "muster_model_failures_total", "counter", "Times the model could not be opened.", r->info.failures);
    PUT(p, "muster_model_breakdowns_total", "counter", "Times the model broke down.", r->info.breaks);
    PUT(p, "muster_model_failed", "gauge", "1 while the model cannot be had.", r->info.state == MU_RESIDENT_FAILED);
    PUT(p, "muster_model_open_seconds", "gauge", "What its last opening took.", (double)r->info.open_ns * 1e-9);
}

static void put_server(struct page *p, struct mu_serve *s, int n_calls, uint64_t n_taken, uint64_t n_refused)
{
    struct mu_resident_totals t;
    mu_residents_totals(s->residents, &t);
    put(p, "muster_http_requests_total", "counter", "Requests taken or refused.", (double)n_taken);
    put(p, "muster_http_requests_refused_total", "counter", "Requests refused with 503.", (double)n_refused);
    put(p, "muster_http_requests_open", "gauge", "Requests accepted and not yet answered.", n_calls);
    put(p, "muster_models_memory_bytes", "gauge", "Memory of all open models.", (double)t.bytes);
    put(p, "muster_models_memory_bytes_max", "gauge", "What they may take; 0: no limit.", (double)t.bytes_max);
    put(p, "muster_models_trims_total", "counter", "Times an idle model gave memory back.", (double)t.trims);
    put(p, "muster_models_evictions_room_total", "counter", "Models closed to make room for others.",
        (double)t.evictions_room);
    put(p, "muster_models_evictions_pressure_total", "counter",
        "Models closed because the machine was short of memory.", (double)t.evictions_pressure);
    put(p, "muster_heap_bytes", "gauge", "Bytes of heap in use.", (double)mu_mem_bytes_used());
    put(p, "muster_heap_bytes_peak", "gauge", "The most bytes of heap in use so far.", (double)mu_mem_bytes_peak());
}

/* ---- looking ---- */

static void take_status(void *arg, void *model)
{
    struct row *r = arg;
    mu_engine_status(((const struct mu_serve_model *)model)->eng, &r->st);
}

static int count_parts(const struct mu_call_list *l, const struct mu_served *m)
{
    int n = 0;
    for (const struct mu_call *c = l->head; c; c = c->next)
        n += c->served == m ? c->n_parts : 0;
    return n;
}

static int fill_row(struct row *r, struct mu_serve *s, int i, struct mu_err *e)
{
    const struct mu_served *m = &s->served[i];
    mu_residents_info(s->residents, i, &r->info);
    mu_residents_look(s->residents, i, take_status, r);
    pthread_mutex_lock(&s->lock);
    r->m = m->metrics;
    r->n_opening = m->opening.n;
    r->n_queued = r->st.n_queued + count_parts(&s->inbox, m) + m->n_unsent;
    pthread_mutex_unlock(&s->lock);
    r->usage = r->st.pages > 0 ? (double)r->st.pages_used / (double)r->st.pages : 0;
    return make_label(&r->label, m->name, e);
}

static void write_page(struct page *p, struct mu_serve *s)
{
    p->rc = MU_NEW_ARRAY(&p->rows, s->n_served, "the metrics", &p->err);
    if (p->rc != MU_OK)
        return;
    for (; p->n < s->n_served && p->rc == MU_OK; p->n++)
        p->rc = fill_row(&p->rows[p->n], s, p->n, &p->err);
    if (p->rc != MU_OK)
        return;
    p->own = s->n_served == 1 ? p->rows[0].label.p : "";
    pthread_mutex_lock(&s->lock);
    uint64_t n_taken = s->n_taken, n_refused = s->n_refused;
    int n_calls = s->n_calls;
    pthread_mutex_unlock(&s->lock);
    put_known(p);
    put_models(p);
    put_server(p, s, n_calls, n_taken, n_refused);
}

void mu_route_metrics(void *arg, struct mu_http_request *r)
{
    struct page p = {.out = MU_BUF_INIT("the metrics", METRICS_BYTES_MAX), .err = MU_ERR_INIT};
    write_page(&p, arg);
    if (p.rc == MU_OK)
        mu_http_respond(r, 200, "text/plain; version=0.0.4; charset=utf-8", mu_buf_str(&p.out));
    else
        mu_http_respond(r, 503, "text/plain", MU_STR("no memory for the metrics\n"));
    for (int i = 0; i < p.n; i++)
        mu_buf_fini(&p.rows[i].label);
    mu_free(p.rows);
    mu_buf_fini(&p.out);
}
