/* test_pool.c - the thread pool: every index once, runs at multiples of grain, nesting, sleep and wake */
#include "base/pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "xt.h"

#define N_MAX 1000

struct counts {
    atomic_int seen[N_MAX];
    atomic_int runs;
    int64_t n, grain;
    int threads;
    atomic_bool is_bad;
    struct mu_pool *pool;
};

static void count(void *arg, int64_t begin, int64_t end, int worker)
{
    struct counts *c = arg;
    atomic_fetch_add(&c->runs, 1);
    if (begin % c->grain || begin >= end || end > c->n || worker < 0 || worker >= c->threads)
        atomic_store(&c->is_bad, true);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&c->seen[i], 1);
}

typedef void (*pool_fn)(struct mu_pool *p, int64_t n, int64_t grain, mu_pool_fn fn, void *arg);

static void check_once(pool_fn run, struct mu_pool *p, struct counts *c, int64_t n, int64_t grain)
{
    memset(c, 0, sizeof *c);
    c->n = n;
    c->grain = grain;
    c->threads = mu_pool_threads(p);
    run(p, n, grain, count, c);
    XT_CHECK(!atomic_load(&c->is_bad));
    XT_CHECK(run == mu_pool_share || atomic_load(&c->runs) <= c->threads);
    for (int64_t i = 0; i < N_MAX; i++)
        XT_CHECKF(atomic_load(&c->seen[i]) == (i < n), "index %d of %d seen %d times", (int)i, (int)n,
                  atomic_load(&c->seen[i]));
}

static struct mu_pool *open_pool(int n_threads)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pool *p = NULL;
    struct mu_pool_opts o = {.n_threads = n_threads, .pin = n_threads == 2};
    XT_OK(mu_pool_open(&p, &o, &err));
    XT_EQ(mu_pool_threads(p), n_threads);
    return p;
}

XT_TEST(every_index_once)
{
    static struct counts c;
    for (int threads = 1; threads <= 9; threads += 2) {
        struct mu_pool *p = open_pool(threads);
        for (int64_t n = 0; n <= N_MAX; n = n * 2 + 1)
            for (int64_t grain = 1; grain <= 64; grain = grain * 3 + 1)
                for (int i = 0; i < 2; i++)
                    check_once(i ? mu_pool_share : mu_pool_for, p, &c, n, grain);
        mu_pool_close(p);
    }
}

XT_TEST(no_pool_runs_in_the_caller)
{
    static struct counts c;
    check_once(mu_pool_for, NULL, &c, 77, 5);
    check_once(mu_pool_share, NULL, &c, 77, 5);
    XT_EQ(atomic_load(&c.runs), 1);
    mu_pool_close(NULL);
}

/* Whoever has index 0 waits until all that others can take is done: runs given out beforehand would never end. */
static void wait_for_the_rest(void *arg, int64_t begin, int64_t end, int worker)
{
    struct counts *c = arg;
    struct mu_clock *clock = mu_clock_real();
    int64_t until = mu_now_ns(clock) + 20000000000;
    (void)worker;
    while (begin == 0 && atomic_load(&c->runs) < c->n - end)
        if (mu_now_ns(clock) > until) {
            atomic_store(&c->is_bad, true);
            return;
        }
    if (begin > 0)
        atomic_fetch_add(&c->runs, (int)(end - begin));
}

XT_TEST(a_slow_worker_leaves_the_rest_to_others)
{
    static struct counts c;
    c.n = 100;
    struct mu_pool *p = open_pool(2);
    mu_pool_share(p, c.n, 1, wait_for_the_rest, &c);
    XT_CHECK(!atomic_load(&c.is_bad));
    mu_pool_close(p);
}

/* Plain memory written by workers is seen by the caller, and by the next job. */
static void double_up(void *arg, int64_t begin, int64_t end, int worker)
{
    int64_t *v = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        v[i] = i == 0 ? 1 : v[i] + v[i] + 1;
}

XT_TEST(results_are_visible)
{
    static int64_t v[N_MAX];
    struct mu_pool *p = open_pool(4);
    memset(v, 0, sizeof v);
    for (int round = 0; round < 40; round++)
        mu_pool_for(p, N_MAX, 1 + round % 7, double_up, v); /* another grain: other workers get the index */
    for (int i = 1; i < N_MAX; i++)
        XT_CHECK(v[i] == ((int64_t)1 << 40) - 1);
    mu_pool_close(p);
}

static void nest(void *arg, int64_t begin, int64_t end, int worker)
{
    struct counts *c = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        mu_pool_for(c->pool, 10, 1, count, c);
}

XT_TEST(nested_calls_run_in_place)
{
    static struct counts c;
    struct mu_pool *p = open_pool(3);
    memset(&c, 0, sizeof c);
    c.n = 10;
    c.grain = 1;
    c.threads = 3;
    c.pool = p;
    mu_pool_for(p, 30, 1, nest, &c);
    for (int i = 0; i < 10; i++)
        XT_EQ(atomic_load(&c.seen[i]), 30);
    XT_EQ(atomic_load(&c.runs), 30); /* each nested call is one run */
    mu_pool_close(p);
}

XT_TEST(workers_wake_from_sleep)
{
    static struct counts c;
    struct mu_pool *p = open_pool(4);
    for (int i = 0; i < 5; i++) {
        struct timespec t = {0, 3000000}; /* longer than workers spin */
        nanosleep(&t, NULL);
        check_once(mu_pool_for, p, &c, 100, 1);
    }
    mu_pool_close(p);
}

XT_TEST(nothing_is_allocated_after_open)
{
    static struct counts c;
    struct mu_pool *p = open_pool(4);
    uint64_t before = mu_mem_allocs();
    check_once(mu_pool_for, p, &c, 500, 2);
    XT_EQ(mu_mem_allocs(), before);
    mu_pool_close(p);
}

static int open_close(void *arg, struct mu_err *e)
{
    struct mu_pool *p = NULL;
    struct mu_pool_opts o = {.n_threads = 3};
    (void)arg;
    int rc = mu_pool_open(&p, &o, e);
    mu_pool_close(p);
    return rc;
}

XT_TEST(failed_allocations_leave_nothing_behind)
{
    xt_each_alloc_fails(open_close, NULL);
}

XT_TEST(impossible_numbers_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pool *p = NULL;
    struct mu_pool_opts o = {.n_threads = -1};
    XT_FAILS(mu_pool_open(&p, &o, &err), MU_EINVAL, "-1 threads");
    o.n_threads = MU_POOL_THREADS_MAX + 1;
    XT_FAILS(mu_pool_open(&p, &o, &err), MU_EINVAL, "must lie in 1..1024");
    XT_CHECK(mu_cores_allowed() >= 1);
}

XT_MAIN()
