/* cost.h - how long a layout will take, by parts
 *
 * Pure. Rooflines with curves: a product takes the larger of its FLOP and its bytes over what the device reaches at
 * that size; collectives take latency and bytes over what the link reaches, between nodes over the slower link. Each
 * concern is one file and names its sources: cost_product.c, cost_attention.c, cost_experts.c, cost_cut.c,
 * cost_comm.c, cost_pipeline.c, cost_memory.c, cost_engine.c. Constants belong to a kind of device or link (machine.h)
 * or to a program (struct mu_cost_engine), never to a model or a run. How well they predict: docs/planner-accuracy.md.
 */
#ifndef MU_PLAN_COST_H
#define MU_PLAN_COST_H

#include "plan/layout.h"
#include "plan/machine.h"

/* What a program makes of a device: what it reaches of the device's curves and what it does beside. Our own is the
 * first; the others are there because published measurements are theirs. */
struct mu_cost_engine {
    const char *name;
    double product, memory, kv; /* parts of the device's rates: products, weights read, KV cache read */
    double product_fp4;         /* the same of products in 4 bits; 0: as product */
    double attention;           /* part of the product rate inside attention; 0: the device's */
    double overlap;             /* of the shorter of computing and reading, the part that hides behind the longer */
    double layer_ops;           /* operations started for a layer, launch_s each */
    double step_s, row_s;       /* host: for a step, and for each sequence of it */
    double collective_s;        /* to start a collective and meet the others, beside the links' latency */
    double link;                /* part of the links' rates */
    double act_bytes;           /* of one activation element, in memory and on links */
    int64_t chunk_rows;         /* prompts are computed in steps of so many rows; 0: all at once */
    int64_t micro_rows;         /* pipeline: prompts go in micro-batches of at most so many rows; 0: one a stage */
    bool is_own_comm;           /* ranks meet as comm/ and model/moe*.c have them, else as NCCL and DeepEP do */
    bool is_decode_whole;       /* pipeline: the batch of a decoding step is not cut */
    bool is_flushed;          /* pipeline: a step is cut as engine/ranks/rank.h does, and ends before the next begins */
    bool is_attention_square; /* prefill computes the half of the scores that the mask removes */
    int64_t batch_max;        /* of sequences at a time */
    double memory_part;       /* of a device's memory that it may fill */
    double base_bytes;        /* its own */
    double act_hidden, act_ffn; /* activations a prompt row holds: hidden sizes, and MLP sizes of a rank */
    double kv_copies;           /* memory of the KV cache over its own size */
};
const struct mu_cost_engine *mu_cost_engine_own(void);
const struct mu_cost_engine *mu_cost_engine_find(const char *name); /* NULL: unknown */

/* A request of which nobody said more: its tokens (half the context of a model that holds fewer), and its rows that are
 * scored. */
#define MU_WORK_PROMPT 512
#define MU_WORK_SCORED 32

/* What is asked of one replica. */
struct mu_workload {
    int64_t prompt, output; /* tokens of a request; output 0: scoring */
    int64_t shared;         /* leading prompt tokens that requests have in common and that are computed once */
    int64_t scored;         /* prompt rows of a request whose logits are wanted; 0: the last */
    int64_t batch;          /* sequences of one replica at a time */
    int64_t requests;       /* in all, over all replicas; 0: a rate is enough */
    int redundant_experts;  /* copies a layer beyond one of each expert */
    enum mu_wformat weights;
    enum mu_dtype kv_dtype;
    const struct mu_cost_engine *engine; /* NULL: our own */
    double weight_bytes_per_param;       /* of an engine that is not ours (published runs); 0: by weights */
    enum mu_rate rate;                   /* of its products; counts when weight_bytes_per_param does */
};

/* Seconds. A step's parts add up to its total. */
struct mu_cost_step {
    double compute, memory, comm, bubble, launch, total;
};

struct mu_cost {
    struct mu_cost_step prefill; /* of `batch` prompts */
    struct mu_cost_step decode;  /* one token of `batch` sequences, at the middle of the output */
    double request_s;            /* a batch of requests from its first prompt token to its last output token */
    double tokens_per_s;         /* prompt and output tokens of all replicas */
    double output_per_s;         /* output tokens of all replicas */
    double load_s, total_s;      /* weights from storage; load and all requests (requests > 0) */
};

int mu_cost_of(struct mu_cost *out, const struct mu_spec *s, const struct mu_layout *l, const struct mu_machine *m,
               const struct mu_workload *w, struct mu_err *e);

/* One step of a replica. Lanes share it by whole sequences: the one with most of them decides. */
struct mu_cost_rows {
    double rows, sequences; /* of all lanes; more rows than sequences are prompts */
    double context;         /* keys before each row */
    double logits;          /* rows that are scored */
};
int mu_cost_step_of(struct mu_cost_step *out, const struct mu_spec *s, const struct mu_layout *l,
                    const struct mu_machine *m, const struct mu_workload *w, const struct mu_cost_rows *r,
                    struct mu_err *e);

/* Bytes of the fullest device while `batch` requests of prompt + output tokens run; for engines that are not ours:
 * what ours takes is the bill's to say. */
int mu_cost_memory(double *bytes, const struct mu_spec *s, const struct mu_layout *l, const struct mu_workload *w,
                   struct mu_err *e);

/* The most requests at a time that the engine's share of the memory, and its own bound, allow; 0: none. */
int mu_cost_batch_max(int64_t *out, const struct mu_spec *s, const struct mu_layout *l, const struct mu_machine *m,
                      const struct mu_workload *w, struct mu_err *e);

#endif
