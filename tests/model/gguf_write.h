/* gguf_write.h - a golden checkpoint as a GGUF file, for tests */
#ifndef GGUF_WRITE_H
#define GGUF_WRITE_H

#include <stdbool.h>

/* dir: a folder of tests/golden with f32 weights; arch: general.architecture. is_split: attn_k_b and attn_v_b in place
 * of attn_kv_b. Fails the running test on error. */
void gguf_write_case(const char *dir, const char *arch, bool is_split, const char *path);

#endif
