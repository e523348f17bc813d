/* serve_int.h - what the files of the server share: models, calls, their parts, the queues they wait in
 *
 * A call is one HTTP request; a part is one choice of it and at most one request to the engine. A call belongs to one
 * thread at a time: the HTTP thread that takes it, a worker, the engine's thread, a worker again. Only the queues that
 * hand it on and the counts are shared, under the server's lock. The table of residents has a lock of its own, which is
 * taken inside of the server's and never the other way round. */
#ifndef MU_DASH_SERVE_INT_H
#define MU_DASH_SERVE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "dash/serve.h"
#include "dash/serve_ask.h"
#include "dash/serve_metrics.h"

#define MU_SERVE_WORKERS_MAX  64
#define MU_SERVE_TOTAL_MAX    ((size_t)1 << 30)   /* cost of all calls together */
#define MU_SERVE_REPLY_MAX    ((size_t)512 << 20) /* one answer as JSON */
#define MU_SERVE_ID_BYTES_MAX 48
#define MU_SERVE_LANES        64 /* clients that are told apart at a time */

struct mu_call;

struct mu_part {
    struct mu_call *call;
    const struct mu_prompt *prompt;
    int index; /* of the choice */
    uint64_t id;
    bool needs_engine, is_submitted, is_done;
    bool has_begun;           /* a stream: its first chunk is out */
    bool has_ended;           /* at an end token that the call itself looked for, see serve_engine_thread.c */
    struct mu_result *result; /* NULL: not needed, or not there */
};

struct mu_call {
    struct mu_serve *s;
    struct mu_served *served;           /* whom it is for; NULL: not known yet, or nobody */
    const struct mu_serve_model *model; /* held, until the call is let go */
    struct mu_api api;                  /* of this model */
    struct mu_call *prev, *next;
    int lane; /* its client's, see serve_turn.c */
    struct mu_http_request *http;
    void (*work)(struct mu_call *c); /* what the next worker does with it */

    struct mu_ask ask;
    struct mu_part *parts;
    int n_parts, n_sent, n_done; /* sent: submitted or found not to need the engine */
    char id[MU_SERVE_ID_BYTES_MAX];
    int64_t created;                         /* Unix seconds */
    int64_t start_ns, first_ns, deadline_ns; /* first token; 0: none yet, no deadline */
    int64_t open_by_ns;                      /* while it waits for its model: not longer than this */
    bool is_streaming;                       /* the answer has begun */
    bool is_gone, is_stopped;                /* the client left; what is left of it was cancelled */
    bool has_failed;
    struct mu_api_error fail;
    struct mu_buf chunk; /* of a stream, used again */
};

struct mu_call_list {
    struct mu_call *head, *tail;
    int n;
};

/* What waits, by client. */
struct mu_turns {
    struct mu_call_list lane[MU_SERVE_LANES];
    int at; /* whose turn it is */
};

struct mu_lane {
    uint64_t client; /* while it has calls */
    int n_calls;     /* accepted and not yet let go */
};

/* One of the models that are known, open or not. */
struct mu_served {
    char name[MU_RESIDENT_NAME_MAX];
    bool is_kept;

    /* the engine's thread only */
    struct mu_turns waiting;
    struct mu_call_list running;
    const struct mu_serve_model *model; /* of these calls, which hold it */
    int n_in_flight;                    /* requests inside the engine */
    int window;                         /* the most of them: what waits behind is computed in turn */
    bool is_suspect;                    /* requests failed through no fault of theirs */

    /* under the server's lock */
    struct mu_call_list opening; /* calls that wait until it is open */
    int64_t no_room_ns;          /* since when there was no room for it; 0: there was */
    int64_t context_max;         /* 0: not known yet */
    int n_unsent;                /* parts that wait for room in the engine, as of its last step */
    struct mu_serve_metrics metrics;
};

struct mu_serve {
    struct mu_serve_opts o;
    struct mu_residents *residents;
    bool owns_residents;
    struct mu_served *served; /* [n_served], in the table's order */
    int n_served;
    int64_t created; /* Unix seconds */
    struct mu_http_server *http;
    uint64_t id_key; /* makes ids of two runs differ */
    atomic_uint_fast64_t n_ids;

    /* the engine's thread only */
    int n_at_engine; /* calls */
    int64_t tick_ns;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t has_work, has_calls, has_opening, has_changed;
    struct mu_call_list work, inbox;
    int n_calls;
    struct mu_lane lane[MU_SERVE_LANES];
    int n_opening;               /* calls that wait for models */
    struct mu_served *turn;      /* for whom the others make room, see serve_opener.c */
    uint64_t n_taken, n_refused; /* calls; refused: with 503 before their model was known */
    size_t cost;
    bool is_draining, is_stopping, is_engine_done;
    atomic_bool is_dead;
    struct mu_err death;
    pthread_t workers[MU_SERVE_WORKERS_MAX], engine, opener;
    int n_workers;
    bool has_engine, has_opener;
};

/* serve_queue.c */
void mu_call_push(struct mu_call_list *l, struct mu_call *c);
void mu_call_remove(struct mu_call_list *l, struct mu_call *c);
void mu_serve_take(struct mu_serve *s, struct mu_http_request *r,
                   void (*work)(struct mu_call *)); /* on an HTTP thread */
void mu_call_to_worker(struct mu_call *c, void (*work)(struct mu_call *));
void mu_call_to_engine(struct mu_call *c); /* from a worker; refused when the server stops or is full */
void mu_call_free(struct mu_call *c);      /* after it was answered */
int64_t mu_serve_now_ns(void);
void *mu_serve_work(void *s); /* thread */

/* serve_turn.c: under the lock; false: there is no room for another of this client */
bool mu_lane_take(struct mu_serve *s, struct mu_call *c, uint64_t client);
void mu_lane_leave(struct mu_serve *s, const struct mu_call *c);
struct mu_call *mu_turns_next(struct mu_turns *t); /* on the engine's thread; NULL: nothing waits */
void mu_turns_pass(struct mu_turns *t);            /* whose turn it was has had it */

/* serve_hold.c: on a worker. False: the call waits for its model and comes back, or was refused: no longer ours. *o is
 * the body, the caller's; its raw bytes are gone. */
bool mu_call_begin(struct mu_call *c, json_t **o);
bool mu_call_begin_named(struct mu_call *c, const char *name);                                 /* NULL: the only one */
struct mu_served *mu_serve_find(struct mu_serve *s, const char *name, struct mu_api_error *x); /* NULL: refused */
int mu_serve_retry_s(const struct mu_resident_info *info); /* for struct mu_api_error */

/* serve_opener.c */
bool mu_call_await_model(struct mu_call *c); /* under the lock; false: too many wait */
void mu_serve_tick_opening(struct mu_serve *s, int64_t now);
void *mu_serve_opener(void *s); /* thread */

/* serve_engine_thread.c */
void *mu_serve_engine(void *s); /* thread */
void mu_call_leave_engine(struct mu_call *c);

/* serve_breakdown.c: on the engine's thread. model: held by calls of m, or by the caller; info: of m, which failed. */
void mu_serve_break_down(struct mu_serve *s, struct mu_served *m, const struct mu_serve_model *model,
                         const struct mu_err *why);
void mu_serve_drop_calls(struct mu_serve *s, struct mu_served *m, const struct mu_resident_info *info);

/* serve_answer.c */
void mu_call_finish(struct mu_call *c);                               /* worker: the whole answer, or a stream's end */
void mu_call_refuse(struct mu_call *c, const struct mu_api_error *x); /* answers and frees */
void mu_call_respond(struct mu_call *c, int status, struct mu_str json); /* answers and frees */
void mu_http_refuse(struct mu_http_request *r, const struct mu_api_error *x);

/* serve_stream.c: on the engine's thread; false when the client is gone */
bool mu_stream_text(struct mu_part *p, struct mu_str text);
bool mu_stream_finish(struct mu_part *p);
void mu_stream_end(struct mu_call *c); /* usage, [DONE]; a worker may call it too */

/* serve_write.c */
int mu_write_head(const struct mu_call *c, struct mu_buf *out, struct mu_err *e);
int mu_write_usage(const struct mu_call *c, struct mu_buf *out, struct mu_err *e);
int mu_write_error(const struct mu_api_error *x, struct mu_buf *out, struct mu_err *e);
int mu_write_retry(const struct mu_resident_info *info, struct mu_buf *out,
                   struct mu_err *e);                                               /* members of an object */
int mu_write_sentence(const char *text, struct mu_buf *out, struct mu_err *e);      /* a JSON string of it */
int mu_write_choice(const struct mu_part *p, struct mu_buf *out, struct mu_err *e); /* whole, message or text */
int mu_write_delta(const struct mu_part *p, struct mu_buf *out, struct mu_err *e);  /* whole, as a stream's chunk */
const char *mu_part_finish(const struct mu_part *p);                                /* "stop", "length" */
int mu_part_drawn(const struct mu_part *p);                                         /* tokens, the end token too */
struct mu_str mu_part_text(const struct mu_part *p);                                /* of the output */

/* serve_logprobs.c */
int mu_write_logprobs(const struct mu_part *p, struct mu_buf *out, struct mu_err *e);      /* completions */
int mu_write_chat_logprobs(const struct mu_part *p, struct mu_buf *out, struct mu_err *e); /* chats */

/* routes */
void mu_route_completions(void *arg, struct mu_http_request *r);
void mu_route_chat(void *arg, struct mu_http_request *r);
void mu_route_tokenize(void *arg, struct mu_http_request *r);
void mu_route_detokenize(void *arg, struct mu_http_request *r);
void mu_route_tokenizer_info(void *arg, struct mu_http_request *r);
void mu_route_models(void *arg, struct mu_http_request *r);
void mu_route_model(void *arg, struct mu_http_request *r);
void mu_route_health(void *arg, struct mu_http_request *r);
void mu_route_version(void *arg, struct mu_http_request *r);
void mu_route_metrics(void *arg, struct mu_http_request *r);

#endif
