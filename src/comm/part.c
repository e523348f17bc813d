/* part.c - parts of a world: what a loss ends, and what goes on
 *
 * Every rank judges by the same parts, and by losses that all come to know, so nothing has to be agreed upon when one
 * happens: a rank ends when its own part or rank 0's has a loss, and otherwise forgets the ranks of the lost part. */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/comm_int.h"

/* ---- cutting ---- */

static int take_room(struct mu_comm_world *w, struct mu_err *e)
{
    if (!w->part)
        MU_TRY_RETURN(MU_NEW_ARRAY(&w->part, w->size, "the parts of the world", e));
    if (!w->lost)
        MU_TRY_RETURN(MU_NEW_ARRAY(&w->lost, w->size, "the parts of the world", e));
    return MU_OK;
}

static int take_parts(struct mu_comm *c, const int32_t *part, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    struct mu_err why = MU_ERR_INIT;
    if (take_room(w, &why) != MU_OK)
        return mu_comm_die(w, e, MU_ENOMEM, "%s", why.text); /* the others have room, and would wait */
    for (int r = 0; r < w->size; r++) {
        if (part[r] < 0 || part[r] >= w->size)
            return mu_fail(e, MU_EINVAL, "rank %d is in part %d: parts are 0 to %d", r, part[r], w->size - 1);
        w->part[r] = part[r];
    }
    if (w->ops->set_parts)
        w->ops->set_parts(w);
    return MU_OK;
}

/* A loss that ends another part alone is no failure. */
static int or_apart(const struct mu_comm *c, int rc)
{
    return rc == MU_EPEER && !mu_comm_is_dead(c) ? MU_OK : rc;
}

static int tell(struct mu_comm *c, int to, int from, struct mu_err *e)
{
    struct mu_comm_op *ops[2] = {NULL, NULL};
    int rc = or_apart(c, mu_comm_post_recv(&ops[0], c, from, MU_COMM_TAG_PARTS, NULL, 0, e));
    if (rc == MU_OK)
        rc = or_apart(c, mu_comm_post_send(&ops[1], c, to, MU_COMM_TAG_PARTS, NULL, 0, e));
    for (int i = 1; i >= 0; i--) {
        if (ops[i] && rc == MU_OK)
            rc = or_apart(c, mu_comm_await(c, &ops[i], 1, e));
        else if (ops[i])
            mu_comm_put_back(c->world, ops[i]);
    }
    return rc;
}

/* As a barrier, but who is through may be lost before others are: those go on without the lost part, and none of the
 * others may be left waiting by it. */
static int await_all(struct mu_comm *c, struct mu_err *e)
{
    for (int step = 1; step < c->size; step *= 2)
        MU_TRY_RETURN(tell(c, (c->rank + step) % c->size, (c->rank - step + c->size) % c->size, e));
    return MU_OK;
}

static int set_in(struct mu_comm *c, int part, struct mu_err *e)
{
    int32_t *parts = (int32_t *)(void *)c->world->work; /* there is room for what a split gathers, which is more */
    if (c->size == 1)
        return MU_OK;
    parts[c->rank] = part;
    for (int r = 0; r < c->size; r++)
        c->sizes[0][r] = sizeof *parts;
    MU_TRY_RETURN(mu_comm_in_all_gather(c, parts, c->sizes[0], e));
    MU_TRY_RETURN(take_parts(c, parts, e));
    return await_all(c, e); /* who is through and lost then is a loss by parts for everybody */
}

int mu_comm_set_parts(struct mu_comm *world, int part, struct mu_err *e)
{
    if (world != world->world->group)
        return mu_fail(e, MU_EINVAL, "group %s is cut into parts: only the world can be", world->name);
    MU_TRY_RETURN(mu_comm_begin(world, "set_parts", e));
    return mu_comm_end(world, set_in(world, part, e));
}

/* ---- losses ---- */

static int end_by(struct mu_comm *c, int rank, const char *clause, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    mu_fail(&w->death, MU_EPEER, "%s while group %s ran %s, call %" PRIu64, clause, c->name, w->call, w->number);
    w->has_died_apart = w->part && w->part[rank] != w->part[0];
    mu_comm_withdraw_all(w);
    if (e)
        *e = w->death;
    return MU_EPEER;
}

int mu_comm_look_for_lost(struct mu_comm *c, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    const char *clause = "";
    for (int r; (r = w->ops->lost(w, w->n_losses, &clause)) >= 0; w->n_losses++) {
        if (!mu_comm_is_apart(w, r) || w->part[r] == w->part[0])
            return end_by(c, r, clause, e);
        if (w->lost[w->part[r]])
            continue;
        w->lost[w->part[r]] = clause;
        w->n_lost++;
        mu_comm_withdraw_part(w, w->part[r]);
    }
    return MU_OK;
}

int mu_comm_check_peer(const struct mu_comm *c, int world_rank, struct mu_err *e)
{
    const struct mu_comm_world *w = c->world;
    const char *clause = w->n_lost > 0 ? w->lost[w->part[world_rank]] : NULL;
    if (!clause)
        return MU_OK;
    return mu_fail(e, MU_EPEER, "%s before group %s ran %s, call %" PRIu64, clause, c->name, w->call, w->number);
}

int mu_comm_check_members(struct mu_comm *c, struct mu_err *e)
{
    if (c->n_lost_seen == c->world->n_lost && !c->is_broken)
        return MU_OK;
    c->n_lost_seen = c->world->n_lost;
    for (int r = 0; r < c->size; r++) {
        c->is_broken = mu_comm_check_peer(c, c->member[r], e) != MU_OK;
        if (c->is_broken)
            return MU_EPEER;
    }
    return MU_OK;
}

/* ---- questions ---- */

int mu_comm_n_lost(const struct mu_comm *c)
{
    return c ? c->world->n_lost : 0;
}

bool mu_comm_is_lost(const struct mu_comm *c, int rank, const char **clause)
{
    const struct mu_comm_world *w = c->world;
    const char *why = w->n_lost > 0 ? w->lost[w->part[c->member[rank]]] : NULL;
    if (why && clause)
        *clause = why;
    return why != NULL;
}

bool mu_comm_is_dead(const struct mu_comm *c)
{
    return c && c->world->death.code != MU_OK;
}

bool mu_comm_died_apart(const struct mu_comm *c)
{
    return c && c->world->has_died_apart;
}
