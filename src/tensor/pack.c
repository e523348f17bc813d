/* pack.c - weights into panels: sixteen rows turned so that a SIMD lane is an output
 *
 * The source runs along rows, the panel along k. A panel is packed in strips of STRIP_K columns: the strip of its
 * rows is brought to f32 on the stack (or taken as it is where formats agree), checked, and written side by side.
 * Integer formats are in pack_quant.c.
 *
 * A run may begin or end inside a panel: its lanes alone are written then. Always true: once all rows are packed every
 * byte is written, padding lanes (by the run that ends the matrix) as zeros. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tensor/matrix.h"
#include "tensor/matrix_int.h"
#include "tensor/pack_int.h"

#define STRIP_K 64 /* 16 rows x 64 columns of f32: 4 KB of stack, a cache line or more of each row */

static int64_t find_nonfinite(const float *v, int64_t n)
{
    unsigned any = 0;
    for (int64_t i = 0; i < n; i++)
        any |= !(fabsf(v[i]) <= 0x1.fffffep127f);
    for (int64_t i = 0; any && i < n; i++) {
        if (!(fabsf(v[i]) <= 0x1.fffffep127f))
            return i;
    }
    return -1;
}

int mu_pack_fail(const struct mu_pack_strip *s, int lane, int64_t col, float v, struct mu_err *e)
{
    const char *why = isfinite(v) ? "does not fit" : "cannot be packed as";
    return mu_fail(e, MU_ENUMERIC, "the weight at row %" PRId64 ", column %" PRId64 " is %g, which %s %s",
                   s->row + lane, s->k + col, (double)v, why, mu_wformat_name(s->m->format));
}

static inline void store_lanes(float *dst, const struct mu_pack_strip *s, int lane0, int lane_end)
{
    for (int64_t k = 0; k < s->n_k; k++)
        for (int lane = lane0; lane < lane_end; lane++)
            dst[k * MU_PANEL + lane] = s->v[lane * s->ld + k];
}

/* Nearly all panels are whole: for those the compiler knows the number of lanes. */
static void store_f32(float *dst, const struct mu_pack_strip *s)
{
    if (s->lane == 0 && s->lane_end == MU_PANEL)
        store_lanes(dst, s, 0, MU_PANEL);
    else
        store_lanes(dst, s, s->lane, s->lane_end);
}

/* To bf16 or f16; a finite value that rounds to infinity is refused. */
static int store_16(uint16_t *dst, const struct mu_pack_strip *s, struct mu_err *e)
{
    bool is_bf16 = s->m->format == MU_WBF16;
    uint16_t exp_mask = is_bf16 ? 0x7f80 : 0x7c00;
    for (int lane = s->lane; lane < s->lane_end; lane++) {
        const float *v = s->v + lane * s->ld;
        for (int64_t k = 0; k < s->n_k; k++) {
            uint16_t h = is_bf16 ? mu_f32_to_bf16(v[k]) : mu_f32_to_f16(v[k]);
            if ((h & exp_mask) == exp_mask)
                return mu_pack_fail(s, lane, k, v[k], e);
            dst[k * MU_PANEL + lane] = h;
        }
    }
    return MU_OK;
}

/* The first value of a strip, row by row, whose exponent is all ones: NaN or infinity. */
static int fail_nonfinite16(const struct mu_matrix *m, int64_t row, int n_rows, const unsigned char *src, int64_t ld,
                            int64_t k, int64_t n, struct mu_err *e)
{
    struct mu_pack_strip s = {.m = m, .row = row, .k = k};
    uint16_t exp_mask = m->format == MU_WBF16 ? 0x7f80 : 0x7c00, h;
    for (int lane = 0; lane < n_rows; lane++)
        for (int64_t i = 0; i < n; i++) {
            memcpy(&h, src + (lane * ld + k + i) * 2, 2);
            if ((h & exp_mask) == exp_mask)
                return mu_pack_fail(&s, lane, i, m->format == MU_WBF16 ? mu_bf16_to_f32(h) : mu_f16_to_f32(h), e);
        }
    return MU_OK;
}

/* The same 16-bit format on both sides: bits are moved, not converted. */
static int copy_16(const struct mu_matrix *m, int64_t row, int n_rows, const unsigned char *src, int64_t ld,
                   struct mu_err *e)
{
    uint16_t exp_mask = m->format == MU_WBF16 ? 0x7f80 : 0x7c00, largest;
    uint16_t *dst = (uint16_t *)m->data + row / MU_PANEL * m->n_in * MU_PANEL;
    uint16_t strip[MU_PANEL][STRIP_K];

    if (n_rows < MU_PANEL)
        memset(strip, 0, sizeof strip);
    for (int64_t k = 0; k < m->n_in; k += STRIP_K) {
        int64_t n = MU_MIN(STRIP_K, m->n_in - k);
        for (int lane = 0; n_rows < MU_PANEL && lane < n_rows; lane++)
            memcpy(strip[lane], src + (lane * ld + k) * 2, (size_t)n * 2);
        if (n_rows < MU_PANEL)
            largest = mu_transpose16(dst + k * MU_PANEL, strip, STRIP_K, n);
        else
            largest = mu_transpose16(dst + k * MU_PANEL, src + k * 2, ld, n);
        if (largest >= exp_mask)
            return fail_nonfinite16(m, row, n_rows, src, ld, k, n, e);
    }
    return MU_OK;
}

/* One panel, or the rows of a run in it, through f32. For integer formats a strip is one group, otherwise STRIP_K
 * columns. */
static int pack_panel(const struct mu_matrix *m, int64_t row, int n_rows, const unsigned char *src,
                      enum mu_dtype src_dtype, int64_t ld, struct mu_err *e)
{
    float v[MU_PANEL * STRIP_K];
    struct mu_cut c = mu_cut_of(m->n_in, m->tile_k);
    bool is_int = mu_wformat_is_int(m->format);
    size_t elem = mu_dtype_block_bytes(src_dtype);
    unsigned char *dst = (unsigned char *)m->data + (size_t)(row / MU_PANEL) * mu_panel_bytes(m->format, &c);
    float *scale = is_int ? m->scale + row / MU_PANEL * c.n_groups * MU_PANEL : NULL;
    int64_t n_strips = is_int ? c.n_groups : (m->n_in + STRIP_K - 1) / STRIP_K;
    int first = (int)(row % MU_PANEL), end = row + n_rows == m->n_out ? MU_PANEL : first + n_rows;

    memset(v, 0, sizeof v);
    for (int64_t i = 0; i < n_strips; i++) {
        struct mu_pack_strip s = {.m = m, .row = row - first, .lane = first, .lane_end = end, .v = v, .ld = STRIP_K};
        s.k = i * STRIP_K;
        s.n_k = MU_MIN(STRIP_K, m->n_in - s.k);
        if (is_int)
            s.k = mu_group_begin(&c, i, &s.n_k);
        for (int lane = first; lane < first + n_rows; lane++) {
            const unsigned char *from = src + (size_t)((lane - first) * ld + s.k) * elem;
            mu_to_f32(v + lane * STRIP_K, from, src_dtype, (size_t)s.n_k);
            int64_t bad = find_nonfinite(v + lane * STRIP_K, s.n_k);
            if (bad >= 0)
                return mu_pack_fail(&s, lane, bad, v[lane * STRIP_K + bad], e);
        }
        if (is_int)
            mu_pack_group(dst + (size_t)i * mu_group_bytes(m->format), scale + i * MU_PANEL, &s);
        else if (m->format == MU_WF32)
            store_f32((float *)(void *)dst + s.k * MU_PANEL, &s);
        else
            MU_TRY_RETURN(store_16((uint16_t *)(void *)dst + s.k * MU_PANEL, &s, e));
    }
    return MU_OK;
}

int mu_matrix_pack_from(struct mu_matrix *m, int64_t row, int64_t n_rows, const void *src, enum mu_dtype src_dtype,
                        int64_t ld, struct mu_err *e)
{
    bool is_same16 = (m->format == MU_WBF16 && src_dtype == MU_BF16) || (m->format == MU_WF16 && src_dtype == MU_F16);
    if (row < 0 || n_rows < 0 || row > m->n_out || n_rows > m->n_out - row)
        return mu_fail(e, MU_EINVAL, "rows %" PRId64 " to %" PRId64 " of a matrix of %" PRId64, row, row + n_rows,
                       m->n_out);
    if (mu_wformat_is_int(m->format) && m->tile_k % 4 && m->tile_k < m->n_in)
        return mu_fail(e, MU_EINVAL, "tile width %" PRId64 " of an %s matrix is not a multiple of 4", m->tile_k,
                       mu_wformat_name(m->format));
    if (!mu_dtype_is_float(src_dtype) || mu_dtype_block_elems(src_dtype) != 1)
        return mu_fail(e, MU_EINVAL, "weights of type %s cannot be packed: bring them to f32 first",
                       mu_dtype_name(src_dtype));
    for (int64_t r = 0, n; r < n_rows; r += n) {
        const unsigned char *from = (const unsigned char *)src + (size_t)(r * ld) * mu_dtype_block_bytes(src_dtype);
        n = MU_MIN(MU_PANEL - (row + r) % MU_PANEL, n_rows - r);
        bool is_whole = (row + r) % MU_PANEL == 0 && (n == MU_PANEL || row + r + n == m->n_out);
        if (is_same16 && is_whole)
            MU_TRY_RETURN(copy_16(m, row + r, (int)n, from, ld, e));
        else
            MU_TRY_RETURN(pack_panel(m, row + r, (int)n, from, src_dtype, ld, e));
    }
    return MU_OK;
}

int mu_matrix_pack(struct mu_matrix *m, int64_t row, int64_t n_rows, const float *src, int64_t ld, struct mu_err *e)
{
    return mu_matrix_pack_from(m, row, n_rows, src, MU_F32, ld, e);
}
