/* plan.h - model and machine to a layout: the search, its reasons, and what it refused
 *
 * Pure: spec, machine, workload and wishes in; the chosen layout, the memory bill of its fullest rank, the time by
 * parts (cost.h), the best alternatives and the refused layouts with their reasons out. Every layout that uses all
 * devices is looked at, up to groups of 64 times the smallest that fits; some devices stay idle only where no such
 * layout fits, and that is said. What fits is ranked by requests a second; of layouts within a fiftieth of the best,
 * the one with the fewest ranks that wait for each other is taken.
 *
 * Times are those of the program the workload names. Where it names none: ours on a host; on GPUs, which no program of
 * ours has been measured on, the constants fitted to TensorRT-LLM with our steps of rows and our trees of sums.
 *
 * Where memory is short, in this order and each in a sentence: a smaller batch, fewer replicas, more tensor or pipeline
 * ranks, int8 weights, 4-bit weights; then the plan is a refusal that names the missing bytes. That is no error. */
#ifndef MU_PLAN_PLAN_H
#define MU_PLAN_PLAN_H

#include <stdio.h>

#include "plan/rank_bill.h"

#define MU_PLAN_ALTERNATIVES_MAX 12
#define MU_PLAN_REFUSED_MAX      48 /* kept; all are counted */
#define MU_PLAN_REASONS_MAX      12
#define MU_PLAN_TEXT_MAX         384

/* Sequences of one lane at a time where the batch is left open, at most: per device of the lane, and of all. Of the
 * batches that fit, the one taken is the largest halved for as long as the rate stays within a fiftieth. */
#define MU_PLAN_BATCH_DEVICE 256
#define MU_PLAN_BATCH_MAX    1024
#define MU_PLAN_BATCH_HOST   64

/* X(enum, name): which splits of a replica are looked at; replicas fill the machine in all of them */
#define MU_STRATEGY_MAP(X)                                                                                             \
    X(MU_STRATEGY_AUTO, "auto")                                                                                        \
    X(MU_STRATEGY_TENSOR, "tensor")                                                                                    \
    X(MU_STRATEGY_PIPELINE, "pipeline")                                                                                \
    X(MU_STRATEGY_HYBRID, "hybrid") /* tensor and pipeline together */                                                 \
    X(MU_STRATEGY_DATA, "data")     /* no split */                                                                     \
    X(MU_STRATEGY_EXPERT, "expert")

enum mu_strategy {
#define MU_STRATEGY_ENUM(id, name) id,
    MU_STRATEGY_MAP(MU_STRATEGY_ENUM)
#undef MU_STRATEGY_ENUM
        MU_STRATEGY_N
};
const char *mu_strategy_name(enum mu_strategy s);
int mu_strategy_from_name(enum mu_strategy *out, const char *name, struct mu_err *e);

struct mu_plan_ask {
    const struct mu_spec *spec;       /* borrowed, as are machine and layout */
    const struct mu_machine *machine; /* device.memory is what a rank may take */
    struct mu_workload work;          /* batch (of a lane) 0: chosen */
    enum mu_strategy strategy;
    const struct mu_layout *layout; /* only this one; NULL: search */
    int devices;                    /* to use at most; 0: all */
    bool is_weights_fixed;          /* do not fall back to smaller formats */
};

struct mu_plan_choice {
    struct mu_layout layout; /* stages cut */
    struct mu_workload work; /* batch and weights as chosen */
    struct mu_rank_limits limits;
    struct mu_rank_bill bill; /* of the fullest rank */
    int fullest;              /* that rank, of replica 0 */
    int idle;                 /* devices without work */
    struct mu_cost cost;
    double requests_per_s;
};

struct mu_plan_refused {
    struct mu_layout layout;
    double bytes_missing; /* on the fullest rank, with one sequence; 0: refused for another reason */
    char why[MU_PLAN_TEXT_MAX];
};

struct mu_plan {
    bool is_refused;
    char refusal[MU_PLAN_TEXT_MAX]; /* "" unless refused */
    double bytes_missing;
    struct mu_plan_choice choice; /* unless refused */
    struct mu_plan_choice alternatives[MU_PLAN_ALTERNATIVES_MAX];
    int n_alternatives; /* best first */
    struct mu_plan_refused refused[MU_PLAN_REFUSED_MAX];
    int n_refused, n_refused_in_all, n_fit;
    char reasons[MU_PLAN_REASONS_MAX][MU_PLAN_TEXT_MAX]; /* sentences */
    int n_reasons;
    int devices;                  /* there to be used */
    struct mu_cost_engine engine; /* whose constants the times come from, when the ask named none */
};

/* *out is the caller's, by mu_plan_free(). Errors: an ask that cannot be; a layout that was asked for and cannot run is
 * one (mu_layout_check's sentence), a layout that does not fit is a refusal. */
int mu_plan_make(struct mu_plan **out, const struct mu_plan_ask *ask, struct mu_err *e);
void mu_plan_free(struct mu_plan *p); /* NULL is fine */

/* The bill of any rank of a choice. */
void mu_plan_rank_bill(struct mu_rank_bill *out, const struct mu_plan_choice *c, const struct mu_spec *s,
                       const struct mu_machine *m, int rank);

/* name: the model's, for people. */
void mu_plan_print(const struct mu_plan *p, const struct mu_plan_ask *ask, const char *name, bool all, FILE *f);
json_t *mu_plan_json(const struct mu_plan *p, const struct mu_plan_ask *ask, const char *name, bool all);

/* Predicted against measured, for one run's last line. 0: not known, and left out. */
struct mu_plan_seen {
    double tokens_predicted, tokens_measured; /* a second, computed */
    double bytes_predicted, bytes_measured;   /* of one rank at its peak */
};
/* "predicted 412 tokens/s, measured 388 (-6%); predicted 3.10 GiB, measured 3.20 GiB (+3%)". Returns buf. */
char *mu_plan_seen_text(char buf[256], const struct mu_plan_seen *seen);

#endif
