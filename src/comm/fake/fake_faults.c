/* fake_faults.c - ranks that are lost on order, and how the others come to know */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "comm/fake/fake_int.h"

void mu_fake_wake_all(struct mu_fake_world *w)
{
    for (int r = 0; r < w->n_ranks; r++)
        pthread_cond_broadcast(&w->ranks[r].wake);
}

/* Lock held. what and sentence follow "rank 3 on node0 (process 4711)". */
static void be_gone(struct mu_fake_rank *r, int64_t notice_ns, const char *what, const char *sentence)
{
    char who[MU_COMM_WHO_MAX];
    if (r->is_gone)
        return;
    mu_comm_describe(&r->base, r->base.rank, who, sizeof who);
    snprintf(r->own_clause, sizeof r->own_clause, "%s lost the connection to all others", who);
    snprintf(r->clause, sizeof r->clause, "%s %s%s", who, what, sentence);
    r->notice_ns = mu_now_ns(r->world->clock) + notice_ns;
    r->is_gone = true;
    r->number = atomic_fetch_add(&r->world->n_gone, 1);
    mu_fake_wake_all(r->world);
}

static int64_t notice_delay(const struct mu_fake_world *w)
{
    return w->o.notice_ns > 0 ? w->o.notice_ns : MU_FAKE_NOTICE_NS;
}

/* Lock held. Everybody else has ended or is stopped as well. */
static bool is_over(const struct mu_fake_world *w)
{
    return w->n_running > 0 && w->n_stopped >= w->n_running;
}

static void hang(struct mu_fake_rank *r)
{
    struct mu_fake_world *w = r->world;
    w->n_stopped++;
    mu_fake_wake_all(w);
    while (!is_over(w) && mu_now_ns(w->clock) < r->base.deadline_ns)
        mu_fake_wait(r, r->base.deadline_ns);
    w->n_stopped--;
}

static void dawdle(struct mu_fake_rank *r, int64_t delay_ns)
{
    int64_t end = mu_now_ns(r->world->clock) + delay_ns;
    while (mu_now_ns(r->world->clock) < end)
        mu_fake_wait(r, end);
}

/* Lock held. */
static int obey(struct mu_fake_rank *r, const struct mu_fake_order *o, struct mu_err *e)
{
    switch (o->fault) {
    case MU_FAKE_KILL:
        be_gone(r, notice_delay(r->world), "was lost", "");
        return mu_fail(e, MU_ECANCELED, "rank %d was killed at its call %" PRIu64 ", as ordered", r->base.rank,
                       o->at_call);
    case MU_FAKE_STOP:
        be_gone(r, notice_delay(r->world), "was lost", "");
        hang(r);
        return mu_fail(e, MU_ECANCELED, "rank %d was stopped at its call %" PRIu64 ", as ordered", r->base.rank,
                       o->at_call);
    case MU_FAKE_CUT:
        r->fault = MU_FAKE_CUT;
        be_gone(r, notice_delay(r->world), "was lost", "");
        return MU_OK;
    case MU_FAKE_SLOW:
        dawdle(r, o->delay_ns);
        return MU_OK;
    case MU_FAKE_NONE:
        break;
    }
    return MU_OK;
}

int mu_fake_on_call(struct mu_comm_world *w, uint64_t number, struct mu_err *e)
{
    struct mu_fake_rank *r = (struct mu_fake_rank *)w;
    const struct mu_fake_opts_comm *o = &r->world->o;
    int rc = MU_OK;
    for (int i = 0; i < o->n_orders && rc == MU_OK; i++) {
        if (o->orders[i].rank != w->rank || o->orders[i].at_call != number)
            continue;
        pthread_mutex_lock(&r->world->lock);
        rc = obey(r, &o->orders[i], e);
        pthread_mutex_unlock(&r->world->lock);
    }
    return rc;
}

static bool is_noticed_before(const struct mu_fake_rank *a, const struct mu_fake_rank *b)
{
    return a->notice_ns != b->notice_ns ? a->notice_ns < b->notice_ns : a->number < b->number;
}

/* The first noticed after `last`, which may be NULL; one that is cut off finds itself lost. Lock held. */
static const struct mu_fake_rank *next_lost(const struct mu_fake_rank *r, const struct mu_fake_rank *last, int64_t now)
{
    const struct mu_fake_rank *next = NULL;
    for (int i = 0; i < r->world->n_ranks; i++) {
        const struct mu_fake_rank *other = &r->world->ranks[i];
        bool is_seen = other->is_gone && (other != r || r->fault == MU_FAKE_CUT) && other->notice_ns <= now;
        if (is_seen && (!last || is_noticed_before(last, other)) && (!next || is_noticed_before(other, next)))
            next = other;
    }
    return next;
}

/* The nth, from 0, of those noticed by now. Lock held. */
static const struct mu_fake_rank *nth_lost(const struct mu_fake_rank *r, int nth, int64_t now)
{
    const struct mu_fake_rank *lost = next_lost(r, NULL, now);
    for (int i = 0; i < nth && lost; i++)
        lost = next_lost(r, lost, now);
    return lost;
}

int mu_fake_lost(struct mu_comm_world *w, int nth, const char **clause)
{
    struct mu_fake_rank *r = (struct mu_fake_rank *)w;
    if (atomic_load(&r->world->n_gone) <= nth)
        return -1;
    pthread_mutex_lock(&r->world->lock);
    const struct mu_fake_rank *lost = nth_lost(r, nth, mu_now_ns(r->world->clock));
    if (lost)
        *clause = lost == r ? lost->own_clause : lost->clause;
    pthread_mutex_unlock(&r->world->lock);
    return lost ? lost->base.rank : -1;
}

int64_t mu_fake_next_notice(const struct mu_fake_rank *r)
{
    const struct mu_fake_rank *next = nth_lost(r, r->base.n_losses, INT64_MAX);
    return next ? next->notice_ns : INT64_MAX;
}

void mu_fake_abort(struct mu_comm_world *w, const char *sentence)
{
    struct mu_fake_rank *r = (struct mu_fake_rank *)w;
    char said[MU_COMM_CLAUSE_MAX - MU_COMM_WHO_MAX - 12];
    snprintf(said, sizeof said, "(%.*s)", MU_COMM_CLAUSE_MAX - MU_COMM_WHO_MAX - 16, sentence);
    pthread_mutex_lock(&r->world->lock);
    be_gone(r, 0, "gave up ", said);
    pthread_mutex_unlock(&r->world->lock);
}
