/* cost_engine.c - programs, as the constants of their way to run
 *
 * Ours is first. The others are the programs whose measurements docs/planner-accuracy.md compares with; their numbers
 * were fitted there, one set a program (and a weight format where its kernels are other ones), on the rows that the
 * page names. */
#include "plan/cost.h"

#include <string.h>

#include "base/check.h"
#include "plan/bill.h"

/* What FasterTransformer's fit gave, which those with a handful of rows borrow. */
#define LIKE_FASTERTRANSFORMER                                                                                         \
    .product = 0.8, .kv = 1.1, .attention = 0.03, .overlap = 0.33, .link = 0.93, .act_bytes = 2, .memory_part = 0.98,  \
    .act_hidden = 12, .act_ffn = 4
#define DEEPSPEED LIKE_FASTERTRANSFORMER, .collective_s = 23e-6, .base_bytes = 3e9, .kv_copies = 3
#define ACCELERATE                                                                                                     \
    LIKE_FASTERTRANSFORMER, .micro_rows = 1 << 30, .is_decode_whole = true, .base_bytes = 3e9, .kv_copies = 18

static const struct mu_cost_engine engines[] = {
    {.name = "muster",
     .product = 1,
     .memory = 1,
     .kv = 1,
     .overlap = 1,
     .layer_ops = 14,
     .link = 1,
     .act_bytes = 4,
     .chunk_rows = MU_BILL_ROWS_WANTED,
     .is_flushed = true,
     .is_own_comm = true,
     .memory_part = 0.95,
     .act_hidden = 8,
     .act_ffn = 2,
     .kv_copies = 1},
    {.name = "FasterTransformer",
     LIKE_FASTERTRANSFORMER,
     .memory = 1,
     .layer_ops = 27,
     .collective_s = 23e-6,
     .micro_rows = 2048,
     .is_decode_whole = true,
     .is_attention_square = true,
     .base_bytes = 2.6e9,
     .kv_copies = 1},
    {.name = "TensorRT-LLM",
     .product = 0.67,
     .product_fp4 = 0.43,
     .memory = 1.1,
     .kv = 1,
     .attention = 0.485,
     .overlap = 0.775,
     .layer_ops = 20.6,
     .collective_s = 3.8e-6,
     .link = 1,
     .act_bytes = 2,
     .batch_max = 2048,
     .memory_part = 0.9,
     .base_bytes = 3e9,
     .kv_copies = 1},
    {.name = "DeepSpeed-Inference", DEEPSPEED, .memory = 1, .layer_ops = 27},
    {.name = "DeepSpeed-Inference int8", DEEPSPEED, .memory = 0.16, .layer_ops = 17},
    {.name = "Accelerate", ACCELERATE, .memory = 1, .layer_ops = 187},
    {.name = "Accelerate int8", ACCELERATE, .memory = 0.68, .layer_ops = 500, .row_s = 3.3e-3},
};

const struct mu_cost_engine *mu_cost_engine_own(void)
{
    return &engines[0];
}

const struct mu_cost_engine *mu_cost_engine_find(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(engines); i++) {
        if (strcmp(engines[i].name, name) == 0)
            return &engines[i];
    }
    return NULL;
}
