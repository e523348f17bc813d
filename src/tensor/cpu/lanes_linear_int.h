/* lanes_linear_int.h - linear of int8 and int4 groups against int8 activations
 *
 * A group's dot products are exact in int32, so the level chooses how (lanes_dot of the level); each enters the f32 sum
 * of its tile by one fma. Blocks of MU_INT_ROWS rows share the weights they load. Slots as in lanes_linear.h, one a
 * row and panel. A single row takes ONE_PANELS panels at a time to have enough chains in flight.
 */
#ifndef MU_TENSOR_CPU_LANES_LINEAR_INT_H
#define MU_TENSOR_CPU_LANES_LINEAR_INT_H

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/level.h"
#include "tensor/cpu/shape.h"
#include "tensor/cpu/tree.h"

#ifdef __AVX512F__
#include "tensor/cpu/avx512/dot_avx512.h"
#else
#include "tensor/cpu/avx2/dot_avx2.h"
#endif

#define ONE_PANELS 4
#define QUADS      (MU_GROUP_K / 4)
#define DEPTH_MAX  40 /* levels of a tree over 2^39 tiles */

/* A run of panels and rows that share weights, for one tile. */
struct block {
    const unsigned char *data[ONE_PANELS]; /* of the tile's first group, by panel */
    const float *scale[ONE_PANELS];
    int64_t n_groups; /* of the tile */
    const int8_t *q;  /* of the tile's first group, first row */
    const float *q_scale;
    const int32_t *q_sum;
    int64_t q_stride, group_stride; /* from a row to the next */
    int merges;
    float *slot;   /* [row][panel][16] */
    int64_t level; /* floats */
};

/* Weights of quad i of a group: four inputs of sixteen outputs. */
MU_INLINE lanes_w load_quad(const enum mu_wformat f, const unsigned char *group, int i)
{
    if (f == MU_WINT8)
        return lanes_w_int8(group + i * 4 * MU_PANEL);
    return lanes_w_int4(group + i / 2 * 4 * MU_PANEL, i % 2);
}

MU_INLINE v16i dot_quad(const enum mu_wformat f, v16i acc, lanes_w w, v16i x)
{
    return f == MU_WINT8 ? lanes_dot_int8(acc, w, x) : lanes_dot_int4(acc, w, x);
}

/* What the offset of stored weights adds to each dot of a row, taken off. */
MU_INLINE v16i group_offset(const enum mu_wformat f, const struct block *u, int r, int64_t g)
{
    int32_t offset = f == MU_WINT8 ? LANES_OFFSET_INT8 : LANES_OFFSET_INT4;
    return v16i_set(-offset * u->q_sum[r * u->group_stride + g]);
}

MU_INLINE void block_group(const enum mu_wformat f, const int rows, const int panels, const struct block *u, int64_t g,
                           v16 sum[MU_INT_ROWS][ONE_PANELS])
{
    v16i dot[MU_INT_ROWS][ONE_PANELS];
    MU_UNROLL
    for (int r = 0; r < rows; r++) {
        v16i offset = group_offset(f, u, r, g);
        MU_UNROLL
        for (int p = 0; p < panels; p++)
            dot[r][p] = f == MU_WINT8 ? lanes_begin_int8(offset) : lanes_begin_int4(offset);
    }
    MU_UNROLL
    for (int i = 0; i < QUADS; i++) {
        lanes_w w[ONE_PANELS];
        MU_UNROLL
        for (int p = 0; p < panels; p++)
            w[p] = load_quad(f, u->data[p] + (size_t)g * mu_group_bytes(f), i);
        MU_UNROLL
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, u->q + r * u->q_stride + g * MU_GROUP_K + i * 4, 4);
            v16i x = v16i_set(four);
            MU_UNROLL
            for (int p = 0; p < panels; p++)
                dot[r][p] = dot_quad(f, dot[r][p], w[p], x);
        }
    }
    MU_UNROLL
    for (int r = 0; r < rows; r++) {
        v16 x_scale = v16_set(u->q_scale[r * u->group_stride + g]);
        v16i offset = group_offset(f, u, r, g);
        MU_UNROLL
        for (int p = 0; p < panels; p++) {
            v16i whole = f == MU_WINT8 ? lanes_end_int8(dot[r][p], offset) : lanes_end_int4(dot[r][p], offset);
            v16 scale = v16_mul(v16_load(u->scale[p] + g * MU_PANEL), x_scale);
            sum[r][p] = v16_fma(v16_from_int(whole), scale, sum[r][p]);
        }
    }
}

MU_INLINE void run_block(const enum mu_wformat f, const int rows, const int panels, const struct block *u)
{
    v16 sum[MU_INT_ROWS][ONE_PANELS];
    MU_UNROLL
    for (int r = 0; r < rows; r++)
        MU_UNROLL
    for (int p = 0; p < panels; p++)
        sum[r][p] = v16_zero();
    for (int64_t g = 0; g < u->n_groups; g++)
        block_group(f, rows, panels, u, g, sum);
    float *slot = u->slot;
    for (int m = 0; m < u->merges; m++) {
        slot -= u->level;
        MU_UNROLL
        for (int r = 0; r < rows; r++)
            MU_UNROLL
        for (int p = 0; p < panels; p++)
            sum[r][p] = v16_add(v16_load(slot + (r * panels + p) * MU_LANES), sum[r][p]);
    }
    MU_UNROLL
    for (int r = 0; r < rows; r++)
        MU_UNROLL
    for (int p = 0; p < panels; p++)
        v16_store(slot + (r * panels + p) * MU_LANES, sum[r][p]);
}

/* The next few of n rows; returns how many. */
MU_INLINE int64_t run_rows(const enum mu_wformat f, const int panels, int64_t n, const struct block *u)
{
    if (n >= MU_INT_ROWS) {
        run_block(f, MU_INT_ROWS, panels, u);
        return MU_INT_ROWS;
    }
    if (n >= 2) {
        run_block(f, 2, panels, u);
        return 2;
    }
    run_block(f, 1, panels, u);
    return 1;
}

/* Rows [row, row_end) against `panels` panels from `panel` on, tile by tile. */
MU_INLINE void run_panels(const enum mu_wformat f, const int panels, const struct mu_linear_job *j, int64_t panel,
                          int64_t row, int64_t row_end, float *slots)
{
    const struct mu_cut *c = &j->cut;
    int64_t level = (row_end - row) * panels * MU_LANES;
    struct block u = {.level = level, .q_stride = c->n_in_padded, .group_stride = c->n_groups};
    int depth = 0;

    for (int64_t t = 0; t < c->n_tiles; t++) {
        int64_t g = t * c->tile_groups, r = row;
        u.n_groups = MU_MIN(c->tile_groups, c->n_groups - g);
        u.merges = mu_tree_merges(t, c->n_tiles);
        for (int p = 0; p < panels; p++) {
            u.data[p] = (const unsigned char *)j->w->data + (size_t)((panel + p) * c->n_groups + g) * mu_group_bytes(f);
            u.scale[p] = j->w->scale + ((panel + p) * c->n_groups + g) * MU_PANEL;
        }
        while (r < row_end) {
            u.q = j->q + r * c->n_in_padded + g * MU_GROUP_K;
            u.q_scale = j->q_scale + r * c->n_groups + g;
            u.q_sum = j->q_sum + r * c->n_groups + g;
            u.slot = slots + depth * level + (r - row) * panels * MU_LANES;
            r += run_rows(f, panels, row_end - r, &u);
        }
        depth += 1 - u.merges;
    }
    for (int64_t r = row; r < row_end; r++) {
        for (int p = 0; p < panels; p++) {
            int64_t out = (panel + p) * MU_PANEL;
            int n = (int)MU_MIN(MU_PANEL, j->w->n_out - out);
            v16 y = v16_load(slots + ((r - row) * panels + p) * MU_LANES);
            if (j->w->bias)
                y = v16_add(y, v16_loadn(j->w->bias + out, n));
            v16_storen(j->y + r * j->ldy + out, n, y);
        }
    }
}

MU_INLINE void linear_int(const enum mu_wformat f, const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    float stack[DEPTH_MAX * ONE_PANELS * MU_LANES];
    int64_t panel = p->panel;
    if (p->row_end - p->row == 1) {
        for (; panel + ONE_PANELS <= p->panel_end; panel += ONE_PANELS)
            run_panels(f, ONE_PANELS, j, panel, p->row, p->row_end, stack);
        for (; panel < p->panel_end; panel++)
            run_panels(f, 1, j, panel, p->row, p->row_end, stack);
        return;
    }
    for (; panel + MU_INT_PANELS <= p->panel_end; panel += MU_INT_PANELS)
        run_panels(f, MU_INT_PANELS, j, panel, p->row, p->row_end, p->scratch);
    for (; panel < p->panel_end; panel++)
        run_panels(f, 1, j, panel, p->row, p->row_end, p->scratch);
}

void MU_LEVEL(linear_int8)(const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    linear_int(MU_WINT8, j, p);
}

void MU_LEVEL(linear_int4)(const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    linear_int(MU_WINT4, j, p);
}

#endif
