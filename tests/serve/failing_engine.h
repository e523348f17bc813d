/* failing_engine.h - an engine around another one, which breaks down on order */
#ifndef TESTS_SERVE_FAILING_ENGINE_H
#define TESTS_SERVE_FAILING_ENGINE_H

#include <muster/engine.h>
#include <stdatomic.h>

#define FAILING_SENTENCE "rank 1 of 2 is lost"

/* Set by the test, looked at by every poll; each engine breaks down once. */
struct fail_order {
    atomic_int n;            /* engines that are to break down, one after the other */
    atomic_int after;        /* polls of theirs that go well before */
    atomic_bool is_by_piece; /* what it has in hand comes back failed, as of lost ranks; else its poll fails at once */
};

/* *eng is taken over; order must outlive it. */
int failing_engine_wrap(mu_engine **eng, struct fail_order *order, struct mu_err *e);
mu_engine *failing_engine_unwrap(mu_engine *eng); /* the inner one again */

#endif
