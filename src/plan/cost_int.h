/* cost_int.h - what the files of the time model share
 *
 * Internal to src/plan. Functions add seconds to the parts of a step; totals are made at the end. */
#ifndef MU_PLAN_COST_INT_H
#define MU_PLAN_COST_INT_H

#include "plan/cost.h"

/* Roots of a sum: what ranks, or nodes, exchange (comm/tree.h). */
struct cost_roots {
    int all, most, least; /* of all; of the one with most, with least */
};

/* How tensor ranks share the inputs of a sum. Roots are counted only where sums are ours. */
struct cost_cut {
    double widest;          /* heads, or inputs of an MLP, of the rank with most */
    struct cost_roots rank; /* of ranks */
    struct cost_roots node; /* of nodes, once each has put its own together */
    int brought;            /* to a node's first rank by its others, the most */
};

/* Where a step runs. */
struct cost_at {
    const struct mu_spec *s;
    const struct mu_layout *l; /* stages cut */
    const struct mu_machine *m;
    const struct mu_workload *w;
    const struct mu_cost_engine *g;
    double peak;             /* FLOP/s of products */
    double product;          /* part of it, beside the device's curves */
    double attention_peak;   /* FLOP/s inside attention, before g->attention */
    double weight_bytes;     /* of one weight */
    double kv_bytes;         /* of one cached element, scales among them */
    int tp, expert_ranks;    /* of a layer's experts: lanes * tp */
    struct cost_cut by_rank; /* a sum to which every tensor rank gives one value */
};

/* Rows that go through a stage together, of one lane. Plain numbers: a micro-batch may hold part of a row. */
struct cost_rows {
    double rows, sequences;
    double lanes;    /* rows of all lanes over these: as many as there are, or fewer where some have less to do */
    double keys;     /* that a row attends to, its own among them: the mean */
    double keys_end; /* of a sequence after the step */
    double logits;   /* rows with logits */
};

int cost_at_init(struct cost_at *at, struct mu_layout *cut, const struct mu_spec *s, const struct mu_layout *l,
                 const struct mu_machine *m, const struct mu_workload *w, struct mu_err *e);

/* The larger share of n among k. */
static inline double cost_share(double n, int k)
{
    double whole = (double)(int64_t)(n / k);
    return whole * k < n ? whole + 1 : whole;
}

/* Of hidden elements. */
static inline double cost_row_bytes(const struct cost_at *at)
{
    return (double)at->s->hidden * at->g->act_bytes;
}

/* ---- cost_product.c ---- */
double cost_element_bytes(const struct mu_workload *w); /* of one weight, scales among them */
double cost_peak(const struct mu_device_spec *d, enum mu_rate r);
void cost_product(const struct cost_at *at, double rows, double n_out, double n_in, struct mu_cost_step *to);
void cost_roofline(const struct cost_at *at, double compute_s, double memory_s, struct mu_cost_step *to);
double cost_read_s(const struct cost_at *at, double bytes, double part);

/* ---- cost_attention.c, cost_experts.c ---- */
void cost_attention(const struct cost_at *at, const struct mu_layer_spec *l, const struct cost_rows *r,
                    struct mu_cost_step *to);
double cost_kv_elements(const struct cost_at *at, const struct mu_layer_spec *l); /* of a token, on one rank */
void cost_experts(const struct cost_at *at, const struct mu_layer_spec *l, const struct cost_rows *r,
                  struct mu_cost_step *to);

/* ---- cost_cut.c ---- */

/* n heads of `width` values, or n inputs of width 1, cut between tiles of so many values. */
struct cost_cut cost_cut_of(const struct cost_at *at, int64_t n, int64_t width, int64_t tile);
struct cost_cut cost_cut_by_rank(const struct cost_at *at);

/* ---- cost_comm.c ---- */

/* Nodes that so many neighbouring ranks lie on, and how many of them on one. */
struct cost_nodes {
    int nodes, inside;
};
struct cost_nodes cost_nodes_of(const struct cost_at *at, int ranks);

/* `bytes` summed over the tensor ranks. c: as ours sum; else it may be NULL. */
double cost_sum_s(const struct cost_at *at, const struct cost_cut *c, double bytes);
double cost_all_gather_s(const struct cost_at *at, int ranks, double bytes); /* ours; bytes of all pieces */
double cost_all_to_all_s(const struct cost_at *at, int ranks, double bytes); /* what one rank gives or gets */
double cost_send_s(const struct cost_at *at, double bytes);                  /* from a stage to the next */

/* ---- cost_step.c, cost_pipeline.c ---- */
void cost_stage(const struct cost_at *at, int stage, const struct cost_rows *r, struct mu_cost_step *to);

/* r in n micro-batches through all stages; steady: another step follows at once, as in decoding. */
void cost_pipeline(const struct cost_at *at, const struct cost_rows *r, double n, bool is_steady,
                   struct mu_cost_step *to);

#endif
