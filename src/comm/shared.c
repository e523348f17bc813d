/* shared.c - one block of memory that the ranks of a node see */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/comm_int.h"

static int open_block(struct mu_comm_shared *s, struct mu_comm *c, struct mu_err *e)
{
    if (c->size > 1)
        return c->world->ops->shared_open(c, s->bytes, &s->p, &s->own, e);
    return mu_new_array(&s->p, 1, s->bytes, "shared memory", e);
}

static int shared_in(struct mu_comm_shared **out, struct mu_comm *c, size_t bytes, void **p, struct mu_err *e)
{
    struct mu_comm_shared *s = NULL;
    int rc = MU_NEW(&s, "shared memory", e);
    int64_t most[3] = {mu_comm_fault(c, rc), (int64_t)bytes, -(int64_t)bytes};
    int rank, code;
    MU_TRY(mu_comm_in_all_reduce(c, most, 3, MU_REDUCE_MAX_I64, e));
    code = mu_comm_fault_code(most[0], &rank);
    if (code != MU_OK) {
        rc = code;
        if (s)
            mu_fail(e, rc, "shared memory of group %s: rank %d on %s has no memory for it", c->name, rank,
                    c->world->place[rank].host);
        goto out;
    }
    if (most[1] != -most[2]) {
        rc = mu_fail(e, MU_EINTERNAL, "shared memory of group %s: ranks ask for %" PRId64 " and for %" PRId64 " bytes",
                     c->name, -most[2], most[1]);
        goto out;
    }
    *s = (struct mu_comm_shared){.world = c->world, .is_alone = c->size == 1, .bytes = bytes};
    MU_TRY(open_block(s, c, e));
    *p = s->p;
    *out = s;
    return MU_OK;
out:
    mu_free(s);
    return rc;
}

int mu_comm_shared_open(struct mu_comm_shared **out, struct mu_comm *c, size_t bytes, void **p, struct mu_err *e)
{
    *out = NULL;
    *p = NULL;
    if (c->n_nodes > 1)
        return mu_fail(e, MU_EINVAL, "group %s runs on %d nodes: memory is shared inside one", c->name, c->n_nodes);
    if (c->size > 1 && !c->world->ops->shared_open)
        return mu_fail(e, MU_EUNSUPPORTED, "%s ranks have no shared memory", c->world->ops->name);
    MU_TRY_RETURN(mu_comm_begin(c, "shared_open", e));
    return mu_comm_end(c, shared_in(out, c, bytes, p, e));
}

void mu_comm_shared_seal(struct mu_comm_shared *s)
{
    if (s && !s->is_alone && s->world->ops->shared_seal)
        s->world->ops->shared_seal(s->world, s->p, s->bytes);
}

void mu_comm_shared_close(struct mu_comm_shared *s)
{
    if (!s)
        return;
    if (s->is_alone)
        mu_free(s->p);
    else
        s->world->ops->shared_close(s->world, s->p, s->bytes, s->own);
    mu_free(s);
}
