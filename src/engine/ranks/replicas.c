/* replicas.c - rank 0's side of many replicas: the queue, who gets what, what comes back
 *
 * The lock guards the queue, the list of done requests and the counts of others; replicas, their running requests and
 * messages belong to the polling thread. */
#include "engine/ranks/replicas.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/ranks/mailbox.h"
#include "engine/queue.h"
#include "engine/ranks/rank.h"
#include "engine/ranks/request_message.h"
#include "engine/ranks/seat.h"

#define AWAIT_NS 20000000ll /* of one look while nothing runs here: cancels are seen to that soon */

struct replica {
    int driver; /* world rank */
    bool is_lost;
    struct mu_job_list running;
    struct mu_engine_status status;
};

struct mu_replicas {
    struct mu_comm *world;
    mu_engine *local;
    const struct mu_clock *clock;
    struct mu_job_limits job_limits;
    int n, ranks_each, window;
    int n_lost;
    struct replica *replica; /* [n]; 0 is the local one */
    struct mu_mailbox box;
    struct mu_buf message, received;

    pthread_mutex_t lock; /* guards what follows */
    struct mu_job_queue queue;
    struct mu_job_list done;
    struct mu_engine_status others; /* of all but the local one, added up */
    uint64_t n_given_back;
    struct mu_err lost;
};

/* ---- opening and closing ---- */

int mu_replicas_open(struct mu_replicas **out, const struct mu_replicas_opts *o, struct mu_err *e)
{
    struct mu_replicas *p = NULL;
    struct mu_engine_info info;
    int rc = o->n > MU_REPLICAS_MAX ? mu_fail(e, MU_ELIMIT, "%d replicas: at most %d", o->n, MU_REPLICAS_MAX) : MU_OK;

    MU_TRY_RETURN(rc);
    MU_TRY(MU_NEW(&p, "the replicas", e));
    pthread_mutex_init(&p->lock, NULL);
    p->message = (struct mu_buf)MU_BUF_INIT("a message to a replica", MU_REQUEST_MESSAGE_MAX);
    p->received = (struct mu_buf)MU_BUF_INIT("a message from a replica", MU_REQUEST_MESSAGE_MAX);
    MU_TRY(MU_NEW_ARRAY(&p->replica, o->n, "the replicas", e));
    p->world = o->world;
    p->local = o->local;
    p->n = o->n;
    p->ranks_each = o->ranks_each;
    p->clock = o->opts->clock ? o->opts->clock : mu_clock_real();
    mu_light_info(o->local, &info);
    mu_light_job_limits(o->local, &p->job_limits);
    p->window = 2 * info.sequences_max;
    mu_job_queue_init(&p->queue, o->opts);
    for (int r = 0; r < p->n; r++)
        p->replica[r].driver = r * p->ranks_each;
    *out = p;
    p = NULL;
out:
    mu_replicas_close(p);
    return rc;
}

/* A replica's loss is no failure here: see_to_losses() comes to it. */
static int unless_lost(const struct mu_replicas *p, int rc)
{
    return rc == MU_EPEER && !mu_comm_is_dead(p->world) ? MU_OK : rc;
}

static int tell(struct mu_replicas *p, int r, enum mu_mail_kind kind, uint64_t id, struct mu_err *e)
{
    if (p->replica[r].is_lost)
        return MU_OK;
    MU_TRY_RETURN(mu_mail_write_head(&p->message, kind, id, e));
    int rc = mu_mailbox_post(&p->box, p->world, p->replica[r].driver, MU_TAG_TO_REPLICA, &p->message, e);
    return unless_lost(p, rc);
}

static int tell_others(struct mu_replicas *p, enum mu_mail_kind kind, struct mu_err *e)
{
    for (int r = 1; r < p->n; r++)
        MU_TRY_RETURN(tell(p, r, kind, 0, e));
    return MU_OK;
}

void mu_replicas_close(struct mu_replicas *p)
{
    struct mu_err err = MU_ERR_INIT;
    if (!p)
        return;
    if (p->world && p->lost.code == MU_OK && tell_others(p, MU_MAIL_END, &err) != MU_OK)
        mu_comm_abort(p->world, err.text); /* they would wait for ever */
    mu_mailbox_flush(&p->box, NULL);
    for (int r = 0; p->replica && r < p->n; r++)
        mu_job_list_free(&p->replica[r].running);
    mu_job_list_free(&p->queue.pending);
    mu_job_list_free(&p->done);
    mu_buf_fini(&p->message);
    mu_buf_fini(&p->received);
    pthread_mutex_destroy(&p->lock);
    mu_free(p->replica);
    mu_free(p);
}

/* ---- any thread ---- */

int mu_replicas_submit(struct mu_replicas *p, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    struct mu_job *j = NULL;
    MU_TRY_RETURN(mu_job_new(&j, r, &p->job_limits, e));
    j->submit_ns = mu_now_ns(p->clock);
    pthread_mutex_lock(&p->lock);
    int rc =
        p->lost.code == MU_OK ? mu_job_queue_add(&p->queue, j, 0, e) : mu_fail(e, p->lost.code, "%s", p->lost.text);
    if (rc == MU_OK)
        *id = j->result.id;
    pthread_mutex_unlock(&p->lock);
    if (rc != MU_OK)
        mu_job_free(j);
    return rc;
}

int mu_replicas_cancel(struct mu_replicas *p, uint64_t id, struct mu_err *e)
{
    pthread_mutex_lock(&p->lock);
    int rc = mu_job_queue_cancel(&p->queue, id, e);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static void add_status(struct mu_engine_status *a, const struct mu_engine_status *b)
{
    a->n_queued += b->n_queued;
    a->n_running += b->n_running;
    a->steps += b->steps;
    a->rows += b->rows;
    a->logit_rows += b->logit_rows;
    a->tokens_prompt += b->tokens_prompt;
    a->tokens_cached += b->tokens_cached;
    a->tokens_output += b->tokens_output;
    a->step_ns += b->step_ns;
    a->rows_per_s += b->rows_per_s;
    a->pages += b->pages;
    a->pages_used += b->pages_used;
    a->pages_shared += b->pages_shared;
    a->pages_cached += b->pages_cached;
    a->pages_used_peak += b->pages_used_peak;
    a->requests_done += b->requests_done;
    a->requests_failed += b->requests_failed;
    mu_kv_stats_add(&a->kv, &b->kv);
    mu_kv_stats_add(&a->kv_fullest, &b->kv_fullest);
}

static void add_up(struct mu_replicas *p)
{
    struct mu_engine_status sum = {.requests_failed = 0};
    for (int r = 1; r < p->n; r++)
        add_status(&sum, &p->replica[r].status);
    p->others = sum;
}

void mu_replicas_status(struct mu_replicas *p, struct mu_engine_status *out)
{
    mu_light_status(p->local, out);
    pthread_mutex_lock(&p->lock);
    add_status(out, &p->others);
    out->n_queued += p->queue.pending.n;
    out->n_done += p->done.n;
    out->replicas_lost = p->n_lost;
    out->requests_given_back = p->n_given_back;
    pthread_mutex_unlock(&p->lock);
}

/* ---- who gets what ---- */

static bool begin_alike(const struct mu_job *a, const struct mu_job *b)
{
    int shorter = MU_MIN(a->result.n_prompt, b->result.n_prompt);
    int n = MU_MAX(MU_MIN(MU_SHARE_TOKENS_MIN, shorter), shorter / 2);
    return memcmp(a->ids, b->ids, (size_t)n * sizeof *a->ids) == 0;
}

/* Requests a replica may hold: its window, less when not enough are left for all. */
static int room_of(const struct mu_replicas *p, int r)
{
    int n = p->queue.pending.n;
    for (int i = 0; i < p->n; i++)
        n += p->replica[i].running.n;
    int n_living = p->n - p->n_lost;
    return MU_MIN(p->window, (n + n_living - 1) / n_living) - p->replica[r].running.n;
}

/* The replica that the job goes to: one that was given its like last, else the one with the most room; -1: none. */
static int choose(const struct mu_replicas *p, const struct mu_job *j)
{
    int best = -1, most = 0;
    for (int r = 0; r < p->n; r++) {
        int room = p->replica[r].is_lost ? 0 : room_of(p, r);
        const struct mu_job *last = p->replica[r].running.tail;
        if (room > 0 && last && begin_alike(last, j))
            return r;
        if (room > most) {
            best = r;
            most = room;
        }
    }
    return best;
}

/* Of a stream that a lost replica had begun, what was not shown yet. */
static int local_token(void *arg, const struct mu_token_event *ev)
{
    const struct mu_job *j = arg;
    if (ev->is_last ? j->has_shown_end : ev->index < j->n_output)
        return j->state == MU_JOB_DONE && ev->index + 1 == j->n_output;
    return j->req.on_token(j->req.on_token_arg, ev);
}

/* To the local engine as the others get it: through a message. */
static int give_local(struct mu_replicas *p, struct mu_job *j, struct mu_err *e)
{
    struct mu_request_view v;
    MU_TRY_RETURN(mu_request_read(&v, p->message.p, p->message.n, e));
    v.req.on_token = j->req.on_token ? local_token : NULL;
    v.req.on_token_arg = j;
    v.req.user = j->result.user;
    return mu_light_submit_as(p->local, &v.req, j->result.id, e);
}

static int give(struct mu_replicas *p, int r, struct mu_job *j, struct mu_err *e)
{
    MU_TRY_RETURN(mu_request_write(&p->message, j, e));
    if (r == 0)
        MU_TRY_RETURN(give_local(p, j, e));
    else
        MU_TRY_RETURN(mu_mailbox_post(&p->box, p->world, p->replica[r].driver, MU_TAG_TO_REPLICA, &p->message, e));
    mu_job_list_append(&p->replica[r].running, j);
    if (j->state != MU_JOB_DONE) /* whose receiver had enough, before the first replica was lost */
        j->state = MU_JOB_RUNNING;
    return MU_OK;
}

/* Under the lock. */
static int hand_out(struct mu_replicas *p, struct mu_err *e)
{
    for (struct mu_job *j; (j = p->queue.pending.head) != NULL && !mu_mailbox_is_filling(&p->box);) {
        int r = choose(p, j);
        if (r < 0)
            return MU_OK;
        mu_job_list_remove(&p->queue.pending, j);
        int rc = give(p, r, j, e);
        if (rc != MU_OK) {
            mu_job_list_insert(&p->queue.pending, p->queue.pending.head, j);
            return unless_lost(p, rc);
        }
    }
    return MU_OK;
}

/* ---- ends ---- */

static void end_stream(const struct mu_job *j)
{
    struct mu_token_event ev = {.request = j->result.id,
                                .user = j->result.user,
                                .index = j->result.tokens.n,
                                .id = -1,
                                .text = "",
                                .is_last = true,
                                .finish = j->result.finish};
    if (j->req.on_token && j->req.kind == MU_REQUEST_GENERATE)
        j->req.on_token(j->req.on_token_arg, &ev);
}

/* A request that ends without a result from its replica; it is in no list. Under the lock. */
static void end_here(struct mu_replicas *p, struct mu_job *j, enum mu_finish finish, const struct mu_err *why)
{
    j->result.code = why->code;
    j->result.err = *why;
    j->result.finish = finish;
    j->result.wait_ns = mu_now_ns(p->clock) - j->submit_ns;
    j->state = MU_JOB_DONE;
    end_stream(j);
    p->others.requests_failed++;
    mu_job_list_append(&p->done, j);
}

static void end_list(struct mu_replicas *p, struct mu_job_list *l, const struct mu_err *why)
{
    for (struct mu_job *j; (j = l->head) != NULL;) {
        mu_job_list_remove(l, j);
        end_here(p, j, MU_FINISH_ERROR, why);
    }
}

/* Whatever is in flight ends with the sentence. */
static int lose(struct mu_replicas *p, int rc, struct mu_err *err, struct mu_err *e)
{
    err->code = rc == MU_ETIMEDOUT ? MU_EPEER : rc;
    mu_comm_abort(p->world, err->text);
    pthread_mutex_lock(&p->lock);
    if (p->lost.code == MU_OK) {
        p->lost = *err;
        for (int r = 0; r < p->n; r++)
            end_list(p, &p->replica[r].running, err);
        end_list(p, &p->queue.pending, err);
    }
    pthread_mutex_unlock(&p->lock);
    return mu_fail(e, p->lost.code, "%s", p->lost.text);
}

/* ---- losses ---- */

/* Under the lock. What was cancelled ends here. */
static void take_back(struct mu_replicas *p, struct replica *lost)
{
    for (struct mu_job *j; (j = lost->running.tail) != NULL;) {
        mu_job_list_remove(&lost->running, j);
        mu_job_list_insert(&p->queue.pending, p->queue.pending.head, j);
        p->queue.n_cancels += atomic_load(&j->is_cancelled);
    }
}

static void lose_replica(struct mu_replicas *p, int r, const char *clause)
{
    struct replica *lost = &p->replica[r];
    int n = lost->running.n;
    pthread_mutex_lock(&p->lock);
    take_back(p, lost);
    lost->is_lost = true;
    lost->status.n_queued = lost->status.n_running = 0;
    p->n_lost++;
    p->n_given_back += (uint64_t)n;
    add_up(p);
    pthread_mutex_unlock(&p->lock);
    mu_log(MU_LOG_WARN, "%s: replica %d is lost; %d request%s given to the others, %d of %d replicas remain", clause, r,
           n, n == 1 ? " is" : "s are", p->n - p->n_lost, p->n);
}

static void see_to_losses(struct mu_replicas *p)
{
    const char *clause = "";
    if (mu_comm_n_lost(p->world) == p->n_lost)
        return;
    for (int r = 1; r < p->n; r++)
        if (!p->replica[r].is_lost && mu_comm_is_lost(p->world, p->replica[r].driver, &clause))
            lose_replica(p, r, clause);
}

/* ---- cancels ---- */

/* Cancels are passed on once; what waits here ends here. Under the lock. */
static int see_to_cancels(struct mu_replicas *p, struct mu_err *e)
{
    if (p->queue.n_cancels == 0)
        return MU_OK;
    p->queue.n_cancels = 0;
    for (struct mu_job *j = p->queue.pending.head, *next; j; j = next) {
        struct mu_err why = MU_ERR_INIT;
        next = j->next;
        if (!atomic_load(&j->is_cancelled))
            continue;
        mu_fail(&why, MU_ECANCELED, "request %" PRIu64 " was cancelled before it ran", j->result.id);
        mu_job_list_remove(&p->queue.pending, j);
        end_here(p, j, MU_FINISH_CANCELLED, &why);
    }
    for (int r = 0; r < p->n; r++) {
        for (struct mu_job *j = p->replica[r].running.head; j; j = j->next) {
            if (!atomic_load(&j->is_cancelled))
                continue;
            if (r == 0)
                mu_light_cancel(p->local, j->result.id, NULL); /* done by now is fine */
            else
                MU_TRY_RETURN(tell(p, r, MU_MAIL_CANCEL, j->result.id, e));
        }
    }
    return MU_OK;
}

/* ---- what comes back ---- */

static struct mu_job *find(struct mu_job_list *l, uint64_t id)
{
    struct mu_job *j = l->head;
    while (j && j->result.id != id)
        j = j->next;
    return j;
}

/* The local engine's result takes our copy's place. */
static void take_local(struct mu_replicas *p, struct mu_result *r)
{
    struct mu_job *theirs = (struct mu_job *)r;
    struct mu_job *ours = find(&p->replica[0].running, r->id);
    pthread_mutex_lock(&p->lock);
    mu_job_list_remove(&p->replica[0].running, ours);
    mu_job_queue_swap(&p->queue, ours, theirs);
    mu_job_list_append(&p->done, theirs);
    pthread_mutex_unlock(&p->lock);
    mu_job_free(ours);
}

/* The receiver had enough: what came after its last token is not shown to it. */
static void cut_at(struct mu_job *j)
{
    struct mu_result *r = &j->result;
    r->tokens.n = MU_MIN(r->tokens.n, j->n_output);
    r->logprob_sum = 0;
    r->is_greedy = true;
    for (int i = 0; i < r->tokens.n; i++) {
        r->logprob_sum += r->tokens.logprob[i];
        r->is_greedy &= r->tokens.is_greedy[i];
    }
    r->text_bytes = MU_MIN(r->text_bytes, j->text.bytes);
    if (r->text)
        ((char *)(uintptr_t)r->text)[r->text_bytes] = '\0';
    r->stop_id = r->stop_string = -1;
    r->finish = MU_FINISH_CANCELLED;
    r->code = mu_fail(&r->err, MU_ECANCELED, "request %" PRIu64 " was cancelled by its receiver", r->id);
}

static int take_result(struct mu_replicas *p, int r, struct mu_job *j, struct mu_err *e)
{
    const struct mu_buf *m = &p->received;
    bool had_enough = j->state == MU_JOB_DONE;
    MU_TRY_RETURN(mu_result_read(j, &p->replica[r].status, m->p, m->n, e));
    if (had_enough)
        cut_at(j);
    pthread_mutex_lock(&p->lock);
    mu_job_list_remove(&p->replica[r].running, j);
    mu_job_list_append(&p->done, j);
    add_up(p);
    pthread_mutex_unlock(&p->lock);
    return MU_OK;
}

/* n_output counts the tokens shown, text.bytes the text; state DONE says that the receiver wants no more. Where a
 * second replica tells them again, the end is the same place. */
static int take_event(struct mu_replicas *p, int r, struct mu_job *j, struct mu_err *e)
{
    struct mu_token_event ev;
    MU_TRY_RETURN(mu_event_read(&ev, p->received.p, p->received.n, e));
    if (!j->req.on_token)
        return MU_OK;
    if (j->state == MU_JOB_DONE && !ev.is_last)
        return ev.index + 1 == j->n_output ? tell(p, r, MU_MAIL_CANCEL, j->result.id, e) : MU_OK;
    if (ev.is_last ? j->has_shown_end : ev.index < j->n_output)
        return MU_OK;
    j->has_shown_end = ev.is_last;
    ev.request = j->result.id;
    ev.user = j->result.user;
    if (j->state == MU_JOB_DONE) {
        ev.index = j->n_output;
        ev.text_bytes = 0;
        ev.finish = MU_FINISH_CANCELLED;
    }
    j->n_output += ev.id >= 0;
    j->text.bytes += ev.text_bytes;
    if (j->req.on_token(j->req.on_token_arg, &ev) == 0 || ev.is_last)
        return MU_OK;
    j->state = MU_JOB_DONE;
    return tell(p, r, MU_MAIL_CANCEL, j->result.id, e);
}

static int take_message(struct mu_replicas *p, int sender, size_t bytes, struct mu_err *e)
{
    struct mu_mail_head h;
    int r = sender / p->ranks_each;
    mu_buf_clear(&p->received);
    MU_TRY_RETURN(mu_buf_reserve(&p->received, bytes, e));
    int rc = mu_comm_recv(p->world, sender, MU_TAG_FROM_REPLICA, p->received.p, bytes, e);
    if (rc != MU_OK)
        return unless_lost(p, rc);
    p->received.n = bytes;
    MU_TRY_RETURN(mu_mail_read_head(&h, p->received.p, bytes, e));
    struct mu_job *j = find(&p->replica[r].running, h.id);
    if (!j || r == 0)
        return mu_fail(e, MU_EFORMAT, "rank %d answers request %" PRIu64 ", which it was not given", sender, h.id);
    if (h.kind == MU_MAIL_EVENT)
        return take_event(p, r, j, e);
    return take_result(p, r, j, e);
}

/* All that waits; when nothing does, one wait of wait_ns. */
static int take_messages(struct mu_replicas *p, int64_t wait_ns, struct mu_err *e)
{
    bool is_there = true;
    for (; is_there; wait_ns = 0) {
        int sender;
        size_t bytes;
        MU_TRY_RETURN(mu_rank_await(p->world, -1, MU_TAG_FROM_REPLICA, wait_ns, &is_there, &sender, &bytes, e));
        if (is_there)
            MU_TRY_RETURN(take_message(p, sender, bytes, e));
    }
    return MU_OK;
}

/* ---- polling ---- */

static struct mu_job *take_done(struct mu_replicas *p, bool *is_idle)
{
    pthread_mutex_lock(&p->lock);
    struct mu_job *j = p->done.head;
    *is_idle = p->queue.n == 0;
    if (j) {
        mu_job_list_remove(&p->done, j);
        mu_job_queue_forget(&p->queue, j);
    }
    pthread_mutex_unlock(&p->lock);
    return j;
}

/* At most one step here. */
static int run_local(struct mu_replicas *p, struct mu_err *e)
{
    struct mu_result *r = NULL;
    struct mu_err late = MU_ERR_INIT;
    int rc = mu_light_poll(p->local, &r, 0, &late);
    if (rc == MU_OK && r)
        take_local(p, r);
    if (rc != MU_OK && rc != MU_ETIMEDOUT)
        return mu_fail(e, rc, "%s", late.text);
    return MU_OK;
}

static int turn(struct mu_replicas *p, int64_t wait_ns, struct mu_err *e)
{
    see_to_losses(p);
    pthread_mutex_lock(&p->lock);
    int rc = see_to_cancels(p, e);
    if (rc == MU_OK)
        rc = hand_out(p, e);
    bool is_done = p->done.n > 0;
    pthread_mutex_unlock(&p->lock);
    MU_TRY_RETURN(rc);
    bool is_here = p->replica[0].running.n > 0;
    MU_TRY_RETURN(mu_mailbox_look(&p->box, e));
    MU_TRY_RETURN(take_messages(p, is_here || is_done ? 0 : MU_MIN(wait_ns, AWAIT_NS), e));
    return is_here ? run_local(p, e) : MU_OK;
}

int mu_replicas_poll(struct mu_replicas *p, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    int64_t start_ns = mu_now_ns(p->clock), passed_ns = 0;
    bool is_idle, is_late = false;

    *out = NULL;
    for (;;) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_job *j = take_done(p, &is_idle);
        if (j) {
            *out = &j->result;
            return MU_OK;
        }
        if (p->lost.code != MU_OK)
            return mu_fail(e, p->lost.code, "%s", p->lost.text);
        if (is_idle)
            return MU_OK;
        if (is_late)
            return mu_fail(e, MU_ETIMEDOUT, "no request was done within %.3f s", (double)timeout_ns / 1e9);
        int rc = turn(p, timeout_ns - passed_ns, &err);
        if (rc != MU_OK)
            lose(p, rc, &err, NULL); /* what is in flight is handed out first */
        passed_ns = mu_now_ns(p->clock) - start_ns;
        is_late = passed_ns >= timeout_ns;
    }
}

/* ---- the rest ---- */

int mu_replicas_drop_cached(struct mu_replicas *p, struct mu_err *e)
{
    struct mu_err err = MU_ERR_INIT;
    int rc = tell_others(p, MU_MAIL_DROP_CACHED, &err);
    return rc == MU_OK ? MU_OK : lose(p, rc, &err, e);
}

/* The one message that is no answer to a request; nothing may be in flight. */
static int take_peaks(struct mu_replicas *p, int r, uint64_t *peak, struct mu_err *e)
{
    struct mu_mail_head h;
    char m[sizeof h + MU_REPLICA_RANKS_MAX * sizeof *peak];
    size_t n = (size_t)p->ranks_each * sizeof *peak;
    int rc = mu_comm_recv(p->world, p->replica[r].driver, MU_TAG_FROM_REPLICA, m, sizeof h + n, e);
    if (rc != MU_OK)
        return unless_lost(p, rc);
    MU_TRY_RETURN(mu_mail_read_head(&h, m, sizeof h + n, e));
    memcpy(peak + p->replica[r].driver, m + sizeof h, n);
    return h.kind == MU_MAIL_PEAKS_ARE ? MU_OK : mu_fail(e, MU_EFORMAT, "replica %d told something else", r);
}

int mu_replicas_peaks(struct mu_replicas *p, uint64_t *peak, struct mu_err *e)
{
    if (p->queue.n > 0)
        return mu_fail(e, MU_EINVAL, "%d requests are in flight: peaks are told between them", p->queue.n);
    struct mu_err err = MU_ERR_INIT;
    memset(peak + p->ranks_each, 0, (size_t)((p->n - 1) * p->ranks_each) * sizeof *peak);
    int rc = tell_others(p, MU_MAIL_PEAKS, &err);
    for (int r = 1; r < p->n && rc == MU_OK; r++)
        rc = take_peaks(p, r, peak, &err);
    see_to_losses(p);
    return rc == MU_OK ? MU_OK : lose(p, rc, &err, e);
}
