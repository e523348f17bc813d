/* matrix_part.c - a part of a packed matrix without packing anew
 *
 * Data and scales of every format are lines of MU_PANEL lanes, a few bytes a lane: a line holds one input of a panel's
 * outputs, or four or eight, or a group's scales. So a part's inputs are a run of lines, and its outputs lanes of one
 * panel and the next. */
#include <string.h>

#include "tensor/matrix.h"
#include "tensor/matrix_int.h"

/* Data, or scales. */
struct lines {
    size_t lane_bytes;
    int64_t begin, n, of_panel; /* the part's in a panel of the whole, which has so many */
    unsigned char zero;         /* every byte of a lane that no output has */
};

static struct lines data_lines(const struct mu_matrix *part, const struct mu_matrix *whole, int64_t col0)
{
    struct mu_cut c = mu_cut_of(part->n_in, part->tile_k), w = mu_cut_of(whole->n_in, whole->tile_k);
    int64_t of_group = part->format == MU_WINT4 ? MU_GROUP_K / 8 : MU_GROUP_K / 4;
    if (!mu_wformat_is_int(part->format))
        return (struct lines){part->format == MU_WF32 ? 4 : 2, col0, part->n_in, whole->n_in, 0};
    int64_t begin = col0 / w.tile_k * w.tile_groups;
    unsigned char zero = part->format == MU_WINT4 ? 0x88 : 0;
    return (struct lines){4, begin * of_group, c.n_groups * of_group, w.n_groups * of_group, zero};
}

static struct lines scale_lines(const struct mu_matrix *part, const struct mu_matrix *whole, int64_t col0)
{
    struct mu_cut c = mu_cut_of(part->n_in, part->tile_k), w = mu_cut_of(whole->n_in, whole->tile_k);
    return (struct lines){sizeof(float), col0 / w.tile_k * w.tile_groups, c.n_groups, w.n_groups, 0};
}

/* One panel of the part: n_lanes outputs, the first of which is `lane` of the panel at src. */
static void copy_panel(const struct lines *l, char *dst, const char *src, int lane, int n_lanes)
{
    size_t line = MU_PANEL * l->lane_bytes, first = (size_t)MU_MIN(MU_PANEL - lane, n_lanes) * l->lane_bytes;
    size_t all = (size_t)n_lanes * l->lane_bytes;
    const char *next = src + (size_t)l->of_panel * line;

    src += (size_t)l->begin * line;
    next += (size_t)l->begin * line;
    if (lane == 0 && n_lanes == MU_PANEL) {
        memcpy(dst, src, (size_t)l->n * line);
        return;
    }
    for (int64_t i = 0; i < l->n; i++, dst += line, src += line, next += line) {
        memcpy(dst, src + (size_t)lane * l->lane_bytes, first);
        if (all > first)
            memcpy(dst + first, next, all - first);
        memset(dst + all, l->zero, line - all);
    }
}

static void copy_lines(const struct lines *l, char *dst, const char *src, int64_t row0, int64_t n_out, int64_t begin,
                       int64_t end)
{
    size_t line = MU_PANEL * l->lane_bytes;
    for (int64_t p = begin; p < end; p++) {
        int64_t row = row0 + p * MU_PANEL;
        copy_panel(l, dst + (size_t)(p * l->n) * line, src + (size_t)(row / MU_PANEL * l->of_panel) * line,
                   (int)(row % MU_PANEL), (int)MU_MIN(MU_PANEL, n_out - p * MU_PANEL));
    }
}

void mu_matrix_copy_part(const struct mu_matrix *part, const struct mu_matrix *whole, int64_t row0, int64_t col0,
                         int64_t begin, int64_t end)
{
    struct lines data = data_lines(part, whole, col0), scales = scale_lines(part, whole, col0);
    copy_lines(&data, part->data, whole->data, row0, part->n_out, begin, end);
    if (part->scale)
        copy_lines(&scales, (char *)part->scale, (const char *)whole->scale, row0, part->n_out, begin, end);
}

bool mu_matrix_part(struct mu_matrix *part, const struct mu_matrix *whole, int64_t row0, int64_t col0)
{
    struct mu_cut c = mu_cut_of(whole->n_in, whole->tile_k);
    bool ends_panel = part->n_out % MU_PANEL == 0 || row0 + part->n_out == whole->n_out;
    if (col0 != 0 || part->n_in != whole->n_in || row0 % MU_PANEL != 0 || !ends_panel)
        return false;
    part->data = (char *)whole->data + (size_t)(row0 / MU_PANEL) * mu_panel_bytes(whole->format, &c);
    part->scale = whole->scale ? whole->scale + row0 * c.n_groups : NULL;
    return true;
}
