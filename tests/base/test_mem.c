/* test_mem.c - the counted heap, buffers and arenas */
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "xt.h"

XT_TEST(heap_counts_bytes_and_peak)
{
    size_t before = mu_mem_bytes_used();
    mu_mem_peak_reset();
    char *a = mu_alloc(1000), *b = mu_alloc(0);
    XT_CHECK(a && b && (uintptr_t)a % MU_MEM_ALIGN == 0);
    XT_EQ(mu_mem_bytes_used() - before, 1000);
    a = mu_realloc(a, 5000);
    XT_EQ(mu_mem_bytes_used() - before, 5000);
    mu_free(a);
    mu_free(b);
    mu_free(NULL);
    XT_EQ(mu_mem_bytes_used(), before);
    XT_CHECK(mu_mem_bytes_peak() >= before + 5000);
}

XT_TEST(heap_refuses_overflow)
{
    struct mu_err err = MU_ERR_INIT;
    int *p = NULL;
    XT_CHECK(!mu_calloc(SIZE_MAX / 2, 3));
    XT_CHECK(!mu_alloc(SIZE_MAX - 10));
    XT_FAILS(MU_NEW_ARRAY(&p, SIZE_MAX, "too many numbers", &err), MU_ENOMEM, "too many numbers");
    XT_CHECK(!p);
}

XT_TEST(nth_allocation_fails_once)
{
    mu_mem_fail_at(2);
    void *a = mu_alloc(1), *b = mu_alloc(1), *c = mu_alloc(1);
    XT_CHECK(a && !b && c);
    mu_free(a);
    mu_free(c);
}

XT_TEST(buffer_grows_to_its_maximum_and_no_further)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("the thing", 100);
    for (int i = 0; i < 100; i++)
        XT_OK(mu_buf_putc(&b, (char)('a' + i % 26), &err));
    XT_FAILS(mu_buf_putc(&b, 'x', &err), MU_ELIMIT, "the thing would grow to 101 bytes, at most 100");
    XT_EQ(b.n, 100);
    XT_EQ(b.p[100], 0);
    XT_FAILS(mu_buf_reserve(&b, SIZE_MAX, &err), MU_ELIMIT, "at most 100");
    mu_buf_fini(&b);
}

XT_TEST(buffer_formats_and_is_taken)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("text", 1000);
    XT_OK(mu_buf_printf(&b, &err, "%d-%s", 12, "ab"));
    XT_OK(mu_buf_puts(&b, "!", &err));
    XT_STREQ(b.p, "12-ab!");
    char *p = mu_buf_take(&b);
    XT_CHECK(!b.p && b.n == 0);
    XT_STREQ(p, "12-ab!");
    mu_free(p);
}

XT_TEST(arena_is_aligned_zeroed_and_bounded)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_arena a = MU_ARENA_INIT("the tree", 1 << 20);
    for (size_t n = 1; n < 2000; n += 37) {
        unsigned char *p = mu_arena_alloc_aligned(&a, n, 64, &err);
        XT_CHECK(p && (uintptr_t)p % 64 == 0);
        for (size_t i = 0; i < n; i++)
            XT_EQ(p[i], 0);
        memset(p, 0xff, n);
    }
    XT_CHECK(mu_arena_alloc(&a, 500000, &err));
    XT_CHECK(!mu_arena_alloc(&a, 1 << 20, &err));
    XT_CHECK(strstr(err.text, "the tree"));
    XT_CHECK(!mu_arena_array(&a, SIZE_MAX / 2, 8, &err));
    mu_arena_fini(&a);
    XT_EQ(a.bytes_used, 0);
}

static int use_arena(void *arg, struct mu_err *e)
{
    struct mu_arena a = MU_ARENA_INIT("an arena", 1 << 24);
    int rc = MU_OK;
    (void)arg;
    for (int i = 0; i < 10 && rc == MU_OK; i++)
        rc = mu_arena_alloc(&a, 60000, e) ? MU_OK : MU_ENOMEM;
    mu_arena_fini(&a);
    return rc;
}

XT_TEST(arena_survives_failing_allocations)
{
    xt_each_alloc_fails(use_arena, NULL);
}

XT_MAIN()
