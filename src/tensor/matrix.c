/* matrix.c - names, sizes and single rows of packed matrices; packing is in pack.c */
#include "tensor/matrix.h"

#include <string.h>

#include "tensor/matrix_int.h"

static const char *const format_names[] = {
#define NAME(id, name) name,
    MU_WFORMAT_MAP(NAME)
#undef NAME
};

const char *mu_wformat_name(enum mu_wformat f)
{
    return (unsigned)f < MU_WFORMAT_N ? format_names[f] : "?";
}

int mu_wformat_from_name(enum mu_wformat *out, const char *name, struct mu_err *e)
{
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        if (strcmp(name, format_names[f]) == 0) {
            *out = (enum mu_wformat)f;
            return MU_OK;
        }
    }
    return mu_fail(e, MU_EUSAGE, "weight format \"%s\" is none of f32, bf16, f16, int8, int4", name);
}

static size_t round64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

void mu_matrix_bytes(enum mu_wformat f, int64_t n_out, int64_t n_in, int64_t tile_k, size_t *data, size_t *scales)
{
    struct mu_cut c = mu_cut_of(n_in, tile_k);
    size_t panels = (size_t)mu_panels_of(n_out);
    *data = round64(panels * mu_panel_bytes(f, &c));
    *scales = mu_wformat_is_int(f) ? round64(panels * (size_t)c.n_groups * MU_PANEL * sizeof(float)) : 0;
}

static void float_row(const struct mu_matrix *m, const unsigned char *panel, int lane, float *dst)
{
    for (int64_t k = 0; k < m->n_in; k++) {
        int64_t i = k * MU_PANEL + lane;
        if (m->format == MU_WF32)
            dst[k] = ((const float *)(const void *)panel)[i];
        else if (m->format == MU_WBF16)
            dst[k] = mu_bf16_to_f32(((const uint16_t *)(const void *)panel)[i]);
        else
            dst[k] = mu_f16_to_f32(((const uint16_t *)(const void *)panel)[i]);
    }
}

int mu_matrix_quant(enum mu_wformat f, const unsigned char *group, int64_t k, int lane)
{
    if (f == MU_WINT8)
        return (int8_t)group[(k / 4 * MU_PANEL + lane) * 4 + k % 4];
    int byte = group[(k / 8 * MU_PANEL + lane) * 4 + k % 4];
    return (k / 4 % 2 ? byte >> 4 : byte & 15) - 8;
}

static void int_row(const struct mu_matrix *m, int64_t panel, int lane, float *dst)
{
    struct mu_cut c = mu_cut_of(m->n_in, m->tile_k);
    const unsigned char *data = (const unsigned char *)m->data + (size_t)panel * mu_panel_bytes(m->format, &c);
    const float *scale = m->scale + panel * c.n_groups * MU_PANEL;
    for (int64_t g = 0; g < c.n_groups; g++) {
        int64_t n, begin = mu_group_begin(&c, g, &n);
        for (int64_t k = 0; k < n; k++)
            dst[begin + k] = (float)mu_matrix_quant(m->format, data + (size_t)g * mu_group_bytes(m->format), k, lane) *
                             scale[g * MU_PANEL + lane];
    }
}

void mu_matrix_row(const struct mu_matrix *m, int64_t row, float *dst)
{
    int64_t panel = row / MU_PANEL;
    int lane = (int)(row % MU_PANEL);
    struct mu_cut c = mu_cut_of(m->n_in, m->tile_k);
    if (mu_wformat_is_int(m->format))
        int_row(m, panel, lane, dst);
    else
        float_row(m, (const unsigned char *)m->data + (size_t)panel * mu_panel_bytes(m->format, &c), lane, dst);
}
