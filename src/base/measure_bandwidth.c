/* measure_bandwidth.c - what this machine reads from memory, as a loop nothing can beat */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"

#define READ_BYTES_A_THREAD ((size_t)96 << 20) /* beyond a last-level cache */
#define READ_STREAMS        4                  /* one alone is a page at a time for most prefetchers */
#define READ_PASSES         6

struct read_job {
    const uint64_t *data;
    size_t words_a_thread;
    uint64_t sink[MU_POOL_THREADS_MAX];
};

static void read_share(void *arg, int64_t begin, int64_t end, int worker)
{
    struct read_job *j = arg;
    size_t words = (size_t)(end - begin) * j->words_a_thread, part = words / READ_STREAMS;
    const uint64_t *p = j->data + (size_t)begin * j->words_a_thread;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < part; i += 8)
        for (size_t s = 0; s < READ_STREAMS; s++)
            for (size_t w = 0; w < 8; w++)
                sum[w] += p[s * part + i + w];
    for (size_t w = 1; w < 8; w++)
        sum[0] += sum[w];
    j->sink[worker] = sum[0];
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
    mu_large_pages(data, bytes, &(char *){NULL}); /* as weights have them, or address translation would be measured */
    job->data = data;
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
