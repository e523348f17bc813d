/* breaker.h - a circuit breaker: who keeps failing is left alone for a while
 *
 *     closed --failures_max in a row--> open --rest is over--> half-open --trial works--> closed
 *                                        ^                         |
 *                                        +------ trial fails ------+
 *
 * Half-open lets one trial through. Each trial that fails makes the next rest longer, from rest.first_ns to
 * rest.most_ns; a random half of each is left out when seeded. One breaker a target. Pure: time and chance come in as
 * numbers. One thread at a time. */
#ifndef MU_BASE_BREAKER_H
#define MU_BASE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/retry.h"

struct mu_breaker_rule {
    int failures_max;       /* in a row; 1 or more */
    struct mu_backoff rest; /* equal first and most: always as long */
    int64_t trial_ns;       /* a trial that has told nothing for so long has failed; 0: it is waited for */
};

enum mu_breaker_state { MU_BREAKER_CLOSED, MU_BREAKER_OPEN, MU_BREAKER_HALF_OPEN };

struct mu_breaker {
    struct mu_breaker_rule rule;
    uint64_t random; /* 0: no jitter */
    int n_failures;  /* in a row */
    int n_rests;     /* in a row */
    bool is_open;    /* or half-open */
    bool has_trial;
    int64_t open_until_ns, trial_since_ns;
};

void mu_breaker_init(struct mu_breaker *b, const struct mu_breaker_rule *rule, uint64_t seed);

/* Whether something may be tried now; a trial, when it admits one, counts as begun. */
bool mu_breaker_admits(struct mu_breaker *b, int64_t now_ns);
void mu_breaker_worked(struct mu_breaker *b);
void mu_breaker_failed(struct mu_breaker *b, int64_t now_ns, bool is_for_good); /* for good: opens at once */
void mu_breaker_dropped(struct mu_breaker *b); /* what was tried ended without telling anything: cancelled */

enum mu_breaker_state mu_breaker_state(const struct mu_breaker *b, int64_t now_ns);
const char *mu_breaker_state_name(enum mu_breaker_state s);
int64_t mu_breaker_wait_ns(const struct mu_breaker *b, int64_t now_ns); /* until a trial may be made; 0: now */

#endif
