/* call.c - what every call has: a number, a deadline, a look at who is lost, and an end for all when one fails */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "comm/comm_int.h"

/* ---- failures ---- */

static int dead(const struct mu_comm_world *w, struct mu_err *e)
{
    if (e)
        *e = w->death;
    return w->death.code;
}

/* w->death is filled in; peers hear of it. */
int mu_comm_end_world(struct mu_comm_world *w, struct mu_err *e)
{
    mu_comm_withdraw_all(w);
    w->ops->abort(w, w->death.text);
    return dead(w, e);
}

int mu_comm_die(struct mu_comm_world *w, struct mu_err *e, int code, const char *fmt, ...)
{
    char text[MU_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mu_fail(&w->death, code, "%s", text);
    return mu_comm_end_world(w, e);
}

/* The deadline has passed and op is not done. */
static int too_late(struct mu_comm *c, const struct mu_comm_op *op, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    char who[MU_COMM_WHO_MAX] = "another rank";
    if (!op->is_native)
        mu_comm_describe(w, op->peer, who, sizeof who);
    return mu_comm_die(w, e, MU_ETIMEDOUT, "%s did not answer for %.3g s while group %s ran %s, call %" PRIu64, who,
                       (double)w->timeout_ns / 1e9, c->name, w->call, w->number);
}

/* ---- begin and end ---- */

int mu_comm_begin_message(struct mu_comm *c, const char *call, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    if (w->death.code)
        return dead(w, e);
    w->call = call;
    w->number = ++c->n_calls;
    w->counts.calls++;
    w->began_ns = mu_now_ns(w->clock);
    w->deadline_ns = w->began_ns + w->timeout_ns;
    if (w->ops->on_call && w->ops->on_call(w, w->counts.calls, &w->death) != MU_OK)
        return mu_comm_end_world(w, e);
    return mu_comm_look_for_lost(c, e);
}

int mu_comm_begin(struct mu_comm *c, const char *call, struct mu_err *e)
{
    MU_TRY_RETURN(mu_comm_begin_message(c, call, e));
    return mu_comm_check_members(c, e);
}

int mu_comm_end(struct mu_comm *c, int rc)
{
    struct mu_comm_world *w = c->world;
    w->counts.wait_ns += mu_now_ns(w->clock) - w->began_ns;
    return rc;
}

/* ---- waiting ---- */

int mu_comm_look(struct mu_comm *c, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    if (w->death.code)
        return dead(w, e);
    if (w->ops->progress(w, 0, &w->death) != MU_OK)
        return mu_comm_end_world(w, e);
    return mu_comm_look_for_lost(c, e);
}

/* Of a collective: it needs all, so it ends for all, also where only ranks that live are waited for. */
static bool needs_all(const struct mu_comm_op *op)
{
    return op->is_native || op->tag == MU_COMM_TAG_COLLECTIVE;
}

/* One turn of waiting for op. */
static int turn(struct mu_comm *c, const struct mu_comm_op *op, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    if (mu_comm_is_to_self(w, op))
        return mu_comm_die(w, e, MU_EINTERNAL,
                           "rank %d waits for itself in group %s: a %s to itself needs the other side started first",
                           c->rank, c->name, op->call);
    MU_TRY_RETURN(mu_comm_look_for_lost(c, e));
    if (op->is_done)
        return MU_OK; /* its peer is lost */
    if (needs_all(op))
        MU_TRY_RETURN(mu_comm_check_members(c, e));
    int64_t now = mu_now_ns(w->clock);
    if (now >= w->deadline_ns)
        return too_late(c, op, e);
    if (w->ops->progress(w, w->deadline_ns - now, &w->death) != MU_OK)
        return mu_comm_end_world(w, e);
    return MU_OK;
}

static int finish(struct mu_comm *c, const struct mu_comm_op *op, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    char who[MU_COMM_WHO_MAX];
    if (op->is_lost)
        return op->is_native ? mu_comm_check_members(c, e) : mu_comm_check_peer(c, op->peer, e);
    if (op->is_send || op->is_native)
        return MU_OK;
    w->counts.bytes_received += op->got;
    if (op->got == op->bytes)
        return MU_OK;
    mu_comm_describe(w, op->peer, who, sizeof who);
    return mu_comm_die(w, e, MU_EINTERNAL, "%s sent %zu bytes where %zu were expected, in group %s, %s, call %" PRIu64,
                       who, op->got, op->bytes, c->name, op->call, op->number);
}

int mu_comm_await(struct mu_comm *c, struct mu_comm_op **ops, int n, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    int rc = w->death.code ? dead(w, e) : MU_OK;
    for (int i = 0; i < n && rc == MU_OK; i++) {
        while (rc == MU_OK && !ops[i]->is_done)
            rc = turn(c, ops[i], e);
        if (rc == MU_OK)
            rc = finish(c, ops[i], e);
    }
    for (int i = 0; i < n; i++)
        mu_comm_put_back(w, ops[i]);
    return rc;
}

/* ---- collectives of the transport's own ---- */

struct mu_comm_op *mu_comm_native_op(struct mu_comm *c, struct mu_err *e)
{
    struct mu_comm_op *op = mu_comm_take(c);
    if (op)
        op->is_native = true;
    else
        mu_comm_die(c->world, e, MU_EINTERNAL, "more than %d messages at once in group %s", MU_COMM_POOL_MAX, c->name);
    return op;
}

int mu_comm_native_end(struct mu_comm *c, struct mu_comm_op *op, int rc, struct mu_err *e)
{
    if (rc == MU_OK)
        return mu_comm_await(c, &op, 1, e);
    op->is_done = true; /* it never began */
    mu_comm_put_back(c->world, op);
    if (rc != MU_EUNSUPPORTED)
        return mu_comm_end_world(c->world, e);
    c->world->death.code = MU_OK;
    return rc;
}

void mu_comm_count(struct mu_comm *c, size_t sent, size_t received)
{
    c->world->counts.bytes_sent += sent;
    c->world->counts.bytes_received += received;
}
