/* request.c - see request.h */
#include "engine/remote/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"

static int add_ids(struct mu_buf *out, const int32_t *ids, int n, int32_t last, struct mu_err *e)
{
    for (int i = 0; i < n; i++) {
        int32_t id = i == n - 1 && last >= 0 ? last : ids[i];
        MU_TRY_RETURN(mu_buf_printf(out, e, i ? ", %" PRId32 : "%" PRId32, id));
    }
    return MU_OK;
}

static int begin(struct mu_buf *out, const char *model, const int32_t *ids, int n, int32_t last, struct mu_err *e)
{
    mu_buf_clear(out);
    MU_TRY_RETURN(mu_buf_puts(out, "{\"model\": ", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(model), e));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"prompt\": [", e));
    MU_TRY_RETURN(add_ids(out, ids, n, last, e));
    return mu_buf_puts(out, "]", e);
}

static int begin_text(struct mu_buf *out, const char *model, struct mu_str text, struct mu_err *e)
{
    mu_buf_clear(out);
    MU_TRY_RETURN(mu_buf_puts(out, "{\"model\": ", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(model), e));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"prompt\": ", e));
    return mu_json_dump_string(out, text, e);
}

/* ---- scores ---- */

/* Source: llama.cpp's grammars/README.md, "Tokens": <[15]> is the token with that id and nothing else. What it reports
 * are probabilities of the plain softmax, before the grammar chooses (its server's README, n_probs). */
static int forced_body(struct mu_buf *out, const char *model, const struct mu_score_text *t, int n_top,
                       struct mu_err *e)
{
    MU_TRY_RETURN(begin(out, model, t->ids, t->first, -1, e));
    MU_TRY_RETURN(mu_buf_printf(out, e, ", \"temperature\": 0, \"max_tokens\": %d, \"logprobs\": %d", t->n - t->first,
                                MU_MAX(1, n_top)));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"grammar\": \"root ::=", e));
    for (int i = t->first; i < t->n; i++) {
        int32_t id = i == t->n - 1 && t->last >= 0 ? t->last : t->ids[i];
        MU_TRY_RETURN(mu_buf_printf(out, e, " <[%" PRId32 "]>", id));
    }
    return mu_buf_puts(out, "\"}", e);
}

/* At least one alternative a position: that is how the most likely token is known. */
int mu_remote_score_body(struct mu_buf *out, const char *model, const struct mu_score_text *t, int n_top,
                         enum mu_score_form form, struct mu_err *e)
{
    bool is_echo = form != MU_SCORE_PROMPT_LOGPROBS;
    if (form == MU_SCORE_FORCED)
        return forced_body(out, model, t, n_top, e);
    MU_TRY_RETURN(mu_score_form_is_text(form) ? begin_text(out, model, t->text, e)
                                              : begin(out, model, t->ids, t->n, t->last, e));
    MU_TRY_RETURN(mu_buf_printf(out, e, ", \"temperature\": 0, \"max_tokens\": %d", form != MU_SCORE_ECHO_ZERO));
    MU_TRY_RETURN(mu_buf_printf(out, e, ", \"%s\": %d%s", is_echo ? "logprobs" : "prompt_logprobs", MU_MAX(1, n_top),
                                is_echo ? ", \"echo\": true" : ""));
    if (form == MU_SCORE_ECHO_ZERO || form == MU_SCORE_ECHO_ONE)
        MU_TRY_RETURN(mu_buf_puts(out, ", \"return_tokens_as_token_ids\": true", e));
    return mu_buf_puts(out, "}", e);
}

/* ---- generation ---- */

/* Shortest text that reads back the same. */
static int add_real(struct mu_buf *out, const char *key, double v, struct mu_err *e)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (!(strtod(text, NULL) < v || strtod(text, NULL) > v))
            break;
    }
    return mu_buf_printf(out, e, ", \"%s\": %s", key, text);
}

static bool differs(double v, double neutral)
{
    return v < neutral || v > neutral;
}

/* A field that is left out is the server's to choose: vLLM takes the checkpoint's generation_config.json, llama.cpp
 * numbers of its own (top_k 40, top_p 0.95, min_p 0.05). So all are named, and in the plain forms those that OpenAI
 * does not have only where they shape the draw, since each may be refused. top_k -1 is off for all that know it. */
static int add_sampling(struct mu_buf *out, const struct mu_sampling *s, bool is_plain, struct mu_err *e)
{
    bool is_drawn = s->temperature > 0;
    MU_TRY_RETURN(add_real(out, "temperature", s->temperature, e));
    if (is_drawn)
        MU_TRY_RETURN(add_real(out, "top_p", s->top_p, e));
    if (is_drawn && (!is_plain || s->top_k > 0))
        MU_TRY_RETURN(mu_buf_printf(out, e, ", \"top_k\": %d", s->top_k > 0 ? s->top_k : -1));
    if (is_drawn && (!is_plain || differs(s->min_p, 0)))
        MU_TRY_RETURN(add_real(out, "min_p", s->min_p, e));
    if (is_drawn)
        MU_TRY_RETURN(mu_buf_printf(out, e, ", \"seed\": %" PRId64, (int64_t)s->seed));
    if (!is_plain || differs(s->repetition, 1))
        MU_TRY_RETURN(add_real(out, "repetition_penalty", s->repetition, e));
    if (differs(s->repetition, 1))
        MU_TRY_RETURN(add_real(out, "repeat_penalty", s->repetition, e)); /* llama.cpp's name for it */
    if (differs(s->frequency, 0))
        MU_TRY_RETURN(add_real(out, "frequency_penalty", s->frequency, e));
    if (differs(s->presence, 0))
        MU_TRY_RETURN(add_real(out, "presence_penalty", s->presence, e));
    return MU_OK;
}

static int add_bias(struct mu_buf *out, const struct mu_sampling *s, struct mu_err *e)
{
    char key[16];
    if (s->n_bias == 0)
        return MU_OK;
    MU_TRY_RETURN(mu_buf_puts(out, ", \"logit_bias\": {", e));
    for (int i = 0; i < s->n_bias; i++) {
        snprintf(key, sizeof key, "%" PRId32, s->bias[i].id);
        MU_TRY_RETURN(mu_buf_printf(out, e, "%s\"%s\": %.9g", i ? ", " : "", key, (double)s->bias[i].bias));
    }
    return mu_buf_puts(out, "}", e);
}

static int add_stops(struct mu_buf *out, const struct mu_job *j, enum mu_generate_form form, struct mu_err *e)
{
    int n = form != MU_GENERATE_IDS ? MU_MIN(j->req.n_stop, MU_PLAIN_STOPS_MAX) : j->req.n_stop;
    for (int i = 0; i < n; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, i ? ", " : ", \"stop\": [", e));
        MU_TRY_RETURN(mu_json_dump_string(out, j->stops[i], e));
    }
    if (n > 0)
        MU_TRY_RETURN(mu_buf_puts(out, "]", e));
    if (form != MU_GENERATE_IDS || j->req.n_stop_ids == 0)
        return MU_OK;
    MU_TRY_RETURN(mu_buf_puts(out, ", \"stop_token_ids\": [", e));
    MU_TRY_RETURN(add_ids(out, j->req.stop_ids, j->req.n_stop_ids, -1, e));
    return mu_buf_puts(out, "]", e);
}

/* A stream goes without log-probabilities unless alternatives are wanted: some servers, ours among them, hold a choice
 * with log-probabilities back until it is whole. */
static int add_report(struct mu_buf *out, const struct mu_job *j, enum mu_generate_form form, struct mu_err *e)
{
    bool is_stream = j->req.on_token != NULL;
    if (is_stream)
        MU_TRY_RETURN(mu_buf_puts(out, ", \"stream\": true", e));
    if (form != MU_GENERATE_IDS)
        return MU_OK;
    if (!is_stream || j->req.n_top > 0)
        MU_TRY_RETURN(
            mu_buf_printf(out, e, ", \"logprobs\": %d, \"return_tokens_as_token_ids\": true", MU_MAX(1, j->req.n_top)));
    return is_stream ? mu_buf_puts(out, ", \"return_token_ids\": true", e) : MU_OK;
}

int mu_remote_generate_body(struct mu_buf *out, const char *model, const struct mu_job *j, struct mu_str text,
                            enum mu_generate_form form, struct mu_err *e)
{
    MU_TRY_RETURN(mu_generate_form_is_text(form) ? begin_text(out, model, text, e)
                                                 : begin(out, model, j->ids, j->n_given, -1, e));
    MU_TRY_RETURN(mu_buf_printf(out, e, ", \"max_tokens\": %d", j->req.max_tokens));
    MU_TRY_RETURN(add_sampling(out, &j->req.sampling, form != MU_GENERATE_IDS, e));
    MU_TRY_RETURN(add_bias(out, &j->req.sampling, e));
    MU_TRY_RETURN(add_stops(out, j, form, e));
    if (j->req.ignore_eos)
        MU_TRY_RETURN(mu_buf_puts(out, ", \"ignore_eos\": true", e));
    MU_TRY_RETURN(add_report(out, j, form, e));
    return mu_buf_puts(out, "}", e);
}
