/* convert_stream.c - tensor values from one checkpoint to another, a chunk at a time
 *
 *   stored bytes -> f32 (-> times the block's scale) -> f32, bf16 or f16
 *
 * A tensor whose type does not change is passed through as bytes. */
#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "fmt/convert_int.h"
#include "fmt/f8_blocks.h"

#define CHUNK_ELEMS      ((uint64_t)2 << 20) /* a multiple of every block; 28 MB of buffers at 8, 4 and 2 bytes */
#define ELEM_BYTES_MAX   8
#define SCALES_BYTES_MAX ((uint64_t)256 << 20) /* the largest published matrix has 0.5 MB of them */

int mu_convert_stream_open(struct mu_convert_stream *s, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->raw, CHUNK_ELEMS * ELEM_BYTES_MAX, "a chunk of a tensor", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->f32, CHUNK_ELEMS, "a chunk of a tensor", e));
    return MU_NEW_ARRAY(&s->half, CHUNK_ELEMS, "a chunk of a tensor", e);
}

void mu_convert_stream_close(struct mu_convert_stream *s)
{
    mu_free(s->raw);
    mu_free(s->f32);
    mu_free(s->half);
    mu_free(s->scales);
    mu_safetensors_writer_free(s->out);
    *s = (struct mu_convert_stream){0};
}

static int tell(const struct mu_convert_stream *s, struct mu_err *e)
{
    if (s->o->progress && s->o->progress(s->o->progress_arg, mu_weights_bytes_read(s->w), s->total) != 0)
        return mu_fail(e, MU_ECANCELED, "stopped on request");
    return MU_OK;
}

static int write_out(struct mu_convert_stream *s, const void *p, size_t n, struct mu_err *e)
{
    MU_TRY_RETURN(mu_safetensors_writer_write(s->out, p, n, e));
    s->written += n;
    return tell(s, e);
}

/* n values of s->f32 to s->half. */
static int narrow(struct mu_convert_stream *s, const struct mu_convert_item *item, uint64_t n, struct mu_err *e)
{
    uint16_t special = item->dtype == MU_BF16 ? 0x7f80u : 0x7c00u;
    for (uint64_t i = 0; i < n; i++) {
        float v = s->f32[i];
        s->half[i] = item->dtype == MU_BF16 ? mu_f32_to_bf16(v) : mu_f32_to_f16(v);
        if ((s->half[i] & special) == special && isfinite(v))
            return mu_fail(e, MU_ENUMERIC, "tensor \"%s\" holds %g, which %s cannot; choose f32 or bf16",
                           item->src->name, (double)v, mu_dtype_name(item->dtype));
    }
    return MU_OK;
}

/* n elements that lie in s->raw, from element `from` of the tensor on. */
static int convert_chunk(struct mu_convert_stream *s, const struct mu_convert_item *item, uint64_t from, uint64_t n,
                         struct mu_err *e)
{
    const struct mu_tensor_info *t = item->src;
    if (item->scales)
        mu_f8_block_dequant_rows(s->f32, s->raw, from / t->dims[1], n / t->dims[1], t->dims[1], s->scales,
                                 s->block_rows, s->block_cols);
    else
        mu_to_f32(s->f32, s->raw, t->dtype, (size_t)n);
    if (item->dtype == MU_F32)
        return write_out(s, s->f32, (size_t)n * sizeof *s->f32, e);
    MU_TRY_RETURN(narrow(s, item, n, e));
    return write_out(s, s->half, (size_t)n * sizeof *s->half, e);
}

/* Elements from .. from+n of the tensor, whole rows of an F8 matrix with scales. */
static int convert_range(struct mu_convert_stream *s, const struct mu_convert_item *item, uint64_t from, uint64_t n,
                         struct mu_err *e)
{
    const struct mu_tensor_info *t = item->src;
    uint64_t step = item->scales ? CHUNK_ELEMS / t->dims[1] * t->dims[1] : CHUNK_ELEMS, at, bytes;
    for (uint64_t done = 0; done < n; done += step) {
        uint64_t piece = MU_MIN(step, n - done);
        if (!mu_dtype_bytes(t->dtype, from + done, &at) || !mu_dtype_bytes(t->dtype, piece, &bytes))
            return mu_fail(e, MU_EUNSUPPORTED, "tensor \"%s\" of type %s cannot be cut at element %" PRIu64, t->name,
                           t->stored, from + done);
        MU_TRY_RETURN(mu_weights_read(s->w, t, at, bytes, s->raw, e));
        if (item->dtype == t->dtype)
            MU_TRY_RETURN(write_out(s, s->raw, (size_t)bytes, e));
        else
            MU_TRY_RETURN(convert_chunk(s, item, from + done, piece, e));
    }
    return MU_OK;
}

/* Rows in the order of the hook, runs of neighbours together. */
static int convert_rows(struct mu_convert_stream *s, const struct mu_convert_item *item, struct mu_err *e)
{
    const struct mu_tensor_info *t = item->src;
    uint64_t rows = t->dims[0], cols = t->n_dims == 2 ? t->dims[1] : 1, run;
    for (uint64_t r = 0; r < rows; r += run) {
        uint64_t from = s->o->source_row(s->o->hook_arg, t, r);
        for (run = 1; r + run < rows && s->o->source_row(s->o->hook_arg, t, r + run) == from + run; run++)
            ;
        if (from >= rows || run > rows - from)
            return mu_fail(e, MU_EINTERNAL, "row %" PRIu64 " of tensor \"%s\" was asked for, it has %" PRIu64, from,
                           t->name, rows);
        MU_TRY_RETURN(convert_range(s, item, from * cols, run * cols, e));
    }
    return MU_OK;
}

static int load_scales(struct mu_convert_stream *s, const struct mu_convert_item *item, struct mu_err *e)
{
    const struct mu_tensor_info *t = item->src, *k = item->scales;
    uint64_t rows = t->dims[0] / s->block_rows + (t->dims[0] % s->block_rows != 0);
    uint64_t cols = t->dims[1] / s->block_cols + (t->dims[1] % s->block_cols != 0);
    if (k->dtype != MU_F32 || k->n_dims != 2 || k->dims[0] != rows || k->dims[1] != cols)
        return mu_fail(e, MU_EFORMAT,
                       "tensor \"%s\" must be [%" PRIu64 ", %" PRIu64 "] in f32: one scale for each %" PRIu64
                       " x %" PRIu64 " block of \"%s\"",
                       k->name, rows, cols, s->block_rows, s->block_cols, t->name);
    if (t->dims[1] > CHUNK_ELEMS || k->n_bytes > SCALES_BYTES_MAX)
        return mu_fail(e, MU_ELIMIT,
                       "tensor \"%s\" has rows of %" PRIu64 " elements and %" PRIu64
                       " bytes of scales, at most %" PRIu64 " and %" PRIu64 " are supported",
                       t->name, t->dims[1], k->n_bytes, CHUNK_ELEMS, SCALES_BYTES_MAX);
    if (k->n_bytes > s->scales_cap) {
        mu_free(s->scales);
        s->scales_cap = 0;
        MU_TRY_RETURN(MU_NEW_ARRAY(&s->scales, k->n_elems, "the scales of a matrix", e));
        s->scales_cap = (size_t)k->n_bytes;
    }
    return mu_weights_read(s->w, k, 0, k->n_bytes, s->scales, e);
}

int mu_convert_stream_tensor(struct mu_convert_stream *s, const struct mu_convert_item *item, struct mu_err *e)
{
    const struct mu_tensor_info *t = item->src;
    if (t->n_elems == 0)
        return MU_OK;
    if (item->scales)
        MU_TRY_RETURN(load_scales(s, item, e));
    if (s->o->source_row && (t->n_dims == 1 || t->n_dims == 2))
        return convert_rows(s, item, e);
    return convert_range(s, item, 0, t->n_elems, e);
}
