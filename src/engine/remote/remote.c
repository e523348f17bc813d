/* remote.c - an OpenAI-compatible server as an engine: the queue, the slots, attempts and their ends
 *
 * No thread of its own: exchanges move inside poll, which is where every engine works. So callbacks come where the face
 * promises them, closing joins nothing, and one lock over the queue is enough. The price: bytes rest in the sockets
 * while nobody polls. submit and cancel wake a poll that waits.
 *
 * Not here: options and the first talk with the server (remote_open.c), what answers mean (remote_deliver.c). */
#include "engine/remote/remote.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/remote/answer.h"

#define WAIT_NS_MAX ((int64_t)100000000) /* between looks at clocks that only tests move */

/* ---- lists ---- */

static void append(struct mu_ticket_list *l, struct mu_ticket *t)
{
    t->prev = l->tail;
    t->next = NULL;
    *(l->tail ? &l->tail->next : &l->head) = t;
    l->tail = t;
    l->n++;
}

static void unlink_ticket(struct mu_ticket_list *l, struct mu_ticket *t)
{
    *(t->prev ? &t->prev->next : &l->head) = t->next;
    *(t->next ? &t->next->prev : &l->tail) = t->prev;
    t->prev = t->next = NULL;
    l->n--;
}

static void ticket_free(struct mu_ticket *t, bool with_job)
{
    if (with_job)
        mu_job_free(t->job);
    mu_buf_fini(&t->text);
    mu_free(t);
}

static void free_list(struct mu_ticket_list *l)
{
    for (struct mu_ticket *t; (t = l->head) != NULL;) {
        unlink_ticket(l, t);
        ticket_free(t, true);
    }
}

/* ---- sentences ---- */

static void hide_key(const char *key, char *text)
{
    size_t n = key ? strlen(key) : 0;
    if (n == 0)
        return;
    for (char *at; (at = strstr(text, key)) != NULL;)
        memset(at, '*', n);
}

int mu_remote_blame(const struct mu_remote *r, int rc, struct mu_err *e)
{
    char text[MU_ERR_TEXT_MAX];
    if (!e)
        return rc;
    memcpy(text, e->text, sizeof text);
    hide_key(r->key, text);
    return mu_fail(e, rc, "%s: %s", r->title, text);
}

int mu_remote_refusal(const struct mu_remote *r, const struct mu_exchange *x, struct mu_err *e)
{
    char complaint[MU_ANSWER_SENTENCE_MAX];
    int s = x->status;
    mu_answer_complaint(mu_buf_str(&x->answer), complaint);
    if (s >= 300 && s < 400)
        return mu_fail(
            e, MU_EPEER,
            "the server redirects elsewhere (status %d) and muster does not follow: give the address that it "
            "leads to",
            s);
    if (s == 401 || s == 403)
        return mu_fail(e, MU_EPEER, "the server refuses %s (status %d): %s",
                       r->key ? "the key" : "requests without a key", s, complaint);
    return mu_fail(e, mu_verdict_of_status(s) == MU_VERDICT_REFUSED ? MU_EINVAL : MU_EPEER,
                   "the server answers with status %d%s%s", s, complaint[0] ? ": " : "", complaint);
}

/* ---- the queue ---- */

static int count_parts(const struct mu_request *r)
{
    return 1 + (r->kind == MU_REQUEST_SCORE ? r->n_alternatives : 0) +
           (r->kind == MU_REQUEST_GENERATE && r->want_prompt_logprobs && r->n_ids > 1);
}

static int ticket_new(struct mu_ticket **out, const struct mu_remote *r, const struct mu_request *q, struct mu_err *e)
{
    struct mu_ticket *t = NULL;
    int rc;
    MU_TRY(MU_NEW(&t, "a request", e));
    t->text = (struct mu_buf)MU_BUF_INIT("a text", mu_answer_bytes_max(r->job_limits.context_max, MU_TOP_MAX));
    MU_TRY(mu_job_new(&t->job, q, &r->job_limits, e));
    t->n_parts = count_parts(q);
    t->job->submit_ns = mu_now_ns(r->clock);
    *out = t;
    t = NULL;
out:
    if (t)
        ticket_free(t, true);
    return rc;
}

static int admit(struct mu_remote *r, struct mu_ticket *t, struct mu_err *e)
{
    if (r->n_in_flight >= r->queue_max)
        return mu_fail(e, MU_ENOMEM, "the queue is full with %d requests: poll for results first", r->n_in_flight);
    if (r->request_bytes + t->job->bytes > r->request_bytes_max)
        return mu_fail(e, MU_ENOMEM,
                       "requests in flight would take %zu bytes, %zu are reserved: poll for results first, or reserve "
                       "more",
                       r->request_bytes + t->job->bytes, r->request_bytes_max);
    t->job->result.id = ++r->last_id;
    r->n_in_flight++;
    r->request_bytes += t->job->bytes;
    append(&r->pending, t);
    return MU_OK;
}

static int submit(mu_engine *eng, const struct mu_request *q, uint64_t *id, struct mu_err *e)
{
    struct mu_remote *r = (struct mu_remote *)eng;
    struct mu_ticket *t = NULL;
    MU_TRY_RETURN(ticket_new(&t, r, q, e));
    pthread_mutex_lock(&r->lock);
    int rc = admit(r, t, e);
    if (rc == MU_OK)
        *id = t->job->result.id;
    pthread_mutex_unlock(&r->lock);
    if (rc == MU_OK)
        mu_wire_wake(r->wire);
    else
        ticket_free(t, true);
    return rc;
}

static struct mu_ticket *find(const struct mu_ticket_list *l, uint64_t id)
{
    struct mu_ticket *t = l->head;
    while (t && t->job->result.id != id)
        t = t->next;
    return t;
}

static int cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    struct mu_remote *r = (struct mu_remote *)eng;
    pthread_mutex_lock(&r->lock);
    struct mu_ticket *t = find(&r->pending, id);
    for (int i = 0; i < r->n_slots && !t; i++)
        t = r->slots[i].ticket && r->slots[i].ticket->job->result.id == id ? r->slots[i].ticket : NULL;
    bool is_found = t || find(&r->done, id);
    if (t)
        atomic_store(&t->job->is_cancelled, true);
    pthread_mutex_unlock(&r->lock);
    if (!is_found)
        return mu_fail(e, MU_ENOENT, "request %" PRIu64 " is not in flight", id);
    mu_wire_wake(r->wire);
    return MU_OK;
}

/* ---- tickets end ---- */

static void count(struct mu_remote *r, const struct mu_job *j)
{
    r->status.requests_done++;
    r->status.requests_failed += j->result.code != MU_OK;
    r->status.tokens_output += (uint64_t)j->n_output;
    r->status.tokens_cached += (uint64_t)j->result.n_prompt_cached;
}

/* Out of everything, into done. No slot holds it. */
static void complete(struct mu_remote *r, struct mu_ticket *t)
{
    struct mu_job *j = t->job;
    int64_t now = mu_now_ns(r->clock);
    j->result.wait_ns = (j->start_ns ? j->start_ns : now) - j->submit_ns;
    j->result.run_ns = j->start_ns ? now - j->start_ns : 0;
    mu_remote_end(r, t);
    pthread_mutex_lock(&r->lock);
    if (t->n_begun < t->n_parts)
        unlink_ticket(&r->pending, t);
    append(&r->done, t);
    count(r, j);
    pthread_mutex_unlock(&r->lock);
}

static void release(struct mu_remote_slot *s)
{
    mu_wire_stop(&s->x);
    if (s->is_trial)
        mu_breaker_dropped(&s->r->breaker);
    s->is_trial = s->is_sent = false;
    mu_event_stream_clear(&s->events);
    s->ticket->n_held--;
    pthread_mutex_lock(&s->r->lock);
    s->ticket = NULL;
    pthread_mutex_unlock(&s->r->lock);
}

/* The first failure is the one to tell; what its other parts do is of no use any more. */
static void fail_ticket(struct mu_remote *r, struct mu_ticket *t, int code, const struct mu_err *why)
{
    for (int i = 0; i < r->n_slots; i++) {
        if (r->slots[i].ticket == t)
            release(&r->slots[i]);
    }
    t->job->result.code = code;
    t->job->result.err = *why;
    t->job->result.err.code = code;
    t->job->result.finish = code == MU_ECANCELED ? MU_FINISH_CANCELLED : MU_FINISH_ERROR;
    complete(r, t);
}

static void cancel_ticket(struct mu_remote *r, struct mu_ticket *t)
{
    struct mu_err why = MU_ERR_INIT;
    mu_fail(&why, MU_ECANCELED, "request %" PRIu64 " was cancelled%s", t->job->result.id,
            t->n_begun ? "" : " before it ran");
    fail_ticket(r, t, MU_ECANCELED, &why);
}

static void part_is_good(struct mu_remote_slot *s)
{
    struct mu_remote *r = s->r;
    struct mu_ticket *t = s->ticket;
    bool is_generation = mu_remote_is_generation(t, s->part);
    r->form[is_generation] = s->form;
    s->is_trial = false;
    mu_breaker_worked(&r->breaker);
    release(s);
    if (++t->n_good == t->n_parts)
        complete(r, t);
}

/* ---- attempts ---- */

/* Nothing may be asked of this server just now. */
static void fail_fast(struct mu_remote *r, struct mu_ticket *t)
{
    struct mu_err why = MU_ERR_INIT;
    mu_fail(&why, MU_EPEER, "not asked, because the server does not answer: %s", r->breaker_why);
    fail_ticket(r, t, MU_EPEER, &why);
}

static void fail_for_good(struct mu_remote_slot *s, int code, struct mu_err *why, enum mu_verdict verdict)
{
    struct mu_remote *r = s->r;
    mu_remote_blame(r, code, why);
    if (verdict == MU_VERDICT_REFUSED) {
        mu_breaker_worked(&r->breaker); /* it answers */
        s->is_trial = false;
    } else {
        memcpy(r->breaker_why, why->text, sizeof r->breaker_why);
        mu_breaker_failed(&r->breaker, mu_now_ns(r->clock), verdict == MU_VERDICT_ENDPOINT);
        s->is_trial = false;
    }
    fail_ticket(r, s->ticket, code, why);
}

static void try_again(struct mu_remote_slot *s, int code, struct mu_err *why, int64_t told_ns)
{
    struct mu_remote *r = s->r;
    int64_t wait = mu_retry_wait_ns(&r->retry, ++s->n_failed, told_ns, &r->random), now = mu_now_ns(r->clock);
    bool is_late = now - s->first_ns >= r->retry.patience_ns;
    struct mu_err last = *why;
    if (s->ticket->has_shown && mu_remote_is_generation(s->ticket, s->part)) {
        mu_fail(why, code, "%s (the text had begun, so it is not asked for again)", last.text);
        fail_for_good(s, code, why, MU_VERDICT_RETRY);
    } else if (wait < 0 || is_late) {
        mu_fail(why, code, "%s (attempt %d of %d%s)", last.text, s->n_failed, r->retry.attempts_max,
                told_ns > r->retry.told_most_ns ? "; it asks to come back later than is waited for" : "");
        fail_for_good(s, code, why, MU_VERDICT_RETRY);
    } else {
        s->is_sent = false;
        s->due_ns = now + wait;
    }
}

/* No form was understood, and one of them met an inner error: that may have been one, so all of it again. */
static void try_forms_again(struct mu_remote_slot *s)
{
    struct mu_err first = s->refusal;
    s->refusal = (struct mu_err)MU_ERR_INIT;
    s->has_hiccup = false;
    s->form = 0;
    try_again(s, MU_EPEER, &first, 0);
}

/* The server did not understand, or answered without what was asked for. */
static void try_other_form(struct mu_remote_slot *s, int code, struct mu_err *why)
{
    bool is_generation = mu_remote_is_generation(s->ticket, s->part);
    int n_forms = is_generation ? MU_GENERATE_FORMS : MU_SCORE_FORMS;
    bool is_nearly = code == MU_EINVAL && s->x.status == 200; /* understood, and found wanting: the best to know */
    if (s->refusal.code == MU_OK || is_nearly || (s->refusal.code == MU_EUNSUPPORTED && code != MU_EUNSUPPORTED)) {
        s->refusal = *why;
        s->refusal.code = code;
    }
    if (s->r->form[is_generation] < 0 && s->form + 1 < n_forms) {
        s->form++;
        s->is_sent = false;
        s->due_ns = 0;
        return;
    }
    if (s->has_hiccup) {
        try_forms_again(s);
        return;
    }
    struct mu_err first = s->refusal;
    if (first.code == MU_EUNSUPPORTED && !is_generation)
        mu_fail(&first, MU_EUNSUPPORTED, "%s; the server generates text and does not score it", s->refusal.text);
    fail_for_good(s, first.code, &first, MU_VERDICT_REFUSED);
}

static void take_failure(struct mu_remote_slot *s, int code, struct mu_err *why, enum mu_verdict verdict)
{
    if (s->r->service && verdict != MU_VERDICT_REFUSED)
        s->r->service->is_doubted = true;
    if (code == MU_ECANCELED)
        fail_ticket(s->r, s->ticket, code, why);
    else if (verdict == MU_VERDICT_REFUSED && (code == MU_EINVAL || code == MU_EUNSUPPORTED))
        try_other_form(s, code, why);
    else if (verdict == MU_VERDICT_RETRY)
        try_again(s, code, why, s->x.told_ns);
    else
        fail_for_good(s, code, why, verdict);
}

static void take_hiccup(struct mu_remote_slot *s)
{
    struct mu_err why = MU_ERR_INIT;
    int code = mu_remote_refusal(s->r, &s->x, &why);
    s->has_hiccup = true;
    try_other_form(s, code, &why);
}

/* A sound answer, nonsense, or an answer to something else. */
static void take_body(struct mu_remote_slot *s)
{
    struct mu_err why = MU_ERR_INIT;
    int rc = mu_remote_take_answer(s, &why);
    if (rc == MU_OK)
        part_is_good(s);
    else if (rc == MU_EFORMAT || rc == MU_EPEER)
        take_failure(s, rc, &why, MU_VERDICT_RETRY);
    else
        take_failure(s, rc, &why, MU_VERDICT_REFUSED);
}

/* llama.cpp answers a field that it does not serve with 500 and a sentence. */
static bool may_be_refusal(const struct mu_remote_slot *s)
{
    char complaint[MU_ANSWER_SENTENCE_MAX];
    bool is_generation = mu_remote_is_generation(s->ticket, s->part);
    return s->x.code == MU_OK && s->x.status == 500 && s->r->form[is_generation] < 0 &&
           mu_answer_complaint(mu_buf_str(&s->x.answer), complaint);
}

/* Of a service: an answer that is not its own is none. */
static int answered(const struct mu_remote_slot *s, struct mu_err *e)
{
    return s->r->service ? mu_remote_service_answered(s->r, &s->x, s->life, e) : MU_OK;
}

static void take_end(struct mu_remote_slot *s)
{
    struct mu_exchange *x = &s->x;
    struct mu_err why = x->err;
    if (x->code == MU_OK && answered(s, &why) != MU_OK) {
        x->told_ns = 0;
        take_failure(s, MU_EPEER, &why, MU_VERDICT_RETRY);
        return;
    }
    bool was_enough = x->code == MU_ECANCELED && s->ticket->job->result.stop_string >= 0; /* of a stream */
    if ((x->code == MU_OK && x->status == 200) || was_enough)
        take_body(s);
    else if (x->verdict == MU_VERDICT_REFUSED && (x->code == MU_EFORMAT || x->code == MU_EPEER)) /* inside a stream */
        take_failure(s, x->code, &why, MU_VERDICT_RETRY);
    else if (x->code != MU_OK)
        take_failure(s, x->code, &why, x->verdict);
    else if (may_be_refusal(s))
        take_hiccup(s);
    else
        take_failure(s, mu_remote_refusal(s->r, x, &why), &why, x->verdict);
}

static int on_data(void *arg, struct mu_str piece, struct mu_err *e)
{
    struct mu_remote_slot *s = arg;
    MU_TRY_RETURN(answered(s, e));
    return mu_event_stream_add(&s->events, piece, e);
}

static void begin_text(struct mu_ticket *t)
{
    struct mu_job *j = t->job;
    mu_buf_clear(&t->text);
    t->stop = (struct mu_stop){.strings = j->stops, .n = j->req.n_stop};
    t->finish = MU_FINISH_NONE;
    t->has_ids = t->has_logprobs = true;
    j->n_ids = j->n_given;
    j->n_output = j->result.tokens.n = 0;
    j->result.stop_id = j->result.stop_string = -1;
}

/* What the tokens spell. The begin token that the server's tokenizer adds by itself is left to it. */
static int spell(struct mu_remote_slot *s, const struct mu_score_text *t, struct mu_err *e)
{
    struct mu_tokenizer_info info;
    struct mu_tok_stream stream;
    if (!s->r->tok)
        return mu_fail(e, MU_EUNSUPPORTED, "the server takes no token ids, and there is no tokenizer to spell them");
    mu_tokenizer_info(s->r->tok, &info);
    mu_tok_stream_begin(&stream, s->r->tok, 0);
    mu_buf_clear(&s->prompt);
    for (int i = info.adds_bos && t->ids[0] == info.bos; i < t->n; i++) {
        int32_t id = i == t->n - 1 && t->last >= 0 ? t->last : t->ids[i];
        MU_TRY_RETURN(mu_tok_stream_add(&stream, id, &s->prompt, e));
    }
    return mu_tok_stream_end(&stream, &s->prompt, e);
}

static int compose_generation(struct mu_remote_slot *s, enum mu_generate_form form, struct mu_err *e)
{
    const struct mu_job *j = s->ticket->job;
    const struct mu_score_text prompt = {.ids = j->ids, .n = j->n_given, .last = -1};
    if (mu_generate_form_is_text(form))
        MU_TRY_RETURN(spell(s, &prompt, e));
    return mu_remote_generate_body(&s->body, s->r->model, j, mu_buf_str(&s->prompt), form, e);
}

static int compose_score(struct mu_remote_slot *s, enum mu_score_form form, struct mu_err *e)
{
    struct mu_score_text text = mu_remote_score_text(s->ticket, s->part);
    if (mu_score_form_is_text(form))
        MU_TRY_RETURN(spell(s, &text, e));
    text.text = mu_buf_str(&s->prompt);
    return mu_remote_score_body(&s->body, s->r->model, &text, s->ticket->job->req.n_top, form, e);
}

static int compose(struct mu_remote_slot *s, struct mu_err *e)
{
    const struct mu_remote *r = s->r;
    struct mu_ticket *t = s->ticket;
    const struct mu_job *j = t->job;
    bool is_generation = mu_remote_is_generation(t, s->part);
    int64_t n_positions = is_generation ? j->req.max_tokens : j->n_given + 1;

    mu_event_stream_clear(&s->events);
    s->x.url = r->completions_url;
    s->x.is_stream = is_generation && j->req.on_token;
    s->x.wanted = r->service ? MU_SERVICE_HEADER : NULL;
    s->x.on_data = on_data;
    s->x.arg = s;
    s->x.answer.max = mu_answer_bytes_max(n_positions, j->req.n_top);
    if (is_generation) {
        begin_text(t);
        MU_TRY_RETURN(compose_generation(s, (enum mu_generate_form)s->form, e));
    } else {
        MU_TRY_RETURN(compose_score(s, (enum mu_score_form)s->form, e));
    }
    s->x.body = mu_buf_str(&s->body);
    return MU_OK;
}

/* False: it is not to be found now, which counts as an attempt. */
static bool find_service(struct mu_remote_slot *s)
{
    struct mu_remote *r = s->r;
    struct mu_err why = MU_ERR_INIT;
    bool may_pass = true;
    int rc = r->service->is_doubted ? mu_remote_service_look(r, &may_pass, &why) : MU_OK;
    memcpy(s->life, r->service->now.id, sizeof s->life);
    s->x.told_ns = 0;
    if (rc != MU_OK)
        take_failure(s, rc, &why, may_pass ? MU_VERDICT_RETRY : MU_VERDICT_ENDPOINT);
    return rc == MU_OK;
}

static void send_part(struct mu_remote_slot *s)
{
    struct mu_remote *r = s->r;
    struct mu_err why = MU_ERR_INIT;
    int64_t now = mu_now_ns(r->clock);
    s->first_ns = s->first_ns ? s->first_ns : now;
    if (r->service && !find_service(s))
        return;
    int rc = compose(s, &why);
    if (rc == MU_EUNSUPPORTED) {
        take_failure(s, rc, &why, MU_VERDICT_REFUSED);
        return;
    }
    if (rc == MU_OK)
        rc = mu_wire_start(r->wire, &s->x, &why);
    if (rc != MU_OK) {
        fail_ticket(r, s->ticket, rc, &why);
        return;
    }
    if (!s->ticket->job->start_ns)
        s->ticket->job->start_ns = now;
    s->is_sent = true;
    pthread_mutex_lock(&r->lock);
    r->status.steps++;
    r->status.tokens_prompt += (uint64_t)s->ticket->job->n_given;
    pthread_mutex_unlock(&r->lock);
}

/* ---- slots ---- */

static void check_time(struct mu_remote_slot *s)
{
    const struct mu_remote *r = s->r;
    struct mu_err why = MU_ERR_INIT;
    int64_t now = mu_now_ns(r->clock);
    if (now - s->x.moved_ns >= r->silence_ns)
        mu_fail(&why, MU_ETIMEDOUT, "the server has sent nothing for %.3g s", (double)r->silence_ns * 1e-9);
    else if (now - s->x.start_ns >= r->exchange_ns)
        mu_fail(&why, MU_ETIMEDOUT, "the answer was not whole after %.3g s", (double)r->exchange_ns * 1e-9);
    else if (!r->service || mu_remote_service_lives(r, s->life, &why) == MU_OK)
        return;
    mu_wire_stop(&s->x);
    s->x.told_ns = 0;
    take_failure(s, why.code, &why, MU_VERDICT_RETRY);
}

/* The next part that waits goes into a slot that is free. */
static bool fill(struct mu_remote_slot *s)
{
    struct mu_remote *r = s->r;
    pthread_mutex_lock(&r->lock);
    struct mu_ticket *t = r->pending.head;
    if (t) {
        s->ticket = t;
        s->part = t->n_begun++;
        if (t->n_begun == t->n_parts)
            unlink_ticket(&r->pending, t);
    }
    pthread_mutex_unlock(&r->lock);
    if (!t)
        return false;
    bool is_generation = mu_remote_is_generation(t, s->part);
    t->n_held++;
    s->form = MU_MAX(0, r->form[is_generation]);
    s->n_failed = 0;
    s->due_ns = s->first_ns = 0;
    s->refusal = (struct mu_err)MU_ERR_INIT;
    s->has_hiccup = false;
    return true;
}

static void step_slot(struct mu_remote_slot *s)
{
    struct mu_remote *r = s->r;
    if (!s->ticket && !fill(s))
        return;
    if (atomic_load(&s->ticket->job->is_cancelled)) {
        cancel_ticket(r, s->ticket);
    } else if (s->is_sent && s->x.is_done) {
        take_end(s);
    } else if (s->is_sent) {
        check_time(s);
    } else if (mu_now_ns(r->clock) >= s->due_ns) {
        bool was_open = r->breaker.is_open;
        if (!s->is_trial && !mu_breaker_admits(&r->breaker, mu_now_ns(r->clock))) {
            fail_fast(r, s->ticket);
            return;
        }
        s->is_trial = s->is_trial || was_open;
        send_part(s);
    }
}

static void drop_cancelled(struct mu_remote *r)
{
    for (;;) {
        pthread_mutex_lock(&r->lock);
        struct mu_ticket *t = r->pending.head;
        while (t && !atomic_load(&t->job->is_cancelled))
            t = t->next;
        pthread_mutex_unlock(&r->lock);
        if (!t)
            return;
        cancel_ticket(r, t);
    }
}

/* How long nothing needs doing unless bytes come; n_waiting requests have parts that no slot has. */
static int64_t idle_ns(const struct mu_remote *r, int n_waiting, int64_t left_ns)
{
    int64_t now = mu_now_ns(r->clock), ns = MU_MIN(left_ns, WAIT_NS_MAX);
    for (int i = 0; i < r->n_slots; i++) {
        const struct mu_remote_slot *s = &r->slots[i];
        if (s->ticket && !s->is_sent)
            ns = MU_MIN(ns, s->due_ns - now);
        if (s->ticket ? s->is_sent && s->x.is_done : n_waiting > 0)
            ns = 0;
    }
    return MU_MAX(ns, (int64_t)0);
}

static int step(struct mu_remote *r, int64_t left_ns, struct mu_err *e)
{
    int n_running = 0, n_waiting, n_done;
    int64_t start = mu_now_ns(r->clock);
    drop_cancelled(r);
    MU_TRY_RETURN(mu_wire_pump(r->wire, e));
    if (r->service)
        mu_remote_service_tick(r);
    for (int i = 0; i < r->n_slots; i++)
        step_slot(&r->slots[i]);
    MU_TRY_RETURN(mu_wire_pump(r->wire, e)); /* what was begun just now is on its way */
    for (int i = 0; i < r->n_slots; i++)
        n_running += r->slots[i].ticket != NULL;
    pthread_mutex_lock(&r->lock);
    n_waiting = r->pending.n;
    n_done = r->done.n;
    r->n_running = n_running;
    r->status.step_ns += mu_now_ns(r->clock) - start;
    pthread_mutex_unlock(&r->lock);
    return n_done > 0 ? MU_OK : mu_wire_wait(r->wire, idle_ns(r, n_waiting, left_ns), e);
}

/* ---- polling ---- */

static struct mu_ticket *take_done(struct mu_remote *r, bool *is_idle)
{
    pthread_mutex_lock(&r->lock);
    struct mu_ticket *t = r->done.head;
    *is_idle = r->n_in_flight == 0;
    if (t) {
        unlink_ticket(&r->done, t);
        r->n_in_flight--;
        r->request_bytes -= t->job->bytes;
    }
    pthread_mutex_unlock(&r->lock);
    return t;
}

static int poll_results(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    struct mu_remote *r = (struct mu_remote *)eng;
    int64_t start_ns = mu_now_ns(r->clock);
    bool is_idle, is_late = false;

    *out = NULL;
    for (;;) {
        struct mu_ticket *t = take_done(r, &is_idle);
        if (t) {
            *out = &t->job->result;
            ticket_free(t, false);
            return MU_OK;
        }
        if (is_idle)
            return MU_OK;
        if (is_late)
            return mu_fail(e, MU_ETIMEDOUT, "no request was done within %.3f s", (double)timeout_ns / 1e9);
        MU_TRY_RETURN(step(r, timeout_ns - (mu_now_ns(r->clock) - start_ns), e));
        is_late = mu_now_ns(r->clock) - start_ns >= timeout_ns;
    }
}

/* ---- looking in, closing ---- */

static void status(mu_engine *eng, struct mu_engine_status *out)
{
    struct mu_remote *r = (struct mu_remote *)eng;
    pthread_mutex_lock(&r->lock);
    *out = r->status;
    out->n_queued = r->pending.n;
    out->n_done = r->done.n;
    out->n_running = r->n_running;
    pthread_mutex_unlock(&r->lock);
}

static void info(const mu_engine *eng, struct mu_engine_info *out)
{
    const struct mu_remote *r = (const struct mu_remote *)eng;
    *out = (struct mu_engine_info){.engine = "remote",
                                   .arch = r->model,
                                   .level = "remote",
                                   .weights = "remote",
                                   .kv_dtype = "remote",
                                   .vocab = r->job_limits.vocab,
                                   .context_max = r->job_limits.context_max,
                                   .weights_hash = r->identity,
                                   .service = r->service ? &r->service->told : NULL,
                                   .sequences_max = r->n_slots,
                                   .kv_pages = r->job_limits.context_max,
                                   .bos = -1,
                                   .repetition = 1};
}

static const struct mu_bill *bill(const mu_engine *eng)
{
    (void)eng;
    return NULL; /* the memory is another machine's */
}

static int optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    (void)eng;
    (void)e;
    *bytes_freed = 0;
    return MU_OK;
}

static void close_slots(struct mu_remote *r)
{
    for (int i = 0; i < r->n_slots; i++) {
        struct mu_remote_slot *s = &r->slots[i];
        struct mu_ticket *t = s->ticket;
        mu_wire_stop(&s->x);
        s->ticket = NULL;
        if (t && --t->n_held == 0 && t->n_begun == t->n_parts) /* else it is still in line, and freed there */
            ticket_free(t, true);
        mu_buf_fini(&s->x.answer);
        mu_buf_fini(&s->body);
        mu_buf_fini(&s->prompt);
        mu_event_stream_fini(&s->events);
    }
    mu_free(r->slots);
}

void mu_remote_close(mu_engine *eng)
{
    struct mu_remote *r = (struct mu_remote *)eng;
    close_slots(r);
    free_list(&r->pending);
    free_list(&r->done);
    mu_wire_close(r->wire);
    if (r->key)
        explicit_bzero(r->key, strlen(r->key));
    mu_remote_service_close(r);
    char *const texts[] = {r->base_url, r->models_url, r->completions_url, r->key, r->model, r->root};
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        mu_free(texts[i]);
    mu_buf_fini(&r->out);
    pthread_mutex_destroy(&r->lock);
    mu_free(r);
}

const struct mu_engine_ops mu_engine_remote = {
    .name = "remote",
    .capabilities = MU_CAN_SCORE | MU_CAN_GENERATE | MU_CAN_PROMPT_LOGPROBS | MU_CAN_STREAM | MU_CAN_CANCEL,
    .can_handle = mu_remote_can_handle,
    .open = mu_remote_open,
    .submit = submit,
    .poll = poll_results,
    .cancel = cancel,
    .optimize_memory = optimize_memory,
    .status = status,
    .info = info,
    .bill = bill,
    .close = mu_remote_close,
};
