/* utf8.h - UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF */
#ifndef MU_BASE_UTF8_H
#define MU_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MU_UTF8_REPLACEMENT 0xFFFDu

/* Decode one character of p[0..n), n >= 1. Returns its length 1..4; for bytes that are no character returns 0
 * and *cp is untouched. */
int mu_utf8_decode(const char *p, size_t n, uint32_t *cp);

/* Write cp (a scalar value) to p[4]; returns the length 1..4. */
int mu_utf8_encode(uint32_t cp, char *p);

/* Length in bytes of the longest valid prefix; equal to n when all of p is valid. */
size_t mu_utf8_valid_prefix(const char *p, size_t n);

/* At an invalid byte: how many bytes Python and Rust replace by one U+FFFD there (Unicode "maximal subpart"), >= 1. */
size_t mu_utf8_invalid_run(const char *p, size_t n);

/* Whether p[0..n) could still become one valid character by adding bytes (n < 4, n >= 1). */
bool mu_utf8_is_incomplete(const char *p, size_t n);

#endif
