/* cost_comm.c - collectives and sends
 *
 * Ring all-reduce inside a node: 2 (n-1)/n of the bytes over one device's link, 2 log2 n latencies (NCCL's tree
 * latency, src/graph/tuning.cc). Over k nodes of d devices: reduce-scatter inside, all-reduce of a d-th between, all
 * gather inside. The fixed tree (comm/tree.h) is recursive doubling: log2 n rounds of all the bytes. */
#include <math.h>

#include "plan/cost_int.h"

#include "base/check.h"

static double over(const struct cost_at *at, const struct mu_link_spec *k, double bytes)
{
    return bytes / (k->rate * mu_curve_at(&k->reached, bytes) * at->g->link);
}

static int nodes_of(const struct cost_at *at, int ranks)
{
    return (ranks + at->m->devices - 1) / at->m->devices;
}

static double tree_s(const struct cost_at *at, const struct mu_link_spec *k, int ranks, double bytes)
{
    double rounds = ceil(log2(ranks));
    bool is_halving = (ranks & (ranks - 1)) == 0;
    double moved = is_halving ? rounds * bytes : (ranks - 1) * bytes;
    return rounds * k->latency_s + over(at, k, bytes) * moved / MU_MAX(bytes, 1);
}

static double ring_s(const struct cost_at *at, const struct mu_link_spec *k, int ranks, double bytes)
{
    return 2 * log2(ranks) * k->latency_s + over(at, k, bytes) * 2 * (ranks - 1) / ranks;
}

double cost_all_reduce_s(const struct cost_at *at, int ranks, double bytes)
{
    if (ranks < 2)
        return 0;
    double (*one)(const struct cost_at *, const struct mu_link_spec *, int, double) = at->g->is_tree ? tree_s : ring_s;
    int nodes = nodes_of(at, ranks), inside = (ranks + nodes - 1) / nodes;
    double s = at->g->collective_s;
    if (inside > 1)
        s += one(at, &at->m->inside, inside, bytes);
    if (nodes > 1)
        s += one(at, &at->m->between, nodes, at->g->is_tree ? bytes : bytes / inside);
    return s;
}

double cost_all_to_all_s(const struct cost_at *at, int ranks, double bytes)
{
    if (ranks < 2)
        return 0;
    int nodes = nodes_of(at, ranks), inside = (ranks + nodes - 1) / nodes;
    double away = (double)(ranks - inside) / ranks;
    double s = at->g->collective_s + log2(ranks) * at->m->inside.latency_s;
    s += over(at, &at->m->inside, bytes * (inside - 1) / ranks);
    if (nodes > 1)
        s += log2(nodes) * at->m->between.latency_s + over(at, &at->m->between, bytes * away);
    return s;
}

/* Every rank of a stage sends its share of the rows' elements to its peer in the next. */
double cost_send_s(const struct cost_at *at, double bytes)
{
    const struct mu_link_spec *k = at->expert_ranks * at->l->pp <= at->m->devices ? &at->m->inside : &at->m->between;
    return k->latency_s + over(at, k, bytes / at->tp);
}
