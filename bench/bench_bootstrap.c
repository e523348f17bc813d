/* bench_bootstrap.c - how long bootstrapped standard errors take
 *
 * Usage: bench_bootstrap [items [replicates [threads]]]. Prints one CSV line per aggregation: name, seconds on the
 * clock, seconds of processors, nanoseconds of a processor per draw, standard error. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/json.h"
#include "base/pool.h"
#include "eval/py/random.h"
#include "eval/stats/bootstrap.h"

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static json_t *make_items(const char *name, int64_t n)
{
    struct mu_pyrandom r;
    json_t *items = json_array();
    bool is_pair = strcmp(name, "f1") == 0 || strcmp(name, "matthews_corrcoef") == 0;
    int classes = strcmp(name, "f1") == 0 ? 2 : 3;

    mu_pyrandom_seed(&r, 7);
    for (int64_t i = 0; i < n; i++) {
        double x = mu_pyrandom_real(&r), y = mu_pyrandom_real(&r);
        json_array_append_new(items,
                              is_pair ? json_pack("[ii]", (int)(x * classes), (int)(y * classes)) : json_real(-5 * x));
    }
    return items;
}

static int measure(const char *name, int64_t n, int64_t iters, struct mu_pool *pool, struct mu_err *e)
{
    double error = 0;
    json_t *items = make_items(name, n);
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    int rc = mu_bootstrap_stderr(mu_aggregation_find(name), items, iters, pool, &error, e);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (rc == MU_OK)
        printf("%s,%.3f,%.3f,%.2f,%.17g\n", name, wall, cpu, cpu * 1e9 / ((double)n * (double)iters), error);
    json_decref(items);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"perplexity", "nanmean", "f1", "matthews_corrcoef", "median"};
    struct mu_err e = MU_ERR_INIT;
    struct mu_pool *pool = NULL;
    int64_t n = argc > 1 ? atoll(argv[1]) : 10000, iters = argc > 2 ? atoll(argv[2]) : MU_BOOTSTRAP_ITERS;
    int rc = mu_pool_open(&pool, &(struct mu_pool_opts){.n_threads = argc > 3 ? atoi(argv[3]) : 0}, &e);

    mu_json_init();
    for (size_t i = 0; rc == MU_OK && i < MU_COUNT(names); i++)
        rc = measure(names[i], n, iters, pool, &e);
    mu_pool_close(pool);
    if (rc != MU_OK)
        fprintf(stderr, "bench_bootstrap: %s\n", e.text);
    return mu_code_exit_status(rc);
}
