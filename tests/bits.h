/* bits.h - outputs whose bits may not change while the numerics version stays
 *
 * A file beside the test holds `numerics N` and a hash a name:
 *
 *     struct bits b;
 *     bits_open(&b, "tests/tensor/bits.txt");
 *     bits_add(&b, "linear.bf16", "level avx2", hash);   ... every level may add the same name, with the same hash
 *     bits_close(&b);
 *
 * The test fails when a hash differs and the version is the file's: bits moved and nobody said so. With RECORD=1 in the
 * environment the file is written anew, which is refused in that case too. Hashes are of little-endian bytes; they hold
 * for every level, compiler, thread count and sanitizer. */
#ifndef MU_TESTS_BITS_H
#define MU_TESTS_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define BITS_MAX      256
#define BITS_NAME_MAX 64

struct bits_row {
    char name[BITS_NAME_MAX];
    uint64_t stored, computed;
    bool is_stored, is_computed;
};

struct bits {
    const char *path; /* from the repository's root; borrowed */
    int version;      /* the file's; 0: there is no file yet */
    struct bits_row row[BITS_MAX];
    int n;
};

void bits_open(struct bits *b, const char *path);
void bits_add(struct bits *b, const char *name, const char *who, uint64_t hash); /* who: for the sentence */
void bits_close(struct bits *b);

#endif
