/* batcher.h - which rows of which requests run in the next step
 *
 * A step takes first one row of every generating request, then, oldest first, as much of the prompts as the row budget
 * allows (chunked prefill, at most prefill_chunk rows of one prompt). Everything is decided by the order of admission,
 * never by time, so the same requests give the same steps.
 *
 * A request whose beginning is being computed by a running one is left waiting until that much is in the cache: a
 * context shared by several continuations is computed once. So are the logits of its last row, which tell about the
 * first token of each: a row that a waiting request would read too is read for it.
 *
 * With lanes (runner.h) a request goes where the fewest tokens stand before its first result: its own that no page
 * there holds, and those of the prompts that run there already.
 *
 * Here: slots, admission, composing steps, reading out the rows that matter (deliver.c). Not here: the queue and
 * threads (light.c), pages (kv_cache.h). Used by the polling thread only. A step allocates nothing. */
#ifndef MU_ENGINE_BATCHER_H
#define MU_ENGINE_BATCHER_H

#include "base/clock.h"
#include "engine/kv/kv_cache.h"
#include "engine/kv/pool_stats.h"
#include "engine/queue.h"
#include "engine/sample/sampler.h"
#include "plan/step_mix.h"

/* A running request: its sequence number is its slot number; slots are dealt out to lanes in runs of equal length. */
struct mu_slot {
    struct mu_job *job; /* NULL: free */
    int n_done;         /* tokens whose keys and values are in the cache */
};

/* Rows of one slot in a step, side by side. */
struct mu_part {
    int slot, begin, n;
};

#define MU_WATCHED_MAX 256 /* waiting requests, from the oldest on, for which rows of others may be read */

/* A row whose logits matter. */
struct mu_read {
    struct mu_job *job;
    int32_t slot, row, pos;
};

struct mu_batcher_limits {
    int rows_max; /* of one lane */
    int logit_rows_max, prefill_chunk;
    int sequences_max; /* a multiple of n_lanes */
    int n_lanes;
    int64_t context_max;
    int32_t pages_n; /* of one lane */
    int64_t vocab;
};

struct mu_batcher_counts {
    uint64_t steps, rows, logit_rows, tokens_prompt, tokens_cached, tokens_output, jobs_done, jobs_failed;
    int64_t step_ns;
};

struct mu_batcher {
    struct mu_runner *runner;
    const struct mu_clock *clock;
    struct mu_batcher_limits limits;
    struct mu_kv_cache *kv; /* [n_lanes] */
    int32_t *table;         /* [sequences_max, pages_max] */
    struct mu_sampler sampler;
    struct mu_text_scratch *text;
    const int32_t *eos;
    int n_eos;

    struct mu_slot *slots; /* [sequences_max] */
    int32_t *lengths;      /* [sequences_max] tokens each will ever feed */
    int32_t *running;      /* [sequences_max] slots in order of admission */
    int n_running;
    struct mu_part *parts;       /* [sequences_max] */
    int32_t *ids, *pos, *seq;    /* [rows_max * n_lanes] */
    struct mu_read *reads;       /* the same */
    int32_t *read_rows, *argmax; /* [logit_rows_max] */
    double *lse;                 /* [logit_rows_max] */
    int n_parts, n_rows;
    struct mu_job *watched[MU_WATCHED_MAX]; /* of the next step */
    int n_watched;

    struct mu_job_list finished; /* since the last look */
    struct mu_batcher_counts counts;
    struct mu_step_mix mix; /* of the steps so far, to be held against what was predicted */
};

void mu_batcher_carve(struct mu_batcher *b, struct mu_carve *c, const struct mu_batcher_limits *l);
void mu_batcher_reset(struct mu_batcher *b, struct mu_runner *runner, bool is_sharing);

/* Whether a job may start now. ADMIT_LATER: others may pass it; ADMIT_FULL: none may, so that it gets its turn. */
enum mu_admit { MU_ADMIT_STARTED, MU_ADMIT_LATER, MU_ADMIT_FULL, MU_ADMIT_FAILED };
enum mu_admit mu_batcher_admit(struct mu_batcher *b, struct mu_job *j); /* FAILED: the job is in finished */

/* Those that still wait when a step begins: a list, whose members stay until it has ended. */
void mu_batcher_watch(struct mu_batcher *b, struct mu_job *waiting);

/* One step of what runs. Failures of the model become the results of the requests they hit. */
void mu_batcher_step(struct mu_batcher *b);

/* Fail all that runs. */
void mu_batcher_fail_all(struct mu_batcher *b, const struct mu_err *why);

/* All lanes' pages: as they are; moved together, at most pages_max in each; their free end given back. Between steps.
 */
void mu_batcher_kv_stats(const struct mu_batcher *b, struct mu_kv_stats *out);
int mu_batcher_compact(struct mu_batcher *b, int pages_max, int *n_moved, struct mu_err *e);
int mu_batcher_give_back(struct mu_batcher *b, int64_t *n_pages, struct mu_err *e);

static inline int mu_batcher_lane(const struct mu_batcher *b, int slot)
{
    return slot / (b->limits.sequences_max / b->limits.n_lanes);
}

/* End a job: running ones leave their slot. It is appended to finished. */
void mu_batcher_finish(struct mu_batcher *b, int slot, enum mu_finish finish, int code);
void mu_batcher_finish_queued(struct mu_batcher *b, struct mu_job *j, enum mu_finish finish);

/* deliver.c: the logits of row pos of a job: report, draw, finish. */
void mu_deliver(struct mu_batcher *b, const struct mu_read *read, const float *logits, int32_t argmax, double lse);
/* The last event of a streamed request. */
void mu_deliver_end(struct mu_batcher *b, struct mu_job *j, enum mu_finish *finish);

#endif
