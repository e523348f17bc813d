/* conn.c - the connections: how many there are, and an end for those whose request never becomes whole */
#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/http_int.h"

#define WATCH_NS 100000000ll /* how often unfinished requests are looked at */

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

enum MHD_Result mu_http_on_accept(void *arg, const struct sockaddr *addr, socklen_t n)
{
    struct mu_http_server *s = arg;
    (void)addr, (void)n;
    pthread_mutex_lock(&s->lock);
    bool has_room = s->n_conns < s->o.connections_max;
    pthread_mutex_unlock(&s->lock);
    return has_room ? MHD_YES : MHD_NO;
}

static void *conn_open(struct mu_http_server *s, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct mu_http_conn *conn = mu_calloc(1, sizeof *conn);
    if (!conn)
        return NULL; /* the first request finds none and is dropped */
    *conn = (struct mu_http_conn){.fd = info ? info->connect_fd : -1, .since_ns = now_ns(), .is_reading = true};
    pthread_mutex_lock(&s->lock);
    conn->next = s->conns;
    if (s->conns)
        s->conns->prev = conn;
    s->conns = conn;
    s->n_conns++;
    pthread_mutex_unlock(&s->lock);
    return conn;
}

static void conn_close(struct mu_http_server *s, struct mu_http_conn *conn)
{
    if (!conn)
        return;
    pthread_mutex_lock(&s->lock);
    *(conn->prev ? &conn->prev->next : &s->conns) = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    s->n_conns--;
    pthread_mutex_unlock(&s->lock);
    mu_free(conn);
}

void mu_http_on_conn(void *arg, struct MHD_Connection *c, void **state, enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *state = conn_open(arg, c);
    } else {
        conn_close(arg, *state);
        *state = NULL;
    }
}

void mu_http_conn_is_reading(struct mu_http_server *s, struct mu_http_conn *conn, bool is_reading)
{
    pthread_mutex_lock(&s->lock);
    conn->is_reading = is_reading;
    conn->n_ends = 0;
    conn->since_ns = now_ns();
    pthread_mutex_unlock(&s->lock);
}

/* Whether the client has ended its sending with a request unfinished. libmicrohttpd's edge-triggered loop can miss an
 * end that comes together with bytes and would keep the connection until it is idle too long; two looks, so that bytes
 * on their way through its thread are not taken for a request that never comes. */
static bool has_ended(struct mu_http_conn *c)
{
    char byte;
    bool is_at_end = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    c->n_ends = is_at_end ? c->n_ends + 1 : 0;
    return c->n_ends > 1;
}

/* A shut socket wakes its thread, which then closes the connection. */
static void shut_late(struct mu_http_server *s, int64_t now)
{
    for (struct mu_http_conn *c = s->conns; c; c = c->next) {
        if (c->is_reading && (has_ended(c) || now - c->since_ns > MU_HTTP_READ_IDLES * s->o.idle_ns))
            shutdown(c->fd, SHUT_RDWR);
    }
}

static void *watch(void *arg)
{
    struct mu_http_server *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->is_closing)) {
        int64_t until = now_ns() + WATCH_NS;
        struct timespec t = {until / 1000000000, until % 1000000000};
        if (pthread_cond_timedwait(&s->closing, &s->lock, &t) == ETIMEDOUT)
            shut_late(s, now_ns());
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int mu_http_watch_start(struct mu_http_server *s, struct mu_err *e)
{
    if (pthread_create(&s->watcher, NULL, watch, s) != 0)
        return mu_fail(e, MU_ENOMEM, "cannot start a thread for the server");
    s->has_watcher = true;
    return MU_OK;
}

void mu_http_watch_stop(struct mu_http_server *s)
{
    if (!s->has_watcher)
        return;
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->closing);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->watcher, NULL);
}
