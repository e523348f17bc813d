/* pool.c - spin, then sleep; contiguous runs by index, given or taken
 *
 * A job is published by raising `epoch`; workers see it, run their share and lower `pending`. A worker looks at epoch
 * for SPIN_NS before it sleeps on the futex-backed condition; the caller looks at pending for as long before it lets
 * others have its core between looks: whoever it waits for may need that very core. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define SPIN_NS     50000 /* longer than the serial gap between two ops of a step */
#define SPIN_ROUNDS 64    /* between two looks at the clock */

struct worker {
    struct mu_pool *pool;
    pthread_t thread;
    int id;
};

struct mu_pool {
    int n_threads;
    bool may_spin; /* no more threads than cores */
    struct worker *workers;

    atomic_uint_fast64_t epoch;
    atomic_uint_fast64_t pending; /* workers at the job */
    atomic_int sleepers;
    atomic_bool closing;
    pthread_mutex_t lock;
    pthread_cond_t wake;

    /* The job, valid while pending > 0. */
    mu_pool_fn fn;
    void *arg;
    int64_t n;
    int64_t grain;
    bool is_taken;            /* runs are taken from `next`, not given */
    atomic_int_fast64_t next; /* the first unit of grain that nobody has */
};

static _Thread_local const struct mu_pool *inside; /* the pool whose job this thread runs */

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void run_units(struct mu_pool *p, int64_t begin, int64_t end, int id)
{
    if (begin < end)
        p->fn(p->arg, begin * p->grain, MU_MIN(end * p->grain, p->n), id);
}

/* Half of an even share of what is left, at least one unit; false: nothing is left. */
static bool take_run(struct mu_pool *p, int64_t units, int64_t *begin, int64_t *end)
{
    *begin = atomic_load_explicit(&p->next, memory_order_relaxed);
    do {
        if (*begin >= units)
            return false;
        *end = *begin + MU_MAX((units - *begin) / (2 * p->n_threads), 1);
    } while (!atomic_compare_exchange_weak_explicit(&p->next, begin, *end, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void run_share(struct mu_pool *p, int id)
{
    int64_t units = (p->n + p->grain - 1) / p->grain;
    int64_t begin = units * id / p->n_threads, end = units * (id + 1) / p->n_threads;
    if (!p->is_taken)
        run_units(p, begin, end, id);
    else
        while (take_run(p, units, &begin, &end))
            run_units(p, begin, end, id);
}

/* True when the number has left (or come to) the value, false after SPIN_NS. */
static bool spin(const atomic_uint_fast64_t *number, uint64_t value, bool leaves)
{
    struct mu_clock *clock = mu_clock_real();
    for (int64_t until = 0, now = 0; now <= until; now = mu_now_ns(clock)) {
        for (int i = 0; i < SPIN_ROUNDS; i++) {
            if ((atomic_load_explicit(number, memory_order_acquire) == value) != leaves)
                return true;
            cpu_relax();
        }
        until = until ? until : mu_now_ns(clock) + SPIN_NS;
    }
    return false;
}

static uint64_t await_epoch(struct mu_pool *p, uint64_t seen)
{
    if (p->may_spin && spin(&p->epoch, seen, true))
        return atomic_load_explicit(&p->epoch, memory_order_acquire);
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->epoch) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return atomic_load(&p->epoch);
}

static void await_workers(struct mu_pool *p)
{
    if (p->may_spin && spin(&p->pending, 0, false))
        return;
    while (atomic_load_explicit(&p->pending, memory_order_acquire) > 0)
        sched_yield();
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct mu_pool *p = w->pool;
    uint64_t seen = 0;
    inside = p;
    for (;;) {
        seen = await_epoch(p, seen);
        if (atomic_load(&p->closing))
            return NULL;
        run_share(p, w->id);
        atomic_fetch_sub_explicit(&p->pending, 1, memory_order_release);
    }
}

static void publish(struct mu_pool *p)
{
    atomic_fetch_add(&p->epoch, 1);
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

static void run_job(struct mu_pool *p, int64_t n, int64_t grain, mu_pool_fn fn, void *arg, bool is_taken)
{
    if (n <= 0)
        return;
    if (!p || p->n_threads == 1 || inside == p || n <= grain) {
        fn(arg, 0, n, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    p->grain = grain;
    p->is_taken = is_taken;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->pending, (uint64_t)p->n_threads - 1, memory_order_relaxed);
    publish(p);
    inside = p;
    run_share(p, 0);
    inside = NULL;
    await_workers(p);
}

void mu_pool_for(struct mu_pool *p, int64_t n, int64_t grain, mu_pool_fn fn, void *arg)
{
    run_job(p, n, grain, fn, arg, false);
}

void mu_pool_share(struct mu_pool *p, int64_t n, int64_t grain, mu_pool_fn fn, void *arg)
{
    run_job(p, n, grain, fn, arg, true);
}

/* cgroup v2 "max 100000" or "200000 100000": quota and period in microseconds. */
static int cgroup_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return MU_POOL_THREADS_MAX;
    long quota = 0, period = 0;
    int got = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    if (got != 2 || quota <= 0 || period <= 0)
        return MU_POOL_THREADS_MAX;
    return (int)MU_MAX(1L, (quota + period - 1) / period);
}

int mu_cores_allowed(void)
{
    cpu_set_t set;
    int n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    n = MU_MIN(n, cgroup_cores());
    return MU_MAX(1, MU_MIN(n, MU_POOL_THREADS_MAX));
}

static void pin_to_core(pthread_t thread, int nth)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(thread, sizeof one, &one); /* a hint: failure costs speed only */
        return;
    }
}

int mu_pool_open(struct mu_pool **out, const struct mu_pool_opts *o, struct mu_err *e)
{
    int cores = mu_cores_allowed();
    int n = o && o->n_threads ? o->n_threads : cores;
    struct mu_pool *p = NULL;
    int rc = MU_OK;

    if (n < 1 || n > MU_POOL_THREADS_MAX)
        return mu_fail(e, MU_EINVAL, "%d threads: the number must lie in 1..%d", n, MU_POOL_THREADS_MAX);
    MU_TRY(MU_NEW(&p, "the thread pool", e));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->n_threads = 1; /* as many as have started, so that close() can undo a half-done open */
    p->may_spin = n <= cores;
    MU_TRY(MU_NEW_ARRAY(&p->workers, n, "the thread pool", e));
    /* Threads wait for the first epoch; n_threads must be final before it comes. */
    for (int i = 1; i < n; i++) {
        struct worker *w = &p->workers[i];
        w->pool = p;
        w->id = i;
        int err = pthread_create(&w->thread, NULL, worker_main, w);
        if (err) {
            rc = mu_fail(e, MU_ENOMEM, "cannot start thread %d of %d: %s", i, n, strerror(err));
            goto out;
        }
        p->n_threads++;
        if (o && o->pin)
            pin_to_core(w->thread, i);
    }
    *out = p;
    p = NULL;
out:
    mu_pool_close(p);
    return rc;
}

void mu_pool_close(struct mu_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->closing, true);
    publish(p);
    for (int i = 1; i < p->n_threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mu_free(p->workers);
    mu_free(p);
}

int mu_pool_threads(const struct mu_pool *p)
{
    return p ? p->n_threads : 1;
}
