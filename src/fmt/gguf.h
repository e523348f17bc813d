/* gguf.h - the metadata and tensor list of one GGUF file, version 2 or 3, little-endian
 *
 *   | "GGUF" | version u32 | tensors u64 | keys u64 | keys and values | tensor entries | padding | tensor data |
 *
 * The head is kept in memory as it is in the file; values are read out of it where they lie, so that a vocabulary of
 * 250,000 strings costs no copy. Everything returned is borrowed until mu_gguf_free(). Format: ggml's docs/gguf.md.
 * A model split over files keeps all its metadata in the first; weights.h puts their tensors together. */
#ifndef MU_FMT_GGUF_H
#define MU_FMT_GGUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/err.h>

#define MU_GGUF_HEAD_BYTES_MAX ((size_t)512 << 20) /* the largest vocabularies with merges take 20 MB */
#define MU_GGUF_KEYS_MAX       4096                /* published files have fewer than 100 */
#define MU_GGUF_KEY_BYTES_MAX  65535               /* the format's bound */
#define MU_GGUF_NAME_BYTES_MAX 1024                /* of a tensor; the format's own bound is 64 */
#define MU_GGUF_DEPTH_MAX      4                   /* arrays of arrays */

enum mu_gguf_type { /* numbers of the format */
                    MU_GGUF_U8,
                    MU_GGUF_I8,
                    MU_GGUF_U16,
                    MU_GGUF_I16,
                    MU_GGUF_U32,
                    MU_GGUF_I32,
                    MU_GGUF_F32,
                    MU_GGUF_BOOL,
                    MU_GGUF_STRING,
                    MU_GGUF_ARRAY,
                    MU_GGUF_U64,
                    MU_GGUF_I64,
                    MU_GGUF_F64,
                    MU_GGUF_TYPE_N
};

/* n values of one type, one after the other. */
struct mu_gguf_array {
    enum mu_gguf_type type;
    uint64_t n;
    const unsigned char *p; /* as in the file: little-endian, unaligned */
};

struct mu_gguf_value {
    struct mu_str key;
    enum mu_gguf_type type;
    struct mu_gguf_array items; /* the array, or an array of the one value */
};

struct mu_gguf;
struct mu_file;
struct mu_tensor_table;

/* Metadata of the file at path; its tensor list is checked and dropped. */
int mu_gguf_open(struct mu_gguf **out, const char *path, struct mu_err *e);

/* The same from an open file, which is needed during the call only. Appends the tensors to the empty table t, marked
 * with `file`, with offsets from the start of the file, and finishes it. */
int mu_gguf_read(struct mu_gguf **out, const struct mu_file *f, int file, struct mu_tensor_table *t, struct mu_err *e);
void mu_gguf_free(struct mu_gguf *g);

int mu_gguf_version(const struct mu_gguf *g);
int64_t mu_gguf_count(const struct mu_gguf *g); /* of keys */
const struct mu_gguf_value *mu_gguf_at(const struct mu_gguf *g, int64_t i);
const struct mu_gguf_value *mu_gguf_find(const struct mu_gguf *g, const char *key); /* NULL: not there */

/* Typed getters. MU_ENOENT when the key is missing, MU_EFORMAT when it has another type or lies outside lo..hi.
 * An integer may be stored in any integer type, a real also as an integer. */
int mu_gguf_string(const struct mu_gguf *g, const char *key, struct mu_str *out, struct mu_err *e);
int mu_gguf_int(const struct mu_gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out, struct mu_err *e);
int mu_gguf_real(const struct mu_gguf *g, const char *key, double *out, struct mu_err *e);
int mu_gguf_bool(const struct mu_gguf *g, const char *key, bool *out, struct mu_err *e);
int mu_gguf_strings(const struct mu_gguf *g, const char *key, struct mu_gguf_array *out, struct mu_err *e);
int mu_gguf_ints(const struct mu_gguf *g, const char *key, struct mu_gguf_array *out, struct mu_err *e);
int mu_gguf_reals(const struct mu_gguf *g, const char *key, struct mu_gguf_array *out, struct mu_err *e);

/* Element i < a->n of an array of integers or bools (a u64 above 2^63 wraps), or of any numbers. */
int64_t mu_gguf_int_at(const struct mu_gguf_array *a, uint64_t i);
double mu_gguf_real_at(const struct mu_gguf_array *a, uint64_t i);

/* Takes the next element off the front of an array of strings or of arrays; false when none is left. */
bool mu_gguf_next_string(struct mu_gguf_array *a, struct mu_str *out);
bool mu_gguf_next_array(struct mu_gguf_array *a, struct mu_gguf_array *out);

#endif
