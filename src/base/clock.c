/* clock.c - CLOCK_MONOTONIC, and a fake that moves only when told */
#include "base/clock.h"

#include <time.h>

static int64_t real_now(const struct mu_clock *c)
{
    (void)c;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t fake_now(const struct mu_clock *c)
{
    return atomic_load(&c->fake_ns);
}

struct mu_clock *mu_clock_real(void)
{
    static struct mu_clock clock = {.now_ns = real_now};
    return &clock;
}

void mu_clock_fake_init(struct mu_clock *c, int64_t start_ns)
{
    c->now_ns = fake_now;
    atomic_init(&c->fake_ns, start_ns);
}

void mu_clock_fake_advance(struct mu_clock *c, int64_t ns)
{
    atomic_fetch_add(&c->fake_ns, ns);
}

void mu_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(c, &monotonic);
    pthread_condattr_destroy(&monotonic);
}
