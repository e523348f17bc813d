/* bill.h - what a run will need of memory, worked out before any of it is taken
 *
 * Pure: limits and sizes in, a bill out; no device, file or clock. Sizes of the model and of the engine's tables come
 * from the functions that later lay them out, so the bill is what is taken. Limits left open are chosen inside the
 * memory allowed, and every choice is said in a sentence.
 *
 * Two phases: while loading there is the staging buffer and no KV cache yet; while running the other way round. The
 * peak is the larger of the two. */
#ifndef MU_PLAN_BILL_H
#define MU_PLAN_BILL_H

#include <stdio.h>

#include "base/json.h"
#include "model/model.h"

#define MU_BILL_LINES_MAX   12
#define MU_BILL_CHOICES_MAX 12

/* Program text, libraries, thread stacks, what the heap itself needs: measured at 4 MiB on two threads. */
#define MU_BILL_RUNTIME_BYTES ((size_t)8 << 20)

/* What is wanted where nothing is asked for; cut in this order when memory is short: rows, logit rows, sequences, KV
 * tokens, context. */
#define MU_BILL_ROWS_WANTED       256
#define MU_BILL_ROWS_MIN          16
#define MU_BILL_LOGIT_ROWS_WANTED 32
#define MU_BILL_LOGIT_ROWS_MIN    4
#define MU_BILL_SEQUENCES_WANTED  64
#define MU_BILL_KV_TOKENS_WANTED  16384 /* together, at least one whole context and at most all sequences' */
#define MU_BILL_CONTEXT_WANTED    8192  /* or the model's own when shorter: a cache for 128k tokens is asked for */
#define MU_BILL_CONTEXT_MIN       512

/* Limits and formats of one attempt. */
struct mu_bill_limits {
    enum mu_wformat weights;
    enum mu_dtype kv_dtype;
    int64_t context;
    int rows, logit_rows, sequences;
    int64_t pages; /* of MU_KV_PAGE positions; of all ranks that share them out, equally many on each */
};

/* All that will ever be asked, where it is known for certain; else 0. */
struct mu_bill_work {
    int64_t requests;
    int64_t longest, tokens; /* tokens of KV cache: of the longest request, of all together */
};

struct mu_bill_ask {
    struct mu_bill_limits limits; /* 0: choose (context, rows, logit_rows, sequences, pages) */
    int64_t context_model;        /* the longest the model allows */
    int page_owners;              /* ranks that share the pages out (model/shard.h); 0: one */
    size_t bytes_max;             /* 0: no limit */
    const char *bytes_max_from;   /* "--max-memory", "what the machine has left" */
    size_t bytes_in_use;          /* of the process already: tokenizer, configuration */
    size_t bytes_requests;        /* budget of requests in flight */
    struct mu_bill_work work;     /* no cache is reserved that this cannot fill */

    /* Sizes under limits; pages count only in tables. */
    int (*model_sizes)(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e);
    size_t (*table_bytes)(void *arg, const struct mu_bill_limits *l);
    void *arg;
};

enum mu_bill_phase { MU_BILL_ALWAYS, MU_BILL_LOADING, MU_BILL_RUNNING };

struct mu_bill_line {
    const char *name; /* "weights" */
    enum mu_bill_phase phase;
    size_t bytes;
    char note[96]; /* "f32", "1024 pages of 16 tokens, f32" */
};

struct mu_bill {
    struct mu_bill_line lines[MU_BILL_LINES_MAX];
    int n_lines;
    size_t bytes_loading, bytes_running, bytes_peak;
    size_t bytes_max; /* 0: no limit */
    bool fits;
    struct mu_bill_limits limits; /* chosen */
    size_t kv_page_bytes;
    char choices[MU_BILL_CHOICES_MAX][192]; /* each a sentence */
    int n_choices;
    char verdict[768]; /* one sentence: fits, or what is too big and the ways out */
};

/* The bill is made also when it does not fit (fits says so); errors are those of model_sizes. */
int mu_bill_make(struct mu_bill *out, const struct mu_bill_ask *ask, struct mu_err *e);

/* The peak alone, of limits that are all given. */
int mu_bill_peak(const struct mu_bill_ask *ask, const struct mu_bill_limits *l, size_t *bytes, struct mu_err *e);

/* The fewest pages worth having: one whole context, or the longest request where it is known. */
int64_t mu_bill_pages_least(const struct mu_bill_ask *ask, int64_t context);
/* The most that the work can fill; INT64_MAX: it is not known. */
int64_t mu_bill_pages_most(const struct mu_bill_ask *ask);

/* Tokens of the longest sequence that the pages hold. */
int64_t mu_bill_sequence_max(const struct mu_bill_limits *l, int page_owners);

/* One more sentence among the choices, when there is room. */
void mu_bill_say(struct mu_bill *b, const char *sentence);

void mu_bill_print(const struct mu_bill *b, FILE *f);
json_t *mu_bill_json(const struct mu_bill *b); /* the caller's reference; NULL without memory */

/* "1.50 GiB", "12.0 MiB", "300 B". Returns buf. */
char *mu_bytes_text(char buf[24], size_t bytes);

#endif
