/* test_device.c - opening the CPU device, choosing levels, memory and scratch */
#include "tensor_test.h"

#include <malloc.h>
#include <sys/mman.h>

#include "base/mem.h"

XT_TEST(auto_takes_the_first_available)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = NULL;
    struct mu_cpu_opts o = {.level = "auto", .n_threads = 2};
    const struct mu_ops *const *l = mu_cpu_levels();
    while (!(*l)->is_available())
        l++;
    XT_OK(mu_device_open_cpu(&d, &o, &err));
    XT_STREQ(d->ops->level, (*l)->level);
    XT_STREQ(d->dev->name, "cpu");
    mu_device_close(d);
}

XT_TEST(levels_can_be_forced_and_end_with_ref)
{
    const char *last = NULL;
    for (const struct mu_ops *const *l = mu_cpu_levels(); *l; l++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_device *d = NULL;
        struct mu_cpu_opts o = {.level = (*l)->level, .n_threads = 1};
        last = (*l)->level;
        XT_CHECK((*l)->is_available() == !(*l)->missing());
        if (!(*l)->is_available()) {
            XT_FAILS(mu_device_open_cpu(&d, &o, &err), MU_EUNSUPPORTED, (*l)->missing());
            continue;
        }
        XT_OK(mu_device_open_cpu(&d, &o, &err));
        XT_STREQ(d->ops->level, (*l)->level);
        mu_device_close(d);
    }
    XT_STREQ(last, "ref");
}

XT_TEST(unknown_level_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = NULL;
    struct mu_cpu_opts o = {.level = "avx9"};
    XT_FAILS(mu_device_open_cpu(&d, &o, &err), MU_EUSAGE, "\"avx9\" is none of");
    XT_CHECK(!d);
}

/* Each size twice: what is taken again may be what was written to before. */
static void check_zeroed(struct mu_device *d,
                         int (*alloc)(struct mu_device *, void **, size_t, const char *, struct mu_err *))
{
    struct mu_err err = MU_ERR_INIT;
    for (size_t bytes = 1, i = 0; bytes < (size_t)20 << 20; bytes = i++ % 2 ? bytes * 5 + 3 : bytes) {
        unsigned char *p = NULL, sum = 0;
        XT_OK(alloc(d, (void **)&p, bytes, "a test", &err));
        XT_EQ((uintptr_t)p % 64, 0);
        for (size_t k = 0; k < bytes; k++)
            sum |= p[k];
        XT_EQ(sum, 0);
        unsigned char there[3] = {1, 2, 3}, back[3] = {0};
        size_t n = bytes < 3 ? bytes : 3;
        XT_OK(d->dev->upload(d, p + bytes - n, there, n, &err));
        XT_OK(d->dev->synchronize(d, &err));
        XT_OK(d->dev->download(d, back, p + bytes - n, n, &err));
        XT_CHECK(memcmp(there, back, n) == 0);
        memset(p, 0xa5, bytes);
        d->dev->free(d, p);
    }
}

XT_TEST(memory_is_zeroed_and_aligned)
{
    struct mu_device *d = tt_device("ref", 3);
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* so that the heap keeps what is freed */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    check_zeroed(d, d->dev->alloc);
    check_zeroed(d, d->dev->alloc_untouched);
}

/* Memory of somebody else's stays what it was, whoever takes which share of it and wherever it begins. */
XT_TEST(adopted_memory_keeps_its_bytes)
{
    struct mu_device *d = tt_device("ref", 2);
    size_t bytes = ((size_t)9 << 20) + 4096 + 777;
    unsigned char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    XT_CHECK(map != MAP_FAILED);
    for (size_t skip = 0; skip < 9000; skip += 4096 + 64) {
        map[skip] = 7;
        map[bytes - 1] = 9;
        for (int i = 0; i < 3; i++)
            d->dev->adopt(d, map + skip, bytes - skip, i, 3);
        d->dev->adopt(d, map + skip, 100, 0, 1); /* no large page lies in it */
        XT_CHECK(map[skip] == 7 && map[bytes - 1] == 9);
        unsigned char sum = 0;
        for (size_t i = skip + 1; i < bytes - 1; i++)
            sum |= map[i];
        XT_EQ(sum, 0);
    }
    munmap(map, bytes);
}

XT_TEST(scratch_grows_and_never_shrinks)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = NULL;
    struct mu_cpu_opts o = {.level = "ref", .n_threads = 1};
    size_t before = mu_mem_bytes_used();
    XT_OK(mu_device_open_cpu(&d, &o, &err));
    XT_OK(mu_device_reserve_work(d, 1000, &err));
    XT_EQ(d->work_bytes, 1000);
    XT_OK(mu_device_reserve_work(d, 10, &err));
    XT_EQ(d->work_bytes, 1000);
    XT_OK(mu_device_reserve_work(d, 5000, &err));
    XT_EQ(d->work_bytes, 5000);
    mu_device_close(d);
    mu_device_close(NULL);
    XT_EQ(mu_mem_bytes_used(), before);
}

static int open_and_reserve(void *arg, struct mu_err *e)
{
    struct mu_device *d = NULL;
    struct mu_cpu_opts o = {.level = "ref", .n_threads = 3};
    (void)arg;
    int rc = mu_device_open_cpu(&d, &o, e);
    if (rc == MU_OK)
        rc = mu_device_reserve_work(d, 4096, e);
    mu_device_close(d);
    return rc;
}

XT_TEST(failed_allocations_leave_nothing_behind)
{
    xt_each_alloc_fails(open_and_reserve, NULL);
}

XT_TEST(scratch_too_small_is_said)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = NULL;
    struct mu_cpu_opts o = {.level = "ref", .n_threads = 1};
    float w[32] = {0}, x[8] = {0}, y[4];
    struct mu_matrix m = tt_matrix(MU_WINT8, 4, 8, 8, w, NULL);
    XT_OK(mu_device_open_cpu(&d, &o, &err));
    XT_FAILS(d->ops->linear(d, y, 4, x, 8, 1, &m, &err), MU_EINTERNAL, "linear_work_bytes()");
    int32_t pos = 0, seq = 0, page = 0;
    struct mu_rows rows = {1, &pos, &seq, &page, 1};
    struct mu_kv_layer kv = {.dtype = MU_F32, .n_kv_heads = 1, .dk = 4, .dv = 4, .k = w, .v = w};
    struct mu_attn a = {.q = x, .ldq = 4, .out = y, .ldo = 4, .n_heads = 1, .scale = 1};
    XT_FAILS(d->ops->attention(d, &a, &kv, &rows, &err), MU_EINTERNAL, "attention_work_bytes()");
    mu_device_close(d);
    tt_free_all();
}

XT_MAIN()
