/* comm.c - worlds and groups: their making, what can be asked of them, their end */
#include "comm/comm_int.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define WORK_BYTES_MIN ((size_t)4 << 10) /* and MU_COMM_SPLIT_BYTES a rank: a split gathers there */

/* ---- a group ---- */

/* One block, widest elements first. */
static size_t arrays_bytes(int size)
{
    size_t n = (size_t)size;
    return n * (MU_COUNT(((struct mu_comm *)0)->sizes) * sizeof(size_t) + sizeof(struct mu_span) + 4 * sizeof(int)) +
           (n + 1) * (sizeof(int) + 2 * sizeof(int32_t));
}

static void place_arrays(struct mu_comm *c, void *block)
{
    size_t n = (size_t)c->size;
    size_t *sizes = block;
    for (size_t i = 0; i < MU_COUNT(c->sizes); i++, sizes += n)
        c->sizes[i] = sizes;
    struct mu_span *leaf = (struct mu_span *)sizes;
    int32_t *cuts = (int32_t *)(leaf + n);
    for (int r = 0; r <= c->size; r++)
        cuts[r] = r;
    for (int r = 0; r < c->size; r++)
        leaf[r] = (struct mu_span){r, r + 1};
    c->by_rank = (struct mu_tree){.n = c->size, .cuts = cuts, .root = leaf, .first = cuts};
    c->member = (int *)(cuts + n + 1);
    c->node = c->member + n;
    c->by_node = c->node + n;
    c->leader = c->by_node + n;
    c->node_first = c->leader + n;
}

/* Nodes of the group, numbered by first member. */
static void find_nodes(struct mu_comm *c)
{
    const struct mu_comm_place *place = c->world->place;
    for (int r = 0; r < c->size; r++) {
        int node = 0;
        while (node < c->n_nodes && place[c->member[c->leader[node]]].node != place[c->member[r]].node)
            node++;
        if (node == c->n_nodes)
            c->leader[c->n_nodes++] = r;
        c->node[r] = node;
    }
}

static void order_by_node(struct mu_comm *c)
{
    int at = 0;
    c->is_cut_by_node = true;
    for (int node = 0; node < c->n_nodes; node++) {
        c->node_first[node] = at;
        for (int r = 0; r < c->size; r++)
            if (c->node[r] == node)
                c->by_node[at++] = r;
    }
    c->node_first[c->n_nodes] = at;
    for (int r = 0; r < c->size; r++)
        c->is_cut_by_node = c->is_cut_by_node && c->by_node[r] == r;
}

int mu_comm_group_open(struct mu_comm **out, struct mu_comm_world *w, const int *member, int size, int context,
                       const char *name, struct mu_err *e)
{
    struct mu_comm *c = NULL;
    void *block = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW(&c, "a group", e));
    MU_TRY(mu_new_array(&block, 1, arrays_bytes(size), "the members of a group", e));
    c->world = w;
    c->size = size;
    c->context = context;
    snprintf(c->name, sizeof c->name, "%s", name);
    place_arrays(c, block);
    for (int r = 0; r < size; r++) {
        c->member[r] = member ? member[r] : r;
        if (c->member[r] == w->rank)
            c->rank = r;
    }
    find_nodes(c);
    order_by_node(c);
    w->contexts |= 1ull << context;
    *out = c;
    return MU_OK;
out:
    mu_free(c);
    return rc;
}

void mu_comm_group_close(struct mu_comm *c)
{
    if (!c)
        return;
    c->world->contexts &= ~(1ull << c->context);
    mu_free(c->sizes[0]);
    mu_free(c);
}

/* ---- a world ---- */

static void world_close(struct mu_comm_world *w)
{
    mu_free(w->part);
    mu_free(w->lost);
    mu_free(w->work);
    mu_free(w->pool);
    w->work = NULL;
    w->pool = NULL;
}

static int world_alloc(struct mu_comm_world *w, const struct mu_comm_opts *o, struct mu_err *e)
{
    size_t work_min = WORK_BYTES_MIN + (size_t)w->size * MU_COMM_SPLIT_BYTES;
    w->timeout_ns = o && o->timeout_ns > 0 ? o->timeout_ns : MU_COMM_TIMEOUT_NS;
    w->timeout_ns = MU_MIN(w->timeout_ns, INT64_MAX / 4); /* deadlines are sums */
    w->work_bytes = o && o->work_bytes > 0 ? o->work_bytes : MU_COMM_WORK_BYTES;
    w->work_bytes = MU_MAX(w->work_bytes, work_min);
    MU_TRY_RETURN(MU_NEW_ARRAY(&w->pool, MU_COMM_POOL_MAX, "started calls", e));
    for (int i = MU_COMM_POOL_MAX - 1; i >= 0; i--) {
        w->pool[i].index = i;
        w->pool[i].next = w->free;
        w->free = &w->pool[i];
    }
    if (w->size == 1)
        return MU_OK; /* nothing to reduce, nothing to gather */
    w->work = mu_alloc(w->work_bytes);
    return w->work ? MU_OK : mu_fail_nomem(e, w->work_bytes, "the scratch of collectives");
}

int mu_comm_world_open(struct mu_comm **out, struct mu_comm_world *w, const struct mu_comm_opts *o, struct mu_err *e)
{
    struct mu_comm *c = NULL;
    int rc = MU_OK;
    if (w->size < 1 || w->size > MU_COMM_RANKS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d ranks: a world has 1 to %d", w->size, MU_COMM_RANKS_MAX);
    MU_TRY(world_alloc(w, o, e));
    MU_TRY(mu_comm_group_open(&c, w, NULL, w->size, 0, "world", e));
    if (w->ops->group_open && w->size > 1)
        MU_TRY(w->ops->group_open(c, e));
    w->group = c;
    *out = c;
    return MU_OK;
out:
    mu_comm_group_close(c);
    world_close(w);
    return rc;
}

void mu_comm_close(struct mu_comm *c)
{
    if (!c)
        return;
    struct mu_comm_world *w = c->world;
    bool is_world = c == w->group;
    if (w->ops->group_close && c->size > 1)
        w->ops->group_close(c);
    mu_comm_group_close(c);
    if (!is_world)
        return;
    struct mu_comm_place *place = w->place;
    world_close(w);
    w->ops->close(w); /* w is gone */
    mu_free(place);
}

void mu_comm_abort(struct mu_comm *c, const char *sentence)
{
    if (!c || c->world->death.code)
        return;
    mu_comm_die(c->world, NULL, MU_ECANCELED, "%s", sentence);
}

/* ---- questions ---- */

int mu_comm_rank(const struct mu_comm *c)
{
    return c ? c->rank : 0;
}

int mu_comm_size(const struct mu_comm *c)
{
    return c ? c->size : 1;
}

int mu_comm_world_rank(const struct mu_comm *c, int rank)
{
    return c ? c->member[rank] : 0;
}

const char *mu_comm_name(const struct mu_comm *c)
{
    return c->name;
}

const char *mu_comm_backend(const struct mu_comm *c)
{
    return c->world->ops->name;
}

int mu_comm_node(const struct mu_comm *c, int rank)
{
    return c ? c->node[rank] : 0;
}

int mu_comm_nodes(const struct mu_comm *c)
{
    return c ? c->n_nodes : 1;
}

const char *mu_comm_host(const struct mu_comm *c, int rank)
{
    return c->world->place[c->member[rank]].host;
}

void mu_comm_counts(const struct mu_comm *c, struct mu_comm_counts *out)
{
    *out = c->world->counts;
}

void mu_comm_describe(const struct mu_comm_world *w, int rank, char *out, size_t n)
{
    const struct mu_comm_place *p = &w->place[rank];
    snprintf(out, n, "rank %d on %s (process %d)", rank, p->host, p->pid);
}

/* ---- teams ---- */

struct mu_comm_team mu_comm_team_all(const struct mu_comm *c)
{
    return (struct mu_comm_team){.n = c->size, .me = c->rank};
}

struct mu_comm_team mu_comm_team_local(const struct mu_comm *c)
{
    int node = c->node[c->rank], first = c->node_first[node];
    struct mu_comm_team t = {.n = c->node_first[node + 1] - first, .rank = c->by_node + first};
    while (t.rank[t.me] != c->rank)
        t.me++;
    return t;
}

struct mu_comm_team mu_comm_team_leaders(const struct mu_comm *c)
{
    int node = c->node[c->rank];
    return (struct mu_comm_team){.n = c->n_nodes, .me = c->leader[node] == c->rank ? node : -1, .rank = c->leader};
}
