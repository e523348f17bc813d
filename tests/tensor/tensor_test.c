/* tensor_test.c - devices, memory and comparisons for the operator tests */
#include "tensor_test.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pool.h"

#define LEVELS_MAX 4
#define BLOCKS_MAX 4096

static struct {
    const char *level;
    struct mu_device *d[THREADS_MAX + 1];
} devices[LEVELS_MAX];
static void *blocks[BLOCKS_MAX];
static int n_blocks;

__attribute__((destructor)) static void close_all(void)
{
    for (int l = 0; l < LEVELS_MAX; l++)
        for (int t = 0; t <= THREADS_MAX; t++)
            mu_device_close(devices[l].d[t]);
    tt_free_all();
}

struct mu_device *tt_device(const char *level, int n_threads)
{
    int l = 0;
    while (devices[l].level && strcmp(devices[l].level, level) != 0)
        l++;
    devices[l].level = level;
    if (!devices[l].d[n_threads]) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_cpu_opts o = {.level = level, .n_threads = n_threads};
        XT_OK(mu_device_open_cpu(&devices[l].d[n_threads], &o, &err));
    }
    return devices[l].d[n_threads];
}

struct mu_device *tt_ref(void)
{
    return tt_device("ref", 1);
}

void tt_each_device(void (*fn)(struct mu_device *d, void *arg), void *arg)
{
    for (const struct mu_ops *const *l = mu_cpu_levels(); *l; l++) {
        if (!(*l)->is_available()) {
            xt_note("level %s not tested: no %s", (*l)->level, (*l)->missing());
            continue;
        }
        bool is_ref = strcmp((*l)->level, "ref") == 0;
        for (int t = 1; t <= THREADS_MAX; t += is_ref ? THREADS_MAX - 1 : 1)
            fn(tt_device((*l)->level, t), arg);
    }
}

bool tt_is_fewest_or_most(const struct mu_device *d)
{
    int n = mu_pool_threads(d->pool);
    return n == 1 || n == THREADS_MAX;
}

void *tt_alloc(size_t bytes)
{
    void *p = mu_calloc(bytes + 1, 1);
    XT_CHECK(p && n_blocks < BLOCKS_MAX);
    blocks[n_blocks++] = p;
    return p;
}

void tt_free_all(void)
{
    while (n_blocks > 0)
        mu_free(blocks[--n_blocks]);
}

float *tt_random(uint64_t *seed, int64_t n, float scale)
{
    float *x = tt_alloc((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        x[i] = scale * xt_randf(seed);
        if (i % 37 == 5)
            x[i] = i % 2 ? 0.0f : -0.0f;
        if (i % 101 == 17)
            x[i] = 0x1p-140f;
    }
    return x;
}

struct mu_matrix tt_matrix(enum mu_wformat f, int64_t n_out, int64_t n_in, int64_t tile_k, const float *w,
                           const float *bias)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_matrix m = {.format = f, .n_out = n_out, .n_in = n_in, .tile_k = tile_k, .bias = bias};
    size_t data, scales;
    mu_matrix_bytes(f, n_out, n_in, tile_k, &data, &scales);
    m.data = tt_alloc(data);
    m.scale = scales ? tt_alloc(scales) : NULL;
    XT_OK(mu_matrix_pack(&m, 0, n_out, w, n_in, &err));
    return m;
}

void tt_reserve(struct mu_device *d, size_t bytes)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_device_reserve_work(d, bytes, &err));
}

void tt_same_bits(const char *what, const struct mu_device *d, const float *got, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &want[i], sizeof(float)) != 0)
            xt_fail(__FILE__, __LINE__, "%s: level %s, %d threads: value %" PRId64 " of %" PRId64 " is %a, not %a",
                    what, d->ops->level, mu_pool_threads(d->pool), i, n, (double)got[i], (double)want[i]);
    }
}
