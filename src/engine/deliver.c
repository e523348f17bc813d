/* deliver.c - from a row of logits to what the caller gets: log-probabilities, drawn tokens, text, the end */
#include "engine/batcher.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

static void report(struct mu_logprobs *out, const struct mu_logprob_arrays *a, int32_t id, const float *logits,
                   int32_t argmax, double lse, int64_t vocab)
{
    int i = out->n++;
    a->ids[i] = id;
    a->logprob[i] = (double)logits[id] - lse;
    a->is_greedy[i] = id == argmax;
    if (out->n_top)
        mu_top_logprobs(logits, vocab, lse, out->n_top, a->top + (int64_t)i * out->n_top);
}

static void report_token(struct mu_batcher *b, struct mu_job *j, int32_t id, const float *logits, int32_t argmax,
                         double lse)
{
    report(&j->result.tokens, &j->tokens, id, logits, argmax, lse, b->limits.vocab);
    j->result.logprob_sum += j->tokens.logprob[j->result.tokens.n - 1];
    j->result.is_greedy &= id == argmax;
}

/* Other tokens in place of the last one, before the last one itself is added to the sum. */
static void report_alternatives(struct mu_job *j, const float *logits, int32_t argmax, double lse)
{
    for (int i = 0; i < j->req.n_alternatives; i++) {
        struct mu_alternative *a = &j->alternatives[i];
        a->logprob = (double)logits[a->id] - lse;
        a->logprob_sum = j->result.logprob_sum + a->logprob;
        a->is_greedy = j->result.is_greedy && a->id == argmax;
    }
    j->result.alternatives = j->alternatives;
    j->result.n_alternatives = j->req.n_alternatives;
}

static bool contains(const int32_t *ids, int n, int32_t id)
{
    for (int i = 0; i < n; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

static bool is_end(const struct mu_batcher *b, const struct mu_job *j, int32_t id)
{
    return contains(j->req.stop_ids, j->req.n_stop_ids, id) || (!j->req.ignore_eos && contains(b->eos, b->n_eos, id));
}

/* Returns false when the caller's function asks to stop. */
static bool send_event(struct mu_batcher *b, const struct mu_job *j, int32_t id, double logprob, enum mu_finish finish)
{
    if (!j->req.on_token)
        return true;
    struct mu_token_event ev = {.request = j->result.id,
                                .user = j->result.user,
                                .index = id >= 0 ? j->n_output - 1 : j->n_output,
                                .id = id,
                                .logprob = logprob,
                                .text = b->text->out.p ? b->text->out.p : "",
                                .text_bytes = b->text->out.n,
                                .is_last = finish != MU_FINISH_NONE,
                                .finish = finish};
    return j->req.on_token(j->req.on_token_arg, &ev) == 0;
}

void mu_deliver_end(struct mu_batcher *b, struct mu_job *j, enum mu_finish *finish)
{
    if (j->req.kind != MU_REQUEST_GENERATE)
        return;
    mu_buf_clear(&b->text->out);
    if (j->state == MU_JOB_RUNNING && j->result.stop_string < 0) {
        struct mu_err err = MU_ERR_INIT;
        int stop, rc = mu_text_end(&j->text, b->text, &stop, &err);
        if (rc != MU_OK && j->result.code == MU_OK) {
            j->result.code = rc;
            j->result.err = err;
            *finish = MU_FINISH_ERROR;
        }
        if (stop >= 0 && *finish != MU_FINISH_ERROR) {
            j->result.stop_string = stop;
            *finish = MU_FINISH_STOP;
        }
    }
    send_event(b, j, -1, 0, *finish);
}

static void add_output(struct mu_batcher *b, const struct mu_read *read, int32_t id, const float *logits,
                       int32_t argmax, double lse)
{
    struct mu_job *j = read->job;
    int stop, rc;

    if (is_end(b, j, id)) {
        j->result.stop_id = id;
        mu_batcher_finish(b, read->slot, MU_FINISH_STOP, MU_OK);
        return;
    }
    report_token(b, j, id, logits, argmax, lse);
    j->ids[j->n_ids++] = id;
    j->n_output++;
    b->counts.tokens_output++;
    rc = mu_text_add(&j->text, b->text, id, &stop, &j->result.err);
    if (rc != MU_OK) {
        mu_batcher_finish(b, read->slot, MU_FINISH_ERROR, rc);
        return;
    }
    j->result.stop_string = stop;
    if (!send_event(b, j, id, j->tokens.logprob[j->result.tokens.n - 1], MU_FINISH_NONE)) {
        rc = mu_fail(&j->result.err, MU_ECANCELED, "request %" PRIu64 " was cancelled by its receiver", j->result.id);
        mu_batcher_finish(b, read->slot, MU_FINISH_CANCELLED, rc);
    } else if (stop >= 0) {
        mu_batcher_finish(b, read->slot, MU_FINISH_STOP, MU_OK);
    } else if (j->n_output == j->req.max_tokens) {
        mu_batcher_finish(b, read->slot, MU_FINISH_LENGTH, MU_OK);
    }
}

static void draw(struct mu_batcher *b, const struct mu_read *read, const float *logits, int32_t argmax, double lse)
{
    struct mu_job *j = read->job;
    int32_t id;
    int rc = mu_sample(&b->sampler, &j->req.sampling, logits, argmax, j->ids, j->n_given, j->n_ids,
                       (uint64_t)j->n_output, &id, &j->result.err);
    if (rc != MU_OK)
        mu_batcher_finish(b, read->slot, MU_FINISH_ERROR, rc);
    else
        add_output(b, read, id, logits, argmax, lse);
}

/* Whether the next row that w wants is this one: all tokens up to it are equal. The last row stays w's own, so that it
 * runs and ends like any other. */
static bool wants(const struct mu_job *w, const struct mu_job *j, int pos)
{
    return w->next_row == pos && w->req.kind == MU_REQUEST_SCORE && pos + 2 < w->n_given && w->root == j->root &&
           memcmp(w->ids, j->ids, (size_t)(pos + 1) * sizeof *w->ids) == 0;
}

static void tell_waiting(struct mu_batcher *b, const struct mu_read *read, const float *logits, int32_t argmax,
                         double lse)
{
    for (int i = 0; i < b->n_watched; i++) {
        struct mu_job *w = b->watched[i];
        if (!wants(w, read->job, read->pos))
            continue;
        report_token(b, w, w->ids[read->pos + 1], logits, argmax, lse);
        w->next_row++;
    }
}

void mu_deliver(struct mu_batcher *b, const struct mu_read *read, const float *logits, int32_t argmax, double lse)
{
    struct mu_job *j = read->job;
    bool is_generate = j->req.kind == MU_REQUEST_GENERATE;
    int next = read->pos + 1;

    if (argmax >= 0)
        tell_waiting(b, read, logits, argmax, lse);
    if (argmax < 0) {
        int rc = mu_fail(&j->result.err, MU_ENUMERIC,
                         "the logits after token %d hold NaN or infinity: the weights or the format do not suit", next);
        mu_batcher_finish(b, read->slot, MU_FINISH_ERROR, rc);
    } else if (next == j->n_ids) {
        draw(b, read, logits, argmax, lse);
    } else if (is_generate) {
        report(&j->result.prompt, &j->prompt, j->ids[next], logits, argmax, lse, b->limits.vocab);
    } else {
        bool is_last = next == j->n_given - 1;
        if (is_last)
            report_alternatives(j, logits, argmax, lse);
        report_token(b, j, j->ids[next], logits, argmax, lse);
        if (is_last)
            mu_batcher_finish(b, read->slot, MU_FINISH_LENGTH, MU_OK);
    }
}
