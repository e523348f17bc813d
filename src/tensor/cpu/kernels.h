/* kernels.h - what a CPU level provides: single-threaded pure functions, one table a level
 *
 * The drivers (linear.c, attention.c, ...) check sizes, lay out scratch and cut the work over threads; a kernel gets
 * one piece of it. All levels give the same bits. A kernel reads and writes only what its job names. */
#ifndef MU_TENSOR_CPU_KERNELS_H
#define MU_TENSOR_CPU_KERNELS_H

#include "tensor/matrix_int.h"
#include "tensor/ops.h"

/* One pass of a linear: n rows against all panels. Kernels take a run of panels and a run of rows of it. */
struct mu_linear_job {
    const struct mu_matrix *w;
    struct mu_cut cut;
    float *y;
    int64_t ldy;
    const float *x; /* [n, n_in], stride ldx */
    int64_t ldx;
    int64_t n;

    /* Float formats, levels that ask for it (block_rows_max > 1): rows in n_blocks blocks of nearly as many each
     * (mu_block_row()), inputs in runs: a whole row of a stream, else up to run_k inputs of one tile. A run of a block
     * is [k][rows of the block]; the blocks of a run lie side by side, and so the run of n_k inputs from k of the block
     * from row starts at packed + k * n + row * n_k. Otherwise a block is a row. */
    int64_t n_blocks, run_k;
    float *packed;

    /* Integer formats: quantised rows [n][n_in_padded], scale and sum of each group [n][n_groups]. */
    int8_t *q;
    float *q_scale;
    int32_t *q_sum;
};

/* The first row of a block; of block n_blocks: n. */
static inline int64_t mu_block_row(const struct mu_linear_job *j, int64_t block)
{
    return block * j->n / j->n_blocks;
}

struct mu_linear_piece {
    int64_t panel, panel_end;
    int64_t block, block_end;
    int64_t row, row_end; /* the rows of these */
    float *scratch;       /* linear_scratch_bytes() of it, 64-byte aligned */
};

typedef void (*mu_linear_fn)(const struct mu_linear_job *j, const struct mu_linear_piece *p);

/* One tile of keys against some queries that share its KV head. Queries are (row, head) pairs. */
struct mu_attn_tile {
    enum mu_dtype dtype;
    int dk, dv;
    const void *k[MU_ATTN_TILE / MU_KV_PAGE]; /* [dk][MU_KV_PAGE] a page; NULL: no query sees the page */
    const void *v[MU_ATTN_TILE / MU_KV_PAGE]; /* [MU_KV_PAGE][dv] a page; unused when is_v_in_k */
    bool is_v_in_k;
    int64_t j0; /* position of the tile's first key */

    int n; /* queries */
    const struct mu_attn_query {
        const float *q;   /* [dk] */
        float slope;      /* of the ALiBi bias, 0 without */
        int lo, hi;       /* keys of the tile that it sees, lo < hi */
        float *m, *l, *o; /* the state [dv] that the tile is joined to; *l 0: empty, the tile's own goes there */
    } * query;
    float scale;
    bool has_alibi, is_alibi_scaled;

    float *p;  /* scratch [n][MU_ATTN_TILE] */
    float *vt; /* scratch [MU_ATTN_TILE][dv] for is_v_in_k, else NULL */
};

struct mu_lse_tile {
    float max, sum; /* sum16(exp(x - max)) */
    int64_t first;  /* index of the first maximum */
    bool is_bad;    /* NaN or +inf seen; the rest is then meaningless */
};

struct mu_cpu_kernels {
    /* Shapes of the linear kernels of this level. */
    int block_rows_max; /* rows of a float block; 1: x is read as it is */
    int piece_blocks;   /* blocks that share the weights of a float piece */
    int piece_rows;     /* rows that share the weights of an integer piece */
    int panel_unit;     /* panels of a piece */
    int run_k;          /* inputs of a tile that are multiplied at once */
    int short_rows;     /* passes of up to so many rows */
    int short_run_k;    /*   take shorter runs: all their rows lie in L1 beside the weights */
    int stream_rows;    /* passes of up to so many rows get pieces of all rows and any run of panels */
    size_t (*linear_scratch_bytes)(int64_t n_in); /* of the largest piece */

    mu_linear_fn linear[MU_WFORMAT_N];
    void (*pack_rows)(float *dst, const float *x, int64_t ldx, int64_t rows, int64_t n_in); /* [k][rows] */
    void (*quantise_row)(const struct mu_cut *c, const float *x, int8_t *q, float *scale, int32_t *sum);

    /* One row each. */
    void (*rmsnorm)(float *y, const float *x, const float *w, float w_offset, float eps, int64_t D);
    void (*layernorm)(float *y, const float *x, const float *w, const float *b, float eps, int64_t D);
    void (*rope)(float *x, int rot, enum mu_rope_style style, const float *table);
    void (*act)(float *y, const float *x, enum mu_act act, int64_t D);
    void (*act_mul)(float *y, const float *gate, const float *up, enum mu_act act, int64_t D);
    void (*add)(float *y, const float *a, const float *b, int64_t D);
    void (*axpy)(float *y, float w, const float *x, int64_t D); /* y = fma(w, x, y) */
    void (*attention)(const struct mu_attn_tile *t);
    void (*attention_join)(float *M, float *L, float *O, float m, float l, const float *o, int dv); /* none empty */
    struct mu_lse_tile (*logsumexp)(const float *x, int64_t n);
};

extern const struct mu_cpu_kernels mu_kernels_ref;
extern const struct mu_cpu_kernels mu_kernels_avx2;
extern const struct mu_cpu_kernels mu_kernels_avx512;
extern const struct mu_cpu_kernels mu_kernels_avx512_no_vnni; /* integer products by the avx2 kernels */

/* The kernels of the level a CPU device was opened with. */
const struct mu_cpu_kernels *mu_cpu_kernels_of(const struct mu_device *d);

#endif
