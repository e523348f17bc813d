/* table.c (avx2) - the kernels of level "avx2" */
#include "tensor/cpu/level.h"
#include "tensor/cpu/shape.h"

const struct mu_cpu_kernels mu_kernels_avx2 = {
    .block_rows_max = MU_LIN_ROWS,
    .piece_blocks = MU_LIN_BLOCKS,
    .piece_rows = MU_INT_PIECE,
    .panel_unit = MU_PANEL_UNIT,
    .run_k = MU_LIN_RUN_K,
    .short_rows = MU_LIN_SHORT_ROWS,
    .short_run_k = MU_LIN_SHORT_RUN_K,
    .stream_rows = MU_LIN_STREAM_ROWS,
    .linear_scratch_bytes = mu_shape_scratch_bytes,
    .linear = {mu_avx2_linear_f32, mu_avx2_linear_bf16, mu_avx2_linear_f16, mu_avx2_linear_int8, mu_avx2_linear_int4},
    .pack_rows = mu_avx2_pack_rows,
    .quantise_row = mu_avx2_quantise_row,
    .rmsnorm = mu_avx2_rmsnorm,
    .layernorm = mu_avx2_layernorm,
    .rope = mu_avx2_rope,
    .act = mu_avx2_act,
    .act_mul = mu_avx2_act_mul,
    .add = mu_avx2_add,
    .axpy = mu_avx2_axpy,
    .attention = mu_avx2_attention,
    .attention_join = mu_avx2_attention_join,
    .logsumexp = mu_avx2_logsumexp,
};
