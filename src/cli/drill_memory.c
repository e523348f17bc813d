/* drill_memory.c - patterns over most of the free memory, written and read back (drill.h)
 *
 * The device is the CPU, so its memory is the machine's. */
#include <stdio.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/memory_limit.h"
#include "base/pool.h"
#include "cli/drill.h"
#include "cli/drill_pattern.h"

#define MOST_OF_FREE 0.75

/* The rate told is the one that calibration took: a loop that only reads. */
static int judge(const struct mu_drill_args *a, struct mu_drill_result *r, int64_t n, struct mu_pool *pool,
                 double written, struct mu_err *e)
{
    char what[160];
    double rate;
    MU_TRY_RETURN(mu_measure_read_bandwidth(pool, &rate, e));
    snprintf(what, sizeof what, "%.2f GiB hold all bits both ways, written at %.1f GB/s; reading alone goes at",
             (double)n * 0x1p-27, written * 1e-9);
    mu_drill_rate(r, rate, a->machine ? a->machine->device.memory_rate : 0, 1e9, "GB/s", what);
    return MU_OK;
}

/* Both ways, until one reads back otherwise than written. */
static int fill_and_check(struct mu_drill_result *r, struct mu_pool *pool, uint64_t *p, int64_t n, double *written)
{
    for (int way = 0; way < 2; way++) {
        int64_t first, t = mu_now_ns(mu_clock_real());
        mu_pattern_write(pool, p, n, way == 1);
        *written = 8e9 * (double)n / (double)MU_MAX(mu_now_ns(mu_clock_real()) - t, 1); /* the first takes pages too */
        int64_t n_bad = mu_pattern_check(pool, p, n, way == 1, &first);
        if (n_bad > 0)
            return mu_drill_say(r, MU_DRILL_BROKEN,
                                "%lld of %lld words read back otherwise than written, the first at %lld bytes",
                                (long long)n_bad, (long long)n, 8 * (long long)first);
    }
    return mu_drill_say(r, MU_DRILL_PASS, "it holds what is written");
}

/* Where memory runs out all the same, the kernel ends this process and not somebody's work. */
static void be_first(void)
{
    FILE *f = fopen("/proc/self/oom_score_adj", "we");
    if (!f)
        return;
    (void)fputs("1000", f);
    (void)fclose(f);
}

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    struct mu_pool *pool = NULL;
    double written = 0;
    bool is_group = false;
    uint64_t free_bytes = mu_memory_available(&is_group);
    uint64_t bytes = a->memory ? a->memory : (uint64_t)(MOST_OF_FREE * (double)free_bytes);
    int64_t n = (int64_t)(bytes / 8);
    if (free_bytes == 0 && is_group)
        return mu_fail(e, MU_ENOMEM, "nothing is left of the memory that this job's control group may take");
    if (a->memory > free_bytes && free_bytes > 0)
        return mu_fail(e, MU_ENOMEM, "--memory: %.2f GiB are wanted and %.2f GiB free", (double)a->memory * 0x1p-30,
                       (double)free_bytes * 0x1p-30);
    be_first();
    MU_TRY_RETURN(mu_pool_open(&pool, &(struct mu_pool_opts){0}, e));
    uint64_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = n > 0 && p != MAP_FAILED
                 ? fill_and_check(r, pool, p, n, &written)
                 : mu_fail(e, MU_ENOMEM, "there is no memory of %.2f GiB", (double)bytes * 0x1p-30);
    if (p != MAP_FAILED)
        munmap(p, bytes);
    if (rc == MU_OK && r->verdict == MU_DRILL_PASS)
        rc = judge(a, r, n, pool, written, e);
    mu_pool_close(pool);
    return rc;
}

const struct mu_drill mu_drill_memory = {.name = "memory", .deadline_s = 1800, .run = run};
