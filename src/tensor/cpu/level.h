/* level.h - the kernels of the level being compiled, by their contracts in kernels.h */
#ifndef MU_TENSOR_CPU_LEVEL_H
#define MU_TENSOR_CPU_LEVEL_H

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/lanes.h"

size_t MU_LEVEL(linear_scratch_bytes)(int64_t n_in);
void MU_LEVEL(linear_f32)(const struct mu_linear_job *j, const struct mu_linear_piece *p);
void MU_LEVEL(linear_bf16)(const struct mu_linear_job *j, const struct mu_linear_piece *p);
void MU_LEVEL(linear_f16)(const struct mu_linear_job *j, const struct mu_linear_piece *p);
void MU_LEVEL(linear_int8)(const struct mu_linear_job *j, const struct mu_linear_piece *p);
void MU_LEVEL(linear_int4)(const struct mu_linear_job *j, const struct mu_linear_piece *p);
void MU_LEVEL(pack_rows)(float *dst, const float *x, int64_t ldx, int64_t rows, int64_t n_in);
void MU_LEVEL(quantise_row)(const struct mu_cut *c, const float *x, int8_t *q, float *scale, int32_t *sum);
void MU_LEVEL(rmsnorm)(float *y, const float *x, const float *w, float w_offset, float eps, int64_t D);
void MU_LEVEL(layernorm)(float *y, const float *x, const float *w, const float *b, float eps, int64_t D);
void MU_LEVEL(rope)(float *x, int rot, enum mu_rope_style style, const float *table);
void MU_LEVEL(act)(float *y, const float *x, enum mu_act act, int64_t D);
void MU_LEVEL(act_mul)(float *y, const float *gate, const float *up, enum mu_act act, int64_t D);
void MU_LEVEL(add)(float *y, const float *a, const float *b, int64_t D);
void MU_LEVEL(axpy)(float *y, float w, const float *x, int64_t D);
void MU_LEVEL(attention)(const struct mu_attn_tile *t);
void MU_LEVEL(attention_join)(float *M, float *L, float *O, float m, float l, const float *o, int dv);
struct mu_lse_tile MU_LEVEL(logsumexp)(const float *x, int64_t n);

#endif
