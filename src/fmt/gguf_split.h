/* gguf_split.h - the files of a GGUF model in parts: NAME-00001-of-00003.gguf and so on
 *
 * Each part carries split.no (from 0), split.count and split.tensors.count (of all parts); the first has the model's
 * metadata. Convention of llama.cpp's gguf-split. Inside src/fmt only. */
#ifndef MU_FMT_GGUF_SPLIT_H
#define MU_FMT_GGUF_SPLIT_H

#include "fmt/gguf.h"

#define MU_GGUF_PARTS_MAX 1000

/* Whether a file name ends in -NNNNN-of-NNNNN.gguf, and which part of how many it is (from 1). */
bool mu_gguf_part_name(const char *path, int *part, int *n_parts);

/* Path of part `part` (from 1) beside the one at `path`, whose name must be that of a part. */
int mu_gguf_part_path(struct mu_buf *out, const char *path, int part, struct mu_err *e);

/* How many parts the model has by the metadata of its first file (1 when whole). MU_EFORMAT when `path` is not named
 * like the first of as many, MU_EINVAL when it is a later part. */
int mu_gguf_part_count(const struct mu_gguf *g, const char *path, int *out, struct mu_err *e);

/* That g is part `part` (from 1) of n_parts. */
int mu_gguf_part_check(const struct mu_gguf *g, const char *path, int part, int n_parts, struct mu_err *e);

#endif
