/* serve.h - engines behind an OpenAI-compatible HTTP interface
 *
 * POST /v1/completions, /v1/chat/completions, /tokenize, /detokenize; GET /v1/models, /tokenizer_info, /health,
 * /metrics, /version. The numbers are the engine's, bit for bit, whatever else is running.
 *
 * One model, or several in a table of residents (engine/resident/resident.h): the field "model" says which one a
 * request is for. It is held from before its tokenizer is needed until the answer is given, so it is never evicted
 * meanwhile. A request for one that is not open waits in a line of bounded length until it is, or its time is up.
 *
 * Clients are told apart by key and name or address, and what they ask is computed in turn: one that has sent much does
 * not keep the others waiting (serve_turn.c).
 *
 * Threads: the HTTP server's move bytes, a few workers read bodies, tokenise and write answers, one polls the engines
 * in turn, one opens models and looks at the machine's memory. A request passes from one to the next and waits in
 * queues of bounded length and memory. */
#ifndef MU_DASH_SERVE_H
#define MU_DASH_SERVE_H

#include <muster/engine.h>
#include <muster/tokenizer.h>

#include "engine/resident/resident.h"
#include "http/server.h"
#include "tok/chat.h"

struct mu_serve;

/* An open model: what the table's opener gives. */
struct mu_serve_model {
    mu_engine *eng; /* nobody else may use it meanwhile */
    const mu_tokenizer *tok;
    const struct mu_chat *chat; /* NULL: chats are refused */
    const char *chat_template;  /* its source, for /tokenizer_info; may be NULL */
};

#define MU_SERVE_LOAD_QUEUE 256
#define MU_SERVE_LOAD_NS    300000000000ll

struct mu_serve_opts {
    struct mu_http_opts http;
    const char *const *keys; /* bearer keys, NULL-terminated; NULL: none is asked for. Borrowed */
    const char *service_id;  /* what answers carry for clients of a service (engine/service/record.h); NULL. Borrowed */

    /* One model: the name clients call it by, and what it is. */
    const char *name;                   /* borrowed */
    const struct mu_serve_model *model; /* borrowed */
    /* Or several: a table of struct mu_serve_model by the names that clients use, all added. Borrowed. */
    struct mu_residents *residents;
    const int64_t *context_max; /* of each as far as it is known before it is open, else 0; may be NULL. Borrowed */
    int load_queue_max;         /* requests that wait for models; 0: MU_SERVE_LOAD_QUEUE. More are refused with 503 */
    int64_t load_ns;            /* the longest that each waits so; 0: MU_SERVE_LOAD_NS */

    int queue_max;      /* requests accepted and not yet answered; 0: 1024. More are refused with 503 */
    int64_t request_ns; /* longest time from acceptance to the answer; 0: no limit */
    int workers;        /* threads that read and write JSON and tokenise; 0: 2 */
};

int mu_serve_open(struct mu_serve **out, const struct mu_serve_opts *o, struct mu_err *e);
int mu_serve_port(const struct mu_serve *s);

/* An engine that breaks down takes the requests in its hands along, each with the sentence. With several models the
 * next request for it opens it anew when the table allows (resident.h); the others do not notice. With one model, or
 * when all are given up, the server is dead: nothing will be computed any more. */
bool mu_serve_is_alive(struct mu_serve *s);
int mu_serve_death(struct mu_serve *s, struct mu_err *e); /* MU_OK while it is alive, else the engine's code */

/* Take no more connections and requests, and wait until those that run are answered; false when the time was up. */
bool mu_serve_drain(struct mu_serve *s, int64_t timeout_ns);
void mu_serve_close(struct mu_serve *s); /* cancels what runs; NULL is fine */

#endif
