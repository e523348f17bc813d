/* shared.c - one block of memory that the ranks of a node see */
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
    int64_t worst = rc;
    MU_TRY(mu_comm_in_all_reduce(c, &worst, 1, MU_REDUCE_MAX_I64, e));
    if (worst != MU_OK) {
        rc = s ? mu_fail(e, (int)worst, "shared memory of group %s: another rank has no memory for it", c->name) : rc;
        rc = rc ? rc : (int)worst;
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
