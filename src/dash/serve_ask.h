/* serve_ask.h - what a client asks for, read from the body of a request and checked, before anything runs
 *
 * Pure: no sockets, no engine. Wrong types and impossible values are 400 with the field's name, unknown fields are
 * ignored, as OpenAI's and vLLM's servers do. */
#ifndef MU_DASH_SERVE_ASK_H
#define MU_DASH_SERVE_ASK_H

#include <muster/engine.h>
#include <muster/tokenizer.h>

#include "base/json.h"
#include "tok/chat.h"

#define MU_SERVE_JSON_NODES_MAX (1 << 20)           /* values in one body: a tree of them takes 100 MB */
#define MU_SERVE_CHOICES_MAX    128                 /* n */
#define MU_SERVE_PROMPTS_MAX    2048                /* prompts of one request */
#define MU_SERVE_PARTS_MAX      4096                /* their product */
#define MU_SERVE_COST_MAX       ((size_t)256 << 20) /* bytes that one request's ids and reported positions may take */
#define MU_SERVE_TOKEN_BYTES    256                 /* a text with more bytes a token than this is too long unread */
#define MU_SERVE_TEXT_MAX       ((size_t)64 << 20)  /* a rendered chat, an echoed prompt */

/* What is fixed while a model is open. */
struct mu_api {
    const mu_tokenizer *tok;
    const struct mu_chat *chat; /* may be NULL */
    const char *chat_template;  /* may be NULL */
    const char *model;
    int64_t context_max, vocab;
    int n_eos;
    int32_t eos[MU_ENGINE_EOS_MAX];
};

/* A refusal on its way to the client. */
struct mu_api_error {
    int status;
    const char *param, *code; /* static, may be NULL */
    int retry_s;              /* 503: when the client may come back; 0: soon, -1: nobody knows */
    struct mu_err err;
};

/* Returns MU_EINVAL. retry_s is 0. */
int mu_api_fail(struct mu_api_error *x, int status, const char *param, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- fields; absent or null leaves *out alone ---- */

int mu_body_parse(json_t **out, struct mu_str body, struct mu_api_error *x); /* an object */
int mu_field_int(const json_t *o, const char *key, int64_t lo, int64_t hi, int64_t *out, struct mu_api_error *x);
int mu_field_real(const json_t *o, const char *key, double lo, double hi, double *out, struct mu_api_error *x);
int mu_field_bool(const json_t *o, const char *key, bool *out, struct mu_api_error *x);
int mu_field_string(const json_t *o, const char *key, const char **out, size_t *n, struct mu_api_error *x);

/* ---- asks ---- */

struct mu_prompt {
    struct mu_ids ids;
    char *text; /* what echo repeats, owned; NULL unless asked for */
    size_t text_bytes;
    int max_tokens; /* that may follow it; 0: none */
};

struct mu_ask {
    bool is_chat, is_stream, wants_usage, wants_logprobs, is_echo, names_ids, ignores_eos, has_seed;
    int n, n_top;
    int64_t max_tokens; /* -1: not given */
    struct mu_sampling sampling;
    struct mu_logit_bias *bias; /* owned */
    int n_stop_ids, n_stop;
    int32_t stop_ids[MU_STOP_MAX];
    char *stop[MU_STOP_MAX];   /* owned */
    struct mu_prompt *prompts; /* owned */
    int n_prompts;
    size_t cost; /* bytes of ids and reported positions, as a bound */
};

/* o: the body. Its field "model" is somebody else's. */
int mu_ask_completion(struct mu_ask *a, const struct mu_api *api, const json_t *o, struct mu_api_error *x);
int mu_ask_chat(struct mu_ask *a, const struct mu_api *api, const json_t *o, struct mu_api_error *x);
void mu_ask_fini(struct mu_ask *a);

/* Shared by the two above. */
int mu_ask_sampling(struct mu_ask *a, const json_t *o, struct mu_api_error *x);
int mu_ask_new_prompts(struct mu_ask *a, size_t n, struct mu_api_error *x);
int mu_ask_encode(struct mu_prompt *p, const struct mu_api *api, struct mu_str text, unsigned flags, const char *param,
                  struct mu_api_error *x);
int mu_ask_settle(struct mu_ask *a, const struct mu_api *api, const char *param, int64_t max_tokens_default,
                  struct mu_api_error *x); /* lengths, cost */

/* The text of a chat, as its template renders it; o: a body with messages. */
int mu_ask_render(const json_t *o, const struct mu_api *api, struct mu_buf *out, struct mu_api_error *x);

#endif
