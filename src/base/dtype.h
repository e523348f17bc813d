/* dtype.h - element types of checkpoints and buffers: names, sizes, conversion to f32
 *
 * Plain types have one element a block. Block types (GGUF's) pack block_elems elements into block_bytes; a row
 * of such a tensor must hold whole blocks. Conversion is exact wherever f32 can hold the value. */
#ifndef MU_BASE_DTYPE_H
#define MU_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enum, safetensors name or NULL, lower-case name, elements a block, bytes a block) */
#define MU_DTYPE_MAP(X)                                                                                                \
    X(F64, "F64", "f64", 1, 8)                                                                                         \
    X(F32, "F32", "f32", 1, 4)                                                                                         \
    X(F16, "F16", "f16", 1, 2)                                                                                         \
    X(BF16, "BF16", "bf16", 1, 2)                                                                                      \
    X(F8_E4M3, "F8_E4M3", "f8_e4m3", 1, 1)                                                                             \
    X(F8_E5M2, "F8_E5M2", "f8_e5m2", 1, 1)                                                                             \
    X(I64, "I64", "i64", 1, 8)                                                                                         \
    X(I32, "I32", "i32", 1, 4)                                                                                         \
    X(I16, "I16", "i16", 1, 2)                                                                                         \
    X(I8, "I8", "i8", 1, 1)                                                                                            \
    X(U64, "U64", "u64", 1, 8)                                                                                         \
    X(U32, "U32", "u32", 1, 4)                                                                                         \
    X(U16, "U16", "u16", 1, 2)                                                                                         \
    X(U8, "U8", "u8", 1, 1)                                                                                            \
    X(BOOL, "BOOL", "bool", 1, 1)                                                                                      \
    X(Q8_0, NULL, "q8_0", 32, 34)                                                                                      \
    X(Q4_0, NULL, "q4_0", 32, 18)                                                                                      \
    X(Q4_K, NULL, "q4_k", 256, 144)                                                                                    \
    X(Q6_K, NULL, "q6_k", 256, 210)

enum mu_dtype {
#define MU_DTYPE_ENUM(name, st, lower, elems, bytes) MU_##name,
    MU_DTYPE_MAP(MU_DTYPE_ENUM)
#undef MU_DTYPE_ENUM
        MU_DTYPE_N
};

const char *mu_dtype_name(enum mu_dtype t);                    /* "bf16" */
const char *mu_dtype_safetensors_name(enum mu_dtype t);        /* "BF16"; NULL for block types */
bool mu_dtype_from_name(enum mu_dtype *out, const char *name); /* either spelling */
size_t mu_dtype_block_elems(enum mu_dtype t);
size_t mu_dtype_block_bytes(enum mu_dtype t);
bool mu_dtype_is_float(enum mu_dtype t); /* has a conversion to f32 of model weights */

/* Bytes of n elements (a multiple of the block); false when n is no multiple or the product overflows. */
bool mu_dtype_bytes(enum mu_dtype t, uint64_t n, uint64_t *bytes);

/* n elements to f32; src needs no alignment. n must be a multiple of the block. */
void mu_to_f32(float *dst, const void *src, enum mu_dtype t, size_t n);

/* Round to nearest even. NaN stays NaN. */
uint16_t mu_f32_to_bf16(float v);
uint16_t mu_f32_to_f16(float v);
float mu_bf16_to_f32(uint16_t v);
float mu_f16_to_f32(uint16_t v);
float mu_f8e4m3_to_f32(uint8_t v); /* OCP E4M3FN: no infinities */
float mu_f8e5m2_to_f32(uint8_t v);

#endif
