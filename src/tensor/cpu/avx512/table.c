/* table.c (avx512) - the kernels of level "avx512", with and without VNNI */
#include "tensor/cpu/level.h"
#include "tensor/cpu/shape.h"

/* Of avx2/linear_int.c; they take the same pieces and less scratch. */
void mu_avx2_linear_int8(const struct mu_linear_job *j, const struct mu_linear_piece *p);
void mu_avx2_linear_int4(const struct mu_linear_job *j, const struct mu_linear_piece *p);

#define KERNELS(int8, int4)                                                                                            \
    {                                                                                                                  \
        .block_rows_max = MU_LIN_ROWS, .piece_blocks = MU_LIN_BLOCKS, .piece_rows = MU_INT_PIECE,                      \
        .panel_unit = MU_PANEL_UNIT, .stream_rows = MU_LIN_STREAM_ROWS, .run_k = MU_LIN_RUN_K,                         \
        .short_rows = MU_LIN_SHORT_ROWS, .short_run_k = MU_LIN_SHORT_RUN_K,                                            \
        .linear_scratch_bytes = mu_shape_scratch_bytes,                                                                \
        .linear = {mu_avx512_linear_f32, mu_avx512_linear_bf16, mu_avx512_linear_f16, int8, int4},                     \
        .pack_rows = mu_avx512_pack_rows, .quantise_row = mu_avx512_quantise_row, .rmsnorm = mu_avx512_rmsnorm,        \
        .layernorm = mu_avx512_layernorm, .rope = mu_avx512_rope, .act = mu_avx512_act, .act_mul = mu_avx512_act_mul,  \
        .add = mu_avx512_add, .axpy = mu_avx512_axpy, .attention = mu_avx512_attention,                                \
        .attention_join = mu_avx512_attention_join, .logsumexp = mu_avx512_logsumexp,                                  \
    }

const struct mu_cpu_kernels mu_kernels_avx512 = KERNELS(mu_avx512_linear_int8, mu_avx512_linear_int4);
const struct mu_cpu_kernels mu_kernels_avx512_no_vnni = KERNELS(mu_avx2_linear_int8, mu_avx2_linear_int4);
