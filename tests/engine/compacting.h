/* compacting.h - the request set run step by step, with the pool moved about between steps, for tests */
#ifndef TESTS_ENGINE_COMPACTING_H
#define TESTS_ENGINE_COMPACTING_H

#include "request_set.h"

struct compacting {
    int pages_max;  /* moved after each step; 0: none */
    bool optimizes; /* now and then all that optimizing memory does */
    int64_t n_moved;
};

/* The engine is a light one, in this process or over ranks. */
int compacting_run(mu_engine *eng, const struct request_set *s, struct mu_result **results, struct compacting *c,
                   struct mu_err *e);

#endif
