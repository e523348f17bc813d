/* select.h - which engine a model is opened with, and why
 *
 * Pure: it is told what there is (sizes, free memory, ranks, an endpoint) and looks at nothing itself. The table it
 * fills can be printed: one row an engine, its parts, and the reason.
 *
 * Three wishes come before any score, so that the choice can be foretold: an engine named by the caller; an endpoint
 * given is used; a world of several ranks is used. Scores decide where several engines remain, each part in [0, 1]:
 *
 *   memory   0.35  how easily the weights and the cache fit: 1 at half of what is free, 0 when they fill it
 *   context  0.15  1 when the engine is known to take the context, 0.5 when it does not tell
 *   batch    0.15  the share of the batch that it computes at a time
 *   urgency  0.15  urgent work loses by a slow start: 1 - urgency * (start / (start + 60 s))
 *   free     0.20  what is left to others of this machine: 1 - the share taken
 *
 * What is not known counts 0.5. Equal scores: the earlier row. The numbers are judgement, not measurement; they matter
 * only between engines that can all do the work. */
#ifndef MU_ENGINE_SELECT_H
#define MU_ENGINE_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/err.h>

#define MU_SELECT_MAX        8
#define MU_SELECT_REASON_MAX 256

enum mu_select_part {
    MU_SELECT_MEMORY,
    MU_SELECT_CONTEXT,
    MU_SELECT_BATCH,
    MU_SELECT_URGENCY,
    MU_SELECT_FREE,
    MU_SELECT_PARTS
};

/* The work. 0 where it is not known. */
struct mu_select_ask {
    uint64_t model_bytes; /* weights and cache */
    int64_t context;      /* tokens of the longest request */
    int64_t batch;        /* requests there are */
    double urgency;       /* 0: any time; 1: now */
    const char *wish;     /* an engine by name; NULL or "auto": none */
    bool has_endpoint;
    int n_ranks;
};

/* An engine that could do it. */
struct mu_select_candidate {
    const char *name;
    bool can;                          /* its can_handle, and what follows must allow it too */
    int code;                          /* of its refusal */
    char reason[MU_SELECT_REASON_MAX]; /* why it cannot */
    uint64_t bytes_free;               /* memory it may take, all ranks together; 0: not known, or not this machine's */
    bool is_elsewhere;                 /* takes no memory here */
    int64_t context_max;               /* 0: not told */
    int64_t at_a_time;                 /* requests computed together; 0: not known */
    double start_s;                    /* until its first answer */
};

struct mu_select_row {
    const char *name;
    bool can, is_chosen;
    double part[MU_SELECT_PARTS], score; /* weighted sum */
    char reason[MU_SELECT_REASON_MAX];   /* why it is chosen, or why not */
};

struct mu_select_table {
    struct mu_select_row row[MU_SELECT_MAX];
    int n, chosen; /* index */
};

const char *mu_select_part_name(enum mu_select_part p);
double mu_select_weight(enum mu_select_part p);

/* The first refusal's code with every reason when no candidate can; MU_EUSAGE for a wish that is no engine. The table
 * is filled either way. */
int mu_select(struct mu_select_table *out, const struct mu_select_ask *ask, const struct mu_select_candidate *c, int n,
              struct mu_err *e);

int mu_select_print(const struct mu_select_table *t, struct mu_buf *out, struct mu_err *e);

#endif
