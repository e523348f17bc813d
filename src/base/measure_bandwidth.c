/* measure_bandwidth.c - what this machine reads from memory, as a loop nothing can beat
 *
 * Several streams at once, a cache line of each in turn: one stream alone is a page at a time for most prefetchers.
 * Registers as wide as there are: with 8 bytes a load a core reads a fifth less on a Zen 3. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"

#define READ_BYTES_A_THREAD ((size_t)96 << 20) /* beyond a last-level cache */
#define STREAMS             8
#define LINE_WORDS          8 /* of 64 bytes */
#define READ_PASSES         12

/* The sum of so many words; they are a multiple of all streams' lines. */
typedef uint64_t (*read_fn)(const uint64_t *p, size_t words);

struct read_job {
    const uint64_t *data;
    size_t words_a_thread;
    read_fn read;
    uint64_t sink[MU_POOL_THREADS_MAX];
};

static uint64_t read_plain(const uint64_t *p, size_t words)
{
    uint64_t sum[LINE_WORDS] = {0};
    size_t part = words / STREAMS;
    for (size_t i = 0; i < part; i += LINE_WORDS)
        for (size_t s = 0; s < STREAMS; s++)
            for (size_t w = 0; w < LINE_WORDS; w++)
                sum[w] += p[s * part + i + w];
    for (size_t w = 1; w < LINE_WORDS; w++)
        sum[0] += sum[w];
    return sum[0];
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static uint64_t read_avx2(const uint64_t *p, size_t words)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    size_t part = words / STREAMS;
    for (size_t i = 0; i < part; i += LINE_WORDS) {
        for (size_t s = 0; s < STREAMS; s++) {
            const __m256i *line = (const __m256i *)(const void *)(p + s * part + i);
            a = _mm256_add_epi64(a, _mm256_loadu_si256(line));
            b = _mm256_add_epi64(b, _mm256_loadu_si256(line + 1));
        }
    }
    a = _mm256_add_epi64(a, b);
    return (uint64_t)_mm256_extract_epi64(a, 0) + (uint64_t)_mm256_extract_epi64(a, 1) +
           (uint64_t)_mm256_extract_epi64(a, 2) + (uint64_t)_mm256_extract_epi64(a, 3);
}

__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint64_t *p, size_t words)
{
    __m512i a = _mm512_setzero_si512();
    size_t part = words / STREAMS;
    for (size_t i = 0; i < part; i += LINE_WORDS)
        for (size_t s = 0; s < STREAMS; s++)
            a = _mm512_add_epi64(a, _mm512_loadu_si512(p + s * part + i));
    return (uint64_t)_mm512_reduce_add_epi64(a);
}

static read_fn widest(void)
{
    if (__builtin_cpu_supports("avx512f"))
        return read_avx512;
    return __builtin_cpu_supports("avx2") ? read_avx2 : read_plain;
}
#else
static read_fn widest(void)
{
    return read_plain;
}
#endif

static void read_share(void *arg, int64_t begin, int64_t end, int worker)
{
    struct read_job *j = arg;
    j->sink[worker] = j->read(j->data + (size_t)begin * j->words_a_thread, (size_t)(end - begin) * j->words_a_thread);
}

static void fill_share(void *arg, int64_t begin, int64_t end, int worker)
{
    struct read_job *j = arg;
    (void)worker;
    memset((void *)(uintptr_t)(j->data + (size_t)begin * j->words_a_thread), 1,
           (size_t)(end - begin) * j->words_a_thread * sizeof(uint64_t));
}

int mu_measure_read_bandwidth(struct mu_pool *pool, double *bytes_per_s, struct mu_err *e)
{
    struct mu_clock *clock = mu_clock_real();
    int n = mu_pool_threads(pool);
    size_t bytes = (size_t)n * READ_BYTES_A_THREAD;
    struct read_job *job = NULL;
    uint64_t *data = NULL;
    int rc = MU_OK;

    *bytes_per_s = 0;
    MU_TRY(MU_NEW(&job, "a bandwidth measurement", e));
    data = mu_alloc(bytes);
    if (!data) {
        rc = mu_fail_nomem(e, bytes, "a bandwidth measurement");
        goto out;
    }
    mu_large_pages(data, bytes, NULL); /* as weights have them, or address translation would be measured */
    job->data = data;
    job->read = widest();
    job->words_a_thread = READ_BYTES_A_THREAD / sizeof(uint64_t);
    mu_pool_for(pool, n, 1, fill_share, job);
    for (int pass = 0; pass < READ_PASSES; pass++) {
        int64_t t = mu_now_ns(clock);
        mu_pool_for(pool, n, 1, read_share, job);
        t = mu_now_ns(clock) - t;
        *bytes_per_s = MU_MAX(*bytes_per_s, (double)bytes * 1e9 / (double)MU_MAX(t, 1));
    }
out:
    mu_free(data);
    mu_free(job);
    return rc;
}
