/* serve.h - an engine behind an OpenAI-compatible HTTP interface
 *
 * POST /v1/completions, /v1/chat/completions, /tokenize, /detokenize; GET /v1/models, /tokenizer_info, /health,
 * /metrics, /version. The numbers are the engine's, bit for bit, whatever else is running.
 *
 * Threads: the HTTP server's move bytes, a few workers read bodies, tokenise and write answers, one polls the engine.
 * A request passes from one to the next and waits in queues of bounded length and memory. */
#ifndef MU_DASH_SERVE_H
#define MU_DASH_SERVE_H

#include <muster/engine.h>
#include <muster/tokenizer.h>

#include "http/server.h"
#include "tok/chat.h"

struct mu_serve;

struct mu_serve_opts {
    struct mu_http_opts http;
    const char *const *keys;    /* bearer keys, NULL-terminated; NULL: none is asked for. Borrowed */
    const char *model;          /* the name clients call it by; borrowed */
    mu_engine *eng;             /* borrowed; nobody else may use it meanwhile */
    const mu_tokenizer *tok;    /* borrowed */
    const struct mu_chat *chat; /* borrowed; NULL: chats are refused */
    const char *chat_template;  /* its source, for /tokenizer_info; borrowed, may be NULL */
    int queue_max;              /* requests accepted and not yet answered; 0: 1024. More are refused with 503 */
    int64_t request_ns;         /* longest time from acceptance to the answer; 0: no limit */
    int workers;                /* threads that read and write JSON and tokenise; 0: 2 */
};

int mu_serve_open(struct mu_serve **out, const struct mu_serve_opts *o, struct mu_err *e);
int mu_serve_port(const struct mu_serve *s);
bool mu_serve_is_alive(struct mu_serve *s); /* false when the engine failed: nothing will be answered any more */

/* Take no more connections and requests, and wait until those that run are answered; false when the time was up. */
bool mu_serve_drain(struct mu_serve *s, int64_t timeout_ns);
void mu_serve_close(struct mu_serve *s); /* cancels what runs; NULL is fine */

#endif
