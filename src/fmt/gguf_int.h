/* gguf_int.h - what gguf.c (parsing) and gguf_values.c (getters) share; stays inside src/fmt */
#ifndef MU_FMT_GGUF_INT_H
#define MU_FMT_GGUF_INT_H

#include "fmt/gguf.h"

struct mu_gguf {
    char *path;
    struct mu_buf head; /* the file's first bytes, to the end of the tensor entries */
    struct mu_gguf_value *values;
    int64_t n_values;
    uint64_t n_tensors;
    uint32_t version;
};

uint64_t mu_gguf_type_bytes(enum mu_gguf_type t); /* 0 for strings and arrays */

/* Bytes of the array's elements, which were checked when the file was parsed. */
const unsigned char *mu_gguf_array_end(struct mu_gguf_array a);

#endif
