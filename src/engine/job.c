/* job.c - checking a request and copying it into one block */
#include "engine/job.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/carve.h"
#include "engine/sample/sampler.h"

static int check_ids(const int32_t *ids, int n, const char *what, int64_t vocab, struct mu_err *e)
{
    if (n < 0 || (n > 0 && !ids))
        return mu_fail(e, MU_EINVAL, "%s has %d tokens", what, n);
    for (int i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= vocab)
            return mu_fail(e, MU_EINVAL, "token %d of %s is %" PRId32 ", outside the vocabulary of %" PRId64, i, what,
                           ids[i], vocab);
    }
    return MU_OK;
}

static int check_stops(const struct mu_request *r, const struct mu_job_limits *l, struct mu_err *e)
{
    if (r->n_stop < 0 || r->n_stop > MU_STOP_MAX || r->n_stop_ids < 0 || r->n_stop_ids > MU_STOP_MAX)
        return mu_fail(e, MU_ELIMIT, "%d stop strings and %d stop tokens: at most %d of each", r->n_stop, r->n_stop_ids,
                       MU_STOP_MAX);
    if (r->n_stop > 0 && !l->has_text)
        return mu_fail(e, MU_EINVAL, "stop strings need a tokenizer; give stop token ids instead");
    for (int i = 0; i < r->n_stop; i++) {
        size_t n = r->stop[i] ? strlen(r->stop[i]) : 0;
        if (n < 1 || n > MU_STOP_BYTES_MAX)
            return mu_fail(e, MU_EINVAL, "stop string %d has %zu bytes: 1 to %d are allowed", i, n, MU_STOP_BYTES_MAX);
    }
    return check_ids(r->stop_ids, r->n_stop_ids, "the stop tokens", l->vocab, e);
}

static int check_counts(const struct mu_request *r, struct mu_err *e)
{
    if (r->kind == MU_REQUEST_SCORE && r->n_ids < 1)
        return mu_fail(e, MU_EINVAL, "scoring needs a context of at least one token; begin with the model's BOS token");
    if (r->kind == MU_REQUEST_SCORE && r->n_continuation < 1)
        return mu_fail(e, MU_EINVAL, "scoring needs a continuation of at least one token");
    if (r->kind == MU_REQUEST_ROLLING && r->n_ids < 2)
        return mu_fail(e, MU_EINVAL, "rolling log-probabilities need at least two tokens, there are %d", r->n_ids);
    if (r->kind == MU_REQUEST_GENERATE && r->n_ids < 1)
        return mu_fail(e, MU_EINVAL,
                       "generating needs a prompt of at least one token; begin with the model's BOS token");
    if (r->kind == MU_REQUEST_GENERATE && r->max_tokens < 0)
        return mu_fail(e, MU_EINVAL, "%d output tokens asked for", r->max_tokens);
    if (r->n_alternatives < 0 || r->n_alternatives > MU_ALTERNATIVES_MAX)
        return mu_fail(e, MU_ELIMIT, "%d alternatives to the last token asked for: 0 to %d are possible",
                       r->n_alternatives, MU_ALTERNATIVES_MAX);
    if (r->n_alternatives > 0 && r->kind != MU_REQUEST_SCORE)
        return mu_fail(e, MU_EINVAL, "alternatives to the last token belong to scoring a continuation");
    if (r->n_top < 0 || r->n_top > MU_TOP_MAX)
        return mu_fail(e, MU_EINVAL, "%d alternatives a position asked for: 0 to %d are possible", r->n_top,
                       MU_TOP_MAX);
    return MU_OK;
}

/* Longest output that context and cache have room for. */
static int64_t output_room(const struct mu_request *r, const struct mu_job_limits *l)
{
    int64_t room = MU_MIN(l->context_max, l->kv_tokens + 1) - r->n_ids;
    return r->max_tokens > 0 ? MU_MIN(room, r->max_tokens) : room;
}

static int check_length(const struct mu_request *r, const struct mu_job_limits *l, struct mu_err *e)
{
    int64_t n = (int64_t)r->n_ids + (r->kind == MU_REQUEST_SCORE ? r->n_continuation : 0);
    if (r->kind == MU_REQUEST_GENERATE) {
        if (n >= l->context_max)
            return mu_fail(e, MU_ELIMIT,
                           "the prompt has %" PRId64 " tokens and the context is %" PRId64
                           ": shorten it, or allow a longer context (--context)",
                           n, l->context_max);
        int64_t wanted = n - 1 + MU_MAX(1, MU_MIN((int64_t)r->max_tokens, l->context_max - n));
        if (wanted > l->kv_tokens)
            return mu_fail(e, MU_ELIMIT,
                           "prompt and output need %" PRId64 " tokens of KV cache and it holds %" PRId64
                           ": ask for fewer tokens, or open the engine with a larger cache",
                           wanted, l->kv_tokens);
        return MU_OK;
    }
    if (n - 1 > l->context_max)
        return mu_fail(e, MU_ELIMIT,
                       "%" PRId64 " tokens to score and the context is %" PRId64
                       " (one more is possible, the last is not read): cut the left, or allow a longer context "
                       "(--context)",
                       n, l->context_max);
    if (n - 1 > l->kv_tokens)
        return mu_fail(e, MU_ELIMIT,
                       "%" PRId64 " tokens to score and the KV cache holds %" PRId64
                       ": open the engine with a larger cache",
                       n, l->kv_tokens);
    return MU_OK;
}

static int check(const struct mu_request *r, const struct mu_job_limits *l, struct mu_err *e)
{
    if (r->kind != MU_REQUEST_SCORE && r->kind != MU_REQUEST_ROLLING && r->kind != MU_REQUEST_GENERATE)
        return mu_fail(e, MU_EINVAL, "request kind %d does not exist", (int)r->kind);
    MU_TRY_RETURN(check_counts(r, e));
    MU_TRY_RETURN(check_ids(r->ids, r->n_ids, "the prompt", l->vocab, e));
    if (r->kind == MU_REQUEST_SCORE) {
        MU_TRY_RETURN(check_ids(r->continuation, r->n_continuation, "the continuation", l->vocab, e));
        MU_TRY_RETURN(check_ids(r->alternatives, r->n_alternatives, "the alternatives", l->vocab, e));
    }
    if (r->kind == MU_REQUEST_GENERATE) {
        MU_TRY_RETURN(mu_sampling_check(&r->sampling, l->vocab, e));
        MU_TRY_RETURN(check_stops(r, l, e));
    }
    return check_length(r, l, e);
}

static void carve_logprobs(struct mu_logprob_arrays *a, struct mu_carve *c, int n, int n_top)
{
    a->ids = mu_carve(c, n, sizeof *a->ids);
    a->logprob = mu_carve(c, n, sizeof *a->logprob);
    a->is_greedy = mu_carve(c, n, sizeof *a->is_greedy);
    a->top = n_top ? mu_carve(c, (int64_t)n * n_top, sizeof *a->top) : NULL;
}

/* Shape of a job before it has memory: the counts that size its arrays. */
static void shape(struct mu_job *j, const struct mu_request *r, const struct mu_job_limits *l)
{
    j->req = *r;
    j->n_given = r->n_ids + (r->kind == MU_REQUEST_SCORE ? r->n_continuation : 0);
    j->n_ids = j->n_max = j->n_given;
    j->first_row = r->kind == MU_REQUEST_SCORE ? r->n_ids - 1 : 0;
    if (r->kind == MU_REQUEST_GENERATE) {
        j->req.max_tokens = (int)output_room(r, l);
        j->n_max += j->req.max_tokens;
        j->first_row = r->want_prompt_logprobs ? 0 : r->n_ids - 1;
    }
    j->next_row = j->first_row;
}

int mu_job_tokens_max(const struct mu_job *j)
{
    if (j->req.kind == MU_REQUEST_GENERATE)
        return j->req.max_tokens;
    return j->n_given - j->first_row - 1;
}

int mu_job_prompt_max(const struct mu_job *j)
{
    return j->req.kind == MU_REQUEST_GENERATE && j->req.want_prompt_logprobs ? j->n_given - 1 : 0;
}

/* The request's own lists, where they go in the block. */
struct lists {
    int32_t *stop_ids;
    struct mu_logit_bias *bias;
    char *stop_bytes[MU_STOP_MAX];
};

static void carve_job(struct mu_job *j, struct lists *l, struct mu_carve *c, const struct mu_request *r)
{
    bool is_generate = r->kind == MU_REQUEST_GENERATE;
    j->ids = mu_carve(c, j->n_max, sizeof *j->ids);
    carve_logprobs(&j->tokens, c, mu_job_tokens_max(j), r->n_top);
    carve_logprobs(&j->prompt, c, mu_job_prompt_max(j), r->n_top);
    j->alternatives = mu_carve(c, r->n_alternatives, sizeof *j->alternatives);
    if (!is_generate)
        return;
    l->stop_ids = mu_carve(c, r->n_stop_ids, sizeof *l->stop_ids);
    l->bias = mu_carve(c, r->sampling.n_bias, sizeof *l->bias);
    j->stops = mu_carve(c, r->n_stop, sizeof *j->stops);
    for (int i = 0; i < r->n_stop; i++)
        l->stop_bytes[i] = mu_carve(c, (int64_t)strlen(r->stop[i]), 1);
}

static void copy(void *dst, const void *src, size_t n, size_t size)
{
    if (n > 0)
        memcpy(dst, src, n * size);
}

static void copy_request(struct mu_job *j, const struct lists *l, const struct mu_request *r)
{
    copy(j->ids, r->ids, (size_t)r->n_ids, sizeof *j->ids);
    if (r->kind == MU_REQUEST_SCORE)
        copy(j->ids + r->n_ids, r->continuation, (size_t)r->n_continuation, sizeof *j->ids);
    for (int i = 0; i < r->n_alternatives; i++)
        j->alternatives[i].id = r->alternatives[i];
    j->req.ids = j->req.continuation = NULL; /* j->ids is the copy */
    j->req.alternatives = NULL;
    j->req.stop = NULL; /* j->stops is the copy */
    if (r->kind != MU_REQUEST_GENERATE)
        return;
    copy(l->stop_ids, r->stop_ids, (size_t)r->n_stop_ids, sizeof *l->stop_ids);
    copy(l->bias, r->sampling.bias, (size_t)r->sampling.n_bias, sizeof *l->bias);
    j->req.stop_ids = l->stop_ids;
    j->req.sampling.bias = l->bias;
    for (int i = 0; i < r->n_stop; i++) {
        size_t n = strlen(r->stop[i]);
        memcpy(l->stop_bytes[i], r->stop[i], n);
        j->stops[i] = (struct mu_str){l->stop_bytes[i], n};
    }
}

static void borrow(struct mu_logprobs *out, const struct mu_logprob_arrays *a, int n, int n_top)
{
    *out = (struct mu_logprobs){n, a->ids, a->logprob, a->is_greedy, a->top, n_top};
}

int mu_job_new(struct mu_job **out, const struct mu_request *r, const struct mu_job_limits *l, struct mu_err *e)
{
    struct mu_job plan;
    struct lists lists;
    struct mu_carve c = {NULL, 0};

    MU_TRY_RETURN(check(r, l, e));
    memset(&plan, 0, sizeof plan);
    shape(&plan, r, l);
    mu_carve(&c, 1, sizeof plan);
    carve_job(&plan, &lists, &c, r);

    struct mu_job *j = mu_calloc(1, c.used);
    if (!j)
        return mu_fail_nomem(e, c.used, "a request");
    shape(j, r, l);
    j->bytes = c.used;
    c = (struct mu_carve){(char *)j, 0};
    mu_carve(&c, 1, sizeof *j);
    carve_job(j, &lists, &c, r);
    copy_request(j, &lists, r);
    j->result.user = r->user;
    j->result.kind = r->kind;
    j->result.is_greedy = true;
    j->result.n_prompt = r->n_ids;
    j->result.stop_id = j->result.stop_string = -1;
    borrow(&j->result.tokens, &j->tokens, 0, r->n_top);
    borrow(&j->result.prompt, &j->prompt, 0, r->n_top);
    *out = j;
    return MU_OK;
}

void mu_job_free(struct mu_job *j)
{
    if (!j)
        return;
    mu_free((void *)(uintptr_t)j->result.text); /* the block owns it; the caller sees it const */
    mu_free(j);
}

void mu_result_free(struct mu_result *r)
{
    mu_job_free((struct mu_job *)r); /* the result is the job's first member */
}
