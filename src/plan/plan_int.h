/* plan_int.h - what the files of the search share; internal to src/plan */
#ifndef MU_PLAN_PLAN_INT_H
#define MU_PLAN_PLAN_INT_H

#include "plan/plan.h"

#define PLAN_LANES_LOOKED                                                                                              \
    64 /* ranks of a stage of which every one is counted; of larger ones the first and last lane */

/* A rank that may be the fullest. */
struct plan_need {
    struct mu_rank_need need;
    int rank;
};

struct plan_search {
    const struct mu_plan_ask *ask;
    struct mu_plan *p;
    enum mu_wformat format;
    struct plan_need *needs; /* [MU_COMM_RANKS_MAX], scratch */
    int n_needs;
    int n_tried;
    bool is_idle_allowed;
    double least_missing; /* over all that did not fit */
    struct mu_layout least_missing_of;
    bool has_data;              /* one device a replica was looked at: */
    double data_missing;        /* what it lacks, 0: fits, */
    struct mu_plan_choice data; /* and how it does */
};

/* ---- plan_fit.c ---- */

/* The ranks of replica 0 that may be the fullest. */
void plan_needs(struct plan_search *s, const struct mu_layout *cut);

/* The fullest of them with `batch` sequences a lane. */
void plan_fullest(const struct plan_search *s, int64_t batch, struct mu_rank_bill *bill, int *rank);

/* The most sequences up to `wanted` that fit; 0: not even one. */
int64_t plan_batch(const struct plan_search *s, int64_t wanted);

/* ---- plan_why.c ---- */
void plan_explain(const struct plan_search *s, enum mu_wformat wanted);
void plan_say(struct mu_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "tp=4,pp=2,dp=2", in buf. */
const char *plan_layout_text(char buf[64], const struct mu_layout *l);

#endif
