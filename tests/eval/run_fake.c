/* run_fake.c - see run_fake.h */
#include "run_fake.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/mem.h"
#include "engine/fake_engine.h"

_Static_assert(RUN_FAKE_CONTEXT == FAKE_CONTEXT, "one fake model");

int run_fake_open(mu_engine **out, int32_t nan_token, bool is_slow, struct mu_err *e)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    s.eos = RUN_FAKE_END;
    s.has_text = true;
    s.model.nan_token = nan_token;
    s.opts.rows_max = is_slow ? 1 : 0;
    s.opts.sequences_max = is_slow ? RUN_FAKE_SLOW_BATCH : 0;
    return fake_engine_open(out, &s, e);
}

/* ---- counted ---- */

struct counted {
    struct mu_engine base;
    mu_engine *inner;
    _Atomic int64_t *n;
    int64_t kill_after_ns; /* 0: armed */
};

static mu_engine *inner(const mu_engine *eng)
{
    return ((const struct counted *)eng)->inner;
}

static int counted_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    return mu_engine_submit(inner(eng), r, id, e);
}

/* The kernel kills at a moment that nobody here chooses. */
static void arm(struct counted *c)
{
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {.it_value = {c->kill_after_ns / 1000000000, c->kill_after_ns % 1000000000}};
    timer_t timer;
    if (c->kill_after_ns == 0)
        return;
    c->kill_after_ns = 0;
    if (timer_create(CLOCK_MONOTONIC, &how, &timer) != 0 || timer_settime(timer, 0, &when, NULL) != 0)
        raise(SIGKILL);
}

static int counted_poll(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    struct counted *c = (struct counted *)eng;
    arm(c);
    int rc = mu_engine_poll(c->inner, out, timeout_ns, e);
    if (rc == MU_OK && *out)
        atomic_fetch_add(c->n, 1);
    return rc;
}

static int counted_cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    return mu_engine_cancel(inner(eng), id, e);
}

static int counted_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    return mu_engine_optimize_memory(inner(eng), bytes_freed, e);
}

static void counted_status(mu_engine *eng, struct mu_engine_status *out)
{
    mu_engine_status(inner(eng), out);
}

static void counted_info(const mu_engine *eng, struct mu_engine_info *out)
{
    mu_engine_info(inner(eng), out);
}

static const struct mu_bill *counted_bill(const mu_engine *eng)
{
    return mu_engine_bill(inner(eng));
}

static void counted_close(mu_engine *eng)
{
    mu_engine_close(inner(eng));
    mu_free(eng);
}

int run_fake_counted(mu_engine **out, mu_engine *eng, _Atomic int64_t *n, int64_t kill_after_ns, struct mu_err *e)
{
    static const struct mu_engine_ops ops = {.name = "counted",
                                             .submit = counted_submit,
                                             .poll = counted_poll,
                                             .cancel = counted_cancel,
                                             .optimize_memory = counted_optimize_memory,
                                             .status = counted_status,
                                             .info = counted_info,
                                             .bill = counted_bill,
                                             .close = counted_close};
    struct counted *c = NULL;
    int rc = MU_NEW(&c, "the counted engine", e);
    if (rc != MU_OK) {
        mu_engine_close(eng);
        return rc;
    }
    *c = (struct counted){{&ops}, eng, n, kill_after_ns};
    *out = &c->base;
    return MU_OK;
}
