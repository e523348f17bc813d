/* transfer_run.c - one round of the transfer queue: what is done, what is too late, what may start */
#include <string.h>

#include "base/check.h"
#include "comm/transfer_int.h"

static const char *kind_name(enum mu_transfer_kind k)
{
    return k == MU_TRANSFER_COPY ? "copy" : k == MU_TRANSFER_SEND ? "send" : "receive";
}

static bool is_open(const struct mu_transfer_slot *s)
{
    return s->id > 0 && !s->is_done;
}

/* ---- what is done ---- */

static void count_moved(struct mu_transfer_queue *q, struct mu_transfer_slot *s, size_t bytes)
{
    uint64_t *counts[] = {&q->stats.bytes_copied, &q->stats.bytes_sent, &q->stats.bytes_received};
    s->n_moved += bytes;
    *counts[s->t.kind] += bytes;
    if (s->n_moved == s->t.bytes)
        mu_transfer_finish(q, s, NULL);
}

/* The world is dead: everything that needs it fails. */
static void fail_messages(struct mu_transfer_queue *q, const struct mu_err *why)
{
    for (int i = 0; i < q->o.capacity; i++) {
        struct mu_transfer_slot *s = &q->slots[i];
        if (!is_open(s) || s->t.kind == MU_TRANSFER_COPY)
            continue;
        for (int k = 0; k < MU_TRANSFER_OPS; k++) {
            mu_comm_wait(s->ops[k], NULL);
            s->ops[k] = NULL;
        }
        mu_transfer_finish(q, s, why);
    }
}

static int reap_slot(struct mu_transfer_queue *q, struct mu_transfer_slot *s, struct mu_err *e)
{
    for (int k = 0; k < MU_TRANSFER_OPS; k++) {
        struct mu_comm_op *op = s->ops[k];
        if (!op || !op->is_done)
            continue;
        size_t bytes = op->bytes;
        s->ops[k] = NULL;
        MU_TRY_RETURN(mu_comm_wait(op, e));
        count_moved(q, s, bytes);
    }
    return MU_OK;
}

static int reap(struct mu_transfer_queue *q, struct mu_err *e)
{
    if (!q->c)
        return MU_OK;
    MU_TRY_RETURN(mu_comm_look(q->c, e));
    for (int i = 0; i < q->o.capacity; i++)
        if (is_open(&q->slots[i]))
            MU_TRY_RETURN(reap_slot(q, &q->slots[i], e));
    return MU_OK;
}

/* ---- what is too late ---- */

static int expire(struct mu_transfer_queue *q, struct mu_transfer_slot *s, struct mu_err *e)
{
    struct mu_err late = MU_ERR_INIT;
    mu_fail(&late, MU_ETIMEDOUT, "a %s of %zu bytes had moved %zu when its deadline of %.3g s passed",
            kind_name(s->t.kind), s->t.bytes, s->n_moved, (double)(s->deadline_ns - s->submitted_ns) / 1e9);
    if (s->t.kind == MU_TRANSFER_COPY || s->n_started == 0) {
        mu_transfer_finish(q, s, &late);
        return MU_OK;
    }
    char who[MU_COMM_WHO_MAX];
    mu_comm_describe(q->c->world, q->c->member[s->t.peer], who, sizeof who);
    return mu_comm_die(q->c->world, e, MU_ETIMEDOUT, "%s, with %s in group %s", late.text, who, q->c->name);
}

static int expire_late(struct mu_transfer_queue *q, int64_t now, struct mu_err *e)
{
    for (int i = 0; i < q->o.capacity; i++)
        if (is_open(&q->slots[i]) && now >= q->slots[i].deadline_ns)
            MU_TRY_RETURN(expire(q, &q->slots[i], e));
    return MU_OK;
}

/* ---- what may start ---- */

/* Sends on their way that have not stalled. */
static int n_in_flight(const struct mu_transfer_queue *q, int64_t now)
{
    int n = 0;
    for (int i = 0; i < q->o.capacity; i++) {
        const struct mu_transfer_slot *s = &q->slots[i];
        for (int k = 0; is_open(s) && s->t.kind == MU_TRANSFER_SEND && k < MU_TRANSFER_OPS; k++)
            n += s->ops[k] && now - s->op_began_ns[k] < MU_TRANSFER_STALL_NS;
    }
    return n;
}

static bool has_room(const struct mu_transfer_slot *s)
{
    return is_open(s) && s->n_started < s->t.bytes && (!s->ops[0] || !s->ops[1]);
}

/* Messages with one peer and tag follow each other. */
static bool is_next(const struct mu_transfer_queue *q, const struct mu_transfer_slot *s)
{
    for (int i = 0; i < q->o.capacity && s->t.kind != MU_TRANSFER_COPY; i++) {
        const struct mu_transfer_slot *o = &q->slots[i];
        bool is_same = o->t.kind == s->t.kind && o->t.peer == s->t.peer && o->t.tag == s->t.tag;
        if (is_open(o) && is_same && o->id < s->id)
            return false;
    }
    return true;
}

static struct mu_transfer_slot *choose(const struct mu_transfer_queue *q, bool may_send)
{
    struct mu_transfer_slot *best = NULL;
    for (int i = 0; i < q->o.capacity; i++) {
        struct mu_transfer_slot *s = &q->slots[i];
        if (!has_room(s) || s->t.kind == MU_TRANSFER_RECV || (s->t.kind == MU_TRANSFER_SEND && !may_send))
            continue;
        if (best && (s->t.priority < best->t.priority || (s->t.priority == best->t.priority && s->id > best->id)))
            continue;
        if (is_next(q, s))
            best = s;
    }
    return best;
}

static int start_message(struct mu_transfer_queue *q, struct mu_transfer_slot *s, size_t bytes, struct mu_err *e)
{
    int k = s->ops[0] ? 1 : 0, rc;
    if (s->t.kind == MU_TRANSFER_SEND)
        rc = mu_comm_start_send(&s->ops[k], q->c, s->t.peer, s->t.tag, (const char *)s->t.src + s->n_started, bytes, e);
    else
        rc = mu_comm_start_recv(&s->ops[k], q->c, s->t.peer, s->t.tag, (char *)s->t.dst + s->n_started, bytes, e);
    s->op_began_ns[k] = mu_transfer_now(q);
    if (rc == MU_OK)
        s->n_started += bytes;
    return rc == MU_ELIMIT ? MU_OK : rc; /* full of the caller's own messages: later */
}

static size_t next_bytes(const struct mu_transfer_queue *q, const struct mu_transfer_slot *s)
{
    return MU_MIN(q->o.chunk_bytes, s->t.bytes - s->n_started);
}

/* Receives are there before their messages and take no part in cap and window. */
static int start_receives(struct mu_transfer_queue *q, struct mu_err *e)
{
    for (int i = 0; i < q->o.capacity; i++) {
        struct mu_transfer_slot *s = &q->slots[i];
        for (int k = 0; s->t.kind == MU_TRANSFER_RECV && has_room(s) && is_next(q, s) && k < MU_TRANSFER_OPS; k++)
            MU_TRY_RETURN(start_message(q, s, next_bytes(q, s), e));
    }
    return MU_OK;
}

static void copy_chunk(struct mu_transfer_queue *q, struct mu_transfer_slot *s, size_t bytes)
{
    memcpy((char *)s->t.dst + s->n_started, (const char *)s->t.src + s->n_started, bytes);
    s->n_started += bytes;
    count_moved(q, s, bytes);
}

/* One copy a round, and as many sends as the window takes. */
static int start_chunks(struct mu_transfer_queue *q, int64_t now, struct mu_err *e)
{
    bool has_copied = false;
    while (!has_copied && now >= q->open_ns) {
        struct mu_transfer_slot *s = choose(q, n_in_flight(q, now) < q->o.in_flight);
        if (!s)
            break;
        size_t bytes = next_bytes(q, s), before = s->n_started;
        has_copied = s->t.kind == MU_TRANSFER_COPY;
        if (has_copied)
            copy_chunk(q, s, bytes);
        else
            MU_TRY_RETURN(start_message(q, s, bytes, e));
        if (s->n_started == before)
            break;
        if (q->o.bytes_per_s > 0)
            q->open_ns = MU_MAX(q->open_ns, now) + (int64_t)((double)bytes / q->o.bytes_per_s * 1e9);
    }
    return MU_OK;
}

static int round_of(struct mu_transfer_queue *q, struct mu_err *e)
{
    MU_TRY_RETURN(reap(q, e));
    int64_t now = mu_transfer_now(q);
    MU_TRY_RETURN(expire_late(q, now, e));
    MU_TRY_RETURN(start_receives(q, e));
    return start_chunks(q, now, e);
}

int mu_transfer_run(struct mu_transfer_queue *q, struct mu_err *e)
{
    struct mu_err err = MU_ERR_INIT;
    int rc = round_of(q, &err);
    if (rc == MU_OK)
        return MU_OK;
    fail_messages(q, &err);
    start_chunks(q, mu_transfer_now(q), &err); /* copies need no world */
    if (e)
        *e = err;
    return rc;
}
