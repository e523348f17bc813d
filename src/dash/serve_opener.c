/* serve_opener.c - the one thread that opens models, and looks whether the machine wants memory back
 *
 * Calls wait in a line of their model. The thread goes through the models that are wanted and tries each for a moment;
 * one that opens goes back to the workers with all who waited for it, each holding it.
 *
 * Where a model needs the room of others that are never idle, it would wait for ever. So after a while it is its turn:
 * calls for models that may be evicted wait too, until those that run are answered and it is open. From one open to the
 * next turn it is at least twice as long as that open took, so that most of the time goes to computing.
 *
 * Deadlines of those who wait, and clients that left, are the engine's thread's to look for: an open may take long. */
#include <errno.h>

#include "base/check.h"
#include "base/log.h"
#include "dash/serve_int.h"

#define TRY_NS  50000000ll   /* one model's, while others are wanted too */
#define TURN_NS 2000000000ll /* the least that one waits for room before it is its turn */

/* ---- the lines, under the lock ---- */

bool mu_call_await_model(struct mu_call *c)
{
    struct mu_serve *s = c->s;
    if (s->n_opening >= s->o.load_queue_max)
        return false;
    if (!c->open_by_ns)
        c->open_by_ns = mu_serve_now_ns() + s->o.load_ns;
    mu_call_push(&c->served->opening, c);
    s->n_opening++;
    pthread_cond_signal(&s->has_opening);
    pthread_cond_signal(&s->has_calls); /* for the deadlines */
    return true;
}

static void leave_line(struct mu_call *c)
{
    mu_call_remove(&c->served->opening, c);
    c->s->n_opening--;
    if (c->served->opening.n > 0)
        return;
    c->served->no_room_ns = 0;
    if (c->s->turn == c->served)
        c->s->turn = NULL;
}

/* The next one after the last that somebody waits for; NULL: none. */
static struct mu_served *next_wanted(struct mu_serve *s, int *at)
{
    if (s->turn)
        return s->turn;
    for (int i = 0; i < s->n_served; i++) {
        *at = (*at + 1) % s->n_served;
        if (s->served[*at].opening.head)
            return &s->served[*at];
    }
    return NULL;
}

/* ---- those who cannot wait any longer ---- */

static void refuse_with(struct mu_call_list *l, const struct mu_api_error *x)
{
    for (struct mu_call *c; (c = l->head) != NULL;) {
        mu_call_remove(l, c);
        mu_call_refuse(c, x);
    }
}

static void refuse_all(struct mu_call_list *l, int status, const char *code, const char *sentence)
{
    struct mu_api_error x;
    mu_api_fail(&x, status, NULL, code, "%s", sentence);
    refuse_with(l, &x);
}

static void sort_out(struct mu_served *m, int64_t now, struct mu_call_list *late, struct mu_call_list *gone,
                     struct mu_call_list *over)
{
    for (struct mu_call *c = m->opening.head, *next; c; c = next) {
        next = c->next;
        bool is_gone = mu_http_is_gone(c->http), is_late = c->deadline_ns && now > c->deadline_ns;
        if (!is_gone && !is_late && now <= c->open_by_ns)
            continue;
        leave_line(c);
        m->metrics.calls_gone += is_gone;
        mu_call_push(is_gone ? gone : is_late ? late : over, c);
    }
}

void mu_serve_tick_opening(struct mu_serve *s, int64_t now)
{
    struct mu_call_list late = {.n = 0}, gone = {.n = 0}, over = {.n = 0};
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_served && s->n_opening > 0; i++)
        sort_out(&s->served[i], now, &late, &gone, &over);
    pthread_mutex_unlock(&s->lock);
    refuse_all(&gone, 503, "client_gone", "the client left before its model was open");
    refuse_all(&late, 504, "timeout", "the request took longer than this server allows: its model was not open yet");
    refuse_all(&over, 503, "model_not_ready",
               "the model was not open in time: others are being computed, or it is still being read; try again later");
}

/* ---- opening ---- */

static int64_t turn_ns_of(struct mu_serve *s, const struct mu_served *m)
{
    struct mu_resident_info info;
    bool is_known = mu_residents_info(s->residents, (int)(m - s->served), &info);
    return MU_MAX(TURN_NS, is_known ? 2 * info.open_ns : 0);
}

static void note_no_room(struct mu_serve *s, struct mu_served *m)
{
    int64_t now = mu_serve_now_ns();
    pthread_mutex_lock(&s->lock);
    if (!m->no_room_ns)
        m->no_room_ns = now;
    else if (!s->turn && m->opening.head && now - m->no_room_ns > turn_ns_of(s, m))
        s->turn = m;
    pthread_mutex_unlock(&s->lock);
}

/* Whoever still waits for room has not waited for this one's turn to end. */
static void restart_waits(struct mu_serve *s)
{
    int64_t now = mu_serve_now_ns();
    for (int i = 0; i < s->n_served; i++)
        s->served[i].no_room_ns = s->served[i].no_room_ns ? now : 0;
}

/* All who wait for it, when it is open and held here: to the workers, each with a hold of its own. Else, and when the
 * server stops, into *rest. */
static void end_line(struct mu_serve *s, struct mu_served *m, bool is_open, struct mu_call_list *rest)
{
    pthread_mutex_lock(&s->lock);
    for (struct mu_call *c; (c = m->opening.head) != NULL;) {
        void *model = NULL;
        leave_line(c);
        if (!is_open || s->is_stopping || !mu_residents_take(s->residents, m->name, &model)) {
            mu_call_push(rest, c);
            continue;
        }
        c->model = model;
        mu_call_push(&s->work, c);
    }
    if (is_open)
        restart_waits(s);
    pthread_cond_broadcast(&s->has_work);
    pthread_mutex_unlock(&s->lock);
}

static void refuse_unopened(struct mu_serve *s, const struct mu_served *m, struct mu_call_list *l, const char *sentence)
{
    struct mu_resident_info info;
    struct mu_api_error x;
    mu_log(MU_LOG_WARN, "serve: the model %s cannot be opened: %s", m->name, sentence);
    mu_api_fail(&x, 503, NULL, "model_not_loaded", "%s", sentence);
    if (mu_residents_info(s->residents, (int)(m - s->served), &info))
        x.retry_s = mu_serve_retry_s(&info);
    refuse_with(l, &x);
}

static void bring(struct mu_serve *s, struct mu_served *m)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_call_list rest = {.n = 0};
    void *model = NULL;
    int rc = mu_residents_use(s->residents, m->name, TRY_NS, &model, &err);
    if (rc == MU_ETIMEDOUT) {
        note_no_room(s, m);
        return;
    }
    end_line(s, m, rc == MU_OK, &rest);
    if (rc == MU_OK) {
        mu_residents_done(s->residents, model);
        refuse_all(&rest, 503, "overloaded", "this server is about to stop, or the model broke down at once");
    } else {
        refuse_unopened(s, m, &rest, err.text);
    }
}

/* ---- the loop ---- */

static void refuse_waiting(struct mu_serve *s)
{
    struct mu_call_list rest = {.n = 0};
    for (int i = 0; i < s->n_served; i++)
        end_line(s, &s->served[i], false, &rest);
    refuse_all(&rest, 503, "overloaded", "this server stopped before the request was done");
}

/* *m: who is wanted, or NULL when it is only time to look at the machine. False: the end. */
static bool await_work(struct mu_serve *s, struct mu_served **m, int *at)
{
    int64_t until = mu_serve_now_ns() + MU_RESIDENT_PRESSURE_NS;
    struct timespec t = {until / 1000000000, until % 1000000000};
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->is_stopping && !(*m = next_wanted(s, at)) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->has_opening, &s->lock, &t);
    bool is_over = s->is_stopping;
    pthread_mutex_unlock(&s->lock);
    return !is_over;
}

void *mu_serve_opener(void *arg)
{
    struct mu_serve *s = arg;
    struct mu_served *m = NULL;
    int at = 0;
    while (await_work(s, &m, &at)) {
        if (m)
            bring(s, m);
        mu_residents_tick(s->residents);
    }
    refuse_waiting(s);
    return NULL;
}
