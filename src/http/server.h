/* server.h - a small HTTP/1.1 server over libmicrohttpd that knows no models
 *
 * Routes are rows of a table; a handler gets a parsed request (method, path, query, headers, whole body) on one of the
 * server's threads and answers whole or as a stream. Limits on connections, headers, body and time are the server's; a
 * client that is slow, vanishes or sends rubbish costs its own connection only. */
#ifndef MU_HTTP_SERVER_H
#define MU_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_http_server;
struct mu_http_request; /* one exchange */

#define MU_HTTP_READ_IDLES      5
#define MU_HTTP_DRAIN_BYTES_MAX ((size_t)64 << 20) /* of a refused body, read so that the client sees the answer */
#define MU_HTTP_BODIES_MAX      8                  /* bodies of the greatest size held at a time, all together */
#define MU_HTTP_REPLY_BYTES_MAX ((size_t)1 << 30)  /* answers not yet read by their clients, all together */
#define MU_HTTP_HEADERS_MAX     8                  /* added by a handler */
#define MU_HTTP_THREADS_MAX     64

struct mu_http_opts {
    const char *address;        /* "127.0.0.1", "::1", "0.0.0.0" */
    int port;                   /* 0: one the system picks */
    int connections_max;        /* 0: 1024; more are refused at once */
    int connections_per_ip_max; /* 0: no bound of its own */
    size_t body_bytes_max;      /* 0: 16 MiB; more is 413 as soon as known */
    size_t header_bytes_max;    /* 0: 32 KiB */
    int64_t idle_ns;            /* a connection that moves no byte this long is closed; 0: 60 s. A request must be whole
                                 * within MU_HTTP_READ_IDLES times as long, so that one byte now and then is no way to
                                 * hold a connection */
    int threads;                /* 0: 2 */
    const char *mark[2];        /* a header's name and value, in every answer to who gave a key, and in no other;
                                 * NULL: none. Borrowed */
    const char *client_header;  /* of requests: clients of one key call themselves by it; NULL: none. Borrowed */
};

/* How a handler ends: respond, or open a stream and feed it from any thread. */
typedef void (*mu_http_handler)(void *arg, struct mu_http_request *r);

struct mu_http_route {
    const char *method; /* "GET"; HEAD is served by GET's row */
    const char *path;   /* exact; a last "*" matches any rest */
    mu_http_handler fn;
    bool is_open; /* needs no key */
};

/* routes ends with a row without path; routes, keys and arg are borrowed. keys: bearer tokens, NULL-terminated; NULL or
 * empty: no key is asked for. */
int mu_http_open(struct mu_http_server **out, const struct mu_http_opts *o, const struct mu_http_route *routes,
                 const char *const *keys, void *arg, struct mu_err *e);
int mu_http_port(const struct mu_http_server *s);
void mu_http_stop(struct mu_http_server *s); /* no new connections; those that run go on */
/* Wait until every request handed to a handler is answered and the answer sent; false when the time was up. */
bool mu_http_drain(struct mu_http_server *s, int64_t timeout_ns);

/* Ends all; NULL is fine. From here on every client counts as gone; waits until the handlers have answered. */
void mu_http_close(struct mu_http_server *s);

const char *mu_http_path(const struct mu_http_request *r);
const char *mu_http_query(const struct mu_http_request *r, const char *name); /* NULL: absent */
/* Who asks: the same number for the same key with the same client header or, without one, from the same address. In the
 * handler alone. */
uint64_t mu_http_client(const struct mu_http_request *r);
struct mu_str mu_http_body(const struct mu_http_request *r);
void mu_http_body_drop(struct mu_http_request *r); /* frees the body early; it is empty then */

/* A header of the answer, before it is given; both texts are borrowed until the request ends. */
void mu_http_header_add(struct mu_http_request *r, const char *name, const char *value);

/* One of the two, once, from any thread; the request lives until then. */
void mu_http_respond(struct mu_http_request *r, int status, const char *content_type, struct mu_str body);

/* A stream (server-sent events): feed() copies and returns at once; false when the client is gone or had more than the
 * stated maximum unread already, beside one feed as large as the largest, and then only end() may follow: such a
 * reader's connection is closed. */
#define MU_HTTP_STREAM_BYTES_MAX ((size_t)1 << 20)
void mu_http_stream_begin(struct mu_http_request *r, int status, const char *content_type);
bool mu_http_stream_feed(struct mu_http_request *r, struct mu_str bytes);
void mu_http_stream_end(struct mu_http_request *r);

/* Whether the client has closed the connection, or its sending half; a waiting handler may ask and give up. Any
 * thread, until the answer is given. */
bool mu_http_is_gone(struct mu_http_request *r);

#endif
