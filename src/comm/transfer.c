/* transfer.c - the transfer queue: what is submitted, waited for and counted (transfer.h) */
#include "comm/transfer.h"

#include <inttypes.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/transfer_int.h"

#define CAPACITY 64
#define TURN_NS  1000000ll /* the longest sleep of a wait: deadlines and the cap are looked at again */

int mu_transfer_open(struct mu_transfer_queue **out, struct mu_comm *c, const struct mu_transfer_opts *o,
                     struct mu_err *e)
{
    struct mu_transfer_queue *q = NULL;
    struct mu_transfer_opts f = o ? *o : (struct mu_transfer_opts){0};
    int rc = MU_OK;
    *out = NULL;
    f.capacity = f.capacity > 0 ? f.capacity : CAPACITY;
    f.chunk_bytes = f.chunk_bytes > 0 ? f.chunk_bytes : MU_TRANSFER_CHUNK_BYTES;
    f.in_flight = f.in_flight > 0 ? f.in_flight : MU_TRANSFER_IN_FLIGHT;
    f.timeout_ns = f.timeout_ns > 0 ? f.timeout_ns : MU_COMM_TIMEOUT_NS;
    f.clock = f.clock ? f.clock : mu_clock_real();
    if (f.capacity > MU_TRANSFERS_MAX)
        return mu_fail(e, MU_ELIMIT, "a queue of %d transfers: at most %d", f.capacity, MU_TRANSFERS_MAX);
    MU_TRY(MU_NEW(&q, "a transfer queue", e));
    MU_TRY(MU_NEW_ARRAY(&q->slots, f.capacity, "a transfer queue", e));
    q->c = c;
    q->o = f;
    *out = q;
    return MU_OK;
out:
    mu_free(q);
    return rc;
}

static bool is_moving(const struct mu_transfer_slot *s)
{
    return s->id > 0 && (s->ops[0] || s->ops[1]);
}

void mu_transfer_close(struct mu_transfer_queue *q)
{
    if (!q)
        return;
    for (int i = 0; i < q->o.capacity; i++) {
        struct mu_transfer_slot *s = &q->slots[i];
        if (!is_moving(s))
            continue;
        mu_comm_abort(q->c, "a transfer queue was closed while messages were on their way");
        for (int k = 0; k < MU_TRANSFER_OPS; k++)
            mu_comm_wait(s->ops[k], NULL);
    }
    mu_free(q->slots);
    mu_free(q);
}

static int check(const struct mu_transfer_queue *q, const struct mu_transfer *t, struct mu_err *e)
{
    if (t->kind == MU_TRANSFER_COPY)
        return MU_OK;
    if (!q->c)
        return mu_fail(e, MU_EINVAL, "a message in a transfer queue without a group");
    if (t->peer < 0 || t->peer >= q->c->size || t->peer == q->c->rank)
        return mu_fail(e, MU_EINVAL, "a transfer with rank %d: group %s has ranks 0 to %d, and this is %d", t->peer,
                       q->c->name, q->c->size - 1, q->c->rank);
    if (t->tag < 0 || t->tag > MU_COMM_TAG_MAX)
        return mu_fail(e, MU_EINVAL, "tag %d: tags lie in 0 to %d", t->tag, MU_COMM_TAG_MAX);
    return MU_OK;
}

int mu_transfer_submit(struct mu_transfer_queue *q, const struct mu_transfer *t, uint64_t *id, struct mu_err *e)
{
    struct mu_transfer_slot *s = q->slots, *end = q->slots + q->o.capacity;
    int64_t now = mu_transfer_now(q);
    MU_TRY_RETURN(check(q, t, e));
    while (s < end && s->id > 0)
        s++;
    if (s == end)
        return mu_fail(e, MU_ELIMIT, "the transfer queue holds %d: wait for one before the next", q->o.capacity);
    *s = (struct mu_transfer_slot){.t = *t, .id = ++q->last_id, .submitted_ns = now};
    int64_t timeout_ns = t->timeout_ns > 0 ? t->timeout_ns : q->o.timeout_ns;
    s->deadline_ns = now + MU_MIN(timeout_ns, INT64_MAX / 4);
    if (q->n_unfinished++ == 0)
        q->busy_since_ns = now;
    q->stats.submitted++;
    *id = s->id;
    if (t->bytes == 0)
        mu_transfer_finish(q, s, NULL);
    return MU_OK;
}

void mu_transfer_finish(struct mu_transfer_queue *q, struct mu_transfer_slot *s, const struct mu_err *err)
{
    int64_t now = mu_transfer_now(q), latency = now - s->submitted_ns;
    s->is_done = true;
    if (--q->n_unfinished == 0)
        q->stats.busy_ns += now - q->busy_since_ns;
    if (err) {
        s->err = *err;
        q->stats.failed++;
        return;
    }
    q->stats.done++;
    q->stats.latency_sum_ns += latency;
    q->stats.latency_max_ns = MU_MAX(q->stats.latency_max_ns, latency);
}

static struct mu_transfer_slot *find(const struct mu_transfer_queue *q, uint64_t id)
{
    for (int i = 0; i < q->o.capacity; i++)
        if (id > 0 && q->slots[i].id == id)
            return &q->slots[i];
    return NULL;
}

bool mu_transfer_is_done(const struct mu_transfer_queue *q, uint64_t id)
{
    const struct mu_transfer_slot *s = find(q, id);
    return !s || s->is_done;
}

/* Only what passes while something is unfinished counts as blocked. */
static void count_blocked(struct mu_transfer_queue *q, int64_t since_ns, bool was_busy)
{
    if (was_busy)
        q->stats.blocked_ns += mu_transfer_now(q) - since_ns;
}

int mu_transfer_progress(struct mu_transfer_queue *q, struct mu_err *e)
{
    int64_t began = mu_transfer_now(q);
    bool was_busy = q->n_unfinished > 0;
    int rc = was_busy ? mu_transfer_run(q, e) : MU_OK;
    count_blocked(q, began, was_busy);
    return rc;
}

/* Until something may have changed. */
static void rest(struct mu_transfer_queue *q)
{
    if (q->c && !q->c->world->death.code) {
        q->c->world->ops->progress(q->c->world, TURN_NS, NULL); /* a failure is met again by the next round */
        return;
    }
    nanosleep(&(struct timespec){.tv_nsec = TURN_NS / 20}, NULL);
}

static uint64_t bytes_moved(const struct mu_transfer_queue *q)
{
    return q->stats.bytes_copied + q->stats.bytes_sent + q->stats.bytes_received;
}

static void wait_for(struct mu_transfer_queue *q, const struct mu_transfer_slot *s)
{
    while (!s->is_done) {
        uint64_t before = bytes_moved(q);
        mu_transfer_run(q, NULL); /* its failure is the transfer's too */
        if (!s->is_done && bytes_moved(q) == before)
            rest(q);
    }
}

int mu_transfer_wait(struct mu_transfer_queue *q, uint64_t id, struct mu_err *e)
{
    struct mu_transfer_slot *s = find(q, id);
    int64_t began = mu_transfer_now(q);
    if (!s)
        return mu_fail(e, MU_EINVAL, "transfer %" PRIu64 " is unknown or was waited for already", id);
    bool was_busy = !s->is_done;
    wait_for(q, s);
    count_blocked(q, began, was_busy);
    if (s->err.code && e)
        *e = s->err;
    s->id = 0;
    return s->err.code;
}

void mu_transfer_stats(const struct mu_transfer_queue *q, struct mu_transfer_stats *out)
{
    *out = q->stats;
    if (q->n_unfinished > 0)
        out->busy_ns += mu_transfer_now(q) - q->busy_since_ns;
    if (out->busy_ns <= 0)
        return;
    out->bytes_per_s = (double)bytes_moved(q) * 1e9 / (double)out->busy_ns;
    out->overlap = MU_MAX(0.0, 1 - (double)out->blocked_ns / (double)out->busy_ns);
}
