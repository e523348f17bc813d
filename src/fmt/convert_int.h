/* convert_int.h - what convert.c (the plan) and convert_stream.c (the values) share */
#ifndef MU_FMT_CONVERT_INT_H
#define MU_FMT_CONVERT_INT_H

#include "fmt/convert.h"
#include "fmt/convert_folder.h"
#include "fmt/safetensors_write.h"

/* One tensor of the output. */
struct mu_convert_item {
    const struct mu_tensor_info *src;
    const struct mu_tensor_info *scales; /* of an F8 matrix that is multiplied out, or NULL */
    enum mu_dtype dtype;                 /* in the output */
};

struct mu_convert_stream {
    struct mu_weights *w;
    struct mu_safetensors_writer *out;
    const struct mu_convert_opts *o;
    uint64_t block_rows, block_cols; /* of the F8 scales */
    uint64_t total;                  /* bytes to read */
    uint64_t written;
    unsigned char *raw; /* a chunk as stored */
    float *f32;         /* the chunk's values */
    uint16_t *half;     /* the chunk in bf16 or f16 */
    float *scales;      /* of the matrix at hand */
    size_t scales_cap;  /* bytes */
};

/* Allocates the chunk. */
int mu_convert_stream_open(struct mu_convert_stream *s, struct mu_err *e);
void mu_convert_stream_close(struct mu_convert_stream *s);

/* Reads, converts and writes one tensor. */
int mu_convert_stream_tensor(struct mu_convert_stream *s, const struct mu_convert_item *item, struct mu_err *e);

#endif
