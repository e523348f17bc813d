/* ref_table.c - the kernels of level "ref" */
#include "tensor/cpu/ref.h"

const struct mu_cpu_kernels mu_kernels_ref = {
    .block_rows_max = 1,
    .piece_blocks = 16,
    .piece_rows = 16,
    .panel_unit = 1,
    .stream_rows = 1,
    .linear_scratch_bytes = mu_ref_linear_scratch_bytes,
    .linear = {mu_ref_linear, mu_ref_linear, mu_ref_linear, mu_ref_linear, mu_ref_linear},
    .quantise_row = mu_ref_quantise_row,
    .rmsnorm = mu_ref_rmsnorm,
    .layernorm = mu_ref_layernorm,
    .rope = mu_ref_rope,
    .act = mu_ref_act,
    .act_mul = mu_ref_act_mul,
    .add = mu_ref_add,
    .axpy = mu_ref_axpy,
    .attention = mu_ref_attention,
    .attention_join = mu_ref_attention_join,
    .logsumexp = mu_ref_logsumexp,
};
