/* serve.c - opening, draining and closing the server; the table of routes */
#include "dash/serve.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "dash/serve_int.h"
#include "engine/resident/engine.h"
#include "engine/service/record.h"

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

static int check_name(const char *name, struct mu_err *e)
{
    if (mu_utf8_valid_prefix(name, strlen(name)) != strlen(name))
        return mu_fail(e, MU_EINVAL, "the model's name %s is no UTF-8, which JSON needs; give it another", name);
    return MU_OK;
}

static int settle(struct mu_serve_opts *o, struct mu_err *e)
{
    bool is_one = o->model && o->model->eng && o->model->tok && o->name && o->name[0];
    if (!is_one && !o->residents)
        return mu_fail(e, MU_EINVAL, "serving needs an engine, a tokenizer and a name for the model");
    if (o->queue_max < 0 || o->request_ns < 0 || o->load_queue_max < 0 || o->load_ns < 0)
        return mu_fail(e, MU_EINVAL, "a limit of the server is negative");
    if (o->workers < 0 || o->workers > MU_SERVE_WORKERS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d workers: 1 to %d are possible", o->workers, MU_SERVE_WORKERS_MAX);
    o->queue_max = o->queue_max ? o->queue_max : QUEUE_WANTED;
    o->workers = o->workers ? o->workers : WORKERS_WANTED;
    o->load_queue_max = o->load_queue_max ? o->load_queue_max : MU_SERVE_LOAD_QUEUE;
    o->load_ns = o->load_ns ? o->load_ns : MU_SERVE_LOAD_NS;
    return MU_OK;
}

/* ---- one model: a table with one entry, which is open until it breaks down ---- */

static int one_measure(void *arg, const char *name, size_t *bytes, struct mu_err *e)
{
    const struct mu_serve_model *m = arg;
    const struct mu_bill *bill = mu_engine_bill(m->eng);
    (void)name, (void)e;
    *bytes = bill ? bill->bytes_peak : 0;
    return MU_OK;
}

static int one_open(void *arg, const char *name, void **model, struct mu_err *e)
{
    (void)name, (void)e;
    *model = arg;
    return MU_OK;
}

static void one_close(void *arg, void *model)
{
    (void)arg, (void)model;
}

static int one_trim(void *arg, void *model, struct mu_err *e)
{
    const struct mu_serve_model *m = model;
    size_t freed;
    (void)arg;
    return mu_engine_optimize_memory(m->eng, &freed, e);
}

static const struct mu_resident_ops one_ops = {
    .measure = one_measure, .open = one_open, .close = one_close, .trim = one_trim, .pressure = mu_resident_pressure};

static int make_table(struct mu_serve *s, struct mu_err *e)
{
    struct mu_resident_opts o = {.ops = &one_ops, .arg = (void *)(uintptr_t)s->o.model, .breaks_max = 1};
    s->residents = s->o.residents;
    if (s->residents)
        return MU_OK;
    MU_TRY_RETURN(mu_residents_open(&s->residents, &o, e));
    s->owns_residents = true;
    MU_TRY_RETURN(mu_residents_add(s->residents, s->o.name, true, e));
    return mu_residents_preload(s->residents, s->o.name, 0, e);
}

static int read_table(struct mu_serve *s, struct mu_err *e)
{
    struct mu_resident_totals totals;
    struct mu_resident_info info;
    mu_residents_totals(s->residents, &totals);
    if (totals.n == 0)
        return mu_fail(e, MU_EINVAL, "serving needs at least one model");
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->served, totals.n, "the models", e));
    s->n_served = totals.n;
    for (int i = 0; i < s->n_served && mu_residents_info(s->residents, i, &info); i++) {
        struct mu_served *m = &s->served[i];
        MU_TRY_RETURN(check_name(info.name, e));
        memcpy(m->name, info.name, sizeof m->name);
        m->is_kept = info.is_kept;
        m->context_max = s->o.context_max ? s->o.context_max[i] : 0;
        mu_serve_metrics_init(&m->metrics);
    }
    return MU_OK;
}

static void describe_one(struct mu_serve *s)
{
    struct mu_engine_info info;
    if (!s->owns_residents)
        return;
    mu_engine_info(s->o.model->eng, &info);
    s->served[0].context_max = info.context_max;
}

/* ---- opening ---- */

static struct mu_http_opts http_opts(const struct mu_serve_opts *o)
{
    struct mu_http_opts h = o->http;
    h.client_header = MU_SERVICE_CLIENT_HEADER;
    h.mark[0] = o->service_id ? MU_SERVICE_HEADER : NULL;
    h.mark[1] = o->service_id;
    return h;
}

static int start_threads(struct mu_serve *s, struct mu_err *e)
{
    if (pthread_create(&s->engine, NULL, mu_serve_engine, s) != 0)
        return mu_fail(e, MU_ENOMEM, "cannot start the engine's thread");
    s->has_engine = true;
    if (pthread_create(&s->opener, NULL, mu_serve_opener, s) != 0)
        return mu_fail(e, MU_ENOMEM, "cannot start the thread that opens models");
    s->has_opener = true;
    while (s->n_workers < s->o.workers) {
        if (pthread_create(&s->workers[s->n_workers], NULL, mu_serve_work, s) != 0)
            return mu_fail(e, MU_ENOMEM, "cannot start worker %d of %d", s->n_workers + 1, s->o.workers);
        s->n_workers++;
    }
    return MU_OK;
}

static void init_locks(struct mu_serve *s)
{
    pthread_mutex_init(&s->lock, NULL);
    mu_cond_init(&s->has_work);
    mu_cond_init(&s->has_calls);
    mu_cond_init(&s->has_opening);
    mu_cond_init(&s->has_changed);
}

int mu_serve_open(struct mu_serve **out, const struct mu_serve_opts *o, struct mu_err *e)
{
    struct mu_serve *s = NULL;
    int rc = MU_OK;

    mu_json_init();
    MU_TRY(MU_NEW(&s, "the server", e));
    s->o = *o;
    init_locks(s);
    s->created = (int64_t)time(NULL);
    if (getrandom(&s->id_key, sizeof s->id_key, 0) != (ssize_t)sizeof s->id_key)
        s->id_key = (uint64_t)mu_serve_now_ns();
    MU_TRY(settle(&s->o, e));
    MU_TRY(make_table(s, e));
    MU_TRY(read_table(s, e));
    describe_one(s);
    MU_TRY(start_threads(s, e));
    s->o.http = http_opts(&s->o);
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

int mu_serve_death(struct mu_serve *s, struct mu_err *e)
{
    return mu_serve_is_alive(s) ? MU_OK : mu_fail(e, s->death.code, "%s", s->death.text);
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

/* The opener ends first, the engine's thread then hands its calls to the workers, which end when all are answered. */
static void stop_threads(struct mu_serve *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    s->is_engine_done = s->is_engine_done || !s->has_engine;
    pthread_cond_broadcast(&s->has_opening);
    pthread_cond_broadcast(&s->has_calls);
    pthread_cond_broadcast(&s->has_work);
    pthread_mutex_unlock(&s->lock);
    if (s->has_opener)
        pthread_join(s->opener, NULL);
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
    pthread_cond_destroy(&s->has_opening);
    pthread_cond_destroy(&s->has_calls);
    pthread_cond_destroy(&s->has_work);
    pthread_mutex_destroy(&s->lock);
    if (s->owns_residents)
        mu_residents_close(s->residents);
    mu_free(s->served);
    mu_free(s);
}
