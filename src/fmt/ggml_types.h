/* ggml_types.h - the element types a GGUF file can name, by their numbers in ggml.h */
#ifndef MU_FMT_GGML_TYPES_H
#define MU_FMT_GGML_TYPES_H

#include <stdint.h>

#include "base/dtype.h"

struct mu_ggml_type {
    const char *name;    /* "Q4_K" */
    enum mu_dtype dtype; /* MU_DTYPE_N: known by name only */
    uint16_t block_elems;
    uint16_t block_bytes;
};

/* NULL for a number that is no type, or one that ggml has withdrawn. */
const struct mu_ggml_type *mu_ggml_type(uint32_t number);

#endif
