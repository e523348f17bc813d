/* fake.c - a world of threads: open, run, close */
#include "comm/fake/fake.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/fake/fake_int.h"

static void fake_close(struct mu_comm_world *w)
{
    struct mu_fake_rank *r = (struct mu_fake_rank *)w;
    r->comm = NULL;
}

static const struct mu_comm_transport fake_ops = {.name = "fake",
                                                  .start_send = mu_fake_start_send,
                                                  .start_recv = mu_fake_start_recv,
                                                  .progress = mu_fake_progress,
                                                  .cancel = mu_fake_cancel,
                                                  .probe = mu_fake_probe,
                                                  .lost = mu_fake_lost,
                                                  .abort = mu_fake_abort,
                                                  .close = fake_close,
                                                  .on_call = mu_fake_on_call,
                                                  .shared_open = mu_fake_shared_open,
                                                  .shared_close = mu_fake_shared_close};

static void place_ranks(const struct mu_fake_world *w, struct mu_comm_place *place)
{
    for (int r = 0; r < w->n_ranks; r++) {
        place[r].node = w->o.ranks_per_node > 0 ? r / w->o.ranks_per_node : 0;
        place[r].pid = (int)getpid();
        snprintf(place[r].host, sizeof place[r].host, "node%d", place[r].node);
    }
}

static int rank_open(struct mu_fake_world *w, int rank, struct mu_err *e)
{
    struct mu_fake_rank *r = &w->ranks[rank];
    int rc = MU_OK;
    r->world = w;
    r->base = (struct mu_comm_world){.ops = &fake_ops, .clock = w->clock, .rank = rank, .size = w->n_ranks};
    MU_TRY(MU_NEW_ARRAY(&r->base.place, w->n_ranks, "the places of fake ranks", e));
    place_ranks(w, r->base.place);
    MU_TRY(MU_NEW_ARRAY(&r->own, MU_COMM_POOL_MAX, "fake messages", e));
    MU_TRY(MU_NEW_ARRAY(&r->slots, MU_FAKE_SLOTS, "a fake mailbox", e));
    for (int i = 0; i < MU_FAKE_SLOTS; i++) {
        r->slots[i].envelope.next = r->free;
        r->free = &r->slots[i].envelope;
    }
    MU_TRY(mu_comm_world_open(&r->comm, &r->base, &w->o.comm, e));
    return MU_OK;
out:
    mu_free(r->base.place);
    return rc;
}

int mu_fake_world_open(struct mu_fake_world **out, int n_ranks, const struct mu_fake_opts_comm *o, struct mu_err *e)
{
    struct mu_fake_world *w = NULL;
    int rc = MU_OK;
    *out = NULL;
    if (n_ranks < 1 || n_ranks > MU_COMM_RANKS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d ranks: a world has 1 to %d", n_ranks, MU_COMM_RANKS_MAX);
    MU_TRY_RETURN(MU_NEW(&w, "a fake world", e));
    pthread_mutex_init(&w->lock, NULL);
    w->n_ranks = n_ranks;
    if (o)
        w->o = *o;
    w->clock = w->o.clock ? w->o.clock : mu_clock_real();
    MU_TRY(MU_NEW_ARRAY(&w->ranks, n_ranks, "fake ranks", e));
    for (int r = 0; r < n_ranks; r++)
        mu_cond_init(&w->ranks[r].wake);
    for (int r = 0; r < n_ranks; r++)
        MU_TRY(rank_open(w, r, e));
    *out = w;
    w = NULL;
out:
    mu_fake_world_close(w);
    return rc;
}

void mu_fake_world_close(struct mu_fake_world *w)
{
    if (!w)
        return;
    for (int i = 0; w->ranks && i < w->n_ranks; i++) {
        struct mu_fake_rank *r = &w->ranks[i];
        mu_comm_close(r->comm);
        mu_free(r->own);
        mu_free(r->slots);
        pthread_cond_destroy(&r->wake);
    }
    mu_fake_shared_free_all(w);
    pthread_mutex_destroy(&w->lock);
    mu_free(w->ranks);
    mu_free(w);
}

struct mu_comm *mu_fake_world_comm(struct mu_fake_world *w, int rank)
{
    return w->ranks[rank].comm;
}

/* ---- running ---- */

struct thread {
    struct mu_fake_rank *rank;
    mu_fake_fn fn;
    void *arg;
    int rc;
    struct mu_err err;
    pthread_t id;
    bool has_thread;
};

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    struct mu_fake_world *w = t->rank->world;
    t->rc = t->fn(t->arg, t->rank->comm, &t->err);
    if (t->rc != MU_OK) { /* as the end of a process would be seen, also of one whose world is dead */
        mu_comm_abort(t->rank->comm, t->err.text);
        mu_fake_abort(&t->rank->base, t->err.text);
    }
    pthread_mutex_lock(&w->lock);
    w->n_running--;
    mu_fake_wake_all(w);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void start_threads(struct mu_fake_world *w, struct thread *threads, mu_fake_fn fn, void *arg)
{
    w->n_running = w->n_ranks;
    for (int r = 0; r < w->n_ranks; r++) {
        struct thread *t = &threads[r];
        *t = (struct thread){.rank = &w->ranks[r], .fn = fn, .arg = arg};
        int err = pthread_create(&t->id, NULL, thread_main, t);
        t->has_thread = err == 0;
        if (t->has_thread)
            continue;
        t->rc = mu_fail(&t->err, MU_ENOMEM, "cannot start thread %d of %d: %s", r, w->n_ranks, strerror(err));
        mu_comm_abort(t->rank->comm, t->err.text);
        pthread_mutex_lock(&w->lock);
        w->n_running--;
        pthread_mutex_unlock(&w->lock);
    }
}

int mu_fake_world_run(struct mu_fake_world *w, mu_fake_fn fn, void *arg, int *rc, struct mu_err *errs)
{
    struct thread *threads = NULL;
    int first = MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&threads, w->n_ranks, "the threads of fake ranks", errs));
    start_threads(w, threads, fn, arg);
    for (int r = 0; r < w->n_ranks; r++) {
        if (threads[r].has_thread)
            pthread_join(threads[r].id, NULL);
        if (rc)
            rc[r] = threads[r].rc;
        if (errs)
            errs[r] = threads[r].err;
        first = first ? first : threads[r].rc;
    }
    mu_free(threads);
    return first;
}
