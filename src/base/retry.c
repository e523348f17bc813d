/* retry.c - see retry.h */
#include "base/retry.h"

#include "base/check.h"

int64_t mu_backoff_ns(const struct mu_backoff *b, int n_failed)
{
    int64_t ns = b->first_ns;
    for (int i = 1; i < n_failed && ns < b->most_ns; i++)
        ns = ns > b->most_ns / 2 ? b->most_ns : 2 * ns;
    return n_failed > 0 ? MU_MIN(ns, b->most_ns) : 0;
}

/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t mu_backoff_jittered_ns(const struct mu_backoff *b, int n_failed, uint64_t *random)
{
    int64_t half = mu_backoff_ns(b, n_failed) / 2;
    return half + (int64_t)((double)half * ((double)(next_random(random) >> 11) * 0x1p-53));
}
