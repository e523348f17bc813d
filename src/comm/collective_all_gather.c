/* collective_all_gather.c - every rank's piece on all
 *
 * Few bytes: in rounds in which what a rank holds doubles (Bruck et al. 1997); the pieces of neighbours lie side by
 * side in the result, so nothing is turned or copied. Many bytes: round a ring, each piece passing once over each link.
 * Over several nodes: pieces to one rank of the node, these among themselves, then inside the node. */
#include "base/check.h"
#include "comm/comm_int.h"

static size_t sum(const size_t *bytes, int begin, int end)
{
    size_t n = 0;
    for (int i = begin; i < end; i++)
        n += bytes[i];
    return n;
}

/* Sends or receives pieces [first, first + n) counted round the ring: two runs where it passes the end. */
static int move_run(struct mu_comm_batch *b, bool is_send, int peer, unsigned char *all, const size_t *bytes, int first,
                    int n, struct mu_err *e)
{
    int size = b->team->n, n_before_end = MU_MIN(n, size - first);
    size_t at = sum(bytes, 0, first), run = sum(bytes, first, first + n_before_end);
    size_t rest = sum(bytes, 0, n - n_before_end);
    if (is_send) {
        MU_TRY_RETURN(mu_comm_batch_send(b, peer, all + at, run, e));
        return mu_comm_batch_send(b, peer, all, rest, e);
    }
    MU_TRY_RETURN(mu_comm_batch_recv(b, peer, all + at, run, e));
    return mu_comm_batch_recv(b, peer, all, rest, e);
}

/* This rank holds [me, me + held): it gives them to the one `held` before, and gets the next ones from the one
 * `held` after. */
static int doubling(struct mu_comm *c, const struct mu_comm_team *t, unsigned char *all, const size_t *bytes,
                    struct mu_err *e)
{
    struct mu_comm_batch b = {.c = c, .team = t};
    for (int held = 1; held < t->n; held *= 2) {
        int n = MU_MIN(held, t->n - held), before = (t->me - held + t->n) % t->n, after = (t->me + held) % t->n;
        int rc = move_run(&b, false, after, all, bytes, after, n, e);
        if (rc == MU_OK)
            rc = move_run(&b, true, before, all, bytes, t->me, n, e);
        MU_TRY_RETURN(mu_comm_batch_end(&b, rc, e));
    }
    return MU_OK;
}

static int ring(struct mu_comm *c, const struct mu_comm_team *t, unsigned char *all, const size_t *bytes,
                struct mu_err *e)
{
    struct mu_comm_batch b = {.c = c, .team = t};
    int next = (t->me + 1) % t->n, previous = (t->me - 1 + t->n) % t->n;
    for (int step = 0; step < t->n - 1; step++) {
        int give = (t->me - step + t->n) % t->n, get = (previous - step + t->n) % t->n;
        int rc = move_run(&b, false, previous, all, bytes, get, 1, e);
        if (rc == MU_OK)
            rc = move_run(&b, true, next, all, bytes, give, 1, e);
        MU_TRY_RETURN(mu_comm_batch_end(&b, rc, e));
    }
    return MU_OK;
}

int mu_comm_team_all_gather(struct mu_comm *c, const struct mu_comm_team *t, void *all, const size_t *bytes,
                            struct mu_err *e)
{
    if (sum(bytes, 0, t->n) <= MU_COMM_SHORT_BYTES)
        return doubling(c, t, all, bytes, e);
    return ring(c, t, all, bytes, e);
}

/* Pieces of the node's ranks to the node's first. */
static int to_leader(struct mu_comm *c, const struct mu_comm_team *t, unsigned char *p, const size_t *bytes,
                     struct mu_err *e)
{
    struct mu_comm_batch b = {.c = c, .team = t};
    int rc = MU_OK;
    if (t->me > 0)
        rc = mu_comm_batch_send(&b, 0, p + sum(bytes, 0, t->me), bytes[t->me], e);
    for (int i = 1; t->me == 0 && i < t->n && rc == MU_OK; i++)
        rc = mu_comm_batch_recv(&b, i, p + sum(bytes, 0, i), bytes[i], e);
    return mu_comm_batch_end(&b, rc, e);
}

static int by_nodes(struct mu_comm *c, unsigned char *all, const size_t *bytes, struct mu_err *e)
{
    struct mu_comm_team local = mu_comm_team_local(c), leaders = mu_comm_team_leaders(c);
    const int *first = c->node_first;
    size_t *of_node = c->sizes[1];
    int mine = c->node[c->rank];

    MU_TRY_RETURN(to_leader(c, &local, all + sum(bytes, 0, first[mine]), bytes + first[mine], e));
    for (int node = 0; node < c->n_nodes; node++)
        of_node[node] = sum(bytes, first[node], first[node + 1]);
    if (leaders.me >= 0)
        MU_TRY_RETURN(mu_comm_team_all_gather(c, &leaders, all, of_node, e));
    return mu_comm_team_broadcast(c, &local, all, sum(bytes, 0, c->size), 0, e);
}

static int native(struct mu_comm *c, void *all, const size_t *bytes, struct mu_err *e)
{
    struct mu_comm_op *op = mu_comm_native_op(c, e);
    if (!op)
        return c->world->death.code;
    MU_TRY_RETURN(mu_comm_native_end(c, op, c->world->ops->all_gather(c, op, all, bytes, &c->world->death), e));
    mu_comm_count(c, bytes[c->rank], sum(bytes, 0, c->size) - bytes[c->rank]);
    return MU_OK;
}

int mu_comm_in_all_gather(struct mu_comm *c, void *all, const size_t *bytes, struct mu_err *e)
{
    struct mu_comm_team team = mu_comm_team_all(c);
    if (c->size == 1)
        return MU_OK;
    int rc = c->world->ops->all_gather ? native(c, all, bytes, e) : MU_EUNSUPPORTED;
    if (rc != MU_EUNSUPPORTED)
        return rc;
    if (c->n_nodes > 1 && c->n_nodes < c->size && c->is_cut_by_node)
        return by_nodes(c, all, bytes, e);
    return mu_comm_team_all_gather(c, &team, all, bytes, e);
}

int mu_comm_all_gather(struct mu_comm *c, void *all, const size_t *bytes, struct mu_err *e)
{
    MU_TRY_RETURN(mu_comm_begin(c, "all_gather", e));
    return mu_comm_end(c, mu_comm_in_all_gather(c, all, bytes, e));
}
