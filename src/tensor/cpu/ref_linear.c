/* ref_linear.c - linear as matrix.h defines it, in plain C: what all levels are held against */
#include "tensor/cpu/ref.h"

#include <math.h>
#include <string.h>

#include "tensor/cpu/tree.h"

static float weight(const struct mu_matrix *w, int64_t panel, int64_t k, int lane)
{
    int64_t i = (panel * w->n_in + k) * MU_PANEL + lane;
    if (w->format == MU_WF32)
        return ((const float *)w->data)[i];
    uint16_t h = ((const uint16_t *)w->data)[i];
    return w->format == MU_WBF16 ? mu_bf16_to_f32(h) : mu_f16_to_f32(h);
}

/* Products of one tile, by fma in increasing k from +0. */
static void float_tile(const struct mu_linear_job *j, const float *x, int64_t panel, int64_t tile, float *sum)
{
    int64_t begin = tile * j->cut.tile_k, end = MU_MIN(begin + j->cut.tile_k, j->cut.n_in);
    for (int lane = 0; lane < MU_PANEL; lane++)
        sum[lane] = 0;
    for (int64_t k = begin; k < end; k++)
        for (int lane = 0; lane < MU_PANEL; lane++)
            sum[lane] = fmaf(weight(j->w, panel, k, lane), x[k], sum[lane]);
}

static void int_tile(const struct mu_linear_job *j, int64_t row, int64_t panel, int64_t tile, float *sum)
{
    const struct mu_cut *c = &j->cut;
    int64_t first = tile * c->tile_groups, last = MU_MIN(first + c->tile_groups, c->n_groups);
    const unsigned char *data = (const unsigned char *)j->w->data + (size_t)panel * mu_panel_bytes(j->w->format, c);
    for (int lane = 0; lane < MU_PANEL; lane++) {
        sum[lane] = 0;
        for (int64_t g = first; g < last; g++) {
            int32_t dot = 0;
            for (int64_t k = 0; k < MU_GROUP_K; k++)
                dot += mu_matrix_quant(j->w->format, data + (size_t)g * mu_group_bytes(j->w->format), k, lane) *
                       j->q[row * c->n_in_padded + g * MU_GROUP_K + k];
            float scale_w = j->w->scale[(panel * c->n_groups + g) * MU_PANEL + lane];
            sum[lane] = fmaf((float)dot, scale_w * j->q_scale[row * c->n_groups + g], sum[lane]);
        }
    }
}

/* sum over tiles [lo, hi), halved until one is left. */
static void tree(const struct mu_linear_job *j, int64_t row, int64_t panel, int64_t lo, int64_t hi, float *sum)
{
    float right[MU_PANEL];
    if (hi - lo == 1) {
        if (mu_wformat_is_int(j->w->format))
            int_tile(j, row, panel, lo, sum);
        else
            float_tile(j, j->x + row * j->ldx, panel, lo, sum);
        return;
    }
    int64_t mid = lo + (hi - lo + 1) / 2;
    tree(j, row, panel, lo, mid, sum);
    tree(j, row, panel, mid, hi, right);
    for (int lane = 0; lane < MU_PANEL; lane++)
        sum[lane] = sum[lane] + right[lane];
}

void mu_ref_linear(const struct mu_linear_job *j, const struct mu_linear_piece *p)
{
    float sum[MU_PANEL];
    for (int64_t row = p->row; row < p->row_end; row++) {
        for (int64_t panel = p->panel; panel < p->panel_end; panel++) {
            int64_t out = panel * MU_PANEL, n = MU_MIN(MU_PANEL, j->w->n_out - out);
            tree(j, row, panel, 0, j->cut.n_tiles, sum);
            for (int64_t i = 0; i < n; i++)
                j->y[row * j->ldy + out + i] = j->w->bias ? sum[i] + j->w->bias[out + i] : sum[i];
        }
    }
}

size_t mu_ref_linear_scratch_bytes(int64_t n_in)
{
    (void)n_in;
    return 0;
}
