/* op.c - started calls: their pool, the messages of algorithms, and messages to oneself, which no transport sees */
#include <string.h>

#include "base/check.h"
#include "comm/comm_int.h"

/* ---- the pool ---- */

struct mu_comm_op *mu_comm_take(struct mu_comm *c)
{
    struct mu_comm_world *w = c->world;
    struct mu_comm_op *op = w->free;
    if (!op)
        return NULL;
    w->free = op->next;
    *op = (struct mu_comm_op){.group = c, .index = op->index, .call = w->call, .number = w->number};
    return op;
}

static void unlink_op(struct mu_comm_op **list, const struct mu_comm_op *op)
{
    while (*list && *list != op)
        list = &(*list)->next;
    if (*list)
        *list = op->next;
}

bool mu_comm_is_to_self(const struct mu_comm_world *w, const struct mu_comm_op *op)
{
    return !op->is_native && op->peer == w->rank;
}

void mu_comm_put_back(struct mu_comm_world *w, struct mu_comm_op *op)
{
    if (!op->is_done && mu_comm_is_to_self(w, op))
        unlink_op(op->is_send ? &w->to_self : &w->from_self, op);
    else if (!op->is_done)
        w->ops->cancel(w, op);
    w->n_started -= op->is_callers;
    op->group = NULL;
    op->next = w->free;
    w->free = op;
}

static struct mu_comm_op *newest(struct mu_comm_world *w)
{
    struct mu_comm_op *last = NULL;
    for (struct mu_comm_op *op = w->pool; op < w->pool + MU_COMM_POOL_MAX; op++)
        if (op->group && !op->is_done && (!last || op->number > last->number))
            last = op;
    return last;
}

/* Newest first: what a peer gets of the messages to it is all up to some one, never a later without an earlier. */
void mu_comm_withdraw_all(struct mu_comm_world *w)
{
    for (struct mu_comm_op *op; (op = newest(w)) != NULL; op->is_done = true)
        if (!mu_comm_is_to_self(w, op))
            w->ops->cancel(w, op);
    w->to_self = w->from_self = NULL;
}

/* A native call is one of its group's whole. */
static bool is_of_part(struct mu_comm_world *w, const struct mu_comm_op *op, int part)
{
    if (!op->is_native)
        return w->part[op->peer] == part;
    for (int r = 0; r < op->group->size; r++)
        if (w->part[op->group->member[r]] == part)
            return true;
    return false;
}

void mu_comm_withdraw_part(struct mu_comm_world *w, int part)
{
    for (struct mu_comm_op *op = w->pool; op < w->pool + MU_COMM_POOL_MAX; op++) {
        if (!op->group || op->is_done || !is_of_part(w, op, part))
            continue;
        w->ops->cancel(w, op);
        op->is_done = op->is_lost = true;
    }
}

/* ---- messages ---- */

static void meet(struct mu_comm_op *send, struct mu_comm_op *recv)
{
    size_t n = MU_MIN(send->bytes, recv->bytes);
    if (n > 0)
        memcpy(recv->p, send->p, n);
    recv->got = send->bytes;
    send->is_done = recv->is_done = true;
}

static void start_to_self(struct mu_comm_world *w, struct mu_comm_op *op)
{
    struct mu_comm_op **others = op->is_send ? &w->from_self : &w->to_self;
    struct mu_comm_op **end = op->is_send ? &w->to_self : &w->from_self;
    for (struct mu_comm_op *o = *others; o; o = o->next) {
        if (o->context != op->context || o->tag != op->tag)
            continue;
        unlink_op(others, o);
        meet(op->is_send ? op : o, op->is_send ? o : op);
        return;
    }
    while (*end)
        end = &(*end)->next;
    *end = op;
}

static void count_sent(struct mu_comm_world *w, const struct mu_comm_op *op)
{
    if (!op->is_send)
        return;
    w->counts.bytes_sent += op->bytes;
    if (w->place[op->peer].node != w->place[w->rank].node)
        w->counts.bytes_off_node += op->bytes;
}

static int post(struct mu_comm_op **out, struct mu_comm *c, bool is_send, int peer, int tag, void *p, size_t bytes,
                struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    MU_TRY_RETURN(mu_comm_check_peer(c, c->member[peer], e));
    struct mu_comm_op *op = mu_comm_take(c);
    if (!op)
        return mu_comm_die(w, e, MU_EINTERNAL, "more than %d messages at once in group %s", MU_COMM_POOL_MAX, c->name);
    op->is_send = is_send;
    op->peer = c->member[peer];
    op->context = c->context;
    op->tag = tag;
    op->p = p;
    op->bytes = bytes;
    count_sent(w, op);
    *out = op;
    if (op->peer == w->rank) {
        start_to_self(w, op);
        return MU_OK;
    }
    if ((is_send ? w->ops->start_send : w->ops->start_recv)(w, op, &w->death) == MU_OK)
        return MU_OK;
    op->is_done = true; /* it never began */
    mu_comm_put_back(w, op);
    *out = NULL;
    return mu_comm_end_world(w, e);
}

int mu_comm_post_send(struct mu_comm_op **out, struct mu_comm *c, int to, int tag, const void *p, size_t bytes,
                      struct mu_err *e)
{
    return post(out, c, true, to, tag, (void *)(uintptr_t)p, bytes, e); /* a send's p is only read */
}

int mu_comm_post_recv(struct mu_comm_op **out, struct mu_comm *c, int from, int tag, void *p, size_t bytes,
                      struct mu_err *e)
{
    return post(out, c, false, from, tag, p, bytes, e);
}

/* ---- batches ---- */

static int batch_room(struct mu_comm_batch *b, struct mu_err *e)
{
    if (b->n < MU_COMM_BATCH_MAX)
        return MU_OK;
    b->n = 0;
    return mu_comm_await(b->c, b->ops, MU_COMM_BATCH_MAX, e);
}

int mu_comm_batch_send(struct mu_comm_batch *b, int to, const void *p, size_t bytes, struct mu_err *e)
{
    if (bytes == 0)
        return MU_OK;
    MU_TRY_RETURN(batch_room(b, e));
    MU_TRY_RETURN(
        mu_comm_post_send(&b->ops[b->n], b->c, mu_comm_team_rank(b->team, to), MU_COMM_TAG_COLLECTIVE, p, bytes, e));
    b->n++;
    return MU_OK;
}

int mu_comm_batch_recv(struct mu_comm_batch *b, int from, void *p, size_t bytes, struct mu_err *e)
{
    if (bytes == 0)
        return MU_OK;
    MU_TRY_RETURN(batch_room(b, e));
    MU_TRY_RETURN(
        mu_comm_post_recv(&b->ops[b->n], b->c, mu_comm_team_rank(b->team, from), MU_COMM_TAG_COLLECTIVE, p, bytes, e));
    b->n++;
    return MU_OK;
}

int mu_comm_batch_end(struct mu_comm_batch *b, int rc, struct mu_err *e)
{
    int n = b->n;
    b->n = 0;
    if (rc == MU_OK)
        return mu_comm_await(b->c, b->ops, n, e);
    for (int i = 0; i < n; i++)
        mu_comm_put_back(b->c->world, b->ops[i]);
    return rc;
}
