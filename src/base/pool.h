/* pool.h - the one thread pool
 *
 * A pool of n threads: the caller of mu_pool_for() is worker 0, n-1 others wait for work, spinning a
 * little and then sleeping. Each may be pinned to a core. Work is cut into contiguous runs by index: one run a
 * worker, or runs that are taken as workers become free. No result may depend on who took what.
 * One mu_pool_for() at a time per pool; nested calls run in the calling worker. No allocation after open. */
#ifndef MU_BASE_POOL_H
#define MU_BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_POOL_THREADS_MAX 1024

struct mu_pool;

struct mu_pool_opts {
    int n_threads; /* 0: the cores this process may use (affinity and cgroup quota) */
    bool pin;      /* pin worker i to the i-th allowed core; off when cores are shared */
};

typedef void (*mu_pool_fn)(void *arg, int64_t begin, int64_t end, int worker);

int mu_pool_open(struct mu_pool **out, const struct mu_pool_opts *o, struct mu_err *e);
void mu_pool_close(struct mu_pool *p); /* NULL is fine */
int mu_pool_threads(const struct mu_pool *p);

/* Call fn over [0, n) cut into at most one run a worker, run bounds at multiples of grain (>= 1).
 * Returns when all runs are done. p may be NULL: runs in the caller. */
void mu_pool_for(struct mu_pool *p, int64_t n, int64_t grain, mu_pool_fn fn, void *arg);

/* The same with more runs: each worker takes a part of what is left until nothing is, large runs first. For pieces that
 * take unequal times, or cores that others use too. */
void mu_pool_share(struct mu_pool *p, int64_t n, int64_t grain, mu_pool_fn fn, void *arg);

/* Cores this process may use: affinity mask cut by the cgroup's CPU quota; at least 1. */
int mu_cores_allowed(void);

#endif
