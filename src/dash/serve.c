/* serve.c - opening, draining and closing the server; the table of routes */
#include "dash/serve.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "dash/serve_int.h"

#define QUEUE_WANTED   1024
#define WORKERS_WANTED 2
#define LAST_WORDS_NS  1000000000ll /* for answers on their way out when the server closes */

static const struct mu_http_route routes[] = {
    {"POST", "/v1/completions", mu_route_completions, false},
    {"POST", "/v1/chat/completions", mu_route_chat, false},
    {"GET", "/v1/models", mu_route_models, false},
    {"GET", "/v1/models/*", mu_route_model, false},
    {"POST", "/tokenize", mu_route_tokenize, false},
    {"POST", "/detokenize", mu_route_detokenize, false},
    {"GET", "/tokenizer_info", mu_route_tokenizer_info, false},
    {"GET", "/metrics", mu_route_metrics, false},
    {"GET", "/version", mu_route_version, false},
    {"GET", "/health", mu_route_health, true},
    {NULL, NULL, NULL, false},
};

static int settle(struct mu_serve_opts *o, struct mu_err *e)
{
    if (!o->eng || !o->tok || !o->model || !o->model[0])
        return mu_fail(e, MU_EINVAL, "serving needs an engine, a tokenizer and a name for the model");
    if (mu_utf8_valid_prefix(o->model, strlen(o->model)) != strlen(o->model))
        return mu_fail(e, MU_EINVAL, "the model's name %s is no UTF-8, which JSON needs; give it another", o->model);
    if (o->queue_max < 0 || o->request_ns < 0)
        return mu_fail(e, MU_EINVAL, "a limit of the server is negative");
    if (o->workers < 0 || o->workers > MU_SERVE_WORKERS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d workers: 1 to %d are possible", o->workers, MU_SERVE_WORKERS_MAX);
    o->queue_max = o->queue_max ? o->queue_max : QUEUE_WANTED;
    o->workers = o->workers ? o->workers : WORKERS_WANTED;
    return MU_OK;
}

static void describe(struct mu_serve *s)
{
    mu_engine_info(s->o.eng, &s->info);
    s->api = (struct mu_api){.tok = s->o.tok,
                             .chat = s->o.chat,
                             .chat_template = s->o.chat_template,
                             .model = s->o.model,
                             .context_max = s->info.context_max,
                             .vocab = s->info.vocab,
                             .created = (int64_t)time(NULL),
                             .n_eos = s->info.n_eos};
    memcpy(s->api.eos, s->info.eos, sizeof s->api.eos);
    if (getrandom(&s->id_key, sizeof s->id_key, 0) != (ssize_t)sizeof s->id_key)
        s->id_key = (uint64_t)mu_serve_now_ns();
}

static int start_threads(struct mu_serve *s, struct mu_err *e)
{
    if (pthread_create(&s->engine, NULL, mu_serve_engine, s) != 0)
        return mu_fail(e, MU_ENOMEM, "cannot start the engine's thread");
    s->has_engine = true;
    while (s->n_workers < s->o.workers) {
        if (pthread_create(&s->workers[s->n_workers], NULL, mu_serve_work, s) != 0)
            return mu_fail(e, MU_ENOMEM, "cannot start worker %d of %d", s->n_workers + 1, s->o.workers);
        s->n_workers++;
    }
    return MU_OK;
}

static void init_locks(struct mu_serve *s)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->has_work, &monotonic);
    pthread_cond_init(&s->has_calls, &monotonic);
    pthread_cond_init(&s->has_changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int mu_serve_open(struct mu_serve **out, const struct mu_serve_opts *o, struct mu_err *e)
{
    struct mu_serve *s = NULL;
    int rc = MU_OK;

    mu_json_init();
    MU_TRY(MU_NEW(&s, "the server", e));
    s->o = *o;
    init_locks(s);
    mu_serve_metrics_init(&s->metrics);
    MU_TRY(settle(&s->o, e));
    describe(s);
    MU_TRY(start_threads(s, e));
    MU_TRY(mu_http_open(&s->http, &s->o.http, routes, s->o.keys, s, e));
    *out = s;
    s = NULL;
out:
    mu_serve_close(s);
    return rc;
}

int mu_serve_port(const struct mu_serve *s)
{
    return mu_http_port(s->http);
}

bool mu_serve_is_alive(struct mu_serve *s)
{
    return !atomic_load(&s->is_dead);
}

bool mu_serve_drain(struct mu_serve *s, int64_t timeout_ns)
{
    int64_t until = mu_serve_now_ns() + timeout_ns;
    struct timespec t = {until / 1000000000, until % 1000000000};
    int rc = 0;
    mu_http_stop(s->http);
    pthread_mutex_lock(&s->lock);
    s->is_draining = true;
    while (s->n_calls > 0 && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->has_changed, &s->lock, &t);
    bool is_empty = s->n_calls == 0;
    pthread_mutex_unlock(&s->lock);
    return is_empty && mu_http_drain(s->http, until - mu_serve_now_ns());
}

/* The engine's thread ends first and hands its calls to the workers, which end when all are answered. */
static void stop_threads(struct mu_serve *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    s->is_engine_done = s->is_engine_done || !s->has_engine;
    pthread_cond_broadcast(&s->has_calls);
    pthread_cond_broadcast(&s->has_work);
    pthread_mutex_unlock(&s->lock);
    if (s->has_engine)
        pthread_join(s->engine, NULL);
    for (int i = 0; i < s->n_workers; i++)
        pthread_join(s->workers[i], NULL);
}

void mu_serve_close(struct mu_serve *s)
{
    if (!s)
        return;
    if (s->http)
        mu_http_stop(s->http);
    stop_threads(s);
    if (s->http)
        mu_http_drain(s->http, LAST_WORDS_NS);
    mu_http_close(s->http);
    pthread_cond_destroy(&s->has_changed);
    pthread_cond_destroy(&s->has_calls);
    pthread_cond_destroy(&s->has_work);
    pthread_mutex_destroy(&s->lock);
    mu_free(s);
}
