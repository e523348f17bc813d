/* request.c - one exchange, from the first header to the end: reading, handing over, waiting for the answer */
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "http/http_int.h"

/* ---- life ---- */

static struct mu_http_request *begin(struct mu_http_server *s, struct MHD_Connection *c, const char *url)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (!info || !info->socket_context)
        return NULL;
    struct mu_http_request *r = mu_calloc(1, sizeof *r);
    char *path = r ? mu_strdup(url) : NULL;
    if (!path) {
        mu_free(r);
        return NULL;
    }
    r->s = s;
    r->c = c;
    r->conn = info->socket_context;
    r->path = path;
    r->body = (struct mu_buf)MU_BUF_INIT("a request's body", s->o.body_bytes_max);
    r->out = (struct mu_buf)MU_BUF_INIT("a stream's unread bytes", MU_HTTP_STREAM_BYTES_MAX);
    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void mu_http_body_drop(struct mu_http_request *r)
{
    atomic_fetch_sub(&r->s->body_bytes, r->body.n);
    mu_buf_fini(&r->body);
}

void mu_http_unref(struct mu_http_request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    mu_http_body_drop(r);
    atomic_fetch_sub(&r->s->stream_bytes, r->out.n - r->n_read);
    mu_buf_fini(&r->out);
    pthread_mutex_destroy(&r->lock);
    mu_free(r->path);
    mu_free(r);
}

/* False: the server closes, and waits for nobody who was not handed over before. */
static bool hand_over(struct mu_http_request *r)
{
    struct mu_http_server *s = r->s;
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->is_closing)) {
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    atomic_fetch_add(&r->refs, 1);
    r->is_handed = true;
    r->handed_next = s->handed;
    if (s->handed)
        s->handed->handed_prev = r;
    s->handed = r;
    s->n_handed++;
    s->n_open++;
    pthread_mutex_unlock(&s->lock);
    r->route->fn(s->arg, r);
    return true;
}

void mu_http_release(struct mu_http_request *r)
{
    struct mu_http_server *s = r->s;
    pthread_mutex_lock(&s->lock);
    *(r->handed_prev ? &r->handed_prev->handed_next : &s->handed) = r->handed_next;
    if (r->handed_next)
        r->handed_next->handed_prev = r->handed_prev;
    pthread_mutex_unlock(&s->lock);
    mu_http_unref(r);
    pthread_mutex_lock(&s->lock);
    s->n_handed--;
    pthread_cond_broadcast(&s->released);
    pthread_mutex_unlock(&s->lock);
}

void mu_http_drop_all(struct mu_http_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct mu_http_request *r = s->handed; r; r = r->handed_next) {
        pthread_mutex_lock(&r->lock);
        if (r->is_suspended) {
            r->is_suspended = false;
            MHD_resume_connection(r->c);
        }
        pthread_mutex_unlock(&r->lock);
    }
    while (s->n_handed > 0)
        pthread_cond_wait(&s->released, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* ---- reading ---- */

static enum MHD_Result refuse_now(struct mu_http_request *r, struct MHD_Connection *c)
{
    struct MHD_Response *response = mu_http_error_response(r);
    if (!response)
        return MHD_NO;
    mu_http_conn_is_reading(r->s, r->conn, false);
    enum MHD_Result rc = MHD_queue_response(c, (unsigned)r->refused, response);
    MHD_destroy_response(response);
    return rc;
}

/* A refused body is read to its end and thrown away, else the client would see its connection reset and no answer;
 * but not when it waits for leave to send, nor without bound, nor when its end cannot be seen. */
static bool answers_before_body(const struct mu_http_request *r, struct MHD_Connection *c)
{
    const char *expect = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Expect"),
               *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    bool waits = expect && strcasecmp(expect, "100-continue") == 0,
         is_long = length && strtoull(length, NULL, 10) > MU_HTTP_DRAIN_BYTES_MAX;
    return r->refused && (waits || is_long || r->refused == 501);
}

static void refuse_body(struct mu_http_request *r, int status, const char *code, const char *sentence)
{
    mu_http_body_drop(r);
    r->refused = status;
    r->refusal_code = code;
    r->refusal = sentence;
}

/* False: enough of it, close the connection. */
static bool take_body(struct mu_http_request *r, const char *p, size_t n)
{
    struct mu_http_server *s = r->s;
    struct mu_err err;
    if (r->refused) {
        r->n_dropped += n;
        return r->n_dropped <= MU_HTTP_DRAIN_BYTES_MAX;
    }
    if (n > s->o.body_bytes_max - r->body.n)
        refuse_body(r, 413, "body_too_large", "the body is larger than this server accepts");
    else if (atomic_load(&s->body_bytes) + n > MU_HTTP_BODIES_MAX * s->o.body_bytes_max ||
             mu_buf_add(&r->body, p, n, &err) != MU_OK)
        refuse_body(r, 503, "overloaded", "too many requests are being read; try again a little later");
    else
        atomic_fetch_add(&s->body_bytes, n);
    return true;
}

/* ---- the answer ---- */

/* What to do with an exchange whose request is whole: its answer to send, or NULL and *rc: wait or drop it. A daemon
 * that shuts down takes a response without queueing it and asks again: what was answered never waits a second time,
 * for MHD_stop_daemon aborts where a connection is suspended. */
static struct MHD_Response *take_response(struct mu_http_request *r, struct MHD_Connection *c, enum MHD_Result *rc)
{
    pthread_mutex_lock(&r->lock);
    struct MHD_Response *response = r->response;
    r->response = NULL;
    *rc = MHD_YES;
    if (r->is_dropped || (!response && (r->is_answered || atomic_load(&r->s->is_closing)))) {
        *rc = MHD_NO;
    } else if (!response) {
        r->is_suspended = true;
        MHD_suspend_connection(c);
    }
    pthread_mutex_unlock(&r->lock);
    return response;
}

/* Called again when a suspended exchange goes on. libmicrohttpd reads a stream with the response locked, so the
 * response is not touched with the request locked. */
static enum MHD_Result go_on(struct mu_http_request *r, struct MHD_Connection *c)
{
    enum MHD_Result rc;
    if (r->refused)
        return refuse_now(r, c);
    if (!r->is_handed) {
        mu_http_conn_is_reading(r->s, r->conn, false);
        if (!hand_over(r))
            return MHD_NO;
    }
    struct MHD_Response *response = take_response(r, c, &rc);
    if (response) {
        rc = MHD_queue_response(c, (unsigned)r->status, response);
        MHD_destroy_response(response);
    }
    return rc;
}

enum MHD_Result mu_http_on_access(void *arg, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **state)
{
    struct mu_http_request *r = *state;
    (void)version;
    if (!r) {
        *state = r = begin(arg, c, url);
        if (!r)
            return MHD_NO;
        mu_http_check_headers(r, c, method);
        return answers_before_body(r, c) ? refuse_now(r, c) : MHD_YES;
    }
    if (*n == 0)
        return go_on(r, c);
    bool goes_on = take_body(r, data, *n);
    *n = 0;
    return goes_on ? MHD_YES : MHD_NO;
}

void mu_http_on_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    struct mu_http_request *r = *state;
    (void)arg, (void)c, (void)why;
    if (!r)
        return;
    *state = NULL;
    pthread_mutex_lock(&r->lock);
    struct MHD_Response *unused = r->response;
    r->response = NULL;
    r->c = NULL;
    r->is_suspended = false;
    pthread_mutex_unlock(&r->lock);
    if (unused)
        MHD_destroy_response(unused);
    mu_http_conn_is_reading(r->s, r->conn, true);
    pthread_mutex_lock(&r->s->lock);
    r->s->n_open -= r->is_handed;
    pthread_cond_broadcast(&r->s->released);
    pthread_mutex_unlock(&r->s->lock);
    mu_http_unref(r);
}

/* ---- what a handler asks ---- */

const char *mu_http_path(const struct mu_http_request *r)
{
    return r->path;
}

const char *mu_http_query(const struct mu_http_request *r, const char *name)
{
    return r->c ? MHD_lookup_connection_value(r->c, MHD_GET_ARGUMENT_KIND, name) : NULL;
}

static uint64_t hash_address(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (a && a->sa_family == AF_INET) {
        memcpy(&v4, a, sizeof v4);
        return mu_hash64(&v4.sin_addr, sizeof v4.sin_addr, 0);
    }
    if (!a || a->sa_family != AF_INET6)
        return 0;
    memcpy(&v6, a, sizeof v6);
    return mu_hash64(&v6.sin6_addr, sizeof v6.sin6_addr, 0);
}

uint64_t mu_http_client(const struct mu_http_request *r)
{
    const char *wanted = r->s->o.client_header, *key, *name;
    if (!r->c)
        return 0;
    key = MHD_lookup_connection_value(r->c, MHD_HEADER_KIND, "Authorization");
    name = wanted ? MHD_lookup_connection_value(r->c, MHD_HEADER_KIND, wanted) : NULL;
    uint64_t who = name ? mu_hash64(name, strlen(name), 1) : hash_address(r->c);
    return key ? mu_hash64(key, strlen(key), who) : who;
}

struct mu_str mu_http_body(const struct mu_http_request *r)
{
    return mu_buf_str(&r->body);
}

bool mu_http_is_gone(struct mu_http_request *r)
{
    pthread_mutex_lock(&r->lock);
    bool is_gone = !r->c || r->is_cut || r->is_dropped || atomic_load(&r->s->is_closing);
    if (!is_gone) {
        struct pollfd p = {r->conn->fd, POLLRDHUP, 0};
        is_gone = poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
    }
    pthread_mutex_unlock(&r->lock);
    return is_gone;
}
