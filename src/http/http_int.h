/* http_int.h - what the files of src/http share: the server, its connections and one exchange
 *
 * Locks: the server's before a request's. A request is owned by libmicrohttpd from its first header to the end of the
 * exchange, by the handler until it has answered, and by a stream's response while that lives: refs counts them. */
#ifndef MU_HTTP_HTTP_INT_H
#define MU_HTTP_HTTP_INT_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http/server.h"

#define MU_HTTP_DIGEST_BYTES 32

/* One TCP connection. */
struct mu_http_conn {
    struct mu_http_conn *prev, *next;
    int fd;
    int64_t since_ns; /* accepted, or the end of the last exchange */
    bool is_reading;  /* a request is awaited or on its way in */
    int n_ends;       /* looks in a row that found nothing more to come */
};

struct mu_http_server {
    struct MHD_Daemon *daemon;
    const struct mu_http_route *routes;
    void *arg;
    struct mu_http_opts o; /* defaults filled in */
    unsigned char (*digests)[MU_HTTP_DIGEST_BYTES];
    int n_keys;
    int listen_fd, port;
    bool is_quiet; /* stopped listening; listen_fd is ours again */
    atomic_bool is_closing;
    atomic_size_t body_bytes, stream_bytes, reply_bytes;

    pthread_mutex_t lock;             /* guards what follows */
    pthread_cond_t released, closing; /* a handler has answered or an exchange is over; for the
                                       * watcher */
    struct mu_http_conn *conns;
    int n_conns;
    struct mu_http_request *handed; /* with their handlers */
    int n_handed;
    int n_open; /* handed over and not yet over: the answer may still be on its way out */
    pthread_t watcher;
    bool has_watcher;
};

struct mu_http_request {
    struct mu_http_server *s;
    struct mu_http_conn *conn;
    const struct mu_http_route *route;
    char *path;
    struct mu_buf body;
    size_t n_dropped; /* bytes of a refused body read and thrown away */
    bool is_known;    /* gave a key, where one is asked for */
    int refused;      /* status of a refusal found before the handler; 0: none */
    const char *refusal, *refusal_code;
    char allow[64];
    struct mu_http_request *handed_prev, *handed_next; /* the server's lock */
    bool is_handed;
    atomic_int refs;

    pthread_mutex_t lock;     /* guards what follows */
    struct MHD_Connection *c; /* NULL when the exchange is over */
    bool is_suspended, is_answered, is_dropped;
    int status;
    struct MHD_Response *response; /* waiting to be queued */
    const char *header[MU_HTTP_HEADERS_MAX][2];
    int n_header;
    struct mu_buf out;        /* of a stream: unread bytes from n_read */
    size_t n_read, n_largest; /* the largest feed so far */
    bool is_ended, is_cut;
};

/* auth.c */
int mu_http_keys_open(struct mu_http_server *s, const char *const *keys, struct mu_err *e);
bool mu_http_key_is_good(const struct mu_http_server *s, const char *authorization);

/* conn.c */
int mu_http_watch_start(struct mu_http_server *s, struct mu_err *e);
void mu_http_watch_stop(struct mu_http_server *s);
enum MHD_Result mu_http_on_accept(void *arg, const struct sockaddr *addr, socklen_t n);
void mu_http_on_conn(void *arg, struct MHD_Connection *c, void **state, enum MHD_ConnectionNotificationCode what);
void mu_http_conn_is_reading(struct mu_http_server *s, struct mu_http_conn *conn, bool is_reading);

/* request.c */
enum MHD_Result mu_http_on_access(void *arg, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **state);
void mu_http_on_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why);
void mu_http_unref(struct mu_http_request *r);
void mu_http_release(struct mu_http_request *r); /* the handler is done with it */
void mu_http_drop_all(struct mu_http_server *s); /* no more answers: wakes every waiting exchange, which then closes */

/* refuse.c: checks made on the headers alone; sets r->refused. */
void mu_http_check_headers(struct mu_http_request *r, struct MHD_Connection *c, const char *method);

/* reply.c */
struct MHD_Response *mu_http_error_response(const struct mu_http_request *r);
void mu_http_answer(struct mu_http_request *r, int status,
                    struct MHD_Response *response); /* NULL: drop the connection */
bool mu_http_add_headers(const struct mu_http_request *r, struct MHD_Response *response, const char *content_type);

#endif
