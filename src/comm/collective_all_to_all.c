/* collective_all_to_all.c - a piece from each to each
 *
 * In rounds: in the i-th a rank gives to the one i further on and gets from the one i before, so that no rank is
 * everybody's target at once. As many rounds run together as a batch holds. */
#include <string.h>

#include "base/check.h"
#include "comm/comm_int.h"

static size_t offset(const size_t *bytes, int r)
{
    size_t at = 0;
    for (int i = 0; i < r; i++)
        at += bytes[i];
    return at;
}

static int by_messages(struct mu_comm *c, const unsigned char *send, const size_t *send_bytes, unsigned char *recv,
                       const size_t *recv_bytes, struct mu_err *e)
{
    struct mu_comm_team team = mu_comm_team_all(c);
    struct mu_comm_batch b = {.c = c, .team = &team};
    int rc = MU_OK;
    for (int i = 1; i < c->size && rc == MU_OK; i++) {
        int to = (c->rank + i) % c->size, from = (c->rank - i + c->size) % c->size;
        rc = mu_comm_batch_recv(&b, from, recv + offset(recv_bytes, from), recv_bytes[from], e);
        if (rc == MU_OK)
            rc = mu_comm_batch_send(&b, to, send + offset(send_bytes, to), send_bytes[to], e);
    }
    if (send_bytes[c->rank] > 0)
        memcpy(recv + offset(recv_bytes, c->rank), send + offset(send_bytes, c->rank), send_bytes[c->rank]);
    return mu_comm_batch_end(&b, rc, e);
}

static int native(struct mu_comm *c, const void *send, const size_t *send_bytes, void *recv, const size_t *recv_bytes,
                  struct mu_err *e)
{
    struct mu_comm_op *op = mu_comm_native_op(c, e);
    if (!op)
        return c->world->death.code;
    MU_TRY_RETURN(mu_comm_native_end(
        c, op, c->world->ops->all_to_all(c, op, send, send_bytes, recv, recv_bytes, &c->world->death), e));
    mu_comm_count(c, offset(send_bytes, c->size) - send_bytes[c->rank],
                  offset(recv_bytes, c->size) - recv_bytes[c->rank]);
    return MU_OK;
}

int mu_comm_in_all_to_all(struct mu_comm *c, const void *send, const size_t *send_bytes, void *recv,
                          const size_t *recv_bytes, struct mu_err *e)
{
    int rc = MU_EUNSUPPORTED;
    if (send_bytes[c->rank] != recv_bytes[c->rank])
        return mu_comm_die(c->world, e, MU_EINTERNAL, "rank %d of group %s sends itself %zu bytes and expects %zu",
                           c->rank, c->name, send_bytes[c->rank], recv_bytes[c->rank]);
    if (c->size > 1 && c->world->ops->all_to_all)
        rc = native(c, send, send_bytes, recv, recv_bytes, e);
    return rc == MU_EUNSUPPORTED ? by_messages(c, send, send_bytes, recv, recv_bytes, e) : rc;
}

int mu_comm_all_to_all(struct mu_comm *c, const void *send, const size_t *send_bytes, void *recv,
                       const size_t *recv_bytes, struct mu_err *e)
{
    MU_TRY_RETURN(mu_comm_begin(c, "all_to_all", e));
    return mu_comm_end(c, mu_comm_in_all_to_all(c, send, send_bytes, recv, recv_bytes, e));
}
