/* convert.h - a checkpoint rewritten as safetensors, with another element type or other shards
 *
 * Reads safetensors or GGUF, writes a folder of Hugging Face's layout with the configuration and tokenizer files
 * copied along. Each byte of tensor data is read once, in chunks: memory stays below 100 MB whatever the model
 * (and the scales of one matrix). The folder appears whole: it is written beside its place and renamed. Where
 * `overwrite` lets files of an existing folder be replaced, each is replaced whole, the weights first. Any failure
 * leaves what was there as it was, and nothing else. */
#ifndef MU_FMT_CONVERT_H
#define MU_FMT_CONVERT_H

#include <stdbool.h>

#include "fmt/weights.h"

/* A text file of the output, in place of one of that name beside the source. Borrowed. */
struct mu_convert_text {
    const char *name; /* "config.json" */
    struct mu_str text;
};

struct mu_convert_opts {
    enum mu_dtype dtype;      /* F32, BF16 or F16 for every tensor of real numbers; MU_DTYPE_N: as stored */
    uint64_t shard_bytes_max; /* 0: one file */
    bool overwrite;           /* replace files in a folder that is not empty */

    /* Hooks of the model, NULL for none; arg is handed through. The name in the output (borrowed until the end; NULL
     * leaves the tensor out), and which row of the stored matrix is row `row` of the output; a vector's rows are its
     * elements. */
    const char *(*rename)(void *arg, const char *name);
    uint64_t (*source_row)(void *arg, const struct mu_tensor_info *t, uint64_t row);
    void *hook_arg;

    const struct mu_convert_text *texts;
    int n_texts;

    int (*progress)(void *arg, uint64_t done, uint64_t total); /* bytes read; nonzero stops with MU_ECANCELED */
    void *progress_arg;
};

#define MU_CONVERT_OPTS_INIT                                                                                           \
    {                                                                                                                  \
        .dtype = MU_DTYPE_N                                                                                            \
    }

struct mu_convert_result {
    int64_t n_tensors;
    int n_files;                        /* of weights */
    uint64_t bytes_read, bytes_written; /* of tensor data */
};

/* src: what mu_weights_open() takes; dst: a folder, whose parent exists. result may be NULL.
 * With a dtype, F8_E4M3 matrices are multiplied by their block scales (config.json's
 * quantization_config.weight_block_size), which are then left out, and config.json names the new type.
 * MU_EINVAL: dst is not empty, or is src; MU_EUNSUPPORTED: GGUF blocks with MU_DTYPE_N, another quantisation;
 * MU_ENUMERIC: a value beyond the largest of the type; MU_ENOSPC, MU_ECHANGED, and all of mu_weights_open(). */
int mu_convert(const char *src, const char *dst, const struct mu_convert_opts *o, struct mu_convert_result *result,
               struct mu_err *e);

#endif
