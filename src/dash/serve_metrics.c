/* serve_metrics.c - GET /metrics in Prometheus's text format */
#include "dash/serve_metrics.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve_int.h"

#define METRICS_BYTES_MAX ((size_t)1 << 20)

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

struct page {
    struct mu_buf out;
    struct mu_buf label; /* model_name="..." */
    struct mu_err err;
    int rc;
};

/* Escapes a label's value as Prometheus wants it: backslash, quote, newline. */
static int make_label(struct page *p, const char *model)
{
    MU_TRY_RETURN(mu_buf_puts(&p->label, "model_name=\"", &p->err));
    for (const char *c = model; *c; c++) {
        if (*c == '\n')
            MU_TRY_RETURN(mu_buf_puts(&p->label, "\\n", &p->err));
        else
            MU_TRY_RETURN(mu_buf_printf(&p->label, &p->err, *c == '\\' || *c == '"' ? "\\%c" : "%c", *c));
    }
    return mu_buf_putc(&p->label, '"', &p->err);
}

static void put_head(struct page *p, const char *name, const char *type, const char *help)
{
    if (p->rc == MU_OK)
        p->rc = mu_buf_printf(&p->out, &p->err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct page *p, const char *name, const char *more_labels, double v)
{
    if (p->rc == MU_OK)
        p->rc = mu_buf_printf(&p->out, &p->err, "%s{%s%s} %.17g\n", name, p->label.p, more_labels, v);
}

static void put(struct page *p, const char *name, const char *type, const char *help, double v)
{
    put_head(p, name, type, help);
    put_value(p, name, "", v);
}

static void put_histogram(struct page *p, const char *name, const char *help, const struct mu_histogram *h)
{
    uint64_t n = 0;
    put_head(p, name, "histogram", help);
    for (int i = 0; i <= h->n && p->rc == MU_OK; i++) {
        n += h->counts[i];
        if (i < h->n)
            p->rc = mu_buf_printf(&p->out, &p->err, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, p->label.p,
                                  h->bounds[i], n);
        else
            p->rc = mu_buf_printf(&p->out, &p->err,
                                  "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n%s_sum{%s} %.17g\n"
                                  "%s_count{%s} %" PRIu64 "\n",
                                  name, p->label.p, n, name, p->label.p, h->sum, name, p->label.p, n);
    }
}

static void put_outcomes(struct page *p, const struct mu_serve_metrics *m)
{
    static const char *const labels[MU_OUTCOME_N] = {",finished_reason=\"stop\"", ",finished_reason=\"length\"",
                                                     ",finished_reason=\"abort\"", ",finished_reason=\"error\""};
    put_head(p, "vllm:request_success_total", "counter", "Requests that ended, by the reason.");
    for (int i = 0; i < MU_OUTCOME_N; i++)
        put_value(p, "vllm:request_success_total", labels[i], (double)m->outcomes[i]);
}

static void put_known(struct page *p, const struct mu_serve_metrics *m, const struct mu_engine_status *st, int n_queued)
{
    double usage = st->pages > 0 ? (double)st->pages_used / (double)st->pages : 0;
    put(p, "vllm:num_requests_running", "gauge", "Requests being computed.", st->n_running);
    put(p, "vllm:num_requests_waiting", "gauge", "Requests waiting to be computed.", n_queued);
    put(p, "vllm:kv_cache_usage_perc", "gauge", "Share of the KV cache that running requests hold; 1 is all.", usage);
    put(p, "vllm:gpu_cache_usage_perc", "gauge", "The same under its older name.", usage);
    put(p, "vllm:prompt_tokens_total", "counter", "Prompt tokens of requests that ended.", (double)m->prompt_tokens);
    put(p, "vllm:generation_tokens_total", "counter", "Tokens generated.", (double)m->generation_tokens);
    put_outcomes(p, m);
    put_histogram(p, "vllm:time_to_first_token_seconds", "From acceptance to the first token.", &m->first_token);
    put_histogram(p, "vllm:e2e_request_latency_seconds", "From acceptance to the answer.", &m->whole);
}

static void put_pool(struct page *p, const struct mu_kv_stats *kv)
{
    put(p, "muster_kv_pages_shared", "gauge", "Pages held by several running requests.", (double)kv->shared);
    put(p, "muster_kv_pages_reserved", "gauge", "Pages promised to running requests.", (double)kv->reserved);
    put(p, "muster_kv_pages_used_peak", "gauge", "The most pages that running requests held.", (double)kv->held_peak);
    put(p, "muster_kv_pages_given_back", "gauge", "Free pages whose memory the system has.", (double)kv->given_back);
    put(p, "muster_kv_empty_ratio", "gauge", "Share of the held pages' room without a token.", mu_kv_stats_empty(kv));
    put(p, "muster_kv_scatter_ratio", "gauge", "Share of free pages before the last used one.",
        mu_kv_stats_scatter(kv));
    put(p, "muster_kv_broken_ratio", "gauge", "Share of the free pages outside their longest run.",
        mu_kv_stats_broken(kv));
    put(p, "muster_kv_sharing_gain", "gauge", "Pages that running requests use for one they hold.",
        mu_kv_stats_gain(kv));
}

static void put_own(struct page *p, const struct mu_serve_metrics *m, const struct mu_engine_status *st, int n_calls)
{
    put(p, "muster_http_requests_total", "counter", "Requests taken or refused.", (double)m->calls);
    put(p, "muster_http_requests_refused_total", "counter", "Requests refused with 503.", (double)m->calls_refused);
    put(p, "muster_http_requests_gone_total", "counter", "Requests whose client left.", (double)m->calls_gone);
    put(p, "muster_http_requests_open", "gauge", "Requests accepted and not yet answered.", n_calls);
    put(p, "muster_prompt_tokens_cached_total", "counter", "Prompt tokens found in shared pages.",
        (double)m->cached_tokens);
    put(p, "muster_steps_total", "counter", "Steps of the engine.", (double)st->steps);
    put(p, "muster_rows_total", "counter", "Rows (tokens) computed.", (double)st->rows);
    put(p, "muster_step_seconds_total", "counter", "Time spent in steps.", (double)st->step_ns * 1e-9);
    put(p, "muster_kv_pages", "gauge", "Pages of the KV cache.", (double)st->pages);
    put(p, "muster_kv_pages_used", "gauge", "Pages held by running requests.", (double)st->pages_used);
    put(p, "muster_kv_pages_cached", "gauge", "Pages held by finished requests only.", (double)st->pages_cached);
    put_pool(p, &st->kv);
    put(p, "muster_heap_bytes", "gauge", "Bytes of heap in use.", (double)mu_mem_bytes_used());
    put(p, "muster_heap_bytes_peak", "gauge", "The most bytes of heap in use so far.", (double)mu_mem_bytes_peak());
}

static int count_unsent(const struct mu_call_list *l)
{
    int n = 0;
    for (const struct mu_call *c = l->head; c; c = c->next)
        n += c->n_parts;
    return n;
}

void mu_route_metrics(void *arg, struct mu_http_request *r)
{
    struct mu_serve *s = arg;
    struct page p = {.out = MU_BUF_INIT("the metrics", METRICS_BYTES_MAX),
                     .label = MU_BUF_INIT("a label", METRICS_BYTES_MAX),
                     .err = MU_ERR_INIT};
    struct mu_engine_status st;
    mu_engine_status(s->o.eng, &st);
    pthread_mutex_lock(&s->lock);
    struct mu_serve_metrics m = s->metrics;
    int n_queued = st.n_queued + count_unsent(&s->inbox) + s->n_unsent, n_calls = s->n_calls;
    pthread_mutex_unlock(&s->lock);
    p.rc = make_label(&p, s->api.model);
    put_known(&p, &m, &st, n_queued);
    put_own(&p, &m, &st, n_calls);
    if (p.rc == MU_OK)
        mu_http_respond(r, 200, "text/plain; version=0.0.4; charset=utf-8", mu_buf_str(&p.out));
    else
        mu_http_respond(r, 503, "text/plain", MU_STR("no memory for the metrics\n"));
    mu_buf_fini(&p.label);
    mu_buf_fini(&p.out);
}
