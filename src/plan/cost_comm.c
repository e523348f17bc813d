/* cost_comm.c - collectives and sends
 *
 * Other programs: NCCL's. Ring all-reduce inside a node: 2 (n-1)/n of the bytes over one device's link, 2 log2 n
 * latencies (NCCL's tree latency, src/graph/tuning.cc). Over k nodes of d devices: reduce-scatter inside, all-reduce of
 * a d-th between, all-gather inside.
 *
 * Ours: as comm/ does them. Few bytes: every rank gets all roots, in rounds that double what it has. Many: a rank gets
 * its slice of all roots and finishes that, and the slices go round a ring. Over several nodes the first rank of each
 * collects its node's roots, these finish the sum among themselves, and each tells its node. */
#include <math.h>

#include "plan/cost_int.h"

#include "base/check.h"

/* Ranks that meet over links of one kind. */
struct team {
    const struct mu_link_spec *k;
    double n;
};

/* Bytes that pass one rank's link, on their way in messages as large as those of a sum of `size` bytes. */
static double over(const struct cost_at *at, const struct mu_link_spec *k, double size, double bytes)
{
    return bytes / (k->rate * mu_curve_at(&k->reached, size) * at->g->link);
}

struct cost_nodes cost_nodes_of(const struct cost_at *at, int ranks)
{
    int nodes = (ranks + at->m->devices - 1) / at->m->devices;
    return (struct cost_nodes){.nodes = nodes, .inside = (ranks + nodes - 1) / nodes};
}

/* ---- ours ---- */

static double gather_s(const struct cost_at *at, const struct team *t, double bytes)
{
    double rounds = bytes <= MU_COMM_SHORT_BYTES ? ceil(log2(t->n)) : t->n - 1;
    return rounds * t->k->latency_s + over(at, t->k, bytes, bytes * (t->n - 1) / t->n);
}

/* From one rank to all: down a tree, or cut, handed out and gathered. */
static double broadcast_s(const struct cost_at *at, const struct team *t, double bytes)
{
    double rounds = ceil(log2(t->n));
    if (t->n <= 2 || bytes <= MU_COMM_SHORT_BYTES)
        return rounds * t->k->latency_s + over(at, t->k, bytes, rounds * bytes);
    return t->k->latency_s + over(at, t->k, bytes, bytes * (t->n - 1) / t->n) + gather_s(at, t, bytes);
}

/* Roots of `bytes` each. */
static double finish_s(const struct cost_at *at, const struct team *t, double bytes, const struct cost_roots *r)
{
    double got = r->all - r->least;
    if (r->all * bytes <= (t->n <= 2 ? MU_COMM_PAIR_BYTES : MU_COMM_SHORT_BYTES))
        return ceil(log2(t->n)) * t->k->latency_s + over(at, t->k, bytes, got * bytes);
    double sliced = MU_MAX(r->most * (t->n - 1), got) / t->n * bytes;
    return t->k->latency_s + over(at, t->k, bytes, sliced) + gather_s(at, t, bytes);
}

static double tree_s(const struct cost_at *at, const struct cost_cut *c, double bytes)
{
    struct cost_nodes p = cost_nodes_of(at, at->tp);
    struct team local = {&at->m->inside, p.inside}, first = {&at->m->between, p.nodes};
    if (p.nodes == 1)
        return finish_s(at, &local, bytes, &c->rank);
    if (p.inside == 1)
        return finish_s(at, &first, bytes, &c->rank);
    return local.k->latency_s + over(at, local.k, bytes, c->brought * bytes) + finish_s(at, &first, bytes, &c->node) +
           broadcast_s(at, &local, bytes);
}

double cost_all_gather_s(const struct cost_at *at, int ranks, double bytes)
{
    struct cost_nodes p = cost_nodes_of(at, ranks);
    struct team local = {&at->m->inside, p.inside}, first = {&at->m->between, p.nodes};
    if (ranks < 2)
        return 0;
    if (p.nodes == 1)
        return at->g->collective_s + gather_s(at, &local, bytes);
    if (p.inside == 1)
        return at->g->collective_s + gather_s(at, &first, bytes);
    return at->g->collective_s + local.k->latency_s + over(at, local.k, bytes, bytes * (p.inside - 1) / ranks) +
           gather_s(at, &first, bytes) + broadcast_s(at, &local, bytes);
}

/* ---- NCCL's ---- */

static double ring_s(const struct cost_at *at, const struct team *t, double bytes)
{
    return 2 * log2(t->n) * t->k->latency_s + over(at, t->k, bytes, bytes * 2 * (t->n - 1) / t->n);
}

static double rings_s(const struct cost_at *at, double bytes)
{
    struct cost_nodes p = cost_nodes_of(at, at->tp);
    struct team local = {&at->m->inside, p.inside}, across = {&at->m->between, p.nodes};
    return (p.inside > 1 ? ring_s(at, &local, bytes) : 0) + (p.nodes > 1 ? ring_s(at, &across, bytes / p.inside) : 0);
}

/* ---- both ---- */

double cost_sum_s(const struct cost_at *at, const struct cost_cut *c, double bytes)
{
    if (at->tp < 2)
        return 0;
    return at->g->collective_s + (at->g->is_own_comm ? tree_s(at, c, bytes) : rings_s(at, bytes));
}

double cost_all_to_all_s(const struct cost_at *at, int ranks, double bytes)
{
    struct cost_nodes p = cost_nodes_of(at, ranks);
    double near = bytes * (p.inside - 1) / ranks, away = bytes * (ranks - p.inside) / ranks;
    if (ranks < 2)
        return 0;
    double s = at->g->collective_s + log2(ranks) * at->m->inside.latency_s + over(at, &at->m->inside, near, near);
    if (p.nodes > 1)
        s += log2(p.nodes) * at->m->between.latency_s + over(at, &at->m->between, away, away);
    return s;
}

/* Every rank of a stage sends to its peer in the next: with us all of its rows, else its share of their elements. */
double cost_send_s(const struct cost_at *at, double bytes)
{
    const struct mu_link_spec *k = at->expert_ranks * at->l->pp <= at->m->devices ? &at->m->inside : &at->m->between;
    double own = at->g->is_own_comm ? bytes : bytes / at->tp;
    return k->latency_s + over(at, k, own, own);
}
