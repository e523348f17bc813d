/* rank_bill.h - what one rank of a layout needs of memory, in closed form
 *
 * Pure, and quick enough for every candidate of a search: a layer is counted by its matrices, not slot by slot. The
 * numbers are those that mu_model_sizes() gives for the rank's shard (tests/plan/test_rank_bill.c holds both together);
 * what a device's runtime takes is added. Everything is linear in rows, logit rows and KV pages. */
#ifndef MU_PLAN_RANK_BILL_H
#define MU_PLAN_RANK_BILL_H

#include "plan/cost.h"

/* Rows of one step on an accelerator: product rates are near their peak, activations still small beside weights. A
 * host's ranks take what bill.h wants. */
#define MU_PLAN_ROWS_MAX       2048
#define MU_PLAN_LOGIT_ROWS_MAX 256

/* Of each GPU process: context and kernels. pytorch issue 107667: about 300 MB with kernels loaded on need (CUDA 11.7
 * and later), above 1000 MB before; vLLM and others measure 500 MB and more with their libraries. */
#define MU_PLAN_GPU_CONTEXT_BYTES ((size_t)768 << 20)
/* NVIDIA's recommendation for cuBLAS on Hopper and later (cuBLAS API reference, cublasSetWorkspace). */
#define MU_PLAN_GPU_WORK_BYTES ((size_t)32 << 20)
/* Of each group a rank is in: NCCL's default buffer of 4 MiB (NCCL_BUFFSIZE) for up to 32 channels and two peers. */
#define MU_PLAN_NCCL_GROUP_BYTES ((size_t)256 << 20)
/* Part of the memory that blocks of 2 MiB leave unused; blocks are few because everything is reserved at the start. */
#define MU_PLAN_GPU_FRAGMENTED 0.01

/* Limits of a rank's bill. */
struct mu_rank_limits {
    int64_t rows, logit_rows;
    int64_t pages; /* of MU_KV_PAGE positions; of all ranks that share a cache */
    int64_t run;   /* of these, of one sequence: short ones lie on few of the ranks; 0: spread evenly */
};

struct mu_rank_bill {
    size_t weights;     /* packed matrices, norms, tables; this rank's share where others have them too */
    size_t kv;          /* pages */
    size_t activations; /* of a step */
    size_t work;        /* scratch of operations */
    size_t logits;
    size_t comm;    /* buffers of its groups */
    size_t runtime; /* program or context, what the allocator loses */
    size_t total;
    int weights_holders; /* ranks that share one copy of the weights; 1: this one alone */
};

/* Bytes, and bytes for each unit of the limits. */
struct mu_rank_need {
    size_t weights, page, row, shared_row, logit_row, gather_row, work, work_row, comm, runtime;
    int page_owners;     /* ranks that share the cache */
    int weights_holders; /* ranks of a node that share one copy of the weights, in other replicas; 0 stands for 1 */
    int rows_multiple;   /* buffers hold a round of equal shares of the stage's ranks */
};

/* l: with its stages cut. */
void mu_rank_need_of(struct mu_rank_need *out, const struct mu_spec *s, const struct mu_layout *l, int rank,
                     const struct mu_machine *m, const struct mu_workload *w);
void mu_rank_bill_of(struct mu_rank_bill *out, const struct mu_rank_need *n, const struct mu_rank_limits *k);

/* The limits under which `batch` sequences of a lane run. */
struct mu_rank_limits mu_rank_limits_of(const struct mu_machine *m, const struct mu_workload *w, int64_t batch);

#endif
