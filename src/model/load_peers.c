/* load_peers.c - nodes read the checkpoint once between them
 *
 * Every node has as many readers as the smallest one has ranks, its first ones; reader i of all nodes are column i. A
 * chunk is cut among the columns, a column's rows among the nodes that need them, and its readers hand each other what
 * they have read, each into the memory that its node shares. Which nodes need a tensor they tell each other once: what
 * a stage holds travels to the nodes of that stage. Shares move on with each chunk, over columns and nodes.
 *
 * Not by the transfer queue (comm/transfer.h): that moves on when its rank's thread says so, and here this thread is in
 * the pool, reading or packing, until the chunk is done. Between chunks plain messages do as much. */
#include <string.h>

#include "base/check.h"
#include "model/load_int.h"
#include "model/model.h"

#define SHARE_BYTES_MIN ((uint64_t)64 << 10) /* less than this is read by one rank */
#define TAG             1

static int ranks_on(const struct mu_comm *c, int node)
{
    int n = 0;
    for (int r = 0; r < mu_comm_size(c); r++)
        n += mu_comm_node(c, r) == node;
    return n;
}

int mu_model_load_over_nodes(struct mu_shard *sh, struct mu_comm *all, struct mu_err *e)
{
    int fewest = mu_comm_size(all), place = mu_comm_rank(sh->node);
    if (mu_comm_nodes(all) == 1)
        return MU_OK;
    for (int node = 0; node < mu_comm_nodes(all); node++)
        fewest = MU_MIN(fewest, ranks_on(all, node));
    MU_TRY_RETURN(mu_comm_split(&sh->column, all, place < fewest ? place : -1, mu_comm_node(all, mu_comm_rank(all)),
                                "column", e));
    sh->n_columns = fewest;
    sh->together = all;
    return MU_OK;
}

/* ---- who needs what ---- */

static uint32_t *word_of(const struct mu_loader *l, int node, int64_t fill)
{
    return l->needs + node * mu_load_words(l->n) + fill / 32;
}

static bool has_piece(const struct mu_loader *l, const struct mu_fill *f)
{
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];
    return mu_slot_pieces(&l->m->spec, &l->m->opts, &f->use, piece) > 0;
}

/* Fills of one tensor lie side by side, and one may use what another has read: whoever needs one needs them all. */
int mu_load_find_needs(struct mu_loader *l)
{
    if (l->n_nodes == 1)
        return MU_OK;
    memset(l->needs, 0, l->size.needs);
    for (int64_t begin = 0, end; begin < l->n; begin = end) {
        bool is_needed = false;
        for (end = begin; end < l->n && l->fills[end].src.t == l->fills[begin].src.t; end++)
            is_needed |= has_piece(l, &l->fills[end]);
        for (int64_t i = begin; i < end && is_needed; i++)
            *word_of(l, l->node, i) |= 1u << i % 32;
    }
    return mu_comm_all_reduce(l->shard->together, l->needs, l->n_nodes * mu_load_words(l->n), MU_REDUCE_OR_U32, l->e);
}

/* ---- shares ---- */

/* The nodes that need the fill at hand: the nth of them; -1: there are not so many. */
static int sharer(const struct mu_loader *l, int nth)
{
    int64_t fill = l->f - l->fills;
    for (int node = 0; node < l->n_nodes; node++) {
        bool is_one = l->n_nodes == 1 || (*word_of(l, node, fill) >> fill % 32 & 1);
        if (is_one && nth-- == 0)
            return node;
    }
    return -1;
}

struct sharers {
    int n, own; /* this node's place among them; -1: it is none */
};

static struct sharers sharers_of(const struct mu_loader *l)
{
    struct sharers s = {.own = -1};
    for (int node; (node = sharer(l, s.n)) >= 0; s.n++)
        if (node == l->node)
            s.own = s.n;
    return s;
}

/* Rows that a column reads on the i-th of n nodes. */
static struct mu_run part_of(const struct mu_loader *l, struct mu_run column, size_t row_bytes, int i, int n)
{
    if ((uint64_t)column.n * row_bytes < SHARE_BYTES_MIN)
        return (struct mu_run){column.begin, (i + l->turn) % n == 0 ? column.n : 0};
    int64_t begin = column.n * i / n;
    return (struct mu_run){column.begin + begin, column.n * (i + 1) / n - begin};
}

static struct mu_run column_of(const struct mu_loader *l, int64_t n, size_t row_bytes)
{
    if (l->column < 0)
        return (struct mu_run){0, 0};
    int64_t i = (l->column + l->turn) % l->n_columns;
    if ((uint64_t)n * row_bytes < SHARE_BYTES_MIN)
        return (struct mu_run){0, i == 0 ? n : 0};
    int64_t begin = n * i / l->n_columns;
    return (struct mu_run){begin, n * (i + 1) / l->n_columns - begin};
}

struct mu_run mu_load_share(const struct mu_loader *l, int64_t n, size_t row_bytes, struct mu_run *column)
{
    struct sharers s = sharers_of(l);
    *column = column_of(l, n, row_bytes);
    return s.own < 0 ? (struct mu_run){0, 0} : part_of(l, *column, row_bytes, s.own, s.n);
}

/* ---- handing on ---- */

static int swap(struct mu_comm *c, int to, const void *out, size_t out_bytes, int from, void *in, size_t in_bytes,
                struct mu_err *e)
{
    struct mu_comm_op *recv = NULL, *send = NULL;
    int rc = in_bytes > 0 ? mu_comm_start_recv(&recv, c, from, TAG, in, in_bytes, e) : MU_OK;
    if (rc == MU_OK && out_bytes > 0)
        rc = mu_comm_start_send(&send, c, to, TAG, out, out_bytes, e);
    int sent = mu_comm_wait(send, rc == MU_OK ? e : NULL); /* each once, also after a failure */
    rc = rc == MU_OK ? sent : rc;
    int received = mu_comm_wait(recv, rc == MU_OK ? e : NULL);
    return rc == MU_OK ? received : rc;
}

/* In rounds: in round k each node gives to the kth after it, so that every link carries one way at a time. */
int mu_load_exchange(struct mu_loader *l, struct mu_run column, size_t row_bytes, char *to)
{
    struct sharers s = sharers_of(l);
    if (s.n < 2 || s.own < 0 || column.n == 0)
        return MU_OK;
    struct mu_run own = part_of(l, column, row_bytes, s.own, s.n);
    for (int k = 1; k < s.n; k++) {
        int next = (s.own + k) % s.n, last = (s.own - k + s.n) % s.n;
        struct mu_run theirs = part_of(l, column, row_bytes, last, s.n);
        MU_TRY_RETURN(swap(l->shard->column, sharer(l, next), to + (size_t)own.begin * row_bytes,
                           (size_t)own.n * row_bytes, sharer(l, last), to + (size_t)theirs.begin * row_bytes,
                           (size_t)theirs.n * row_bytes, l->e));
    }
    return MU_OK;
}
