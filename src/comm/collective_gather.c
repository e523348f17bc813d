/* collective_gather.c - every rank's piece on one: each sends it there */
#include <string.h>

#include "base/check.h"
#include "comm/comm_int.h"

static int collect(struct mu_comm *c, unsigned char *all, const void *own, const size_t *bytes, struct mu_err *e)
{
    struct mu_comm_team team = mu_comm_team_all(c);
    struct mu_comm_batch b = {.c = c, .team = &team};
    int rc = MU_OK;
    for (int r = 0; r < c->size && rc == MU_OK; all += bytes[r++]) {
        if (r != c->rank)
            rc = mu_comm_batch_recv(&b, r, all, bytes[r], e);
        else if (own != all && bytes[r] > 0)
            memcpy(all, own, bytes[r]);
    }
    return mu_comm_batch_end(&b, rc, e);
}

static int by_messages(struct mu_comm *c, void *all, const void *own, const size_t *bytes, int root, struct mu_err *e)
{
    struct mu_comm_team team = mu_comm_team_all(c);
    struct mu_comm_batch b = {.c = c, .team = &team};
    if (c->rank == root)
        return collect(c, all, own, bytes, e);
    int rc = mu_comm_batch_send(&b, root, own, bytes[c->rank], e);
    return mu_comm_batch_end(&b, rc, e);
}

static int native(struct mu_comm *c, void *all, const void *own, const size_t *bytes, int root, struct mu_err *e)
{
    struct mu_comm_op *op = mu_comm_native_op(c, e);
    size_t others = 0;
    if (!op)
        return c->world->death.code;
    MU_TRY_RETURN(mu_comm_native_end(c, op, c->world->ops->gather(c, op, all, own, bytes, root, &c->world->death), e));
    for (int r = 0; r < c->size; r++)
        others += r == root ? 0 : bytes[r];
    mu_comm_count(c, c->rank == root ? 0 : bytes[c->rank], c->rank == root ? others : 0);
    return MU_OK;
}

static int gather(struct mu_comm *c, void *all, const void *own, const size_t *bytes, int root, struct mu_err *e)
{
    int rc = c->size > 1 && c->world->ops->gather ? native(c, all, own, bytes, root, e) : MU_EUNSUPPORTED;
    return rc == MU_EUNSUPPORTED ? by_messages(c, all, own, bytes, root, e) : rc;
}

int mu_comm_gather(struct mu_comm *c, void *all, const void *own, const size_t *bytes, int root, struct mu_err *e)
{
    if (root < 0 || root >= c->size)
        return mu_fail(e, MU_EINVAL, "rank %d: group %s has ranks 0 to %d", root, c->name, c->size - 1);
    MU_TRY_RETURN(mu_comm_begin(c, "gather", e));
    return mu_comm_end(c, gather(c, all, own, bytes, root, e));
}
