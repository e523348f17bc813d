/* job.h - a request inside the engine: its copy, its place in line, its result as it grows
 *
 * One block holds the copy of the request, the tokens and the arrays of the result at their largest, so that steps
 * allocate nothing. The result is its first member: handing it over hands over the block.
 *
 * Which rows matter. Row p (the hidden state after token p) tells the distribution of token p + 1. SCORE reports tokens
 * from n_context on, ROLLING from 1 on, GENERATE draws after the last token and may report the prompt from 1 on. Rows
 * before first_row are computed for their keys and values only. */
#ifndef MU_ENGINE_JOB_H
#define MU_ENGINE_JOB_H

#include <stdatomic.h>

#include "engine/text.h"
#include <muster/engine.h>

enum mu_job_state { MU_JOB_QUEUED, MU_JOB_RUNNING, MU_JOB_DONE };

/* The arrays behind struct mu_logprobs, for writing. */
struct mu_logprob_arrays {
    int32_t *ids;
    double *logprob;
    bool *is_greedy;
    struct mu_token_logprob *top;
};

struct mu_job {
    struct mu_result result; /* first */
    struct mu_request req;   /* pointers lead into this block */
    struct mu_logprob_arrays tokens, prompt;
    struct mu_alternative *alternatives; /* [req.n_alternatives], ids set; reported with the last row */
    struct mu_str *stops;
    struct mu_text text;

    int32_t *ids; /* prompt or context + continuation, then the output */
    int n_ids;    /* known so far */
    int n_given;
    int n_max;     /* of n_ids */
    int first_row; /* the first row whose logits matter */
    int next_row;  /* the first that was not read yet, in a step of its own or of a request with the same beginning */
    int32_t root;  /* of the prefix tree: jobs with one root may share pages */
    int n_output;

    enum mu_job_state state;
    bool has_shown_end; /* its stream's last event, by a replica that is lost since */
    atomic_bool is_cancelled;
    size_t bytes;
    int64_t submit_ns, start_ns;
    struct mu_job *prev, *next;         /* in the list of its state */
    struct mu_job *all_prev, *all_next; /* of jobs in flight */
};

/* What a request is checked against. */
struct mu_job_limits {
    int64_t vocab, context_max;
    int64_t kv_tokens; /* of the whole pool */
    bool has_text;
};

/* Check and copy. MU_EINVAL or MU_ELIMIT say what is wrong. */
int mu_job_new(struct mu_job **out, const struct mu_request *r, const struct mu_job_limits *l, struct mu_err *e);
void mu_job_free(struct mu_job *j);

/* Tokens whose log-probabilities the result may hold, beside those of a generating request's prompt. */
int mu_job_tokens_max(const struct mu_job *j);
int mu_job_prompt_max(const struct mu_job *j);

/* Tokens that will ever have keys and values: the last token of all needs none. */
static inline int64_t mu_job_kv_tokens(const struct mu_job *j)
{
    return j->n_max - 1;
}

#endif
