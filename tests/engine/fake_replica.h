/* fake_replica.h - an engine whose fake model is held by many fake ranks, for tests */
#ifndef TESTS_ENGINE_FAKE_REPLICA_H
#define TESTS_ENGINE_FAKE_REPLICA_H

#include "comm/fake/fake.h"
#include "fake_engine.h"

struct fake_replica {
    struct fake_setup setup; /* opts and model of every rank */
    int stages, lanes, tp;
    bool agrees;
    struct mu_fake_opts_comm comm;
    /* On the driver, with the engine open; fails when a check does. */
    int (*drive)(void *arg, mu_engine *eng, struct mu_err *e);
    void *arg;

    int rc[64]; /* what each rank returned, and why */
    struct mu_err errs[64];
};

/* Runs all ranks to their end; the driver's code. */
int fake_replica_run(struct fake_replica *f);

#endif
