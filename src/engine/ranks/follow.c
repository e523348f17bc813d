/* follow.c - a follower's side: what the messages say, until the driver ends it */
#include <inttypes.h>

#include "base/check.h"
#include "engine/ranks/runner_ranks_int.h"

#define AWAIT_NS 1000000000ll /* of one look; an idle driver says nothing for as long as it likes */

static int next_message(struct mu_ranks_runner *r, struct mu_step_view *v, struct mu_err *e)
{
    bool is_there = false;
    size_t bytes = 0, most = mu_step_bytes_max(&r->limits);
    while (!is_there)
        MU_TRY_RETURN(mu_rank_await(r->rank.replica, 0, MU_TAG_STEP, AWAIT_NS, &is_there, NULL, &bytes, e));
    if (bytes > most)
        return mu_fail(e, MU_EFORMAT, "a step message of %zu bytes, at most %zu are possible", bytes, most);
    MU_TRY_RETURN(mu_comm_recv(r->rank.replica, 0, MU_TAG_STEP, r->message, bytes, e));
    MU_TRY_RETURN(mu_step_read(v, r->message, bytes, &r->limits, e));
    if (v->head.number <= r->number)
        return mu_fail(e, MU_EFORMAT, "step message %" PRIu64 " came after %" PRIu64, v->head.number, r->number);
    r->number = v->head.number;
    return MU_OK;
}

/* Overflow is agreed upon or the same on all ranks: the driver's batcher sees to it. */
static int follow_step(struct mu_ranks_runner *r, const struct mu_step_view *v, struct mu_err *e)
{
    struct mu_rows rows = {v->head.n, v->pos, v->seq, r->table, r->limits.pages_max};
    mu_step_apply(v, &r->limits, r->table, r->own_lengths);
    int rc = mu_rank_step(&r->rank, v->ids, &rows, v->head.n_micro, e);
    return rc == MU_ENUMERIC ? MU_OK : rc;
}

static int follow_one(struct mu_ranks_runner *r, const struct mu_step_view *v, struct mu_err *e)
{
    struct mu_rank *k = &r->rank;
    struct mu_runner_experts x;
    struct mu_rank_figures f;
    switch (v->head.kind) {
    case MU_STEP_ROWS:
        return follow_step(r, v, e);
    case MU_STEP_LOGITS:
        return k->lane == 0 && k->n_stages == 1
                   ? k->local->ops->logits(k->local, v->idx, v->head.n, &(const float *){NULL}, r->argmax, r->lse, e)
                   : mu_rank_send_logits(k, v->idx, v->head.n, r->argmax, r->lse, e);
    case MU_STEP_COPY:
        return k->local->ops->copy_page(k->local, 0, v->head.dst, v->head.src, e);
    case MU_STEP_KEEP:
        return k->local->ops->keep_pages ? k->local->ops->keep_pages(k->local, 0, v->head.n, e) : MU_OK;
    case MU_STEP_EXPERTS:
        return mu_rank_gather_experts(k, &x, e);
    default:
        f = mu_rank_own_figures();
        return mu_comm_send(k->replica, 0, MU_TAG_FIGURES, &f, sizeof f, e);
    }
}

int mu_ranks_follow(struct mu_runner *base, struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    struct mu_err err = MU_ERR_INIT;
    for (;;) {
        struct mu_step_view v;
        int rc = next_message(r, &v, &err);
        if (rc == MU_OK && v.head.kind == MU_STEP_END)
            return MU_OK;
        if (rc == MU_OK)
            rc = follow_one(r, &v, &err);
        if (rc != MU_OK) {
            if (e)
                *e = err;
            return mu_rank_fatal(&r->rank, rc, &err);
        }
    }
}
