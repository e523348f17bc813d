/* fake_messages.c - messages between threads: boxes, slots, copies (fake_int.h) */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "comm/fake/fake_int.h"

#define LOOK_NS 1000000ll /* how often a clock is looked at that moves by itself only when a test says so */

static struct mu_fake_rank *rank_of(struct mu_comm_world *w)
{
    return (struct mu_fake_rank *)w;
}

void mu_fake_wait(struct mu_fake_rank *r, int64_t at_ns)
{
    struct timespec t;
    if (r->world->clock != mu_clock_real())
        at_ns = mu_now_ns(mu_clock_real()) + LOOK_NS;
    t.tv_sec = at_ns / 1000000000;
    t.tv_nsec = at_ns % 1000000000;
    pthread_cond_timedwait(&r->wake, &r->world->lock, &t);
}

/* ---- lists ---- */

static void append(struct mu_fake_envelope **list, struct mu_fake_envelope *m)
{
    while (*list)
        list = &(*list)->next;
    m->next = NULL;
    *list = m;
}

static void take_out(struct mu_fake_envelope **list, const struct mu_fake_envelope *m)
{
    while (*list && *list != m)
        list = &(*list)->next;
    if (*list)
        *list = m->next;
}

static void append_op(struct mu_comm_op **list, struct mu_comm_op *op)
{
    while (*list)
        list = &(*list)->next;
    op->next = NULL;
    *list = op;
}

static void take_out_op(struct mu_comm_op **list, const struct mu_comm_op *op)
{
    while (*list && *list != op)
        list = &(*list)->next;
    if (*list)
        *list = op->next;
}

/* ---- sending ---- */

static int64_t ready_ns(const struct mu_fake_world *f, size_t bytes)
{
    double wire_ns = f->o.bytes_per_s > 0 ? (double)bytes / f->o.bytes_per_s * 1e9 : 0;
    if (f->o.latency_ns == 0 && wire_ns == 0)
        return 0;
    return mu_now_ns(f->clock) + f->o.latency_ns + (int64_t)wire_ns;
}

static bool has_waiting(const struct mu_fake_rank *r, int peer)
{
    for (const struct mu_comm_op *op = r->sends; op; op = op->next)
        if (op->peer == peer && r->own[op->index].state == MU_FAKE_WAITING)
            return true;
    return false;
}

/* The envelope of a send: in a slot of the receiver, or the sender's own. What lies in a slot outlives its sender, so
 * it must not come after what does not: a rank that dies leaves the first of its messages, never a later one alone. */
static struct mu_fake_envelope *seal(struct mu_fake_rank *r, struct mu_fake_rank *to, struct mu_comm_op *op)
{
    bool fits = op->bytes <= MU_FAKE_SLOT_BYTES && !has_waiting(r, op->peer);
    struct mu_fake_envelope *m = fits ? to->free : NULL;
    if (m) {
        struct mu_fake_slot *slot = (struct mu_fake_slot *)m;
        to->free = m->next;
        if (op->bytes > 0)
            memcpy(slot->bytes, op->p, op->bytes);
        op->is_done = true;
        *m = (struct mu_fake_envelope){.p = slot->bytes};
    } else {
        m = &r->own[op->index];
        *m = (struct mu_fake_envelope){.p = op->p, .sender = r, .state = MU_FAKE_WAITING};
        append_op(&r->sends, op);
    }
    return m;
}

int mu_fake_start_send(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e)
{
    struct mu_fake_rank *r = rank_of(w), *to = &r->world->ranks[op->peer];
    (void)e;
    pthread_mutex_lock(&r->world->lock);
    if (r->fault == MU_FAKE_CUT || to->fault == MU_FAKE_CUT) {
        op->is_done = op->bytes <= MU_FAKE_SLOT_BYTES; /* as far as the sender can see; a long one waits in vain */
        r->own[op->index].state = MU_FAKE_IDLE;
        if (!op->is_done)
            append_op(&r->sends, op);
    } else {
        struct mu_fake_envelope *m = seal(r, to, op);
        m->from = w->rank;
        m->context = op->context;
        m->tag = op->tag;
        m->bytes = op->bytes;
        m->ready_ns = ready_ns(r->world, op->bytes);
        append(&to->box, m);
        pthread_cond_signal(&to->wake);
    }
    pthread_mutex_unlock(&r->world->lock);
    return MU_OK;
}

/* ---- receiving ---- */

int mu_fake_start_recv(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e)
{
    (void)e;
    append_op(&rank_of(w)->recvs, op);
    return MU_OK;
}

/* The oldest message for (from, context, tag), if it has arrived. */
static struct mu_fake_envelope *find(const struct mu_fake_rank *r, int from, int context, int tag)
{
    struct mu_fake_envelope *m = r->box;
    while (m && !((from < 0 || m->from == from) && m->context == context && m->tag == tag))
        m = m->next;
    if (m && m->ready_ns > 0 && m->ready_ns > mu_now_ns(r->world->clock))
        return NULL;
    return m;
}

static void copy(struct mu_fake_rank *r, struct mu_fake_envelope *m, struct mu_comm_op *op)
{
    struct mu_fake_rank *sender = m->sender;
    size_t n = MU_MIN(m->bytes, op->bytes);
    take_out(&r->box, m);
    op->got = m->bytes;
    if (!sender) {
        if (n > 0)
            memcpy(op->p, m->p, n);
        m->next = r->free;
        r->free = m;
        return;
    }
    m->state = MU_FAKE_COPYING;
    pthread_mutex_unlock(&r->world->lock);
    if (n > 0)
        memcpy(op->p, m->p, n);
    pthread_mutex_lock(&r->world->lock);
    m->state = MU_FAKE_DONE;
    pthread_cond_signal(&sender->wake);
}

/* Whether no older receive waits for the same messages: one that came while the lock was given up is that one's. */
static bool is_first(const struct mu_fake_rank *r, const struct mu_comm_op *op)
{
    const struct mu_comm_op *o = r->recvs;
    while (o != op && (o->peer != op->peer || o->context != op->context || o->tag != op->tag))
        o = o->next;
    return o == op;
}

static int receive_all(struct mu_fake_rank *r)
{
    int n = 0;
    struct mu_comm_op *next = NULL;
    for (struct mu_comm_op *op = r->fault == MU_FAKE_CUT ? NULL : r->recvs; op; op = next) {
        next = op->next;
        struct mu_fake_envelope *m = is_first(r, op) ? find(r, op->peer, op->context, op->tag) : NULL;
        if (!m)
            continue;
        take_out_op(&r->recvs, op);
        copy(r, m, op);
        op->is_done = true;
        n++;
    }
    return n;
}

static int reap_sends(struct mu_fake_rank *r)
{
    int n = 0;
    struct mu_comm_op *next = NULL;
    for (struct mu_comm_op *op = r->sends; op; op = next) {
        next = op->next;
        if (r->own[op->index].state != MU_FAKE_DONE)
            continue;
        take_out_op(&r->sends, op);
        op->is_done = true;
        n++;
    }
    return n;
}

/* When there may be something to do without a wake: a message arrives, a loss is noticed. */
static int64_t next_event(const struct mu_fake_rank *r)
{
    int64_t at = mu_fake_next_notice(r), now = mu_now_ns(r->world->clock);
    for (const struct mu_fake_envelope *m = r->box; m; m = m->next)
        if (m->ready_ns > now)
            at = MU_MIN(at, m->ready_ns);
    return at;
}

int mu_fake_progress(struct mu_comm_world *w, int64_t wait_ns, struct mu_err *e)
{
    struct mu_fake_rank *r = rank_of(w);
    (void)e;
    pthread_mutex_lock(&r->world->lock);
    int n = receive_all(r) + reap_sends(r);
    if (n == 0 && wait_ns > 0) {
        int64_t event = next_event(r), end = mu_now_ns(r->world->clock) + wait_ns;
        mu_fake_wait(r, MU_MIN(event, end));
        receive_all(r);
        reap_sends(r);
    }
    pthread_mutex_unlock(&r->world->lock);
    return MU_OK;
}

void mu_fake_cancel(struct mu_comm_world *w, struct mu_comm_op *op)
{
    struct mu_fake_rank *r = rank_of(w);
    struct mu_fake_envelope *m = &r->own[op->index];
    pthread_mutex_lock(&r->world->lock);
    if (op->is_send) {
        while (m->state == MU_FAKE_COPYING)
            mu_fake_wait(r, mu_now_ns(mu_clock_real()) + LOOK_NS);
        if (m->state == MU_FAKE_WAITING)
            take_out(&r->world->ranks[op->peer].box, m);
        m->state = MU_FAKE_IDLE;
    }
    take_out_op(op->is_send ? &r->sends : &r->recvs, op);
    pthread_mutex_unlock(&r->world->lock);
}

int mu_fake_probe(struct mu_comm_world *w, int from, int context, int tag, bool *found, int *sender, size_t *bytes,
                  struct mu_err *e)
{
    struct mu_fake_rank *r = rank_of(w);
    (void)e;
    pthread_mutex_lock(&r->world->lock);
    const struct mu_fake_envelope *m = r->fault == MU_FAKE_CUT ? NULL : find(r, from, context, tag);
    *found = m != NULL;
    if (m) {
        *sender = m->from;
        *bytes = m->bytes;
    }
    pthread_mutex_unlock(&r->world->lock);
    return MU_OK;
}
