/* safetensors.h - the header of one .safetensors file, held against every rule of the format
 *
 *   | u64 header bytes, little-endian | JSON header, may end in spaces | tensor data ... |
 *
 * The header maps each name to dtype, shape and data_offsets (from the first byte after the header); the tensors
 * fill the data exactly, in any order, without holes or overlap. Format: the README and reference reader of
 * huggingface/safetensors. Reading tensor bytes is weights.h's. */
#ifndef MU_FMT_SAFETENSORS_H
#define MU_FMT_SAFETENSORS_H

#include "base/file.h"
#include "base/json.h"
#include "fmt/tensor_table.h"

#define MU_SAFETENSORS_HEADER_BYTES_MAX 100000000 /* the reference reader's bound */
#define MU_SAFETENSORS_NAME_BYTES_MAX   65536     /* of a tensor; published names have fewer than 200 */

/* Reads f's header into the empty table t (offsets from the start of the file) and finishes it. *metadata receives
 * the "__metadata__" object or NULL; the caller drops it with json_decref(); metadata may be NULL. On failure t is to
 * be freed all the same. MU_EFORMAT, MU_EUNSUPPORTED (dtype, number of dimensions), MU_ELIMIT, MU_ECHANGED, MU_EIO. */
int mu_safetensors_read_header(const struct mu_file *f, int file, struct mu_tensor_table *t, json_t **metadata,
                               struct mu_err *e);

#endif
