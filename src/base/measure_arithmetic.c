/* measure_arithmetic.c - how many products this machine does a second, as loops nothing can beat
 *
 * Independent chains of sums in registers, enough of them to hide an operation's latency on all of its ports. An empty
 * instruction "changes" what a compiler would else compute once. */
#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"

#define CHAINS 12
#define ROUNDS 2000000
#define PASSES 16 /* of some milliseconds: one at least is undisturbed */

struct loop {
    float (*run)(int64_t rounds);
    int products; /* of one chain in a round */
};

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static float fma_avx512(int64_t rounds)
{
    __m512 acc[CHAINS], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_fmadd_ps(acc[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm512_add_ps(acc[0], acc[i]);
    return _mm512_reduce_add_ps(acc[0]);
}

__attribute__((target("avx2,fma"))) static float fma_avx2(int64_t rounds)
{
    __m256 acc[CHAINS], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm256_fmadd_ps(acc[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm256_add_ps(acc[0], acc[i]);
    return _mm256_cvtss_f32(acc[0]);
}

__attribute__((target("avx512f,avx512vnni"))) static float int8_avx512(int64_t rounds)
{
    __m512i acc[CHAINS], x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(-5);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_epi32(i);
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_dpbusd_epi32(acc[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm512_add_epi32(acc[0], acc[i]);
    return (float)_mm512_reduce_add_epi32(acc[0]);
}

/* Without VNNI four products take a multiplication of bytes, one of pairs, and a sum. */
__attribute__((target("avx2"))) static float int8_avx2(int64_t rounds)
{
    __m256i acc[CHAINS], x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(-5), ones = _mm256_set1_epi16(1);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm256_set1_epi32(i);
    for (int64_t r = 0; r < rounds; r++) {
        for (int i = 0; i < CHAINS; i++) {
            __asm__("" : "+x"(x));
            acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x, y), ones));
        }
    }
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm256_add_epi32(acc[0], acc[i]);
    return (float)_mm256_extract_epi32(acc[0], 0);
}
#endif

static float fma_plain(int64_t rounds)
{
    float acc[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        acc[i] = (float)i;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * 0.999f + 1e-3f;
    for (int i = 1; i < CHAINS; i++)
        acc[0] += acc[i];
    return acc[0];
}

static float int8_plain(int64_t rounds)
{
    uint32_t acc[CHAINS];
    for (uint32_t i = 0; i < CHAINS; i++)
        acc[i] = i + 1;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * 3 + 5;
    for (int i = 1; i < CHAINS; i++)
        acc[0] += acc[i];
    return (float)acc[0];
}

static struct loop fma_loop(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return (struct loop){fma_avx512, 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct loop){fma_avx2, 8};
#endif
    return (struct loop){fma_plain, 1};
}

static struct loop int8_loop(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vnni"))
        return (struct loop){int8_avx512, 64};
    if (__builtin_cpu_supports("avx2"))
        return (struct loop){int8_avx2, 32};
#endif
    return (struct loop){int8_plain, 1};
}

struct job {
    struct loop loop;
    float sink[MU_POOL_THREADS_MAX];
};

static void run_share(void *arg, int64_t begin, int64_t end, int worker)
{
    struct job *j = arg;
    j->sink[worker] = j->loop.run(ROUNDS * (end - begin));
}

static int measure(struct mu_pool *pool, struct loop loop, double *per_s, struct mu_err *e)
{
    struct mu_clock *clock = mu_clock_real();
    struct job *job = NULL;
    int n = mu_pool_threads(pool);

    *per_s = 0;
    MU_TRY_RETURN(MU_NEW(&job, "an arithmetic measurement", e));
    job->loop = loop;
    double done = 2.0 * CHAINS * loop.products * (double)ROUNDS * n;
    for (int pass = 0; pass < PASSES; pass++) {
        int64_t t = mu_now_ns(clock);
        mu_pool_for(pool, n, 1, run_share, job);
        t = mu_now_ns(clock) - t;
        *per_s = MU_MAX(*per_s, done * 1e9 / (double)MU_MAX(t, 1));
    }
    mu_free(job);
    return MU_OK;
}

int mu_measure_fma_rate(struct mu_pool *pool, double *flop_per_s, struct mu_err *e)
{
    return measure(pool, fma_loop(), flop_per_s, e);
}

int mu_measure_int8_rate(struct mu_pool *pool, double *op_per_s, struct mu_err *e)
{
    return measure(pool, int8_loop(), op_per_s, e);
}
