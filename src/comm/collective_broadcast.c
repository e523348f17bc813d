/* collective_broadcast.c - one rank's bytes on all
 *
 * Short messages go down a binomial tree. Long ones are cut into a piece a rank, which the root hands out and an
 * all-gather puts together (van de Geijn), so that each rank sends and receives about twice the bytes, whatever n is.
 * In a group of several nodes the bytes go to one rank a node first (the root on its own), then inside the nodes. */
#include "base/check.h"
#include "comm/comm_int.h"

/* Ranks are counted from the root: v receives from v less its highest bit, then sends to v + higher bits. */
static int binomial(struct mu_comm *c, const struct mu_comm_team *t, void *p, size_t bytes, int root, struct mu_err *e)
{
    struct mu_comm_batch b = {.c = c, .team = t};
    int v = (t->me - root + t->n) % t->n, bit = 1;
    while (bit <= v)
        bit *= 2;
    if (v > 0) {
        int rc = mu_comm_batch_recv(&b, (v - bit / 2 + root) % t->n, p, bytes, e);
        MU_TRY_RETURN(mu_comm_batch_end(&b, rc, e));
    }
    int rc = MU_OK;
    for (; v + bit < t->n && rc == MU_OK; bit *= 2)
        rc = mu_comm_batch_send(&b, (v + bit + root) % t->n, p, bytes, e);
    return mu_comm_batch_end(&b, rc, e);
}

static int hand_out(struct mu_comm *c, const struct mu_comm_team *t, unsigned char *p, const size_t *piece, int root,
                    struct mu_err *e)
{
    struct mu_comm_batch b = {.c = c, .team = t};
    int rc = MU_OK;
    for (int i = 0; i < t->n && rc == MU_OK; p += piece[i++]) {
        if (t->me == root && i != root)
            rc = mu_comm_batch_send(&b, i, p, piece[i], e);
        else if (t->me == i && i != root)
            rc = mu_comm_batch_recv(&b, root, p, piece[i], e);
    }
    return mu_comm_batch_end(&b, rc, e);
}

int mu_comm_team_broadcast(struct mu_comm *c, const struct mu_comm_team *t, void *p, size_t bytes, int root,
                           struct mu_err *e)
{
    size_t *piece = c->sizes[2];
    if (t->n <= 2 || bytes <= MU_COMM_SHORT_BYTES)
        return binomial(c, t, p, bytes, root, e);
    for (int i = 0; i < t->n; i++)
        piece[i] = bytes / (size_t)t->n + ((size_t)i < bytes % (size_t)t->n);
    MU_TRY_RETURN(hand_out(c, t, p, piece, root, e));
    return mu_comm_team_all_gather(c, t, p, piece, e);
}

/* The root stands for its node. */
static int by_nodes(struct mu_comm *c, void *p, size_t bytes, int root, struct mu_err *e)
{
    int node = c->node[c->rank], root_node = c->node[root], usual = c->leader[root_node], rc = MU_OK;
    struct mu_comm_team local = mu_comm_team_local(c);
    c->leader[root_node] = root;
    struct mu_comm_team leaders = mu_comm_team_leaders(c);
    if (leaders.me >= 0)
        rc = mu_comm_team_broadcast(c, &leaders, p, bytes, root_node, e);
    int first = 0;
    while (local.rank[first] != c->leader[node])
        first++;
    c->leader[root_node] = usual;
    return rc ? rc : mu_comm_team_broadcast(c, &local, p, bytes, first, e);
}

static int native(struct mu_comm *c, void *p, size_t bytes, int root, struct mu_err *e)
{
    struct mu_comm_op *op = mu_comm_native_op(c, e);
    if (!op)
        return c->world->death.code;
    MU_TRY_RETURN(mu_comm_native_end(c, op, c->world->ops->broadcast(c, op, p, bytes, root, &c->world->death), e));
    mu_comm_count(c, c->rank == root ? bytes : 0, c->rank == root ? 0 : bytes);
    return MU_OK;
}

int mu_comm_in_broadcast(struct mu_comm *c, void *p, size_t bytes, int root, struct mu_err *e)
{
    struct mu_comm_team all = mu_comm_team_all(c);
    if (c->size == 1 || bytes == 0)
        return MU_OK;
    int rc = c->world->ops->broadcast ? native(c, p, bytes, root, e) : MU_EUNSUPPORTED;
    if (rc != MU_EUNSUPPORTED)
        return rc;
    if (c->n_nodes > 1 && c->n_nodes < c->size)
        return by_nodes(c, p, bytes, root, e);
    return mu_comm_team_broadcast(c, &all, p, bytes, root, e);
}

int mu_comm_broadcast(struct mu_comm *c, void *p, size_t bytes, int root, struct mu_err *e)
{
    if (root < 0 || root >= c->size)
        return mu_fail(e, MU_EINVAL, "rank %d: group %s has ranks 0 to %d", root, c->name, c->size - 1);
    MU_TRY_RETURN(mu_comm_begin(c, "broadcast", e));
    return mu_comm_end(c, mu_comm_in_broadcast(c, p, bytes, root, e));
}
