/* collective_barrier.c - nobody goes on before everybody has come
 *
 * Dissemination (Hensgen, Finkel, Manber 1988): in round k each rank tells the one 2^k further on; after log2(n)
 * rounds everybody has heard of everybody. */
#include "base/check.h"
#include "comm/comm_int.h"

static int tell(struct mu_comm *c, int to, int from, struct mu_err *e)
{
    struct mu_comm_op *ops[2];
    MU_TRY_RETURN(mu_comm_post_recv(&ops[0], c, from, MU_COMM_TAG_COLLECTIVE, NULL, 0, e));
    int rc = mu_comm_post_send(&ops[1], c, to, MU_COMM_TAG_COLLECTIVE, NULL, 0, e);
    if (rc == MU_OK)
        return mu_comm_await(c, ops, 2, e);
    mu_comm_put_back(c->world, ops[0]);
    return rc;
}

static int by_messages(struct mu_comm *c, struct mu_err *e)
{
    for (int step = 1; step < c->size; step *= 2)
        MU_TRY_RETURN(tell(c, (c->rank + step) % c->size, (c->rank - step + c->size) % c->size, e));
    return MU_OK;
}

static int native(struct mu_comm *c, struct mu_err *e)
{
    struct mu_comm_op *op = mu_comm_native_op(c, e);
    return op ? mu_comm_native_end(c, op, c->world->ops->barrier(c, op, &c->world->death), e) : c->world->death.code;
}

int mu_comm_in_barrier(struct mu_comm *c, struct mu_err *e)
{
    if (c->size == 1)
        return MU_OK;
    int rc = c->world->ops->barrier ? native(c, e) : MU_EUNSUPPORTED;
    return rc == MU_EUNSUPPORTED ? by_messages(c, e) : rc;
}

int mu_comm_barrier(struct mu_comm *c, struct mu_err *e)
{
    MU_TRY_RETURN(mu_comm_begin(c, "barrier", e));
    return mu_comm_end(c, mu_comm_in_barrier(c, e));
}
