/* ref.h - the reference kernels: plain C, one fixed order, no SIMD; they decide what is right and stay */
#ifndef MU_TENSOR_CPU_REF_H
#define MU_TENSOR_CPU_REF_H

#include "tensor/cpu/kernels.h"

/* sum16 of ops.h: what is left of 16 partial sums after adding halves. */
static inline float mu_ref_halve16(float p[16])
{
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            p[j] = p[j] + p[j + half];
    return p[0];
}

size_t mu_ref_linear_scratch_bytes(int64_t n_in);
void mu_ref_linear(const struct mu_linear_job *j, const struct mu_linear_piece *p);
void mu_ref_quantise_row(const struct mu_cut *c, const float *x, int8_t *q, float *scale, int32_t *sum);
void mu_ref_rmsnorm(float *y, const float *x, const float *w, float w_offset, float eps, int64_t D);
void mu_ref_layernorm(float *y, const float *x, const float *w, const float *b, float eps, int64_t D);
void mu_ref_rope(float *x, int rot, enum mu_rope_style style, const float *table);
void mu_ref_act(float *y, const float *x, enum mu_act act, int64_t D);
void mu_ref_act_mul(float *y, const float *gate, const float *up, enum mu_act act, int64_t D);
void mu_ref_add(float *y, const float *a, const float *b, int64_t D);
void mu_ref_axpy(float *y, float w, const float *x, int64_t D);
void mu_ref_attention(const struct mu_attn_tile *t);
void mu_ref_attention_join(float *M, float *L, float *O, float m, float l, const float *o, int dv);
struct mu_lse_tile mu_ref_logsumexp(const float *x, int64_t n);

#endif
