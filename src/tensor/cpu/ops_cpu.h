/* ops_cpu.h - the drivers behind the CPU members of struct mu_ops; the same for every level */
#ifndef MU_TENSOR_CPU_OPS_CPU_H
#define MU_TENSOR_CPU_OPS_CPU_H

#include "tensor/ops.h"

size_t mu_cpu_linear_work_bytes(const struct mu_device *d, enum mu_wformat f, int64_t n_rows, int64_t n_in);
int mu_cpu_linear(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t n,
                  const struct mu_matrix *w, struct mu_err *e);
int mu_cpu_embed(struct mu_device *d, float *y, int64_t ldy, const struct mu_matrix *table, const int32_t *ids,
                 int64_t n, struct mu_err *e);
int mu_cpu_rmsnorm(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                   float w_offset, float eps, int64_t n, int64_t D, struct mu_err *e);
int mu_cpu_layernorm(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                     const float *b, float eps, int64_t n, int64_t D, struct mu_err *e);
int mu_cpu_rope(struct mu_device *d, float *x, int64_t ldx, int64_t head_stride, int n_heads, int rot,
                enum mu_rope_style style, const float *table, const int32_t *pos, int64_t n, struct mu_err *e);
int mu_cpu_kv_store(struct mu_device *d, const struct mu_kv_layer *kv, const struct mu_rows *rows, const float *k,
                    int64_t ldk, const float *v, int64_t ldv, struct mu_err *e);
size_t mu_cpu_attention_work_bytes(const struct mu_device *d, int n_heads, int dk, int dv, int64_t n_rows,
                                   int64_t context);
int mu_cpu_attention(struct mu_device *d, const struct mu_attn *a, const struct mu_kv_layer *kv,
                     const struct mu_rows *rows, struct mu_err *e);
int mu_cpu_attention_partial(struct mu_device *d, const struct mu_attn *a, const struct mu_kv_layer *kv,
                             const struct mu_rows *rows, struct mu_err *e);
int mu_cpu_attention_merge(struct mu_device *d, float *out, int64_t ldo, float *states, const int32_t *cuts, int size,
                           int64_t n, int n_heads, int dv, struct mu_err *e);
int mu_cpu_act(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, enum mu_act act, int64_t n,
               int64_t D, struct mu_err *e);
int mu_cpu_act_mul(struct mu_device *d, float *y, int64_t ldy, const float *gate, int64_t ldg, const float *up,
                   int64_t ldu, enum mu_act act, int64_t n, int64_t D, struct mu_err *e);
int mu_cpu_add(struct mu_device *d, float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb,
               int64_t n, int64_t D, struct mu_err *e);
int mu_cpu_gather(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const int32_t *idx,
                  int64_t n, int64_t D, struct mu_err *e);
int mu_cpu_scatter_add(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const int32_t *idx,
                       const float *w, int64_t n, int64_t D, struct mu_err *e);
int mu_cpu_logsumexp(struct mu_device *d, const float *logits, int64_t ld, int64_t n, int64_t V, int32_t *argmax,
                     double *lse, struct mu_err *e);

/* Rows a thread should get at least, so that starting it pays: some 16 K elements. */
static inline int64_t mu_row_grain(int64_t D)
{
    return D >= 16384 ? 1 : (16384 + D) / (D + 1);
}

#endif
