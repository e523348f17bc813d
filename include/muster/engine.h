/* engine.h - a loaded model that scores and generates
 *
 * An engine opens a checkpoint once and reserves all memory it will ever use: the bill is worked out first, shown to
 * on_bill, and kept. Requests are submitted (copied, queued), computed together in steps, and handed back one by one
 * by mu_engine_poll(), which is where the steps run. What a request yields depends on the request and the model alone:
 * not on the batch, its neighbours, chunking, prefix sharing or threads, bit for bit.
 *
 *     struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
 *     o.model = "models/muster-llama-tiny";
 *     mu_engine_open(&eng, &o, &err);
 *     mu_engine_submit(eng, &request, &id, &err);
 *     while (mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err) == MU_OK && result) {
 *         ...
 *         mu_result_free(result);
 *     }
 *     mu_engine_close(eng);
 *
 * Threads: one thread at a time polls; submit, cancel and status may come from any thread. Results are the caller's
 * and must be freed before the engine is closed. The engine works on token ids; text (stop strings, pieces while
 * streaming) needs the tokenizer handle in the options.
 *
 * Log-probabilities are natural logarithms of the model's own distribution: before bias, penalties and temperature. */
#ifndef MUSTER_ENGINE_H
#define MUSTER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <muster/err.h>

typedef struct mu_engine mu_engine;

struct mu_bill;      /* plan/bill.h */
struct mu_clock;     /* base/clock.h */
struct mu_comm;      /* comm/comm.h */
struct mu_device;    /* tensor/device.h */
struct mu_machine;   /* plan/machine.h */
struct mu_tokenizer; /* muster/tokenizer.h */

#define MU_ENGINE_QUEUE_MAX     65536 /* requests in flight; an evaluation harness fills a queue, never a heap */
#define MU_ENGINE_SEQUENCES_MAX 4096  /* sequences computed at a time */
#define MU_ENGINE_ROWS_MAX      65536 /* rows of a step */
#define MU_TOP_MAX              20    /* alternatives reported a position, as OpenAI's servers allow */
#define MU_STOP_MAX             64    /* stop strings, and stop tokens, of a request */
#define MU_STOP_BYTES_MAX       256   /* of one stop string */
#define MU_BIAS_MAX             1024  /* logit biases of a request */
#define MU_ENGINE_EOS_MAX       64    /* end tokens a checkpoint may name */
#define MU_ALTERNATIVES_MAX     4096  /* last tokens scored beside the one given */
#define MU_REDUNDANT_MAX        3072  /* copies of experts a layer beyond one of each */
#define MU_CONCURRENCY_MAX      256   /* requests under way to a server at a time */
#define MU_WEIGHTS_HASH_DIGITS  32

/* The order in which waiting requests start. Never changes a result. */
enum mu_order {
    MU_ORDER_SUBMITTED, /* first in, first out */
    MU_ORDER_LONGEST    /* longest prompt first, equal prompts side by side */
};

/* What will be asked of the engine, as far as it is known: 0 where not. Decides a layout that is left open, never a
 * result. */
struct mu_engine_work {
    int64_t requests;       /* in all */
    int64_t prompt, output; /* tokens of one, in the mean */
    int64_t scored;         /* prompt tokens of one whose log-probabilities are wanted */
    /* For certain: tokens that the longest one has in the KV cache, prompt and output without the last of all, and all
     * of them together. The cache then holds these and no more; a longer request is refused. */
    int64_t longest, tokens;
};

struct mu_engine_opts {
    const char *model;    /* folder, .safetensors or .gguf file */
    const char *weights;  /* "f32", "bf16", "f16", "int8", "int4"; NULL: the checkpoint's own */
    const char *kv_dtype; /* "f32", "bf16", "f16", "int8"; NULL: f32 */
    const char *mla;      /* latent attention: "absorbed" (small cache) or "naive"; NULL: absorbed */
    const char *level;    /* CPU code: "ref", "avx2", "avx512"; NULL: the best this CPU has */
    int threads;          /* 0: the cores this process may use */

    /* Limits; 0: chosen inside memory_bytes_max, and the bill says how. */
    int64_t context_max;     /* tokens of prompt and output together */
    int rows_max;            /* rows (tokens) of a step */
    int sequences_max;       /* requests computed at a time */
    int64_t kv_tokens_max;   /* tokens the KV cache holds, all sequences together */
    int prefill_chunk;       /* rows one prompt may take of a step; 0: rows_max */
    int queue_max;           /* requests in flight; 0: 4096 */
    size_t request_bytes;    /* memory of requests and results in flight; 0: 64 MiB */
    size_t memory_bytes_max; /* of the process; 0: nine tenths of what the machine and cgroup have left */

    bool no_prefix_sharing;
    enum mu_order order;

    struct mu_device *device;             /* borrowed; NULL: the engine opens a CPU device by level and threads */
    const struct mu_tokenizer *tokenizer; /* borrowed; NULL: token ids only */
    const struct mu_clock *clock;         /* borrowed; NULL: the machine's */

    /* distributed: the model on many ranks. The world's rank 0 opens the engine; all other ranks call
     * mu_engine_follow(), which takes every number and name of these options but model, level, threads, device and
     * tokenizer from rank 0. */
    struct mu_comm *world; /* borrowed; NULL or of one rank: none */
    const char *layout;    /* "tp=4,pp=2" (plan/layout.h); NULL or "auto": the planner's first that fits every rank */
    /* Why that layout, and which better ones do not fit: lines, before anything is loaded. */
    void (*on_layout)(void *arg, const char *layout, const char *reasons);

    /* Over many nodes: "peer": each part of the checkpoint is read on one node and sent to those that need it; "file":
     * each node reads what it needs; NULL or "auto": from peers where all nodes see one file, else by node. */
    const char *weights_from;

    /* Mixtures of experts on many ranks: where experts lie, never a result. Of one replica each. */
    int redundant_experts;    /* copies a layer beyond one of each expert, for those with the most rows */
    const char *expert_loads; /* a file of mu_engine_write_expert_loads(), read by rank 0; NULL: all experts alike */

    /* For choosing a layout and for predictions. */
    struct mu_engine_work work;
    const struct mu_machine *machine; /* borrowed, as `muster calibrate` keeps it; NULL: round numbers are guessed */

    /* remote: an OpenAI-compatible server computes. Without tokenizer no text is encoded; prompts are token ids. */
    const char *endpoint;       /* "http://host:8000/v1", "service:NAME", "service:FOLDER/NAME" (docs/services.md) */
    const char *endpoint_model; /* the name it knows the model by; NULL: the only one it has */
    const char *endpoint_hash;  /* a service's weights must have this hash, or one that begins so; NULL: any */
    const char *api_key_file;   /* its first word is the key; NULL: OPENAI_API_KEY, if set */
    int concurrency;            /* requests under way at a time; 0: 8 */
    int attempts_max;           /* of one request; 0: 12 */
    int64_t connect_ns, silence_ns, exchange_ns; /* to connect; without a byte; of a whole answer. 0: 10, 300, 1800 s */
    uint64_t retry_seed;                         /* of the random part of back-off; 0: another each time */
    bool will_score, will_generate;              /* tried once while opening; MU_EUNSUPPORTED: it cannot score */

    const char *engine; /* "light", "distributed", "remote"; NULL or "auto": the selector's choice (engine/select.h) */
    /* The choice with its reasons as text, before anything is opened. */
    void (*on_choice)(void *arg, const char *table);

    /* Called once before memory is reserved, also when the bill is too high; nonzero stops with MU_ECANCELED. */
    int (*on_bill)(void *arg, const struct mu_bill *bill);
    /* Bytes of weights read so far; nonzero stops with MU_ECANCELED. */
    int (*on_progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};

#define MU_ENGINE_OPTS_INIT                                                                                            \
    {                                                                                                                  \
        .model = NULL                                                                                                  \
    }

/* remote: what a service says of itself. */
struct mu_engine_service {
    const char *name, *host, *model;
    const char *weights_hash; /* as its engine's own mu_engine_info has it */
    const char *weights, *kv_dtype, *mla;
    int numerics; /* tensor/numerics.h */
    int lives;    /* of it that were met: 1, and one more each time it was started again */
};

/* What is known of an open engine; strings live as long as it does. */
struct mu_engine_info {
    const char *engine; /* "light", "distributed", "remote" */
    const char *arch;   /* "LlamaForCausalLM" */
    const char *level;  /* "avx512" */
    const char *layout; /* "tp=4,pp=2", or "" on one rank */
    int ranks, replicas;
    const char *weights, *kv_dtype;
    int64_t vocab, context_max;
    int64_t n_params, n_params_active; /* active: used for one token */
    uint64_t weight_bytes_read;        /* of the checkpoint: each byte once */
    /* Hexadecimal; of the content: every tensor read (name, type, shape, bytes) and the numbers of the network's
     * description. Not of paths, shards or the format the weights are computed in. "" for an engine without files.
     * remote: "endpoint-" and a hash of the address, the model's name and what the server says it loaded: it tells who
     * was asked, and cannot tell that the server's weights changed under that name. Of a service "service-" and a hash
     * of what it computes with, wherever it runs. */
    const char *weights_hash;
    const struct mu_engine_service *service; /* NULL: none is asked; as of the last request */
    int rows_max, sequences_max, prefill_chunk, threads;
    int64_t kv_pages;
    int32_t bos; /* -1: none named */
    int n_eos;   /* from generation_config.json, else config.json */
    int32_t eos[MU_ENGINE_EOS_MAX];
    double repetition; /* penalty that generation_config.json names; 1: none. Requests say what is applied */
};

/* MU_ENOMEM with the way out when the bill is above the limit. */
int mu_engine_open(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e);
void mu_engine_close(mu_engine *eng); /* NULL is fine; requests in flight are dropped */

/* On every rank but the world's rank 0: its part of the engine that rank 0 opens, until rank 0 closes or dismisses it.
 * Failures that rank 0 knows of and tells have no sentence here. */
int mu_engine_follow(const struct mu_engine_opts *o, struct mu_err *e);
/* On rank 0 when no engine will be opened: the others go home. */
void mu_engine_dismiss(struct mu_comm *world);
/* The most memory each rank has held, peak[size of the world] in bytes; between polls. MU_EUNSUPPORTED on one rank. */
int mu_engine_peaks(mu_engine *eng, uint64_t *peak, struct mu_err *e);

/* Predicted against measured: the steps that ran, here and by the model of plan/cost.h for the very same rows. Of
 * several replicas the first is looked at. Zeros where nothing is known. */
struct mu_engine_seen {
    bool is_calibrated; /* by a machine that was given, else by guessed constants */
    int64_t steps, rows;
    double predicted_s, measured_s; /* spent in them */
};
void mu_engine_seen(mu_engine *eng, struct mu_engine_seen *out); /* any thread */

/* Predicted seconds of one step with `rows` rows of each of `sequences` sequences that hold `context` tokens already,
 * of which n_logits rows are scored; 0: nothing is known. */
double mu_engine_predict(const mu_engine *eng, int sequences, int rows, int64_t context, int n_logits);

/* How many rows each expert of each layer has computed, as a file for mu_engine_opts.expert_loads; between polls. Of
 * several replicas the first one's rows. MU_EUNSUPPORTED for models without experts. */
int mu_engine_write_expert_loads(mu_engine *eng, const char *path, struct mu_err *e);

/* Rows of the fullest rank over the mean, by the same counts: 1 is even. */
struct mu_engine_balance {
    int ranks;          /* that share a layer's experts */
    double mean, worst; /* over the layers */
    int worst_layer;    /* -1: nothing was computed */
};
int mu_engine_expert_balance(mu_engine *eng, struct mu_engine_balance *out, struct mu_err *e);

void mu_engine_info(const mu_engine *eng, struct mu_engine_info *out);
const struct mu_bill *mu_engine_bill(const mu_engine *eng); /* lives as long as the engine; remote: NULL */

/* ---- requests ---- */

enum mu_request_kind {
    MU_REQUEST_SCORE,   /* log p(continuation | ids); at least one of each */
    MU_REQUEST_ROLLING, /* log p(ids[i] | ids[0..i)) for every i >= 1; at least two */
    MU_REQUEST_GENERATE /* continue ids */
};

struct mu_logit_bias {
    int32_t id;
    float bias; /* added to the logit; -100 as good as bans a token */
};

/* Applied in this order: bias, repetition, frequency and presence penalties, temperature, min-p, top-k, top-p. Draw i
 * of a request uses number i of the generator keyed by its seed, whatever else runs. Ties go to the lowest id. */
struct mu_sampling {
    double temperature; /* 0: greedy; else > 0 */
    int top_k;          /* 0: off */
    double top_p;       /* (0, 1]; 1: off */
    double min_p;       /* [0, 1]; 0: off */
    double repetition;  /* > 0; 1: off. Logits of tokens seen in prompt or output: x > 0 ? x / r : x * r */
    double frequency;   /* [-2, 2]: minus this times the count in the output */
    double presence;    /* [-2, 2]: minus this once when in the output */
    uint64_t seed;
    const struct mu_logit_bias *bias;
    int n_bias;
};

#define MU_SAMPLING_GREEDY                                                                                             \
    {                                                                                                                  \
        .top_p = 1, .repetition = 1                                                                                    \
    }

enum mu_finish { MU_FINISH_NONE, MU_FINISH_STOP, MU_FINISH_LENGTH, MU_FINISH_CANCELLED, MU_FINISH_ERROR };
const char *mu_finish_name(enum mu_finish f); /* "stop", "length", "cancelled", "error" */

/* One output token as it appears, or a piece of text (id -1, logprob NaN) from a server that does not tell its tokens.
 * After the tokens comes one event with is_last and id -1, whatever ended the request;
 * it brings text that was held back. text is whole UTF-8 characters, not NUL-terminated, empty without tokenizer; bytes
 * that could begin a stop string wait for the next event. */
struct mu_token_event {
    uint64_t request;
    void *user;
    int index; /* of the token in the output */
    int32_t id;
    double logprob;
    const char *text;
    size_t text_bytes;
    bool is_last;
    enum mu_finish finish; /* with is_last */
};

struct mu_request {
    enum mu_request_kind kind;
    const int32_t *ids; /* context or prompt */
    int n_ids;
    const int32_t *continuation; /* SCORE */
    int n_continuation;
    const int32_t *alternatives; /* SCORE: tokens reported in place of the continuation's last one, from the same row */
    int n_alternatives;          /* 0..MU_ALTERNATIVES_MAX */
    int n_top;                   /* alternatives wanted at every reported position, 0..MU_TOP_MAX */

    /* GENERATE */
    struct mu_sampling sampling;
    int max_tokens; /* 0: as many as the context has room for */
    bool want_prompt_logprobs;
    bool ignore_eos; /* the checkpoint's end tokens do not stop it */
    const int32_t *stop_ids;
    int n_stop_ids;
    const char *const *stop; /* strings; the output ends before the first one found */
    int n_stop;
    int (*on_token)(void *arg, const struct mu_token_event *ev); /* inside poll; nonzero cancels the request */
    void *on_token_arg;

    void *user; /* handed back in the result */
};

#define MU_REQUEST_INIT                                                                                                \
    {                                                                                                                  \
        .sampling = MU_SAMPLING_GREEDY                                                                                 \
    }

struct mu_token_logprob {
    int32_t id;
    double logprob;
};

/* A token in place of the last one: the same bits as a request of its own would have given. */
struct mu_alternative {
    int32_t id;
    bool is_greedy;     /* it and the tokens before it were the most likely ones */
    double logprob;     /* of this token */
    double logprob_sum; /* with the tokens of the continuation before it */
};

/* Log-probabilities of a run of given tokens; arrays of n, top of n * n_top, best first. */
struct mu_logprobs {
    int n;
    const int32_t *ids;
    const double *logprob;
    const bool *is_greedy;              /* the token is the most likely one (lowest id on ties) */
    const struct mu_token_logprob *top; /* [n][n_top] or NULL */
    int n_top;
};

struct mu_result {
    uint64_t id;
    void *user;
    enum mu_request_kind kind;
    int code; /* MU_OK, or why it failed: err says it in a sentence */
    struct mu_err err;
    enum mu_finish finish;

    double logprob_sum; /* SCORE, ROLLING: of all tokens asked for, added in order in f64; GENERATE: of the output */
    bool is_greedy;     /* every token was the most likely one */
    struct mu_logprobs tokens;                 /* the continuation, ids[1..), or the output */
    struct mu_logprobs prompt;                 /* GENERATE with want_prompt_logprobs: of ids[1..); else n = 0 */
    const struct mu_alternative *alternatives; /* SCORE: in the order of the request */
    int n_alternatives;

    const char *text; /* GENERATE with a tokenizer: the output as UTF-8, cut before a stop string; NUL-terminated */
    size_t text_bytes;
    int32_t stop_id;         /* GENERATE: the token that ended it (not among tokens), or -1 */
    int stop_string;         /* index of the stop string that ended it, or -1 */
    int n_prompt;            /* tokens given */
    int n_prompt_cached;     /* of these, found in shared pages */
    int64_t wait_ns, run_ns; /* in the queue; from first step to the end */
};

/* Copies the request into the queue. MU_ENOMEM: the queue is full, poll first. MU_ELIMIT: longer than the context, or
 * more than the cache can ever hold. MU_EINVAL: an impossible value. */
int mu_engine_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e);

#define MU_WAIT_FOREVER INT64_MAX

/* Run steps until a request is done: *out is its result, the caller's to free. *out = NULL with MU_OK: nothing is in
 * flight. MU_ETIMEDOUT: timeout_ns passed first (0: at most one step). A failed request is a result, not an error. */
int mu_engine_poll(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e);
void mu_result_free(struct mu_result *r); /* NULL is fine */

/* MU_ENOENT when it is not in flight. Its result comes by poll, with what was computed and MU_ECANCELED. */
int mu_engine_cancel(mu_engine *eng, uint64_t id, struct mu_err *e);

/* Submit all and poll until all are done: results[i] answers requests[i]. A request refused by submit becomes a failed
 * result. Nothing else may be in flight. On failure all results are NULL and nothing is in flight. */
int mu_engine_run(mu_engine *eng, const struct mu_request *requests, int n, struct mu_result **results,
                  struct mu_err *e);

/* The pool of KV pages at one moment, in pages unless said; lanes and replicas added up. A page is free, held by
 * running requests, or cached: kept for finished ones' beginnings and free when needed. */
struct mu_kv_stats {
    int64_t pages, free, held, cached; /* pages = free + held + cached */
    int64_t shared;                    /* held by more than one request */
    int64_t refs;                      /* what running requests would hold if none were shared */
    int64_t reserved;                  /* free or cached ones promised to running requests */
    int64_t held_peak;                 /* the most ever held */
    int64_t tokens, tokens_room;       /* in held pages: that are there, that would fit */
    int64_t span;                      /* up to the last page that is not free; held + cached when compact */
    int64_t free_run;                  /* the longest run of free pages in any one pool */
    int64_t given_back;                /* free ones whose memory the system has until they are used again */
};

void mu_kv_stats_add(struct mu_kv_stats *a, const struct mu_kv_stats *b);
double mu_kv_stats_empty(const struct mu_kv_stats *s);   /* internal fragmentation: held room without a token, 0..1 */
double mu_kv_stats_scatter(const struct mu_kv_stats *s); /* external: free pages among the span, 0..1 */
double mu_kv_stats_broken(const struct mu_kv_stats *s);  /* free pages outside the longest free run, 0..1 */
double mu_kv_stats_gain(const struct mu_kv_stats *s);    /* of sharing: pages wanted for a page held, 1 or more */

struct mu_engine_status {
    int n_queued, n_running, n_done; /* done: not yet polled */
    uint64_t steps, rows, logit_rows;
    uint64_t tokens_prompt, tokens_cached, tokens_output; /* prompt tokens computed; found in shared pages; drawn */
    int64_t step_ns;                                      /* spent in steps */
    double rows_per_s;                                    /* rows / step time */
    int64_t pages, pages_used, pages_shared, pages_cached, pages_used_peak; /* used: by running requests; shared: by
                                                                       several; cached: by finished ones only */
    uint64_t requests_done, requests_failed;
    int replicas_lost;             /* with their ranks, while the others went on */
    uint64_t requests_given_back;  /* by these, and computed elsewhere */
    struct mu_kv_stats kv;         /* as of the last look: a few steps ago, or now when nothing runs */
    struct mu_kv_stats kv_fullest; /* the look that found the most pages held */
};

void mu_engine_status(mu_engine *eng, struct mu_engine_status *out);

/* Give up what is kept for later only (prefixes of finished requests); *bytes_freed of cache became free. Pages that
 * are in use move together, as many as one call may, and the memory behind them goes back to the system until it is
 * needed again (status: kv.given_back). Between polls; changes no result. */
int mu_engine_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e);

#endif
