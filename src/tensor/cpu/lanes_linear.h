/* lanes_linear.h - linear of float formats on lanes: register blocks over one tile of k at a time
 *
 * A lane is an output, so every output adds in increasing k whatever the block. Blocks of up to MU_LIN_ROWS rows times
 * MU_LIN_PANELS panels keep their sums in registers for a run of k (run_k inputs, a tile or a part of one),
 * whose weights lie in L1 as f32: bf16 and f16 are widened there once for all rows of the piece. MU_LIN_GROUP such
 * groups of panels take the same rows one after the other, so that rows are read from L1 too. After the last run of a
 * tile the tree's due merges are made (tree.h) and the partial sum goes to its slot:
 *
 *   scratch: | weights as f32 [panels][MU_LIN_RUN_K][16] | slots [level][block][group][row][panel of group] of 16 |
 *
 * Up to MU_LIN_STREAM_ROWS rows, in blocks of up to MU_LIN_FEW_ROWS, take their weights in their format as they lie in
 * memory, MU_LIN_FEW_PANELS panels side by side: widening them first would cost more than it saves.
 *
 * All of these are the level's, by its number of registers (shape.h). */
#ifndef MU_TENSOR_CPU_LANES_LINEAR_H
#define MU_TENSOR_CPU_LANES_LINEAR_H

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/level.h"
#include "tensor/cpu/shape.h"
#include "tensor/cpu/tree.h"

#define STREAM_PANELS 4
#define CACHE_LINE    64
#define DEPTH_MAX     40 /* levels of a tree over 2^39 tiles */
#define SLOT          ((int64_t)MU_LIN_ROWS * MU_LIN_PANELS * MU_LANES)
#define WIDENED       ((int64_t)MU_LIN_PANELS * MU_LIN_RUN_K * MU_LANES)

MU_INLINE int64_t weight_bytes(const enum mu_wformat f)
{
    return f == MU_WF32 ? 4 : 2;
}

MU_INLINE v16 load_weights(const enum mu_wformat f, const void *p, int64_t i)
{
    if (f == MU_WF32)
        return v16_load((const float *)p + i);
    if (f == MU_WBF16)
        return v16_from_bf16((const uint16_t *)p + i);
    return v16_from_f16((const uint16_t *)p + i);
}

struct run {
    const float *x;                /* [n_k][rows] */
    const float *w[MU_LIN_PANELS]; /* [n_k][16] */
    int64_t n_k;
    bool is_first, is_last; /* of its tile */
    int merges;             /* due after this tile */
    float *slot;            /* of this block at the tree's current level */
    int64_t level;          /* floats from a level to the next */
};

MU_INLINE void run_block(const int rows, const struct run *u)
{
    v16 sum[MU_LIN_ROWS][MU_LIN_PANELS];
    const float *x = u->x;
    MU_UNROLL
    for (int r = 0; r < rows; r++)
        MU_UNROLL
    for (int p = 0; p < MU_LIN_PANELS; p++)
        sum[r][p] = u->is_first ? v16_zero() : v16_load(u->slot + (r * MU_LIN_PANELS + p) * MU_LANES);
    for (int64_t k = 0; k < u->n_k; k++, x += rows) {
        v16 w[MU_LIN_PANELS];
        MU_UNROLL
        for (int p = 0; p < MU_LIN_PANELS; p++)
            w[p] = v16_load(u->w[p] + k * MU_LANES);
        MU_UNROLL
        for (int r = 0; r < rows; r++) {
            v16 xr = v16_set(x[r]);
            MU_UNROLL
            for (int p = 0; p < MU_LIN_PANELS; p++)
                sum[r][p] = v16_fma(w[p], xr, sum[r][p]);
        }
    }
    float *slot = u->slot;
    if (u->is_last) {
        for (int m = 0; m < u->merges; m++) {
            slot -= u->level;
            MU_UNROLL
            for (int r = 0; r < rows; r++)
                MU_UNROLL
            for (int p = 0; p < MU_LIN_PANELS; p++)
                sum[r][p] = v16_add(v16_load(slot + (r * MU_LIN_PANELS + p) * MU_LANES), sum[r][p]);
        }
    }
    MU_UNROLL
    for (int r = 0; r < rows; r++)
        MU_UNROLL
    for (int p = 0; p < MU_LIN_PANELS; p++)
        v16_store(slot + (r * MU_LIN_PANELS + p) * MU_LANES, sum[r][p]);
}

#define RUN_BLOCK(rows)                                                                                                \
    static __attribute__((noinline)) void run_block_##rows(const struct run *u)                                        \
    {                                                                                                                  \
        run_block(rows, u);                                                                                            \
    }
RUN_BLOCK(1)
RUN_BLOCK(2)
RUN_BLOCK(3)
RUN_BLOCK(4)
RUN_BLOCK(5)
RUN_BLOCK(6)
#if MU_LIN_ROWS > 6
RUN_BLOCK(7)
RUN_BLOCK(8)
RUN_BLOCK(9)
RUN_BLOCK(10)
RUN_BLOCK(11)
RUN_BLOCK(12)
RUN_BLOCK(13)
RUN_BLOCK(14)
#endif

static void (*const run_blocks[MU_LIN_ROWS + 1])(const struct run *) = {
    NULL,        run_block_1, run_block_2, run_block_3,  run_block_4,  run_block_5,  run_block_6,
#if MU_LIN_ROWS > 6
    run_block_7, run_block_8, run_block_9, run_block_10, run_block_11, run_block_12, run_block_13, run_block_14,
#endif
};

/* Where the weights of a run of one panel are as f32: in the matrix itself, or widened into buf. */
MU_INLINE const float *widen(const enum mu_wformat f, const void *panel, int64_t k, int64_t n_k, float *buf)
{
    if (f == MU_WF32)
        return (const float *)panel + k * MU_PANEL;
    for (int64_t i = 0; i < n_k * MU_PANEL; i += MU_LANES)
        v16_store(buf + i, load_weights(f, panel, k * MU_PANEL + i));
    return buf;
}

static const void *panel_at(const struct mu_linear_job *j, int64_t panel)
{
    return (const char *)j->w->data + (size_t)panel * mu_panel_bytes(j->w->format, &j->cut);
}

/* The weights of the next run, a part of them with each block: asked for all at once they fill the buffers of misses,
 * and what is needed now waits behind them. */
struct ahead {
    const char *w[MU_LIN_GROUP * MU_LIN_PANELS];
    int64_t bytes, part; /* of a panel; with one block */
};

MU_INLINE void look_ahead(struct ahead *a, const enum mu_wformat f, const struct mu_linear_job *j, int64_t panel,
                          int n_panels, int64_t k, int64_t n_blocks)
{
    bool is_end = k >= j->cut.n_in; /* the next panels' first */
    for (int i = 0; i < n_panels; i++)
        a->w[i] = (const char *)panel_at(j, panel + i + (is_end ? n_panels : 0)) +
                  (is_end ? 0 : k * MU_PANEL * weight_bytes(f));
    a->bytes = j->run_k * MU_PANEL * weight_bytes(f);
    a->part = (a->bytes / n_blocks + CACHE_LINE) / CACHE_LINE * CACHE_LINE;
}

MU_INLINE void fetch_part(const struct ahead *a, int group, int64_t block)
{
    int64_t end = MU_MIN((block + 1) * a->part, a->bytes);
    for (int64_t at = block * a->part; at < end; at += CACHE_LINE)
        MU_UNROLL
    for (int i = 0; i < MU_LIN_PANELS; i++)
        __builtin_prefetch(a->w[group * MU_LIN_PANELS + i] + at);
}

MU_INLINE void write_panel(const struct mu_linear_job *j, int64_t row, int64_t panel, v16 sum)
{
    int64_t out = panel * MU_PANEL;
    int n = (int)MU_MIN(MU_PANEL, j->w->n_out - out);
    if (j->w->bias)
        sum = v16_add(sum, v16_loadn(j->w->bias + out, n));
    v16_storen(j->y + row * j->ldy + out, n, sum);
}

/* All rows of the piece against MU_LIN_GROUP groups of MU_LIN_PANELS panels: a block of rows stays in L1 while all
 * groups take it. Past the last panel the last is computed again for nothing. */
MU_INLINE void many_rows(const enum mu_wformat f, const struct mu_linear_job *j, const struct mu_linear_piece *p,
                         int64_t panel, int groups)
{
    const struct mu_cut *c = &j->cut;
    int64_t n_blocks = p->block_end - p->block, level = n_blocks * groups * SLOT;
    float *slots = p->scratch + (int64_t)MU_LIN_GROUP * WIDENED;
    struct run u = {.level = level};
    int depth = 0;

    for (int64_t t = 0; t < c->n_tiles; t++) {
        int64_t begin = t * c->tile_k, end = MU_MIN(begin + c->tile_k, c->n_in);
        u.merges = mu_tree_merges(t, c->n_tiles);
        for (int64_t k = begin; k == begin || k < end; k += j->run_k) {
            const float *w[MU_LIN_GROUP * MU_LIN_PANELS];
            struct ahead next;
            u.n_k = MU_MIN(j->run_k, end - k);
            u.is_first = k == begin;
            u.is_last = k + j->run_k >= end;
            for (int i = 0; i < groups * MU_LIN_PANELS; i++)
                w[i] = widen(f, panel_at(j, MU_MIN(panel + i, p->panel_end - 1)), k, u.n_k,
                             p->scratch + (int64_t)i * MU_LIN_RUN_K * MU_LANES);
            look_ahead(&next, f, j, panel, groups * MU_LIN_PANELS, k + u.n_k, n_blocks);
            for (int64_t b = 0; b < n_blocks; b++) {
                int64_t row = mu_block_row(j, p->block + b), rows = mu_block_row(j, p->block + b + 1) - row;
                u.x = j->packed + k * j->n + row * u.n_k;
                for (int g = 0; g < groups; g++) {
                    for (int i = 0; i < MU_LIN_PANELS; i++)
                        u.w[i] = w[g * MU_LIN_PANELS + i];
                    u.slot = slots + depth * level + (b * groups + g) * SLOT;
                    fetch_part(&next, g, b);
                    run_blocks[rows](&u);
                }
            }
        }
        depth += 1 - u.merges;
    }
    for (int64_t b = 0; b < n_blocks; b++) {
        int64_t begin = mu_block_row(j, p->block + b), end = mu_block_row(j, p->block + b + 1);
        for (int64_t row = begin; row < end; row++) {
            for (int i = 0; i < groups * MU_LIN_PANELS && panel + i < p->panel_end; i++) {
                int64_t in_group = (row - begin) * MU_LIN_PANELS + i % MU_LIN_PANELS;
                const float *slot = slots + (b * groups + i / MU_LIN_PANELS) * SLOT;
                write_panel(j, row, panel + i, v16_load(slot + in_group * MU_LANES));
            }
        }
    }
}

/* `rows` rows against `panels` panels, straight from memory: x is [k][rows]. */
MU_INLINE void few_rows(const enum mu_wformat f, const int rows, const int panels, const struct mu_linear_job *j,
                        int64_t row, int64_t panel)
{
    const struct mu_cut *c = &j->cut;
    const float *x = j->packed ? j->packed + row * c->n_in : j->x;
    v16 stack[DEPTH_MAX][MU_LIN_FEW_ROWS][STREAM_PANELS];
    const void *w[STREAM_PANELS];
    int depth = 0;
    MU_UNROLL
    for (int p = 0; p < panels; p++)
        w[p] = panel_at(j, panel + p);
    for (int64_t t = 0; t < c->n_tiles; t++) {
        int64_t k = t * c->tile_k, end = MU_MIN(k + c->tile_k, c->n_in);
        v16 sum[MU_LIN_FEW_ROWS][STREAM_PANELS];
        MU_UNROLL
        for (int r = 0; r < rows; r++)
            MU_UNROLL
        for (int p = 0; p < panels; p++)
            sum[r][p] = v16_zero();
        for (; k < end; k++) {
            v16 wk[STREAM_PANELS];
            MU_UNROLL
            for (int p = 0; p < panels; p++)
                wk[p] = load_weights(f, w[p], k * MU_PANEL);
            if (MU_LIN_AHEAD > 0 && rows > 1) {
                MU_UNROLL
                for (int p = 0; p < panels; p++)
                    __builtin_prefetch((const char *)w[p] + k * MU_PANEL * weight_bytes(f) + MU_LIN_AHEAD);
            }
            MU_UNROLL
            for (int r = 0; r < rows; r++) {
                v16 xr = v16_set(x[k * rows + r]);
                MU_UNROLL
                for (int p = 0; p < panels; p++)
                    sum[r][p] = v16_fma(wk[p], xr, sum[r][p]);
            }
        }
        for (int m = mu_tree_merges(t, c->n_tiles); m > 0; m--) {
            depth--;
            MU_UNROLL
            for (int r = 0; r < rows; r++)
                MU_UNROLL
            for (int p = 0; p < panels; p++)
                sum[r][p] = v16_add(stack[depth][r][p], sum[r][p]);
        }
        MU_UNROLL
        for (int r = 0; r < rows; r++)
            MU_UNROLL
        for (int p = 0; p < panels; p++)
            stack[depth][r][p] = sum[r][p];
        depth++;
    }
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++)
            write_panel(j, row + r, panel + p, stack[0][r][p]);
}

MU_INLINE void few_rows_panels(const enum mu_wformat f, const int rows, const struct mu_linear_job *j, int64_t row,
                               int64_t panel, int64_t panel_end)
{
    const int panels = MU_LIN_FEW_PANELS(rows);
    for (; panel + panels <= panel_end; panel += panels)
        few_rows(f, rows, panels, j, row, panel);
    for (; panel < panel_end; panel++)
        few_rows(f, rows, 1, j, row, panel);
}

#define FEW_CASE(rows)                                                                                                 \
    case rows:                                                                                                         \
        few_rows_panels(f, rows, j, row, panel, panel_end);                                                            \
        return;

MU_INLINE void few_rows_block(const enum mu_wformat f, const struct mu_linear_job *j, int64_t block, int64_t panel,
                              int64_t panel_end)
{
    int64_t row = mu_block_row(j, block);
    switch (mu_block_row(j, block + 1) - row) {
        FEW_CASE(1)
        FEW_CASE(2)
        FEW_CASE(3)
        FEW_CASE(4)
        FEW_CASE(5)
        FEW_CASE(6)
#if MU_LIN_FEW_ROWS > 6
        FEW_CASE(7)
        FEW_CASE(8)
#endif
    }
}

/* A second block finds the panel that the first one read in the caches. */
MU_INLINE void stream(const enum mu_wformat f, const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    int64_t unit = j->n_blocks > 1 ? 1 : p->panel_end - p->panel;
    for (int64_t panel = p->panel; panel < p->panel_end; panel += unit)
        for (int64_t block = 0; block < j->n_blocks; block++)
            few_rows_block(f, j, block, panel, panel + unit);
}

MU_INLINE void linear_float(const enum mu_wformat f, const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    if (j->n <= MU_LIN_STREAM_ROWS) {
        stream(f, j, p);
        return;
    }
    int64_t unit = MU_LIN_GROUP * MU_LIN_PANELS;
    for (int64_t panel = p->panel; panel < p->panel_end; panel += unit)
        many_rows(f, j, p, panel, (int)((MU_MIN(unit, p->panel_end - panel) + MU_LIN_PANELS - 1) / MU_LIN_PANELS));
}

void MU_LEVEL(linear_f32)(const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    linear_float(MU_WF32, j, p);
}

void MU_LEVEL(linear_bf16)(const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    linear_float(MU_WBF16, j, p);
}

void MU_LEVEL(linear_f16)(const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    linear_float(MU_WF16, j, p);
}

/* dst [n_in][rows] = transpose of x [rows][n_in]. */
void MU_LEVEL(pack_rows)(float *dst, const float *x, int64_t ldx, int64_t rows, int64_t n_in)
{
    for (int64_t k0 = 0; k0 < n_in; k0 += MU_LANES) {
        int64_t end = MU_MIN(k0 + MU_LANES, n_in);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = k0; k < end; k++)
                dst[k * rows + r] = x[r * ldx + k];
    }
}

#endif
