/* serve_engine_thread.c - the one thread that submits, polls and cancels
 *
 * Models that have something to do take a step each in turn: one computes at a time, with all threads of its own.
 *
 * It never waits for a client: tokens of streams are copied into bounded buffers, whole answers are written by workers.
 * Calls that the engine has no room for wait here, and clients take turns (serve_turn.c). A call with log-probabilities
 * looks for end tokens itself and cancels its request at one: the engine would end before reporting it, and clients
 * count on a log-probability for every token that was drawn (the evaluation harness drops the last one, whatever it
 * is).
 *
 * An engine is broken when its poll says so. One that lost its ranks first hands out what it had, as failures; so an
 * engine that failed requests through no fault of theirs is polled once more when it has none in hand. */
#include <errno.h>

#include "base/check.h"
#include "base/log.h"
#include "dash/serve_int.h"

#define TICK_NS    50000000ll /* how often deadlines and clients that left are looked for */
#define WINDOW_MIN 16         /* requests inside an engine, at least */

/* ---- tokens ---- */

static bool is_end(const struct mu_call *c, int32_t id)
{
    const struct mu_api *api = &c->api;
    for (int i = 0; i < c->ask.n_stop_ids; i++) {
        if (c->ask.stop_ids[i] == id)
            return true;
    }
    for (int i = 0; i < api->n_eos && !c->ask.ignores_eos; i++) {
        if (api->eos[i] == id)
            return true;
    }
    return false;
}

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct mu_part *p = arg;
    struct mu_call *c = p->call;
    if (c->is_gone || c->is_stopped)
        return 1;
    if (ev->id >= 0 && !c->first_ns)
        c->first_ns = mu_serve_now_ns();
    if (c->ask.wants_logprobs) {
        p->has_ended = p->has_ended || (ev->id >= 0 && is_end(c, ev->id));
        return p->has_ended;
    }
    if (c->ask.is_stream && ev->text_bytes > 0)
        c->is_gone = !mu_stream_text(p, (struct mu_str){ev->text, ev->text_bytes});
    return c->is_gone;
}

/* ---- out of the engine ---- */

void mu_call_leave_engine(struct mu_call *c)
{
    struct mu_serve *s = c->s;
    struct mu_served *m = c->served;
    mu_call_remove(c->n_sent == c->n_parts ? &m->running : &m->waiting.lane[c->lane], c);
    s->n_at_engine--;
    mu_call_to_worker(c, mu_call_finish);
}

static int status_of(int code)
{
    return code == MU_EINVAL || code == MU_ELIMIT || code == MU_EUNSUPPORTED ? 400 : code == MU_ENOMEM ? 503 : 500;
}

static const char *code_of(int code)
{
    int status = status_of(code);
    return code == MU_ELIMIT ? "context_length_exceeded"
           : status == 400   ? "invalid_value"
           : status == 503   ? "overloaded"
                             : "engine_error";
}

static bool is_no_fault_of_request(int code)
{
    return code != MU_OK && code != MU_ECANCELED && status_of(code) == 500;
}

static void part_done(struct mu_part *p)
{
    p->is_done = true;
    p->call->n_done++;
}

/* Whatever of it runs is cancelled, whatever does not will not; it leaves when the engine has let go of it. */
static void stop_call(struct mu_call *c)
{
    struct mu_served *m = c->served;
    struct mu_err err;
    if (c->is_stopped)
        return;
    c->is_stopped = true;
    if (c->n_sent < c->n_parts) {
        mu_call_remove(&m->waiting.lane[c->lane], c);
        mu_call_push(&m->running, c);
    }
    for (int i = 0; i < c->n_parts; i++) {
        struct mu_part *p = &c->parts[i];
        if (i >= c->n_sent)
            part_done(p);
        else if (p->is_submitted && !p->is_done)
            mu_engine_cancel(m->model->eng, p->id, &err);
    }
    c->n_sent = c->n_parts;
}

static void fail_call(struct mu_call *c, int status, const char *code, const char *sentence)
{
    if (!c->has_failed)
        mu_api_fail(&c->fail, status, NULL, code, "%s", sentence);
    c->has_failed = true;
    stop_call(c);
}

static enum mu_outcome outcome_of(const struct mu_part *p)
{
    const struct mu_result *r = p->result;
    if (p->has_ended || r->finish == MU_FINISH_STOP)
        return MU_OUTCOME_STOP;
    if (r->finish == MU_FINISH_CANCELLED)
        return MU_OUTCOME_ABORT;
    return r->code == MU_OK ? MU_OUTCOME_LENGTH : MU_OUTCOME_ERROR;
}

static void count(struct mu_serve *s, const struct mu_part *p)
{
    struct mu_serve_metrics *m = &p->call->served->metrics;
    pthread_mutex_lock(&s->lock);
    m->outcomes[outcome_of(p)]++;
    m->prompt_tokens += (uint64_t)p->result->n_prompt;
    m->cached_tokens += (uint64_t)p->result->n_prompt_cached;
    m->generation_tokens += (uint64_t)mu_part_drawn(p);
    pthread_mutex_unlock(&s->lock);
}

static void take_result(struct mu_serve *s, struct mu_result *r)
{
    struct mu_part *p = r->user;
    struct mu_call *c = p->call;
    c->served->n_in_flight--;
    c->served->is_suspect = c->served->is_suspect || is_no_fault_of_request(r->code);
    p->result = r;
    part_done(p);
    count(s, p);
    bool is_good = r->code == MU_OK || p->has_ended;
    if (!is_good && !c->is_stopped && !c->is_gone)
        fail_call(c, status_of(r->code), code_of(r->code), r->err.text);
    if (is_good && !c->is_stopped && c->ask.is_stream && !c->ask.wants_logprobs)
        c->is_gone = c->is_gone || !mu_stream_finish(p);
    if (c->is_gone)
        stop_call(c);
    if (c->n_done == c->n_parts)
        mu_call_leave_engine(c);
}

/* ---- into the engine ---- */

static struct mu_request request_of(struct mu_part *p)
{
    struct mu_ask *a = &p->call->ask;
    struct mu_request r = MU_REQUEST_INIT;
    r.kind = p->prompt->max_tokens > 0 ? MU_REQUEST_GENERATE : MU_REQUEST_ROLLING;
    r.ids = p->prompt->ids.v;
    r.n_ids = (int)p->prompt->ids.n;
    r.n_top = a->wants_logprobs ? a->n_top : 0;
    r.user = p;
    if (r.kind == MU_REQUEST_ROLLING)
        return r;
    r.sampling = a->sampling;
    r.sampling.seed += (uint64_t)(p->index % a->n); /* choices of a prompt differ, prompts with one seed do not */
    r.max_tokens = p->prompt->max_tokens;
    r.want_prompt_logprobs = a->wants_logprobs && a->is_echo;
    r.ignore_eos = a->ignores_eos || a->wants_logprobs;
    r.stop_ids = a->stop_ids;
    r.n_stop_ids = a->wants_logprobs ? 0 : a->n_stop_ids;
    r.stop = (const char *const *)a->stop;
    r.n_stop = a->n_stop;
    r.on_token = on_token;
    r.on_token_arg = p;
    return r;
}

/* False: the engine has no room now. */
static bool send_part(struct mu_part *p)
{
    struct mu_served *m = p->call->served;
    struct mu_err err = MU_ERR_INIT;
    int rc = MU_OK;
    if (p->needs_engine) {
        struct mu_request r = request_of(p);
        rc = mu_engine_submit(m->model->eng, &r, &p->id, &err);
    }
    if (rc == MU_ENOMEM && m->n_in_flight > 0)
        return false;
    if (rc != MU_OK) {
        m->is_suspect = m->is_suspect || is_no_fault_of_request(rc);
        fail_call(p->call, status_of(rc), code_of(rc), err.text);
        return true;
    }
    p->call->n_sent++;
    p->is_submitted = p->needs_engine;
    m->n_in_flight += p->needs_engine;
    if (!p->needs_engine)
        part_done(p);
    return true;
}

/* One part of it, and the call goes on to those that run with its last one. False: the engine has no room now. */
static bool send_next(struct mu_call *c)
{
    if (!send_part(&c->parts[c->n_sent]))
        return false;
    if (!c->is_stopped && c->n_sent == c->n_parts) {
        mu_call_remove(&c->served->waiting.lane[c->lane], c);
        mu_call_push(&c->served->running, c);
    }
    if (c->n_done == c->n_parts)
        mu_call_leave_engine(c);
    return true;
}

/* ---- the loop ---- */

static void tick_list(struct mu_call_list *l, int64_t now)
{
    for (struct mu_call *c = l->head, *next; c; c = next) {
        next = c->next;
        if (c->is_stopped)
            continue;
        if (c->deadline_ns && now > c->deadline_ns)
            fail_call(c, 504, "timeout", "the request took longer than this server allows");
        else if (c->is_gone || mu_http_is_gone(c->http)) {
            c->is_gone = true;
            stop_call(c);
        }
        if (c->n_done == c->n_parts)
            mu_call_leave_engine(c);
    }
}

static void tick(struct mu_serve *s)
{
    int64_t now = mu_serve_now_ns();
    if (now - s->tick_ns < TICK_NS)
        return;
    s->tick_ns = now;
    for (int i = 0; i < s->n_served; i++) {
        for (int k = 0; k < MU_SERVE_LANES; k++)
            tick_list(&s->served[i].waiting.lane[k], now);
        tick_list(&s->served[i].running, now);
    }
    mu_serve_tick_opening(s, now);
}

static void fail_list(struct mu_call_list *l, const char *code, const char *sentence)
{
    for (struct mu_call *c = l->head, *next; c; c = next) {
        next = c->next;
        fail_call(c, 503, code, sentence);
        if (c->n_done == c->n_parts)
            mu_call_leave_engine(c);
    }
}

static void fail_all(struct mu_serve *s, const char *code, const char *sentence)
{
    for (int i = 0; i < s->n_served; i++) {
        for (int k = 0; k < MU_SERVE_LANES; k++)
            fail_list(&s->served[i].waiting.lane[k], code, sentence);
        fail_list(&s->served[i].running, code, sentence);
    }
}

/* ---- steps ---- */

/* It has nothing in hand: its poll says only whether it can go on. It may be another one that was opened meanwhile. */
static void ask_how_it_is(struct mu_serve *s, struct mu_served *m)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_result *r = NULL;
    void *model = NULL;
    m->is_suspect = false;
    if (!mu_residents_take(s->residents, m->name, &model))
        return;
    int rc = mu_engine_poll(((const struct mu_serve_model *)model)->eng, &r, 0, &err);
    if (rc != MU_OK && rc != MU_ETIMEDOUT)
        mu_serve_break_down(s, m, model, &err);
    mu_residents_done(s->residents, model);
}

static void poll_once(struct mu_serve *s, struct mu_served *m)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_result *r = NULL;
    int rc = mu_engine_poll(m->model->eng, &r, 0, &err);
    if (r)
        take_result(s, r);
    else if (rc == MU_OK)
        rc = mu_fail(&err, MU_EINTERNAL, "%d requests are nowhere in the engine", m->n_in_flight);
    if (!r && rc != MU_ETIMEDOUT)
        mu_serve_break_down(s, m, m->model, &err);
}

static void step(struct mu_serve *s, struct mu_served *m)
{
    if (m->n_in_flight > 0)
        poll_once(s, m);
    if (m->n_in_flight == 0 && m->is_suspect)
        ask_how_it_is(s, m);
}

/* Calls may come with a model that broke down while they were read. */
static void send_waiting(struct mu_serve *s, struct mu_served *m)
{
    struct mu_resident_info info;
    struct mu_call *c = mu_turns_next(&m->waiting);
    if (!c)
        return;
    mu_residents_info(s->residents, (int)(m - s->served), &info);
    if (info.state == MU_RESIDENT_FAILED)
        mu_serve_drop_calls(s, m, &info);
    while (m->n_in_flight < m->window && (c = mu_turns_next(&m->waiting)) != NULL && send_next(c))
        mu_turns_pass(&m->waiting);
}

static int count_unsent(const struct mu_served *m)
{
    int n = 0;
    for (int i = 0; i < MU_SERVE_LANES; i++) {
        for (const struct mu_call *c = m->waiting.lane[i].head; c; c = c->next)
            n += c->n_parts - c->n_sent;
    }
    return n;
}

/* Until there is something to do; under the lock. Calls that wait for models are looked at now and then. */
static void await_calls(struct mu_serve *s)
{
    int64_t until = mu_serve_now_ns() + TICK_NS;
    struct timespec t = {until / 1000000000, until % 1000000000};
    int rc = 0;
    while (!s->inbox.head && !s->is_stopping && s->n_at_engine == 0 && rc != ETIMEDOUT)
        rc = s->n_opening > 0 ? pthread_cond_timedwait(&s->has_calls, &s->lock, &t)
                              : pthread_cond_wait(&s->has_calls, &s->lock);
}

/* What the engine computes at a time and as much again, so that it never waits for the next turn. */
static int window_of(const struct mu_serve_model *model)
{
    struct mu_engine_info info;
    mu_engine_info(model->eng, &info);
    return MU_MAX(2 * info.sequences_max * MU_MAX(info.replicas, 1), WINDOW_MIN);
}

static void take_calls(struct mu_serve *s)
{
    for (struct mu_call *c; (c = s->inbox.head) != NULL;) {
        mu_call_remove(&s->inbox, c);
        if (c->served->model != c->model)
            c->served->window = window_of(c->model);
        c->served->model = c->model;
        mu_call_push(&c->served->waiting.lane[c->lane], c);
        s->n_at_engine++;
    }
}

/* Waits until there is something to do; false: the end. */
static bool take_inbox(struct mu_serve *s)
{
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_served; i++)
        s->served[i].n_unsent = count_unsent(&s->served[i]);
    await_calls(s);
    take_calls(s);
    bool is_stopping = s->is_stopping;
    bool is_over = is_stopping && s->n_at_engine == 0;
    if (is_over) {
        s->is_engine_done = true;
        pthread_cond_broadcast(&s->has_work);
    }
    pthread_mutex_unlock(&s->lock);
    if (is_stopping)
        fail_all(s, "overloaded", "this server stopped before the request was done");
    return !is_over;
}

void *mu_serve_engine(void *arg)
{
    struct mu_serve *s = arg;
    while (take_inbox(s)) {
        for (int i = 0; i < s->n_served; i++)
            send_waiting(s, &s->served[i]);
        tick(s);
        for (int i = 0; i < s->n_served; i++)
            step(s, &s->served[i]);
    }
    return NULL;
}
