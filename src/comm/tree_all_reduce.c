/* tree_all_reduce.c - ranks finish one tree together (tree.h)
 *
 * Short: everybody gets all roots and finishes the whole tree. Long: rank j gets slice j of every root, finishes the
 * tree for it, and an all-gather puts the slices together; a rank with one root sends and receives about twice its
 * bytes, whatever the number of ranks. What does not fit the scratch goes in pieces.
 *
 * Over several nodes: the first rank of a node collects its node's roots, whose sums are fewer and larger roots; these
 * ranks finish the tree among themselves, and each tells its node. Which of these ways is taken does not change a bit:
 * the same pairs are added everywhere. */
#include <string.h>

#include "base/check.h"
#include "comm/comm_int.h"

#define SLICE_UNIT 16 /* elements: slices begin at cache lines */

/* One sum on its way. */
struct job {
    struct mu_comm *c;
    struct mu_comm_team team;
    const struct mu_tree *t; /* over the team */
    struct mu_comm_scratch scratch;
    enum mu_reduce op;
    size_t width; /* bytes of an element */
    unsigned char *y, *own;
    int64_t n; /* elements of y and of each root in own */
};

static int n_roots(const struct job *j, int rank)
{
    return j->t->first[rank + 1] - j->t->first[rank];
}

static int all_gather(const struct job *j, void *all, const size_t *bytes, struct mu_err *e)
{
    if (!j->team.rank)
        return mu_comm_in_all_gather(j->c, all, bytes, e);
    return mu_comm_team_all_gather(j->c, &j->team, all, bytes, e);
}

/* ---- short: all roots everywhere ---- */

static int gather_and_finish(const struct job *j, struct mu_err *e)
{
    size_t bytes = (size_t)j->n * j->width, *sizes = j->c->sizes[0];
    for (int r = 0; r < j->team.n; r++)
        sizes[r] = (size_t)n_roots(j, r) * bytes;
    if (sizes[j->team.me] > 0)
        memcpy(j->scratch.p + (size_t)j->t->first[j->team.me] * bytes, j->own, sizes[j->team.me]);
    MU_TRY_RETURN(all_gather(j, j->scratch.p, sizes, e));
    struct mu_fold f = {.op = j->op, .root = j->t->root, .items = j->scratch.p, .stride = bytes};
    mu_fold(&f, 0, 0, j->t->n, j->y, j->n);
    return MU_OK;
}

/* ---- long: a slice a rank ---- */

/* A piece is elements [begin, end), slice r of it [begin + r * unit, ...) of at most unit. */
struct piece {
    int64_t begin, end, unit;
};

static struct mu_span64 {
    int64_t begin, n;
} slice(const struct piece *p, int rank)
{
    int64_t begin = MU_MIN(p->begin + rank * p->unit, p->end);
    return (struct mu_span64){begin, MU_MIN(begin + p->unit, p->end) - begin};
}

static int send_slice(const struct job *j, struct mu_comm_batch *b, const struct piece *p, int to, struct mu_err *e)
{
    struct mu_span64 s = slice(p, to);
    for (int k = 0; k < n_roots(j, j->team.me); k++)
        MU_TRY_RETURN(
            mu_comm_batch_send(b, to, j->own + (size_t)(k * j->n + s.begin) * j->width, (size_t)s.n * j->width, e));
    return MU_OK;
}

static int recv_slice(const struct job *j, struct mu_comm_batch *b, size_t bytes, int from, struct mu_err *e)
{
    for (int k = j->t->first[from]; k < j->t->first[from + 1]; k++)
        MU_TRY_RETURN(mu_comm_batch_recv(b, from, j->scratch.p + (size_t)k * bytes, bytes, e));
    return MU_OK;
}

static int exchange_slices(const struct job *j, const struct piece *p, struct mu_err *e)
{
    struct mu_comm_batch b = {.c = j->c, .team = &j->team};
    size_t mine = (size_t)slice(p, j->team.me).n * j->width;
    int rc = MU_OK, n = j->team.n;
    for (int i = 1; i < n && rc == MU_OK; i++) {
        rc = recv_slice(j, &b, mine, (j->team.me - i + n) % n, e);
        if (rc == MU_OK)
            rc = send_slice(j, &b, p, (j->team.me + i) % n, e);
    }
    return mu_comm_batch_end(&b, rc, e);
}

/* This rank's own roots are where they always were. */
static void finish_slice(const struct job *j, struct mu_span64 s)
{
    struct mu_fold f = {.op = j->op, .root = j->t->root, .items = j->scratch.p, .stride = (size_t)s.n * j->width};
    f.own_first = j->t->first[j->team.me];
    f.n_own = n_roots(j, j->team.me);
    f.own = j->own + (size_t)s.begin * j->width;
    f.own_stride = (size_t)j->n * j->width;
    mu_fold(&f, 0, 0, j->t->n, j->y + (size_t)s.begin * j->width, s.n);
}

static int do_piece(const struct job *j, const struct piece *p, struct mu_err *e)
{
    size_t *sizes = j->c->sizes[0];
    MU_TRY_RETURN(exchange_slices(j, p, e));
    finish_slice(j, slice(p, j->team.me));
    for (int r = 0; r < j->team.n; r++)
        sizes[r] = (size_t)slice(p, r).n * j->width;
    return all_gather(j, j->y + (size_t)p->begin * j->width, sizes, e);
}

/* Elements of all roots that fit the scratch, a multiple of SLICE_UNIT if that is not nothing. */
static int64_t fitting(const struct job *j)
{
    int64_t fit = (int64_t)(j->scratch.bytes / ((size_t)j->t->first[j->team.n] * j->width));
    return fit > SLICE_UNIT ? fit - fit % SLICE_UNIT : fit;
}

static int run(const struct job *j, struct mu_err *e)
{
    size_t all = (size_t)j->n * j->width * (size_t)j->t->first[j->team.n];
    int64_t unit = fitting(j), even = (j->n + j->team.n - 1) / j->team.n;
    if (all <= MU_MIN(j->team.n == 2 ? MU_COMM_PAIR_BYTES : MU_COMM_SHORT_BYTES, j->scratch.bytes))
        return gather_and_finish(j, e);
    if (unit == 0)
        return mu_comm_die(j->c->world, e, MU_ELIMIT, "a sum over %d roots needs more than the %zu bytes of work_bytes",
                           j->t->first[j->team.n], j->scratch.bytes);
    unit = MU_MIN(unit, (even + SLICE_UNIT - 1) / SLICE_UNIT * SLICE_UNIT);
    for (int64_t at = 0; at < j->n; at += unit * j->team.n) {
        struct piece p = {at, MU_MIN(at + unit * j->team.n, j->n), unit};
        MU_TRY_RETURN(do_piece(j, &p, e));
    }
    return MU_OK;
}

/* ---- over several nodes ---- */

/* The tree as the nodes' first ranks see it, at the beginning of the scratch. */
struct by_nodes {
    struct mu_tree t;
    int n_local_max; /* roots of a node's ranks together */
    struct mu_comm_scratch rest;
};

static int node_roots(const struct job *j, int node, struct mu_span *roots)
{
    const int *first = j->c->node_first;
    int b = j->t->first[first[node]], e = j->t->first[first[node + 1]];
    return b == e ? 0 : mu_tree_roots(j->t->n, j->t->root[b].begin, j->t->root[e - 1].end, roots);
}

/* False where the scratch is too small for it. */
static bool see_nodes(const struct job *j, struct by_nodes *out)
{
    struct mu_span roots[MU_TREE_ROOTS_MAX];
    const int *node_first = j->c->node_first;
    int n_nodes = j->c->n_nodes, n = 0, n_max = 0;
    for (int node = 0; node < n_nodes; node++) {
        n += node_roots(j, node, roots);
        n_max = MU_MAX(n_max, j->t->first[node_first[node + 1]] - j->t->first[node_first[node]]);
    }
    size_t head = ((size_t)n * sizeof *roots + (size_t)(n_nodes + 1) * sizeof(int32_t) + 63) / 64 * 64;
    if (head + 4 * (size_t)MU_MAX(n, n_max) * j->width * SLICE_UNIT > j->scratch.bytes)
        return false;
    struct mu_span *root = (struct mu_span *)j->scratch.p;
    int32_t *first = (int32_t *)(root + n);
    first[0] = 0;
    for (int node = 0; node < n_nodes; node++)
        first[node + 1] = first[node] + node_roots(j, node, root + first[node]);
    *out = (struct by_nodes){.t = {.n = j->t->n, .root = root, .first = first},
                             .n_local_max = n_max,
                             .rest = {j->scratch.p + head, j->scratch.bytes - head}};
    return true;
}

/* Elements [at, at + n) of the node's roots to its first rank, side by side in items. */
static int to_leader(const struct job *j, const struct mu_comm_team *local, unsigned char *items, int64_t at, int64_t n,
                     struct mu_err *e)
{
    struct mu_comm_batch b = {.c = j->c, .team = local};
    size_t bytes = (size_t)n * j->width;
    const int32_t *first = j->t->first + (j->c->rank - local->me); /* neighbours in rank order */
    int rc = MU_OK;
    for (int i = 0; i < local->n && rc == MU_OK; i++) {
        for (int k = first[i]; k < first[i + 1] && rc == MU_OK; k++) {
            unsigned char *item = items + (size_t)(k - first[0]) * bytes;
            const unsigned char *own = j->own + ((size_t)(k - first[i]) * (size_t)j->n + (size_t)at) * j->width;
            if (local->me == 0 && i == 0 && bytes > 0)
                memcpy(item, own, bytes);
            else if (local->me == 0)
                rc = mu_comm_batch_recv(&b, i, item, bytes, e);
            else if (local->me == i)
                rc = mu_comm_batch_send(&b, 0, own, bytes, e);
        }
    }
    return mu_comm_batch_end(&b, rc, e);
}

/* The node's roots out of its ranks', side by side in items again. */
static void fold_node(const struct job *j, const struct mu_tree *nodes, unsigned char *items, int64_t n)
{
    int node = j->c->node[j->c->rank], at = 0;
    int first = j->t->first[j->c->node_first[node]];
    size_t bytes = (size_t)n * j->width;
    struct mu_fold f = {.op = j->op, .root = j->t->root + first, .items = items, .stride = bytes};
    for (int k = nodes->first[node]; k < nodes->first[node + 1]; k++) {
        const struct mu_span *s = &nodes->root[k];
        unsigned char *place = items + (size_t)at * bytes;
        at += mu_fold(&f, at, s->begin, s->end, place, n);
        memmove(items + (size_t)(k - nodes->first[node]) * bytes, place, bytes);
    }
}

static int node_piece(const struct job *j, const struct by_nodes *v, int64_t at, int64_t n, struct mu_err *e)
{
    struct mu_comm_team local = mu_comm_team_local(j->c), leaders = mu_comm_team_leaders(j->c);
    unsigned char *items = v->rest.p, *y = j->y + (size_t)at * j->width;
    size_t half = v->rest.bytes / 128 * 64;
    MU_TRY_RETURN(to_leader(j, &local, items, at, n, e));
    if (leaders.me >= 0) {
        fold_node(j, &v->t, items, n);
        struct job up = *j;
        up.team = leaders;
        up.t = &v->t;
        up.scratch = (struct mu_comm_scratch){items + half, v->rest.bytes - half};
        up.y = y;
        up.own = items;
        up.n = n;
        MU_TRY_RETURN(run(&up, e));
    }
    return mu_comm_team_broadcast(j->c, &local, y, (size_t)n * j->width, 0, e);
}

static int run_by_nodes(const struct job *j, const struct by_nodes *v, struct mu_err *e)
{
    size_t half = v->rest.bytes / 128 * 64;
    int64_t step = (int64_t)(half / ((size_t)v->n_local_max * j->width));
    for (int64_t at = 0; at < j->n; at += step)
        MU_TRY_RETURN(node_piece(j, v, at, MU_MIN(step, j->n - at), e));
    return MU_OK;
}

/* ---- the calls ---- */

/* Roots side by side, each of them one subtree. */
static bool is_tree(const struct mu_tree *t, int size)
{
    struct mu_span roots[MU_TREE_ROOTS_MAX];
    int32_t at = 0;
    for (int k = 0; k < t->first[size]; k++) {
        if (t->root[k].begin != at || mu_tree_roots(t->n, at, t->root[k].end, roots) != 1)
            return false;
        at = t->root[k].end;
    }
    return t->first[0] == 0 && at == t->n;
}

int mu_comm_in_tree(struct mu_comm *c, const struct mu_tree *t, enum mu_reduce op, void *y, void *own, int64_t n,
                    struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    struct job j = {c, mu_comm_team_all(c), t, {w->work, w->work_bytes}, op, mu_reduce_bytes(op), y, own, n};
    struct by_nodes v;
    if (n == 0)
        return MU_OK;
    if (t->n == 0) {
        memset(y, 0, (size_t)n * j.width);
        return MU_OK;
    }
    if (c->size == 1) {
        struct mu_fold f = {.op = op, .root = t->root, .items = own, .stride = (size_t)n * j.width};
        mu_fold(&f, 0, 0, t->n, y, n);
        return MU_OK;
    }
    if (c->n_nodes > 1 && c->n_nodes < c->size && c->is_cut_by_node && see_nodes(&j, &v))
        return run_by_nodes(&j, &v, e);
    return run(&j, e);
}

int mu_tree_all_reduce(struct mu_comm *c, const struct mu_tree *t, float *y, float *own, int64_t n, struct mu_err *e)
{
    if (n < 0 || !is_tree(t, c->size))
        return mu_fail(e, MU_EINVAL, "group %s: the roots of %d ranks do not make a tree of %d leaves", c->name,
                       c->size, t->n);
    MU_TRY_RETURN(mu_comm_begin(c, "tree_all_reduce", e));
    return mu_comm_end(c, mu_comm_in_tree(c, t, MU_REDUCE_SUM_F32, y, own, n, e));
}
