/* replica_serve.c - the driver of another replica: requests in, steps, results out */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/ranks/mailbox.h"
#include "engine/ranks/rank.h"
#include "engine/ranks/replicas.h"
#include "engine/ranks/request_message.h"
#include "engine/ranks/seat.h"

#define AWAIT_NS      1000000000ll /* of one look: an idle queue says nothing for as long as it likes */
#define FULL_AWAIT_NS 10000000ll   /* of one look while rank 0 takes nothing */

struct serving {
    const struct mu_replica_opts *o;
    struct mu_mailbox box;
    struct mu_buf received, message;
    int n_in_flight;
    bool is_ended;
    struct mu_err failed; /* of an event on its way out */
};

static int answer(struct serving *s, struct mu_err *e)
{
    return mu_mailbox_post(&s->box, s->o->world, 0, MU_TAG_FROM_REPLICA, &s->message, e);
}

/* Inside a step: a failure ends the request here and the replica after it. */
static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct serving *s = arg;
    int rc = mu_event_write(&s->message, ev, &s->failed);
    if (rc == MU_OK)
        rc = answer(s, &s->failed);
    s->failed.code = rc;
    return rc != MU_OK;
}

static int take_request(struct serving *s, uint64_t id, struct mu_err *e)
{
    struct mu_request_view v;
    struct mu_err why = MU_ERR_INIT;
    struct mu_engine_status st;
    MU_TRY_RETURN(mu_request_read(&v, s->received.p, s->received.n, e));
    v.req.on_token = v.is_streaming ? on_token : NULL;
    v.req.on_token_arg = s;
    int rc = mu_light_submit_as(s->o->local, &v.req, id, &why);
    if (rc == MU_OK) {
        s->n_in_flight++;
        return MU_OK;
    }
    mu_light_status(s->o->local, &st);
    MU_TRY_RETURN(mu_refusal_write(&s->message, id, &why, &st, e));
    return answer(s, e);
}

static int tell_peaks(struct serving *s, struct mu_err *e)
{
    uint64_t peak[MU_REPLICA_RANKS_MAX];
    MU_TRY_RETURN(s->o->peaks(s->o->arg, peak, e));
    MU_TRY_RETURN(mu_mail_write_head(&s->message, MU_MAIL_PEAKS_ARE, 0, e));
    MU_TRY_RETURN(mu_buf_add(&s->message, peak, (size_t)s->o->ranks * sizeof *peak, e));
    return answer(s, e);
}

static int take_message(struct serving *s, size_t bytes, struct mu_err *e)
{
    struct mu_mail_head h;
    size_t freed;
    mu_buf_clear(&s->received);
    MU_TRY_RETURN(mu_buf_reserve(&s->received, bytes, e));
    MU_TRY_RETURN(mu_comm_recv(s->o->world, 0, MU_TAG_TO_REPLICA, s->received.p, bytes, e));
    s->received.n = bytes;
    MU_TRY_RETURN(mu_mail_read_head(&h, s->received.p, bytes, e));
    switch (h.kind) {
    case MU_MAIL_REQUEST:
        return take_request(s, h.id, e);
    case MU_MAIL_CANCEL:
        mu_light_cancel(s->o->local, h.id, NULL); /* done by now is fine */
        return MU_OK;
    case MU_MAIL_DROP_CACHED:
        return mu_light_optimize_memory(s->o->local, &freed, e);
    case MU_MAIL_PEAKS:
        return tell_peaks(s, e);
    case MU_MAIL_END:
        s->is_ended = true;
        return MU_OK;
    default:
        return mu_fail(e, MU_EFORMAT, "rank 0 sent a message of kind %u to a replica", h.kind);
    }
}

static int take_messages(struct serving *s, int64_t wait_ns, struct mu_err *e)
{
    bool is_there = true;
    for (; is_there && !s->is_ended; wait_ns = 0) {
        size_t bytes;
        MU_TRY_RETURN(mu_rank_await(s->o->world, 0, MU_TAG_TO_REPLICA, wait_ns, &is_there, NULL, &bytes, e));
        if (is_there)
            MU_TRY_RETURN(take_message(s, bytes, e));
    }
    return MU_OK;
}

static int run(struct serving *s, struct mu_err *e)
{
    struct mu_engine_status st;
    struct mu_result *r = NULL;
    struct mu_err late = MU_ERR_INIT;
    int rc = mu_light_poll(s->o->local, &r, 0, &late);
    if (s->failed.code != MU_OK || (rc != MU_OK && rc != MU_ETIMEDOUT)) {
        mu_result_free(r);
        return s->failed.code != MU_OK ? mu_fail(e, s->failed.code, "%s", s->failed.text)
                                       : mu_fail(e, rc, "%s", late.text);
    }
    if (!r)
        return MU_OK;
    s->n_in_flight--;
    mu_light_status(s->o->local, &st);
    rc = mu_result_write(&s->message, r, &st, e);
    mu_result_free(r);
    return rc == MU_OK ? answer(s, e) : rc;
}

static int64_t wait_of(const struct serving *s)
{
    if (mu_mailbox_is_filling(&s->box))
        return FULL_AWAIT_NS;
    if (s->n_in_flight > 0)
        return 0;
    return s->box.n > 0 ? FULL_AWAIT_NS : AWAIT_NS;
}

static int serve(struct serving *s, struct mu_err *e)
{
    while (!s->is_ended) {
        MU_TRY_RETURN(mu_mailbox_look(&s->box, e));
        MU_TRY_RETURN(take_messages(s, wait_of(s), e));
        if (s->n_in_flight > 0 && !mu_mailbox_is_filling(&s->box))
            MU_TRY_RETURN(run(s, e));
    }
    return MU_OK;
}

int mu_replica_serve(const struct mu_replica_opts *o, struct mu_err *e)
{
    struct serving *s = NULL;
    struct mu_err err = MU_ERR_INIT;
    int rc;
    MU_TRY(MU_NEW(&s, "a replica's messages", &err));
    s->o = o;
    s->received = (struct mu_buf)MU_BUF_INIT("a message to a replica", MU_REQUEST_MESSAGE_MAX);
    s->message = (struct mu_buf)MU_BUF_INIT("a message from a replica", MU_REQUEST_MESSAGE_MAX);
    MU_TRY(serve(s, &err));
out:
    if (rc != MU_OK)
        mu_comm_abort(o->world, err.text);
    if (rc != MU_OK && e)
        *e = err;
    if (s) {
        mu_mailbox_flush(&s->box, NULL);
        mu_buf_fini(&s->received);
        mu_buf_fini(&s->message);
    }
    mu_free(s);
    return rc;
}
