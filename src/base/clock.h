/* clock.h - time as a value that tests can move
 *
 * Code that waits or measures takes a struct mu_clock; mu_clock_real() is the machine's. */
#ifndef MU_BASE_CLOCK_H
#define MU_BASE_CLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct mu_clock {
    int64_t (*now_ns)(const struct mu_clock *c); /* monotonic */
    atomic_int_fast64_t fake_ns;                 /* read by the fake only */
};

struct mu_clock *mu_clock_real(void);
void mu_clock_fake_init(struct mu_clock *c, int64_t start_ns);
void mu_clock_fake_advance(struct mu_clock *c, int64_t ns);

static inline int64_t mu_now_ns(const struct mu_clock *c)
{
    return c->now_ns(c);
}

/* Timed waits on it go by mu_clock_real(). */
void mu_cond_init(pthread_cond_t *c);

#endif
