/* open.c - from options to a remote engine: address, key, and what the server says of its models */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/remote/remote.h"
#include "engine/remote/answer.h"

#define SECOND_NS         ((int64_t)1000000000)
#define SLOTS_WANTED      8
#define ATTEMPTS_WANTED   12 /* with the waits between them a minute and a half at least: a server is started again */
#define ATTEMPTS_OPENING  4  /* a wrong address should show soon */
#define PATIENCE_NS       (600 * SECOND_NS)
#define CONNECT_NS        (10 * SECOND_NS)
#define SILENCE_NS        (300 * SECOND_NS)  /* a server computes a whole answer before its first byte */
#define EXCHANGE_NS       (1800 * SECOND_NS) /* one byte now and then is no answer */
#define MODELS_SILENCE_NS (30 * SECOND_NS)   /* a list of names needs no computing */
#define BACK_OFF_NS       (SECOND_NS / 2)
#define BACK_OFF_MOST_NS  (30 * SECOND_NS)
#define TOLD_MOST_NS      (120 * SECOND_NS) /* Retry-After */
#define BREAKER_REST_NS   (60 * SECOND_NS)
#define QUEUE_WANTED      4096
#define REQUEST_BYTES     ((size_t)64 << 20)
#define URL_BYTES_MAX     2048
#define MODELS_BYTES_MAX  ((size_t)4 << 20)
#define BODY_BYTES_MAX    ((size_t)256 << 20)
#define WAIT_NS_MAX       (SECOND_NS / 20)

static const struct mu_breaker_rule breaker_rule = {MU_REMOTE_FAILURES_MAX, {BREAKER_REST_NS, BREAKER_REST_NS}, 0};

/* ---- the address ---- */

static bool ends_with(struct mu_str s, const char *end)
{
    size_t n = strlen(end);
    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

static int check_address(const char *endpoint, const char *authority, struct mu_err *e)
{
    size_t n = strcspn(authority, "/");
    if (strlen(endpoint) > URL_BYTES_MAX)
        return mu_fail(e, MU_EUSAGE, "the endpoint's address has more than %d bytes", URL_BYTES_MAX);
    for (const char *p = endpoint; *p; p++) {
        if (*p <= ' ' || *p == 127)
            return mu_fail(e, MU_EUSAGE, "the endpoint's address holds a space or a control character");
    }
    if (memchr(authority, '@', n))
        return mu_fail(e, MU_EUSAGE,
                       "the endpoint's address holds a name or password: keys come from "
                       "--api-key-file or OPENAI_API_KEY");
    if (n == 0 || strpbrk(authority, "?#"))
        return mu_fail(e, MU_EUSAGE, "endpoint %.200s: an address such as http://host:8000/v1 is needed", endpoint);
    return MU_OK;
}

/* Without a path /v1 is meant; what people copy from a curl command ends in /completions. */
int mu_remote_base_url(const char *endpoint, char **out, struct mu_err *e)
{
    struct mu_buf url = MU_BUF_INIT("an address", URL_BYTES_MAX + 8);
    bool is_tls = strncmp(endpoint, "https://", 8) == 0;
    if (!is_tls && strncmp(endpoint, "http://", 7) != 0)
        return mu_fail(e, MU_EUSAGE, "endpoint %.200s: an address begins with http:// or https://", endpoint);
    const char *authority = endpoint + (is_tls ? 8 : 7);
    struct mu_str s = mu_str(endpoint);
    int rc;

    MU_TRY(check_address(endpoint, authority, e));
    while (s.p[s.n - 1] == '/')
        s.n--;
    if (ends_with(s, "/completions"))
        s.n -= strlen("/completions");
    MU_TRY(mu_buf_add(&url, s.p, s.n, e));
    if (!memchr(authority, '/', s.n - (size_t)(authority - endpoint)))
        MU_TRY(mu_buf_puts(&url, "/v1", e));
    *out = mu_buf_take(&url);
out:
    mu_buf_fini(&url);
    return rc;
}

static int join(char **out, const char *base, const char *path, struct mu_err *e)
{
    size_t n = strlen(base), m = strlen(path);
    *out = mu_alloc(n + m + 1);
    if (!*out)
        return mu_fail_nomem(e, n + m + 1, "an address");
    memcpy(*out, base, n);
    memcpy(*out + n, path, m + 1);
    return MU_OK;
}

static int replace(char **out, const char *base, const char *path, struct mu_err *e)
{
    char *text;
    MU_TRY_RETURN(join(&text, base, path, e));
    mu_free(*out);
    *out = text;
    return MU_OK;
}

int mu_remote_set_address(struct mu_remote *r, const char *base_url, struct mu_err *e)
{
    MU_TRY_RETURN(replace(&r->models_url, base_url, "/models", e));
    MU_TRY_RETURN(replace(&r->completions_url, base_url, "/completions", e));
    return replace(&r->base_url, base_url, "", e);
}

/* ---- the key ---- */

int mu_remote_set_key(struct mu_remote *r, const char *key, struct mu_err *e)
{
    char *copy = mu_strdup(key);
    if (!copy)
        return mu_fail_nomem(e, strlen(key), "a key");
    if (r->key)
        explicit_bzero(r->key, strlen(r->key));
    mu_free(r->key);
    r->key = copy;
    return mu_wire_rekey(r->wire, copy, e);
}

static int keep_key(struct mu_remote *r, const char *text, const char *from, struct mu_err *e)
{
    size_t skip = strspn(text, " \t\r\n"), n = strcspn(text + skip, " \t\r\n");
    if (n == 0)
        return mu_fail(e, MU_EUSAGE, "%s holds no key", from);
    if (n > MU_WIRE_KEY_BYTES_MAX)
        return mu_fail(e, MU_EUSAGE, "%s holds a key of more than %d bytes", from, MU_WIRE_KEY_BYTES_MAX);
    for (size_t i = skip; i < skip + n; i++) {
        if (text[i] <= ' ' || text[i] >= 127)
            return mu_fail(e, MU_EUSAGE, "%s holds a key with characters that no key has", from);
    }
    r->key = mu_strndup(text + skip, n);
    return r->key ? MU_OK : mu_fail_nomem(e, n, "a key");
}

static int read_key(struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a key", 2 * MU_WIRE_KEY_BYTES_MAX);
    const char *env = getenv("OPENAI_API_KEY");
    int rc = MU_OK;
    if (!o->api_key_file)
        return env && env[0] ? keep_key(r, env, "OPENAI_API_KEY", e) : MU_OK;
    MU_TRY(mu_file_read_all(&text, o->api_key_file, e));
    rc = keep_key(r, text.p ? text.p : "", o->api_key_file, e);
out:
    if (text.p)
        explicit_bzero(text.p, text.n);
    mu_buf_fini(&text);
    return rc;
}

/* ---- what the server says ---- */

/* To the end of the exchange, whatever it is. */
static int run_exchange(struct mu_remote *r, struct mu_exchange *x, struct mu_err *e)
{
    int64_t silence = MU_MIN(r->silence_ns, MODELS_SILENCE_NS);
    MU_TRY_RETURN(mu_wire_start(r->wire, x, e));
    for (;;) {
        int rc = mu_wire_pump(r->wire, e);
        int64_t now = mu_now_ns(r->clock);
        if (rc == MU_OK && x->is_done)
            return MU_OK;
        if (rc == MU_OK && (now - x->moved_ns >= silence || now - x->start_ns >= 4 * silence))
            rc = mu_fail(&x->err, MU_ETIMEDOUT, "the server has not told its models for %.3g s",
                         (double)(now - x->start_ns) * 1e-9);
        else if (rc == MU_OK && (rc = mu_wire_wait(r->wire, WAIT_NS_MAX, e)) == MU_OK)
            continue;
        mu_wire_stop(x);
        x->code = rc;
        x->verdict = MU_VERDICT_RETRY;
        return rc == MU_ETIMEDOUT ? MU_OK : rc;
    }
}

static int wait_until(struct mu_remote *r, int64_t due_ns, struct mu_err *e)
{
    for (int64_t now; (now = mu_now_ns(r->clock)) < due_ns;)
        MU_TRY_RETURN(mu_wire_wait(r->wire, MU_MIN(due_ns - now, WAIT_NS_MAX), e));
    return MU_OK;
}

/* One attempt; of a service, by what its record says now. */
static int try_models(struct mu_remote *r, struct mu_exchange *x, struct mu_err *e)
{
    bool may_pass = true;
    x->told_ns = 0;
    if (r->service && (x->code = mu_remote_service_look(r, &may_pass, &x->err)) != MU_OK) {
        x->verdict = may_pass ? MU_VERDICT_RETRY : MU_VERDICT_ENDPOINT;
        return MU_OK;
    }
    x->url = r->models_url;
    MU_TRY_RETURN(run_exchange(r, x, e));
    if (r->service && x->code == MU_OK &&
        (x->code = mu_remote_service_answered(r, x, r->service->now.id, &x->err)) != MU_OK)
        x->verdict = MU_VERDICT_RETRY;
    return MU_OK;
}

/* Until the server answers, or gave no answer too often; a server may still be starting. */
static int ask_models(struct mu_remote *r, struct mu_exchange *x, bool has_name, struct mu_err *e)
{
    for (int n_failed = 1;; n_failed++) {
        struct mu_err why = MU_ERR_INIT;
        MU_TRY_RETURN(try_models(r, x, e));
        if (x->code == MU_OK && (x->status == 200 || x->status == 404 || x->status == 405 || x->status == 501))
            return MU_OK; /* not every server has the route */
        int rc = x->code != MU_OK ? mu_fail(&why, x->code, "%s", x->err.text) : mu_remote_refusal(r, x, &why);
        int64_t wait =
            x->verdict == MU_VERDICT_RETRY ? mu_retry_wait_ns(&r->retry, n_failed, x->told_ns, &r->random) : -1;
        if (wait < 0 && has_name && x->code == MU_OK && x->status >= 500)
            return MU_OK; /* transformers: without a cache of models there is no list, and all else works */
        if (wait < 0) {
            mu_fail(e, rc, "%s", why.text);
            return mu_remote_blame(r, rc, e);
        }
        MU_TRY_RETURN(wait_until(r, mu_now_ns(r->clock) + wait, e));
    }
}

/* Other servers count a token to generate with every prompt, also when none is asked for, and feed the last one, which
 * ours does not: two tokens less fit. Source: vLLM refuses prompts of max_model_len tokens; lm-evaluation-harness takes
 * max_length - 2 with it. */
static int64_t room(const struct mu_answer_model *m)
{
    return m->is_ours ? m->context : MU_MAX(m->context - 2, (int64_t)1);
}

static int keep_model(struct mu_remote *r, const struct mu_engine_opts *o, const struct mu_answer_model *m,
                      struct mu_err *e)
{
    int64_t told = m->context, wanted = o->context_max;
    if (wanted < 0 || wanted >= INT32_MAX)
        return mu_fail(e, MU_EINVAL, "a context of %" PRId64 " tokens was asked for", wanted);
    if (told && wanted > told)
        return mu_fail(e, MU_ELIMIT, "a context of %" PRId64 " tokens was asked for and the server allows %" PRId64,
                       wanted, told);
    r->job_limits.context_max = wanted ? wanted : told ? room(m) : MU_REMOTE_CONTEXT_UNKNOWN;
    r->model = mu_strdup(m->name);
    r->root = mu_strdup(m->root);
    return r->model && r->root ? MU_OK : mu_fail_nomem(e, strlen(m->name), "a model's name");
}

/* llama.cpp tells what one request may have beside /v1, and divides its context by the requests at a time. 0: no
 * answer, which is no reason to stop. */
static int64_t ask_props(struct mu_remote *r)
{
    struct mu_exchange x = {.answer = MU_BUF_INIT("the properties", MODELS_BYTES_MAX)};
    struct mu_str base = mu_str(r->base_url);
    json_t *answer = NULL;
    char *root = NULL, *url = NULL;
    int64_t context = 0;
    if (ends_with(base, "/v1"))
        base.n -= strlen("/v1");
    root = mu_strndup(base.p, base.n);
    if (root && join(&url, root, "/props", NULL) == MU_OK) {
        x.url = url;
        if (run_exchange(r, &x, NULL) == MU_OK && x.code == MU_OK && x.status == 200 &&
            mu_answer_parse(&answer, mu_buf_str(&x.answer), NULL) == MU_OK)
            context = mu_answer_props_context(answer);
    }
    json_decref(answer);
    mu_wire_stop(&x);
    mu_buf_fini(&x.answer);
    mu_free(root);
    mu_free(url);
    return context;
}

static int learn_model(struct mu_remote *r, const struct mu_engine_opts *o, const struct mu_exchange *x,
                       struct mu_err *e)
{
    struct mu_answer_model m = {.name = o->endpoint_model, .root = ""};
    json_t *answer = NULL;
    int rc = MU_OK;
    if (x->status == 200) {
        MU_TRY(mu_answer_parse(&answer, mu_buf_str(&x->answer), e));
        MU_TRY(mu_answer_model(answer, o->endpoint_model, &m, e));
        memcpy(r->others, m.others, sizeof r->others);
        if (m.is_llamacpp && !m.context)
            m.context = ask_props(r);
    } else if (!m.name) {
        rc = mu_fail(e, MU_EUSAGE,
                     "the server does not list its models (status %d): say which one to ask for "
                     "(--endpoint-model)",
                     x->status);
        goto out;
    } else if (x->status >= 500 && x->status != 501) {
        snprintf(r->others, sizeof r->others, "no list of models (status %d)", x->status);
    }
    rc = keep_model(r, o, &m, e);
out:
    json_decref(answer);
    return rc == MU_OK ? MU_OK : mu_remote_blame(r, rc, e);
}

static int meet_server(struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_exchange x = {.answer = MU_BUF_INIT("the list of models", MODELS_BYTES_MAX),
                            .wanted = r->service ? MU_SERVICE_HEADER : NULL};
    int rc = ask_models(r, &x, o->endpoint_model != NULL, e);
    if (rc == MU_OK && r->service) {
        rc = mu_remote_service_check(r, o, e);
        rc = rc == MU_OK ? MU_OK : mu_remote_blame(r, rc, e);
    }
    if (rc == MU_OK)
        rc = learn_model(r, o, &x, e);
    mu_wire_stop(&x);
    mu_buf_fini(&x.answer);
    return rc;
}

/* ---- all ---- */

/* Of a service what it computes with, wherever and however often it was started; of another server whom we asked. */
static void identify(struct mu_remote *r)
{
    const struct mu_service_record *v = r->service ? &r->service->first : NULL;
    uint64_t a = 0, b = 1;
    char numerics[24];
    snprintf(numerics, sizeof numerics, "v%" PRId64, v ? v->numerics : 0);
    const char *const asked[] = {r->base_url, r->model, r->root};
    const char *const known[] = {v ? v->weights_hash : "", v ? v->weights : "", v ? v->kv_dtype : "", v ? v->mla : "",
                                 numerics};
    size_t n = v ? MU_COUNT(known) : MU_COUNT(asked);
    for (size_t i = 0; i < n; i++) {
        const char *part = v ? known[i] : asked[i];
        a = mu_hash64(part, strlen(part) + 1, a);
        b = mu_hash64(part, strlen(part) + 1, b);
    }
    snprintf(r->identity, sizeof r->identity, "%s-%016" PRIx64 "%016" PRIx64, v ? "service" : "endpoint", a, b);
}

static int check_opts(const struct mu_engine_opts *o, struct mu_err *e)
{
    const int64_t times[] = {o->connect_ns, o->silence_ns, o->exchange_ns};
    if (o->concurrency < 0 || o->concurrency > MU_CONCURRENCY_MAX)
        return mu_fail(e, MU_EINVAL, "%d requests to the endpoint at a time: 1 to %d are possible, or 0 for %d",
                       o->concurrency, MU_CONCURRENCY_MAX, SLOTS_WANTED);
    if (o->attempts_max < 0 || o->attempts_max > 100)
        return mu_fail(e, MU_EINVAL, "%d attempts a request: 1 to 100 are possible, or 0 for %d", o->attempts_max,
                       ATTEMPTS_WANTED);
    if (o->queue_max < 0 || o->queue_max > MU_ENGINE_QUEUE_MAX)
        return mu_fail(e, MU_EINVAL, "a queue of %d requests: at most %d", o->queue_max, MU_ENGINE_QUEUE_MAX);
    for (size_t i = 0; i < MU_COUNT(times); i++) {
        if (times[i] < 0)
            return mu_fail(e, MU_EINVAL, "a time of %" PRId64 " ns to wait for the endpoint", times[i]);
    }
    return MU_OK;
}

static void settle(struct mu_remote *r, const struct mu_engine_opts *o)
{
    struct mu_tokenizer_info tok = {.n_vocab = INT32_MAX};
    if (o->tokenizer)
        mu_tokenizer_info(o->tokenizer, &tok);
    r->clock = o->clock ? o->clock : mu_clock_real();
    r->tok = o->tokenizer;
    r->connect_ns = o->connect_ns ? o->connect_ns : CONNECT_NS;
    r->silence_ns = o->silence_ns ? o->silence_ns : SILENCE_NS;
    r->exchange_ns = o->exchange_ns ? o->exchange_ns : EXCHANGE_NS;
    r->retry = (struct mu_retry_policy){o->attempts_max ? o->attempts_max : ATTEMPTS_WANTED,
                                        {BACK_OFF_NS, BACK_OFF_MOST_NS},
                                        TOLD_MOST_NS,
                                        PATIENCE_NS};
    r->random = o->retry_seed ? o->retry_seed : (uint64_t)mu_now_ns(mu_clock_real());
    mu_breaker_init(&r->breaker, &breaker_rule, 0);
    r->queue_max = o->queue_max ? o->queue_max : QUEUE_WANTED;
    r->request_bytes_max = o->request_bytes ? o->request_bytes : REQUEST_BYTES;
    r->n_slots = 0;
    r->form[0] = r->form[1] = -1;
    r->job_limits = (struct mu_job_limits){.vocab = tok.n_vocab, .kv_tokens = INT64_MAX / 2, .has_text = true};
}

static int make_slots(struct mu_remote *r, int n, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&r->slots, n, "requests under way", e));
    r->n_slots = n;
    for (int i = 0; i < n; i++) {
        struct mu_remote_slot *s = &r->slots[i];
        s->r = r;
        s->x.answer = (struct mu_buf)MU_BUF_INIT("the answer", 0); /* set for each request */
        s->body = (struct mu_buf)MU_BUF_INIT("a request", BODY_BYTES_MAX);
        s->prompt = (struct mu_buf)MU_BUF_INIT("a prompt", BODY_BYTES_MAX);
        s->events = (struct mu_event_stream)MU_EVENT_STREAM_INIT(mu_remote_take_event, s);
    }
    return MU_OK;
}

static int find_server(struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e)
{
    char *url = NULL;
    if (mu_remote_service_is_named(o->endpoint))
        return mu_remote_service_open(r, o, e);
    if (o->endpoint_hash)
        return mu_fail(e, MU_EUSAGE, "only a service tells the hash of its weights, and %.200s is an address",
                       o->endpoint);
    MU_TRY_RETURN(mu_remote_base_url(o->endpoint, &url, e));
    int rc = mu_remote_set_address(r, url, e);
    r->title = r->base_url;
    mu_free(url);
    return rc == MU_OK ? read_key(r, o, e) : rc;
}

static int set_up(struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e)
{
    int n_slots = o->concurrency ? o->concurrency : SLOTS_WANTED;
    MU_TRY_RETURN(find_server(r, o, e));
    struct mu_wire_opts w = {.key = r->key,
                             .header = r->service ? r->service->client_line : NULL,
                             .no_proxy = r->service != NULL,
                             .exchanges_max = n_slots,
                             .connect_ns = r->connect_ns,
                             .clock = r->clock};
    MU_TRY_RETURN(mu_wire_open(&r->wire, &w, e));
    MU_TRY_RETURN(meet_server(r, o, e));
    identify(r);
    r->out = (struct mu_buf)MU_BUF_INIT("a piece of text", mu_answer_bytes_max(r->job_limits.context_max, MU_TOP_MAX));
    return make_slots(r, n_slots, e);
}

/* A model that the list does not name is asked for something: the server may know it all the same. */
static int try_it(struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    bool is_listed = !r->others[0];
    if (!o->will_score && !o->will_generate && is_listed)
        return MU_OK;
    int rc = mu_remote_probe(r, o->will_score, o->will_generate || !is_listed, is_listed ? e : &why);
    if (rc == MU_OK || is_listed)
        return rc;
    if (rc == MU_EUNSUPPORTED) /* it answers for this model */
        return mu_fail(e, rc, "%s", why.text);
    mu_fail(e, MU_ENOENT, "the server has no model %.200s; it has %s (%.300s)", r->model, r->others, why.text);
    return mu_remote_blame(r, MU_ENOENT, e);
}

int mu_remote_can_handle(const struct mu_engine_opts *o, struct mu_err *why)
{
    return o->endpoint ? MU_OK : mu_fail(why, MU_EUSAGE, "no endpoint is named (--endpoint URL)");
}

int mu_remote_open(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_remote *r = NULL;
    mu_json_init();
    MU_TRY_RETURN(check_opts(o, e));
    MU_TRY_RETURN(MU_NEW(&r, "the engine", e));
    r->base.ops = &mu_engine_remote;
    pthread_mutex_init(&r->lock, NULL);
    settle(r, o);
    int attempts = r->retry.attempts_max;
    r->retry.attempts_max = MU_MIN(attempts, ATTEMPTS_OPENING);
    int rc = set_up(r, o, e);
    if (rc == MU_OK)
        rc = try_it(r, o, e);
    r->retry.attempts_max = attempts;
    if (rc == MU_OK)
        *out = &r->base;
    else
        mu_remote_close(&r->base);
    return rc;
}
