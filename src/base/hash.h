/* hash.h - XXH3, for tables and for content keys; not for secrets */
#ifndef MU_BASE_HASH_H
#define MU_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t mu_hash64(const void *p, size_t n, uint64_t seed);

#endif
