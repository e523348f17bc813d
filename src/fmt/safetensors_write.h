/* safetensors_write.h - a checkpoint's tensors to one .safetensors file, or to shards with an index
 *
 * The shapes are known first, so the headers are; bytes are streamed after. Files are written beside their names and
 * renamed by commit, the index last: what is not committed leaves nothing behind.
 *
 * Within a file tensors lie in order of falling element size, so that each is aligned to its elements as readers that
 * map the file need; mu_safetensors_writer_next() says which tensor's bytes are due. */
#ifndef MU_FMT_SAFETENSORS_WRITE_H
#define MU_FMT_SAFETENSORS_WRITE_H

#include <stddef.h>

#include "fmt/weights.h"

struct mu_safetensors_writer;

/* Into a folder that exists: model.safetensors, or model-00001-of-0000N.safetensors and their index when the tensors
 * take more than shard_bytes_max (0: one file). A tensor is never cut, so one above the maximum has a shard for itself.
 * Of tensors[] name, dtype, n_dims and dims are used; the names must outlive the writer.
 * MU_EINVAL for a block dtype, an empty or repeated name; MU_ELIMIT for more than MU_SHARDS_MAX shards. */
int mu_safetensors_writer_open(struct mu_safetensors_writer **out, const char *folder,
                               const struct mu_tensor_info *tensors, int64_t n, uint64_t shard_bytes_max,
                               struct mu_err *e);

/* Index in tensors[] of the tensor whose bytes are due; -1 when all are written. */
int64_t mu_safetensors_writer_next(const struct mu_safetensors_writer *w);

/* The next bytes of that tensor, row-major, little-endian; MU_EINVAL when they run over its end. */
int mu_safetensors_writer_write(struct mu_safetensors_writer *w, const void *p, size_t n, struct mu_err *e);

/* Every tensor must be complete. On failure files renamed so far are removed. */
int mu_safetensors_writer_commit(struct mu_safetensors_writer *w, struct mu_err *e);
void mu_safetensors_writer_free(struct mu_safetensors_writer *w); /* discards what is not committed; NULL is fine */

int mu_safetensors_writer_n_files(const struct mu_safetensors_writer *w); /* without the index */

#endif
