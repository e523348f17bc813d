/* run_int.h - what the runner's files share
 *
 *   requests of works --run_tokens.c--> slots, parts, items --run_merge.c--> equal items are one
 *     --run_plan.c--> groups in the order to compute --run_submit.c--> answers --run.c--> responses
 *
 * An item is one thing an engine computes: a context with its continuation, a window of a rolling text, an output. A
 * slot is one repeat of one request and consists of parts: one, but for rolling texts, which have a part a window. */
#ifndef MU_EVAL_RUN_INT_H
#define MU_EVAL_RUN_INT_H

#include "eval/run.h"

#define MU_RUN_IDS_MAX   ((size_t)1 << 31) /* tokens of all requests: 8 GiB. MMLU, five shots, has 40 million */
#define MU_RUN_ITEMS_MAX ((int64_t)1 << 28)
#define MU_RUN_STOPS_MAX (MU_STOP_MAX + 1) /* the task's, and the spelling of the end token */

/* How an output is made; shared by requests with equal generation arguments. */
struct mu_run_params {
    const json_t *source; /* the arguments, borrowed */
    int max_tokens;
    const char *stop[MU_RUN_STOPS_MAX]; /* borrowed from the arguments and the tokenizer's keeper */
    int n_stop;                         /* at most MU_STOP_MAX go to the engine */
    int32_t stop_id[MU_STOP_MAX];
    int n_stop_ids;
    struct mu_sampling sampling;
    bool is_sampled, has_seed;
};

struct mu_run_answer {
    double sum; /* SCORE */
    bool is_greedy;
    char *text; /* GENERATE: owned */
    size_t text_bytes;
    int n_output;
    bool hit_max_tokens;
};

struct mu_run_item {
    struct mu_key key;
    size_t context, continuation; /* where they begin in ids */
    int32_t n_context, n_continuation;
    int32_t params; /* index; -1: SCORE */
    uint64_t seed;
    int64_t first_part; /* of those that want it; -1: none */
    bool is_unique;     /* the first of its key */
    bool has_answer;
    struct mu_run_answer answer;
};

struct mu_run_part {
    int64_t item, slot;
    int64_t next; /* part that wants the same item; -1: the last */
};

struct mu_run_slot {
    int32_t work, request, repeat;
    int32_t n_parts, n_left; /* left: without a durable answer */
    int64_t first_part;
    bool is_computed; /* not all of it was in the journal */
};

/* Items side by side that are one request to the engine: they differ in the last token. */
struct mu_run_group {
    int64_t first; /* in order[] */
    int32_t n;
    int32_t cost; /* tokens planned */
    uint64_t id;  /* given by submit; 0: not in flight */
};

/* What the requests of a document took. */
struct mu_run_time {
    int64_t ns, tokens;
};

struct mu_run_state {
    struct mu_run_engine *eng; /* a copy: eng may be opened on the way */
    struct mu_work *const *works;
    int n_works;
    const struct mu_run_opts *o;
    struct mu_run_audit *audit;
    struct mu_engine_info info;
    struct mu_tokenizer_info tok;
    int32_t prefix;     /* BOS, else EOS; -1: neither */
    char *eos_spelling; /* owned; NULL: none */

    struct mu_ids ids;
    struct mu_run_params **params; /* owned, each too */
    int64_t n_params, params_cap;
    struct mu_run_item *item;
    int64_t n_items, items_cap;
    struct mu_run_part *part;
    int64_t n_parts, parts_cap;
    struct mu_run_slot *slot;
    int64_t n_slots, slots_cap;
    int64_t longest; /* tokens of KV cache that an item needs, at most */

    int64_t *order;  /* of items, as computed */
    int32_t *common; /* [n_ordered] tokens order[i] shares with order[i - 1] */
    int64_t n_ordered;
    struct mu_run_group *group;
    int64_t n_groups;

    bool is_other_model;              /* the engine, once open, is not what info said, or too small: plan again */
    struct mu_engine_status at_start; /* of the engine */
    struct mu_run_time *time;         /* of all documents, work after work */
    int64_t *first_time;              /* [n_works] */

    struct mu_run_progress progress;
    int64_t progress_ns; /* of the last call */
};

/* Room for one more of `size` bytes in *(void **)p. */
int mu_run_grow(void *p, int64_t *cap, int64_t n, size_t size, const char *what, struct mu_err *e);

/* "task arc_easy, document 4711: " before the sentence. */
int mu_run_blame(const struct mu_run_state *s, int work, int request, int rc, struct mu_err *e);

/* Tokens of KV cache that an item needs: its last token of all is never fed. */
int64_t mu_run_item_tokens(const struct mu_run_state *s, const struct mu_run_item *it);

/* Calls on_progress when a tenth of a second has passed, or at once. MU_ECANCELED. */
int mu_run_tell(struct mu_run_state *s, bool now, struct mu_err *e);

/* run_tokens.c: all requests of all works to slots, parts and items; lengths are checked. */
int mu_run_tokens(struct mu_run_state *s, struct mu_err *e);

/* run_windows.c: window number i of a text of n tokens that follow a prefix token, in windows of at most max tokens:
 * ids[0] is the prefix. False: there is none. */
struct mu_run_window {
    int64_t context, continuation; /* where they begin in ids; the context ends where the continuation begins */
    int64_t n_context, n_continuation;
};
bool mu_run_window(int64_t n, int64_t max, int64_t i, struct mu_run_window *out);

/* run_params.c: generation arguments of a request. *index: in s->params. */
int mu_run_params_of(struct mu_run_state *s, const json_t *kwargs, int32_t *index, struct mu_err *e);

/* run_merge.c */
int mu_run_item_key(const struct mu_run_state *s, struct mu_run_item *it, struct mu_err *e);
int mu_run_merge(struct mu_run_state *s, struct mu_err *e);

/* run_plan.c: the order of the items (unique ones; all when naive) and what they cost, shared or not. */
int mu_run_plan(struct mu_run_state *s, struct mu_err *e);
int mu_run_group_missing(struct mu_run_state *s, struct mu_err *e); /* groups of the items without answer */

/* run_answer.c */
int mu_run_answer_load(struct mu_run_item *it, const json_t *v, struct mu_err *e); /* has_answer if v is sound */
int mu_run_answer_dump(const struct mu_run_item *it, json_t **out, struct mu_err *e);
int mu_run_answer_text(const struct mu_run_state *s, struct mu_run_item *it, const struct mu_result *r,
                       struct mu_err *e);
int mu_run_respond(struct mu_run_state *s, struct mu_err *e); /* every slot has its answers: fill the responses */

/* run_slowest.c */
int mu_run_time_init(struct mu_run_state *s, struct mu_err *e);
void mu_run_time_add(struct mu_run_state *s, const struct mu_run_group *g, const struct mu_result *r);
void mu_run_time_audit(struct mu_run_state *s); /* the slowest */

/* run_submit.c */
int mu_run_submit(struct mu_run_state *s, struct mu_err *e);
/* The parts that want an item have a durable answer. */
void mu_run_count_done(struct mu_run_state *s, const struct mu_run_item *it, bool is_computed);

#endif
