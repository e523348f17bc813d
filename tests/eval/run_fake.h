/* run_fake.h - the engine over the fake model for tests of src/eval: engine/fake_engine.h brings names of its own that
 * eval has too */
#ifndef TESTS_EVAL_RUN_FAKE_H
#define TESTS_EVAL_RUN_FAKE_H

#include <muster/engine.h>

#define RUN_FAKE_CONTEXT 256
#define RUN_FAKE_END     95 /* its end token; id i below it is the character ' ' + i */

/* The batch of the slow one. */
#define RUN_FAKE_SLOW_BATCH 2

/* nan_token: rows that see it have NaN logits; -1: none. is_slow: a row a step. */
int run_fake_open(mu_engine **out, int32_t nan_token, bool is_slow, struct mu_err *e);

/* The same engine (moved), which adds each result it hands out to *n, memory that outlives a killed process, and has
 * this process killed that long after its first poll. */
int run_fake_counted(mu_engine **out, mu_engine *eng, _Atomic int64_t *n, int64_t kill_after_ns, struct mu_err *e);

#endif
