/* work.h - a task's documents and the requests they become: where building, running, scoring and reporting meet
 *
 *   build (build.h)    fills docs and requests: contexts, continuations, generation arguments
 *   run (run.h)        fills the responses
 *   score (score.h)    filters them, measures every document, aggregates
 *   results.h          writes what is here
 *
 * A bundle (bundle.h) fills docs and requests without a task file. */
#ifndef MU_EVAL_WORK_H
#define MU_EVAL_WORK_H

#include "eval/task.h"

#define MU_WORK_REQUESTS_MAX 16000000 /* of one run: MMLU, all its 57 subjects, has 56,168 */
#define MU_WORK_REPEATS_MAX  10000

enum mu_ask { MU_ASK_LOGLIKELIHOOD, MU_ASK_ROLLING, MU_ASK_GENERATE };

/* A text that several requests hold: the context of four choices is one. */
struct mu_text {
    int refs;
    size_t n;
    char p[]; /* NUL-terminated */
};
struct mu_text *mu_text_new(struct mu_str s, struct mu_err *e); /* one reference; NULL on failure */
struct mu_text *mu_text_keep(struct mu_text *t);
void mu_text_drop(struct mu_text *t); /* NULL is fine */

struct mu_ask_request {
    enum mu_ask ask;
    int doc;                      /* index in docs of its work */
    int index;                    /* idx among the document's requests */
    struct mu_text *context;      /* prompt; for ROLLING the text itself */
    struct mu_text *continuation; /* LOGLIKELIHOOD; else NULL */
    json_t *gen_kwargs;           /* GENERATE: object, one reference of its own; else NULL */

    /* One entry a repeat once run: [ll, is_greedy], ll, or the generated text. Owned array. */
    json_t *resps;
    /* Filled by run: what the audit block tells. */
    int n_context, n_continuation; /* tokens after truncation, of the first repeat */
    bool is_truncated;             /* tokens dropped from the left, or generation room cut */
    bool hit_max_tokens;           /* GENERATE: ended by length */
};

struct mu_doc_score {
    json_t *metrics;  /* object: metric name -> item, in the order measured */
    json_t *filtered; /* array over the document's requests */
};

struct mu_work_doc {
    int64_t id;                 /* doc_id */
    json_t *doc;                /* object, own reference */
    json_t *target;             /* doc_to_target's value */
    json_t *choices;            /* doc_to_choice's value, an array; NULL: the task has none */
    json_t *text;               /* multiple inputs: doc_to_text's value, the gold context's index; else NULL */
    int first, n;               /* its requests */
    struct mu_doc_score *score; /* one a filter pipeline once scored; owned array */
};

struct mu_metric_result {
    const char *metric; /* name; borrowed from the task, or from a document's metrics */
    const char *filter;
    double value;
    bool has_stderr;
    double stderr_value;
    int64_t n;
    int higher_is_better;
};

struct mu_work {
    const struct mu_task *task; /* borrowed from its set, which must outlive this */
    int num_fewshot;            /* as used */
    int64_t n_original;         /* documents of the split; n_docs of them are evaluated */
    struct mu_work_doc *doc;
    int n_docs;
    struct mu_ask_request *request; /* grouped by document, in order of index */
    int n_requests;
    bool is_multiple_input;    /* choices are contexts (Winogrande) */
    bool has_multiple_targets; /* doc_to_target is a list */

    struct mu_metric_result *result; /* once scored; owned */
    int n_results;
    char task_hash[65]; /* sha256 over the three hashes of every logged sample, as the harness; "" before results */
};

/* The documents with keeps[i], and their requests, stay. Before it is run. */
void mu_work_keep(struct mu_work *w, const bool *keeps);

void mu_work_free(struct mu_work *w); /* NULL is fine */

#endif
