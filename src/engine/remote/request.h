/* request.h - what is sent to a server: the bodies of POST /v1/completions
 *
 * Servers differ in what they understand. A body has a form; the engine begins with the first, which asks for most, and
 * goes on to the next when a server refuses one or answers without what was asked for. */
#ifndef MU_ENGINE_REMOTE_REQUEST_H
#define MU_ENGINE_REMOTE_REQUEST_H

#include "base/buf.h"
#include "engine/job.h"

enum mu_score_form {
    MU_SCORE_ECHO_ZERO,       /* echo, max_tokens 0, tokens named by id: nothing is generated */
    MU_SCORE_ECHO_ONE,        /* the same with max_tokens 1, for servers that refuse 0 */
    MU_SCORE_ECHO_PLAIN,      /* echo, max_tokens 1 and no field that OpenAI's own server does not know */
    MU_SCORE_PROMPT_LOGPROBS, /* vLLM's prompt_logprobs, where echo is not served */
    MU_SCORE_FORCED,          /* llama.cpp: the reported tokens are generated, a grammar leaves no other choice */
    MU_SCORE_ECHO_TEXT,       /* MU_SCORE_ECHO_PLAIN with a text as prompt, for servers that take no token ids */
    MU_SCORE_FORMS
};

enum mu_generate_form {
    MU_GENERATE_IDS,   /* log-probabilities, tokens named by id */
    MU_GENERATE_PLAIN, /* text alone: OpenAI's own fields, at most four stop strings, the end tokens the server's */
    MU_GENERATE_TEXT,  /* the same with a text as prompt */
    MU_GENERATE_FORMS
};

/* Forms whose prompt is a text. */
static inline bool mu_score_form_is_text(enum mu_score_form f)
{
    return f == MU_SCORE_ECHO_TEXT;
}

static inline bool mu_generate_form_is_text(enum mu_generate_form f)
{
    return f == MU_GENERATE_TEXT;
}

#define MU_PLAIN_STOPS_MAX 4 /* stop strings OpenAI's API takes */

/* Tokens to score: ids[0..n), the last of them replaced by `last` unless that is -1. */
struct mu_score_text {
    const int32_t *ids;
    int n;
    int32_t last;
    int first;          /* >= 1: the first whose log-probability is wanted */
    struct mu_str text; /* what they spell, for forms that send a text */
};

/* Both replace out. model: the name the server knows. text: what the prompt spells, for forms that send a text. */
int mu_remote_score_body(struct mu_buf *out, const char *model, const struct mu_score_text *t, int n_top,
                         enum mu_score_form form, struct mu_err *e);
int mu_remote_generate_body(struct mu_buf *out, const char *model, const struct mu_job *j, struct mu_str text,
                            enum mu_generate_form form, struct mu_err *e);

#endif
