/* checkpoint.h - which files of a path hold the weights, in the order mu_weights_open() looks for them */
#ifndef MU_FMT_CHECKPOINT_H
#define MU_FMT_CHECKPOINT_H

#include "base/buf.h"

enum mu_checkpoint_kind { MU_CHECKPOINT_SAFETENSORS, MU_CHECKPOINT_INDEX, MU_CHECKPOINT_PACKED, MU_CHECKPOINT_GGUF };

#define MU_PATH_BYTES_MAX 4096 /* PATH_MAX of Linux */

/* path: a file, or a folder with model.safetensors.index.json, model.safetensors, model.packed or one .gguf model.
 * *file receives the path of the file to open first. MU_ENOENT when there is nothing, MU_EUNSUPPORTED for PyTorch's own
 * files. */
int mu_checkpoint_find(const char *path, enum mu_checkpoint_kind *kind, struct mu_buf *file, struct mu_err *e);

#endif
