/* ops.h - the op table: every numeric operation of a forward pass, as one backend level provides it
 *
 * All activations are f32, row-major; ld* are row strides in elements. Rows of a step are independent: an op's result
 * for a row never depends on the other rows, on the number of rows or on threads, bit for bit. On the CPU every level
 * (ref, avx2, avx512) gives the same bits too: sums have a stated order and all elementary functions are ours
 * (elementary.h). Ops do not allocate; scratch comes from device->work (work_bytes() says how much). An op fails only
 * on a device error or scratch that was reserved too small (MU_EINTERNAL).
 *
 * Orders. sum16(x): 16 partial sums, partial j adds elements j, j+16, j+32, ... in increasing order from +0; then
 * halves are added: p[j] += p[j+8], then 4, 2, 1. Squares enter by fma. Where inputs hold NaN the outputs do too, but
 * which NaN is not fixed. */
#ifndef MU_TENSOR_OPS_H
#define MU_TENSOR_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/device.h"
#include "tensor/kv_type.h"
#include "tensor/matrix.h"
#include <muster/err.h>

enum mu_act {
    MU_ACT_SILU,      /* x * sigmoid(x) */
    MU_ACT_GELU,      /* x * Phi(x) by erf */
    MU_ACT_GELU_TANH, /* the tanh form: "gelu_new", "gelu_pytorch_tanh", "gelu_fast" */
    MU_ACT_RELU,
    MU_ACT_RELU2,     /* relu(x)^2 */
    MU_ACT_QUICK_GELU /* x * sigmoid(1.702 x) */
};

enum mu_rope_style {
    MU_ROPE_HALF,       /* pairs (i, i + rot/2): Llama in Hugging Face layout, GPT-NeoX, Falcon */
    MU_ROPE_INTERLEAVED /* pairs (2i, 2i+1): DeepSeek, original Llama; the result stays in place */
};

/* The paged KV cache of one layer, as ops see it. A page holds MU_KV_PAGE consecutive positions of one sequence:
 *   K part  [n_kv_heads][dk][MU_KV_PAGE]     keys side by side, so that a lane is a key
 *   V part  [n_kv_heads][MU_KV_PAGE][dv]
 * Element type f32, bf16 or f16 (rounded to nearest even when stored), or int8 with scales (kv_type.h). Page p of this
 * layer starts at k + p * page_stride and v + p * page_stride (bytes). For latent attention run absorbed, n_kv_heads is
 * 1 and is_v_in_k says that V is the first dv rows of K: then v is NULL and nothing is stored twice.
 *
 * Several ranks may share a cache out by strands of keys (MU_ATTN_STRANDS, below): each holds the pages of its own run
 * of them, and page p of a page table lies at p / owners. Rows of other strands are not stored. */
struct mu_kv_layer {
    enum mu_dtype dtype;
    int n_kv_heads, dk, dv;
    bool is_v_in_k;
    void *k, *v;
    size_t page_stride;
    int owners;                   /* 0: this rank alone has all */
    int strand_begin, strand_end; /* owners > 0: those that are here */
};

/* Which sequences the rows of a step belong to. Row r is position pos[r] of sequence seq[r]; the page of position t of
 * sequence s is page_table[s * pages_max + t / MU_KV_PAGE]. */
struct mu_rows {
    int n;
    const int32_t *pos;
    const int32_t *seq;
    const int32_t *page_table;
    int pages_max;
};

/* Attention: out[r, h, :] = sum_j softmax_j(scale * q[r,h]·k[j] + alibi) v[j] over visible keys j <= pos[r], and
 * pos[r] - j < window when window > 0. Head h reads KV head (first + h) / group: the heads may be a run of a layer's
 * that begins and ends inside a group.
 *
 * Order: keys and values are what the cache holds, as f32. Keys are tiled at absolute positions, MU_ATTN_TILE a tile.
 * q·k adds by fma in increasing d from +0; the score is q·k * scale, with ALiBi fma(q·k, scale, slope * j), or
 * fma(slope, j, q·k) * scale when alibi_is_scaled. Within a tile: m = max of the visible scores, p[j] = exp(s[j] - m)
 * (0 for hidden keys), l = sum16(p), o[d] = fma over the visible keys in increasing j from +0 (a hidden value is never
 * touched, so that it may be anything).
 *
 * A state (M, L, O) is what some of a row's keys make of a head; L is 0 without a visible key, else at least 1. Two
 * states are joined so: M' = max(M, m); a = exp(M - M'), b = exp(m - M'); L = L*a + l*b; O = O*a + o*b (one fma each:
 * fma(L, a, l*b)); where one of them has no key the other is left as it is. Tile i belongs to strand i % 8
 * (MU_ATTN_STRANDS). A strand's tiles are joined in increasing order, strands by halves: ((0,1),(2,3)),((4,5),(6,7)).
 * out = O / L. So threads and ranks may have strands of one row each, and the sum stays the same. */
#define MU_ATTN_TILE    64
#define MU_ATTN_STRANDS 8

/* States travel as M, L, O[dv]. */
#define MU_ATTN_STATE(dv) (2 + (int64_t)(dv))

static inline int mu_attn_strand(int64_t pos)
{
    return (int)(pos / MU_ATTN_TILE % MU_ATTN_STRANDS);
}

/* The end of the first root of strands [begin, end), begin < end: the largest subtree of the halves that begins there
 * and lies inside; the same as comm/tree.h cuts them. */
static inline int mu_attn_root_end(int begin, int end)
{
    int n = begin > 0 ? begin & -begin : MU_ATTN_STRANDS;
    while (begin + n > end)
        n /= 2;
    return begin + n;
}

static inline int mu_attn_roots(int begin, int end)
{
    int n = 0;
    for (; begin < end; begin = mu_attn_root_end(begin, end))
        n++;
    return n;
}

struct mu_attn {
    const float *q; /* [n, n_heads * dk], stride ldq */
    int64_t ldq;
    float *out; /* [n, n_heads * dv], stride ldo */
    int64_t ldo;
    int n_heads;
    int group; /* query heads that read one KV head; 0: n_heads / n_kv_heads */
    int first; /* place of head 0 in its group, below group */
    float scale;
    int window;                /* 0: all keys up to pos */
    const float *alibi_slopes; /* [n_heads] or NULL */
    bool alibi_is_scaled;      /* the bias is multiplied by scale too, as Falcon does */
};

/* Scratch of the CPU levels, so that a bill can be made without a device (plan/rank_bill.h): rows of a linear that are
 * prepared at a time (beyond them, reading the weights again costs little beside the arithmetic), and bytes of
 * attention states where threads share a row, at most. */
#define MU_CPU_LINEAR_ROWS     512
#define MU_CPU_ATTENTION_BYTES ((size_t)16 << 20)

struct mu_ops {
    const char *level; /* "ref", "avx2", "avx512", "cuda" */
    bool (*is_available)(void);
    const char *(*missing)(void); /* what this machine lacks for the level; NULL when it is available */

    /* Scratch that linear needs for up to n_rows rows of n_in inputs in this format. */
    size_t (*linear_work_bytes)(const struct mu_device *d, enum mu_wformat f, int64_t n_rows, int64_t n_in);

    /* y[n, n_out] = x[n, n_in] W^T + bias, sums shaped as matrix.h says; y may not alias x. Bias is added last. */
    int (*linear)(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t n,
                  const struct mu_matrix *w, struct mu_err *e);

    /* y[i] = row ids[i] of the table (a packed matrix), f32. */
    int (*embed)(struct mu_device *d, float *y, int64_t ldy, const struct mu_matrix *table, const int32_t *ids,
                 int64_t n, struct mu_err *e);

    /* y = x / sqrt(sum16(x^2)/D + eps) * (w + w_offset); w_offset is 1 for zero-centred norms. y may alias x.
     * rows of D; 1/sqrt by true division and sqrt. w may be NULL (no weight). */
    int (*rmsnorm)(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                   float w_offset, float eps, int64_t n, int64_t D, struct mu_err *e);

    /* y = (x - mean) / sqrt(var + eps) * w + b; mean = sum16(x)/D, var = sum16((x-mean)^2)/D. b may be NULL. */
    int (*layernorm)(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                     const float *b, float eps, int64_t n, int64_t D, struct mu_err *e);

    /* Rotate the first rot elements of each of n_heads heads (stride head_stride) of every row in place.
     * table: [positions][rot] f32, first rot/2 cosines then rot/2 sines, any attention scaling already in. */
    int (*rope)(struct mu_device *d, float *x, int64_t ldx, int64_t head_stride, int n_heads, int rot,
                enum mu_rope_style style, const float *table, const int32_t *pos, int64_t n, struct mu_err *e);

    /* Write this step's keys [n, n_kv_heads*dk] and values [n, n_kv_heads*dv] (v NULL when is_v_in_k) into their pages.
     */
    int (*kv_store)(struct mu_device *d, const struct mu_kv_layer *kv, const struct mu_rows *rows, const float *k,
                    int64_t ldk, const float *v, int64_t ldv, struct mu_err *e);

    size_t (*attention_work_bytes)(const struct mu_device *d, int n_heads, int dk, int dv, int64_t n_rows,
                                   int64_t context);
    int (*attention)(struct mu_device *d, const struct mu_attn *a, const struct mu_kv_layer *kv,
                     const struct mu_rows *rows, struct mu_err *e);

    /* The strands of kv alone, their states instead of outputs: a->out is [n_heads][n][roots][MU_ATTN_STATE(dv)], one
     * state for each root of the run, and a->ldo is not used. Pages of other strands are not touched. */
    int (*attention_partial)(struct mu_device *d, const struct mu_attn *a, const struct mu_kv_layer *kv,
                             const struct mu_rows *rows, struct mu_err *e);

    /* out [n, n_heads * dv] from the states of `size` runs that are all strands, cut at cuts[size + 1]; states holds
     * what each run's attention_partial gave, one after the other, and is changed. */
    int (*attention_merge)(struct mu_device *d, float *out, int64_t ldo, float *states, const int32_t *cuts, int size,
                           int64_t n, int n_heads, int dv, struct mu_err *e);

    /* y = act(x) ; and y = act(gate) * up. May work in place. */
    int (*act)(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, enum mu_act act, int64_t n,
               int64_t D, struct mu_err *e);
    int (*act_mul)(struct mu_device *d, float *y, int64_t ldy, const float *gate, int64_t ldg, const float *up,
                   int64_t ldu, enum mu_act act, int64_t n, int64_t D, struct mu_err *e);

    /* y = a + b, elementwise. May work in place. */
    int (*add)(struct mu_device *d, float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb,
               int64_t n, int64_t D, struct mu_err *e);

    /* Rows by index: y[i] = x[idx[i]]; and y[idx[i]] = fma(w[i], x[i], y[idx[i]]) in increasing i (idx distinct). */
    int (*gather)(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const int32_t *idx,
                  int64_t n, int64_t D, struct mu_err *e);
    int (*scatter_add)(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const int32_t *idx,
                       const float *w, int64_t n, int64_t D, struct mu_err *e);

    /* Per row of logits [n, V]: the largest value's first index, and log(sum exp) as f64: vocabulary tiles of
     * MU_VOCAB_TILE, each (m = max, l = sum16(exp(x-m))), folded in increasing order in f64. MU_ENUMERIC when a row
     * holds NaN or +inf. */
    int (*logsumexp)(struct mu_device *d, const float *logits, int64_t ld, int64_t n, int64_t V, int32_t *argmax,
                     double *lse, struct mu_err *e);
};

#define MU_VOCAB_TILE 4096

#endif
