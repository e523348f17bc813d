/* shard_rig.h - one network on one rank and on many fake ranks, for tests: the same bits are wanted
 *
 * The network computes SHARD_ROWS rows (or a multiple) of a sequence a lane, in chunks that differ from lane to lane,
 * some of them empty. Where there are stages, a chunk goes through them in two micro-batches at different places. */
#ifndef SHARD_RIG_H
#define SHARD_RIG_H

#include "model/expert_table.h"
#include "model/model.h"
#include "xt.h"

#define SHARD_ROWS      21
#define SHARD_STAGES    4
#define SHARD_RANKS_MAX 24

struct shard_case {
    const char *dir;
    enum mu_wformat format;
    enum mu_mla_form mla;
    enum mu_dtype kv_dtype; /* 0 stands for f32 */
    int length;             /* rows in SHARD_ROWS, chunks grow with them; 0 stands for 1 */
};

struct shard_case shard_golden(const char *name); /* dir lives until the fourth call after */

#define SHARD_SPARSE_N 8
extern const char *const shard_sparse[SHARD_SPARSE_N]; /* golden checkpoints with experts */

enum shard_loads {
    SHARD_LOADS_NONE,
    SHARD_LOADS_RANDOM, /* every layer its own; some experts have none */
    SHARD_LOADS_ONE     /* one expert has all */
};

struct shard_plan {
    int tp, pp, lanes;
    int ends[SHARD_STAGES]; /* [pp] layers, -1 stands for all */
    int ranks_per_node;     /* that load together; 0: all, 1: each alone */
    bool over_nodes;        /* all of them together: what a node reads it sends to the others */
    int cp;                 /* tensor ranks that share a KV cache; 0 stands for 1 */
    int redundant;          /* copies of experts a layer beyond one of each */
    enum shard_loads loads; /* by which experts are placed */
    bool is_long;           /* lane 0 has all its rows in one step */
    int slice_rows;         /* of struct mu_model_opts */
};

#define SHARD_LANES_N 5
extern const struct shard_plan shard_lanes[SHARD_LANES_N]; /* 1 to 8 lanes of one rank */

/* One rank's model with everything it needs. */
#define SHARD_LENGTH_MAX 32
#define SHARD_PAGES_MAX  (SHARD_LENGTH_MAX * SHARD_ROWS / MU_KV_PAGE + 1)
struct shard_part {
    struct mu_device *d;
    struct mu_weights *w;
    struct mu_spec spec;
    struct mu_model *m;
    struct mu_model_sizes sizes;
    int slice_rows;
    void *kv;
    int32_t pages[SHARD_PAGES_MAX];
};

struct shard_rank {
    struct shard_part part;
    struct mu_shard sh;
    struct mu_expert_table *placed;
    struct mu_comm *world;
    int rank, stage;
    const struct shard_case *c;
    const struct shard_plan *p;
    void *arg;
};

/* Device, files and model; the spec is there already. Rows [first, first + n) of the lane's sequence, at hidden rows
 * `at`. Logits of the first n rows of the last step. */
int shard_open(struct shard_rank *k, mu_progress_fn progress, struct mu_err *e);
int shard_step(struct shard_rank *k, int first, int n, int at, struct mu_err *e);
int shard_logits(struct shard_rank *k, int n, const float **logits, struct mu_err *e);

/* Runs fn on every rank of the plan, on a thread of its own, with spec and shard made and nothing open; what it opened
 * is closed after. Codes and sentences by rank in rcs and errs (may be NULL); returns the first failure. */
typedef int (*shard_fn)(struct shard_rank *k, struct mu_err *e);
int shard_run(const struct shard_case *c, const struct shard_plan *p, shard_fn fn, void *arg, int *rcs,
              struct mu_err *errs);

/* What one rank computes for the sequences of so many lanes. */
struct shard_want {
    struct shard_case c;
    int lanes, experts; /* of a layer */
    int64_t hidden, vocab;
    int rows;
    float *x, *logits; /* [lanes][rows][hidden or vocab] */
    char content_hash[MU_CONTENT_HASH_BYTES];
    uint64_t bytes_read;
};
void shard_want(struct shard_want *w, const struct shard_case *c, int lanes); /* fails the running test */
void shard_want_free(struct shard_want *w);

/* Runs the plan on fake ranks and compares hidden rows, logits, content hash and bytes read; fails the running test
 * naming what differs. */
void shard_compare(const struct shard_want *w, const struct shard_plan *p);

#endif
