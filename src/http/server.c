/* server.c - opening, stopping and closing; what is one exchange is in request.c */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/http_int.h"

#define CONNECTIONS_WANTED 1024
#define BODY_WANTED        ((size_t)16 << 20)
#define BODY_MOST          ((size_t)1 << 40)
#define HEADER_WANTED      ((size_t)32 << 10)
#define IDLE_WANTED_NS     60000000000ll
#define THREADS_WANTED     2
#define BACKLOG            1024
#define POOL_EXTRA         ((size_t)32 << 10) /* of a connection's memory: what is not headers */

static int settle(struct mu_http_opts *o, struct mu_err *e)
{
    if (!o->address)
        o->address = "127.0.0.1";
    if (o->port < 0 || o->port > 65535)
        return mu_fail(e, MU_EINVAL, "port %d does not exist: 1 to 65535, or 0 for a free one", o->port);
    if (o->connections_max < 0 || o->connections_per_ip_max < 0 || o->idle_ns < 0)
        return mu_fail(e, MU_EINVAL, "a limit of the server is negative");
    if (o->threads < 0 || o->threads > MU_HTTP_THREADS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d server threads: 1 to %d are possible", o->threads, MU_HTTP_THREADS_MAX);
    if (o->body_bytes_max > BODY_MOST)
        return mu_fail(e, MU_ELIMIT, "bodies of %zu bytes: %zu are the most", o->body_bytes_max, BODY_MOST);
    o->connections_max = o->connections_max ? o->connections_max : CONNECTIONS_WANTED;
    o->body_bytes_max = o->body_bytes_max ? o->body_bytes_max : BODY_WANTED;
    o->header_bytes_max = o->header_bytes_max ? o->header_bytes_max : HEADER_WANTED;
    o->idle_ns = o->idle_ns ? MU_MAX(o->idle_ns, 1000000000ll) : IDLE_WANTED_NS;
    o->threads = o->threads ? o->threads : THREADS_WANTED;
    return MU_OK;
}

/* ---- listening ---- */

static int listen_on(struct mu_http_server *s, const struct addrinfo *a, struct mu_err *e)
{
    int one = 1;
    s->listen_fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0)
        return mu_fail(e, MU_EIO, "cannot make a socket for %s: %s", s->o.address, strerror(errno));
    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->listen_fd, a->ai_addr, a->ai_addrlen) != 0 || listen(s->listen_fd, BACKLOG) != 0)
        return mu_fail(e, MU_EIO, "cannot listen on port %d of %s: %s", s->o.port, s->o.address, strerror(errno));
    return MU_OK;
}

static int find_port(struct mu_http_server *s, struct mu_err *e)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } a;
    socklen_t n = sizeof a;
    if (getsockname(s->listen_fd, &a.any, &n) != 0)
        return mu_fail(e, MU_EIO, "cannot find the port of the listening socket: %s", strerror(errno));
    s->port = ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
    return MU_OK;
}

static int open_socket(struct mu_http_server *s, struct mu_err *e)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[16];
    snprintf(port, sizeof port, "%d", s->o.port);
    int why = getaddrinfo(s->o.address, port, &hints, &found);
    if (why != 0)
        return mu_fail(e, MU_EINVAL, "%s is no address to listen on: %s", s->o.address, gai_strerror(why));
    int rc = listen_on(s, found, e);
    freeaddrinfo(found);
    return rc == MU_OK ? find_port(s, e) : rc;
}

static int start(struct mu_http_server *s, struct mu_err *e)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    unsigned limit = (unsigned)s->o.threads * ((unsigned)s->o.connections_max + 8); /* ours is counted in conn.c */
    s->daemon = MHD_start_daemon(
        flags, 0, mu_http_on_accept, s, mu_http_on_access, s, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
        MHD_OPTION_NOTIFY_COMPLETED, mu_http_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, mu_http_on_conn, s,
        MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)s->o.connections_per_ip_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((s->o.idle_ns + 999999999) / 1000000000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, 2 * s->o.header_bytes_max + POOL_EXTRA, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)(s->o.threads > 1 ? s->o.threads : 0), MHD_OPTION_END);
    if (!s->daemon)
        return mu_fail(e, MU_ENOMEM, "cannot start the server with %d threads: %s", s->o.threads, strerror(errno));
    return MU_OK;
}

int mu_http_open(struct mu_http_server **out, const struct mu_http_opts *o, const struct mu_http_route *routes,
                 const char *const *keys, void *arg, struct mu_err *e)
{
    struct mu_http_server *s = NULL;
    int rc = MU_OK;

    mu_json_init();
    MU_TRY(MU_NEW(&s, "the server", e));
    s->o = *o;
    s->routes = routes;
    s->arg = arg;
    s->listen_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    mu_cond_init(&s->released);
    mu_cond_init(&s->closing);
    MU_TRY(settle(&s->o, e));
    MU_TRY(mu_http_keys_open(s, keys, e));
    MU_TRY(open_socket(s, e));
    MU_TRY(mu_http_watch_start(s, e));
    MU_TRY(start(s, e));
    *out = s;
    s = NULL;
out:
    mu_http_close(s);
    return rc;
}

int mu_http_port(const struct mu_http_server *s)
{
    return s->port;
}

void mu_http_stop(struct mu_http_server *s)
{
    if (s->is_quiet)
        return;
    s->is_quiet = true;
    MHD_quiesce_daemon(s->daemon);
    shutdown(s->listen_fd, SHUT_RDWR); /* its threads may still look at it: closed with the server */
}

bool mu_http_drain(struct mu_http_server *s, int64_t timeout_ns)
{
    int64_t until = mu_now_ns(mu_clock_real()) + timeout_ns;
    struct timespec t = {until / 1000000000, until % 1000000000};
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (s->n_open > 0 && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->released, &s->lock, &t);
    bool is_empty = s->n_open == 0;
    pthread_mutex_unlock(&s->lock);
    return is_empty;
}

void mu_http_close(struct mu_http_server *s)
{
    if (!s)
        return;
    if (s->daemon)
        mu_http_stop(s);
    atomic_store(&s->is_closing, true);
    mu_http_drop_all(s);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    mu_http_watch_stop(s);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    pthread_cond_destroy(&s->released);
    pthread_cond_destroy(&s->closing);
    pthread_mutex_destroy(&s->lock);
    mu_free(s->digests);
    mu_free(s);
}
