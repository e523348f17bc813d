/* weights.h - the tensors of a checkpoint, whatever file holds them
 *
 * mu_weights_open() takes a folder (Hugging Face layout: model.safetensors, or shards with
 * model.safetensors.index.json, or model.packed, or one .gguf), or one of these files. It reads headers only.
 * Tensors are found by name; bytes are read by range, so that a rank can take just its rows and each byte is
 * read once. Everything returned is borrowed until close. A handle may be read by several threads at once. */
#ifndef MU_FMT_WEIGHTS_H
#define MU_FMT_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/dtype.h"
#include "base/file.h"
#include <muster/err.h>

#define MU_DIMS_MAX    8
#define MU_TENSORS_MAX 1000000 /* DeepSeek-V3 ships 91,991 */

struct mu_tensor_info {
    const char *name;
    enum mu_dtype dtype; /* MU_DTYPE_N: a GGUF type that muster knows by name only; reading it is refused */
    const char *stored;  /* the file's own name of the type: "BF16", "Q5_1"; static */
    int n_dims;
    uint64_t dims[MU_DIMS_MAX]; /* row-major: dims[n_dims-1] is contiguous (GGUF's order is turned round) */
    uint64_t n_elems;
    uint64_t n_bytes;
    int file;        /* index of the file that holds it */
    uint64_t offset; /* of its first byte in that file */
};

enum mu_read_mode { MU_READ_DIRECT, MU_READ_MMAP }; /* pread into the caller's memory, or copy out of a mapping */

struct mu_weights;
struct mu_packed_head;

int mu_weights_open(struct mu_weights **out, const char *path, enum mu_read_mode mode, struct mu_err *e);
void mu_weights_close(struct mu_weights *w);

const char *mu_weights_format(const struct mu_weights *w); /* "safetensors", "gguf" or "packed" */
int64_t mu_weights_count(const struct mu_weights *w);
const struct mu_tensor_info *mu_weights_at(const struct mu_weights *w, int64_t i); /* in file, then offset order */
const struct mu_tensor_info *mu_weights_find(const struct mu_weights *w, const char *name); /* NULL: not there */
int mu_weights_n_files(const struct mu_weights *w);
const char *mu_weights_file_path(const struct mu_weights *w, int file);
uint64_t mu_weights_file_bytes(const struct mu_weights *w, int file); /* at open */
uint64_t mu_weights_bytes_total(const struct mu_weights *w);          /* of all tensors */
uint64_t mu_weights_bytes_read(const struct mu_weights *w); /* of tensor data so far: promise 5 is held against it */

/* n_bytes of the tensor from byte `from`, as stored. */
int mu_weights_read(struct mu_weights *w, const struct mu_tensor_info *t, uint64_t from, uint64_t n_bytes, void *dst,
                    struct mu_err *e);

/* MU_ECHANGED if any file is no longer what it was at open. Call after the last read. */
int mu_weights_check(const struct mu_weights *w, struct mu_err *e);

/* The GGUF behind the handle, or NULL: gives access to its metadata (fmt/gguf.h). */
const struct mu_gguf *mu_weights_gguf(const struct mu_weights *w);

/* The head of a packed model (fmt/packed.h), or NULL. It has no tensors to be read by name: the one in the list is its
 * block, under a name made of its hashes. */
const struct mu_packed_head *mu_weights_packed(const struct mu_weights *w);

/* The packed file as a whole, whatever the mode of the handle; the caller unmaps it, also after the handle is closed.
 * Its block begins at MU_PACKED_ALIGN. */
int mu_weights_map_packed(const struct mu_weights *w, struct mu_map *out, struct mu_err *e);

/* Reads a packed model and compares it with the hash in it. MU_EUNSUPPORTED: other formats have none. */
int mu_weights_verify(const struct mu_weights *w, struct mu_err *e);

#endif
