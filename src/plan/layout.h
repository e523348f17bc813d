/* layout.h - how ranks are shared out: data x pipeline x tensor, experts inside
 *
 *   ranks = dp * pp * tp, rank = ((replica * pp + stage) * lanes + lane) * tp + t
 *
 * ep is the number of ranks that share a layer's experts, over the tensor and data dimensions of one stage: at most tp
 * means the tensor group, else a multiple of tp. Then lanes = ep / tp data-parallel attention groups step together
 * as one replica, and there are dp / lanes replicas, which do not wait for each other. Without experts ep is 1.
 *
 * cp divides tp: so many neighbouring tensor ranks share one KV cache (model/shard.h), at most MU_ATTN_STRANDS.
 *
 * Pure. Text form: "tp=4,pp=2,dp=1,ep=1,cp=1" in any order, missing ones 1 (dp: what the ranks leave, else one
 * replica).
 */
#ifndef MU_PLAN_LAYOUT_H
#define MU_PLAN_LAYOUT_H

#include "base/buf.h"
#include "base/check.h"
#include "model/shard.h"

#define MU_STAGES_MAX 256

/* A step goes through a pipeline in parts, so that the stages overlap: so many for each stage, that of all. Fewer rows
 * than MU_MICRO_ROWS cost as much as they: the weights are read for each part. */
#define MU_MICRO_ROWS  32
#define MU_MICRO_STAGE 4
#define MU_MICRO_MAX   64

struct mu_layout {
    int dp, pp, tp, ep;
    int cp;                       /* 0 stands for 1 */
    int stage_end[MU_STAGES_MAX]; /* [pp] layers; all 0: cut by mu_layout_cut_stages() */
};

struct mu_layout_place {
    int replica, stage, lane, t;
};

static inline int mu_layout_lanes(const struct mu_layout *l)
{
    return l->ep > l->tp ? l->ep / l->tp : 1;
}

static inline int mu_layout_cp(const struct mu_layout *l)
{
    return l->cp > 1 ? l->cp : 1;
}

static inline int mu_layout_ranks(const struct mu_layout *l)
{
    return l->dp * l->pp * l->tp;
}

static inline int mu_layout_replicas(const struct mu_layout *l)
{
    return l->dp / mu_layout_lanes(l);
}

/* Parts that a step of so many rows is worth, the most of any lane. */
static inline int mu_layout_micro(int stages, double rows)
{
    int most = MU_MIN(stages * MU_MICRO_STAGE, MU_MICRO_MAX);
    return stages == 1 ? 1 : (int)MU_MAX(1, MU_MIN(rows / MU_MICRO_ROWS, most));
}

/* ranks 0: whatever the text says. MU_EUSAGE naming key, value and bound. "auto" is not handled here. */
int mu_layout_parse(struct mu_layout *out, const char *text, int ranks, struct mu_err *e);
int mu_layout_print(const struct mu_layout *l, struct mu_buf *out, struct mu_err *e); /* "tp=4,pp=2" */

/* Whether the layout can run the spec and every rank has work: MU_EINVAL naming the number that does not go and the
 * nearest legal layout. More tensor ranks than O has tiles, more stages than layers, more expert ranks than experts are
 * refused. */
int mu_layout_check(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e);

/* The part of it without which nothing can run; ranks with an empty run of heads or experts are let through. */
int mu_layout_check_shape(const struct mu_layout *l, const struct mu_spec *s, struct mu_err *e);

/* Experts of the layer with the fewest; 0 without any. */
int mu_layout_experts(const struct mu_spec *s);

/* The legal layout of the same number of ranks that is least unlike l (dp=ranks always is one). */
void mu_layout_nearest(const struct mu_layout *l, const struct mu_spec *s, struct mu_layout *out);

/* Layers over stages so that the slowest stage is fastest, the head counted as the layers it costs; among cuts at most
 * a twentieth slower, the one whose fullest stage holds the fewest parameters, the embedding counted too. */
void mu_layout_cut_stages(struct mu_layout *l, const struct mu_spec *s);

struct mu_layout_place mu_layout_place_of(const struct mu_layout *l, int rank);
int mu_layout_rank_of(const struct mu_layout *l, const struct mu_layout_place *p);

/* What that rank holds; groups NULL. */
void mu_layout_shard(const struct mu_layout *l, const struct mu_spec *s, int rank, struct mu_shard *out);

/* Parameters of one layer, norms and biases left out: all of them, and those one token uses. */
struct mu_layer_weight {
    double held, used;
};
struct mu_layer_weight mu_layer_weight_of(const struct mu_spec *s, const struct mu_layer_spec *l);

#endif
