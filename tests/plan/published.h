/* published.h - the rows of published-runs.json that measure inference, as questions to the time model
 *
 * Shared by test_cost_published.c, which holds the error, and fit_cost.c, which finds the engines' constants. A row is
 * mapped to spec, layout, machine, workload and the program that ran it, or left out with the reason. Configurations
 * (model, GPU, layout, lengths, format; all batches of one together) are dealt into five folds by hash: constants are
 * fitted on folds 0 to 3, fold 4 is only measured. */
#ifndef PUBLISHED_H
#define PUBLISHED_H

#include "plan/cost.h"

#define PUB_FOLDS    5
#define PUB_HELD     4
#define PUB_MACHINES 8
#define PUB_ENGINES  8

enum pub_unit {
    PUB_SECONDS,           /* of a batch of requests, start to end */
    PUB_SECONDS_AMORTISED, /* the same over output tokens of the batch */
    PUB_OUTPUT_RATE,       /* output tokens a second at the largest batch that fits */
    PUB_NODE_DECODE_RATE   /* output tokens a second of 8 GPUs, decoding alone */
};

struct pub_row {
    const char *id, *source, *model, *gpu, *skipped; /* skipped: why the row is left out; NULL: it is not */
    char layout_free[192];                           /* what rows share that compare layouts */
    struct mu_spec spec;
    struct mu_layout layout;
    struct mu_workload w; /* batch 0: the largest that fits */
    int machine, engine;
    int fold;
    enum pub_unit unit;
    double measured; /* seconds or rate; 0 when it ran out of memory */
    bool is_oom;
    double memory; /* bytes; 0: not given */
};

struct pub {
    json_t *tree;
    struct pub_row *rows;
    int n;
    struct mu_machine machines[PUB_MACHINES]; /* copies: fit_cost.c moves them */
    struct mu_cost_engine engines[PUB_ENGINES];
    int n_machines, n_engines;
};

int pub_load(struct pub *p, const char *path, struct mu_err *e);
void pub_free(struct pub *p);

/* In the row's unit. The row must not be skipped or out of memory. */
int pub_predict(const struct pub *p, const struct pub_row *r, double *out, struct mu_err *e);

/* Whether the engine's memory is enough by the model. */
int pub_fits(const struct pub *p, const struct pub_row *r, bool *out, double *bytes, struct mu_err *e);

#endif
