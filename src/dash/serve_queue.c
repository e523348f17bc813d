/* serve_queue.c - how a call is taken, handed from thread to thread, and let go */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dash/serve_int.h"

int64_t mu_serve_now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

void mu_call_push(struct mu_call_list *l, struct mu_call *c)
{
    c->prev = l->tail;
    c->next = NULL;
    *(l->tail ? &l->tail->next : &l->head) = c;
    l->tail = c;
    l->n++;
}

void mu_call_remove(struct mu_call_list *l, struct mu_call *c)
{
    *(c->prev ? &c->prev->next : &l->head) = c->next;
    *(c->next ? &c->next->prev : &l->tail) = c->prev;
    c->prev = c->next = NULL;
    l->n--;
}

/* ---- in ---- */

static struct mu_call *call_new(struct mu_serve *s, struct mu_http_request *r, void (*work)(struct mu_call *))
{
    struct mu_call *c = mu_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->s = s;
    c->http = r;
    c->work = work;
    c->created = (int64_t)time(NULL);
    c->start_ns = mu_serve_now_ns();
    c->deadline_ns = s->o.request_ns ? c->start_ns + s->o.request_ns : 0;
    c->chunk = (struct mu_buf)MU_BUF_INIT("a chunk", MU_SERVE_REPLY_MAX);
    return c;
}

/* The sentence of a refusal, or NULL; with the lock held. */
static const char *why_not(const struct mu_serve *s)
{
    if (atomic_load(&s->is_dead))
        return "no model is left; this server must be started again";
    if (s->is_draining || s->is_stopping)
        return "this server is about to stop";
    return NULL;
}

void mu_serve_take(struct mu_serve *s, struct mu_http_request *r, void (*work)(struct mu_call *))
{
    struct mu_call *c = call_new(s, r, work);
    uint64_t client = mu_http_client(r);
    pthread_mutex_lock(&s->lock);
    const char *why = c ? why_not(s) : "there is no memory for another request; try again a little later";
    s->n_taken++;
    if (!why && !mu_lane_take(s, c, client))
        why = "the queue is full; try again a little later";
    if (why) {
        s->n_refused++;
    } else {
        mu_call_push(&s->work, c);
        pthread_cond_signal(&s->has_work);
    }
    pthread_mutex_unlock(&s->lock);
    if (!why)
        return;
    struct mu_api_error x;
    mu_api_fail(&x, 503, NULL, "overloaded", "%s", why);
    mu_http_refuse(r, &x);
    mu_free(c);
}

/* ---- on ---- */

void mu_call_to_worker(struct mu_call *c, void (*work)(struct mu_call *))
{
    struct mu_serve *s = c->s;
    c->work = work;
    pthread_mutex_lock(&s->lock);
    mu_call_push(&s->work, c);
    pthread_cond_signal(&s->has_work);
    pthread_mutex_unlock(&s->lock);
}

void mu_call_to_engine(struct mu_call *c)
{
    struct mu_serve *s = c->s;
    struct mu_api_error x;
    pthread_mutex_lock(&s->lock);
    bool is_over = s->is_stopping;
    bool has_room = c->ask.cost <= MU_SERVE_TOTAL_MAX - s->cost;
    if (has_room)
        s->cost += c->ask.cost;
    else
        c->ask.cost = 0; /* none of it was taken */
    if (!is_over && has_room) {
        mu_call_push(&s->inbox, c);
        pthread_cond_signal(&s->has_calls);
    }
    pthread_mutex_unlock(&s->lock);
    if (!is_over && has_room)
        return;
    mu_api_fail(&x, 503, NULL, "overloaded", "%s",
                is_over ? "this server is about to stop" : "the requests in hand take all memory; try again later");
    mu_call_refuse(c, &x);
}

/* ---- out ---- */

void mu_call_free(struct mu_call *c)
{
    struct mu_serve *s = c->s;
    size_t cost = c->parts ? c->ask.cost : 0;
    for (int i = 0; i < c->n_parts; i++)
        mu_result_free(c->parts[i].result);
    mu_free(c->parts);
    mu_ask_fini(&c->ask);
    mu_buf_fini(&c->chunk);
    if (c->model)
        mu_residents_done(s->residents, (void *)(uintptr_t)c->model);
    pthread_mutex_lock(&s->lock);
    mu_lane_leave(s, c);
    s->cost -= cost;
    pthread_cond_broadcast(&s->has_changed);
    pthread_mutex_unlock(&s->lock);
    mu_free(c);
}

void *mu_serve_work(void *arg)
{
    struct mu_serve *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct mu_call *c = s->work.head;
        if (!c && s->is_stopping && s->is_engine_done)
            break;
        if (!c) {
            pthread_cond_wait(&s->has_work, &s->lock);
            continue;
        }
        mu_call_remove(&s->work, c);
        pthread_mutex_unlock(&s->lock);
        c->work(c);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
