/* random.h - CPython's random.Random, bit for bit
 *
 * MT19937 with init_by_array seeding (Modules/_randommodule.c) and the algorithms of Lib/random.py that the reference
 * harness uses. Plain memory; copying it copies the stream. */
#ifndef MU_EVAL_PY_RANDOM_H
#define MU_EVAL_PY_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include <muster/err.h>

struct mu_pyrandom {
    uint32_t mt[624];
    int at; /* next word of mt; 624: twist first */
};

void mu_pyrandom_seed(struct mu_pyrandom *r, int64_t seed); /* of |seed|, as Random(seed) */
uint32_t mu_pyrandom_u32(struct mu_pyrandom *r);
double mu_pyrandom_real(struct mu_pyrandom *r);                /* random() */
uint64_t mu_pyrandom_bits(struct mu_pyrandom *r, int k);       /* getrandbits(k), 1 <= k <= 64 */
uint64_t mu_pyrandom_below(struct mu_pyrandom *r, uint64_t n); /* _randbelow(n), n >= 1 */

/* sample(range(n), k) into out[k]. MU_EINVAL when k > n. */
int mu_pyrandom_sample(struct mu_pyrandom *r, int64_t n, int64_t k, int64_t *out, struct mu_err *e);
void mu_pyrandom_shuffle(struct mu_pyrandom *r, int64_t *v, int64_t n);

/* The indices of choices(range(n), k=k) into out[k]: floor(random() * n). The hot loop of the bootstrap. */
void mu_pyrandom_choices(struct mu_pyrandom *r, uint32_t n, int64_t k, uint32_t *out);

#endif
