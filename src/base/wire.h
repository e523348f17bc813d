/* wire.h - HTTP exchanges, many at a time, over libcurl's multi interface
 *
 * No thread of its own: bytes move while mu_wire_pump() and mu_wire_wait() run, by one thread at a time; only
 * mu_wire_wake() may come from any. Redirects are refused, certificates are checked, nothing is decompressed; headers
 * and bodies have bounds. Knows no models. */
#ifndef MU_BASE_WIRE_H
#define MU_BASE_WIRE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include <muster/err.h>

#define MU_WIRE_HEADER_BYTES_MAX ((size_t)64 << 10)
#define MU_WIRE_KEY_BYTES_MAX    4096
#define MU_WIRE_VALUE_BYTES      128

/* What a failed attempt means. */
enum mu_verdict {
    MU_VERDICT_GOOD,
    MU_VERDICT_RETRY,    /* may pass: the network, an overloaded or restarting server */
    MU_VERDICT_REFUSED,  /* this request's own fault: another form of it may do, the same one never will */
    MU_VERDICT_ENDPOINT, /* no request will ever be answered: a wrong key, path or certificate, a redirect */
};

enum mu_verdict mu_verdict_of_status(int http_status);

struct mu_wire;

struct mu_wire_opts {
    const char *key;    /* bearer; NULL: none. Copied; never part of a sentence */
    const char *header; /* a whole line that goes with every request; NULL: none. Borrowed */
    bool no_proxy;      /* the host is asked itself, whatever the environment says of proxies */
    int exchanges_max;
    int64_t connect_ns;
    const struct mu_clock *clock; /* borrowed */
};

int mu_wire_open(struct mu_wire **out, const struct mu_wire_opts *o, struct mu_err *e);
void mu_wire_close(struct mu_wire *w); /* no exchange may be under way; NULL is fine */
int mu_wire_rekey(struct mu_wire *w, const char *key, struct mu_err *e); /* of exchanges that begin from now on */

/* One exchange; the memory is the caller's and stays where it is until it is done or stopped. */
struct mu_exchange {
    const char *url;    /* borrowed until done */
    struct mu_str body; /* borrowed until done; p NULL: GET */
    bool is_stream;     /* the body of a good answer goes to on_data piece by piece and not to answer */
    bool drops_rest;    /* of an answer that is longer than the maximum */
    /* An error code stops the exchange with it. */
    int (*on_data)(void *arg, struct mu_str piece, struct mu_err *e);
    void *arg;
    const char *wanted; /* the name of a header whose value is kept; NULL: none. Borrowed */

    /* The answer: code MU_OK when one came, whatever its status. */
    struct mu_buf answer; /* init by the caller, with the maximum; more is MU_ELIMIT, or dropped */
    int code;
    struct mu_err err;
    enum mu_verdict verdict; /* of the failure, or of the status */
    int status;
    int64_t told_ns;            /* Retry-After; 0: none */
    int64_t start_ns, moved_ns; /* when it was sent, and when a byte last came */
    bool is_done;
    char header[MU_WIRE_VALUE_BYTES]; /* of the name wanted; "": it was not there, or too long */

    /* wire.c's own */
    struct mu_wire *wire;
    void *easy, *lines;
    size_t header_bytes;
    char curl_text[256]; /* CURL_ERROR_SIZE */
};

int mu_wire_start(struct mu_wire *w, struct mu_exchange *x, struct mu_err *e);
void mu_wire_stop(struct mu_exchange *x); /* also when it is done, or never began */

int mu_wire_pump(struct mu_wire *w, struct mu_err *e); /* moves what can be moved now; ended ones are is_done */
int mu_wire_wait(struct mu_wire *w, int64_t ns, struct mu_err *e); /* until bytes can move, a wake, or the time is up */
void mu_wire_wake(struct mu_wire *w);

#endif
