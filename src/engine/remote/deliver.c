/* deliver.c - good answers of a server into results */
#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/remote/remote.h"
#include "engine/remote/answer.h"

#define CERTAIN 1e-6 /* -log p: no model is that sure of a token that was picked for being odd */

/* ---- parts: what each of them asks ---- */

bool mu_remote_is_generation(const struct mu_ticket *t, int part)
{
    return t->job->req.kind == MU_REQUEST_GENERATE && part == 0;
}

struct mu_score_text mu_remote_score_text(const struct mu_ticket *t, int part)
{
    const struct mu_job *j = t->job;
    bool is_alternative = j->req.kind == MU_REQUEST_SCORE && part > 0;
    return (struct mu_score_text){.ids = j->ids,
                                  .n = j->n_given,
                                  .last = is_alternative ? j->alternatives[part - 1].id : -1,
                                  .first = j->req.kind == MU_REQUEST_SCORE ? j->result.n_prompt : 1,
                                  .text = MU_STR("")};
}

/* ---- scores ---- */

static void take_main(struct mu_job *j, const struct mu_scored *s)
{
    j->result.tokens.n = j->n_given - (j->req.kind == MU_REQUEST_SCORE ? j->result.n_prompt : 1);
    j->result.logprob_sum = s->sum;
    j->result.is_greedy = s->is_greedy;
    j->result.finish = MU_FINISH_LENGTH;
}

/* A forced token costs nothing where shares are taken after the grammar has chosen: then every one is certain. */
static int check_raw(const struct mu_remote_slot *s, const struct mu_scored *scored, struct mu_err *e)
{
    bool is_known = s->r->form[0] >= 0;
    if (s->form != MU_SCORE_FORCED || is_known || scored->sum < -CERTAIN)
        return MU_OK;
    return mu_fail(e, MU_EUNSUPPORTED, "the answer calls every token that was forced certain");
}

static int take_scores(struct mu_remote_slot *s, const json_t *answer, struct mu_err *e)
{
    struct mu_job *j = s->ticket->job;
    struct mu_score_text text = mu_remote_score_text(s->ticket, s->part);
    bool is_prompt = j->req.kind == MU_REQUEST_GENERATE, is_alternative = !is_prompt && s->part > 0;
    const struct mu_logprob_arrays *to = is_alternative ? NULL : is_prompt ? &j->prompt : &j->tokens;
    struct mu_scored scored;

    MU_TRY_RETURN(mu_answer_scores(answer, (enum mu_score_form)s->form, &text, is_alternative ? 0 : j->req.n_top, to,
                                   &scored, e));
    MU_TRY_RETURN(check_raw(s, &scored, e));
    if (is_prompt)
        j->result.prompt.n = j->n_given - 1;
    else if (!is_alternative)
        take_main(j, &scored);
    else
        j->alternatives[s->part - 1] = (struct mu_alternative){text.last, scored.is_greedy, scored.last, scored.sum};
    return MU_OK;
}

/* ---- text ---- */

static int send_event(struct mu_remote *r, struct mu_ticket *t, int32_t id, double logprob, enum mu_finish finish,
                      struct mu_err *e)
{
    struct mu_job *j = t->job;
    if (!j->req.on_token)
        return MU_OK;
    struct mu_token_event ev = {.request = j->result.id,
                                .user = j->result.user,
                                .index = id >= 0 ? j->n_output - 1 : j->n_output,
                                .id = id,
                                .logprob = logprob,
                                .text = r->out.p ? r->out.p : "",
                                .text_bytes = r->out.n,
                                .is_last = finish != MU_FINISH_NONE,
                                .finish = finish};
    t->has_shown = true;
    if (j->req.on_token(j->req.on_token_arg, &ev) == 0)
        return MU_OK;
    return mu_fail(e, MU_ECANCELED, "request %" PRIu64 " was cancelled by its receiver", j->result.id);
}

/* What may be shown goes to r->out and to the text. Stop strings are looked for here too: a server may take fewer than
 * were asked for, and tells of none which it found. */
static int show(struct mu_remote *r, struct mu_ticket *t, struct mu_str piece, bool is_end, struct mu_err *e)
{
    int stop = is_end ? mu_stop_end(&t->stop, &r->out) : mu_stop_add(&t->stop, piece, &r->out);
    if (stop == MU_STOP_NO_ROOM)
        return mu_fail(e, MU_ENOMEM, "there is no memory for a piece of text of %zu bytes", piece.n);
    if (stop >= 0) {
        t->job->result.stop_string = stop;
        t->finish = MU_FINISH_STOP;
    }
    return mu_buf_add(&t->text, r->out.p, r->out.n, e);
}

static int add_token(struct mu_job *j, const struct mu_generated *g, int i, struct mu_err *e)
{
    int k = j->result.tokens.n;
    struct mu_token_logprob *top = j->req.n_top > 0 ? j->tokens.top + (int64_t)k * j->req.n_top : NULL;
    MU_TRY_RETURN(mu_generated_token(g, i, &j->tokens.ids[k], &j->tokens.logprob[k], &j->tokens.is_greedy[k], top,
                                     j->req.n_top, e));
    j->ids[j->n_ids++] = j->tokens.ids[k];
    j->result.tokens.n++;
    j->n_output++;
    return MU_OK;
}

/* Where the server cuts the prompt, it should find as many tokens as were meant. Looked at while the form is being
 * found: later prompts may lack their beginning, and then begin in the middle of a word. */
static int check_cut(const struct mu_remote_slot *s, const struct mu_generated *g, struct mu_err *e)
{
    const struct mu_job *j = s->ticket->job;
    bool is_known = s->r->form[1] >= 0;
    if (!mu_generate_form_is_text((enum mu_generate_form)s->form) || is_known || g->n_prompt < 0 ||
        g->n_prompt == j->n_given)
        return MU_OK;
    return mu_fail(e, MU_EINVAL,
                   "the server takes no token ids and cuts the prompt into %" PRId64
                   " tokens where %d were meant: its tokenizer is another, or adds other special tokens",
                   g->n_prompt, j->n_given);
}

static int take_piece(struct mu_remote_slot *s, const json_t *answer, struct mu_generated *g, struct mu_err *e)
{
    struct mu_ticket *t = s->ticket;
    struct mu_job *j = t->job;
    MU_TRY_RETURN(mu_answer_generated(answer, j->req.max_tokens - j->n_output, g, e));
    MU_TRY_RETURN(check_cut(s, g, e));
    t->has_ids = t->has_ids && (g->has_ids || g->text.n == 0);
    t->has_logprobs = t->has_logprobs && (g->has_logprobs || g->text.n == 0);
    for (int i = 0; i < g->n; i++)
        MU_TRY_RETURN(add_token(j, g, i, e));
    if (g->finish != MU_FINISH_NONE)
        t->finish = g->finish;
    j->result.n_prompt_cached = MU_MAX(j->result.n_prompt_cached, g->n_prompt_cached);
    return show(s->r, t, g->text, false, e);
}

/* ---- the end of a text ---- */

static bool ends_text(const struct mu_remote *r, const struct mu_job *j, int32_t id)
{
    for (int i = 0; i < j->req.n_stop_ids; i++) {
        if (j->req.stop_ids[i] == id)
            return true;
    }
    return r->tok && mu_tokenizer_is_special(r->tok, id);
}

/* Servers report the token that ended the text as one of it. */
static void drop_end_token(const struct mu_remote *r, struct mu_ticket *t)
{
    struct mu_job *j = t->job;
    int n = j->result.tokens.n;
    if (t->finish != MU_FINISH_STOP || n == 0 || !ends_text(r, j, j->tokens.ids[n - 1]))
        return;
    j->result.stop_id = j->tokens.ids[n - 1];
    j->result.tokens.n--;
    j->n_ids--;
    j->n_output--;
}

/* Tokens of a text whose own tokens are not known: the tokenizer's, as many as were asked for. */
static int tokens_of_text(const struct mu_remote *r, struct mu_ticket *t, struct mu_err *e)
{
    struct mu_job *j = t->job;
    struct mu_ids ids = MU_IDS_INIT(t->text.n + 1);
    int rc = MU_OK;

    j->n_ids = j->n_given;
    j->n_output = j->result.tokens.n = 0;
    if (r->tok)
        MU_TRY(mu_tokenizer_encode(r->tok, t->text.p ? t->text.p : "", t->text.n, 0, &ids, e));
    for (size_t i = 0; i < ids.n && j->n_output < j->req.max_tokens; i++) {
        int k = j->result.tokens.n++;
        j->ids[j->n_ids++] = j->tokens.ids[k] = ids.v[i];
        j->tokens.logprob[k] = NAN;
        j->tokens.is_greedy[k] = false;
        for (int m = 0; m < j->req.n_top; m++)
            j->tokens.top[(int64_t)k * j->req.n_top + m] = (struct mu_token_logprob){-1, -INFINITY};
        j->n_output++;
    }
    t->has_logprobs = false;
out:
    mu_ids_fini(&ids);
    return rc;
}

/* Whether the tokens begin with the text; they may go on, into a stop string. llama.cpp leaves out the token in the
 * middle of which a stop string begins, of which the text has the first half. */
static int check_spelling(const struct mu_remote *r, struct mu_ticket *t, struct mu_err *e)
{
    const struct mu_job *j = t->job;
    struct mu_buf spelled = MU_BUF_INIT("a text", t->text.max);
    if (!r->tok)
        return MU_OK;
    int rc = mu_tokenizer_decode(r->tok, j->tokens.ids, (size_t)j->result.tokens.n, MU_TOK_SKIP_SPECIAL, &spelled, e);
    if (rc == MU_EINVAL) { /* a token that the tokenizer lacks */
        t->has_ids = false;
        rc = MU_OK;
        goto out;
    }
    if (rc != MU_OK)
        goto out;
    /* A decoder may drop the space before the first word. */
    size_t a = t->text.n > 0 && t->text.p[0] == ' ', b = spelled.n > 0 && spelled.p[0] == ' ', n = t->text.n - a;
    t->has_ids = spelled.n - b >= n && memcmp(spelled.p ? spelled.p + b : "", t->text.p ? t->text.p + a : "", n) == 0;
out:
    mu_buf_fini(&spelled);
    return rc;
}

static void sum_up(struct mu_ticket *t)
{
    struct mu_job *j = t->job;
    j->result.logprob_sum = t->has_logprobs ? 0 : NAN;
    j->result.is_greedy = t->has_logprobs;
    for (int i = 0; i < j->result.tokens.n && t->has_logprobs; i++) {
        j->result.logprob_sum += j->tokens.logprob[i];
        j->result.is_greedy = j->result.is_greedy && j->tokens.is_greedy[i];
    }
}

/* The text is whole. */
static int settle_text(struct mu_remote *r, struct mu_ticket *t, struct mu_err *e)
{
    drop_end_token(r, t);
    if (t->job->result.stop_string < 0) {
        MU_TRY_RETURN(show(r, t, MU_STR(""), true, e));
        if (r->out.n > 0)
            MU_TRY_RETURN(send_event(r, t, -1, NAN, MU_FINISH_NONE, e));
    }
    if (t->has_ids)
        MU_TRY_RETURN(check_spelling(r, t, e));
    if (!t->has_ids)
        MU_TRY_RETURN(tokens_of_text(r, t, e));
    sum_up(t);
    t->job->result.finish = t->finish;
    return MU_OK;
}

static int take_text(struct mu_remote_slot *s, const json_t *answer, struct mu_err *e)
{
    struct mu_generated g;
    MU_TRY_RETURN(take_piece(s, answer, &g, e));
    if (s->ticket->finish == MU_FINISH_NONE)
        return mu_fail(e, MU_EFORMAT, "the answer does not say why the text ended (finish_reason)");
    return settle_text(s->r, s->ticket, e);
}

/* ---- streams ---- */

static int stream_failed(const json_t *answer, struct mu_str data, struct mu_err *e)
{
    char complaint[MU_ANSWER_SENTENCE_MAX];
    if (!mu_json_has(answer, "error"))
        return MU_OK;
    mu_answer_complaint(data, complaint);
    return mu_fail(e, MU_EPEER, "the server broke off: %s", complaint);
}

/* The last chunk of some servers counts tokens and has no choice. */
static bool has_choice(const json_t *answer)
{
    const json_t *choices = json_object_get(answer, "choices");
    return !json_is_array(choices) || json_array_size(choices) > 0;
}

int mu_remote_take_event(void *slot, struct mu_str data, struct mu_err *e)
{
    struct mu_remote_slot *s = slot;
    struct mu_ticket *t = s->ticket;
    struct mu_generated g;
    json_t *answer = NULL;
    int rc;

    if (mu_str_eq(data, MU_STR("[DONE]")))
        return MU_OK;
    MU_TRY(mu_answer_parse(&answer, data, e));
    MU_TRY(stream_failed(answer, data, e));
    if (!has_choice(answer))
        goto out;
    MU_TRY(take_piece(s, answer, &g, e));
    if (s->r->out.n > 0 || g.n > 0) {
        int n = t->job->result.tokens.n;
        MU_TRY(send_event(s->r, t, g.n > 0 ? t->job->tokens.ids[n - 1] : -1,
                          g.n > 0 ? t->job->tokens.logprob[n - 1] : NAN, MU_FINISH_NONE, e));
    }
    if (t->job->result.stop_string >= 0)
        rc = MU_ECANCELED; /* nothing after it counts: the server need not go on */
out:
    json_decref(answer);
    return rc;
}

static int take_stream(struct mu_remote_slot *s, struct mu_err *e)
{
    if (s->ticket->finish == MU_FINISH_NONE)
        return mu_fail(e, MU_EFORMAT, "the stream ended before the text did");
    return settle_text(s->r, s->ticket, e);
}

/* ---- all ---- */

int mu_remote_take_answer(struct mu_remote_slot *s, struct mu_err *e)
{
    json_t *answer = NULL;
    int rc;
    if (s->x.is_stream)
        return take_stream(s, e);
    MU_TRY(mu_answer_parse(&answer, mu_buf_str(&s->x.answer), e));
    rc = mu_remote_is_generation(s->ticket, s->part) ? take_text(s, answer, e) : take_scores(s, answer, e);
out:
    json_decref(answer);
    return rc;
}

void mu_remote_end(struct mu_remote *r, struct mu_ticket *t)
{
    struct mu_job *j = t->job;
    j->state = MU_JOB_DONE;
    if (j->req.kind == MU_REQUEST_SCORE && j->result.code == MU_OK) {
        j->result.alternatives = j->alternatives;
        j->result.n_alternatives = j->req.n_alternatives;
    }
    if (j->req.kind != MU_REQUEST_GENERATE)
        return;
    j->result.text_bytes = t->text.n;
    j->result.text = t->text.n > 0 ? mu_buf_take(&t->text) : mu_strdup("");
    if (!j->result.text && j->result.code == MU_OK) {
        j->result.code = mu_fail_nomem(&j->result.err, 1, "a text");
        j->result.finish = MU_FINISH_ERROR;
    }
    mu_buf_clear(&r->out);
    send_event(r, t, -1, 0, j->result.finish, NULL);
}
