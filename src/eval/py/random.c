/* random.c - MT19937 in blocks, and Lib/random.py's algorithms on it
 *
 * Matsumoto and Nishimura 1998 (mt19937ar): the twist of all 624 words at once is three loops without branches, which
 * compilers turn into vectors; so are tempering and the conversion of word pairs to indices. The AVX2 twin of the
 * block functions is the same C compiled for it, so both give the same words. */
#include "eval/py/random.h"

#include <math.h>
#include <stdbool.h>

#include "base/check.h"
#include "base/mem.h"

#define WORDS 624
#define SHIFT 397

#define UPPER 0x80000000u
#define LOWER 0x7fffffffu

/* ---- blocks ---- */

static inline __attribute__((always_inline)) uint32_t mixed(uint32_t high, uint32_t low, uint32_t far)
{
    uint32_t y = (high & UPPER) | (low & LOWER);
    return far ^ (y >> 1) ^ (-(y & 1u) & 0x9908b0dfu);
}

static inline __attribute__((always_inline)) void twist_body(uint32_t *mt)
{
    for (int i = 0; i < WORDS - SHIFT; i++)
        mt[i] = mixed(mt[i], mt[i + 1], mt[i + SHIFT]);
    for (int i = WORDS - SHIFT; i < WORDS - 1; i++)
        mt[i] = mixed(mt[i], mt[i + 1], mt[i + SHIFT - WORDS]);
    mt[WORDS - 1] = mixed(mt[WORDS - 1], mt[0], mt[SHIFT - 1]);
}

static inline __attribute__((always_inline)) uint32_t tempered(uint32_t y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* random() is (27 bits, 26 bits) / 2^53; scale is n / 2^53, exact, so the one rounding is that of random() * n. */
static inline __attribute__((always_inline)) void indices_body(const uint32_t *restrict words, int64_t pairs,
                                                               double scale, uint32_t *restrict out)
{
    for (int64_t i = 0; i < pairs; i++) {
        double high = (double)(int32_t)(tempered(words[2 * i]) >> 5);
        double low = (double)(int32_t)(tempered(words[2 * i + 1]) >> 6);
        out[i] = (uint32_t)(int32_t)((high * 67108864.0 + low) * scale);
    }
}

static void twist_plain(uint32_t *mt)
{
    twist_body(mt);
}

static void indices_plain(const uint32_t *words, int64_t pairs, double scale, uint32_t *out)
{
    indices_body(words, pairs, scale, out);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void twist_avx2(uint32_t *mt)
{
    twist_body(mt);
}

__attribute__((target("avx2"))) static void indices_avx2(const uint32_t *words, int64_t pairs, double scale,
                                                         uint32_t *out)
{
    indices_body(words, pairs, scale, out);
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}
#else
#define twist_avx2   twist_plain
#define indices_avx2 indices_plain

static bool has_avx2(void)
{
    return false;
}
#endif

static void refill(struct mu_pyrandom *r)
{
    if (has_avx2())
        twist_avx2(r->mt);
    else
        twist_plain(r->mt);
    r->at = 0;
}

/* ---- words and numbers ---- */

static void seed_word(struct mu_pyrandom *r, uint32_t seed)
{
    r->mt[0] = seed;
    for (uint32_t i = 1; i < WORDS; i++)
        r->mt[i] = 1812433253u * (r->mt[i - 1] ^ (r->mt[i - 1] >> 30)) + i;
}

void mu_pyrandom_seed(struct mu_pyrandom *r, int64_t seed)
{
    uint64_t size = seed < 0 ? 0 - (uint64_t)seed : (uint64_t)seed;
    uint32_t key[2] = {(uint32_t)size, (uint32_t)(size >> 32)};
    uint32_t n = key[1] ? 2 : 1, i = 1, *mt = r->mt;

    seed_word(r, 19650218u);
    for (uint32_t k = 0, j = 0; k < WORDS; k++) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1664525u)) + key[j] + j;
        j = (j + 1) % n;
        if (++i == WORDS) {
            mt[0] = mt[WORDS - 1];
            i = 1;
        }
    }
    for (uint32_t k = 1; k < WORDS; k++) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1566083941u)) - i;
        if (++i == WORDS) {
            mt[0] = mt[WORDS - 1];
            i = 1;
        }
    }
    mt[0] = UPPER;
    r->at = WORDS;
}

uint32_t mu_pyrandom_u32(struct mu_pyrandom *r)
{
    if (r->at >= WORDS)
        refill(r);
    return tempered(r->mt[r->at++]);
}

double mu_pyrandom_real(struct mu_pyrandom *r)
{
    double high = mu_pyrandom_u32(r) >> 5, low = mu_pyrandom_u32(r) >> 6;
    return (high * 67108864.0 + low) * (1.0 / 9007199254740992.0);
}

uint64_t mu_pyrandom_bits(struct mu_pyrandom *r, int k)
{
    if (k <= 32)
        return mu_pyrandom_u32(r) >> (32 - k);
    uint64_t low = mu_pyrandom_u32(r);
    return low | (uint64_t)(mu_pyrandom_u32(r) >> (64 - k)) << 32;
}

uint64_t mu_pyrandom_below(struct mu_pyrandom *r, uint64_t n)
{
    int bits = 64 - __builtin_clzll(n | 1);
    uint64_t got = mu_pyrandom_bits(r, bits);
    while (got >= n && n > 0)
        got = mu_pyrandom_bits(r, bits);
    return got;
}

/* ---- sequences ---- */

void mu_pyrandom_shuffle(struct mu_pyrandom *r, int64_t *v, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)mu_pyrandom_below(r, (uint64_t)i + 1), kept = v[i];
        v[i] = v[j];
        v[j] = kept;
    }
}

/* A few of few: draw from a list that closes over what was drawn. */
static int sample_from_list(struct mu_pyrandom *r, int64_t n, int64_t k, int64_t *out, struct mu_err *e)
{
    int64_t *left = NULL;
    MU_TRY_RETURN(MU_NEW_ARRAY(&left, n, "a sample's population", e));
    for (int64_t i = 0; i < n; i++)
        left[i] = i;
    for (int64_t i = 0; i < k; i++) {
        int64_t j = (int64_t)mu_pyrandom_below(r, (uint64_t)(n - i));
        out[i] = left[j];
        left[j] = left[n - i - 1];
    }
    mu_free(left);
    return MU_OK;
}

/* True when v was not yet in the table of n slots (a power of two; 0 is empty, so v + 1 is kept). */
static bool is_new(uint64_t *slots, uint64_t n, uint64_t v)
{
    uint64_t at = v * 0x9e3779b97f4a7c15u >> 20;
    for (;; at++) {
        uint64_t *slot = &slots[at & (n - 1)];
        if (*slot == v + 1)
            return false;
        if (*slot == 0) {
            *slot = v + 1;
            return true;
        }
    }
}

/* A few of many: draw again what was drawn before. */
static int sample_by_rejection(struct mu_pyrandom *r, int64_t n, int64_t k, int64_t *out, struct mu_err *e)
{
    uint64_t *slots = NULL, n_slots = 64;
    while (n_slots < 2 * (uint64_t)k)
        n_slots *= 2;
    MU_TRY_RETURN(MU_NEW_ARRAY(&slots, n_slots, "a sample's members", e));
    for (int64_t i = 0; i < k; i++) {
        uint64_t j;
        do
            j = mu_pyrandom_below(r, (uint64_t)n);
        while (!is_new(slots, n_slots, j));
        out[i] = (int64_t)j;
    }
    mu_free(slots);
    return MU_OK;
}

int mu_pyrandom_sample(struct mu_pyrandom *r, int64_t n, int64_t k, int64_t *out, struct mu_err *e)
{
    if (k < 0 || k > n)
        return mu_fail(e, MU_EINVAL, "a sample of %lld out of %lld cannot be drawn: ask for at most %lld", (long long)k,
                       (long long)n, (long long)n);
    double list_max = 21;
    if (k > 5)
        list_max += pow(4, ceil(log((double)k * 3) / log(4)));
    return (double)n <= list_max ? sample_from_list(r, n, k, out, e) : sample_by_rejection(r, n, k, out, e);
}

void mu_pyrandom_choices(struct mu_pyrandom *r, uint32_t n, int64_t k, uint32_t *out)
{
    bool is_fast = has_avx2();
    double scale = n * (1.0 / 9007199254740992.0);

    while (k > 0) {
        if (r->at >= WORDS)
            refill(r);
        int64_t pairs = MU_MIN((WORDS - r->at) / 2, k);
        if (pairs == 0 || n > INT32_MAX) {
            *out++ = (uint32_t)(mu_pyrandom_real(r) * n); /* a pair across two blocks */
            k--;
            continue;
        }
        if (is_fast)
            indices_avx2(r->mt + r->at, pairs, scale, out);
        else
            indices_plain(r->mt + r->at, pairs, scale, out);
        r->at += (int)(2 * pairs);
        out += pairs;
        k -= pairs;
    }
}
