/* request_message.c - see request_message.h */
#include "engine/ranks/request_message.h"

#include "base/check.h"
#include "base/mem.h"

#define MAGIC 0x716D756Du /* "mumq" */

/* ---- bytes ---- */

/* Zeros up to a multiple of 8. */
static int pad(struct mu_buf *b, struct mu_err *e)
{
    static const char zeros[8];
    return mu_buf_add(b, zeros, -b->n & 7, e);
}

static int put(struct mu_buf *b, const void *p, int64_t n, size_t size, struct mu_err *e)
{
    if (n > 0)
        MU_TRY_RETURN(mu_buf_add(b, p, (size_t)n * size, e));
    return pad(b, e);
}

struct reader {
    const char *p;
    size_t at, bytes;
};

/* n elements where they lie; NULL past the end. */
static const void *take(struct reader *r, int64_t n, size_t size)
{
    size_t left = r->bytes - r->at;
    if (n < 0 || (uint64_t)n > left / size)
        return NULL;
    size_t bytes = (size_t)n * size, padded = bytes + (-bytes & 7);
    if (padded > left)
        return NULL;
    const char *p = r->p + r->at;
    r->at += padded;
    return p;
}

static bool take_copy(struct reader *r, void *out, int64_t n, size_t size)
{
    const void *p = take(r, n, size);
    if (p && n > 0)
        memcpy(out, p, (size_t)n * size);
    return p != NULL;
}

static int bad(const char *what, size_t bytes, struct mu_err *e)
{
    return mu_fail(e, MU_EFORMAT, "the message of %zu bytes from another rank is no %s", bytes, what);
}

int mu_mail_write_head(struct mu_buf *b, enum mu_mail_kind kind, uint64_t id, struct mu_err *e)
{
    struct mu_mail_head h = {MAGIC, kind, id};
    mu_buf_clear(b);
    return put(b, &h, 1, sizeof h, e);
}

int mu_mail_read_head(struct mu_mail_head *out, const void *p, size_t bytes, struct mu_err *e)
{
    if (bytes < sizeof *out)
        return bad("message of ours", bytes, e);
    memcpy(out, p, sizeof *out);
    return out->magic == MAGIC && out->kind >= MU_MAIL_REQUEST && out->kind <= MU_MAIL_PEAKS_ARE
               ? MU_OK
               : bad("message of ours", bytes, e);
}

/* Reads on behind the head. */
static int begin_read(struct reader *r, const void *p, size_t bytes, enum mu_mail_kind kind, const char *what,
                      struct mu_err *e)
{
    struct mu_mail_head h;
    MU_TRY_RETURN(mu_mail_read_head(&h, p, bytes, e));
    *r = (struct reader){p, sizeof h, bytes};
    return h.kind == kind ? MU_OK : bad(what, bytes, e);
}

/* ---- a request ---- */

struct request_numbers {
    double temperature, top_p, min_p, repetition, frequency, presence;
    uint64_t seed;
    int32_t kind, n_ids, n_continuation, n_alternatives, n_top, max_tokens, n_stop_ids, n_stop, top_k, n_bias;
    int32_t want_prompt_logprobs, ignore_eos, is_streaming, unused;
};

static struct request_numbers numbers_of(const struct mu_job *j)
{
    const struct mu_request *r = &j->req;
    const struct mu_sampling *s = &r->sampling;
    bool is_generate = r->kind == MU_REQUEST_GENERATE;
    return (struct request_numbers){.temperature = s->temperature,
                                    .top_p = s->top_p,
                                    .min_p = s->min_p,
                                    .repetition = s->repetition,
                                    .frequency = s->frequency,
                                    .presence = s->presence,
                                    .seed = s->seed,
                                    .kind = (int32_t)r->kind,
                                    .n_ids = j->result.n_prompt,
                                    .n_continuation = j->n_given - j->result.n_prompt,
                                    .n_alternatives = r->n_alternatives,
                                    .n_top = r->n_top,
                                    .max_tokens = is_generate ? r->max_tokens : 0,
                                    .n_stop_ids = is_generate ? r->n_stop_ids : 0,
                                    .n_stop = is_generate ? r->n_stop : 0,
                                    .top_k = s->top_k,
                                    .n_bias = is_generate ? s->n_bias : 0,
                                    .want_prompt_logprobs = r->want_prompt_logprobs,
                                    .ignore_eos = r->ignore_eos,
                                    .is_streaming = r->on_token != NULL};
}

struct stop_text {
    char text[MU_STOP_BYTES_MAX + 8]; /* NUL-terminated */
};

static int put_stops(struct mu_buf *b, const struct mu_job *j, int n, struct mu_err *e)
{
    for (int i = 0; i < n; i++) {
        struct stop_text t = {""};
        memcpy(t.text, j->stops[i].p, j->stops[i].n);
        MU_TRY_RETURN(put(b, &t, 1, sizeof t, e));
    }
    return MU_OK;
}

int mu_request_write(struct mu_buf *b, const struct mu_job *j, struct mu_err *e)
{
    struct request_numbers n = numbers_of(j);
    MU_TRY_RETURN(mu_mail_write_head(b, MU_MAIL_REQUEST, j->result.id, e));
    MU_TRY_RETURN(put(b, &n, 1, sizeof n, e));
    MU_TRY_RETURN(put(b, j->ids, n.n_ids, sizeof *j->ids, e));
    MU_TRY_RETURN(put(b, j->ids + n.n_ids, n.n_continuation, sizeof *j->ids, e));
    for (int i = 0; i < n.n_alternatives; i++)
        MU_TRY_RETURN(mu_buf_add(b, &j->alternatives[i].id, sizeof j->alternatives->id, e));
    MU_TRY_RETURN(pad(b, e));
    MU_TRY_RETURN(put(b, j->req.stop_ids, n.n_stop_ids, sizeof *j->req.stop_ids, e));
    MU_TRY_RETURN(put(b, j->req.sampling.bias, n.n_bias, sizeof *j->req.sampling.bias, e));
    return put_stops(b, j, n.n_stop, e);
}

static bool read_stops(struct mu_request_view *v, struct reader *r, int n)
{
    const struct stop_text *t = take(r, n, sizeof *t);
    if (!t || n < 0 || n > MU_STOP_MAX)
        return false;
    for (int i = 0; i < n; i++) {
        if (t[i].text[MU_STOP_BYTES_MAX])
            return false;
        v->stops[i] = t[i].text;
    }
    v->req.stop = v->stops;
    v->req.n_stop = n;
    return true;
}

static bool read_lists(struct mu_request_view *v, struct reader *r, const struct request_numbers *n)
{
    struct mu_request *q = &v->req;
    return (q->ids = take(r, n->n_ids, sizeof *q->ids)) &&
           (q->continuation = take(r, n->n_continuation, sizeof *q->ids)) &&
           (q->alternatives = take(r, n->n_alternatives, sizeof *q->ids)) &&
           (q->stop_ids = take(r, n->n_stop_ids, sizeof *q->ids)) &&
           (q->sampling.bias = take(r, n->n_bias, sizeof *q->sampling.bias)) && read_stops(v, r, n->n_stop) &&
           r->at == r->bytes;
}

static void take_numbers(struct mu_request *q, const struct request_numbers *n)
{
    *q = (struct mu_request){.kind = (enum mu_request_kind)n->kind,
                             .n_ids = n->n_ids,
                             .n_continuation = n->n_continuation,
                             .n_alternatives = n->n_alternatives,
                             .n_top = n->n_top,
                             .max_tokens = n->max_tokens,
                             .n_stop_ids = n->n_stop_ids,
                             .want_prompt_logprobs = n->want_prompt_logprobs != 0,
                             .ignore_eos = n->ignore_eos != 0};
    q->sampling = (struct mu_sampling){.temperature = n->temperature,
                                       .top_k = n->top_k,
                                       .top_p = n->top_p,
                                       .min_p = n->min_p,
                                       .repetition = n->repetition,
                                       .frequency = n->frequency,
                                       .presence = n->presence,
                                       .seed = n->seed,
                                       .n_bias = n->n_bias};
}

int mu_request_read(struct mu_request_view *out, const void *p, size_t bytes, struct mu_err *e)
{
    struct request_numbers n;
    struct reader r;
    MU_TRY_RETURN(begin_read(&r, p, bytes, MU_MAIL_REQUEST, "request", e));
    if (!take_copy(&r, &n, 1, sizeof n))
        return bad("request", bytes, e);
    take_numbers(&out->req, &n);
    out->is_streaming = n.is_streaming != 0;
    return read_lists(out, &r, &n) ? MU_OK : bad("request", bytes, e);
}

/* ---- a result ---- */

struct result_numbers {
    double logprob_sum;
    int64_t wait_ns, run_ns, text_bytes; /* -1: no text */
    int32_t code, finish, is_greedy, n_tokens, n_prompt_tokens, n_top, n_alternatives;
    int32_t stop_id, stop_string, n_prompt, n_prompt_cached, has_sentence;
};

struct alternative {
    double logprob, logprob_sum;
    int32_t id, is_greedy;
};

static int put_logprobs(struct mu_buf *b, const struct mu_logprobs *l, struct mu_err *e)
{
    MU_TRY_RETURN(put(b, l->ids, l->n, sizeof *l->ids, e));
    MU_TRY_RETURN(put(b, l->logprob, l->n, sizeof *l->logprob, e));
    MU_TRY_RETURN(put(b, l->is_greedy, l->n, 1, e));
    return put(b, l->top, (int64_t)l->n * l->n_top, sizeof *l->top, e);
}

static int put_alternatives(struct mu_buf *b, const struct mu_result *r, struct mu_err *e)
{
    for (int i = 0; i < r->n_alternatives; i++) {
        const struct mu_alternative *a = &r->alternatives[i];
        struct alternative out = {a->logprob, a->logprob_sum, a->id, a->is_greedy};
        MU_TRY_RETURN(put(b, &out, 1, sizeof out, e));
    }
    return MU_OK;
}

static int put_result(struct mu_buf *b, const struct mu_result *r, const struct mu_engine_status *st, struct mu_err *e)
{
    struct result_numbers n = {.logprob_sum = r->logprob_sum,
                               .wait_ns = r->wait_ns,
                               .run_ns = r->run_ns,
                               .text_bytes = r->text ? (int64_t)r->text_bytes : -1,
                               .code = r->code,
                               .finish = (int32_t)r->finish,
                               .is_greedy = r->is_greedy,
                               .n_tokens = r->tokens.n,
                               .n_prompt_tokens = r->prompt.n,
                               .n_top = r->tokens.n_top,
                               .n_alternatives = r->n_alternatives,
                               .stop_id = r->stop_id,
                               .stop_string = r->stop_string,
                               .n_prompt = r->n_prompt,
                               .n_prompt_cached = r->n_prompt_cached,
                               .has_sentence = r->code != MU_OK};
    MU_TRY_RETURN(put(b, &n, 1, sizeof n, e));
    MU_TRY_RETURN(put(b, st, 1, sizeof *st, e));
    MU_TRY_RETURN(put(b, r->err.text, n.has_sentence, sizeof r->err.text, e));
    MU_TRY_RETURN(put_logprobs(b, &r->tokens, e));
    MU_TRY_RETURN(put_logprobs(b, &r->prompt, e));
    MU_TRY_RETURN(put_alternatives(b, r, e));
    return put(b, r->text, MU_MAX(0, n.text_bytes), 1, e);
}

int mu_result_write(struct mu_buf *b, const struct mu_result *r, const struct mu_engine_status *st, struct mu_err *e)
{
    MU_TRY_RETURN(mu_mail_write_head(b, MU_MAIL_RESULT, r->id, e));
    return put_result(b, r, st, e);
}

int mu_refusal_write(struct mu_buf *b, uint64_t id, const struct mu_err *why, const struct mu_engine_status *st,
                     struct mu_err *e)
{
    struct mu_result r = {.code = why->code, .err = *why, .finish = MU_FINISH_ERROR, .stop_id = -1, .stop_string = -1};
    MU_TRY_RETURN(mu_mail_write_head(b, MU_MAIL_RESULT, id, e));
    return put_result(b, &r, st, e);
}

/* A refusal brings no tokens and no alternatives, whatever the request asked for. */
static bool is_room(const struct mu_job *j, const struct result_numbers *n)
{
    bool is_bare = n->code != MU_OK && n->n_tokens == 0 && n->n_prompt_tokens == 0;
    return n->n_tokens >= 0 && n->n_tokens <= mu_job_tokens_max(j) && n->n_prompt_tokens >= 0 &&
           n->n_prompt_tokens <= mu_job_prompt_max(j) && (n->n_top == j->req.n_top || is_bare) &&
           n->n_alternatives >= 0 && n->n_alternatives <= j->req.n_alternatives && n->code >= 0 &&
           n->code < MU_CODE_N && n->finish >= 0 && n->finish <= (int)MU_FINISH_ERROR && n->text_bytes >= -1 &&
           n->stop_string < j->req.n_stop && (n->has_sentence == 0 || n->has_sentence == 1);
}

static bool take_logprobs(struct reader *r, struct mu_logprobs *l, const struct mu_logprob_arrays *a, int32_t n,
                          int n_top)
{
    const unsigned char *greedy;
    l->n = n;
    if (!take_copy(r, a->ids, n, sizeof *a->ids) || !take_copy(r, a->logprob, n, sizeof *a->logprob) ||
        !(greedy = take(r, n, 1)))
        return false;
    for (int32_t i = 0; i < n; i++)
        a->is_greedy[i] = greedy[i] != 0;
    return take_copy(r, a->top, (int64_t)n * n_top, sizeof *a->top);
}

static bool take_alternatives(struct reader *r, struct mu_job *j, int32_t n)
{
    const struct alternative *a = take(r, n, sizeof *a);
    if (!a)
        return false;
    for (int32_t i = 0; i < n; i++)
        j->alternatives[i] = (struct mu_alternative){a[i].id, a[i].is_greedy != 0, a[i].logprob, a[i].logprob_sum};
    j->result.alternatives = n > 0 ? j->alternatives : NULL;
    j->result.n_alternatives = n;
    return true;
}

static int take_text(struct reader *r, struct mu_job *j, int64_t bytes, struct mu_err *e)
{
    const char *p = take(r, MU_MAX(0, bytes), 1);
    if (!p || r->at != r->bytes)
        return bad("result", r->bytes, e);
    if (bytes < 0)
        return MU_OK;
    char *copy = mu_strndup(p, (size_t)bytes);
    if (!copy)
        return mu_fail_nomem(e, (size_t)bytes, "the text of a result");
    mu_free((void *)(uintptr_t)j->result.text);
    j->result.text = copy;
    j->result.text_bytes = (size_t)bytes;
    return MU_OK;
}

static void take_result(struct mu_job *j, const struct result_numbers *n)
{
    struct mu_result *r = &j->result;
    r->code = n->code;
    r->finish = (enum mu_finish)n->finish;
    r->logprob_sum = n->logprob_sum;
    r->is_greedy = n->is_greedy != 0;
    r->stop_id = n->stop_id;
    r->stop_string = n->stop_string;
    r->n_prompt_cached = n->n_prompt_cached;
    r->wait_ns = n->wait_ns;
    r->run_ns = n->run_ns;
}

int mu_result_read(struct mu_job *j, struct mu_engine_status *st, const void *p, size_t bytes, struct mu_err *e)
{
    struct result_numbers n;
    struct reader r;
    MU_TRY_RETURN(begin_read(&r, p, bytes, MU_MAIL_RESULT, "result", e));
    if (!take_copy(&r, &n, 1, sizeof n) || !take_copy(&r, st, 1, sizeof *st) || !is_room(j, &n) ||
        !take_copy(&r, j->result.err.text, n.has_sentence, sizeof j->result.err.text))
        return bad("result of this request", bytes, e);
    j->result.err.text[MU_ERR_TEXT_MAX - 1] = '\0';
    j->result.err.code = n.code;
    take_result(j, &n);
    if (!take_logprobs(&r, &j->result.tokens, &j->tokens, n.n_tokens, j->req.n_top) ||
        !take_logprobs(&r, &j->result.prompt, &j->prompt, n.n_prompt_tokens, j->req.n_top) ||
        !take_alternatives(&r, j, n.n_alternatives))
        return bad("result of this request", bytes, e);
    return take_text(&r, j, n.text_bytes, e);
}

/* ---- an event ---- */

struct event_numbers {
    double logprob;
    int32_t index, id, is_last, finish;
    int64_t text_bytes;
};

int mu_event_write(struct mu_buf *b, const struct mu_token_event *ev, struct mu_err *e)
{
    struct event_numbers n = {ev->logprob, ev->index,           ev->id,
                              ev->is_last, (int32_t)ev->finish, (int64_t)ev->text_bytes};
    MU_TRY_RETURN(mu_mail_write_head(b, MU_MAIL_EVENT, ev->request, e));
    MU_TRY_RETURN(put(b, &n, 1, sizeof n, e));
    return put(b, ev->text, n.text_bytes, 1, e);
}

int mu_event_read(struct mu_token_event *out, const void *p, size_t bytes, struct mu_err *e)
{
    struct event_numbers n;
    struct reader r;
    MU_TRY_RETURN(begin_read(&r, p, bytes, MU_MAIL_EVENT, "token event", e));
    if (!take_copy(&r, &n, 1, sizeof n) || n.finish < 0 || n.finish > (int)MU_FINISH_ERROR)
        return bad("token event", bytes, e);
    *out = (struct mu_token_event){.index = n.index,
                                   .id = n.id,
                                   .logprob = n.logprob,
                                   .text_bytes = (size_t)n.text_bytes,
                                   .is_last = n.is_last != 0,
                                   .finish = (enum mu_finish)n.finish};
    out->text = take(&r, n.text_bytes, 1);
    return out->text && r.at == r.bytes ? MU_OK : bad("token event", bytes, e);
}
