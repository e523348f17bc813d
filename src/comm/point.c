/* point.c - messages between two ranks, waited for or started */
#include <inttypes.h>

#include "base/check.h"
#include "comm/comm_int.h"

static int check(const struct mu_comm *c, int peer, int tag, struct mu_err *e)
{
    if (peer < 0 || peer >= c->size)
        return mu_fail(e, MU_EINVAL, "rank %d: group %s has ranks 0 to %d", peer, c->name, c->size - 1);
    if (tag < 0 || tag > MU_COMM_TAG_MAX)
        return mu_fail(e, MU_EINVAL, "tag %d: tags lie in 0 to %d", tag, MU_COMM_TAG_MAX);
    return MU_OK;
}

static int send_in(struct mu_comm *c, int to, int tag, const void *p, size_t bytes, struct mu_err *e)
{
    struct mu_comm_op *op = NULL;
    MU_TRY_RETURN(mu_comm_post_send(&op, c, to, tag, p, bytes, e));
    return mu_comm_await(c, &op, 1, e);
}

int mu_comm_send(struct mu_comm *c, int to, int tag, const void *p, size_t bytes, struct mu_err *e)
{
    MU_TRY_RETURN(check(c, to, tag, e));
    MU_TRY_RETURN(mu_comm_begin_message(c, "send", e));
    return mu_comm_end(c, send_in(c, to, tag, p, bytes, e));
}

static int recv_in(struct mu_comm *c, int from, int tag, void *p, size_t bytes, struct mu_err *e)
{
    struct mu_comm_op *op = NULL;
    MU_TRY_RETURN(mu_comm_post_recv(&op, c, from, tag, p, bytes, e));
    return mu_comm_await(c, &op, 1, e);
}

int mu_comm_recv(struct mu_comm *c, int from, int tag, void *p, size_t bytes, struct mu_err *e)
{
    MU_TRY_RETURN(check(c, from, tag, e));
    MU_TRY_RETURN(mu_comm_begin_message(c, "receive", e));
    return mu_comm_end(c, recv_in(c, from, tag, p, bytes, e));
}

/* ---- started ---- */

static int begin_start(struct mu_comm *c, const char *call, int peer, int tag, struct mu_err *e)
{
    MU_TRY_RETURN(check(c, peer, tag, e));
    if (c->world->n_started >= MU_COMM_OPS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d started messages wait for mu_comm_wait(): no more can be started",
                       MU_COMM_OPS_MAX);
    return mu_comm_begin_message(c, call, e);
}

static int end_start(struct mu_comm *c, struct mu_comm_op *op, int rc)
{
    if (rc == MU_OK) {
        op->is_callers = true;
        c->world->n_started++;
    }
    return mu_comm_end(c, rc);
}

int mu_comm_start_send(struct mu_comm_op **out, struct mu_comm *c, int to, int tag, const void *p, size_t bytes,
                       struct mu_err *e)
{
    *out = NULL;
    MU_TRY_RETURN(begin_start(c, "send", to, tag, e));
    int rc = mu_comm_post_send(out, c, to, tag, p, bytes, e);
    return end_start(c, *out, rc);
}

int mu_comm_start_recv(struct mu_comm_op **out, struct mu_comm *c, int from, int tag, void *p, size_t bytes,
                       struct mu_err *e)
{
    *out = NULL;
    MU_TRY_RETURN(begin_start(c, "receive", from, tag, e));
    int rc = mu_comm_post_recv(out, c, from, tag, p, bytes, e);
    return end_start(c, *out, rc);
}

/* The deadline of a wait begins with the wait: what a rank computed in between is nobody's delay. */
static void resume(const struct mu_comm_op *op)
{
    struct mu_comm_world *w = op->group->world;
    w->call = op->call;
    w->number = op->number;
    w->began_ns = mu_now_ns(w->clock);
    w->deadline_ns = w->began_ns + w->timeout_ns;
}

int mu_comm_test(struct mu_comm_op *op, bool *is_done, struct mu_err *e)
{
    int rc = MU_OK;
    *is_done = true; /* also after a failure: a wait returns at once */
    if (op->is_done)
        return MU_OK;
    resume(op);
    rc = mu_comm_look(op->group, e);
    *is_done = op->is_done || rc != MU_OK;
    return mu_comm_end(op->group, rc);
}

int mu_comm_wait(struct mu_comm_op *op, struct mu_err *e)
{
    if (!op)
        return MU_OK;
    struct mu_comm *c = op->group;
    resume(op);
    return mu_comm_end(c, mu_comm_await(c, &op, 1, e));
}

/* ---- probe ---- */

static bool probe_self(const struct mu_comm *c, int tag, int *sender, size_t *bytes)
{
    for (const struct mu_comm_op *op = c->world->to_self; op; op = op->next) {
        if (op->context != c->context || op->tag != tag)
            continue;
        *sender = c->rank;
        *bytes = op->bytes;
        return true;
    }
    return false;
}

static int rank_of(const struct mu_comm *c, int world_rank)
{
    for (int r = 0; r < c->size; r++)
        if (c->member[r] == world_rank)
            return r;
    return -1;
}

static int probe_peer(struct mu_comm *c, int from, int tag, bool *found, int *sender, size_t *bytes, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    int who = -1;
    if (w->ops->probe(w, from < 0 ? -1 : c->member[from], c->context, tag, found, &who, bytes, &w->death) != MU_OK)
        return mu_comm_end_world(w, e);
    if (*found)
        *sender = from < 0 ? rank_of(c, who) : from;
    return MU_OK;
}

/* Where members are lost: each of the others in turn, so that a late message of a lost one is not what is found. */
static int probe_living(struct mu_comm *c, int tag, bool *found, int *sender, size_t *bytes, struct mu_err *e)
{
    for (int i = 0; i < c->size && !*found; i++) {
        int r = (c->next + i) % c->size;
        if (r == c->rank || mu_comm_check_peer(c, c->member[r], NULL) != MU_OK)
            continue;
        MU_TRY_RETURN(probe_peer(c, r, tag, found, sender, bytes, e));
        if (*found)
            c->next = r + 1;
    }
    return MU_OK;
}

static int probe_once(struct mu_comm *c, int from, int tag, bool *found, int *sender, size_t *bytes, struct mu_err *e)
{
    *found = (from < 0 || from == c->rank) && probe_self(c, tag, sender, bytes);
    if (*found || from == c->rank || c->size == 1)
        return MU_OK;
    if (from < 0 && c->world->n_lost > 0)
        return probe_living(c, tag, found, sender, bytes, e);
    if (from >= 0)
        MU_TRY_RETURN(mu_comm_check_peer(c, c->member[from], e));
    return probe_peer(c, from, tag, found, sender, bytes, e);
}

static int probe_in(struct mu_comm *c, int from, int tag, int64_t end_ns, int *sender, size_t *bytes, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    for (;;) {
        bool found = false;
        MU_TRY_RETURN(mu_comm_look(c, e));
        MU_TRY_RETURN(probe_once(c, from, tag, &found, sender, bytes, e));
        if (found)
            return MU_OK;
        int64_t now = mu_now_ns(w->clock);
        if (now >= end_ns)
            return mu_fail(e, MU_ETIMEDOUT, "no message with tag %d came to rank %d of group %s in time", tag, c->rank,
                           c->name);
        if (w->ops->progress(w, end_ns - now, &w->death) != MU_OK)
            return mu_comm_end_world(w, e);
    }
}

int mu_comm_probe(struct mu_comm *c, int from, int tag, int64_t timeout_ns, int *sender, size_t *bytes,
                  struct mu_err *e)
{
    int who = -1;
    size_t n = 0;
    MU_TRY_RETURN(check(c, from < 0 ? 0 : from, tag, e));
    MU_TRY_RETURN(mu_comm_begin_message(c, "probe", e));
    int rc = probe_in(c, from, tag, c->world->began_ns + timeout_ns, &who, &n, e);
    if (rc == MU_OK && sender)
        *sender = who;
    if (rc == MU_OK && bytes)
        *bytes = n;
    return mu_comm_end(c, rc);
}
