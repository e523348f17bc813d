/* remote.h - what the files of the remote engine share
 *
 *   request --remote.c--> ticket, parts --slots, request.c--> exchanges (base/wire.h) --> answers
 *     --deliver.c, answer.c--> the ticket's job --> result
 *
 * A ticket is a request in flight. Its parts are the exchanges that answer it: one, and one more for every alternative
 * to a last token and for the log-probabilities of a prompt. A slot carries one part through all its attempts, the
 * waits between them included, so that slots bound everything that is under way; there are as many as the concurrency
 * asked for. Everything but the queue belongs to the polling thread. */
#ifndef MU_ENGINE_REMOTE_H
#define MU_ENGINE_REMOTE_H

#include <pthread.h>

#include "base/breaker.h"
#include "engine/engine_int.h"
#include "engine/job.h"
#include "engine/remote/answer.h"
#include "base/wire.h"
#include "engine/remote/request.h"
#include "engine/remote/retry.h"
#include "engine/remote/service.h"
#include "engine/remote/stream.h"
#include <muster/tokenizer.h>

#define MU_REMOTE_CONTEXT_UNKNOWN 2048 /* taken where the server does not tell: lm-evaluation-harness's own default */
#define MU_REMOTE_FAILURES_MAX    3    /* requests in a row that failed for good, before the others fail at once */

struct mu_ticket {
    struct mu_job *job;
    struct mu_ticket *prev, *next;
    int n_parts, n_begun, n_held, n_good; /* parts; begun: given to a slot; held: in one now */
    bool has_failed;

    /* GENERATE: the text so far. */
    struct mu_stop stop;
    struct mu_buf text;    /* shown */
    enum mu_finish finish; /* as the server told it; NONE: not yet */
    bool has_logprobs;
    bool has_ids; /* every piece of text came with its tokens */
    bool has_shown;
};

struct mu_ticket_list {
    struct mu_ticket *head, *tail;
    int n;
};

struct mu_remote_slot {
    struct mu_remote *r;
    struct mu_ticket *ticket; /* NULL: free. The lock guards it */
    int part, form, n_failed;
    bool is_sent, is_trial;
    int64_t due_ns, first_ns; /* first: when the first attempt began; 0: not yet */
    struct mu_exchange x;
    bool has_hiccup;            /* a form was given up for an inner error, which may have been one */
    struct mu_buf body, prompt; /* prompt: as text, where servers take no token ids */
    struct mu_event_stream events;
    char life[MU_SERVICE_ID_BYTES]; /* of the service that was asked */
    struct mu_err refusal;          /* of the first form that was refused; code 0: none */
};

struct mu_remote {
    struct mu_engine base;
    const struct mu_clock *clock;
    const struct mu_tokenizer *tok;    /* NULL: none */
    struct mu_remote_service *service; /* NULL: an address was given */
    const char *title;                 /* before sentences: the address, or the service */
    char *base_url, *models_url, *completions_url, *key, *model, *root;
    char identity[64];                /* which server was asked for which model; see mu_engine_info */
    char others[MU_ANSWER_NAMES_MAX]; /* models in the list, when the one asked for is not; else "" */
    struct mu_job_limits job_limits;
    int64_t connect_ns, silence_ns, exchange_ns;
    struct mu_retry_policy retry;
    uint64_t random;
    struct mu_breaker breaker;
    char breaker_why[MU_ERR_TEXT_MAX];
    struct mu_wire *wire;
    struct mu_remote_slot *slots;
    int n_slots;
    int form[2];       /* [is generation]: the form that was understood; -1: none yet */
    struct mu_buf out; /* text of a step */

    pthread_mutex_t lock; /* guards what follows */
    struct mu_ticket_list pending, done;
    int n_in_flight, queue_max, n_running;
    size_t request_bytes, request_bytes_max;
    uint64_t last_id;
    struct mu_engine_status status;
};

/* remote_open.c */
int mu_remote_open(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e);
int mu_remote_can_handle(const struct mu_engine_opts *o, struct mu_err *why);
/* "http://host:8000/v1" out of what people give; the caller frees. MU_EUSAGE. */
int mu_remote_base_url(const char *endpoint, char **out, struct mu_err *e);

/* Where and by which key it is asked from now on; both are copied. */
int mu_remote_set_address(struct mu_remote *r, const char *base_url, struct mu_err *e);
int mu_remote_set_key(struct mu_remote *r, const char *key, struct mu_err *e);

/* remote_probe.c: one request of each kind, to its end. MU_EUNSUPPORTED: the server generates and does not score. */
int mu_remote_probe(struct mu_remote *r, bool will_score, bool will_generate, struct mu_err *e);

/* remote.c */
void mu_remote_close(mu_engine *eng);
/* "ENDPOINT: ", or "service NAME: ", before a sentence, and nothing that looks like the key in it. */
int mu_remote_blame(const struct mu_remote *r, int rc, struct mu_err *e);
/* The failure of an answer whose status is not 200, as a sentence. */
int mu_remote_refusal(const struct mu_remote *r, const struct mu_exchange *x, struct mu_err *e);

/* deliver.c: a good answer into the ticket's job. MU_EUNSUPPORTED: another form may do. */
int mu_remote_take_answer(struct mu_remote_slot *s, struct mu_err *e);
int mu_remote_take_event(void *slot, struct mu_str data, struct mu_err *e); /* of a stream */
void mu_remote_end(struct mu_remote *r, struct mu_ticket *t);               /* the last event; the job is final after */
struct mu_score_text mu_remote_score_text(const struct mu_ticket *t, int part);
bool mu_remote_is_generation(const struct mu_ticket *t, int part);

#endif
